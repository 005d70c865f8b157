//! What people ask for.

use super::Engine;
use super::act::{Goal, Work};
use super::context::Context;
use super::service::ServiceState;
use crate::model::{Command, EventKind, Name, RequestId, clip, plain};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The longest text about an incident, in characters.
const WRITTEN: usize = 2000;

/// Notes what somebody has written about an incident, be it over or not.
fn write(cx: &mut Context, request: RequestId, who: &str, command: Command) {
    let Command::Write { incident, service, words, public } = command else { return };
    let words = clip(plain(&words).trim(), WRITTEN);
    if words.is_empty() {
        return cx.reply(request, false, "nothing was written: say something about the incident".to_owned());
    }
    // An incident of minder's own is of no service.
    cx.event(
        Some(&service).filter(|service| !service.is_empty()),
        Some(incident),
        EventKind::Written { by: who.to_owned(), words: words.to_string(), public },
    );
    let whose = if service.is_empty() { String::new() } else { format!(" of {service}") };
    cx.reply(request, true, format!("written about incident {incident}{whose}"));
}

impl Engine {
    pub(super) fn asked(&mut self, request: RequestId, who: &str, command: Command) {
        let cx = &mut self.context;
        let service = match &command {
            Command::NotifyTest { notifier } => return test_notifier(cx, request, who, notifier),
            Command::Release => return self.release(request, who),
            Command::Write { .. } => return write(cx, request, who, command),
            Command::Silence { .. } | Command::Unsilence { .. } => return self.silence(request, who, command),
            Command::Several { verb, services, group, all } => {
                return match self.chosen(services, group.as_deref(), *all) {
                    Ok(services) => self.asked_several(request, who, *verb, services),
                    Err(words) => self.context.reply(request, false, words),
                };
            }
            Command::Start { service }
            | Command::Stop { service }
            | Command::Restart { service }
            | Command::Pause { service }
            | Command::Resume { service }
            | Command::Acknowledge { service, .. }
            | Command::Unacknowledge { service } => service,
        };
        let is_ack = matches!(command, Command::Acknowledge { .. } | Command::Unacknowledge { .. });
        let of_incident = is_ack.then(|| self.with_incident(service)).flatten();
        let Some(place) = self.by_name.get(service).copied().or(of_incident) else {
            let cx = &mut self.context;
            let own = |id: u64| cx.open.get(&id).filter(|incident| incident.service.is_empty());
            if let Some(incident) = service.parse().ok().and_then(own).filter(|_| is_ack) {
                let words = format!(
                    "incident {} ({}) is of minder's own: it is told once, and nobody is reminded of it",
                    incident.id, incident.title
                );
                return cx.reply(request, false, words);
            }
            let words = unknown("service", service, self.by_name.keys());
            return cx.reply(request, false, words);
        };
        let goal = match command {
            Command::Start { .. } => Some(Goal::Start),
            Command::Stop { .. } => Some(Goal::Stop),
            Command::Restart { .. } => Some(Goal::Restart),
            _ => None,
        };
        match goal {
            Some(goal) => {
                self.overtake(service);
                if let Some(aside) = self.aside(place, goal) {
                    self.context.asides.insert(request, aside);
                }
                self.services[place].person_wants(&mut self.context, request, who, goal);
            }
            None if is_ack => {
                self.services[place].acknowledge(&mut self.context, request, who, command);
            }
            None => {
                let pause = matches!(command, Command::Pause { .. });
                let words = self.services[place].judge_or_not(&mut self.context, who, pause);
                self.context.reply(request, true, words);
            }
        }
        self.services[place].after(&mut self.context);
    }

    /// The place of the service whose open incident has this number.
    fn with_incident(&self, number: &str) -> Option<usize> {
        let number: u64 = number.parse().ok()?;
        self.services.iter().position(|service| service.incident.as_ref().is_some_and(|incident| incident.id == number))
    }

    /// The services of a request for several, or what is wrong with it. Of a group, and of all, those that can be steered.
    fn chosen(&self, services: &[Name], group: Option<&str>, all: bool) -> Result<Vec<Name>, String> {
        if let Some(name) = services.iter().find(|name| !self.by_name.contains_key(*name)) {
            return Err(unknown("service", name, self.by_name.keys()));
        }
        let mut chosen = services.to_vec();
        if let Some(group) = group {
            let groups: BTreeSet<Name> =
                self.services.iter().filter_map(|service| service.plan.group.as_deref().map(Name::from)).collect();
            if !groups.contains(group) {
                return Err(unknown("group", &Name::from(group), groups.iter()));
            }
        }
        let steered = self.services.iter().filter(|service| service.plan.control.is_some());
        let meant = steered.filter(|service| all || group.is_some() && service.plan.group.as_deref() == group);
        chosen.extend(meant.map(|service| Arc::clone(&service.plan.name)));
        if chosen.is_empty() {
            return Err("none of these services has a control".to_owned());
        }
        Ok(chosen)
    }
}

