//! Somebody looks after an incident: no reminders and no escalation meanwhile. What else goes
//! wrong is told all the same, be it worse or not: whoever has taken it has taken what was known then.

use super::context::Context;
use super::schedule::NEVER;
use super::service::ServiceState;
use crate::model::{Ack, Command, EventKind, Incident, MessageKind, Mono, RequestId, Wall, clip, plain, show_duration};
use std::time::Duration;

/// The longest name, and the longest reason, in characters.
const NAME: usize = 64;
const REASON: usize = 300;
/// Nobody looks after one thing for longer than this and has not forgotten it.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

impl ServiceState {
    /// Takes note of who looks after the open incident, or that nobody does any more.
    pub fn acknowledge(&mut self, cx: &mut Context, request: RequestId, who: &str, command: Command) {
        let name = &self.plan.name;
        if self.incident.is_none() {
            return cx.reply(request, false, format!("{name} has no open incident: nothing is to be acknowledged"));
        }
        let outcome = match command {
            Command::Acknowledge { by, reason, lasts, .. } => {
                ack_of(by.as_deref().unwrap_or(who), &reason, lasts, cx.now.wall).map(|ack| self.begin_ack(cx, ack))
            }
            _ => self.end_ack(cx, who),
        };
        match outcome {
            Ok(words) => cx.reply(request, true, words),
            Err(words) => cx.reply(request, false, words),
        }
    }

    fn begin_ack(&mut self, cx: &mut Context, ack: Ack) -> String {
        let Some(incident) = &mut self.incident else { return String::new() };
        let words = format!(
            "{} looks after incident {} of {}, until {}: no reminders and no escalation",
            ack.by,
            incident.id,
            self.plan.name,
            match ack.until {
                Some(until) => format!("it is over, for {} at most", show_duration(until - cx.now.wall)),
                None => "it is over".to_owned(),
            }
        );
        let kind = EventKind::Acknowledged { by: ack.by.clone(), reason: ack.reason.clone(), until: ack.until };
        self.ack_ends = ack.until.map_or(NEVER, |until| cx.now.mono + (until - ack.since));
        incident.ack = Some(ack);
        cx.event(Some(&self.plan.name), Some(incident.id), kind);
        let to = incident.told.clone();
        self.tell_of_incident(cx, to, MessageKind::Acknowledged, None);
        self.note_incident(cx);
        words
    }

    fn end_ack(&mut self, cx: &mut Context, who: &str) -> Result<String, String> {
        let name = self.plan.name.clone();
        match self.incident.as_mut().and_then(|incident| incident.ack.take()) {
            None => Err(format!("nobody has acknowledged the incident of {name}")),
            Some(ack) => {
                self.nobody_looks_after(cx, &format!("{} does not look after it any more", ack.by), who);
                Ok(format!("nobody looks after the incident of {name} any more"))
            }
        }
    }

    /// An acknowledgement ends by itself when its time is up, by whichever clock says so first: the one for people may be set
    /// back by years.
    pub fn expire_ack(&mut self, cx: &mut Context) {
        let ended = self.ack_ends <= cx.now.mono;
        let is_over = |ack: &mut Ack| ack.until.is_some_and(|until| ended || until <= cx.now.wall);
        if let Some(ack) = self.incident.as_mut().and_then(|incident| incident.ack.take_if(is_over)) {
            self.nobody_looks_after(cx, &format!("the time that {} has taken for it is up", ack.by), "its time is up");
        }
    }

    /// Those who went back to bed because somebody else was up must hear that nobody is.
    fn nobody_looks_after(&mut self, cx: &mut Context, remark: &str, by: &str) {
        let incident = self.incident.as_ref().map(|incident| incident.id);
        cx.event(Some(&self.plan.name), incident, EventKind::Unacknowledged { by: by.to_owned() });
        self.note_incident(cx);
        self.tell_at_once(cx, Some(remark.to_owned()));
    }

    fn note_incident(&mut self, cx: &mut Context) {
        self.dirty = true;
        if let Some(incident) = &self.incident {
            cx.incident(incident);
        }
    }

    /// When an acknowledgement ends by itself.
    pub fn ack_wake(&self, cx: &Context) -> Option<Mono> {
        let until = self.incident.as_ref()?.ack.as_ref()?.until?;
        Some(self.ack_ends.min(cx.now.mono + (until - cx.now.wall)))
    }
}

/// What a person has said, made fit to be shown; or what is missing.
fn ack_of(by: &str, reason: &str, lasts: Option<u64>, now: Wall) -> Result<Ack, String> {
    let words = |text: &str, most: usize| clip(plain(text).trim(), most);
    let (by, reason) = (words(by, NAME), words(reason, REASON));
    let lasts = lasts.map(Duration::from_millis);
    if by.is_empty() {
        return Err("an acknowledgement needs the name of the one who looks after it".to_owned());
    }
    if reason.is_empty() {
        return Err("an acknowledgement needs a reason: what is done about it".to_owned());
    }
    if lasts.is_some_and(|lasts| lasts.is_zero() || lasts > LONGEST) {
        return Err("an acknowledgement lasts for some time, and at most for a year".to_owned());
    }
    Ok(Ack { by, reason, since: now, until: lasts.map(|lasts| now + lasts) })
}

/// Who looks after it, in a few words.
pub(super) fn words(incident: &Incident) -> Option<String> {
    incident.ack.as_ref().map(|ack| format!("acknowledged by {}: {}", ack.by, ack.reason))
}
