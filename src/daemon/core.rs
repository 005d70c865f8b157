//! The loop: inputs go into the engine, its effects go to whoever performs them. Nothing in here waits.

use super::kept::Kept;
use super::owners::Owners;
use super::pulse::{Pulse, TURN};
use super::tally::Tally;
use super::{Error, Made, Options, read_plan};
use crate::control::Controls;
use crate::dashboard::{Ask, Certificate, Changes, Whose};
use crate::engine::Engine;
use crate::listen::Listen;
use crate::model::{
    Act, ActId, Answer, Change, Clock, Effect, Event, EventKind, Input, Kind, Name, Plan, Question, Record, Report,
    RequestId, Snapshot, Vitals, services_words,
};
use crate::notify::Notifiers;
use crate::probe::{self, Machine, Probes};
use crate::store::{Committed, Store};
use crate::sys::run;
use secrecy::ExposeSecret;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};

/// How many inputs are handled before the loop looks at anything else.
const BATCH: usize = 256;

/// How long an action waits for its records to be on disk; then it is taken all the same, with the budget in memory.
const RECORD_WITHIN: Duration = Duration::from_millis(50);

/// How long a message waits for that. What is sent and not on disk is forgotten if minder is killed then, and told anew under
/// another key: twice. A second later is soon enough; of a disk that is known to fail, none waits.
const RECORD_MESSAGE_WITHIN: Duration = Duration::from_secs(1);

/// How long the commands under way have, at the end.
const PARTING: Duration = Duration::from_secs(2);

/// How long the databases have, at the end, to write what they hold.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

pub(super) struct Core {
    pub engine: Engine,
    pub clock: Arc<dyn Clock>,
    pub store: Store,
    pub probes: Probes,
    pub machine: Arc<Machine>,
    pub controls: Controls,
    pub listen: Listen,
    pub notifiers: Notifiers,
    pub changes: Changes,
    pub plan: Arc<Plan>,
    /// The same, for the page.
    pub plans: watch::Sender<Arc<Plan>>,
    pub options: Options,
    pub inputs: mpsc::UnboundedSender<Input>,
    pub people: People,
    pub reloads: Reloads,
    /// Questions of this turn, handed to the probes together: process checks due together are asked in one pass.
    pub questions: Vec<Question>,
    pub owners: Owners,
    /// What was noted at the start.
    pub notes: Vec<String>,
    /// The page's own, if it is encrypted.
    pub certificate: Option<Arc<Certificate>>,
    pub tally: Tally,
    pub pulse: Pulse,
    /// The directories of the plan whose entries are services.
    pub directories: watch::Sender<Vec<PathBuf>>,
    pub sockets: Made,
}

/// The people who wait for something.
#[derive(Default)]
pub(super) struct People {
    /// Those who wait for an answer of the engine.
    waiting: HashMap<RequestId, oneshot::Sender<Answer>>,
    next: u64,
    snapshot: Kept<Snapshot>,
    vitals: Kept<Vitals>,
}

impl People {
    /// Something was done for somebody: if he looks at once, he sees it.
    fn forget(&mut self) {
        self.snapshot.forget();
        self.vitals.forget();
    }
}

/// Who waits to hear what came of a reload.
type Reply = Option<oneshot::Sender<Answer>>;

/// The rules are read once at a time: what was read first must not take effect last. Whoever asks meanwhile is not answered by
/// what was read before, and has them read once more.
#[derive(Default)]
pub(super) struct Reloads {
    /// Those for whom they are being read, if they are.
    under_way: Option<Vec<Reply>>,
    next: Vec<Reply>,
}

impl Core {
    /// Runs until it is told to end.
    pub async fn run(
        mut self,
        mut from_outside: mpsc::UnboundedReceiver<Input>,
        mut from_people: mpsc::Receiver<Ask>,
        mut entries: mpsc::Receiver<()>,
    ) -> Result<(), Error> {
        let on = |kind| signal(kind).map_err(Error::system("catch signals"));
        let (mut term, mut int, mut hup) =
            (on(SignalKind::terminate())?, on(SignalKind::interrupt())?, on(SignalKind::hangup())?);
        let (reloaded, mut reloads) = mpsc::channel::<Result<Plan, String>>(1);
        let mut batch = Vec::with_capacity(BATCH);
        self.pulse.ready(self.watching());
        loop {
            let now = self.clock.now().mono;
            self.pulse.turn(now);
            // All questions of a turn at once.
            if !self.questions.is_empty() {
                self.ask();
            }
            let wake = self.engine.next_wakeup().map_or(TURN, |at| (at - now).min(TURN));
            tokio::select! {
                biased;
                _ = term.recv() => break,
                _ = int.recv() => break,
                _ = from_outside.recv_many(&mut batch, BATCH) => {
                    for input in batch.drain(..) {
                        self.step(input);
                    }
                }
                Some(ask) = from_people.recv() => self.answer(ask, &reloaded),
                _ = hup.recv() => self.reload(None, &reloaded),
                // A supervisor has been given a service, or has lost one.
                Some(()) = entries.recv() => self.reload(None, &reloaded),
                Some(outcome) = reloads.recv() => {
                    self.take_plan(outcome);
                    self.read_next(&reloaded);
                }
                () = tokio::time::sleep(wake) => {}
            }
            // However many inputs come in, what is due is done.
            if self.engine.next_wakeup().is_some_and(|at| at <= self.clock.now().mono) {
                self.step(Input::Woken);
            }
        }
        self.end(from_outside).await;
        Ok(())
    }

