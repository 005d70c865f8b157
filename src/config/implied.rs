//! The default rules: what a service is judged by where its own rules say nothing.

use super::rule::{conditions_of, metrics_of, unique};
use crate::model::kinds::Processes;
use crate::model::{Action, Check, Comparison, Condition, Hold, Kind, MetricId, MetricRef, Rule, Severity, Term, Test};

/// Adds the default rules, and notes which metrics are to be recorded.
pub(super) fn complete(mut rules: Vec<Rule>, checks: &mut [Check]) -> Vec<Rule> {
    let mut implied_rules = Vec::new();
    for (index, check) in checks.iter_mut().enumerate() {
        if let Some(metric) = check.kind.default_metric() {
            check.keep.insert(metric);
        }
        // What is of each process has no history: without this, such a check would have none at all.
        if matches!(*check.kind, Kind::Processes(_)) {
            check.keep.insert(MetricId(Processes::COUNT));
        }
        // A job's history is whether it failed, whoever judges that.
        if let (Kind::Heartbeat(_), Some(defaults)) = (&*check.kind, check.kind.default_rules()) {
            defaults.iter().for_each(|(id, _)| check.keep.insert(MetricId(*id)));
        }
        implied_rules.extend(implied(index, check, &rules));
    }
    for mut rule in implied_rules {
        rule.name = unique(&rule.name, |name| rules.iter().any(|rule| &*rule.name == name));
        rules.push(rule);
    }
    for metric in rules.iter().flat_map(conditions_of).flat_map(metrics_of) {
        if let Some(check) = checks.get_mut(usize::from(metric.check)) {
            check.keep.insert(metric.metric);
        }
    }
    rules
}

/// The default rules of a check, but for what these rules mention.
fn implied(index: usize, check: &Check, rules: &[Rule]) -> Vec<Rule> {
    let metrics = rules.iter().flat_map(conditions_of).flat_map(metrics_of);
    let mentioned: Vec<MetricId> =
        metrics.filter(|metric| usize::from(metric.check) == index).map(|metric| metric.metric).collect();
    let Some(defaults) = check.kind.default_rules() else {
        let default = check.kind.default_metric().filter(|_| mentioned.is_empty());
        return default.and_then(|metric| told(index, check, metric, Hold::None)).into_iter().collect();
    };
    let defaults = defaults.iter().map(|(metric, hold)| (MetricId(*metric), *hold));
    let unmentioned = defaults.filter(|(metric, _)| !mentioned.contains(metric));
    let rules = unmentioned.filter_map(|(metric, hold)| told(index, check, metric, hold));
    // A job that has failed is as bad as one that is silent: nobody else tells of it.
    rules.map(|rule| Rule { severity: Severity::Critical, ..rule }).collect()
}

/// The rule that a flag is told of, and nothing else is done.
fn told(index: usize, check: &Check, metric: MetricId, hold: Hold) -> Option<Rule> {
    let about = check.kind.metrics().get(usize::from(metric.0))?;
    let is = Condition::Is(Comparison {
        term: Term::Latest(MetricRef { check: u16::try_from(index).ok()?, metric }),
        test: Test::Truth,
        text: format!("{}.{}", check.name, about.name).into(),
        dimension: about.dimension,
    });
    let is_good = about.wrong.is_some_and(|(bad, _)| !bad);
    Some(Rule {
        name: format!("{}.{}", check.name, about.name).into(),
        when: if is_good { Condition::Not(Box::new(is)) } else { is },
        hold,
        until: None,
        severity: if about.liveness { Severity::Critical } else { Severity::Warning },
        actions: vec![Action::Notify(None)],
        liveness: about.liveness,
        implied: true,
    })
}
