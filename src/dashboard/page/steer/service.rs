//! What is done to one service: what will happen then.

use super::super::words::Here;
use super::confirm::{Confirm, Now, to_service};
use super::deed::{Deed, Verb};
use super::field::{Field, Sent};
use super::offer::is_up;
use super::quiet::{LENGTHS, REASON, lasts};
use crate::dashboard::Problem;
use crate::model::controls::{ControlSpec, StopBy};
use crate::model::{Command, Incident, Name, Service, ServiceView, Status, show_age, show_duration};
use std::collections::BTreeSet;
use std::sync::Arc;

/// So many names are listed.
const NAMED: usize = 20;

/// `a, b and c`, or the first and how many more there are.
pub(super) fn list(names: &[Name]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMED).map(|name| &**name).collect();
    match (names.len().saturating_sub(NAMED), shown.as_slice()) {
        (0, [first @ .., last]) if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        (0, _) => shown.join(""),
        (more, _) => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The services that need this one, directly or by others, in the order of the plan.
fn dependents(services: &[Arc<Service>], name: &Name) -> Vec<Name> {
    let mut found: BTreeSet<&Name> = BTreeSet::new();
    let mut latest = vec![name];
    while let Some(needed) = latest.pop() {
        for service in services {
            if service.depends_on.contains(needed) && service.name != *name && found.insert(&service.name) {
                latest.push(&service.name);
            }
        }
    }
    services.iter().map(|service| &service.name).filter(|name| found.contains(name)).cloned().collect()
}

/// By which command, or by whom, a service is started and stopped.
fn way(control: &ControlSpec, verb: Verb) -> Vec<String> {
    let order = match verb {
        Verb::Stop => "stop",
        Verb::Start => "start",
        _ => "restart",
    };
    let told = |whom: &str, what: &str| vec![format!("{whom} is told to {order} {what}.")];
    match control {
        ControlSpec::Command(c) => {
            let user = c.user.as_ref().map(|user| format!(" as {user}")).unwrap_or_default();
            let run = |run: &crate::model::controls::ControlRun| format!("“{}” is run{user}.", run.command);
            let start = c.start.as_ref().map(run).unwrap_or_else(|| "There is no command that starts it.".to_owned());
            let stop = match &c.stop {
                StopBy::Command(command) => run(command),
                StopBy::Signals(steps) => {
                    let mut words = Vec::new();
                    let mut after = String::new();
                    for (signal, wait) in steps {
                        words.push(format!("{signal}{after}"));
                        after = format!(" after {} if it is still there", show_duration(*wait));
                    }
                    format!("Its process is sent {}.", words.join(", then "))
                }
            };
            match (verb, &c.restart) {
                (Verb::Start, _) => vec![start],
                (Verb::Stop, _) => vec![stop],
                (_, Some(restart)) => vec![run(restart)],
                (_, None) => vec![stop, start],
            }
        }
        ControlSpec::Runit(_) | ControlSpec::S6(_) | ControlSpec::Daemontools(_) => {
            let directory = control.service_dir().unwrap_or_default();
            let whom = match control {
                ControlSpec::Runit(_) => "runsv",
                ControlSpec::S6(_) => "s6-supervise",
                _ => "supervise",
            };
            told(whom, &directory.display().to_string())
        }
        ControlSpec::Systemd(c) => told("systemd", &c.name()),
        ControlSpec::Supervisord(c) => told("supervisord", &c.program),
        ControlSpec::Upstart(c) => told("upstart", &c.job),
        ControlSpec::Sysv(c) => vec![format!("The init script {} is run with “{order}”.", c.script)],
    }
}

/// Its state, in a few lines.
fn state(now: &Now, service: &ServiceView) -> Vec<String> {
    let age = show_age(now.snapshot.at - service.since);
    let summary = if service.summary.is_empty() { String::new() } else { format!(": {}", service.summary) };
    let process = match (service.pid, is_up(service)) {
        (Some(pid), _) => format!("Its process is up as pid {pid}."),
        (None, Some(false)) => "Its process is down.".to_owned(),
        (None, Some(true)) => "It runs.".to_owned(),
        (None, None) => String::new(),
    };
    let control = service.control_state.as_ref().map(|state| format!("Its control says: {state}."));
    let next = service.next.as_ref().map(|next| format!("Next, by itself: {next}."));
    vec![
        format!("{} for {age}{summary}", service.status),
        process,
        control.unwrap_or_default(),
        next.unwrap_or_default(),
    ]
}

fn is_open(service: &ServiceView) -> Option<&Incident> {
    service.incident.as_ref()
}

fn heard(incident: &Incident) -> Option<String> {
    let told: Vec<Name> = incident.told.iter().cloned().collect();
    (!told.is_empty()).then(|| list(&told))
}

/// Who is told.
fn told(plan: Option<&Service>, service: &ServiceView, verb: Verb) -> Vec<String> {
    let silenced = service.silenced.as_ref().map(|why| format!("It is silenced {why}."));
    let mut lines: Vec<String> = silenced.iter().cloned().collect();
    let notify = plan.map(|plan| list(&plan.notify)).unwrap_or_default();
    let open = is_open(service).and_then(heard);
    match (verb, open) {
        (Verb::Stop, Some(open)) => {
            lines.push(format!("{open} heard of its trouble, and will hear that it is over: stopped."))
        }
        (Verb::Stop, None) => lines.push("Nobody: to stop it by hand is no incident.".to_owned()),
        (_, Some(open)) => lines.push(format!("{open} heard of its trouble, and will hear when it is well again.")),
        (_, None) if silenced.is_some() || notify.is_empty() => lines.push("Nobody.".to_owned()),
        (_, None) => lines.push(format!("Nobody, if it goes well. If its rules fire afterwards: {notify}, as always.")),
    }
    lines
}

fn begin<'a>(now: &'a Now, title: &str, sent: &mut Sent) -> Result<(&'a ServiceView, Confirm), Problem> {
    let service = now.service(&sent.need("service")?)?;
    let mut confirm = Confirm::new(format!("{title} {}", service.name), Here::Services, to_service(&service.name));
    confirm.fields.push(Field::hidden("service", &service.name));
    Ok((service, confirm))
}

