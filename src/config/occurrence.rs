//! What happens in a scenario, as a person writes it: `killed by SEGV`, `starts fail`, `minder stop`.

use super::diagnostic::{listed, nearest, quoted};
use super::lexer::Wrong;
use crate::model::{
    Command, Exit, Name, Occurrence, Plan, Scope, Service, Signal, Starting, Supervising, parse_duration,
};
use std::ops::Range;
use std::sync::Arc;

/// Every form, for diagnostics.
const FORMS: [&str; 12] = [
    "killed by SEGV",
    "exits with 1",
    "ends",
    "appears",
    "starts work",
    "starts fail",
    "starts hang",
    "starts die after 2s",
    "commands fail",
    "notifier ops fails",
    "minder stop",
    "minder silence for 10m",
];
const OF_SUPERVISORS: [&str; 5] =
    ["taken down", "wanted up", "supervisor dies", "supervisor returns", "supervisor gives up"];
const ORDERS: [&str; 10] =
    ["start", "stop", "restart", "pause", "resume", "ack", "unack", "release", "silence", "unsilence"];

/// Reads what happens, and to whom; `service` if the text does not say it.
pub(super) fn occurrence(text: &str, plan: &Plan, service: &Name) -> Result<(Name, Occurrence), Wrong> {
    let mut words: Vec<Range<usize>> = Vec::new();
    for word in text.split_whitespace() {
        let start = word.as_ptr() as usize - text.as_ptr() as usize;
        words.push(start..start + word.len());
    }
    let word = |i: usize| words.get(i).map_or("", |range| &text[range.clone()]);
    let whole = 0..text.len();
    if word(0) == "minder" && word(1) == "silence" {
        let rest: Vec<&str> = words[2..].iter().map(|range| &text[range.clone()]).collect();
        return silence(&rest, plan, service).map_err(|(what, help)| Wrong::new(whole, what).help(help));
    }
    if word(0) == "minder" && (words.len() < 2 || ORDERS.contains(&word(1)) || named(plan, "minder").is_none()) {
        let service = match words.get(2) {
            None => Arc::clone(service),
            Some(range) => match named(plan, word(2)) {
                Some(service) => Arc::clone(&service.name),
                None => return Err(no_service(plan, word(2), range)),
            },
        };
        let order = match word(1) {
            "start" => Command::Start { service: Arc::clone(&service) },
            "stop" => Command::Stop { service: Arc::clone(&service) },
            "restart" => Command::Restart { service: Arc::clone(&service) },
            "pause" => Command::Pause { service: Arc::clone(&service) },
            "resume" => Command::Resume { service: Arc::clone(&service) },
            "ack" => Command::Acknowledge {
                service: Arc::clone(&service),
                by: None,
                reason: "a scenario".to_owned(),
                lasts: None,
            },
            "unack" => Command::Unacknowledge { service: Arc::clone(&service) },
            "unsilence" if words.len() == 2 => Command::Unsilence { silences: Vec::new(), holder: None, all: true },
            "unsilence" => {
                return Err(Wrong::new(whole, "all silences end at once").help("write `minder unsilence`"));
            }
            "release" if words.len() == 2 => Command::Release,
            "release" => {
                return Err(Wrong::new(whole, "the brake is one for all services").help("write `minder release`"));
            }
            other => {
                let range = words.get(1).cloned().unwrap_or(whole);
                let wrong = Wrong::new(range, format!("{} is nothing that a person asks of a service", quoted(other)));
                return Err(wrong.help(match nearest(other, ORDERS) {
                    Some(meant) => format!("did you mean `minder {meant}`?"),
                    None => format!("write `minder` and one of {}", listed(ORDERS)),
                }));
            }
        };
        return Ok((service, Occurrence::Asked(order)));
    }
    if word(0) == "notifier" && named(plan, "notifier").is_none() {
        let works = match (words.len(), word(2)) {
            (3, "works") => true,
            (3, "fails") => false,
            _ => {
                let wrong = Wrong::new(whole, format!("{} is nothing that becomes of a notifier", quoted(text)));
                return Err(wrong.help("write `notifier NAME fails` or `notifier NAME works`"));
            }
        };
        let Some((name, _)) = plan.notifiers.get_key_value(word(1)) else {
            let names = || plan.notifiers.keys().map(|name| &**name);
            let wrong = Wrong::new(words[1].clone(), format!("the rules have no notifier {}", quoted(word(1))));
            return Err(wrong.help(match nearest(word(1), names().collect::<Vec<_>>()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("the notifiers are {}", listed(names())),
            }));
        };
        return Ok((Arc::clone(service), Occurrence::Notifier { name: Arc::clone(name), works }));
    }
    let verbs = ["killed", "exits", "ends", "appears", "starts", "commands", "taken", "wanted", "supervisor"];
    let of = named(plan, word(0)).filter(|_| words.len() > 1 && !verbs.contains(&word(0)));
    let first = usize::from(of.is_some());
    let Some(service) = of.or_else(|| named(plan, service)) else { return Err(no_service(plan, service, &whole)) };
    let rest: Vec<&str> = words[first.min(words.len())..].iter().map(|range| &text[range.clone()]).collect();
    let last = words.last().cloned().unwrap_or(whole.clone());
    let occurrence = match rest[..] {
        ["killed", "by", signal] => match Signal::parse(signal) {
            Some(signal) => Occurrence::Ends(Some(Exit::Signal { number: signal.0, core: false })),
            None => {
                let wrong = Wrong::new(last, format!("there is no signal {}", quoted(signal)));
                let meant = nearest(signal, Signal::names()).map(|meant| format!("did you mean `{meant}`?"));
                return Err(wrong.help(meant.unwrap_or("write one such as `SEGV` or `KILL`".to_owned())));
            }
        },
        ["exits", "with", code] => match code.parse::<u8>() {
            Ok(code) => Occurrence::Ends(Some(Exit::Code(i32::from(code)))),
            Err(_) => return Err(Wrong::new(last, format!("{} is no code from 0 to 255", quoted(code)))),
        },
        ["ends"] => Occurrence::Ends(None),
        ["appears"] => Occurrence::Appears,
        ["starts", "work"] => Occurrence::Starts(Starting::Works),
        ["starts", "fail"] => Occurrence::Starts(Starting::Fails),
        ["starts", "hang"] => Occurrence::Starts(Starting::Hangs),
        ["starts", "die", "after", span] => {
            Occurrence::Starts(Starting::Dies(parse_duration(span).map_err(|e| Wrong::new(last, e))?))
        }
        ["commands", "work"] => Occurrence::Commands(true),
        ["commands", "fail"] => Occurrence::Commands(false),
        ["taken", "down"] => Occurrence::Operator { up: false },
        ["wanted", "up"] => Occurrence::Operator { up: true },
        ["supervisor", "dies"] => Occurrence::Supervisor(Supervising::Dies),
        ["supervisor", "returns"] => Occurrence::Supervisor(Supervising::Returns),
        ["supervisor", "gives", "up"] => Occurrence::Supervisor(Supervising::GivesUp),
        _ => {
            let forms = || FORMS.into_iter().chain(OF_SUPERVISORS);
            let said = rest.join(" ");
            let meant = nearest(&said, forms()).or_else(|| {
                let verb = *rest.first()?;
                let verb = nearest(verb, verbs).or(verbs.into_iter().find(|known| known.starts_with(verb)))?;
                forms().find(|form| form.starts_with(verb))
            });
            if of.is_none() && words.len() > 1 && verbs.contains(&word(1)) {
                return Err(no_service(plan, word(0), &words[0]));
            }
            let wrong = Wrong::new(whole, format!("{} is nothing that can happen in a scenario", quoted(text)));
            return Err(wrong.help(match meant {
                Some(meant) => format!("did you mean something such as `{meant}`?"),
                None => format!("this can happen: {}", listed(forms())),
            }));
        }
    };
    fits(&occurrence, service).map_err(|(what, help)| Wrong::new(0..text.len(), what).help(help))?;
    Ok((Arc::clone(&service.name), occurrence))
}

