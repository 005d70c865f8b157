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
    pub(super) fn mistakes(&self) -> Vec<Mistake> {
        Vec::new()
    }
}

impl SupervisordControl {
    pub(super) fn mistakes(&self) -> Vec<Mistake> {
        Vec::new()
    }
}
