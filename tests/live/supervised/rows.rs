//! The supervisors, each with one service `app`, which is the script `DIR/run`.

use crate::support::{Minder, Supervised, Supervisord, Systemd, process_exists};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What a test needs to know of a supervisor, and of its own tool.
pub trait Row: Sized {
    /// What minder knows the service by: the one key that is another with another supervisor.
    fn control(dir: &Path) -> String;
    /// How minder finds its process.
    fn process(_dir: &Path) -> String {
        "supervised".to_owned()
    }
    /// Whether minder is told what happens. If not, it asks every half second here.
    const TELLS: bool;
    /// What else the service needs for a crash loop, and what minder says of one.
    const LOOP: (&str, &str) = ("", "control.flapping");
    /// Orders of an operator, in turn, and the phase and status that each leads to.
    const ORDERS: &[(&str, &str, &str)];
    /// Nothing if it cannot be tried here.
    fn start(minder: &mut Minder) -> Option<Self>;
    /// The service's pid, by the supervisor's own record, while it runs.
    fn pid(&self) -> Option<u32>;
    /// What its operator does.
    fn order(&self, minder: &Minder, what: &str);
    /// Kills the supervisor; its service lives on.
    fn kill(&mut self);
}

/// The same for those that keep a directory for each service.
macro_rules! keeps_a_directory {
    ($($row:ident: $name:literal, $program:literal;)*) => {$(
        pub struct $row(Supervised);

        impl Row for $row {
            const TELLS: bool = true;
            const ORDERS: &[(&str, &str, &str)] = &[
                ("pause", "paused", "ok"),
                ("cont", "running", "ok"),
                ("down", "down", "stopped"),
                ("up", "running", "ok"),
            ];
            fn control(dir: &Path) -> String {
                format!("{{ {}: {}/app }}", $name, dir.display())
            }
            fn start(minder: &mut Minder) -> Option<$row> {
                let run = format!("exec {}/run", minder.dir().display());
                Some($row(Supervised::start($program, minder.dir(), "app", &[("run", &run)])))
            }
            fn pid(&self) -> Option<u32> {
                self.0.pid()
            }
            fn order(&self, _: &Minder, what: &str) {
                self.0.order(what);
            }
            fn kill(&mut self) {
                self.0.kill_supervisor();
            }
        }
    )*};
}

keeps_a_directory! {
    Runit: "runit", "runsv";
    S6: "s6", "s6-supervise";
    Daemontools: "daemontools", "supervise";
}

const STOP_AND_START: &[(&str, &str, &str)] = &[("stop", "down", "stopped"), ("start", "running", "ok")];

/// On a machine of its own. Nothing without root.
pub struct UnderSystemd(Systemd);

impl Row for UnderSystemd {
    const TELLS: bool = true;
    const ORDERS: &[(&str, &str, &str)] = &[
        ("freeze", "paused", "ok"),
        ("thaw", "running", "ok"),
        ("stop", "down", "stopped"),
        ("start", "running", "ok"),
    ];
    fn control(_: &Path) -> String {
        "{ systemd: app }".to_owned()
    }
    fn start(minder: &mut Minder) -> Option<UnderSystemd> {
        if !crate::is_root() {
            return None;
        }
        let (units, run) = (minder.dir().join("units"), minder.dir().join("run"));
        std::fs::create_dir(&units).unwrap();
        let unit = format!(
            "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart={}\nRestart=always\nRestartSec=200ms\n",
            run.display()
        );
        std::fs::write(units.join("app.service"), unit).unwrap();
        let systemd = Systemd::start(minder.dir());
        minder.under = systemd.inside();
        systemd.ok(&["start", "app"]);
        Some(UnderSystemd(systemd))
    }
    fn pid(&self) -> Option<u32> {
        let pid = self.0.ok(&["show", "--value", "-p", "MainPID", "app"]);
        pid.trim().parse().ok().filter(|pid| *pid != 0)
    }
    fn order(&self, _: &Minder, what: &str) {
        self.0.ok(&[what, "app"]);
    }
    fn kill(&mut self) {
        unreachable!("with it ends its whole machine");
    }
}

pub struct UnderSupervisord(Supervisord);

impl Row for UnderSupervisord {
    const TELLS: bool = false;
    const ORDERS: &[(&str, &str, &str)] = STOP_AND_START;
    fn control(dir: &Path) -> String {
        format!("{{ supervisord: {{ program: app, server: \"unix://{}/supervisor/sock\" }} }}", dir.display())
    }
    fn start(minder: &mut Minder) -> Option<UnderSupervisord> {
        let run = minder.dir().join("run");
        let section = format!("[program:app]\ncommand={}\nstartsecs=0\nautorestart=true\n", run.display());
        Some(UnderSupervisord(Supervisord::start(minder.dir(), &section)))
    }
    fn pid(&self) -> Option<u32> {
        self.0.pid("app")
    }
    fn order(&self, _: &Minder, what: &str) {
        self.0.ctl(&format!("{what} app"));
    }
    fn kill(&mut self) {
        self.0.kill();
    }
}

