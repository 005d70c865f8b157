//! What the checks of a scenario measure: a metric and its values, or processes, each with its own.

use super::diagnostic::{Diagnostic, listed, nearest, quoted};
use super::notation::runs;
use super::plan::Builder;
use super::tree::{Key, Node, Value};
use crate::model::{Check, Course, Identity, Kind, Metric, MetricId, Name, Plan, Runs, Service, Subject};
use std::time::Duration;

/// The most processes of a check.
const MOST: usize = 1000;

/// A process as a scenario names it: `stress (1234)`; or as reports do: `stress (pid 1234, user nobody)`.
pub(super) fn subject(text: &str) -> Option<Subject> {
    let (name, rest) = text.trim().rsplit_once('(')?;
    let rest = rest.strip_suffix(')')?;
    let (pid, user) = rest.split_once(',').map_or((rest, None), |(pid, user)| (pid, Some(user)));
    let user = match user {
        Some(user) => user.trim().strip_prefix("user ")?.trim(),
        None => "nobody",
    };
    let pid = pid.trim();
    let pid = pid.strip_prefix("pid ").unwrap_or(pid).parse().ok().filter(|pid| *pid > 0)?;
    let name = name.trim();
    let is_name = |text: &str| !text.is_empty() && text.len() <= 100 && !text.contains(char::is_control);
    let identity = Identity { pid, start: u64::from(pid) };
    (is_name(name) && is_name(user)).then(|| Subject { identity, name: name.to_owned(), user: user.to_owned() })
}

impl<'a> Builder<'a> {
    pub(super) fn samples(
        &mut self,
        node: &'a Node,
        plan: &Plan,
        service: &Name,
        step: Option<Duration>,
    ) -> Vec<Course> {
        let mut courses = Vec::new();
        let Some((_, samples)) = node.get("samples") else { return courses };
        let Value::Map(entries) = &samples.value else {
            let message = format!("expected a map under `samples`, found {}", samples.describe());
            let help = "each entry is a metric, then its values: `process.memory: 300MB x30 600MB`";
            self.found.push(Diagnostic::new(samples.place, message).help(help));
            return courses;
        };
        for (key, values) in entries {
            if let Value::Map(entries) = &values.value {
                self.crowd(key, entries, plan, service, step, &mut courses);
                continue;
            }
            let Some((service, check, metric)) = self.metric(key, plan, service) else { continue };
            let asked = &plan.services[service].checks[check];
            courses.extend(self.course(key, values, asked, metric, (service, check), step));
        }
        courses
    }

    fn course(
        &mut self,
        key: &'a Key,
        values: &'a Node,
        asked: &Check,
        metric: MetricId,
        (service, check): (usize, usize),
        step: Option<Duration>,
    ) -> Option<Course> {
        let about: &Metric = &asked.kind.metrics()[usize::from(metric.0)];
        let text = self.text(values, "values such as `300MB x30 600MB`")?;
        match runs(text.text, about, &key.text) {
            Ok(runs) => {
                let (step, runs) = (step.unwrap_or(asked.every), Runs::new(runs));
                Some(Course { service, check, of: None, metric, step, runs })
            }
            Err(wrong) => {
                self.found.push(text.wrong(&wrong));
                None
            }
        }
    }

    /// The processes that a check finds, and what it measures of each.
    fn crowd(
        &mut self,
        key: &'a Key,
        entries: &'a [(Key, Node)],
        plan: &Plan,
        service: &Name,
        step: Option<Duration>,
        courses: &mut Vec<Course>,
    ) {
        let Some((place, service, of, name)) = self.service_of(key, plan, service) else { return };
        let Some(c) = self.check_of(key, service, of, name) else { return };
        let check = &service.checks[c];
        if !matches!(*check.kind, Kind::Processes(_)) {
            let message = format!("`{name}` looks at no processes that could be named");
            let help =
                format!("say what it reads: `{name}.{}: ..`", check.kind.metrics().first().map_or("", |m| m.name));
            self.found.push(Diagnostic::new(key.place, message).help(help));
            return;
        }
        if entries.len() > MOST {
            let message =
                format!("a check finds no more than {MOST} processes in a scenario, and this has {}", entries.len());
            self.found.push(Diagnostic::new(key.place, message));
            return;
        }
        let mut seen: Vec<&Key> = Vec::new();
        let mut pids: Vec<u32> = Vec::new();
        for (who, node) in entries {
            let Some(subject) = subject(&who.text) else {
                let message = format!("{} names no process", quoted(&who.text));
                self.found
                    .push(Diagnostic::new(who.place, message).help("write its name and its pid: `stress (1234)`"));
                continue;
            };
            if let Some(first) = pids.iter().position(|pid| *pid == subject.identity.pid) {
                let message = format!("two processes have the pid {}", subject.identity.pid);
                self.found.push(Diagnostic::new(who.place, message).also(seen[first].place, "first"));
            }
            seen.push(who);
            pids.push(subject.identity.pid);
            let Some(metrics) = self.map(node, "what is measured of a process") else { continue };
            if metrics.is_empty() {
                self.found.push(
                    Diagnostic::new(who.place, "nothing is measured of this process")
                        .help("add, for example, `each.cpu: 10%`"),
                );
            }
            for (key, values) in metrics {
                let names = || check.kind.metrics().iter().filter(|metric| metric.each).map(|metric| metric.name);
                let metric = check.kind.metric(&key.text).filter(|id| check.kind.metrics()[usize::from(id.0)].each);
                let Some(metric) = metric else {
                    let message = format!("{} is not measured of each process", quoted(&key.text));
                    self.found.push(
                        Diagnostic::new(key.place, message).help(
                            match names()
                                .find(|name| name.ends_with(&format!(".{}", key.text)))
                                .or_else(|| nearest(&key.text, names().collect::<Vec<_>>()))
                            {
                                Some(meant) => format!("did you mean `{meant}`?"),
                                None => format!("write one of {}", listed(names())),
                            },
                        ),
                    );
                    continue;
                };
                let course = self.course(key, values, check, metric, (place, c), step);
                courses.extend(course.map(|course| Course { of: Some(subject.clone()), ..course }));
            }
        }
    }