    /// Ends within 5 s, whatever hangs: messages and commands under way have 2 s, the databases 2 s more.
    async fn end(mut self, mut from_outside: mpsc::UnboundedReceiver<Input>) {
        tracing::info!("ending; the daemons live on");
        self.pulse.ending();
        self.step(Input::Ending);
        for socket in self.sockets.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = std::fs::remove_file(socket);
        }
        let Core { notifiers, mut engine, clock, store, listen, .. } = self;
        // While the state directory is ours still: the next minder may make sockets of the same names.
        drop(listen);
        let commands = tokio::task::spawn_blocking(|| run::finish(PARTING));
        let _ = tokio::join!(notifiers.shutdown(), commands);
        // What was delivered at the last moment is not delivered again at the next start; what became of commands is on record.
        while let Ok(input) = from_outside.try_recv() {
            if let Input::Delivered { .. } | Input::Acted { .. } = input {
                let (mut records, mut messages) = (Vec::new(), Vec::new());
                for effect in engine.handle(input, clock.now()) {
                    match effect {
                        Effect::Record(record) => records.push(record),
                        // The next minder sends it.
                        Effect::Tell(message) => messages.push(message),
                        _ => {}
                    }
                }
                let _ = store.commit(records, messages);
            }
        }
        store.close(CLOSE_WITHIN);
    }

    /// What minder does, in words for its own supervisor.
    fn watching(&self) -> String {
        format!("watching {}", services_words(self.plan.services.len()))
    }

    fn step(&mut self, input: Input) {
        let now = self.clock.now();
        self.tally.input(&input);
        let effects = self.engine.handle(input, now);
        self.perform(effects);
        self.tally.step(self.clock.now().mono - now.mono);
    }

    /// Hands each effect to whoever performs it. Records are committed before acts are begun, and before messages are sent: an act
    /// waits for its record on its own thread, at most 50 ms; a message in its own task, at most a second.
    pub fn perform(&mut self, effects: Vec<Effect>) {
        let mut records = Vec::new();
        let mut messages = Vec::new();
        let mut acts: Vec<(ActId, Act)> = Vec::new();
        let mut parcels = Vec::new();
        for effect in effects {
            self.tally.effect(&effect);
            match effect {
                Effect::Ask(question) => self.questions.push(question),
                Effect::Forget(check) => {
                    self.probes.forget(check);
                    self.listen.forget(check);
                    self.store.forget(check);
                }
                Effect::Watch(identity) => {
                    let services = &self.plan.services;
                    let latest = || services.iter().filter_map(|s| self.engine.latest_process(&s.name)).collect();
                    self.owners.note(identity, services.len(), latest);
                    self.listen.watch(identity);
                }
                Effect::Unwatch(identity) => self.listen.unwatch(identity),
                Effect::WatchPath(check, path) => self.listen.watch_path(check, path),
                Effect::WatchControl(check, control) => self.listen.watch_control(check, control),
                Effect::Hear(check, hearing) => self.listen.hear(check, hearing),
                Effect::Series(check, series) => self.store.series(check, series),
                Effect::Keep(check, sample) => self.store.keep(check, &sample),
                Effect::Act(id, act) => acts.push((id, act)),
                Effect::Tell(message) => messages.push(message),
                Effect::Send(parcel) => parcels.push(parcel),
                Effect::Record(record) => {
                    if let Record::Event(event) = &record {
                        self.announce(event);
                    }
                    records.push(record);
                }
                Effect::Reply(request, answer) => {
                    if let Some(reply) = self.people.waiting.remove(&request) {
                        // Whoever is told the outcome sees it, too, if he looks at once.
                        self.people.forget();
                        let _ = reply.send(answer);
                    }
                }
            }
        }
        let committed =
            (!records.is_empty() || !messages.is_empty()).then(|| Arc::new(self.store.commit(records, messages)));
        for parcel in parcels {
            let committed = committed.clone();
            self.notifiers.send(parcel, async move {
                if let Some(committed) = committed {
                    committed.ready(RECORD_MESSAGE_WITHIN).await;
                }
            });
        }
        for (id, act) in acts {
            self.act(id, act, committed.clone());
        }
    }

    /// Begins an action on a thread of its own, where it first waits for its records.
    fn act(&self, id: ActId, act: Act, committed: Option<Arc<Committed>>) {
        let recorded = move || {
            if let Some(committed) = committed {
                committed.wait(RECORD_WITHIN);
            }
        };
        match act {
            Act::Snapshot { identity, log } => {
                let inputs = self.inputs.clone();
                tokio::task::spawn_blocking(move || {
                    let words = probe::snapshot(identity, log.as_ref()).into();
                    let _ = inputs.send(Input::Acted { id, report: Report::Done { words } });
                });
            }
            Act::Tail { log, of } => {
                let inputs = self.inputs.clone();
                tokio::task::spawn_blocking(move || {
                    let report = match probe::tail_of_log(&log, of) {
                        Ok(words) => Report::Done { words: words.into() },
                        Err(e) => Report::Failed { why: format!("{log}: {e}").into() },
                    };
                    let _ = inputs.send(Input::Acted { id, report });
                });
            }
            Act::Top { of } => {
                let inputs = self.inputs.clone();
                tokio::task::spawn_blocking(move || {
                    let words = probe::top(of).into();
                    let _ = inputs.send(Input::Acted { id, report: Report::Done { words } });
                });
            }
            act => self.controls.act(id, act, recorded),
        }
    }

    fn ask(&mut self) {
        let (controls, probes): (Vec<_>, Vec<_>) = std::mem::take(&mut self.questions)
            .into_iter()
            .partition(|question| matches!(*question.kind, Kind::Control(_)));
        for question in controls {
            self.controls.ask(question);
        }
        if !probes.is_empty() {
            self.probes.ask(probes);
        }
    }

    /// Says an event in the log, and to those who follow along.
    fn announce(&self, event: &Event) {
        let words = event.kind.to_string();
        let service = event.service.as_deref().unwrap_or("minder");
        match event.kind {
            EventKind::Fired { .. }
            | EventKind::GaveUp { .. }
            | EventKind::Acted { ok: false, .. }
            | EventKind::Undelivered { .. } => {
                tracing::warn!(service, "{words}");
            }
            _ => tracing::info!(service, "{words}"),
        }
        self.changes.push(Change { number: event.id, event: event.clone(), words });
    }

    fn answer(&mut self, ask: Ask, reloaded: &mpsc::Sender<Result<Plan, String>>) {
        match ask {
            Ask::Snapshot(reply) => {
                let snapshot = self.snapshot();
                let _ = reply.send(snapshot);
            }
            Ask::Vitals(reply) => {
                let vitals = self.vitals();
                let _ = reply.send(vitals);
            }
            Ask::Command { who, command, reply } => {
                let request = self.awaited(reply);
                self.step(Input::Asked { request, who, command });
            }
            Ask::Resend { who, messages, reply } => {
                let request = self.awaited(reply);
                self.step(Input::Resend { request, who, messages });
            }
            Ask::Ended { uid, service, how, reply } => {
                let is_known = self.plan.services.iter().any(|known| known.name == service);
                let may = is_known && self.owners.may_report(uid, self.engine.latest_process(&service));
                if may {
                    self.step(Input::Reported { service, how });
                }
                let _ = reply.send(may);
            }
            Ask::Beat { whose, beats, reply } => {
                let found = self.whose(&whose);
                if let Ok((service, check)) = &found {
                    for beat in beats {
                        let (service, check) = (Arc::clone(service), Arc::clone(check));
                        self.step(Input::Beat { service, check, beat });
                    }
                    // Whoever has spoken sees it, too, if he looks at once.
                    self.people.forget();
                }
                let _ = reply.send(found.map(|_| ()));
            }
            // Beside the loop: it may take a second.
            Ask::Machine(reply) => {
                let machine = Arc::clone(&self.machine);
                tokio::spawn(async move { reply.send(machine.look().await) });
            }
            Ask::Record(record) => drop(self.store.commit(vec![record], Vec::new())),
            Ask::Reload(reply) => self.reload(Some(reply), reloaded),
            Ask::Nudge { control, name } => self.step(Input::Nudged { control, name }),
        }
    }

    /// A number for the request of a person who waits for the engine's answer.
    fn awaited(&mut self, reply: oneshot::Sender<Answer>) -> RequestId {
        self.people.next += 1;
        let request = RequestId(self.people.next);
        self.people.waiting.insert(request, reply);
        request
    }

    /// The service, and its heartbeat, that is meant.
    fn whose(&self, whose: &Whose) -> Result<(Name, Name), String> {
        let mut found = Vec::new();
        for service in &self.plan.services {
            for check in &service.checks {
                let Kind::Heartbeat(keys) = &*check.kind else { continue };
                let is_meant = match whose {
                    // In the same time, however much of it is right, and wherever it stands.
                    Whose::Secret(given) => keys.secret.as_ref().is_some_and(|secret| {
                        secret.0.expose().as_bytes().ct_eq(given.expose_secret().as_bytes()).into()
                    }),
                    Whose::Named { service: name, check: None } => service.name == *name,
                    Whose::Named { service: name, check: Some(of) } => service.name == *name && check.name == *of,
                };
                if is_meant {
                    found.push((Arc::clone(&service.name), Arc::clone(&check.name)));
                }
            }
        }
        match found.len() {
            1 => Ok(found.swap_remove(0)),
            0 => Err(format!("minder knows no heartbeat {whose}")),
            _ => Err(format!("{whose} is one of several: say which, as SERVICE/CHECK")),
        }
    }

    fn snapshot(&mut self) -> Arc<Snapshot> {
        let now = self.clock.now();
        if let Some(snapshot) = self.people.snapshot.get(now.mono) {
            return snapshot;
        }
        let mut snapshot = self.engine.snapshot(now);
        snapshot.notes.extend(self.notes.iter().chain(&self.plan.notes).cloned());
        snapshot.notes.extend(self.store.trouble());
        snapshot.notes.extend(self.certificate.as_ref().and_then(|certificate| certificate.note(now.wall)));
        self.people.snapshot.put(now.mono, self.clock.now().mono, snapshot)
    }

    fn vitals(&mut self) -> Arc<Vitals> {
        let now = self.clock.now().mono;
        if let Some(vitals) = self.people.vitals.get(now) {
            return vitals;
        }
        let vitals = Vitals {
            store_trouble: self.store.trouble().is_some(),
            samples_dropped: self.store.dropped(),
            waiting: self.engine.waiting(),
            ..self.tally.vitals()
        };
        self.people.vitals.put(now, self.clock.now().mono, vitals)
    }

    /// Reads the rules again, beside the loop: a rule file on a dead mount must not stop it.
    fn reload(&mut self, reply: Reply, reloaded: &mpsc::Sender<Result<Plan, String>>) {
        // A storm of signals is one.
        if reply.is_some() || self.reloads.next.is_empty() {
            self.reloads.next.push(reply);
        }
        self.read_next(reloaded);
    }

    fn read_next(&mut self, reloaded: &mpsc::Sender<Result<Plan, String>>) {
        if self.reloads.under_way.is_some() || self.reloads.next.is_empty() {
            return;
        }
        self.reloads.under_way = Some(std::mem::take(&mut self.reloads.next));
        let (rules, reloaded) = (self.options.rules.clone(), reloaded.clone());
        tokio::task::spawn_blocking(move || {
            let _ = reloaded.blocking_send(read_plan(&rules));
        });
    }

    fn take_plan(&mut self, outcome: Result<Plan, String>) {
        let answer = match outcome {
            Ok(mut plan) => {
                let mut words = format!("watching {} now", services_words(plan.services.len()));
                if plan.dashboard.listen != self.plan.dashboard.listen {
                    words.push_str("; the page moves to its new address when minder is started again");
                    plan.dashboard.listen = self.plan.dashboard.listen;
                }
                if plan.dashboard.tls != self.plan.dashboard.tls {
                    words.push_str("; how the page is encrypted changes when minder is started again");
                    plan.dashboard.tls.clone_from(&self.plan.dashboard.tls);
                }
                let plan = Arc::new(plan);
                self.plan = plan.clone();
                self.directories.send_if_modified(|old| {
                    let new = *old != plan.directories;
                    old.clone_from(&plan.directories);
                    new
                });
                self.notifiers.replan(&plan);
                self.store.limits(&plan.history);
                self.plans.send_replace(Arc::clone(&plan));
                self.step(Input::Planned(plan));
                self.pulse.ready(self.watching());
                Answer { ok: true, words }
            }
            Err(report) => {
                tracing::warn!("the new rules have mistakes; the old ones stay in effect\n{report}");
                self.step(Input::Refused(report.as_str().into()));
                Answer {
                    ok: false,
                    words: format!("the new rules have mistakes; the old ones stay in effect\n{report}"),
                }
            }
        };
        self.people.forget();
        for reply in self.reloads.under_way.take().into_iter().flatten().flatten() {
            let _ = reply.send(answer.clone());
        }
    }
}