/// `minder silence web for 10m`, `minder silence rule leak for 10m`
fn silence(words: &[&str], plan: &Plan, service: &Name) -> Result<(Name, Occurrence), (String, String)> {
    let help = || "write, for example, `minder silence web for 10m` or `minder silence rule leak for 10m`".to_owned();
    let (scope, span) = match *words {
        ["rule", rule, "for", span] => (Scope { rules: vec![rule.to_owned()], ..Scope::default() }, span),
        ["for", span] => (Scope { services: vec![Arc::clone(service)], ..Scope::default() }, span),
        [name, "for", span] => match named(plan, name) {
            Some(service) => (Scope { services: vec![Arc::clone(&service.name)], ..Scope::default() }, span),
            None => return Err((format!("the rules have no service {}", quoted(name)), help())),
        },
        _ => return Err(("this does not say what is silenced, or for how long".to_owned(), help())),
    };
    let lasts = parse_duration(span).map_err(|e| (e, help()))?;
    let lasts = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
    let command = Command::Silence { scope, reason: "a scenario".to_owned(), lasts, holder: None };
    Ok((Arc::clone(service), Occurrence::Asked(command)))
}

fn named<'p>(plan: &'p Plan, name: &str) -> Option<&'p Arc<Service>> {
    plan.services.iter().find(|service| &*service.name == name)
}

fn no_service(plan: &Plan, name: &str, range: &Range<usize>) -> Wrong {
    let names = || plan.services.iter().map(|service| &*service.name);
    let wrong = Wrong::new(range.clone(), format!("the rules have no service {}", quoted(name)));
    wrong.help(match nearest(name, names().collect::<Vec<_>>()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("the services are {}", listed(names())),
    })
}

/// What cannot happen to this service.
fn fits(occurrence: &Occurrence, service: &Service) -> Result<(), (String, String)> {
    let name = &service.name;
    let supervised = service.control.as_ref().is_some_and(|control| control.supervises());
    let has_process = service.checks.iter().any(|check| matches!(*check.kind, crate::model::Kind::Process(_)));
    match occurrence {
        Occurrence::Ends(_) | Occurrence::Appears if !(has_process || supervised) => Err((
            format!("no check of `{name}` looks at a process"),
            "what its checks answer stands under `samples`".to_owned(),
        )),
        Occurrence::Starts(_) if service.control.is_none() => Err((
            format!("`{name}` has no control: nothing starts it"),
            "add a `control` to it in the rules".to_owned(),
        )),
        Occurrence::Operator { .. } if !supervised => Err((
            format!("`{name}` has no supervisor that an operator could speak to"),
            "an operator stops it by `minder stop`".to_owned(),
        )),
        Occurrence::Supervisor(_) if !supervised => Err((
            format!("`{name}` has no supervisor"),
            "name one in the rules, such as `control: { runit: NAME }`".to_owned(),
        )),
        _ => Ok(()),
    }
}
