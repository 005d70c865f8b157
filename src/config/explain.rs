//! A service in words, and in the long form of the rule language: every default that applies, and where each part comes from.

mod lines;
mod origins;
mod page;
mod quiet;
mod restart;
mod words;

use super::source::Sources;
use crate::model::controls::ControlSpec;
use crate::model::{
    Action, Check, Hold, Kind, MetricId, NotifierPlace, Plan, Rule, Service, Severity, Wall, write_duration,
};
use lines::Part;
use origins::Origins;
use serde::Serialize;
use serde_yaml::{Mapping, Value};
use std::time::Duration;

/// Explains a service of the plan that was read from these sources; nothing if the plan has none of this name. The second
/// half is a rule file: it reads back as the same service. The next maintenance is that after `now`.
pub fn service(plan: &Plan, sources: &Sources, name: &str, now: Wall) -> Option<String> {
    let service = plan.services.iter().find(|service| &*service.name == name)?;
    explained(plan, &mut Origins::new(sources), service, now)
}

/// Explains every service, one after the other.
pub fn all(plan: &Plan, sources: &Sources, now: Wall) -> String {
    let mut origins = Origins::new(sources);
    let all = plan.services.iter().filter_map(|service| explained(plan, &mut origins, service, now));
    all.collect::<Vec<_>>().join("\n")
}

fn explained(plan: &Plan, origins: &mut Origins<'_>, service: &Service, now: Wall) -> Option<String> {
    let written = origins.service(&service.name)?;
    let mut file = Vec::new();
    let defaults = long_defaults(service);
    if !defaults.is_empty() {
        file.push(("defaults".to_owned(), written.defaults(defaults)));
    }
    let body = written.body(service, long_form(plan, service));
    file.push(("services".to_owned(), Part::Map(vec![(service.name.to_string(), body)], None)));
    let words = words::words(plan, service, &written.begin(), written.template(), now);
    Some(format!("{words}\nversion: 1\n{}", lines::write(&Part::Map(file, None))))
}

/// Its supervisor is asked as often as `defaults` say, which has no key of the service's own.
fn long_defaults(service: &Service) -> Mapping {
    let mut map = Mapping::new();
    let without = Duration::from_secs(5);
    for check in service.checks.iter().filter(|check| matches!(*check.kind, Kind::Control(_))) {
        for (key, value) in [("every", check.every), ("timeout", check.timeout)] {
            if value != without {
                put(&mut map, key, write_duration(value));
            }
        }
    }
    map
}

/// The keys of a service, with every default.
fn long_form(plan: &Plan, service: &Service) -> Mapping {
    let mut body = Mapping::new();
    put(&mut body, "description", &service.description);
    put(&mut body, "group", &service.group);
    if !service.tags.is_empty() {
        put(&mut body, "tags", &service.tags);
    }
    if let Some(public) = &service.public {
        put(&mut body, "public", public);
    }
    if let Some(control) = &service.control {
        // Written by hand: as an enum of serde's it would become a YAML tag.
        let mut map = Mapping::new();
        match control {
            ControlSpec::Command(keys) => put(&mut map, control.name(), keys),
            ControlSpec::Runit(keys) => put(&mut map, control.name(), keys),
            ControlSpec::S6(keys) => put(&mut map, control.name(), keys),
            ControlSpec::Daemontools(keys) => put(&mut map, control.name(), keys),
            ControlSpec::Systemd(keys) => put(&mut map, control.name(), keys),
            ControlSpec::Supervisord(keys) => put(&mut map, control.name(), keys),
            ControlSpec::Upstart(keys) => put(&mut map, control.name(), keys),
            ControlSpec::Sysv(keys) => put(&mut map, control.name(), keys),
        }
        put(&mut body, "control", map);
    }
    if !service.depends_on.is_empty() {
        put(&mut body, "depends_on", service.depends_on.iter().map(|name| &**name).collect::<Vec<_>>());
    }
    let checks = service.checks.iter().filter(|check| !matches!(*check.kind, Kind::Control(_)));
    let checks: Vec<Mapping> = checks.map(long_check).collect();
    if !checks.is_empty() {
        put(&mut body, "checks", checks);
    }
    put(&mut body, "rules", service.rules.iter().map(|rule| long_rule(plan, rule)).collect::<Vec<_>>());
    put(&mut body, "notify", service.notify.iter().map(|name| &**name).collect::<Vec<_>>());
    let steps = service.escalate.iter().map(|step| {
        let mut map = Mapping::new();
        put(&mut map, "after", write_duration(step.after));
        put(&mut map, "notify", step.notify.iter().map(|name| &**name).collect::<Vec<_>>());
        map
    });
    put(&mut body, "escalate", steps.collect::<Vec<_>>());
    match service.flapping {
        None => put(&mut body, "flapping", false),
        Some(limits) => {
            let mut map = Mapping::new();
            put(&mut map, "start", limits.start);
            put(&mut map, "stop", limits.stop);
            put(&mut map, "within", write_duration(limits.within));
            put(&mut body, "flapping", map);
        }
    }
    put(&mut body, "grace", write_duration(service.grace));
    put(&mut body, "settle", write_duration(service.settle));
    put(&mut body, "restart", service.restart);
    put(&mut body, "log", &service.log);
    body
}

fn long_check(check: &Check) -> Mapping {
    let mut map = Mapping::new();
    put(&mut map, check.kind.name(), &*check.kind);
    put(&mut map, "name", &*check.name);
    if !matches!(*check.kind, Kind::Heartbeat(_)) {
        put(&mut map, "every", write_duration(check.every));
        put(&mut map, "timeout", write_duration(check.timeout));
    }
    let name = |id: MetricId| check.kind.metrics().get(usize::from(id.0)).map(|metric| metric.name);
    put(&mut map, "keep", check.recorded().iter().filter_map(name).collect::<Vec<_>>());
    map
}

fn long_rule(plan: &Plan, rule: &Rule) -> Mapping {
    let mut map = Mapping::new();
    put(&mut map, "name", &*rule.name);
    put(&mut map, "when", rule.when.to_string());
    if rule.hold != Hold::None {
        put(&mut map, "for", rule.hold.to_string());
    }
    if let Some((condition, hold)) = &rule.until {
        put(&mut map, "until", condition.to_string());
        if *hold != Hold::None {
            put(&mut map, "until_for", hold.to_string());
        }
    }
    put::<Severity>(&mut map, "severity", rule.severity);
    put(&mut map, "then", rule.actions.iter().map(|action| long_action(plan, action)).collect::<Vec<_>>());
    map
}

fn long_action(plan: &Plan, action: &Action) -> Value {
    let mut map = Mapping::new();
    match action {
        Action::Exec(exec) => put(&mut map, "exec", &**exec),
        // A name with a slash was made for a place that stands inside the rule.
        Action::Notify(Some(name)) if name.contains('/') => match plan.notifiers.get(name).map(|n| &n.place) {
            Some(NotifierPlace::Email(email)) => put(&mut map, "email", email),
            Some(NotifierPlace::Webhook(webhook)) => put(&mut map, "webhook", webhook),
            Some(NotifierPlace::Exec(_)) | None => return Value::String(action.to_string()),
        },
        other => return Value::String(other.to_string()),
    }
    Value::Mapping(map)
}

/// Adds a key with its value, unless that is nothing.
fn put<T: Serialize>(map: &mut Mapping, key: &str, value: T) {
    if let Ok(value) = serde_yaml::to_value(value)
        && !value.is_null()
    {
        map.insert(Value::String(key.to_owned()), value);
    }
}
