//! What people ask for.

use super::Engine;
use super::act::{Goal, Work};
use super::context::Context;
use super::service::ServiceState;
use crate::model::{Command, EventKind, MessageKind, Name, RequestId, Story, clip, plain};
use std::sync::Arc;

impl Engine {
    pub(super) fn asked(&mut self, request: RequestId, who: &str, command: Command) {
        let cx = &mut self.context;
        let service = match &command {
            Command::NotifyTest { notifier } => return test_notifier(cx, request, who, notifier),
            Command::Start { service }
            | Command::Stop { service }
            | Command::Restart { service }
            | Command::Pause { service }
            | Command::Resume { service } => service,
        };
        let Some(place) = self.by_name.get(service) else {
            let words = unknown("service", service, self.by_name.keys());
            return cx.reply(request, false, words);
        };
        let service = &mut self.services[*place];
        match command {
            Command::Pause { .. } => service.pause(cx, request, who),
            Command::Resume { .. } => service.resume_judging(cx, request, who),
            Command::Start { .. } => service.person_wants(cx, request, who, Goal::Start),
            Command::Stop { .. } => service.person_wants(cx, request, who, Goal::Stop),
            Command::Restart { .. } => service.person_wants(cx, request, who, Goal::Restart),
            Command::NotifyTest { .. } => {}
        }
        service.after(cx);
    }
}

impl ServiceState {
    fn pause(&mut self, cx: &mut Context, request: RequestId, who: &str) {
        let name = Arc::clone(&self.plan.name);
        if std::mem::replace(&mut self.paused, true) {
            return cx.reply(request, true, format!("{name} is paused already"));
        }
        self.dirty = true;
        cx.event(Some(&name), None, EventKind::Paused { by: who.to_owned() });
        cx.reply(request, true, format!("{name} is paused: it is not judged until it is resumed"));
    }

    fn resume_judging(&mut self, cx: &mut Context, request: RequestId, who: &str) {
        let name = Arc::clone(&self.plan.name);
        self.confirm();
        if !std::mem::take(&mut self.paused) {
            return cx.reply(request, true, format!("{name} is not paused"));
        }
        self.dirty = true;
        self.rules.iter_mut().for_each(super::rule::RuleTrack::begin_anew);
        cx.event(Some(&name), None, EventKind::Resumed { by: who.to_owned() });
        cx.reply(request, true, format!("{name} is judged again"));
    }

    /// A person has looked at it: what was lost of its state no longer holds actions back.
    fn confirm(&mut self) {
        self.unconfirmed = false;
        self.said_unconfirmed = false;
    }

    fn person_wants(&mut self, cx: &mut Context, request: RequestId, who: &str, goal: Goal) {
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
            if std::mem::take(&mut self.stopped) || self.is_wanted_down() {
                cx.event(Some(&name), None, EventKind::Intended { up: true, by: who.to_owned() });
            }
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
    let story = Story {
        host: cx.setting.host.clone(),
        title: format!("test, asked for by {who}"),
        status: "ok".to_owned(),
        since: Some(cx.now.wall),
        ..Story::default()
    };
    cx.tell(notifier, MessageKind::Test, story, None, Some(request));
}

/// There is no such thing; what was probably meant.
fn unknown<'a>(what: &str, name: &str, names: impl Iterator<Item = &'a Name>) -> String {
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
