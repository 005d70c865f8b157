//! Incidents and messages: what people are told, whom, and when.
//!
//! A message waits up to ten seconds for the outcome of the rule's actions, and for the last lines of the log, so that it can tell it. If the incident is over by
//! then, those who have heard nothing yet get one message that tells both; those who were told of the firing are told of the
//! end at once, in the step that ends it.

use super::context::Context;
use super::flap::Flaps;
use super::hold::never_told;
use super::service::ServiceState;
use super::story::reading_words;
use crate::model::{
    Action, EventKind, Incident, MessageKind, Mono, Name, Rule, SavedReading, SavedTelling, Severity, Stage, Story,
    StoryAction, StoryRule, Subject, Why,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// So long a message waits for the outcome of actions.
pub(super) const HOLD_BACK: Duration = Duration::from_secs(10);
/// So many actions are told of, the latest.
const ACTIONS_AT_MOST: usize = 20;

/// No time to wait for.
const AT_ONCE: Mono = Mono(0);
/// Why a message is held that was held before minder was started.
const HELD_BEFORE: &str = "what it needs was not well";
const NO_ACT: &str = "minder runs with --no-act";

/// A message that waits.
#[derive(Debug)]
pub(super) struct Telling {
    pub what: What,
    pub to: BTreeSet<Name>,
    /// Not before this, if it is in the future.
    from: Mono,
    /// At the latest.
    pub until: Mono,
    /// Whose actions it waits for.
    rules: Vec<Name>,
    /// It is held, because something that the service needs is not well, or was a moment ago: what.
    pub held: Option<String>,
    /// It was held, and may come with a restart that was held, too.
    pub was_held: bool,
    /// Why it is told just now.
    remark: Option<String>,
}

impl Telling {
    fn new(what: What, to: BTreeSet<Name>, until: Mono, rules: Vec<Name>) -> Telling {
        Telling { what, to, from: AT_ONCE, until, rules, held: None, was_held: false, remark: None }
    }
}

/// What it tells.
#[derive(Debug)]
pub(super) enum What {
    /// The open incident, as it is when the message leaves.
    Incident,
    /// A story that is complete but for the outcome of actions: an incident that is over, a notice.
    Story(MessageKind, Box<Story>),
}

impl Telling {
    /// When it is to be looked at next, after what was due at `ticked`.
    pub fn wake(&self, ticked: Mono) -> Mono {
        if self.from > ticked { self.from.min(self.until) } else { self.until }
    }
}

impl ServiceState {
    /// A rule of severity warning or worse fires: it belongs to the open incident, or opens one.
    /// `of` is the process that it fires for, if it judges each by itself. Whether it has fired in it before.
    pub fn open_incident(&mut self, cx: &mut Context, rule: &Rule, of: Option<&Subject>) -> bool {
        let name = rule.name.to_string();
        let mut again = false;
        match &mut self.incident {
            Some(incident) => {
                incident.severity = incident.severity.max(rule.severity);
                again = !incident.rules.insert(name);
                cx.incident(incident);
                if self.flap.is_calm() {
                    self.flaps_to_wrong(cx);
                }
            }
            None => {
                let title = self.title_of(rule);
                let incident = Incident {
                    id: cx.next_incident(),
                    service: Arc::clone(&self.plan.name),
                    opened: cx.now.wall,
                    closed: None,
                    severity: rule.severity,
                    title: of.map_or_else(|| title.clone(), |of| format!("{title}: {of}")),
                    rules: BTreeSet::from([name]),
                    told: BTreeSet::new(),
                    ack: None,
                    escalated: 0,
                };
                cx.incident(&incident);
                let kind = EventKind::Opened { severity: rule.severity };
                cx.event(Some(&self.plan.name), Some(incident.id), kind);
                self.incident = Some(incident);
                self.opened = cx.now.mono;
                self.story.clear();
                self.done.clear();
                self.up_again = None;
                self.flaps_to_wrong(cx);
            }
        }
        self.title_death(cx);
        again
    }

    /// Arranges that a firing is told. What is of severity `info` is told only to whom its rule names, once, as a
    /// notice. If the rule judges each process by itself, its firing for further ones is news as well, from `further` on: many
    /// are told of together. `again`: it has fired in this incident before, which is no news.
    pub fn tell_firing(&mut self, cx: &mut Context, rule: &Rule, story: StoryRule, further: Option<Mono>, again: bool) {
        let mut to: BTreeSet<Name> = named(rule).collect();
        if rule.severity == Severity::Info {
            let is_its = |telling: &&mut Telling| {
                matches!(telling.what, What::Story(MessageKind::Notice, _)) && telling.rules == [Arc::clone(&rule.name)]
            };
            if further.is_some()
                && let Some(telling) = self.tellings.iter_mut().find(is_its)
            {
                if let What::Story(_, notice) = &mut telling.what {
                    notice.rules = vec![story];
                }
                return;
            }
            if !to.is_empty() {
                let mut notice = self.story_of(cx, self.incident.as_ref());
                notice.severity = Some(Severity::Info);
                notice.title = format!("{}: {}", self.plan.name, self.title_of(rule));
                notice.rules = vec![story];
                let from = further.unwrap_or(AT_ONCE);
                self.tell_later(cx, What::Story(MessageKind::Notice, Box::new(notice)), to, rule, from);
            }
            return;
        }
        self.story.retain(|s| s.rule != story.rule);
        self.story.push(story);
        let from = match (again, further) {
            (false, _) => AT_ONCE,
            (true, _) if self.flap.is_flapping() => return,
            (true, Some(further)) => further,
            (true, None) => return,
        };
        to.extend(self.plan.notify.iter().cloned());
        self.look_for_users(cx, rule);
        let waiting = self.tellings.iter_mut().find(|telling| matches!(telling.what, What::Incident));
        match waiting {
            Some(telling) => {
                telling.to.extend(to);
                telling.from = telling.from.min(from);
                telling.until = telling.until.min(from.max(cx.now.mono) + HOLD_BACK);
                if !telling.rules.contains(&rule.name) {
                    telling.rules.push(Arc::clone(&rule.name));
                }
            }
            None => self.tell_later(cx, What::Incident, to, rule, from),
        }
    }

    fn tell_later(&mut self, cx: &mut Context, what: What, to: BTreeSet<Name>, rule: &Rule, from: Mono) {
        self.look_around(cx, rule);
        let rules = vec![Arc::clone(&rule.name)];
        let until = from.max(cx.now.mono) + HOLD_BACK;
        self.tellings.push(Telling { from, ..Telling::new(what, to, until, rules) });
        self.dirty = true;
        self.ask_needs(cx);
    }

    /// A notice: recorded, told, acted upon once; nothing is wrong.
    pub fn noticed(&mut self, cx: &mut Context, r: usize, from: &SavedReading, to: &SavedReading) {
        let plan = Arc::clone(&self.plan);
        let rule = &plan.rules[r];
        let (from, to) = (reading_words(from, rule), reading_words(to, rule));
        let value = format!("{from} became {to}");
        let kind = EventKind::Noticed { rule: rule.name.to_string(), from, to };
        cx.event(Some(&plan.name), None, kind);
        self.begin_script(rule, "notice", None);
        let mut recipients: BTreeSet<Name> = named(rule).collect();
        if rule.severity != Severity::Info {
            recipients.extend(plan.notify.iter().cloned());
        }
        if recipients.is_empty() {
            return;
        }
        let mut story = self.story_of(cx, None);
        story.title = format!("{}: {}", plan.name, rule.name);
        story.rules = vec![StoryRule {
            rule: rule.name.to_string(),
            condition: rule.when.to_string(),
            value,
            note: None,
            since: cx.now.wall,
        }];
        self.tell_later(cx, What::Story(MessageKind::Notice, Box::new(story)), recipients, rule, AT_ONCE);
    }

    /// There is more to tell of the incident, and it does not wait.
    pub fn tell_at_once(&mut self, cx: &Context, remark: Option<String>) {
        let waiting = self.tellings.iter_mut().find(|telling| matches!(telling.what, What::Incident));
        match waiting {
            Some(telling) => {
                telling.until = cx.now.mono;
                telling.remark = remark.or(telling.remark.take());
            }
            None => {
                let to = self.plan.notify.iter().cloned().collect();
                let telling = Telling::new(What::Incident, to, cx.now.mono, Vec::new());
                self.tellings.push(Telling { remark, ..telling });
                self.ask_needs(cx);
            }
        }
    }

    /// After a start of minder: who should know of the open incident, and has not been told, is told; `held` if that was held.
    pub fn tell_the_untold(&mut self, cx: &Context, held: bool) {
        let Some(incident) = &self.incident else { return };
        let firing = self.plan.rules.iter().zip(&self.rules);
        let firing = firing.filter(|(rule, track)| track.is_firing() && rule.severity > Severity::Info);
        let mut to: BTreeSet<Name> = firing.flat_map(|(rule, _)| named(rule)).collect();
        to.extend(self.plan.notify.iter().cloned());
        to.retain(|name| !incident.told.contains(name));
        if !to.is_empty() {
            let until = cx.now.mono + HOLD_BACK;
            let rules = self.plan.rules.iter().map(|rule| Arc::clone(&rule.name)).collect();
            let why = held.then(|| HELD_BEFORE.to_owned());
            self.tellings.push(Telling { held: why, ..Telling::new(What::Incident, to, until, rules) });
            if held {
                self.needs.recover(cx.now.mono);
            }
        }
    }

    /// What waits to be told, and is known from nothing else.
    pub fn saved_tellings(&self) -> Vec<SavedTelling> {
        let story = |telling: &Telling| match &telling.what {
            What::Incident => None,
            What::Story(kind, story) => {
                Some(SavedTelling { kind: *kind, to: telling.to.clone(), story: story.clone() })
            }
        };
        self.tellings.iter().filter_map(story).collect()
    }

    /// After a start of minder: what has waited to be told does not wait for anything that went on then.
    pub fn tell_the_saved(&mut self, cx: &Context, saved: Vec<SavedTelling>, held: bool) {
        for SavedTelling { kind, to, story } in saved {
            let what = What::Story(kind, story);
            let held = held.then(|| HELD_BEFORE.to_owned());
            self.tellings.push(Telling { held, ..Telling::new(what, to, cx.now.mono + HOLD_BACK, Vec::new()) });
        }
    }

    /// Something was done: whoever still waits to be told hears of it.
    pub fn did(&mut self, action: StoryAction) {
        for telling in &mut self.tellings {
            if let What::Story(_, story) = &mut telling.what {
                keep_latest(&mut story.actions, action.clone());
            }
        }
        keep_latest(&mut self.done, action);
    }

    /// Closes the incident if no rule of severity warning or worse fires any more, and what was done about it has proved
    /// itself: a process that crashes again while its restart is being verified is one incident, not two. While it flaps, it
    /// stays open.
    pub fn close_incident(&mut self, cx: &mut Context) {
        if self.incident.is_none() {
            return;
        }
        let fires = self.worst_firing().is_some_and(|severity| severity > Severity::Info);
        let acting = self.is_acting() || self.interrupted.is_some();
        let over = !(fires || self.is_judged() && (acting || self.is_unsettled()));
        match self.flaps(cx, over) {
            Flaps::On => {}
            Flaps::NoMore(words) if over => self.end_incident(cx, Some(words)),
            Flaps::NoMore(words) => self.tell_at_once(cx, Some(words)),
            Flaps::No if over => self.end_incident(cx, None),
            Flaps::No => {}
        }
    }

    /// It is over, and who was told of it is told that.
    pub fn end_incident(&mut self, cx: &mut Context, remark: Option<String>) {
        let Some(mut incident) = self.incident.take() else { return };
        incident.closed = Some(cx.now.wall);
        let after = u64::try_from((cx.now.wall - incident.opened).as_millis()).unwrap_or(u64::MAX);
        cx.event(Some(&self.plan.name), Some(incident.id), EventKind::Closed { after });
        cx.incident(&incident);
        self.dirty = true;
        self.told_at.clear();
        let story = Story { remark, ..self.story_of(cx, Some(&incident)) };
        for to in &incident.told {
            cx.tell(to, MessageKind::Resolved, story.clone());
        }
        // What was held is over: nobody has heard of it, and nobody has to.
        let is_held = |telling: &mut Telling| telling.held.is_some() && matches!(telling.what, What::Incident);
        for telling in self.tellings.extract_if(.., is_held).collect::<Vec<_>>() {
            let to = telling.to.difference(&incident.told).cloned().collect();
            let what = What::Story(MessageKind::Resolved, Box::new(story.clone()));
            never_told(cx, Telling { to, what, ..telling }, Why::OverByThen);
        }
        for telling in &mut self.tellings {
            if matches!(telling.what, What::Incident) {
                telling.to.retain(|to| !incident.told.contains(to));
                // Those who wait have heard nothing yet: this tells them all.
                let story = self.evidence.put_into(story.clone());
                (telling.from, telling.until) = (AT_ONCE, telling.until.min(cx.now.mono + HOLD_BACK));
                telling.what = What::Story(MessageKind::Resolved, Box::new(story));
            }
        }
    }

    /// Tells everything that people are to hear of by now.
    pub fn tell_what_is_due(&mut self, cx: &mut Context) {
        self.expire_ack(cx);
        self.release_tellings(cx);
        self.escalate(cx);
        self.remind(cx);
    }

    /// Sends what need not wait any longer.
    pub fn release_tellings(&mut self, cx: &mut Context) {
        if self.tellings.is_empty() {
            return;
        }
        if let Some(why) = self.needs.held().map(str::to_owned) {
            return self.hold_tellings(cx, &why);
        }
        if self.needs.is_waiting() {
            return;
        }
        let now = cx.now.mono;
        // The lines of the log, or how it died.
        let reading = self.evidence.is_coming()
            || self.checks.iter().any(|c| c.life.as_ref().is_some_and(|life| life.untold.is_some()));
        let under_way = |name: &Name| self.scripts.iter().any(|script| script.rule == *name);
        let (ready, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.tellings).into_iter().partition(|telling| {
            let acts = telling.rules.iter().any(under_way) || telling.was_held && self.work.is_some();
            now >= telling.until || now >= telling.from && !reading && !acts
        });
        self.tellings = waiting;
        for telling in ready {
            match telling.what {
                What::Incident => {
                    let told = self.incident.iter().flat_map(|incident| &incident.told).cloned();
                    let to = telling.to.into_iter().chain(told).collect();
                    self.tell_of_incident(cx, to, MessageKind::Update, telling.remark);
                }
                What::Story(kind, story) => {
                    self.dirty = true;
                    if cx.setting.no_act {
                        self.hold_messages(cx, &telling.to, NO_ACT);
                    }
                    for to in &telling.to {
                        if cx.setting.no_act {
                            cx.not_told(to, kind, Story::clone(&story), [(Stage::Deliver, Why::NoAct)]);
                            continue;
                        }
                        match kind {
                            MessageKind::Resolved => cx.tell_whole(to, Story::clone(&story)),
                            kind => cx.tell(to, kind, Story::clone(&story)),
                        }
                    }
                }
            }
        }
    }

    /// Tells these of the open incident: a message of this kind, or a firing to whom it is new.
    pub fn tell_of_incident(
        &mut self,
        cx: &mut Context,
        mut to: BTreeSet<Name>,
        kind: MessageKind,
        remark: Option<String>,
    ) {
        let Some(mut incident) = self.incident.take() else { return };
        to.retain(|name| cx.plan.notifiers.contains_key(name));
        if cx.setting.no_act {
            let story = self.story_of(cx, Some(&incident));
            self.incident = Some(incident);
            self.hold_messages(cx, &to, NO_ACT);
            for to in &to {
                cx.not_told(to, MessageKind::Firing, story.clone(), [(Stage::Deliver, Why::NoAct)]);
            }
            return;
        }
        let flaps = self.flap.is_flapping();
        let flaps = flaps.then(|| format!("{} flaps: {}", self.plan.name, self.flap_words(cx.now.mono)));
        let story = Story { remark: remark.or(flaps), ..self.story_of(cx, Some(&incident)) };
        for name in to {
            let kind = if incident.told.contains(&name) { kind } else { MessageKind::Firing };
            cx.tell(&name, kind, story.clone());
            self.told_at.insert(Arc::clone(&name), cx.now);
            incident.told.insert(name);
        }
        cx.incident(&incident);
        self.incident = Some(incident);
        self.dirty = true;
    }
}

/// The notifiers that a rule names.
fn named(rule: &Rule) -> impl Iterator<Item = Name> {
    rule.actions.iter().filter_map(|action| match action {
        Action::Notify(Some(name)) => Some(Arc::clone(name)),
        _ => None,
    })
}

fn keep_latest(actions: &mut Vec<StoryAction>, action: StoryAction) {
    if actions.len() >= ACTIONS_AT_MOST {
        actions.remove(0);
    }
    actions.push(action);
}
