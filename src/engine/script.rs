//! The actions of a rule that fires: in order, one after the other.

use super::act::{Goal, Work};
use super::context::Context;
use super::service::ServiceState;
use super::truth::{View, value_words};
use crate::model::{Act, ActId, Action, EventKind, Facts, Identity, Mono, Name, Report, Rule, StoryAction, Subject};
use std::sync::Arc;
use std::time::Duration;

/// What a lost report may take beyond the deadline that is kept outside.
const BEYOND: Duration = Duration::from_secs(10);
/// How long a signal or a snapshot may take.
const SHORT: Duration = Duration::from_secs(5);

/// The actions of one firing.
#[derive(Debug)]
pub(super) struct Script {
    pub rule: Name,
    /// `firing`, or `notice`.
    event: &'static str,
    /// The process that it is for, if its rule judges each by itself.
    of: Option<Identity>,
    next: usize,
    wait: Wait,
}

/// What it waits for.
#[derive(Debug)]
enum Wait {
    Nothing,
    /// A start, stop or restart.
    Work,
    /// An action of its own.
    Act {
        id: ActId,
        action: String,
        until: Mono,
        began: Mono,
    },
}

impl ServiceState {
    /// Begins with the actions of a rule; `notify` alone is none.
    pub fn begin_script(&mut self, rule: &Rule, event: &'static str, of: Option<Identity>) {
        // A notice may come again and again while its restart waits for what the service needs: one restart is enough.
        let waits = |script: &Script| script.rule == rule.name && matches!(script.wait, Wait::Work);
        if event == "notice" && self.scripts.iter().any(waits) {
            return;
        }
        if rule.actions.iter().any(|action| !matches!(action, Action::Notify(_))) {
            self.scripts.push(Script { rule: Arc::clone(&rule.name), event, of, next: 0, wait: Wait::Nothing });
        }
    }

    /// Carries every script on as far as it goes; whether one has moved.
    pub fn run_scripts(&mut self, cx: &mut Context) -> bool {
        let mut moved = false;
        let plan = Arc::clone(&self.plan);
        for mut script in std::mem::take(&mut self.scripts) {
            let Some(r) = plan.rules.iter().position(|rule| rule.name == script.rule) else { continue };
            if let Wait::Act { action, until, began, .. } = &script.wait
                && cx.now.mono >= *until
            {
                let (action, took) = (action.clone(), cx.now.mono - *began);
                self.script_acted(cx, action, false, "nothing was reported of it".to_owned(), took);
                script.wait = Wait::Nothing;
            }
            let mut over = false;
            while matches!(script.wait, Wait::Nothing) && !over && !cx.ending {
                moved = true;
                match plan.rules[r].actions.get(script.next) {
                    Some(action) => script.wait = self.run_action(cx, r, action, &script),
                    None => over = true,
                }
                script.next += 1;
            }
            if !over {
                self.scripts.push(script);
            }
        }
        moved
    }

    fn run_action(&mut self, cx: &mut Context, r: usize, action: &Action, script: &Script) -> Wait {
        let plan = Arc::clone(&self.plan);
        let (rule, event) = (&plan.rules[r], script.event);
        let goal = match action {
            Action::Notify(_) => return Wait::Nothing,
            Action::Restart => Some(Goal::Restart),
            Action::Start => Some(Goal::Start),
            _ => None,
        };
        if let Some(goal) = goal {
            // By the time that it is its turn, the reason may be gone. A notice never fires, and asks once.
            let due = self.rules[r].is_firing() || event == "notice";
            return if due && self.rule_wants(cx, goal, rule) { Wait::Work } else { Wait::Nothing };
        }
        let words = action.to_string();
        let named = script.of.map_or_else(|| words.clone(), |of| format!("{words} ({of})"));
        if cx.setting.no_act {
            self.held(cx, &named, "minder runs with --no-act");
            return Wait::Nothing;
        }
        // Of a process by itself: the rule may have resolved for it while the actions before this one took their time.
        let one = script.of.map(|of| self.one_of(r, of));
        let (one, aim) = match one {
            Some(None) => {
                self.held(cx, &named, "the rule no longer fires for this process");
                return Wait::Nothing;
            }
            Some(Some((who, value, aim))) => (Some((who, value)), Some(aim)),
            None => (None, self.aim()),
        };
        let (act, bound) = match action {
            Action::Stop => {
                if self.stopped {
                    return Wait::Nothing;
                }
                self.stop_on_purpose(cx, &rule.name);
                let work = Work::new(Goal::Stop, &*rule.name, false, cx.now.mono, cx.now);
                self.want(cx, work);
                return Wait::Work;
            }
            Action::Exec(spec) => {
                let facts = self.facts(cx, rule, r, event, one.as_ref());
                (Some(Act::Exec { spec: Arc::clone(spec), facts, process: aim }), spec.timeout.0)
            }
            Action::Signal(signal) => (aim.map(|process| Act::Signal { process, signal: *signal }), SHORT),
            Action::Snapshot => {
                // The log is the service's, not that of any process.
                let log = self.plan.log.clone().filter(|_| one.is_none());
                (aim.map(|aim| Act::Snapshot { identity: aim.identity, log }), SHORT)
            }
            Action::Notify(_) | Action::Restart | Action::Start => return Wait::Nothing,
        };
        let Some(act) = act else {
            self.script_acted(cx, words, false, "there is no process".to_owned(), Duration::ZERO);
            return Wait::Nothing;
        };
        let incident = self.incident.as_ref().map(|i| i.id);
        let by = match &one {
            Some((who, _)) => format!("{} of {who}", rule.name),
            None => rule.name.to_string(),
        };
        let kind = EventKind::Acting { action: words.clone(), by };
        cx.event(Some(&self.plan.name), incident, kind);
        let id = cx.act(&Arc::clone(&self.plan.name), act);
        Wait::Act { id, action: words, until: cx.now.mono + bound + BEYOND, began: cx.now.mono }
    }