    /// Whose it is, and what is said of it: `cache/process.memory` is of `cache`.
    fn service_of<'p>(
        &mut self,
        key: &'p Key,
        plan: &'p Plan,
        service: &'p str,
    ) -> Option<(usize, &'p Service, &'p str, &'p str)> {
        let (of, name) = key.text.split_once('/').unwrap_or((service, &key.text));
        self.known_service(plan, of, key.place).map(|(place, service)| (place, service, of, name))
    }

    fn check_of(&mut self, key: &Key, service: &Service, of: &str, check: &str) -> Option<usize> {
        let checks = || service.checks.iter().filter(|check| !matches!(*check.kind, Kind::Control(_)));
        let names = || checks().map(|check| &*check.name);
        let found = service.checks.iter().position(|known| &*known.name == check);
        if found.is_none() {
            let message = format!("`{of}` has no check {}", quoted(check));
            self.found.push(Diagnostic::new(key.place, message).help(
                match nearest(check, names().collect::<Vec<_>>()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("its checks are {}", listed(names())),
                },
            ));
        }
        found
    }

    /// `memory` of the check `process`, perhaps of another service: `cache/process.memory`.
    fn metric(&mut self, key: &'a Key, plan: &Plan, service: &Name) -> Option<(usize, usize, MetricId)> {
        let (place, service, of, name) = self.service_of(key, plan, service)?;
        let report = |this: &mut Self, message: String, help: String| {
            this.found.push(Diagnostic::new(key.place, message).help(help));
            None
        };
        let (check, metric) = name.split_once('.').unwrap_or((name, ""));
        let c = self.check_of(key, service, of, check)?;
        let kind = &service.checks[c].kind;
        let metrics = || kind.metrics().iter().map(|metric| metric.name);
        let Some(id) = kind.metric(metric) else {
            let help = match nearest(metric, metrics()) {
                Some(meant) => format!("did you mean `{check}.{meant}`?"),
                None => format!("the metrics of `{}` are {}", kind.name(), listed(metrics())),
            };
            return report(self, format!("`{}` checks have no metric {}", kind.name(), quoted(metric)), help);
        };
        let about = &kind.metrics()[usize::from(id.0)];
        let lives =
            matches!(**kind, Kind::Process(_)) && (["down", "pid"].contains(&metric) || metric.starts_with("exit."));
        if lives {
            let help = "say under `happens` what becomes of the process: `50s: killed by SEGV`, `1m: appears`";
            return report(self, format!("`{metric}` follows from the life of the process"), help.to_owned());
        }
        if about.each {
            let help = format!("name the process: `{check}: {{ stress (1234): {{ {metric}: .. }} }}`");
            return report(self, format!("`{metric}` is read of each process"), help);
        }
        Some((place, c, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_named_as_in_reports_or_shorter() {
        for text in ["stress (1234)", "stress (pid 1234, user nobody)", " stress  ( 1234 , user nobody )"] {
            assert_eq!(subject(text).unwrap().to_string(), "stress (pid 1234, user nobody)", "{text}");
        }
        assert_eq!(subject("(sd-pam) (7)").unwrap().name, "(sd-pam)");
        for text in
            ["stress", "1234", "stress 1234", "(1234)", "stress (0)", "stress (-1)", "stress (99999999999)", "a (1,)"]
        {
            assert_eq!(subject(text), None, "{text}");
        }
    }
}
