//! A service: its checks, its control, its rules.

use super::super::read::Place;
use super::super::syntax::{Action, Hold, If, Kind, Mode, Said, Service, Statement, Test};
use super::alerts::{Notifiers, Recipient, of_all, of_event};
use super::checks::{Checks, Keys, expression};
use super::command::{Control, Which, arguments, group};
use super::condition::condition;
use super::cycles::Cycle;
use super::ledger::{Ledger, Outcome};
use super::settings::Settings;
use crate::import::{Machine, yaml};
use crate::model::write_duration;
use std::time::Duration;

/// How long a rule may be, with room for its actions.
const LONGEST_RULE: usize = 3500;
/// The most rules of a service.
const RULES: usize = 500;

/// A service on its way to be written.
pub struct Draft<'a> {
    pub kind: &'a Kind,
    /// Where its connections go, if they do not say so.
    pub host: String,
    pub checks: Checks,
    pub settings: &'a Settings,
    pub machine: &'a Machine,
    name: &'a str,
    place: Place,
    ledger: &'a mut Ledger,
    recipients: Vec<Recipient>,
    control: Control,
    mode: Mode,
    every: u32,
    groups: Vec<String>,
    budget: Option<String>,
    rules: Vec<String>,
    /// Whether a rule says what happens when it is gone.
    gone: bool,
}

/// A service as it will stand in the rules, but for what it depends on.
pub struct Written {
    pub name: String,
    pub place: Place,
    /// What became of its head and of each statement.
    pub outcomes: Vec<(Place, String, Outcome)>,
    /// What it depends on, in monit's names, with the place of the statement among the outcomes.
    pub depends: Vec<(usize, Vec<String>)>,
    /// Its keys; nothing if it was not carried over.
    pub keys: Option<Vec<String>>,
}

/// Writes a service.
pub fn write(
    service: &Service,
    name: String,
    settings: &Settings,
    machine: &Machine,
    notifiers: &mut Notifiers,
    ledger: &mut Ledger,
) -> Written {
    let mut outcomes = Vec::new();
    let mut depends = Vec::new();
    let lost = |why: String, mut outcomes: Vec<(Place, String, Outcome)>| {
        outcomes.clear();
        outcomes.push((service.place, service.text.clone(), Err(why)));
        let gone = || Err("its service is not carried over".to_owned());
        outcomes.extend(service.statements.iter().map(|said| (said.place, said.text.clone(), gone())));
        Written { name: name.clone(), place: service.place, outcomes, depends: Vec::new(), keys: None }
    };
    let Some(kind) = &service.kind else { return lost("this is not understood".to_owned(), outcomes) };
    let mut draft = Draft {
        kind,
        host: if let Kind::Host(host) = kind { host.clone() } else { "localhost".to_owned() },
        checks: Checks::default(),
        settings,
        machine,
        name: &name,
        place: service.place,
        ledger,
        recipients: settings.recipients.clone(),
        control: Control::default(),
        mode: Mode::Active,
        every: 1,
        groups: Vec::new(),
        budget: None,
        rules: Vec::new(),
        gone: false,
    };
    let head = match draft.asked() {
        Ok(differs) => differs,
        Err(why) => return lost(why, outcomes),
    };
    outcomes.push((service.place, service.text.clone(), Ok(head)));
    // How a service is asked, controlled and told must be known before its tests are written.
    let mut early: Vec<Option<Outcome>> = service.statements.iter().map(|said| draft.about(said, notifiers)).collect();
    draft.gone = service.statements.iter().any(|said| {
        matches!(&said.it, Some(Statement::If(test)) if matches!(test.test, Test::Exists(false) | Test::Link { up: false }))
    });
    draft.default_rule();
    for (said, early) in service.statements.iter().zip(&mut early) {
        draft.place = said.place;
        let outcome = match (&said.it, early.take()) {
            (_, Some(outcome)) => outcome,
            (Some(Statement::If(test)), None) => draft.rule(test),
            (Some(Statement::Depends(names)), None) => {
                depends.push((outcomes.len(), names.clone()));
                Ok(Vec::new())
            }
            _ => Err("this is not understood".to_owned()),
        };
        outcomes.push((said.place, said.text.clone(), outcome));
    }
    if draft.checks.is_empty() {
        return lost("nothing is asked of it".to_owned(), outcomes);
    }
    let keys = Some(draft.keys());
    Written { name, place: service.place, outcomes, depends, keys }
}

