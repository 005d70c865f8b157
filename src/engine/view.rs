//! How everything stands, for the page and the command line.

use super::Engine;
use super::each::subject;
use super::rule::{Phase, RuleTrack};
use super::service::ServiceState;
use super::truth::{View, limit_words, term_words, words};
use crate::model::{
    Check, CheckView, Comparison, Dimension, Each, Incident, Kind, Limit, MetricRef, MetricView, Mono, Name, Now,
    OwnView, Reading, Rule, RuleState, RuleView, ServiceView, Severity, Snapshot, Status, Term, Test, Truth, ValueView,
    Wall, show, show_age, show_duration, unit_word,
};
use std::collections::BTreeMap;

impl Engine {
    /// How everything stands now.
    pub fn snapshot(&self, now: Now) -> Snapshot {
        let cx = &self.context;
        Snapshot {
            at: now.wall,
            host: cx.setting.host.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            since: cx.started.wall,
            no_act: cx.setting.no_act,
            files: cx.plan.files.iter().map(|file| file.display().to_string()).collect(),
            brake: cx.brake.view(cx.plan.brake),
            refused: self.refused.as_ref().map(|report| report.to_string()),
            notes: self.notes.iter().cloned().chain(self.late_words(now.wall)).collect(),
            own: self.own(now.wall),
            silences: cx.silences(),
            maintenance: cx.maintenance(),
            notifiers: cx.notifiers(now),
            services: self.services.iter().map(|service| self.view(service, now)).collect(),
        }
    }

    /// How many messages wait for each notifier of the plan.
    pub fn waiting(&self) -> BTreeMap<Name, usize> {
        let lanes = self.context.outbox.waiting();
        lanes.filter(|(name, _)| self.context.plan.notifiers.contains_key(*name)).map(|(n, w)| (n.clone(), w)).collect()
    }

    fn view(&self, service: &ServiceState, now: Now) -> ServiceView {
        let mut view = service.view(now);
        view.silenced = self.context.silenced(&service.plan, now);
        if view.silenced.is_some() {
            let divider = if view.summary.is_empty() { "" } else { "; " };
            view.summary = format!("silenced{divider}{}", view.summary);
        }
        view
    }
}

impl Engine {
    /// Who has not got messages, so that a mail server that is out of order is seen before one needs it.
    fn late_words(&self, now: Wall) -> Vec<String> {
        self.late(now).map(|(_, words)| words).collect()
    }

    fn late(&self, now: Wall) -> impl Iterator<Item = (Option<&Incident>, String)> {
        self.context.outbox.troubles().map(move |(to, waiting, incident, why)| {
            let messages = if waiting == 1 { "1 message waits" } else { &format!("{waiting} messages wait") };
            let words = match incident {
                None => format!("{messages} for {to}, and will be tried again: {why}"),
                Some(incident) => {
                    let age = show_age(now - incident.opened);
                    format!("messages have not reached {to} for {age}, {messages}: {why}")
                }
            };
            (incident, words)
        })
    }

    /// The open incidents of minder itself.
    fn own(&self, now: Wall) -> Vec<OwnView> {
        let cx = &self.context;
        let brake = cx.brake.view(cx.plan.brake);
        let brake = cx.brake.incident().zip(brake).map(|(incident, view)| (Some(incident), view.words));
        let view =
            |(incident, words): (Option<&Incident>, String)| Some(OwnView { incident: incident?.clone(), words });
        brake.into_iter().chain(self.late(now)).filter_map(view).collect()
    }
}