/// Start, stop, restart.
pub(super) fn steer(now: &Now, verb: Verb, sent: &mut Sent) -> Result<Confirm, Problem> {
    let title = match verb {
        Verb::Start => "Start",
        Verb::Stop => "Stop",
        _ => "Restart",
    };
    let (service, mut confirm) = begin(now, title, sent)?;
    let plan = now.plan.services.iter().find(|planned| planned.name == service.name);
    let Some(control) = plan.and_then(|plan| plan.control.as_ref()) else {
        confirm.hindrance =
            Some(format!("minder cannot start or stop {}: its rules name no `control` for it.", service.name));
        return Ok(confirm);
    };
    if now.snapshot.no_act {
        confirm.hindrance = Some("minder was started with --no-act, and does nothing.".to_owned());
    }
    confirm.fact("Now", state(now, service));
    let way = way(control, verb);
    let up = is_up(service) == Some(true);
    let happens = match verb {
        Verb::Start if up && service.status != Status::Stopped => {
            vec!["It is up already: then nothing happens.".to_owned()]
        }
        Verb::Stop if is_up(service) == Some(false) => {
            vec!["It is down already, and is to stay so. If it comes up meanwhile:".to_owned()]
        }
        _ => Vec::new(),
    };
    confirm.fact(
        "What happens",
        happens.into_iter().chain(way.clone()).chain([format!("This is done by its control, {}.", control.name())]),
    );
    let needed: Vec<Name> = dependents(&now.plan.services, &service.name);
    if !needed.is_empty() && verb != Verb::Start {
        let needed = list(&needed);
        let line = match verb {
            Verb::Stop => format!("{needed}: without it until it is started again."),
            _ => format!("{needed}: without it until it is up again."),
        };
        confirm.fact("Needed by", [line]);
    }
    if verb != Verb::Stop {
        let held = service.held.as_ref().map(|why| format!("What it needs is not well: {why}."));
        confirm.fact("Needs", held);
    }
    let mut after = Vec::new();
    match verb {
        Verb::Stop => after.push(
            "minder remembers that it was stopped on purpose, also when minder itself is restarted: it is not judged, and nobody \
             but a person starts it again."
                .to_owned(),
        ),
        _ if service.status == Status::Stopped => {
            after.push("It was stopped on purpose. That is over with this, and it is judged again.".to_owned());
        }
        _ if service.status == Status::Paused => after.push("It stays paused: it is not judged.".to_owned()),
        _ => {}
    }
    if let (Some(budget), true) = (&service.budget, verb != Verb::Stop) {
        after.push(format!("Automatic restarts so far: {budget}. They are counted anew from here."));
    }
    confirm.fact("Afterwards", after);
    confirm.fact("Who is told", told(plan.map(|plan| &**plan), service, verb));
    confirm.bound = format!("{} {way:?} {needed:?} {:?}", confirm.title, service.status == Status::Stopped);
    let service = service.name.clone();
    confirm.deed = Some(Deed::Command(match verb {
        Verb::Start => Command::Start { service },
        Verb::Stop => Command::Stop { service },
        _ => Command::Restart { service },
    }));
    Ok(confirm)
}