impl Draft<'_> {
    /// Adds the check that the kind of service is about, and says what differs.
    fn asked(&mut self) -> Outcome {
        let keys = Keys::default();
        let mut differs = Vec::new();
        let timeout = self.settings.timeout;
        let (kind, keys, timeout) = match self.kind {
            Kind::Pidfile(path) => ("process", keys.text("pidfile", path), timeout),
            Kind::Matching(text) => ("process", keys.text("match", &expression(text)?), timeout),
            Kind::File(path) | Kind::Directory(path) | Kind::Fifo(path) => ("file", keys.text("path", path), timeout),
            Kind::Filesystem(path) => ("filesystem", keys.text("mount", path), timeout),
            Kind::Interface(name) => ("network", keys.text("interface", name), timeout),
            Kind::Address => return Err("write which interface has this address: `network: eth0`".to_owned()),
            Kind::System => ("system", keys, timeout),
            Kind::Host(_) => return Ok(differs),
            Kind::Program(command) => {
                let mut keys = keys.raw("command", yaml::list(&arguments(&command.line)?));
                if let Some(user) = &command.uid {
                    keys = keys.text("user", user);
                }
                differs.extend(group(command));
                let seconds =
                    command.timeout.filter(|s| (1..=864_000).contains(s)).unwrap_or(self.settings.program_timeout);
                ("program", keys, Duration::from_secs(u64::from(seconds)))
            }
        };
        self.checks.add(kind, kind, &keys, timeout)?;
        Ok(differs)
    }

    /// The check of the file that the service is about; of a filesystem, of where it is or comes from.
    pub fn file(&mut self) -> Result<String, String> {
        match self.kind {
            Kind::File(_) | Kind::Directory(_) | Kind::Fifo(_) => Ok("file".to_owned()),
            Kind::Filesystem(path) => {
                let keys = Keys::default().text("path", path);
                self.checks.add("file", "file", &keys, self.settings.timeout)
            }
            _ => Err("minder does not measure this".to_owned()),
        }
    }

    /// The flag that says that the service is not there.
    pub fn gone(&self) -> Option<String> {
        let flag = match self.kind {
            Kind::Pidfile(_) | Kind::Matching(_) => "process.down",
            Kind::File(_) | Kind::Directory(_) | Kind::Fifo(_) => "file.missing",
            Kind::Filesystem(_) => "filesystem.failed",
            _ => return None,
        };
        Some(flag.to_owned())
    }

    /// The variable of a password of this service.
    pub fn secret(&mut self) -> String {
        self.ledger.secret(self.name, self.place)
    }

    /// Takes a statement over that says something of the service as a whole; nothing if it is a test or a dependency.
    fn about(&mut self, said: &Said<Statement>, notifiers: &mut Notifiers) -> Option<Outcome> {
        let well = || Ok(Vec::new());
        Some(match said.it.as_ref()? {
            Statement::If(_) | Statement::Depends(_) => return None,
            Statement::Start(command) => self.control.add(Which::Start, command, self.settings),
            Statement::Stop(command) => self.control.add(Which::Stop, command, self.settings),
            Statement::Restart(command) => self.control.add(Which::Restart, command, self.settings),
            Statement::Every(cycles) => Cycle(self.settings.every).times(*cycles).map(|_| {
                self.every = *cycles;
                Vec::new()
            }),
            Statement::Cron { not: false } if matches!(self.kind, Kind::Program(_)) => {
                // Each cycle would be far more often than was meant.
                self.every = u32::try_from(3600_u64.div_ceil(self.settings.every)).unwrap_or(u32::MAX);
                Ok(vec!["minder asks at an interval, not at a time of day: once an hour".to_owned()])
            }
            Statement::Cron { not: false } => Err("minder asks at an interval, not at a time of day".to_owned()),
            Statement::Cron { not: true } => Err("minder asks at any time of day".to_owned()),
            Statement::Mode(mode) => {
                self.mode = *mode;
                match mode {
                    Mode::Active | Mode::Passive => well(),
                    Mode::Manual => {
                        Ok(vec!["minder judges it from the beginning, tells, and does nothing else".to_owned()])
                    }
                }
            }
            Statement::OnReboot(word) if matches!(word.as_str(), "start" | "laststate") => well(),
            Statement::OnReboot(_) => Err("after a boot, minder acts on what its operator has not stopped".to_owned()),
            Statement::Group(name) => {
                if !self.groups.contains(name) {
                    self.groups.push(name.clone());
                }
                well()
            }
            Statement::Alert(alert) => notifiers.add(alert, &mut self.recipients),
            Statement::NoAlert(address) => {
                notifiers.remove(address, &mut self.recipients);
                well()
            }
            Statement::Ignore => Err("lines are not left out: make the expressions that match narrower".to_owned()),
        })
    }

    fn cycle(&self) -> Cycle {
        Cycle(self.settings.every * u64::from(self.every))
    }

    /// What is gone is restarted, or told, also if no statement says so; and so is a link that is down.
    fn default_rule(&mut self) {
        let (text, event) = match (self.gone(), self.kind) {
            _ if self.gone => return,
            (Some(text), _) => (text, "nonexist"),
            (None, Kind::Interface(_)) => ("network.down".to_owned(), "link"),
            _ => return,
        };
        let (actions, _) = match self.gone() {
            Some(_) if self.control.is_some() => self.actions(&Action::Restart),
            _ => self.actions(&Action::Alert),
        };
        self.push(&text, None, &actions, event);
    }

    fn rule(&mut self, test: &If) -> Outcome {
        let mut differs = Vec::new();
        if let Some(action) = &test.recovery
            && !matches!(action, Action::Alert)
        {
            differs.push("nothing is done on recovery but to tell it".to_owned());
        }
        if let Test::Restarts(count, cycles) = test.test {
            return self.limited(count, cycles, &test.action);
        }
        if self.rules.len() >= RULES {
            return Err(format!("a service has at most {RULES} rules"));
        }
        let mut hold = self.cycle().hold(test.hold)?;
        let condition = condition(&test.test, self)?;
        if condition.is_notice() && hold.take().is_some() {
            differs.push("a change is told at once".to_owned());
        } else if condition.is_notice() && test.hold != Hold::None {
            hold = None;
        }
        if condition.text.len() > LONGEST_RULE {
            return Err("this is too long for a rule".to_owned());
        }
        differs.extend(condition.differs);
        let (actions, more) = self.actions(&test.action);
        differs.extend(more);
        self.push(&condition.text, hold.as_deref(), &actions, condition.event);
        Ok(differs)
    }

    /// So many restarts within so many cycles: the budget, if it is given up then.
    fn limited(&mut self, count: u32, cycles: u32, action: &Action) -> Outcome {
        let within = self.cycle().times(cycles)?;
        if !matches!(action, Action::Unmonitor | Action::Stop) {
            return Err("minder tells when the budget of restarts is spent, and does nothing else then".to_owned());
        }
        if !(1..=1000).contains(&count) {
            return Err("this is no limit".to_owned());
        }
        if self.budget.is_some() {
            return Err("a service has one budget of restarts, and another one stands above".to_owned());
        }
        self.budget = Some(format!("{{ limit: {count} in {} }}", write_duration(within)));
        Ok(Vec::new())
    }

    /// The actions as elements of a list; a bare `notify` is none of them. And what differs.
    fn actions(&self, action: &Action) -> (Vec<String>, Vec<String>) {
        let word = |word: &str| (vec![word.to_owned()], Vec::new());
        let none = |why: &str| (Vec::new(), vec![why.to_owned()]);
        if self.mode != Mode::Active && !matches!(action, Action::Exec { .. } | Action::Unmonitor) {
            return (Vec::new(), Vec::new());
        }
        match action {
            Action::Alert => (Vec::new(), Vec::new()),
            Action::Unmonitor => none("minder has no `unmonitor`: it tells, and goes on judging"),
            Action::Restart if self.control.is_some() => word("restart"),
            Action::Start if self.control.can_start() => word("start"),
            Action::Stop if self.control.is_some() => word("stop"),
            Action::Stop => match self.control.lone_stop() {
                Some(argv) => (vec![format!("exec: {{ command: {} }}", yaml::list(argv))], Vec::new()),
                None => none("there is no stop program"),
            },
            Action::Restart | Action::Start => none("there is no start program"),
            Action::Exec { command, repeat } => {
                let argv = match arguments(&command.line) {
                    Ok(argv) => argv,
                    Err(why) => return none(&format!("nothing is run: {why}")),
                };
                let mut differs: Vec<String> = group(command).into_iter().collect();
                if *repeat {
                    differs.push("it runs once for each incident".to_owned());
                }
                let keys = Keys::default().raw("command", yaml::list(&argv));
                let keys = command.uid.iter().fold(keys, |keys, user| keys.text("user", user));
                (vec![format!("exec: {}", keys.map())], differs)
            }
        }
    }

    /// Adds a rule. Who hears of this event, but not of everything, is named.
    fn push(&mut self, when: &str, hold: Option<&str>, actions: &[String], event: &str) {
        let mut then = actions.to_vec();
        then.extend(of_event(&self.recipients, event).iter().map(|name| format!("notify {name}")));
        if then.is_empty() {
            then.push("notify".to_owned());
        }
        if then.iter().any(|action| action.starts_with("exec:")) {
            self.rules.push(format!("- when: {}", yaml::rule(when)));
            self.rules.extend(hold.map(|hold| format!("  for: {hold}")));
            self.rules.push("  then:".to_owned());
            self.rules.extend(then.iter().map(|action| format!("    - {action}")));
            return;
        }
        let hold = hold.map(|hold| format!(" for {hold}")).unwrap_or_default();
        let rule = format!("- {}", yaml::rule(&format!("{when}{hold} -> {}", then.join(", "))));
        // The same said twice is said once.
        if !self.rules.contains(&rule) {
            self.rules.push(rule);
        }
    }

    /// The keys of the service.
    fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        let indented = |lines: Vec<String>| lines.into_iter().map(|line| format!("  {line}"));
        if let Some((first, others)) = self.groups.split_first() {
            keys.push(format!("group: {}", yaml::scalar(first)));
            if !others.is_empty() {
                keys.push(format!("tags: {}", yaml::list(others)));
            }
        }
        let told = of_all(&self.recipients);
        if told != of_all(&self.settings.recipients) {
            keys.push(format!("notify: {}", yaml::list(&told)));
        }
        if self.control.is_some() {
            keys.extend(["control:".to_owned(), "  command:".to_owned()]);
            keys.extend(indented(indented(self.control.lines()).collect()));
        }
        if let Some(budget) = &self.budget {
            keys.push(format!("restart: {budget}"));
        }
        let every = (self.every > 1).then(|| Duration::from_secs(self.cycle().0));
        keys.push("checks:".to_owned());
        keys.extend(indented(self.checks.lines(every, self.settings.timeout)));
        if !self.rules.is_empty() {
            keys.push("rules:".to_owned());
            keys.extend(indented(self.rules.clone()));
        }
        keys
    }
}
