//! The plan in effect, as people and programs may see it: in canonical words, and without anything secret.

use crate::model::{
    Action, Budget, Check, Flapping, Given, Hold, Kind, Mail, Maintenance, Name, Notifier, NotifierPlace, Plan, Rule,
    Service, Severity, plain, write_duration,
};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use url::Url;

/// All of the plan but its services, which may be thousands.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PlanOutline {
    /// The files, in the order in which they were read.
    pub files: Vec<FileOutline>,
    /// The templates that services use.
    pub templates: Vec<TemplateOutline>,
    /// Where messages can go.
    pub notifiers: Vec<NotifierOutline>,
    /// What services and checks are where they do not say so themselves.
    pub defaults: Vec<Setting>,
    /// What is said of minder itself.
    pub settings: Vec<Setting>,
    /// Silences that come again.
    pub maintenance: Vec<MaintenanceOutline>,
    /// The directories of supervisors whose entries are services.
    pub directories: Vec<String>,
    /// What people should know of it.
    pub notes: Vec<String>,
}

/// A rule file.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FileOutline {
    pub path: String,
    /// So many services are written in it.
    pub services: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TemplateOutline {
    pub name: String,
    /// So many services use it.
    pub services: usize,
}

/// A notifier, without what would let anybody send as it does.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct NotifierOutline {
    pub name: String,
    /// `email`, `webhook`, `exec`
    pub kind: &'static str,
    /// Where it sends: a mail address, a host, a program.
    pub place: String,
    /// When, and what of.
    pub words: Vec<String>,
}

/// A key, and its value in words.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Setting {
    pub key: &'static str,
    pub value: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct MaintenanceOutline {
    pub name: String,
    pub scope: String,
    pub schedule: String,
    pub lasts: String,
    pub reason: String,
}