impl ServiceState {
    fn view(&self, at: Now) -> ServiceView {
        let now = at.mono;
        let plan = &self.plan;
        let checks = plan.checks.iter().enumerate().map(|(c, check)| self.check_view(c, check, at));
        let rules = plan.rules.iter().zip(&self.rules).map(|(rule, track)| self.rule_view(rule, track, now));
        let limit = &plan.restart;
        let restarts = plan.rules.iter().any(super::judge::asks_for_start);
        ServiceView {
            name: plan.name.clone(),
            description: plan.description.clone(),
            group: plan.group.clone(),
            tags: plan.tags.clone(),
            status: self.status_now(now),
            since: self.status_since,
            summary: self.summary(now),
            depends_on: plan.depends_on.clone(),
            held: self.needs.held().map(str::to_owned),
            silenced: None,
            next: self.next_words(now),
            pid: self.process().map(|process| process.pid),
            control: plan.control.as_ref().map(|control| control.name().to_owned()),
            control_state: self.control_words(at.wall),
            supervisor: self.supervisor_view(),
            last_exit: self.last_exit.map(|exit| exit.to_string()),
            // What has aged out of a spent budget changes nothing until the next try.
            budget: (restarts && plan.control.is_some() && self.used.given_up.is_none())
                .then(|| format!("{} of {}", self.used.spent(limit, now), limit.limit)),
            incident: self.incident.clone(),
            flapping: self.flap.is_flapping(),
            checks: checks.collect(),
            rules: rules.collect(),
        }
    }

    /// What comes next, if something is planned.
    fn next_words(&self, now: Mono) -> Option<String> {
        let work = self.work.as_ref()?;
        if work.waits {
            let who = if self.needs.held().is_some() { "what it needs is well" } else { "the brake lets it" };
            return Some(format!("{}, when {who}", work.goal));
        }
        let left = work.due()? - now;
        Some(format!("{} in {}", work.goal, show_duration(std::time::Duration::from_secs(left.as_secs() + 1))))
    }

    fn check_view(&self, c: usize, check: &Check, at: Now) -> CheckView {
        let now = at.mono;
        let state = &self.checks[c];
        let sample = state.latest.as_ref();
        let firing = state.rules.iter().filter(|r| self.rules[**r].is_firing()).map(|r| self.plan.rules[*r].severity);
        let status = match firing.max() {
            Some(Severity::Critical) => Status::Critical,
            Some(Severity::Warning) => Status::Warning,
            _ if matches!(*check.kind, Kind::Control(_)) => {
                let fresh = sample.is_some_and(|sample| now - sample.at.mono <= check.stale_after());
                if fresh && self.control_known { Status::Ok } else { Status::Unknown }
            }
            _ if state.is_silent(check, now) => Status::Unknown,
            _ => Status::Ok,
        };
        let mut metrics = Vec::new();
        for (i, metric) in check.kind.metrics().iter().enumerate() {
            let (Ok(id), Ok(place)) = (u8::try_from(i), u16::try_from(c)) else { continue };
            let id = crate::model::MetricId(id);
            // Of many processes there is no one value.
            if metric.each {
                continue;
            }
            let reading = self.reading(MetricRef { check: place, metric: id }, now);
            if reading == Reading::Unknown && !check.keep.contains(id) {
                continue;
            }
            metrics.push(MetricView {
                name: metric.name.to_owned(),
                text: match reading {
                    // Of a whole, people want to know both: `450 GB (90 %)`.
                    Reading::Part { value, whole } if whole > 0.0 => {
                        let percent = show(value / whole * 100.0, Dimension::Percent);
                        format!("{} ({percent})", show(value, metric.dimension))
                    }
                    _ => words(&reading, &Test::Truth, metric.dimension),
                },
                value: reading.number(),
                unit: unit_word(metric.dimension).to_owned(),
            });
        }
        let (last, main) = state.pulse.as_ref().map_or((None, None), |pulse| pulse.words());
        CheckView {
            name: check.name.clone(),
            kind: check.kind.name().to_owned(),
            about: check.kind.about(),
            every: u64::try_from(check.every.as_millis()).unwrap_or(u64::MAX),
            at: if state.pulse.is_some() { last } else { sample.map(|sample| sample.at.wall) },
            took: sample.filter(|_| state.pulse.is_none()).map(|sample| sample.took.as_secs_f64() * 1e3),
            note: match *check.kind {
                Kind::Control(_) if self.control_known => self.control_words(at.wall),
                _ => sample.and_then(|sample| sample.note.as_ref()).map(|note| note.to_string()).or(main),
            },
            status,
            metrics,
        }
    }

