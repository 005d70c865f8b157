//! What those who are told want to hear, and when nobody is told.

use super::page::{Page, and};
use crate::model::{Action, MessageKind, Notifier, Plan, Service, Severity, Wall, write_duration};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What each notifier of the service wants that is not as usual.
pub(super) fn wants(page: &mut Page, plan: &Plan, service: &Service) {
    let named = service.rules.iter().flat_map(|rule| &rule.actions).filter_map(|action| match action {
        Action::Notify(Some(name)) => Some(name),
        _ => None,
    });
    let names: BTreeSet<_> = service.notify.iter().chain(named).collect();
    for notifier in names.into_iter().filter_map(|name| plan.notifiers.get(name)) {
        let wants = unusual(notifier);
        if !wants.is_empty() {
            page.line(2, &format!("{}: {}", notifier.name, wants.join("; ")));
        }
    }
}

fn unusual(notifier: &Notifier) -> Vec<String> {
    let usual = Notifier::new(Arc::clone(&notifier.name), notifier.place.clone());
    let mut wants = Vec::new();
    wants.extend(notifier.hours.as_ref().map(|hours| format!("only {hours}; what still goes on then is told then")));
    if notifier.severity != Severity::Info {
        wants.push(format!("only what is {} or worse", notifier.severity));
    }
    if notifier.kinds != usual.kinds {
        let kinds: Vec<String> = notifier.kinds.iter().copied().map(MessageKind::word).map(str::to_owned).collect();
        wants.push(format!("only messages of the kind {}", and(&kinds)));
    }
    match notifier.group {
        group if group == usual.group => {}
        None => wants.push("each message by itself".to_owned()),
        Some(group) => {
            let (wait, every) = (write_duration(group.wait), write_duration(group.every));
            wants.push(format!("what comes within {wait} in one message, and at most one in {every}"));
        }
    }
    wants.extend(notifier.remind.map(|every| format!("reminded every {}", write_duration(every))));
    if notifier.expire != usual.expire {
        wants.push(format!("nothing that is older than {}", write_duration(notifier.expire)));
    }
    wants
}

/// The maintenance during which nobody is told of it.
pub(super) fn quiet(page: &mut Page, plan: &Plan, service: &Service, now: Wall) {
    let tags = || service.tags.iter().chain(&service.group).map(String::as_str);
    for maintenance in plan.maintenance.iter().filter(|one| one.scope.has_service(&service.name, tags())) {
        let rules: Vec<String> = maintenance.scope.rules.clone();
        if !rules.is_empty() && !service.rules.iter().any(|rule| rules.iter().any(|name| **name == *rule.name)) {
            continue;
        }
        let whose = if rules.is_empty() { String::new() } else { format!(" of {}", and(&rules)) };
        let zone = maintenance.zone.as_ref().map_or(&maintenance.here, |zone| &zone.rules);
        let at = |at: Wall| at.zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string();
        let next = match maintenance.window(now) {
            Some(window) if window.begins <= now => format!("now, until {}", at(window.ends)),
            Some(window) => format!("next {} until {}", at(window.begins), at(window.ends)),
            None => "never again".to_owned(),
        };
        let why = if maintenance.reason.is_empty() { String::new() } else { format!(" ({})", maintenance.reason) };
        page.line(
            2,
            &format!(
                "nobody is told{whose} during the maintenance {}{why}: `{}`{} for {}, {next}",
                maintenance.name,
                maintenance.schedule,
                maintenance.zone.as_ref().map_or(String::new(), |zone| format!(" {zone}")),
                write_duration(maintenance.lasts),
            ),
        );
    }
}
