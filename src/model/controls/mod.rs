//! How a service is started and stopped: the keys of each control.

mod command;
mod supervisors;

pub use command::{Argv, CommandControl, ControlRun, DEADLINE, StopBy};
pub use supervisors::{
    DaemontoolsControl, RunitControl, S6Control, SupervisordAddress, SupervisordControl, SystemdControl, SysvControl,
    UpstartControl,
};

use super::{Given, Mistake};
use schemars::{Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize};
use std::path::PathBuf;
use std::time::Duration;

macro_rules! controls {
    ($($control:ident($keys:ident) $name:literal $short:expr),* $(,)?) => {
        /// A control as the plan names it.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(rename_all = "lowercase")]
        pub enum ControlSpec {
            $(#[doc = concat!("See [`", stringify!($keys), "`].")] $control($keys),)*
        }

        impl ControlSpec {
            /// Every control's word, and the key that its short form stands for.
            pub const NAMES: &'static [(&'static str, Option<&'static str>)] = &[$(($name, $short)),*];

            /// The word in the rule language.
            pub fn name(&self) -> &'static str {
                match self { $(ControlSpec::$control(_) => $name),* }
            }

            /// Reads the keys of the control with this name; nothing if there is no such control.
            pub fn read<'de, D: Deserializer<'de>>(name: &str, keys: D) -> Option<Result<ControlSpec, D::Error>> {
                match name {
                    $($name => Some($keys::deserialize(keys).map(ControlSpec::$control)),)*
                    _ => None,
                }
            }

            /// For each control: its word, the key of its short form, and the schema of its keys.
            pub fn schemas(generator: &mut SchemaGenerator) -> Vec<(&'static str, Option<&'static str>, Schema)> {
                vec![$(($name, $short, generator.subschema_for::<$keys>())),*]
            }
        }
    };
}

controls!(
    Command(CommandControl) "command" None,
    Runit(RunitControl) "runit" Some("service"),
    S6(S6Control) "s6" Some("service"),
    Daemontools(DaemontoolsControl) "daemontools" Some("service"),
    Systemd(SystemdControl) "systemd" Some("unit"),
    Supervisord(SupervisordControl) "supervisord" Some("program"),
    Upstart(UpstartControl) "upstart" Some("job"),
    Sysv(SysvControl) "sysv" Some("script"),
);

impl ControlSpec {
    /// Calls `f` with every text in it that may come from elsewhere.
    pub fn givens(&mut self, f: &mut dyn FnMut(&mut Given)) {
        match self {
            ControlSpec::Command(c) => c.environment.values_mut().for_each(f),
            ControlSpec::Supervisord(c) => c.password.iter_mut().for_each(f),
            _ => {}
        }
    }

    /// What is wrong with it beyond the types of its keys.
    pub fn mistakes(&self) -> Vec<Mistake> {
        match self {
            ControlSpec::Command(c) => c.mistakes(),
            ControlSpec::Systemd(c) => c.mistakes(),
            ControlSpec::Supervisord(c) => c.mistakes(),
            ControlSpec::Upstart(c) => c.mistakes(),
            ControlSpec::Sysv(c) => c.mistakes(),
            _ => Vec::new(),
        }
    }

    /// Whether a supervisor of its own keeps a record of how the service stands, and starts it again when it dies. It is asked
    /// on a schedule, as a check.
    pub fn supervises(&self) -> bool {
        !matches!(self, ControlSpec::Command(_) | ControlSpec::Sysv(_))
    }

    /// The directory of the service, where its supervisor knows it by one.
    pub fn service_dir(&self) -> Option<PathBuf> {
        let (directory, service) = match self {
            ControlSpec::Runit(c) => (&c.directory, &c.service),
            ControlSpec::S6(c) => (&c.directory, &c.service),
            ControlSpec::Daemontools(c) => (&c.directory, &c.service),
            _ => return None,
        };
        Some(directory.as_path().join(service))
    }

    /// Whether an event of the supervisor with this word is about the service of this name: see [`super::Input::Nudged`].
    pub fn is_about(&self, control: &str, name: &str) -> bool {
        let own: &str = match self {
            ControlSpec::Command(_) => return false,
            ControlSpec::Runit(c) => &c.service,
            ControlSpec::S6(c) => &c.service,
            ControlSpec::Daemontools(c) => &c.service,
            ControlSpec::Systemd(c) => &c.unit,
            ControlSpec::Supervisord(c) => &c.program,
            ControlSpec::Upstart(c) => &c.job,
            ControlSpec::Sysv(c) => &c.script,
        };
        // A program of supervisord that is in no group is in one of its own name; systemd always names the kind of a unit.
        let long = match self {
            ControlSpec::Supervisord(_) => name.strip_prefix(own).and_then(|rest| rest.strip_prefix(':')) == Some(own),
            ControlSpec::Systemd(_) => name.strip_suffix(".service") == Some(own),
            _ => false,
        };
        self.name() == control && (own == name || long)
    }

    /// The default of `settle`: how long a death may take to turn into a new process by itself.
    pub fn settle(&self) -> Duration {
        Duration::from_secs(if self.supervises() { 5 } else { 2 })
    }

    /// How long it may take to do what it is told: for a start, until the new process must be there.
    pub fn timeout(&self) -> Duration {
        match self {
            ControlSpec::Command(c) => c.start.as_ref().or(c.restart.as_ref()).map_or(DEADLINE, |run| run.timeout.0),
            ControlSpec::Runit(c) => c.timeout.0,
            ControlSpec::S6(c) => c.timeout.0,
            ControlSpec::Daemontools(c) => c.timeout.0,
            ControlSpec::Systemd(c) => c.timeout.0,
            ControlSpec::Supervisord(c) => c.timeout.0,
            ControlSpec::Upstart(c) => c.timeout.0,
            ControlSpec::Sysv(c) => c.timeout.0,
        }
    }

    /// Whether it knows how to start the service. A restart is a stop and a start where it has no command of its own.
    pub fn can_start(&self) -> bool {
        match self {
            ControlSpec::Command(c) => c.start.is_some(),
            _ => true,
        }
    }

    /// Whether it restarts in one go; otherwise a restart is a stop and a start.
    pub fn restarts_in_one(&self) -> bool {
        match self {
            ControlSpec::Command(c) => c.restart.is_some(),
            ControlSpec::Sysv(_) => false,
            _ => true,
        }
    }

    /// Whether a restart is two orders, between which its own record reads as if its operator had taken the service down.
    pub fn restarts_in_halves(&self) -> bool {
        matches!(self, ControlSpec::Supervisord(_))
    }

    /// Whether its record of a service that it has given up is that of one which its operator has taken down. Only who was
    /// told at that moment knows better.
    pub fn gives_up_in_silence(&self) -> bool {
        matches!(self, ControlSpec::S6(_))
    }

    /// The commands that it launches, for diagnostics.
    pub fn runs(&self) -> impl Iterator<Item = &ControlRun> {
        let command = match self {
            ControlSpec::Command(c) => Some(c),
            _ => None,
        };
        command.into_iter().flat_map(|c| c.start.iter().chain(&c.restart))
    }
}