impl ServiceState {
    /// Pauses or resumes it; what came of that.
    pub fn judge_or_not(&mut self, cx: &mut Context, who: &str, pause: bool) -> String {
        let name = Arc::clone(&self.plan.name);
        if !pause {
            self.confirm();
        }
        if std::mem::replace(&mut self.paused, pause) == pause {
            return if pause { format!("{name} is paused already") } else { format!("{name} is not paused") };
        }
        self.dirty = true;
        if pause {
            cx.event(Some(&name), None, EventKind::Paused { by: who.to_owned() });
            return format!("{name} is paused: it is not judged until it is resumed");
        }
        self.rules.iter_mut().for_each(super::rule::RuleTrack::begin_anew);
        cx.event(Some(&name), None, EventKind::Resumed { by: who.to_owned() });
        format!("{name} is judged again")
    }

    /// A person has looked at it: what was lost of its state no longer holds actions back.
    fn confirm(&mut self) {
        self.dirty |= std::mem::take(&mut self.unconfirmed);
        self.said_unconfirmed = false;
    }

    pub fn person_wants(&mut self, cx: &mut Context, request: RequestId, who: &str, goal: Goal) {
        let name = Arc::clone(&self.plan.name);
        if self.plan.control.is_none() {
            return cx.reply(request, false, format!("{name} has no control; add `control:` to its service"));
        }
        if cx.setting.no_act {
            return cx.reply(request, false, "minder runs with --no-act and does nothing");
        }
        self.confirm();
        self.dirty = true;
        // What was under way when minder ended is overtaken by this.
        self.interrupted = None;
        let mut was_down = false;
        if goal == Goal::Stop {
            self.stop_on_purpose(cx, who);
        } else {
            self.want_up(cx, who);
            self.used.reset();
            self.again_after = cx.now.mono;
            was_down = self.is_wanted_down();
            // What rules have arranged for later is overtaken by this.
            if self.work.as_ref().is_some_and(|work| work.is_planned()) {
                self.work = None;
                self.release_scripts();
            }
        }
        let up = self.process().filter(|_| goal == Goal::Start && self.work.is_none() && !was_down);
        if let Some(process) = up {
            return cx.reply(request, true, format!("{name} is already up as {process}"));
        }
        let mut work = Work::new(goal, who, true, cx.now.mono, cx.now);
        work.requests.push(request);
        self.want(cx, work);
    }

    /// It is to be up: what holds it down on purpose is over.
    pub fn want_up(&mut self, cx: &mut Context, by: &str) {
        if std::mem::take(&mut self.stopped) || self.is_wanted_down() {
            cx.event(Some(&self.plan.name), None, EventKind::Intended { up: true, by: by.to_owned() });
        }
        self.dirty = true;
    }

    /// It is to be down and to stay so. Its rules judge no more.
    pub fn stop_on_purpose(&mut self, cx: &mut Context, by: &str) {
        if !std::mem::replace(&mut self.stopped, true) {
            let incident = self.incident.as_ref().map(|i| i.id);
            let kind = EventKind::Intended { up: false, by: by.to_owned() };
            cx.event(Some(&self.plan.name), incident, kind);
        }
        self.dirty = true;
        self.used.reset();
        self.resolve_all(cx, "stopped on purpose");
    }
}

fn test_notifier(cx: &mut Context, request: RequestId, who: &str, notifier: &Name) {
    if !cx.plan.notifiers.contains_key(notifier) {
        let words = unknown("notifier", notifier, cx.plan.notifiers.keys());
        return cx.reply(request, false, words);
    }
    if cx.setting.no_act {
        return cx.reply(request, false, "minder runs with --no-act and sends nothing");
    }
    cx.tell_test(notifier, who, request);
}

/// There is no such thing; what was probably meant.
pub(super) fn unknown<'a>(what: &str, name: &str, names: impl Iterator<Item = &'a Name>) -> String {
    let near = names
        .map(|known| (strsim::damerau_levenshtein(known, name), known))
        .filter(|(distance, known)| *distance <= known.len().max(name.len()) / 3)
        .min();
    let name = clip(&plain(name), 100);
    match near {
        Some((_, meant)) => format!("there is no {what} `{name}`; did you mean `{meant}`?"),
        None => format!("there is no {what} `{name}`"),
    }
}