    /// A start, stop or restart is over: those who waited for it go on.
    pub fn release_scripts(&mut self) {
        for script in &mut self.scripts {
            if matches!(script.wait, Wait::Work) {
                script.wait = Wait::Nothing;
            }
        }
    }

    pub fn scripts_wake(&self) -> Option<Mono> {
        let until = |script: &Script| match script.wait {
            Wait::Act { until, .. } => Some(until),
            _ => None,
        };
        self.scripts.iter().filter_map(until).min()
    }

    /// What came of an action of a script.
    pub fn script_reported(&mut self, cx: &mut Context, id: ActId, report: &Report) {
        let waits = |script: &&mut Script| matches!(&script.wait, Wait::Act { id: waited, .. } if *waited == id);
        let Some(script) = self.scripts.iter_mut().find(waits) else { return };
        let (ok, words) = match report {
            Report::Done { words } => (true, words),
            Report::Failed { why } => (false, why),
            // Only starts are launched; an `exec` reports its end.
            Report::Launched { .. } | Report::LaunchEnded { .. } => return,
        };
        let Wait::Act { action, began, .. } = std::mem::replace(&mut script.wait, Wait::Nothing) else { return };
        let took = cx.now.mono - began;
        let of = script.of;
        if ok && action == Action::Snapshot.to_string() {
            let incident = self.incident.as_ref().map(|i| i.id);
            cx.event(Some(&self.plan.name), incident, EventKind::Snapshot { text: words.to_string() });
            let words = of.map_or("kept".to_owned(), |of| format!("of {of}, kept"));
            self.did(StoryAction { action, ok: Some(true), words });
        } else {
            self.script_acted(cx, action, ok, words.to_string(), took);
        }
    }

    fn script_acted(&mut self, cx: &mut Context, action: String, ok: bool, words: String, took: Duration) {
        let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let (words, output) = match words.split_once('\n') {
            Some((words, output)) => (words.to_owned(), Some(output.to_owned())),
            None => (words, None),
        };
        let kind = EventKind::Acted { action: action.clone(), ok, words: words.clone(), took, output };
        cx.event(Some(&self.plan.name), self.incident.as_ref().map(|i| i.id), kind);
        self.did(StoryAction { action, ok: Some(ok), words });
    }

    /// What a command learns of why it is run.
    /// Their names are without the `MINDER_` that the command finds in front of them.
    fn facts(&self, cx: &Context, rule: &Rule, r: usize, event: &str, one: Option<&(Subject, String)>) -> Facts {
        let view = View { service: self, now: cx.now.mono, baselines: &[], of: None };
        let firing = one.map_or(&self.rules[r].value, |(_, value)| value);
        let value = if firing.is_empty() { value_words(&view, &rule.when, false) } else { firing.clone() };
        let mut facts = vec![
            ("SERVICE", self.plan.name.to_string()),
            ("RULE", rule.name.to_string()),
            ("CONDITION", super::rule::condition_words(rule)),
            ("VALUE", value),
            ("SEVERITY", rule.severity.to_string()),
            ("EVENT", event.to_owned()),
        ];
        if let Some((who, _)) = one {
            facts.push(("PROCESS", who.name.clone()));
        } else if self.process_check.is_none() {
            facts.extend(self.process().map(|process| ("PID", process.pid.to_string())));
        }
        facts.extend(self.incident.as_ref().map(|incident| ("INCIDENT", incident.id.to_string())));
        facts
    }
}
