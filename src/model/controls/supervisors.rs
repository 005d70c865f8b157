//! The supervisors that minder stands beside: how each is named in a rule file.

use crate::model::{AbsPath, Given, Mistake, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// `control: { runit: web }`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunitControl {
    /// The name of the service, or the absolute path of its directory.
    pub service: String,
    /// Where services live, if `service` is a name.
    #[serde(default = "etc_service")]
    pub directory: AbsPath,
    /// How long runsv may take to do what it is told.
    #[serde(default = "Span::control_deadline")]
    pub timeout: Span,
    /// The service's own `./check` is a check, named `check`. In a plan it stands among the checks, and this is false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub check: bool,
}

/// `control: { s6: web }`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S6Control {
    /// The name of the service, or the absolute path of its directory.
    pub service: String,
    /// The scan directory, if `service` is a name.
    #[serde(default = "run_service")]
    pub directory: AbsPath,
    /// How long s6-supervise may take to do what it is told.
    #[serde(default = "Span::control_deadline")]
    pub timeout: Span,
}

/// `control: { daemontools: web }`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DaemontoolsControl {
    /// The name of the service, or the absolute path of its directory.
    pub service: String,
    /// Where services live, if `service` is a name.
    #[serde(default = "etc_service")]
    pub directory: AbsPath,
    /// How long supervise may take to do what it is told.
    #[serde(default = "Span::control_deadline")]
    pub timeout: Span,
}

/// `control: { systemd: web.service }`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SystemdControl {
    /// The unit; `.service` may be left out.
    pub unit: String,
    /// How long systemd may take to do what it is told.
    #[serde(default = "Span::control_deadline")]
    pub timeout: Span,
}

/// `control: { supervisord: web }`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SupervisordControl {
    /// The program: `web`, or `group:web`.
    pub program: String,
    /// Where supervisord listens: `unix:///run/supervisor.sock`, or `http://127.0.0.1:9001`.
    #[serde(default = "supervisor_sock")]
    pub server: String,
    /// The user name that it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The password that it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Given>,
    /// How long supervisord may take to do what it is told.
    #[serde(default = "Span::control_deadline")]
    pub timeout: Span,
}

/// `control: { upstart: web }`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstartControl {
    /// The job.
    pub job: String,
    /// Its instance, where it has several: `tty=1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// How long upstart may take to do what it is told.
    #[serde(default = "Span::control_deadline")]
    pub timeout: Span,
}

/// `control: { sysv: web }`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SysvControl {
    /// The name of the script in `/etc/init.d`, or its absolute path.
    pub script: String,
    /// How long the script may take.
    #[serde(default = "Span::control_deadline")]
    pub timeout: Span,
}

fn etc_service() -> AbsPath {
    AbsPath::new("/etc/service")
}

fn run_service() -> AbsPath {
    AbsPath::new("/run/service")
}

fn supervisor_sock() -> String {
    "unix:///run/supervisor.sock".to_owned()
}

impl RunitControl {
    /// The directory of the service.
    pub fn path(&self) -> PathBuf {
        self.directory.as_path().join(&self.service)
    }
}

impl S6Control {
    /// The directory of the service.
    pub fn path(&self) -> PathBuf {
        self.directory.as_path().join(&self.service)
    }
}

impl DaemontoolsControl {
    /// The directory of the service.
    pub fn path(&self) -> PathBuf {
        self.directory.as_path().join(&self.service)
    }
}

impl SystemdControl {
    /// The unit's name, suffix included.
    pub fn name(&self) -> String {
        match self.unit.ends_with(".service") {
            true => self.unit.clone(),
            false => format!("{}.service", self.unit),
        }
    }

    /// By the rules of `systemd.unit(5)`.
    pub(super) fn mistakes(&self) -> Vec<Mistake> {
        let wrong = |message: String| Mistake::new(&["unit"], message);
        let base = self.unit.strip_suffix(".service").unwrap_or(&self.unit);
        let mistake = if base.is_empty() {
            wrong("the name of the unit is missing".to_owned()).help("write it as in `systemctl status web.service`")
        } else if let Some(file) = self.unit.strip_prefix('/') {
            let name = file.rsplit('/').next().unwrap_or(file);
            wrong(format!("`{}` is a path, not the name of a unit", self.unit)).help(format!("write `{name}`"))
        } else if let Some((_, kind)) = base.rsplit_once('.').filter(|(_, kind)| OTHER_UNITS.contains(kind)) {
            wrong(format!("`{}` is a {kind} unit; minder controls services", self.unit))
                .help("name the service that does the work, such as `web.service`")
        } else if base.ends_with('@') {
            wrong(format!("`{}` is a template, of which no unit has been made", self.unit))
                .help(format!("write which one: `{base}1.service`"))
        } else if let Some(c) = base.chars().find(|c| !c.is_ascii_alphanumeric() && !":-_.\\@".contains(*c)) {
            wrong(format!("the name of a unit cannot hold {c:?}"))
                .help("letters, digits and `: - _ . \\ @` can be in it; `systemd-escape` writes others")
        } else if self.name().len() > 255 {
            wrong("the name of the unit is longer than the 255 bytes that systemd allows".to_owned())
        } else {
            return Vec::new();
        };
        vec![mistake]
    }
}

/// What else systemd has units of.
const OTHER_UNITS: &[&str] =
    &["socket", "target", "timer", "mount", "automount", "swap", "path", "slice", "scope", "device", "snapshot"];

impl SupervisordControl {
    pub(super) fn mistakes(&self) -> Vec<Mistake> {
        Vec::new()
    }
}
