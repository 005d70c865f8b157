//! What is said of a service: the story of a message, and a line for those who look.

use super::context::Context;
use super::service::ServiceState;
use crate::model::{EventKind, Incident, Mono, Rule, SavedReading, Status, Story, show_duration};

impl ServiceState {
    /// What there is to say of this incident, or of the service if there is none.
    pub fn story_of(&self, cx: &Context, incident: Option<&Incident>) -> Story {
        let name = &self.plan.name;
        let since = incident.map(|incident| incident.opened);
        let death = since.and_then(|since| self.death_about(since));
        let story = Story {
            host: cx.setting.host.clone(),
            service: name.to_string(),
            description: self.plan.description.clone(),
            incident: incident.map(|incident| incident.id),
            severity: incident.map(|incident| incident.severity),
            status: self.status_now(cx.now.mono).to_string(),
            title: incident.map_or_else(|| name.to_string(), Incident::headline),
            since,
            ended: incident.and_then(|incident| incident.closed),
            up: self.up_again.filter(|_| incident.is_some()),
            rules: if incident.is_some() { self.story.clone() } else { Vec::new() },
            death: death.map(|process| EventKind::Died { process, how: self.last_exit }.to_string()),
            actions: if incident.is_some() { self.done.clone() } else { Vec::new() },
            ack: incident.and_then(|incident| incident.ack.clone()),
            tags: self.plan.tags.iter().chain(&self.plan.group).cloned().collect(),
            link: cx.plan.dashboard.link(name),
            ..Story::default()
        };
        match incident {
            Some(incident) if incident.closed.is_none() => self.evidence.put_into(story),
            _ => story,
        }
    }

    /// What is wrong, or what goes on, in a line.
    pub fn summary(&self, now: Mono) -> String {
        let mut parts: Vec<String> = self.needs.held().map(|why| format!("held: {why}")).into_iter().collect();
        if self.used.given_up.is_some() {
            let limit = self.plan.restart.limit;
            parts.push(format!("given up after {} restarts in {}", limit.count, show_duration(limit.within)));
        }
        for (rule, track) in self.plan.rules.iter().zip(&self.rules) {
            if track.is_firing() {
                let value = match self.death_words(rule) {
                    Some(death) => death,
                    None if track.value.is_empty() => rule.name.to_string(),
                    None => track.value.clone(),
                };
                // What is wrong now, which can be another thing than at its firing.
                parts.push(self.note_of(rule).map_or(value.clone(), |note| format!("{value} ({note})")));
            }
        }
        if self.flap.is_flapping() {
            parts.push(format!("flapping: {}", self.flap_words(now)));
        }
        parts.extend(self.incident.as_ref().and_then(super::ack::words));
        if self.is_acting() {
            parts.extend(self.work.as_ref().map(|work| format!("{} under way", work.goal)));
        } else if parts.len() == usize::from(self.needs.held().is_some()) && self.is_judged() {
            parts.extend(self.waiting_words(now));
            if self.status_now(now) == Status::Unknown && self.waiting_words(now).is_none() {
                parts.extend(self.unsure_words(now));
            }
        }
        parts.join("; ")
    }
}

/// What a notice compares, in words.
pub(super) fn reading_words(reading: &SavedReading, rule: &Rule) -> String {
    let mut dimension = crate::model::Dimension::Text;
    rule.when.each(&mut |comparison| dimension = comparison.dimension);
    match reading {
        SavedReading::Number(value) if dimension == crate::model::Dimension::Flag => value.to_string(),
        SavedReading::Number(value) => crate::model::show(*value, dimension),
        SavedReading::Flag(flag) => if *flag { "yes" } else { "no" }.to_owned(),
        SavedReading::Text(text) => format!("\"{text}\""),
        SavedReading::Absent => "none".to_owned(),
    }
}
