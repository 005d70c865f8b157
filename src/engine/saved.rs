//! What of a service outlives minder: out into a record, and in again.

use super::beat::keys_of;
use super::budget::Used;
use super::context::Context;
use super::flap::Flap;
use super::schedule::NEVER;
use super::service::ServiceState;
use super::supervision::Restarts;
use crate::model::{
    Ack, ControlState, Incident, Name, Now, SavedPulse, SavedReading, SavedService, Status, StoryRule, Wall,
};
use std::collections::BTreeMap;
use std::sync::Arc;

impl ServiceState {
    /// All of its state, as it is now.
    pub fn saved(&self) -> SavedService {
        let lives = self.plan.checks.iter().zip(&self.checks);
        let rules = self.plan.rules.iter().zip(&self.rules);
        SavedService {
            stopped: self.stopped,
            paused: self.paused,
            unconfirmed: self.unconfirmed,
            seen_up: self.seen_up,
            identities: lives
                .filter_map(|(check, state)| Some((check.name.to_string(), state.life.as_ref()?.identity?)))
                .collect(),
            last_exit: self.last_exit,
            restarts: self.used.saved().map(|(_, wall)| wall).collect(),
            restarts_mono: self.used.saved().map(|(mono, _)| mono).collect(),
            streak: self.used.streak,
            given_up: self.used.given_up,
            acting: self.saved_act().or_else(|| self.interrupted.clone()),
            rules: rules.filter_map(|(rule, track)| Some((rule.name.to_string(), track.saved()?))).collect(),
            baselines: self.saved_baselines(),
            incident: self.incident.clone(),
            told_at: self.told_at.iter().map(|(to, at)| (Arc::clone(to), at.wall)).collect(),
            flap: self.flap.saved(),
            held: self.holds_messages(),
            untold: self.saved_tellings(),
            restarting: self.restarting,
            started_again: self.restarts.saved(),
            flapping: self.restarts.flapping,
            no_wish: self.no_wish,
            status: Some((self.status, self.status_since)),
            pulses: self.saved_pulses(),
        }
    }

    fn saved_pulses(&self) -> BTreeMap<String, SavedPulse> {
        let lives = self.plan.checks.iter().zip(&self.checks);
        lives.filter_map(|(check, state)| Some((check.name.to_string(), state.pulse.as_ref()?.saved()))).collect()
    }

    fn saved_baselines(&self) -> BTreeMap<String, SavedReading> {
        let mut all = BTreeMap::new();
        for (rule, track) in self.plan.rules.iter().zip(&self.rules) {
            for (i, baseline) in track.baselines.iter().enumerate() {
                all.extend(baseline.clone().map(|reading| (baseline_key(&rule.name, i), reading)));
            }
        }
        all
    }

    fn restore_incident(&mut self, incident: Option<Incident>, told_at: &BTreeMap<Name, Wall>, now: Now) {
        if let Some(incident) = &incident {
            self.opened = now.earlier(incident.opened).mono;
            // A clock that was set back does not make it longer than it was.
            let left = |ack: &Ack| Some((ack.until? - now.wall).min(ack.until? - ack.since));
            self.ack_ends = incident.ack.as_ref().and_then(left).map_or(NEVER, |left| now.mono + left);
            let at = |to: &Name| told_at.get(to).map_or(now, |at| now.earlier(*at));
            self.told_at = incident.told.iter().map(|to| (Arc::clone(to), at(to))).collect();
        }
        self.incident = incident;
    }

    /// Goes on where the record ends. What the machine's boot has made void is left out.
    pub fn restore(&mut self, cx: &mut Context, saved: SavedService, same_boot: bool) {
        let plan = Arc::clone(&self.plan);
        self.stopped = saved.stopped;
        self.paused = saved.paused;
        self.unconfirmed |= saved.unconfirmed;
        self.last_exit = saved.last_exit;
        let mono = if same_boot { &*saved.restarts_mono } else { &[] };
        self.used = Used::restore(&saved.restarts, mono, saved.streak, saved.given_up, cx.now);
        self.used.rest(cx.now.mono);
        self.restore_incident(saved.incident, &saved.told_at, cx.now);
        self.flap = Flap::restore(&saved.flap, cx.now);
        cx.open.extend(self.incident.iter().map(|incident| (incident.id, incident.clone())));
        if let Some((status, since)) = saved.status {
            (self.status, self.status_since) = (status, since);
            // Its operator had taken it down: so it is until its supervisor says otherwise.
            if status == Status::Stopped && !saved.stopped && self.control_check.is_some() {
                let word = "down".into();
                let wanted = Some(false);
                self.control_state = Some(ControlState { alive: true, wanted, word, ..ControlState::default() });
            }
        }
        if same_boot {
            self.restarts = Restarts::restore(&saved.started_again, saved.flapping, cx.now);
            self.seen_up = saved.seen_up;
            self.no_wish = saved.no_wish;
            self.interrupted = saved.acting;
            for (check, state) in plan.checks.iter().zip(&mut self.checks) {
                if let Some(life) = &mut state.life {
                    life.identity = saved.identities.get(&*check.name).copied();
                }
            }
        }
        let mut pulses = saved.pulses;
        for (check, state) in plan.checks.iter().zip(&mut self.checks) {
            if let (Some(keys), Some(pulse)) = (keys_of(&check.kind), &mut state.pulse)
                && let Some(saved) = pulses.remove(&*check.name)
            {
                pulse.restore(keys, saved, same_boot, cx.now);
            }
        }
        let mut left = saved.rules;
        for (rule, track) in plan.rules.iter().zip(&mut self.rules) {
            for (i, baseline) in track.baselines.iter_mut().enumerate() {
                *baseline = saved.baselines.get(&baseline_key(&rule.name, i)).cloned();
            }
            if left.get(&*rule.name).is_some_and(|saved| saved.text == track.text)
                && let Some(saved) = left.remove(&*rule.name)
            {
                track.restore(&saved);
                if saved.firing {
                    self.story.push(StoryRule {
                        rule: rule.name.to_string(),
                        condition: super::rule::condition_words(rule),
                        value: saved.value,
                        note: None,
                        since: saved.since,
                    });
                }
            }
        }
        // What has fired and is no longer in the plan, or reads differently now.
        for (name, rule) in left {
            for (since, of) in rule.firings() {
                self.resolved(cx, name.clone(), since, Some("the rule was removed or changed"), of);
            }
        }
        self.expect_the_launched(cx);
        self.restarting = saved.restarting;
        self.tell_the_saved(cx, saved.untold, saved.held);
        self.tell_the_untold(cx, saved.held);
        self.dirty = true;
    }
}

/// The first `changed(..)` of a rule goes by the rule's name; a rule rarely has another.
fn baseline_key(rule: &str, place: usize) -> String {
    if place == 0 { rule.to_owned() } else { format!("{rule}#{place}") }
}
