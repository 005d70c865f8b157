//! Silences: made for a while, and ended before their time.

use super::super::words::Here;
use super::confirm::{Confirm, Now};
use super::deed::Deed;
use super::field::{Field, Sent};
use super::service::list;
use crate::dashboard::Problem;
use crate::model::{Command, Name, Scope, ServiceView, Silence, parse_duration, show_duration};
use axum::http::StatusCode;
use std::time::Duration;

/// The longest reason, in characters; what is longer the daemon would cut.
pub(super) const REASON: usize = 300;
/// So many names of a kind a silence has.
const NAMED: usize = 100;
/// The longest that a silence lasts, and that is offered for anything.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// How long something may last: as it is sent, and in words.
pub(super) const LENGTHS: [(&str, &str); 8] = [
    ("10m", "10 minutes"),
    ("30m", "30 minutes"),
    ("1h", "an hour"),
    ("2h", "2 hours"),
    ("8h", "8 hours"),
    ("1d", "a day"),
    ("3d", "3 days"),
    ("7d", "a week"),
];

/// The fields for a length, and the length in milliseconds: of the first of `choices` if nothing was said; nothing for `""`.
pub(super) fn lasts(choices: &[(&'static str, &'static str)], sent: &mut Sent) -> (Field, Field, Option<u64>) {
    let choice = Field::choice("for", "For how long", choices, sent);
    let mut other = Field::line("other", "Or for", sent).help("Such as 90m or 2d; at most 30d.").at_most(20);
    let typed = other.value.trim();
    let text = if typed.is_empty() { choice.value.as_str() } else { typed };
    let mut time = None;
    if !text.is_empty() {
        match parse_duration(text) {
            Ok(length) if length >= Duration::from_secs(1) && length <= LONGEST => {
                time = u64::try_from(length.as_millis()).ok()
            }
            Ok(_) => other.error = Some("between 1s and 30d".to_owned()),
            Err(why) if !typed.is_empty() => other.error = Some(why),
            Err(_) => {}
        }
    }
    (choice, other, time)
}

/// The names in a text: between spaces or commas.
fn names(field: &mut Field) -> Vec<String> {
    let names: Vec<String> =
        field.value.split([' ', ',', '\n', '\t']).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if names.len() > NAMED {
        field.error = Some(format!("at most {NAMED} names; these are {}", names.len()));
        return Vec::new();
    }
    names
}

/// The first of these that nobody has.
fn stranger(named: &[String], known: impl Fn(&str) -> bool) -> Option<&String> {
    named.iter().find(|name| !known(name))
}

fn tags(service: &ServiceView) -> impl Iterator<Item = &str> {
    service.tags.iter().map(String::as_str).chain(service.group.as_deref())
}

/// The services that a silence holds of.
fn covered(now: &Now, scope: &Scope) -> Vec<Name> {
    let services = now.snapshot.services.iter();
    let has_rule = |service: &ServiceView| {
        scope.rules.is_empty() || service.rules.iter().any(|rule| scope.rules.iter().any(|name| **name == *rule.name))
    };
    services
        .filter(|service| scope.has_service(&service.name, tags(service)) && has_rule(service))
        .map(|service| service.name.clone())
        .collect()
}