fn pid_in(file: &Path) -> Option<u32> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok().filter(|pid| process_exists(*pid))
}

/// No distribution has a package of it any more: a script stands in for `initctl`, and prints what upstart's documentation
/// records. It knows one job, `web`.
pub struct Upstart(PathBuf);

impl Row for Upstart {
    const TELLS: bool = false;
    const ORDERS: &[(&str, &str, &str)] = STOP_AND_START;
    fn control(_: &Path) -> String {
        "{ upstart: web }".to_owned()
    }
    fn start(minder: &mut Minder) -> Option<Upstart> {
        let dir = minder.dir().join("upstart");
        std::fs::create_dir(&dir).unwrap();
        std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/initctl"), dir.join("initctl")).unwrap();
        std::os::unix::fs::symlink(minder.dir().join("run"), dir.join("run")).unwrap();
        std::fs::write(dir.join("respawn"), "").unwrap();
        minder.env.push(("PATH", format!("{}:{}", dir.display(), std::env::var("PATH").unwrap())));
        let upstart = Upstart(dir);
        upstart.order(minder, "start");
        Some(upstart)
    }
    fn pid(&self) -> Option<u32> {
        pid_in(&self.0.join("pid"))
    }
    fn order(&self, _: &Minder, what: &str) {
        let told = Command::new(self.0.join("initctl")).args([what, "web"]).stdout(Stdio::null()).status();
        assert!(told.unwrap().success());
    }
    fn kill(&mut self) {
        std::fs::write(self.0.join("dead"), "").unwrap();
    }
}

/// Where nothing supervises, minder does: it starts what has died, its operator speaks to it, and a loop ends with the budget.
macro_rules! supervised_by_minder {
    ($($row:ident)*) => {$(
        impl Row for $row {
            const TELLS: bool = true;
            const LOOP: (&str, &str) = (
                "    restart: { limit: 3 in 1m, delay: 100ms..100ms }
    checks: [{ process: PROCESS, every: 500ms }]
    rules: [process.down -> restart]
",
                "given up after 3 restarts",
            );
            const ORDERS: &[(&str, &str, &str)] = STOP_AND_START;
            fn control(dir: &Path) -> String {
                $row::in_dir(dir)
            }
            fn process(dir: &Path) -> String {
                format!("{{ pidfile: {}/pid }}", dir.display())
            }
            fn start(minder: &mut Minder) -> Option<$row> {
                let dir = minder.dir().to_owned();
                minder.init.spawn(&$row::starter(&dir), &dir.join("start.log"));
                Some($row(dir))
            }
            fn pid(&self) -> Option<u32> {
                pid_in(&self.0.join("pid"))
            }
            fn order(&self, minder: &Minder, what: &str) {
                let what = match what {
                    "down" => "stop",
                    "up" => "start",
                    other => other,
                };
                minder.ok(&[what, "app"]);
            }
            fn kill(&mut self) {
                unreachable!("there is none");
            }
        }
    )*};
}

pub struct InitScript(PathBuf);

impl InitScript {
    fn in_dir(dir: &Path) -> String {
        format!("{{ sysv: {}/init }}", dir.display())
    }

    fn starter(dir: &Path) -> Command {
        let at = dir.display();
        let text = format!(
            "case $1 in\n  start) start-stop-daemon --start --background --pidfile {at}/pid --startas {at}/run ;;\n  \
             stop) start-stop-daemon --stop --retry TERM/5/KILL/5 --pidfile {at}/pid ;;\n  \
             status) start-stop-daemon --status --pidfile {at}/pid ;;\nesac"
        );
        super::script(&dir.join("init"), &text);
        let mut command = Command::new(dir.join("init"));
        command.arg("start");
        command
    }
}

pub struct ByCommand(PathBuf);

impl ByCommand {
    fn in_dir(dir: &Path) -> String {
        format!("{{ command: {{ start: [{}/run] }} }}", dir.display())
    }

    fn starter(dir: &Path) -> Command {
        Command::new(dir.join("run"))
    }
}

supervised_by_minder! { InitScript ByCommand }

/// How long minder may need until it knows.
pub fn patience<R: Row>() -> Duration {
    // A control that tells nothing of itself is asked every five seconds at most: what is noticed within this, time after time,
    // was told.
    if R::TELLS { Duration::from_millis(1500) } else { Duration::from_secs(3) }
}
