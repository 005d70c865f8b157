//! What will be done about a service, in words, in the order in which it happens: for somebody who is woken by it at night.

use super::origins::conditions;
use super::page::{Page, and};
use super::quiet::{quiet, wants};
use super::restart::restarted;
use crate::model::kinds::Heartbeat;
use crate::model::{
    Action, Check, Comparison, Condition, Function, Hold, Kind, Metric, MetricRef, Plan, Rule, Service, Severity, Term,
    Test, Wall, plain, write_duration,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// All of it, each line as a comment.
pub(super) fn words(plan: &Plan, service: &Service, begin: &str, template: Option<&str>, now: Wall) -> String {
    let mut page = Page::default();
    page.line(
        0,
        &match &service.description {
            Some(description) => format!("{}: {}", service.name, plain(description)),
            None => service.name.to_string(),
        },
    );
    page.line(
        0,
        &match template {
            Some(template) => format!("written in {begin}, with the template {template}"),
            None => format!("written in {begin}"),
        },
    );
    asked(&mut page, service);
    judged(&mut page, service);
    if let Some(control) = &service.control {
        restarted(&mut page, plan, service, control);
    }
    death(&mut page, plan, service);
    told(&mut page, service);
    wants(&mut page, plan, service);
    quiet(&mut page, plan, service, now);
    meanings(&mut page, service);
    page.out
}

/// What a heartbeat is allowed.
fn allowance(keys: &Heartbeat) -> String {
    let late = keys.schedule.as_ref().map(|_| format!("at most {} late", write_duration(keys.late())));
    let longest = keys.longest.map(|longest| format!("a run takes at most {longest}"));
    late.into_iter().chain(longest).map(|words| format!(", {words}")).collect()
}

fn asked(page: &mut Page, service: &Service) {
    page.section("What is asked:");
    for check in &service.checks {
        let (every, timeout) = (write_duration(check.every), write_duration(check.timeout));
        let asks = match &*check.kind {
            Kind::Control(spec) => format!("what {} says of it", spec.name()),
            kind if kind.name() == &*check.name => kind.about(),
            kind => format!("{}, {}", kind.name(), kind.about()),
        };
        if let Kind::Heartbeat(keys) = &*check.kind {
            page.line(
                2,
                &format!(
                    "`{}`: it is not asked, it says itself that it is well, {asks}{}",
                    check.name,
                    allowance(keys)
                ),
            );
            continue;
        }
        let told = match &*check.kind {
            Kind::Process(_) => "; the kernel tells of its end at once",
            Kind::File(_) => "; the kernel tells of changes at once",
            _ => "",
        };
        page.line(2, &format!("`{}`: {asks}, every {every}, for at most {timeout}{told}", check.name));
    }
    let needs: Vec<String> = service.depends_on.iter().map(|name| name.to_string()).collect();
    if let Some(first) = needs.first() {
        let one = if needs.len() == 1 { first } else { "one of them" };
        page.line(
            0,
            &format!(
                "It needs {}: while {one} is not well, nobody is told of this one, and no rule restarts it. It is asked and \
                 judged all the same.",
                and(&needs)
            ),
        );
    }
}

fn judged(page: &mut Page, service: &Service) {
    if service.rules.is_empty() {
        page.section("Nothing of it is judged.");
        return;
    }
    page.section("What is bad, and what is done then:");
    for rule in &service.rules {
        page.line(2, &sentence(service, rule));
        page.line(4, &steps(service, rule));
    }
    page.line(0, "What could not be asked is neither good nor bad: nothing is done because of it.");
    // Of what has no process nobody sees a start.
    let starts = service.control.is_some() || process(service).is_some();
    if starts && service.grace > Duration::ZERO {
        let living: Vec<String> =
            service.rules.iter().filter(|rule| rule.liveness).map(|rule| format!("`{}`", rule.name)).collect();
        let judges = match living.as_slice() {
            [] => "no rule judges".to_owned(),
            [one] => format!("only {one} judges"),
            _ => format!("only {} judge", and(&living)),
        };
        page.line(0, &format!("For {} after a start (grace), {judges}.", write_duration(service.grace)));
    }
}

/// When a rule fires, and when it is over.
fn sentence(service: &Service, rule: &Rule) -> String {
    let bad = bad(service, &rule.when);
    let when = match rule.hold {
        _ if rule.when.is_notice() => format!("each time that {bad}; told once, without an incident"),
        Hold::None => format!("as soon as {bad}"),
        Hold::For(d) => format!("when {bad}, all the while for {}", write_duration(d)),
        Hold::Count { bad: count, of } if count == of => format!("when {bad}, {count} times in a row"),
        Hold::Count { bad: count, of } => format!("when {bad}, in {count} of the last {of} samples"),
    };
    let until = match &rule.until {
        None => String::new(),
        Some((condition, Hold::None)) => format!("; over when `{condition}`"),
        Some((condition, Hold::For(d))) => {
            format!("; over when `{condition}`, all the while for {}", write_duration(*d))
        }
        Some((condition, hold)) => format!("; over when `{condition}` for {hold}"),
    };
    let whose = match (rule.implied, judges_by_metric(service, rule)) {
        (false, _) => "",
        (true, false) => "; no rule mentions this check",
        (true, true) => "; no rule mentions this metric",
    };
    let each = if judges_each(service, rule) { "for each process by itself, " } else { "" };
    format!("`{}`, {}: {each}{when}{until}{whose}", rule.name, rule.severity)
}

/// A flag by what it means; anything else as it is written, and its metrics are explained at the end.
fn bad(service: &Service, condition: &Condition) -> String {
    match (condition, flag(service, condition)) {
        (_, Some(metric)) => format!("{} (`{condition}`)", metric.about),
        (Condition::Is(Comparison { term: Term::Changed(metric), .. }), _) => {
            format!("`{}` is another than before", name_of(service, *metric))
        }
        _ => format!("`{condition}`"),
    }
}

/// The metric of a condition that is a flag and nothing else.
fn flag(service: &Service, condition: &Condition) -> Option<&'static Metric> {
    match condition {
        Condition::Is(Comparison { term: Term::Latest(metric), test: Test::Truth, .. }) => metric_of(service, *metric),
        _ => None,
    }
}

