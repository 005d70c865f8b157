//! The engine, and time that passes.

use super::{Real, Start, setting};
use crate::engine::Engine;
use crate::model::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a receiver does with what it is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Post {
    #[default]
    Takes,
    /// It takes it, and breaks off before it says so.
    TakesInSilence,
    Defers,
    Refuses,
    /// It refuses whatever tells of this service.
    RefusesOf(&'static str),
}

/// The engine, time, and the services that it watches.
pub struct World {
    pub engine: Engine,
    pub plan: Arc<Plan>,
    pub setting: Setting,
    pub ms: u64,
    /// By how many milliseconds the clock for people has been set ahead, or back.
    pub set: i64,
    pub real: BTreeMap<Name, Real>,
    /// Every effect so far, with its time in milliseconds.
    pub log: Vec<(u64, Effect)>,
    /// What people asked for, with the length of the log at that time.
    pub orders: Vec<(usize, Command)>,
    told: usize,
    /// So many parcels a test has looked at.
    pub heard_so_far: usize,
    pub saved: BTreeMap<Name, SavedService>,
    pub brake: SavedBrake,
    pub notifiers: BTreeMap<Name, SavedNotifier>,
    pub silences: SavedSilences,
    /// The messages that wait, as they are recorded.
    pub outbox: BTreeMap<MessageId, Message>,
    series: BTreeMap<CheckId, Name>,
    watched: BTreeSet<Identity>,
    /// Inputs of the near future.
    coming: Vec<(u64, Input)>,
    deaths: Vec<(u64, Identity)>,
    pub in_flight: BTreeMap<CheckId, u64>,
    /// Two questions for one check were in flight at one time.
    pub doubled: bool,
    /// Reports of `exec` never come.
    pub swallow_reports: bool,
    /// Attempts to deliver have no outcome but what a test says. Otherwise all is taken, at once.
    pub swallow_parcels: bool,
    /// What receivers do, if not take all, and how many milliseconds they need for it.
    pub post: BTreeMap<Name, Post>,
    pub post_takes: u64,
    /// What receivers have taken in truth, and when.
    pub taken: Vec<(u64, Parcel)>,
    /// Nobody is told of the end of a process.
    pub deaf: bool,
    /// Orders that would start what its supervisor was told to have down: when, and the service.
    pub unwanted: Vec<(usize, Name)>,
    /// Services of which this minder's control knows that a restart of its own has stopped them.
    halved: BTreeSet<Name>,
    pid: u32,
    last: (u64, u64, u64),
}

impl World {
    /// Every service with a control is up.
    pub fn new(plan: Arc<Plan>) -> World {
        World::with(plan, setting(), Restored::default())
    }

    pub fn with(plan: Arc<Plan>, setting: Setting, restored: Restored) -> World {
        World::begin(plan, setting, restored, true)
    }

    /// No service is up.
    pub fn down(plan: Arc<Plan>, setting: Setting) -> World {
        World::begin(plan, setting, Restored::default(), false)
    }

    fn begin(plan: Arc<Plan>, setting: Setting, restored: Restored, up: bool) -> World {
        let ms = 1_000_000;
        let last = (restored.last_event, restored.last_incident, restored.last_message);
        let (engine, effects) = Engine::new(Arc::clone(&plan), setting.clone(), restored, now(ms));
        let mut world = World {
            engine,
            setting,
            ms,
            set: 0,
            real: BTreeMap::new(),
            log: Vec::new(),
            orders: Vec::new(),
            told: 0,
            heard_so_far: 0,
            saved: BTreeMap::new(),
            brake: SavedBrake::default(),
            series: BTreeMap::new(),
            watched: BTreeSet::new(),
            coming: Vec::new(),
            deaths: Vec::new(),
            in_flight: BTreeMap::new(),
            doubled: false,
            swallow_reports: false,
            swallow_parcels: false,
            post: BTreeMap::new(),
            post_takes: 0,
            taken: Vec::new(),
            notifiers: BTreeMap::new(),
            silences: SavedSilences::default(),
            outbox: BTreeMap::new(),
            deaf: false,
            unwanted: Vec::new(),
            halved: BTreeSet::new(),
            pid: 100,
            last,
            plan,
        };
        for service in &world.plan.services {
            world.pid += 1;
            let process = up.then_some(Identity { pid: world.pid, start: 1 });
            world.real.insert(Arc::clone(&service.name), Real { process, ..Real::default() });
        }
        world.perform(effects);
        world
    }

    /// `kill -9` of minder, and a new start: only what was recorded is left.
    pub fn kill_and_restore(&mut self) {
        let restored = Restored {
            services: self.saved.clone().into_iter().collect(),
            brake: self.brake.clone(),
            notifiers: self.notifiers.clone().into_iter().collect(),
            silences: self.silences.clone(),
            messages: self.outbox.values().cloned().collect(),
            same_boot: true,
            last_event: self.last.0,
            last_incident: self.last.1,
            last_message: self.last.2,
            lost: false,
        };
        let (engine, effects) = Engine::new(Arc::clone(&self.plan), self.setting.clone(), restored, self.now());
        self.engine = engine;
        self.coming.clear();
        self.series.clear();
        self.watched.clear();
        self.in_flight.clear();
        self.halved.clear();
        self.perform(effects);
    }

    pub fn web(&mut self) -> &mut Real {
        self.real.get_mut("web").unwrap()
    }

    /// Its process ends, and whoever watches it is told.
    pub fn kill(&mut self, name: &str, how: Option<Exit>) {
        let Some(identity) = self.real.get_mut(name).and_then(|real| real.process.take()) else { return };
        self.exit_input(identity, how);
    }

    fn exit_input(&mut self, identity: Identity, how: Option<Exit>) {
        if !self.deaf && self.watched.remove(&identity) {
            self.coming.push((self.ms, Input::Exited { identity, how }));
        }
    }

    /// A new process is there.
    pub fn bring_up(&mut self, name: &str) -> Identity {
        self.pid += 1;
        let identity = Identity { pid: self.pid, start: 1 };
        if let Some(real) = self.real.get_mut(name) {
            real.process = Some(identity);
        }
        identity
    }

    pub fn ask(&mut self, request: u64, command: Command) {
        self.orders.push((self.log.len(), command.clone()));
        self.input(Input::Asked { request: RequestId(request), who: "root".into(), command });
    }

    pub fn reload(&mut self, plan: Arc<Plan>) {
        self.plan = Arc::clone(&plan);
        for service in &plan.services {
            self.real.entry(Arc::clone(&service.name)).or_default();
        }
        self.input(Input::Planned(plan));
    }

    pub fn input(&mut self, input: Input) {
        let effects = self.engine.handle(input, self.now());
        self.perform(effects);
    }

    /// Both clocks.
    fn now(&self) -> Now {
        let now = now(self.ms);
        Now { wall: Wall(now.wall.0 + self.set), ..now }
    }

    /// Nobody does anything for so long, minder least of all: a machine that sleeps, or is held up. Then it is woken.
    pub fn freeze(&mut self, ms: u64) {
        self.ms += ms;
        self.input(Input::Woken);
    }

    /// Lets time pass, with everything that happens meanwhile.
    pub fn pass(&mut self, ms: u64) {
        let end = self.ms + ms;
        for _ in 0..200_000 {
            if !self.step(end) {
                return;
            }
        }
        panic!("the engine wants to be woken without end");
    }

    /// One input of what happens until then; whether there was one.
    pub fn step(&mut self, end: u64) -> bool {
        if self.happen() {
            return true;
        }
        let wake = self.engine.next_wakeup().map_or(u64::MAX, |at| at.0.div_ceil(1_000_000));
        let next = self.coming.iter().map(|(at, _)| *at).chain(self.deaths.iter().map(|(at, _)| *at)).min();
        let next = next.unwrap_or(u64::MAX).min(wake);
        if next > end {
            self.ms = end;
            return false;
        }
        self.ms = self.ms.max(next);
        if wake <= self.ms {
            self.input(Input::Woken);
        }
        true
    }

    /// One of what is to happen by now.
    fn happen(&mut self) -> bool {
        while let Some(i) = self.deaths.iter().position(|(at, _)| *at <= self.ms) {
            let (_, identity) = self.deaths.remove(i);
            for real in self.real.values_mut().filter(|real| real.process == Some(identity)) {
                real.process = None;
            }
            self.exit_input(identity, Some(Exit::Signal { number: 11, core: false }));
        }
        let Some(i) = self.coming.iter().position(|(at, _)| *at <= self.ms) else { return false };
        let (_, input) = self.coming.remove(i);
        if let Input::Sampled(samples) = &input {
            samples.iter().for_each(|(check, _)| {
                self.in_flight.remove(check);
            });
        }
        self.input(input);
        true
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match &effect {
                Effect::Ask(question) => self.answer(question),
                Effect::Series(check, series) => drop(self.series.insert(*check, Arc::clone(&series.service))),
                Effect::Forget(check) => {
                    self.in_flight.remove(check);
                }
                Effect::Watch(identity) => {
                    self.watched.insert(*identity);
                    if !self.real.values().any(|real| real.process == Some(*identity)) {
                        self.exit_input(*identity, None);
                    }
                }
                Effect::Unwatch(identity) => drop(self.watched.remove(identity)),
                Effect::Act(id, act) => self.act(*id, act),
                Effect::Record(Record::Service(name, saved)) => {
                    drop(self.saved.insert(Arc::clone(name), SavedService::clone(saved)));
                }
                Effect::Record(Record::Brake(saved)) => self.brake = SavedBrake::clone(saved),
                Effect::Record(Record::Gone(name)) => drop(self.saved.remove(name)),
                Effect::Record(Record::Event(event)) => self.last.0 = event.id,
                Effect::Record(Record::Incident(incident)) => self.last.1 = self.last.1.max(incident.id),
                Effect::Tell(message) => {
                    self.last.2 = message.id.0;
                    self.keep(message);
                }
                Effect::Record(Record::Message(message)) => self.keep(message),
                Effect::Record(Record::Notifier(name, saved)) => {
                    drop(self.notifiers.insert(Arc::clone(name), SavedNotifier::clone(saved)));
                }
                Effect::Record(Record::Silences(saved)) => self.silences = SavedSilences::clone(saved),
                Effect::Send(parcel) if !self.swallow_parcels => {
                    let outcome = self.deliver(parcel);
                    self.coming.push((self.ms + self.post_takes, Input::Delivered { parcel: parcel.id, outcome }));
                }
                _ => {}
            }
            self.log.push((self.ms, effect));
        }
    }

    fn deliver(&mut self, parcel: &Parcel) -> Delivery {
        let post = self.post.get(&parcel.to).copied().unwrap_or_default();
        let refused = match post {
            Post::Refuses => true,
            Post::RefusesOf(service) => parcel.messages.iter().any(|message| message.story.service == service),
            _ => false,
        };
        if refused {
            return Delivery::Refused { why: "no".into() };
        }
        if post != Post::Defers {
            self.taken.push((self.ms, parcel.clone()));
        }
        match post {
            Post::Defers | Post::TakesInSilence => Delivery::Deferred { why: "not now".into(), after: None },
            _ => Delivery::Delivered { plainly: None },
        }
    }

    fn keep(&mut self, message: &Message) {
        if message.state == MessageState::Waiting {
            self.outbox.insert(message.id, message.clone());
        } else {
            self.outbox.remove(&message.id);
        }
    }

    fn answer(&mut self, question: &Question) {
        if self.in_flight.insert(question.check, self.ms).is_some_and(|asked| self.ms - asked < 5_000) {
            self.doubled = true;
        }
        let control =
            self.plan.services.iter().filter(|s| s.checks.iter().any(|c| Arc::ptr_eq(&c.kind, &question.kind)));
        let name = self.series.get(&question.check).cloned().or_else(|| control.map(|s| Arc::clone(&s.name)).next());
        let halved = name.as_ref().is_some_and(|name| self.halved.contains(name));
        let Some(real) = name.and_then(|name| self.real.get(&name)) else { return };
        if !real.answers {
            return;
        }
        let sample = real.answer(question, self.now(), halved);
        let takes = if matches!(*question.kind, Kind::Control(_)) { real.control_takes } else { 1 };
        self.coming.push((self.ms + takes, Input::Sampled(vec![(question.check, Arc::new(sample))])));
    }

    fn act(&mut self, id: ActId, act: &Act) {
        let mut report = |after: u64, report: Report| self.coming.push((self.ms + after, Input::Acted { id, report }));
        let done = Report::Done { words: "done".into() };
        if let Act::Start { service, control, .. } | Act::Restart { service, control, by_hand: true } = act
            && control.supervises()
            && self.real.get(service).is_some_and(|real| !real.wanted)
        {
            self.unwanted.push((self.log.len(), Arc::clone(service)));
        }
        match act {
            Act::Stop { service, for_good, .. } => {
                report(5, done);
                if let Some(real) = self.real.get_mut(service) {
                    real.wanted &= !for_good;
                }
                self.kill(service, Some(Exit::Signal { number: 15, core: false }));
            }
            // As runit does: a restart is no start of what was taken down.
            Act::Restart { service, control: crate::model::controls::ControlSpec::Runit(_), by_hand: false }
                if self.real.get(service).is_some_and(|real| !real.wanted) =>
            {
                report(1, Report::Failed { why: "not restarted: its operator has taken it down".into() });
            }
            Act::Start { service, .. } | Act::Restart { service, .. } => {
                let start = self.real.get(service).map_or(Start::Hangs, |real| real.start);
                let launched = Report::Launched { process: None, leftovers: 0, remark: None };
                match start {
                    Start::Half => {
                        let now = self.now().wall;
                        if let Some(real) = self.real.get_mut(service) {
                            self.halved.insert(Arc::clone(service));
                            (real.wanted, real.since, real.stamp) = (false, Some(now), real.stamp + 1_000);
                        }
                        self.kill(service, Some(Exit::Signal { number: 15, core: false }));
                        return;
                    }
                    Start::Hangs | Start::Slow { reported: false } => return,
                    Start::Slow { reported: true } => {
                        report(1, launched);
                        return;
                    }
                    Start::Fails => {
                        report(1, launched);
                        report(3, Report::LaunchEnded { exit: Exit::Code(1), output: "no such port\n".into() });
                        return;
                    }
                    Start::Up | Start::Dies(_) => report(1, launched),
                }
                if let Some(real) = self.real.get_mut(service) {
                    (real.wanted, real.failed) = (true, false);
                }
                self.kill(service, Some(Exit::Signal { number: 15, core: false }));
                let identity = self.bring_up(service);
                if let Start::Dies(after) = start {
                    self.deaths.push((self.ms + after, identity));
                }
            }
            Act::Exec { .. } if self.swallow_reports => {}
            Act::Top { .. } => report(1, Report::Done { words: "1 hog".into() }),
            Act::Tail { .. } => report(1, Report::Done { words: "the last\nwords".into() }),
            Act::Signal { .. } | Act::Exec { .. } | Act::Snapshot { .. } => report(1, done),
        }
    }

    /// What has happened since this was last called: events, actions, messages and answers, in words.
    pub fn news(&mut self) -> Vec<String> {
        let new = self.log[self.told..].iter().filter_map(|(_, effect)| match effect {
            Effect::Record(Record::Event(event)) => Some(event.kind.to_string()),
            Effect::Act(_, act) => Some(format!("> {}", act_words(act))),
            Effect::Tell(message) if message.state == MessageState::Waiting => {
                Some(format!("@ {} {:?}", message.to, message.kind))
            }
            Effect::Send(Parcel { messages, .. }) if messages[0].story.test => {
                Some(format!("@ {} {:?}", messages[0].to, messages[0].kind))
            }
            Effect::Reply(_, answer) => Some(format!("= {} {}", answer.ok, answer.words)),
            _ => None,
        });
        let new = new.collect();
        self.told = self.log.len();
        new
    }

    /// Of that news, what people are told, and what is held.
    pub fn told_and_held(&mut self) -> Vec<String> {
        let news = self.news().into_iter();
        news.filter(|line| ["@", "no ", "=", ">"].iter().any(|sign| line.starts_with(sign))).collect()
    }

    /// Who was told what, and why just then, since this or the news was last asked for.
    pub fn told_and_why(&mut self) -> Vec<String> {
        let from = self.messages().len() - self.news().iter().filter(|line| line.starts_with('@')).count();
        let words = |message: &Message| {
            let remark = message.story.remark.as_ref().map(|remark| format!(": {remark}")).unwrap_or_default();
            format!("{} {:?}{remark}", message.to, message.kind)
        };
        self.messages()[from..].iter().map(words).collect()
    }

    /// Whether it is in trouble from now on.
    pub fn trouble(&mut self, name: &str, on: bool) {
        if let Some(real) = self.real.get_mut(name) {
            real.trouble = on;
        }
    }

    pub fn view(&self, name: &str) -> ServiceView {
        let snapshot = self.engine.snapshot(self.now());
        snapshot.services.into_iter().find(|service| &*service.name == name).unwrap()
    }

    pub fn status(&self, name: &str) -> Status {
        self.view(name).status
    }

    /// Every attempt to deliver.
    pub fn parcels(&self) -> Vec<Parcel> {
        let sent = self.log.iter();
        sent.filter_map(|(_, effect)| if let Effect::Send(parcel) = effect { Some(parcel.clone()) } else { None })
            .collect()
    }

    pub fn messages(&self) -> Vec<Message> {
        let message = |(_, effect): &(u64, Effect)| {
            if let Effect::Tell(message) = effect { Some(Message::clone(message)) } else { None }
        };
        self.log.iter().filter_map(message).collect()
    }
}

fn act_words(act: &Act) -> &'static str {
    match act {
        Act::Start { .. } => "start",
        Act::Restart { .. } => "restart",
        Act::Stop { for_good: true, .. } => "stop for good",
        Act::Stop { .. } => "stop",
        Act::Signal { .. } => "signal",
        Act::Exec { .. } => "exec",
        Act::Snapshot { .. } => "snapshot",
        Act::Tail { .. } => "tail",
        Act::Top { .. } => "top",
    }
}

pub fn now(ms: u64) -> Now {
    Now { mono: Mono(ms * 1_000_000), wall: Wall(i64::try_from(ms).unwrap()) }
}