    fn rule_view(&self, rule: &Rule, track: &RuleTrack, now: Mono) -> RuleView {
        let (state, since) = match track.phase {
            Phase::Inactive => (RuleState::Inactive, None),
            Phase::Pending { since } => (RuleState::Pending, Some(since)),
            Phase::Firing { since } => (RuleState::Firing, Some(since)),
        };
        let mut values = Vec::new();
        let mut look = |of: Option<&Each>| {
            let view = View { service: self, now, baselines: &[], of };
            rule.when.each_turned(&mut |comparison, turned| {
                // What is said of each process is said beside its name, all else once.
                let is_its = self.metric(comparison.term.metric()).is_some_and(|metric| metric.each);
                if is_its == of.is_some() {
                    values.push(self.value_view(&view, comparison, turned));
                }
            });
        };
        if let Some(crowd) = &track.crowd {
            self.worst_of(crowd).into_iter().for_each(|each| look(Some(each)));
        }
        look(None);
        RuleView {
            name: rule.name.clone(),
            condition: rule.when.to_string(),
            hold: rule.hold.to_string(),
            actions: rule.actions.iter().map(ToString::to_string).collect(),
            severity: rule.severity,
            state,
            since,
            values,
            progress: (state == RuleState::Pending).then(|| match &track.crowd {
                Some(crowd) => crowd.share(rule.hold),
                None => track.hold.share(rule.hold),
            }),
            implied: rule.implied,
        }
    }

    /// `turned` by a `not` around it, the opposite of the comparison is bad.
    fn value_view(&self, view: &View<'_>, comparison: &Comparison, turned: bool) -> ValueView {
        let reading = view.observe(comparison);
        let (percent, limit_value) = match comparison.test {
            Test::Compare(_, Limit::PercentOfWhole(limit)) => (true, Some(limit)),
            Test::Compare(_, Limit::Number(limit)) => (false, Some(limit)),
            _ => (false, None),
        };
        let (value, whole) = match reading {
            Reading::Part { value, whole } if percent => ((whole > 0.0).then(|| value / whole * 100.0), Some(whole)),
            _ => (reading.number(), None),
        };
        let limit = match (&comparison.test, limit_words(&comparison.test, comparison.dimension)) {
            (Test::Compare(op, _), Some(limit)) if turned => format!("{} {limit}", op.opposite().symbol()),
            (Test::Compare(op, _), Some(limit)) => format!("{} {limit}", op.symbol()),
            (Test::Truth, _) if turned => "no".to_owned(),
            (_, Some(limit)) if turned => format!("not {limit}"),
            (_, limit) => limit.unwrap_or_default(),
        };
        let truth = view.is_bad(comparison);
        let check = self.plan.checks.get(usize::from(comparison.term.metric().check));
        let dimension =
            if matches!(comparison.term, Term::Changed(_)) { Dimension::Text } else { comparison.dimension };
        ValueView {
            metric: match view.of {
                Some(of) => {
                    let name = self.metric(comparison.term.metric()).map_or("", |metric| metric.name);
                    format!("{} {name}", subject(of))
                }
                None => term_words(self, &comparison.term),
            },
            check: check.map_or(String::new(), |check| check.name.to_string()),
            text: words(&reading, &comparison.test, dimension),
            value,
            limit,
            limit_value,
            whole,
            bad: match if turned { !truth } else { truth } {
                Truth::True => Some(true),
                Truth::False => Some(false),
                Truth::Unknown => None,
            },
        }
    }
}
