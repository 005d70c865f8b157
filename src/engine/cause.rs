//! What an incident is called: by the rule that fired first, and where a death is the cause of it, by how the process died.

use super::context::Context;
use super::service::ServiceState;
use crate::model::kinds::Process;
use crate::model::{Comparison, Condition, Identity, Incident, Rule, Term, Test, Wall};
use std::time::Duration;

/// A death so long before an incident is told as its cause.
const DEATH_BEFORE: Duration = Duration::from_secs(60);

impl ServiceState {
    /// Whose death an incident that began then tells of: the latest.
    pub fn death_about(&self, since: Wall) -> Option<Identity> {
        let (at, process) = self.last_death?;
        (at.wall + DEATH_BEFORE >= since).then_some(process)
    }

    /// How it died, if that is what this rule fires for.
    pub fn death_words(&self, rule: &Rule) -> Option<String> {
        let process = self.death_about(self.incident.as_ref()?.opened)?;
        let mut about = false;
        rule.when.each_turned(&mut |comparison, turned| {
            let metric = comparison.term.metric();
            let check = self.checks.get(usize::from(metric.check));
            let Some(life) = check.and_then(|check| check.life.as_ref()) else { return };
            about |= match metric.metric.0 {
                // It is gone, or another has come in its place and has yet to prove itself; it was not another check's.
                Process::DOWN if comparison.test == Test::Truth && !turned => {
                    life.gone.map_or(life.identity.is_some(), |gone| gone.identity == process)
                }
                Process::EXIT_CODE | Process::EXIT_SIGNAL | Process::EXIT_MEMORY => true,
                _ => false,
            };
        });
        about.then(|| Incident::of_death(self.last_exit))
    }

    /// What this rule fires for, for a title: its name, or words where nobody has given it a name and the metric has them.
    pub fn title_of(&self, rule: &Rule) -> String {
        self.wrong_words(rule).unwrap_or_else(|| rule.name.to_string())
    }

    fn wrong_words(&self, rule: &Rule) -> Option<String> {
        let (is, bad) = match &rule.when {
            Condition::Not(part) => (&**part, false),
            when => (when, true),
        };
        let Condition::Is(Comparison { term: Term::Latest(id), test: Test::Truth, .. }) = is else { return None };
        let check = self.plan.checks.get(usize::from(id.check))?;
        let metric = check.kind.metrics().get(usize::from(id.metric.0))?;
        let (_, words) = metric.wrong.filter(|(flag, _)| *flag == bad)?;
        let of = rule.name.strip_suffix(metric.name)?.strip_suffix('.').filter(|of| *of == &*check.name)?;
        // Of several checks of a kind, which one it is.
        Some(if of == check.kind.name() { words.to_owned() } else { format!("{of}: {words}") })
    }

    /// Gives the open incident its title, if a death is the cause of it: at the firing, and again when more is known.
    pub fn title_death(&mut self, cx: &mut Context) {
        let Some(incident) = &self.incident else { return };
        let its = self.plan.rules.iter().filter(|rule| incident.rules.contains(&*rule.name));
        let Some(title) = its.filter_map(|rule| self.death_words(rule)).next() else { return };
        if let Some(incident) = self.incident.as_mut().filter(|incident| incident.title != title) {
            incident.title = title;
            cx.incident(incident);
        }
    }
}