/// Pause, resume.
pub(super) fn judge(now: &Now, verb: Verb, sent: &mut Sent) -> Result<Confirm, Problem> {
    let pause = verb == Verb::Pause;
    let (service, mut confirm) = begin(now, if pause { "Pause" } else { "Resume" }, sent)?;
    let is_paused = service.status == Status::Paused;
    if pause == is_paused {
        let words = if pause { "is paused already" } else { "is not paused" };
        confirm.hindrance = Some(format!("{} {words}.", service.name));
    }
    confirm.fact("Now", state(now, service));
    if pause {
        confirm.fact("What happens", [
            "Its checks go on and are recorded, but no rule fires and nothing is done about it: it is not restarted, and nobody is \
             told."
                .to_owned(),
        ]);
        confirm.fact("Afterwards", [
            "It stays so until it is resumed, also when minder is restarted. To hear nothing for a while only, silence it instead."
                .to_owned(),
        ]);
    } else {
        confirm.fact(
            "What happens",
            ["Its rules judge again, and begin anew: what is wrong fires, is acted on, and told."].map(str::to_owned),
        );
        let notify = now.plan.services.iter().find(|planned| planned.name == service.name);
        confirm.fact("Who is told", notify.map(|plan| list(&plan.notify)).filter(|names| !names.is_empty()));
    }
    let service = service.name.clone();
    confirm.deed = Some(Deed::Command(if pause { Command::Pause { service } } else { Command::Resume { service } }));
    Ok(confirm)
}

pub(super) fn acknowledge(now: &Now, sent: &mut Sent) -> Result<Confirm, Problem> {
    let (service, mut confirm) = begin(now, "Acknowledge the incident of", sent)?;
    confirm.fact("Now", state(now, service));
    let Some(incident) = is_open(service) else {
        confirm.hindrance = Some(format!("{} has no open incident: there is nothing to acknowledge.", service.name));
        return Ok(confirm);
    };
    confirm.fact("Incident", [format!("{}: {}", incident.id, incident.title)]);
    confirm.fact("Until now", incident.ack.as_ref().map(|ack| format!("{} looks after it: {}", ack.by, ack.reason)));
    confirm.fact("What happens", [
        "You are shown as the one who looks after it. There are no reminders and no escalation meanwhile.".to_owned(),
        "If something else of it goes wrong, that is told all the same. When it is well again, this ends by itself.".to_owned(),
    ]);
    confirm.fact(
        "Who is told",
        [match heard(incident) {
            Some(names) => format!("{names}: that you look after it."),
            None => "Nobody, since nobody has heard of the incident.".to_owned(),
        }],
    );
    let reason = Field::line("reason", "What is done about it", sent)
        .help("For those who hear of it.")
        .at_most(REASON)
        .required("Write what is done about it: whoever finds this wants to know.");
    let mut choices = vec![("", "until it is over")];
    choices.extend(LENGTHS);
    let (length, other, time) = lasts(&choices, sent);
    let command =
        Command::Acknowledge { service: service.name.clone(), by: None, reason: reason.value.clone(), lasts: time };
    confirm.fields.extend([reason, length, other]);
    confirm.bound = format!("{} {}", confirm.title, incident.id);
    confirm.deed = Some(Deed::Command(command));
    Ok(confirm)
}

