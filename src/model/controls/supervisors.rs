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
/// Where a supervisord listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SupervisordAddress {
    /// The path of a unix socket.
    Unix(PathBuf),
    /// A name or an address, in brackets if it is one of IPv6.
    Tcp {
        /// Which.
        host: String,
        /// Its port.
        port: u16,
    },
}

impl SupervisordControl {
    /// Where it listens; or what is wrong with `server`, and what to write.
    pub fn address(&self) -> Result<SupervisordAddress, (String, &'static str)> {
        let unix = "write the path of its socket, as `file` in its `[unix_http_server]`: `unix:///run/supervisor.sock`";
        let http = "write its address and port, as `port` in its `[inet_http_server]`: `http://127.0.0.1:9001`";
        let server = self.server.as_str();
        if let Some(path) = server.strip_prefix("unix://") {
            return match path.parse::<AbsPath>() {
                Ok(path) => Ok(SupervisordAddress::Unix(path.as_path().to_owned())),
                Err(_) => Err((format!("`{server}` does not name an absolute path"), unix)),
            };
        }
        if server.starts_with('/') {
            return Err((format!("`{server}` lacks its `unix://`"), unix));
        }
        let Ok(url) = url::Url::parse(server) else {
            return Err((format!("`{server}` is no address of a supervisord"), http));
        };
        if url.scheme() != "http" {
            return Err((format!("supervisord is spoken to by `unix://` or `http://`, not `{}:`", url.scheme()), http));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(("the address holds a login".to_owned(), "write it as `user` and `password`"));
        }
        // To a URL, 80 is as good as none; supervisord has no usual port.
        let port = url.port().or_else(|| server.trim_end_matches('/').ends_with(":80").then_some(80));
        match (url.host_str(), port, url.path()) {
            (Some(host), Some(port), "/" | "/RPC2") if url.query().is_none() && url.fragment().is_none() => {
                Ok(SupervisordAddress::Tcp { host: host.to_owned(), port })
            }
            (Some(_), None, _) => Err((format!("`{server}` lacks its port"), http)),
            _ => Err((format!("`{server}` has more than an address and a port"), http)),
        }
    }

    pub(super) fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        if let Err((what, help)) = self.address() {
            mistakes.push(Mistake::new(&["server"], what).help(help));
        }
        let program = self.program.as_str();
        if program.ends_with(":*") || program.ends_with(':') {
            mistakes.push(
                Mistake::new(&["program"], format!("`{program}` is a whole group, and a service is one program"))
                    .help("write one of its programs, such as `group:program`"),
            );
        } else if program.is_empty() || program.starts_with(':') || program.contains(|c: char| c.is_control()) {
            mistakes.push(
                Mistake::new(&["program"], "expected the name of a program")
                    .help("write it as `supervisorctl status` shows it: `web`, or `group:web`"),
            );
        }
        let half = match (&self.user, &self.password) {
            (Some(_), None) => Some(("user", "password")),
            (None, Some(_)) => Some(("password", "user")),
            _ => None,
        };
        if let Some((one, other)) = half {
            mistakes.push(
                Mistake::new(&[one], format!("`{one}` without `{other}`"))
                    .help("supervisord asks for both: `username` and `password` of the section it listens by"),
            );
        }
        if self.user.as_deref().is_some_and(|user| user.contains(|c: char| c == ':' || c.is_control())) {
            mistakes.push(Mistake::new(&["user"], "a user name that holds `:` or control characters cannot be sent"));
        }
        mistakes
    }
}

impl UpstartControl {
    pub(super) fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        if !is_a_name(&self.job) {
            mistakes
                .push(Mistake::new(&["job"], "expected the name of a job").help(
                    "write it as `initctl list` shows it, such as `web`; an instance of it goes into `instance`",
                ));
        }
        if let Some(instance) = &self.instance
            && !instance.split_once('=').is_some_and(|(name, _)| is_a_name(name))
        {
            mistakes.push(
                Mistake::new(&["instance"], format!("`{instance}` is not a variable with its value"))
                    .help("write what `initctl start` wants behind the job, such as `tty=1`"),
            );
        }
        mistakes
    }
}

impl SysvControl {
    /// The script.
    pub fn path(&self) -> PathBuf {
        PathBuf::from("/etc/init.d").join(&self.script)
    }

    pub(super) fn mistakes(&self) -> Vec<Mistake> {
        if self.script.starts_with('/') || is_a_name(&self.script) && !self.script.contains('/') {
            return Vec::new();
        }
        let help =
            "write `web` for /etc/init.d/web, or the absolute path of the script; what it is told is minder's affair";
        vec![Mistake::new(&["script"], format!("`{}` is not the name of a script", self.script)).help(help)]
    }
}

/// Of a program, without anything that could be an option or a second argument.
fn is_a_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '=')
}