/// What a rule does once it fires.
fn steps(service: &Service, rule: &Rule) -> String {
    let whose = if judges_each(service, rule) { "the process" } else { "its process" };
    let mut steps = Vec::new();
    let mut to: Vec<String> = match rule.severity {
        Severity::Info => Vec::new(),
        Severity::Warning | Severity::Critical => service.notify.iter().map(|name| name.to_string()).collect(),
    };
    for action in &rule.actions {
        steps.push(match action {
            Action::Notify(name) => {
                let name = name.as_deref().map(|name| match name.rsplit_once('/') {
                    // A name with a slash was made for a place that stands inside the rule.
                    Some((_, kind)) => format!("its own {kind}"),
                    None => name.to_owned(),
                });
                to.extend(name.filter(|name| !to.contains(name)));
                continue;
            }
            Action::Restart => "restart it".to_owned(),
            Action::Start => "start it, if it does not run".to_owned(),
            Action::Stop => "stop it, and leave it so until a person starts it".to_owned(),
            Action::Snapshot => format!("keep what can be seen of {whose}"),
            Action::Signal(signal) => format!("send {signal} to {whose}"),
            Action::Exec(exec) => {
                let user = exec.user.as_ref().map_or(String::new(), |user| format!(" as {user}"));
                format!("run `{exec}`{user}, for at most {}", exec.timeout)
            }
        });
    }
    let tell = if to.is_empty() { "tell nobody".to_owned() } else { format!("tell {}", and(&to)) };
    match steps.as_slice() {
        [] => format!("then {tell}"),
        [one] => format!("then {one}; {tell}"),
        _ => format!("then, one after the other, {}; {tell}", steps.join("; ")),
    }
}

