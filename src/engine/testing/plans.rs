//! Plans built from the words of the model.

use crate::model::controls::{Argv, CommandControl, ControlRun, ControlSpec, RunitControl, StopBy};
use crate::model::kinds::{File, Process, Processes};
use crate::model::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

pub fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub fn service(name: &str) -> Service {
    let notify = vec!["ops".into()];
    Service { notify, ..Service::without_checks(name.into()) }
}

pub fn plan(services: Vec<Service>) -> Arc<Plan> {
    let place = || NotifierPlace::Webhook(WebhookSpec::new(Given::literal("http://hook/")));
    let notifier = |name: &str| (name.into(), Arc::new(Notifier::new(name.into(), place())));
    Arc::new(Plan {
        maintenance: Vec::new(),
        files: Vec::new(),
        services: services.into_iter().map(Arc::new).collect(),
        notifiers: ["ops", "chat"].into_iter().map(notifier).collect(),
        mail: None,
        dashboard: Dashboard::default(),
        history: HistoryLimits::default(),
        boot_grace: seconds(60),
        brake: Times { count: 10, within: seconds(60) },
        notify: Vec::new(),
        defaults: Defaults::default(),
        written: BTreeMap::new(),
        directories: Vec::new(),
        notes: Vec::new(),
    })
}

pub fn process(every: u64) -> Check {
    let kind = Process { pidfile: Some("/run/web.pid".parse().unwrap()), ..Process::default() };
    check("process", Kind::Process(kind), every)
}

/// The process that the supervisor names.
pub fn supervised(every: u64) -> Check {
    check("process", Kind::Process(Process { supervised: true, ..Process::default() }), every)
}

/// Stands for any check that is no process: its `missing` is the world's `trouble`, its `size` the world's `size`.
pub fn file(every: u64) -> Check {
    check("file", Kind::File(File { path: "/srv/data".parse().unwrap(), matches: None }), every)
}

/// What it finds is the world's `crowd`.
pub fn processes(every: u64) -> Check {
    check("processes", Kind::Processes(Processes::default()), every)
}

pub fn check(name: &str, kind: Kind, every: u64) -> Check {
    let kind = Arc::new(kind);
    Check { name: name.into(), kind, every: seconds(every), timeout: SECOND, keep: MetricSet::default() }
}

pub fn command() -> ControlSpec {
    let start = ControlRun { command: Argv(vec!["/bin/web".to_owned()]), timeout: Span(seconds(30)) };
    ControlSpec::Command(CommandControl {
        start: Some(start),
        stop: StopBy::default(),
        restart: None,
        user: None,
        directory: None,
        environment: BTreeMap::new(),
        umask: None,
        scope: false,
    })
}

pub fn runit() -> ControlSpec {
    let directory = "/etc/service".parse().unwrap();
    ControlSpec::Runit(RunitControl { service: "web".to_owned(), directory, timeout: Span(seconds(10)), check: false })
}

fn of_supervisor(name: &str, keys: serde_json::Value) -> ControlSpec {
    ControlSpec::read(name, keys).unwrap().unwrap()
}

pub fn s6() -> ControlSpec {
    of_supervisor("s6", serde_json::json!({ "service": "web", "timeout": "10s" }))
}

pub fn supervisord() -> ControlSpec {
    of_supervisor("supervisord", serde_json::json!({ "program": "web", "timeout": "10s" }))
}

pub fn exec() -> Action {
    Action::Exec(Arc::new(ExecSpec {
        command: Some(Argv(vec!["/bin/true".to_owned()])),
        shell: None,
        user: None,
        directory: None,
        environment: BTreeMap::new(),
        timeout: Span(seconds(30)),
    }))
}

/// Words to build a service with.
pub trait Build {
    fn checks(self, checks: Vec<Check>) -> Self;
    fn control(self, control: ControlSpec) -> Self;
    fn rule(self, rule: Rule) -> Self;
    /// A comparison of a metric of one of its checks.
    fn is(&self, check: u16, metric: &str, test: Test) -> Condition {
        self.term(check, metric, test, Term::Latest)
    }
    fn term(&self, check: u16, metric: &str, test: Test, term: impl Fn(MetricRef) -> Term) -> Condition;
    fn down(&self) -> Condition {
        self.is(0, "down", Test::Truth)
    }
}

impl Build for Service {
    fn checks(mut self, checks: Vec<Check>) -> Service {
        self.checks = checks;
        self
    }
    fn control(mut self, control: ControlSpec) -> Service {
        if control.supervises() {
            self.settle = control.settle();
            self.checks.push(check("control", Kind::Control(control.clone()), 10));
        }
        self.control = Some(control);
        self
    }
    fn rule(mut self, rule: Rule) -> Service {
        rule.when.each(&mut |comparison| {
            let metric = comparison.term.metric();
            self.checks[usize::from(metric.check)].keep.insert(metric.metric);
        });
        self.rules.push(rule);
        self
    }
    fn term(&self, check: u16, metric: &str, test: Test, term: impl Fn(MetricRef) -> Term) -> Condition {
        let kind = &self.checks[usize::from(check)].kind;
        let id = kind.metric(metric).unwrap();
        Condition::Is(Comparison {
            text: format!("{}.{metric} {test:?}", self.checks[usize::from(check)].name).into(),
            term: term(MetricRef { check, metric: id }),
            test,
            dimension: kind.metrics()[usize::from(id.0)].dimension,
        })
    }
}

pub fn above(limit: f64) -> Test {
    Test::Compare(Op::Greater, Limit::Number(limit))
}

pub fn rule(name: &str, when: Condition, hold: Hold, actions: Vec<Action>) -> Rule {
    Rule {
        name: name.into(),
        when,
        hold,
        until: None,
        severity: Severity::Warning,
        actions,
        liveness: name.starts_with("down"),
        implied: false,
    }
}

/// `web`, with `process.down -> restart`.
pub fn web(control: ControlSpec) -> Service {
    let service = service("web").checks(vec![process(10)]).control(control);
    let when = service.down();
    service.rule(Rule { severity: Severity::Critical, ..rule("down", when, Hold::None, vec![Action::Restart]) })
}

/// A service of which nothing can be seen but whether it is in trouble, which is critical.
pub fn simple(name: &str) -> Service {
    let service = service(name).checks(vec![file(10)]);
    let when = service.is(0, "missing", Test::Truth);
    service.rule(Rule { severity: Severity::Critical, ..rule("missing", when, Hold::None, vec![]) })
}

/// One with a process that is restarted if it is down, and if it is in trouble.
pub fn daemon(name: &str) -> Service {
    let mut service = service(name).checks(vec![process(10), file(10)]).control(command());
    for (name, when) in [("down", service.down()), ("missing", service.is(1, "missing", Test::Truth))] {
        let rule = rule(name, when, Hold::None, vec![Action::Restart]);
        service = service.rule(Rule { severity: Severity::Critical, ..rule });
    }
    service
}

/// It needs these.
pub fn needing(service: Service, needs: &[&str]) -> Service {
    Service { depends_on: needs.iter().map(|name| (*name).into()).collect(), ..service }
}

pub fn setting() -> Setting {
    let (host, instance) = ("host".to_owned(), "i".to_owned());
    Setting { host, instance, booted: seconds(3600), no_act: false }
}
