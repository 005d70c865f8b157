//! A service in words, and in the long form of the rule language with every default that applies.

use crate::model::controls::ControlSpec;
use crate::model::{
    Action, Check, Function, Hold, Kind, MetricId, NotifierPlace, Plan, Rule, Service, Severity, Term, plain,
    write_duration,
};
use serde::Serialize;
use serde_yaml::{Mapping, Value};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Explains a service; nothing if the plan has none of this name. The second half is a rule file: it reads back as the
/// same service.
pub fn service(plan: &Plan, name: &str) -> Option<String> {
    let service = plan.services.iter().find(|service| &*service.name == name)?;
    let mut out = words(service);
    out.push('\n');
    out.push_str(&long_form(plan, service));
    Some(out)
}

fn words(service: &Service) -> String {
    let mut out = format!("# {}", service.name);
    if let Some(description) = &service.description {
        let _ = write!(out, ": {}", plain(description));
    }
    out.push_str("\n#\n");
    for check in &service.checks {
        let (every, timeout) = (write_duration(check.every), write_duration(check.timeout));
        let asks = match &*check.kind {
            Kind::Control(_) => "what its control says".to_owned(),
            kind => format!("{} ({})", kind.name(), plain(&kind.about())),
        };
        let _ = writeln!(out, "# asks `{}`: {asks}, every {every}, for at most {timeout}", check.name);
    }
    if let Some(control) = &service.control {
        let _ = writeln!(out, "# is started and stopped by {}", control.name());
    }
    if !service.depends_on.is_empty() {
        let _ = writeln!(out, "# needs {}", service.depends_on.join(", "));
    }
    out.push_str("#\n");
    for rule in &service.rules {
        let _ = writeln!(out, "# {}", plain(&sentence(service, rule)));
    }
    for words in functions(service) {
        let _ = writeln!(out, "# {}", plain(&words));
    }
    out.push_str("#\n");
    match service.notify.as_slice() {
        [] => out.push_str("# nobody is told of its incidents: they are recorded and shown\n"),
        names => {
            let _ = writeln!(out, "# its incidents are told to {}", names.join(", "));
        }
    }
    if service.control.is_some() {
        let budget = &service.restart;
        let _ = writeln!(
            out,
            "# is restarted at most {} times in {}, with delays from {} to {}; then given up, and tried every {}",
            budget.limit.count,
            write_duration(budget.limit.within),
            write_duration(budget.delay.first),
            write_duration(budget.delay.longest),
            budget.retry
        );
    }
    let _ = writeln!(out, "# after a start, only rules of liveness judge for {}", write_duration(service.grace));
    let settle = write_duration(service.settle);
    let _ = writeln!(out, "# after a death, a new process may appear by itself within {settle}");
    out
}

/// What the functions in its rules mean of which the name says too little, each once.
fn functions(service: &Service) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let conditions = service
        .rules
        .iter()
        .flat_map(|rule| std::iter::once(&rule.when).chain(rule.until.as_ref().map(|(condition, _)| condition)));
    for condition in conditions {
        condition.each(&mut |comparison| {
            let Term::Window { function, metric, window } = comparison.term else { return };
            let Some(check) = service.checks.get(usize::from(metric.check)) else { return };
            let name = check.kind.metrics().get(usize::from(metric.metric.0)).map_or("", |metric| metric.name);
            let written = function.write(&format!("{}.{name}", check.name), window);
            let window = write_duration(window);
            all.extend(match function {
                Function::Avg | Function::Min | Function::Max => None,
                Function::Rate => {
                    Some(format!("`{written}`: its change over the last {window}, a second; never below 0"))
                }
                Function::Forecast(ahead) => {
                    let ahead = write_duration(ahead);
                    Some(format!("`{written}`: where a straight line through its last {window} reaches in {ahead}"))
                }
            });
        });
    }
    all
}

/// What a rule does, in a sentence.
fn sentence(service: &Service, rule: &Rule) -> String {
    let held = match rule.hold {
        Hold::None => String::new(),
        Hold::For(d) => format!(", all the while for {},", write_duration(d)),
        Hold::Count { bad, of } if bad == of => format!(", {bad} times in a row,"),
        Hold::Count { bad, of } => format!(", in {bad} of {of} samples,"),
    };
    let actions: Vec<String> = rule
        .actions
        .iter()
        .map(|action| match action {
            Action::Notify(None) => "tell".to_owned(),
            Action::Notify(Some(name)) => format!("tell {name}"),
            other => other.to_string(),
        })
        .collect();
    let until = match &rule.until {
        None => String::new(),
        Some((condition, Hold::None)) => format!("; it is over when `{condition}`"),
        Some((condition, hold)) => format!("; it is over when `{condition}` for {hold}"),
    };
    let whose = if rule.implied { " (no rule mentions this check)" } else { "" };
    let (name, severity) = (&rule.name, rule.severity);
    let each = if judges_each(service, rule) { "for each process by itself, " } else { "" };
    format!("`{name}`, {severity}: {each}if `{}`{held} then {}{until}{whose}", rule.when, actions.join(", "))
}

/// Whether one of its metrics is of each of many processes.
fn judges_each(service: &Service, rule: &Rule) -> bool {
    let mut each = false;
    rule.when.each(&mut |comparison| {
        let metric = comparison.term.metric();
        let check = service.checks.get(usize::from(metric.check));
        let metric = check.and_then(|check| check.kind.metrics().get(usize::from(metric.metric.0)));
        each |= metric.is_some_and(|metric| metric.each);
    });
    each
}

fn long_form(plan: &Plan, service: &Service) -> String {
    let mut body = Mapping::new();
    put(&mut body, "description", &service.description);
    put(&mut body, "group", &service.group);
    if !service.tags.is_empty() {
        put(&mut body, "tags", &service.tags);
    }
    if service.public {
        put(&mut body, "public", true);
    }
    if let Some(control) = &service.control {
        // Written by hand: as an enum of serde's it would become a YAML tag.
        let mut map = Mapping::new();
        match control {
            ControlSpec::Command(keys) => put(&mut map, control.name(), keys),
            ControlSpec::Runit(keys) => put(&mut map, control.name(), keys),
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
    put(&mut body, "grace", write_duration(service.grace));
    put(&mut body, "settle", write_duration(service.settle));
    put(&mut body, "restart", service.restart);
    put(&mut body, "log", &service.log);
    let mut services = Mapping::new();
    put(&mut services, &service.name, body);
    let mut file = Mapping::new();
    put(&mut file, "version", 1);
    put(&mut file, "services", services);
    // Only values of ours are written, none of which can fail.
    serde_yaml::to_string(&file).unwrap_or_default()
}

fn long_check(check: &Check) -> Mapping {
    let mut map = Mapping::new();
    put(&mut map, check.kind.name(), &*check.kind);
    put(&mut map, "name", &*check.name);
    put(&mut map, "every", write_duration(check.every));
    put(&mut map, "timeout", write_duration(check.timeout));
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