pub(super) fn unacknowledge(now: &Now, sent: &mut Sent) -> Result<Confirm, Problem> {
    let (service, mut confirm) = begin(now, "Take back the acknowledgement of", sent)?;
    confirm.fact("Now", state(now, service));
    let Some((incident, ack)) = is_open(service).and_then(|incident| Some((incident, incident.ack.as_ref()?))) else {
        confirm.hindrance = Some(format!("Nobody has acknowledged an incident of {}.", service.name));
        return Ok(confirm);
    };
    confirm.fact("Incident", [format!("{}: {}", incident.id, incident.title)]);
    confirm.fact("Until now", [format!("{} looks after it: {}", ack.by, ack.reason)]);
    confirm.fact("What happens", ["Nobody looks after it any more. Reminders and escalation go on.".to_owned()]);
    let told = heard(incident).map(|names| format!("{names}: that nobody looks after it any more."));
    confirm.fact("Who is told", told);
    confirm.bound = format!("{} {} {}", confirm.title, incident.id, ack.by);
    confirm.deed = Some(Deed::Command(Command::Unacknowledge { service: service.name.clone() }));
    Ok(confirm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::controls::{CommandControl, ControlRun};

    #[test]
    fn names_in_words() {
        let names = |count: usize| (0..count).map(|i| Name::from(format!("s{i}"))).collect::<Vec<_>>();
        assert_eq!(list(&names(0)), "");
        assert_eq!(list(&names(1)), "s0");
        assert_eq!(list(&names(3)), "s0, s1 and s2");
        assert!(list(&names(25)).ends_with("s19 and 5 more"));
    }

    #[test]
    fn the_way_in_words() {
        let runs: ControlRun = serde_json::from_str(r#"["/usr/sbin/nginx", "-q"]"#).unwrap();
        let mut control: CommandControl = serde_json::from_str("{}").unwrap();
        control.start = Some(runs.clone());
        control.user = Some("www-data".to_owned());
        let all = |control: &CommandControl, verb| way(&ControlSpec::Command(control.clone()), verb).join(" ");
        assert_eq!(all(&control, Verb::Start), "“/usr/sbin/nginx -q” is run as www-data.");
        assert_eq!(all(&control, Verb::Stop), "Its process is sent TERM, then KILL after 10 s if it is still there.");
        assert_eq!(
            all(&control, Verb::Restart),
            "Its process is sent TERM, then KILL after 10 s if it is still there. “/usr/sbin/nginx -q” is run as www-data."
        );
        control.restart = Some(runs);
        assert_eq!(all(&control, Verb::Restart), "“/usr/sbin/nginx -q” is run as www-data.");
        let runit = ControlSpec::Runit(serde_json::from_str(r#"{"service": "web"}"#).unwrap());
        assert_eq!(way(&runit, Verb::Stop), ["runsv is told to stop /etc/service/web."]);
    }

    #[test]
    fn a_ring_of_needs_has_an_end() {
        let service = |name: &str, needs: &[&str]| {
            let mut service = Service::without_checks(name.into());
            service.depends_on = needs.iter().map(|name| (*name).into()).collect();
            Arc::new(service)
        };
        let services = [service("c", &["b"]), service("a", &["c"]), service("b", &["a"]), service("d", &[])];
        assert_eq!(dependents(&services, &"a".into()), ["c".into(), "b".into()]);
    }
}