/// Whether it is about a check of which each metric is judged by a default rule of its own.
fn judges_by_metric(service: &Service, rule: &Rule) -> bool {
    let mut by_metric = false;
    rule.when.each(&mut |comparison| {
        let check = service.checks.get(usize::from(comparison.term.metric().check));
        by_metric |= check.is_some_and(|check| check.kind.default_rules().is_some());
    });
    by_metric
}

/// Whether one of its metrics is of each of many processes.
fn judges_each(service: &Service, rule: &Rule) -> bool {
    let mut each = false;
    rule.when.each(&mut |comparison| {
        each |= metric_of(service, comparison.term.metric()).is_some_and(|metric| metric.each);
    });
    each
}

fn death(page: &mut Page, plan: &Plan, service: &Service) {
    if process(service).is_none() {
        return;
    }
    page.section("When its process ends:");
    let settle = write_duration(service.settle);
    match service.control.as_ref().filter(|control| control.supervises()) {
        Some(control) => page
            .line(2, &format!("{} has {settle} (settle) to start it again by itself; then it is down", control.name())),
        None => {
            page.line(
                2,
                "it is down at once if it was killed by another signal than TERM, INT, HUP or QUIT, or ended with another code \
                 than 0",
            );
            page.line(2, &format!("otherwise it has {settle} (settle) to come back by itself; then it is down"));
        }
    }
    let boot = write_duration(plan.boot_grace);
    page.line(
        2,
        &format!("if it was not up yet since the machine has booted, it is down {boot} after that at the earliest"),
    );
}

fn told(page: &mut Page, service: &Service) {
    page.section("Who is told:");
    match service.notify.as_slice() {
        [] => page.line(2, "nobody, unless a rule says so: its incidents are recorded and shown"),
        names => {
            let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
            page.line(
                2,
                &format!(
                    "{} of its incidents: when the actions of the rule are over, 10s after it fired at the latest; and of \
                     their end",
                    and(&names)
                ),
            );
        }
    }
    for step in &service.escalate {
        let names: Vec<String> = step.notify.iter().map(|name| name.to_string()).collect();
        page.line(
            2,
            &format!(
                "{} if one is not acknowledged {} after its begin (`minder ack {} --reason ..`)",
                and(&names),
                write_duration(step.after),
                service.name
            ),
        );
    }
    if let Some(limits) = &service.flapping {
        page.line(
            2,
            &format!(
                "if they begin and end again and again, one message says so, and one how it stands at its end: more than {} \
                 such changes within {}, of which old ones weigh less",
                limits.start,
                write_duration(limits.within)
            ),
        );
    }
    if let Some(log) = &service.log {
        page.line(2, &format!("messages and snapshots have the last 20 lines of {log}"));
    }
}

/// The metrics and functions of its rules of which the name says too little, each once.
fn meanings(page: &mut Page, service: &Service) {
    let mut all = BTreeSet::new();
    for condition in service.rules.iter().flat_map(conditions).filter(|condition| flag(service, condition).is_none()) {
        condition.each(&mut |comparison| {
            let at = comparison.term.metric();
            let Some(metric) = metric_of(service, at) else { return };
            let name = name_of(service, at);
            if let Term::Window { function, window, .. } = comparison.term {
                let written = function.write(&name, window);
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
            }
            all.insert(format!("`{name}`: {}", metric.about));
        });
    }
    if !all.is_empty() {
        page.section("What is what:");
    }
    for line in &all {
        page.line(2, line);
    }
}

/// The check by which its process is known, to starts and stops too.
pub(super) fn process(service: &Service) -> Option<&Check> {
    service.checks.iter().find(|check| matches!(*check.kind, Kind::Process(_)))
}

fn metric_of(service: &Service, at: MetricRef) -> Option<&'static Metric> {
    service.checks.get(usize::from(at.check))?.kind.metrics().get(usize::from(at.metric.0))
}

fn name_of(service: &Service, at: MetricRef) -> String {
    let check = service.checks.get(usize::from(at.check)).map_or("", |check| &check.name);
    format!("{check}.{}", metric_of(service, at).map_or("", |metric| metric.name))
}