/// A service, with every default that applies.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ServiceOutline {
    pub name: Name,
    /// Where it is written.
    pub file: Option<String>,
    pub line: Option<usize>,
    pub template: Option<Name>,
    pub description: Option<String>,
    pub control: Option<&'static str>,
    pub checks: Vec<CheckOutline>,
    pub rules: Vec<RuleOutline>,
    /// The rest of its keys.
    pub settings: Vec<Setting>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CheckOutline {
    pub name: Name,
    pub kind: &'static str,
    /// What it asks.
    pub about: String,
    /// How often; nothing of what is not asked.
    pub every: Option<String>,
    pub timeout: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RuleOutline {
    pub name: Name,
    pub condition: String,
    /// Empty if there is none.
    pub hold: String,
    /// What ends it, if that is not the same.
    pub until: Option<String>,
    pub severity: Severity,
    pub actions: Vec<String>,
    /// Nobody wrote it: it is the default of its check.
    pub implied: bool,
}

impl PlanOutline {
    pub fn of(plan: &Plan) -> PlanOutline {
        let mut services = vec![0; plan.files.len()];
        let mut templates: BTreeMap<&Name, usize> = BTreeMap::new();
        for written in plan.written.values() {
            if let Some(count) = services.get_mut(written.file) {
                *count += 1;
            }
            if let Some(template) = &written.template {
                *templates.entry(template).or_default() += 1;
            }
        }
        let files = plan.files.iter().zip(services);
        PlanOutline {
            files: files.map(|(path, services)| FileOutline { path: path.display().to_string(), services }).collect(),
            templates: templates
                .into_iter()
                .map(|(name, services)| TemplateOutline { name: name.to_string(), services })
                .collect(),
            notifiers: plan.notifiers.values().map(|notifier| notifier_outline(notifier)).collect(),
            defaults: defaults(plan),
            settings: settings(plan),
            maintenance: plan.maintenance.iter().map(|one| maintenance(one)).collect(),
            directories: plan.directories.iter().map(|path| path.display().to_string()).collect(),
            notes: plan.notes.clone(),
        }
    }
}

impl ServiceOutline {
    pub fn of(plan: &Plan, service: &Service) -> ServiceOutline {
        let written = plan.written.get(&service.name);
        let mut settings = Vec::new();
        let mut put = |key, value: String| {
            if !value.is_empty() {
                settings.push(Setting { key, value });
            }
        };
        put("group", service.group.clone().unwrap_or_default());
        put("tags", service.tags.join(", "));
        put("public", if service.public.is_some() { "yes".to_owned() } else { String::new() });
        put("depends_on", service.depends_on.join(", "));
        put("notify", service.notify.join(", "));
        put("escalate", escalate(&service.escalate));
        put("restart", if service.control.is_some() { budget(&service.restart) } else { String::new() });
        put("grace", write_duration(service.grace));
        put("settle", write_duration(service.settle));
        put("flapping", flapping(service.flapping));
        put("log", service.log.as_ref().map(ToString::to_string).unwrap_or_default());
        ServiceOutline {
            name: service.name.clone(),
            file: written.and_then(|at| plan.files.get(at.file)).map(|path| path.display().to_string()),
            line: written.map(|at| at.line),
            template: written.and_then(|at| at.template.clone()),
            description: service.description.clone(),
            control: service.control.as_ref().map(|control| control.name()),
            checks: service.checks.iter().map(check).collect(),
            rules: service.rules.iter().map(rule).collect(),
            settings,
        }
    }
}

fn check(check: &Check) -> CheckOutline {
    let is_asked = !matches!(*check.kind, Kind::Heartbeat(_));
    CheckOutline {
        name: check.name.clone(),
        kind: check.kind.name(),
        about: check.kind.about(),
        every: is_asked.then(|| write_duration(check.every)),
        timeout: is_asked.then(|| write_duration(check.timeout)),
    }
}

fn rule(rule: &Rule) -> RuleOutline {
    let until = rule.until.as_ref().map(|(condition, hold)| match hold {
        Hold::None => condition.to_string(),
        hold => format!("{condition} for {hold}"),
    });
    RuleOutline {
        name: rule.name.clone(),
        condition: rule.when.to_string(),
        hold: rule.hold.to_string(),
        until,
        severity: rule.severity,
        actions: rule.actions.iter().map(action).collect(),
        implied: rule.implied,
    }
}

fn action(action: &Action) -> String {
    match action {
        // A name with a slash was made for a place that stands inside the rule.
        Action::Notify(Some(name)) => match name.rsplit_once('/') {
            Some((_, kind)) => format!("notify by its own {kind}"),
            None => action.to_string(),
        },
        _ => action.to_string(),
    }
}

fn notifier_outline(notifier: &Notifier) -> NotifierOutline {
    let mut words = Vec::new();
    if let Some(hours) = &notifier.hours {
        words.push(format!("at {hours}"));
    }
    if notifier.severity > Severity::Info {
        words.push(format!("from {} on", notifier.severity));
    }
    if let Some(group) = &notifier.group {
        words.push(format!("together after {}, every {}", write_duration(group.wait), write_duration(group.every)));
    }
    if let Some(every) = notifier.remind {
        words.push(format!("again every {}", write_duration(every)));
    }
    words.push(format!("for up to {}", write_duration(notifier.expire)));
    NotifierOutline {
        name: notifier.name.to_string(),
        kind: notifier.place.name(),
        place: place(&notifier.place),
        words,
    }
}

fn place(place: &NotifierPlace) -> String {
    match place {
        NotifierPlace::Email(email) => joined(&email.to),
        NotifierPlace::Webhook(webhook) => {
            let host = webhook.url.as_ref().map(host);
            match (&webhook.preset, host) {
                (Some(preset), Some(host)) => format!("preset {preset}, {host}"),
                (Some(preset), None) => format!("preset {preset}"),
                (None, host) => host.unwrap_or_default(),
            }
        }
        // Its arguments may be what it signs in with.
        NotifierPlace::Exec(exec) => match &exec.command {
            Some(argv) => argv.0.first().cloned().unwrap_or_default(),
            None => "a line for the shell".to_owned(),
        },
    }
}

/// Where an address leads. Its path often is what lets one send there.
fn host(url: &Given) -> String {
    if url.is_secret() {
        return url.to_string();
    }
    let parsed = Url::parse(url.expose()).ok();
    let host = parsed.as_ref().and_then(|url| Some((url.scheme(), url.host_str()?, url.port())));
    match host {
        Some((scheme, host, Some(port))) => format!("{scheme}://{host}:{port}"),
        Some((scheme, host, None)) => format!("{scheme}://{host}"),
        None => String::new(),
    }
}

fn joined(all: &[Given]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn escalate(steps: &[crate::model::Escalation]) -> String {
    let step =
        |step: &crate::model::Escalation| format!("after {}: {}", write_duration(step.after), step.notify.join(", "));
    steps.iter().map(step).collect::<Vec<_>>().join("; ")
}

fn budget(budget: &Budget) -> String {
    format!("limit {}, delay {}, retry {}", budget.limit, budget.delay, budget.retry)
}

fn flapping(flapping: Option<Flapping>) -> String {
    match flapping {
        Some(limits) => {
            format!("start {}, stop {}, within {}", limits.start, limits.stop, write_duration(limits.within))
        }
        None => "never".to_owned(),
    }
}

fn maintenance(maintenance: &Maintenance) -> MaintenanceOutline {
    let zone = maintenance.zone.as_ref().map(|zone| format!(" ({zone})")).unwrap_or_default();
    MaintenanceOutline {
        name: maintenance.name.to_string(),
        scope: maintenance.scope.to_string(),
        schedule: format!("{}{zone}", maintenance.schedule),
        lasts: write_duration(maintenance.lasts),
        reason: maintenance.reason.clone(),
    }
}

fn filled(all: Vec<(&'static str, String)>) -> Vec<Setting> {
    let filled = all.into_iter().filter(|(_, value)| !value.is_empty());
    filled.map(|(key, value)| Setting { key, value: plain(&value).into_owned() }).collect()
}

fn defaults(plan: &Plan) -> Vec<Setting> {
    let defaults = &plan.defaults;
    filled(vec![
        ("every", write_duration(defaults.every)),
        ("timeout", write_duration(defaults.timeout)),
        ("notify", if defaults.notify.is_empty() { "nobody".to_owned() } else { defaults.notify.join(", ") }),
        ("escalate", escalate(&defaults.escalate)),
        ("grace", write_duration(defaults.grace)),
        ("settle", defaults.settle.map_or_else(|| "as the control has it".to_owned(), write_duration)),
        ("restart", budget(&defaults.restart)),
        ("flapping", flapping(defaults.flapping)),
    ])
}

fn settings(plan: &Plan) -> Vec<Setting> {
    let mail = |mail: &Mail| format!("from {} by {}", mail.from, joined(&mail.server));
    let page = &plan.dashboard;
    // Who they are is for those who may know; how many is for all.
    let many = |count: usize, of: &str| match count {
        0 => String::new(),
        1 => format!("1 {of}"),
        count => format!("{count} {of}s"),
    };
    let who: Vec<String> = [many(page.users.len(), "user"), many(page.tokens.len(), "token")].into();
    let who: Vec<String> = who.into_iter().filter(|words| !words.is_empty()).collect();
    filled(vec![
        ("mail", plan.mail.as_ref().map(mail).unwrap_or_default()),
        ("dashboard.listen", page.listen.to_string()),
        ("dashboard.url", page.url.clone().unwrap_or_default()),
        ("dashboard", who.join(", ")),
        ("history.keep", plan.history.keep.to_string()),
        ("history.max_size", plan.history.max_size.to_string()),
        ("boot_grace", write_duration(plan.boot_grace)),
        ("brake", plan.brake.to_string()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PasswordHash, Role, User};

    #[test]
    fn who_may_sign_in_is_counted_and_not_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("minder.yaml");
        std::fs::write(&file, "version: 1\nservices: { this: { checks: [{ system: {} }] } }").unwrap();
        let (mut plan, _) = crate::config::load(&file, &crate::config::Env::from_process()).unwrap();
        for name in ["alice", "bob"] {
            let password = Some(PasswordHash::new("$argon2id$v=19$m=19456,t=2,p=1$hush$hush"));
            plan.dashboard.users.insert(name.to_owned(), User { password, role: Role::Viewer });
        }
        let told = serde_json::to_string(&PlanOutline::of(&plan)).unwrap();
        assert!(told.contains("2 users"), "{told}");
        for hidden in ["argon2", "hush", "alice", "bob"] {
            assert!(!told.contains(hidden), "{hidden}: {told}");
        }
        let service = ServiceOutline::of(&plan, &plan.services[0]);
        assert_eq!((service.line, service.file.as_deref()), (Some(2), file.to_str()));
    }
}