pub(super) fn silence(now: &Now, sent: &mut Sent) -> Confirm {
    let mut services = Field::line("service", "Services", sent).help("Names, with spaces between them.");
    let mut of_tags = Field::line("tag", "Tags or groups", sent).help("Only services that have one of them.");
    let mut rules = Field::line("rule", "Rules", sent).help("Only these rules, by name.");
    let mut all = Field::tick("all", "Everything", sent);
    let known = &now.snapshot.services;
    let (named, tagged, ruled) = (names(&mut services), names(&mut of_tags), names(&mut rules));
    if let Some(name) = stranger(&named, |name| known.iter().any(|service| *service.name == *name)) {
        services.error = Some(format!("there is no service “{name}”"));
    }
    if let Some(name) = stranger(&tagged, |name| known.iter().any(|service| tags(service).any(|tag| tag == name))) {
        of_tags.error = Some(format!("no service has the tag “{name}”, or is in a group of this name"));
    }
    let is_rule = |name: &str| known.iter().any(|service| service.rules.iter().any(|rule| *rule.name == *name));
    if let Some(name) = stranger(&ruled, is_rule) {
        rules.error = Some(format!("there is no rule “{name}”"));
    }
    let scope = Scope { services: named.into_iter().map(Name::from).collect(), tags: tagged, rules: ruled };
    let is_empty = scope == Scope::default();
    match (is_empty, all.is_ticked()) {
        (true, false) => {
            services.error = services.error.or(Some("Name a service, a tag or a rule; or tick everything.".to_owned()))
        }
        (false, true) => all.error = Some("Everything, or what is named above: not both.".to_owned()),
        _ => {}
    }
    let covers = covered(now, &scope);
    let is_named = !is_empty || all.is_ticked();
    let what = if is_named { scope.to_string() } else { "something".to_owned() };
    let back = match scope.services.as_slice() {
        [service] if scope.tags.is_empty() => super::confirm::to_service(service),
        _ => ("/messages#silences".to_owned(), "Silences".to_owned()),
    };
    let mut confirm = Confirm::new(format!("Silence {what}"), Here::Messages, back);
    if is_named {
        let count = crate::model::services_words(covers.len());
        confirm.fact(
            "What it covers",
            [match covers.is_empty() {
                true => "No service: these names do not go together.".to_owned(),
                false => format!("{count}: {}", list(&covers)),
            }],
        );
        let covers_it = |silence: &&Silence| silence.scope == scope;
        let same = now.snapshot.silences.iter().find(covers_it);
        confirm.fact(
            "Already",
            same.map(|silence| {
                format!("{} has silenced it, until {}: {}", silence.by, now.moment.full(&silence.until), silence.reason)
            }),
        );
    }
    confirm.fact(
        "What happens",
        [
            "Nobody is told of it meanwhile. Everything is checked, acted on, recorded and shown all the same."
                .to_owned(),
            "Who has heard that something is wrong hears that it is over.".to_owned(),
        ],
    );
    confirm.fact("Afterwards", ["What is still wrong when it ends is told then.".to_owned()]);
    let reason = Field::line("reason", "Why", sent)
        .help("For whoever finds it.")
        .at_most(REASON)
        .required("Write why: whoever finds the silence wants to know.");
    let (length, other, time) = lasts(&LENGTHS, sent);
    confirm.bound = format!("{} {covers:?}", confirm.title);
    confirm.deed =
        time.map(|lasts| Deed::Command(Command::Silence { scope, reason: reason.value.clone(), lasts, holder: None }));
    confirm.fields = vec![services, reason, length, other, of_tags, rules, all];
    confirm
}

pub(super) fn unsilence(now: &Now, sent: &mut Sent) -> Result<Confirm, Problem> {
    let id = sent.number("silence")?;
    let silence = now.snapshot.silences.iter().find(|silence| silence.id == id).ok_or_else(|| {
        let detail = format!("There is no silence {id}, or no longer.");
        Problem::new(StatusCode::NOT_FOUND, "No such silence", detail)
    })?;
    let back = ("/messages#silences".to_owned(), "Silences".to_owned());
    let mut confirm = Confirm::new(format!("End the silence of {}", silence.scope), Here::Messages, back);
    confirm.fields.push(Field::hidden("silence", id));
    let left = show_duration(Duration::from_secs((silence.until - now.snapshot.at).as_secs()));
    let holder = silence.holder.map(|holder| format!("It ends with {holder}, if that is earlier."));
    confirm.fact(
        "Now",
        [
            format!("Silence {id}, by {}: {}", silence.by, silence.reason),
            format!("Until {}, for another {left}.", now.moment.full(&silence.until)),
            holder.unwrap_or_default(),
        ],
    );
    confirm.fact("What it covers", [list(&covered(now, &silence.scope))]);
    confirm.fact(
        "What happens",
        ["What is in trouble is asked again; what is still wrong is told then, and what comes later as always."
            .to_owned()],
    );
    confirm.deed = Some(Deed::Command(Command::Unsilence { silences: vec![id], holder: None, all: false }));
    Ok(confirm)
}
