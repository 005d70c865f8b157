//! The engine among services that are not there. Time is a number: it passes as fast as the engine decides.
//!
//! What a service is otherwise, its control, its process and its kernel, is simulated here: who lives, who is told of a death,
//! and what comes of an action. What its checks measure, and what happens by itself, comes from a [`Script`]: a scenario that
//! somebody wrote, or the history of what was.
//!
//! | action | what comes of it, where the script says nothing else |
//! |---|---|
//! | start | launched at once; a second later a process is there, and lives |
//! | stop | the process ends by TERM, at once |
//! | restart in one go | both |
//! | signal, exec, snapshot | done, at once, and nothing changes by it |
//! | message | taken, at once |
//!
//! The engine's own tests have another world (`engine/testing`), and share nothing with this one: theirs is made to be unfair
//! (reports that never come, plans that change, a minder that is killed), and its services are fields that a test sets; this one
//! is exact to the millisecond, and is driven by a script. What both have is the few lines that take effects apart.

use crate::engine::Engine;
use crate::model::controls::ControlSpec;
use crate::model::kinds::{Beat, Heartbeat, Process, Processes};
use crate::model::{
    Act, ActId, CheckId, ControlState, Delivery, Each, Effect, Event, EventKind, Exit, Found, Identity, Input, Kind,
    MetricId, Mono, Name, Now, Occurrence, Phase, Plan, Question, Reading, Record, Report, RequestId, Restored, Sample,
    Setting, Starting, Supervising, Wall,
};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// How long a start takes.
const STARTS_IN: Duration = Duration::from_secs(1);
/// The first process has the pid after this one.
const FIRST_PID: u32 = 1000;

/// What a script has next.
#[derive(Debug)]
pub(super) enum Step {
    /// The check at this place of the service at this place is sampled.
    Sample(usize, usize),
    /// Something happens to the service at this place.
    Happens(usize, Occurrence),
    /// The process of the service at this place was seen, or was looked for in vain.
    Seen {
        service: usize,
        alive: bool,
        /// It is another one than was seen before.
        anew: bool,
        /// How the one before has ended, where that is known.
        how: Option<Exit>,
    },
}

/// What happens by itself.
pub(super) trait Script {
    /// When the next step comes.
    fn next_at(&self) -> Option<Mono>;
    /// Takes the next step.
    fn step(&mut self) -> Option<Step>;
    /// What a check measures now; nothing if it could not be asked. Of a process that is not there, it is not looked at.
    fn readings(&mut self, service: usize, check: usize, at: Mono) -> Option<Vec<(MetricId, Reading)>>;
    /// The processes that a check of many finds; nothing if that is not known.
    fn each(&mut self, _service: usize, _check: usize, _at: Mono) -> Option<Arc<[Each]>> {
        None
    }
    /// Whether a question is answered. What is asked in its turn is otherwise answered by steps, at times that can be foretold.
    fn answers(&self, question: &Question) -> bool;
}

/// A service as it really is.
#[derive(Debug)]
struct Body {
    process: Option<Identity>,
    /// What its supervisor was told last.
    wanted: bool,
    /// Its supervisor is there, and has given it up.
    supervisor: bool,
    given_up: bool,
    starting: Starting,
    commands: bool,
    /// A start or restart is under way.
    busy: bool,
}

/// What is on its way to the engine.
#[derive(Debug)]
enum Coming {
    Input(Input),
    Sample(usize, usize),
    Appears(usize, ActId),
    Dies(Identity),
}

/// See the head of this file.
pub(super) struct World {
    pub engine: Engine,
    plan: Arc<Plan>,
    /// When it began, for people.
    began: Wall,
    now: Mono,
    bodies: Vec<Body>,
    places: HashMap<CheckId, (usize, usize)>,
    ids: BTreeMap<(usize, usize), CheckId>,
    watched: BTreeSet<Identity>,
    /// Notifiers that take nothing.
    failing: BTreeSet<Name>,
    /// Checks of processes whose file tells of a new one: a pidfile.
    told: BTreeSet<CheckId>,
    /// By time; of the same time, in order.
    coming: BTreeMap<Mono, VecDeque<Coming>>,
    pid: u32,
}

impl World {
    /// Every service is up, and minder starts. `see` is shown every effect, with its time.
    pub fn begin(plan: Arc<Plan>, began: Wall, script: &mut dyn Script, see: &mut dyn FnMut(Mono, &Effect)) -> World {
        let setting = Setting {
            host: "trial".to_owned(),
            instance: "trial".to_owned(),
            booted: Duration::from_secs(3600),
            no_act: false,
        };
        let now = Now { mono: Mono(0), wall: began };
        let (engine, effects) = Engine::new(Arc::clone(&plan), setting, Restored::default(), now);
        let body = |_| Body {
            process: None,
            wanted: true,
            supervisor: true,
            given_up: false,
            starting: Starting::Works,
            commands: true,
            busy: false,
        };
        let mut world = World {
            engine,
            bodies: plan.services.iter().map(body).collect(),
            plan,
            began,
            now: Mono(0),
            places: HashMap::new(),
            ids: BTreeMap::new(),
            watched: BTreeSet::new(),
            failing: BTreeSet::new(),
            told: BTreeSet::new(),
            coming: BTreeMap::new(),
            pid: FIRST_PID,
        };
        for service in 0..world.bodies.len() {
            world.appears(service);
        }
        // What happens at the begin has happened before minder looks.
        while script.next_at() == Some(Mono(0)) {
            match script.step() {
                Some(Step::Happens(service, occurrence)) => world.happens(service, occurrence),
                Some(Step::Sample(service, check)) => world.later(Duration::ZERO, Coming::Sample(service, check)),
                Some(Step::Seen { service, alive, anew, how }) => world.seen(service, alive, anew, how),
                None => break,
            }
        }
        world.perform(effects, script, see);
        world
    }

    /// Both clocks.
    pub fn now(&self) -> Now {
        Now { mono: self.now, wall: self.began + (self.now - Mono(0)) }
    }

    /// Lets time pass, with everything that happens until then and at that time.
    pub fn pass(&mut self, until: Mono, script: &mut dyn Script, see: &mut dyn FnMut(Mono, &Effect)) {
        loop {
            let wake = self.engine.next_wakeup();
            let coming = self.coming.first_key_value().map(|(at, _)| *at);
            let by_itself = script.next_at();
            let Some(next) = [wake, coming, by_itself].into_iter().flatten().min().filter(|next| *next <= until) else {
                break;
            };
            self.now = self.now.max(next);
            // What has happened is known before the checks of the same time are sampled.
            if coming.is_some_and(|at| at <= self.now) {
                self.arrives(script, see);
            } else if by_itself.is_some_and(|at| at <= self.now) {
                match script.step() {
                    Some(Step::Happens(service, occurrence)) => self.happens(service, occurrence),
                    Some(Step::Sample(service, check)) => self.sampled(service, check, script, see),
                    Some(Step::Seen { service, alive, anew, how }) => self.seen(service, alive, anew, how),
                    None => {}
                }
            } else {
                self.input(Input::Woken, script, see);
            }
        }
        self.now = self.now.max(until);
    }

    fn arrives(&mut self, script: &mut dyn Script, see: &mut dyn FnMut(Mono, &Effect)) {
        let Some(mut first) = self.coming.first_entry() else { return };
        let next = first.get_mut().pop_front();
        if first.get().is_empty() {
            first.remove();
        }
        match next {
            Some(Coming::Input(input)) => self.input(input, script, see),
            Some(Coming::Sample(service, check)) => self.sampled(service, check, script, see),
            Some(Coming::Appears(service, act)) => {
                self.appears(service);
                let control = self.plan.services[service].control.as_ref();
                if control.is_some_and(|control| !control.supervises()) {
                    // As one that goes to the background.
                    let report = Report::LaunchEnded { exit: Exit::Code(0), output: "".into() };
                    self.input(Input::Acted { id: act, report }, script, see);
                }
            }
            Some(Coming::Dies(identity)) => {
                let place = self.bodies.iter().position(|body| body.process == Some(identity));
                if let Some(service) = place {
                    self.ends(service, Some(Exit::Signal { number: 11, core: false }));
                }
            }
            None => {}
        }
    }

    fn input(&mut self, input: Input, script: &mut dyn Script, see: &mut dyn FnMut(Mono, &Effect)) {
        let effects = self.engine.handle(input, self.now());
        self.perform(effects, script, see);
    }

    fn sampled(&mut self, service: usize, check: usize, script: &mut dyn Script, see: &mut dyn FnMut(Mono, &Effect)) {
        let Some(id) = self.ids.get(&(service, check)).copied() else { return };
        if let Kind::Heartbeat(_) = *self.plan.services[service].checks[check].kind {
            return self.beats(service, check, script, see);
        }
        let sample = self.sample(service, check, script);
        self.input(Input::Sampled(vec![(id, Arc::new(sample))]), script, see);
    }

    /// What is not asked is told: it says that it is well, or that it is not, as the script has it.
    fn beats(&mut self, service: usize, check: usize, script: &mut dyn Script, see: &mut dyn FnMut(Mono, &Effect)) {
        let plan = Arc::clone(&self.plan);
        let of = &plan.services[service];
        let has_process = of.checks.iter().any(|check| matches!(*check.kind, Kind::Process(_) | Kind::Control(_)));
        if has_process && self.bodies[service].process.is_none() {
            return;
        }
        let readings = script.readings(service, check, self.now).unwrap_or_default();
        let says = |id: u8| readings.contains(&(MetricId(id), Reading::Flag(true)));
        let beat = match (says(Heartbeat::MISSING), says(Heartbeat::FAILED)) {
            (true, _) => Beat::Trigger,
            (false, true) => Beat::Failed { code: None },
            (false, false) => Beat::Well,
        };
        let check = Arc::clone(&of.checks[check].name);
        self.input(Input::Beat { service: Arc::clone(&of.name), check, beat }, script, see);
    }

    fn later(&mut self, after: Duration, coming: Coming) {
        self.coming.entry(self.now + after).or_default().push_back(coming);
    }

    // ---- services ----

    fn happens(&mut self, service: usize, occurrence: Occurrence) {
        match occurrence {
            Occurrence::Ends(how) => self.ends(service, how),
            Occurrence::Appears => self.appears(service),
            Occurrence::Starts(starting) => self.bodies[service].starting = starting,
            Occurrence::Commands(work) => self.bodies[service].commands = work,
            Occurrence::Operator { up } => {
                self.bodies[service].wanted = up;
                match up {
                    true if self.bodies[service].process.is_none() => self.appears(service),
                    false => self.ends(service, Some(Exit::Signal { number: 15, core: false })),
                    true => {}
                }
            }
            Occurrence::Supervisor(what) => {
                let body = &mut self.bodies[service];
                match what {
                    Supervising::Dies => body.supervisor = false,
                    Supervising::Returns => body.supervisor = true,
                    Supervising::GivesUp => body.given_up = true,
                }
            }
            Occurrence::Notifier { name, works: true } => drop(self.failing.remove(&name)),
            Occurrence::Notifier { name, works: false } => drop(self.failing.insert(name)),
            Occurrence::Asked(command) => {
                let asked = Input::Asked { request: RequestId(1), who: "root".into(), command };
                self.later(Duration::ZERO, Coming::Input(asked));
            }
        }
    }

    /// A new process is there. One that was there before it ends, and it is not known how.
    fn appears(&mut self, service: usize) {
        self.ends(service, None);
        self.pid += 1;
        let identity = Identity { pid: self.pid, start: u64::from(self.pid) };
        self.bodies[service].process = Some(identity);
        let checks = self.ids.range((service, 0)..(service + 1, 0)).map(|(_, id)| *id);
        let told: Vec<CheckId> = checks.filter(|id| self.told.contains(id)).collect();
        for id in told {
            self.later(Duration::ZERO, Coming::Input(Input::Touched(id)));
        }
        if let Starting::Dies(after) = self.bodies[service].starting
            && self.bodies[service].busy
        {
            self.later(after, Coming::Dies(identity));
        }
    }

    fn ends(&mut self, service: usize, how: Option<Exit>) {
        let Some(identity) = self.bodies[service].process.take() else { return };
        if self.watched.remove(&identity) {
            self.later(Duration::ZERO, Coming::Input(Input::Exited { identity, how }));
        }
    }

    /// What was seen of it in a world in which nobody acts. A start or restart under way here is to succeed.
    fn seen(&mut self, service: usize, alive: bool, anew: bool, how: Option<Exit>) {
        let lives = self.bodies[service].process.is_some();
        match alive {
            _ if self.bodies[service].busy => {}
            true if anew || !lives => self.appears(service),
            true => {}
            false => self.ends(service, how),
        }
    }

    /// What a check finds now.
    fn sample(&mut self, service: usize, check: usize, script: &mut dyn Script) -> Sample {
        let at = self.now();
        let body = &self.bodies[service];
        let kind = &self.plan.services[service].checks[check].kind;
        if let Kind::Control(_) = **kind {
            let word = if body.process.is_some() { "run" } else { "down" };
            let state = ControlState {
                alive: body.supervisor,
                wanted: Some(body.wanted),
                failed: body.given_up,
                phase: if body.process.is_some() { Phase::Running } else { Phase::Down },
                process: body.process.filter(|_| body.supervisor),
                word: word.into(),
                ..ControlState::default()
            };
            return sample_of(at, Found::Control(state), Vec::new());
        }
        let is_process = matches!(**kind, Kind::Process(_));
        if is_process && body.process.is_none() {
            let down = MetricId(Process::DOWN);
            let absent = (0..).map(MetricId).take(kind.metrics().len());
            let reading = |id| (id, if id == down { Reading::Flag(true) } else { Reading::Absent });
            return sample_of(at, Found::Nobody, absent.map(reading).collect());
        }
        let Some(mut readings) = script.readings(service, check, self.now) else {
            return Sample::unknown(at, "nothing is known of this time");
        };
        let mut found = Found::Unasked;
        if let Kind::Processes(_) = **kind
            && let Some(each) = script.each(service, check, self.now)
        {
            let count = MetricId(Processes::COUNT);
            if readings.iter().all(|(known, _)| *known != count) {
                readings.push((count, Reading::Number(each.len() as f64)));
            }
            found = Found::Each(each);
        }
        if let Some(process) = body.process.filter(|_| is_process) {
            found = Found::Process(process);
            readings.push((MetricId(Process::DOWN), Reading::Flag(false)));
            let pid = kind.metric("pid").filter(|id| readings.iter().all(|(known, _)| known != id));
            readings.extend(pid.map(|id| (id, Reading::Number(f64::from(process.pid)))));
        }
        readings.sort_by_key(|(id, _)| *id);
        sample_of(at, found, readings)
    }

    // ---- effects ----

    fn perform(&mut self, effects: Vec<Effect>, script: &mut dyn Script, see: &mut dyn FnMut(Mono, &Effect)) {
        for effect in effects {
            see(self.now, &effect);
            match effect {
                Effect::Ask(question) => self.asked(&question, script),
                Effect::Series(id, series) => {
                    let service = self.plan.services.iter().position(|service| service.name == series.service);
                    let Some(service) = service else { continue };
                    let checks = &self.plan.services[service].checks;
                    if let Some(check) = checks.iter().position(|check| check.name == series.check) {
                        self.places.insert(id, (service, check));
                        self.ids.insert((service, check), id);
                    }
                }
                Effect::Watch(identity) => {
                    if self.bodies.iter().any(|body| body.process == Some(identity)) {
                        self.watched.insert(identity);
                    } else {
                        let exited = Input::Exited { identity, how: None };
                        self.later(Duration::ZERO, Coming::Input(exited));
                    }
                }
                Effect::WatchPath(id, _) if self.is_process(id) => drop(self.told.insert(id)),
                Effect::Unwatch(identity) => drop(self.watched.remove(&identity)),
                Effect::Act(id, act) => self.act(id, &act),
                Effect::Send(parcel) => {
                    let outcome = match self.failing.contains(&parcel.to) {
                        false => Delivery::Delivered { plainly: None },
                        true => Delivery::Deferred { why: "it fails".into(), after: None },
                    };
                    let delivered = Input::Delivered { parcel: parcel.id, outcome };
                    self.later(Duration::ZERO, Coming::Input(delivered));
                }
                Effect::Record(Record::Event(Event {
                    service: Some(name),
                    kind: EventKind::Acted { action, .. },
                    ..
                })) if action == "restart" || action == "start" => {
                    if let Some(service) = self.place_of(&name) {
                        self.bodies[service].busy = false;
                    }
                }
                _ => {}
            }
        }
    }

    fn asked(&mut self, question: &Question, script: &mut dyn Script) {
        let is_control = matches!(*question.kind, Kind::Control(_));
        if is_control && !self.places.contains_key(&question.check) {
            // It has no series: it is known by what it asks.
            for (s, service) in self.plan.services.iter().enumerate() {
                if let Some(c) = service.checks.iter().position(|check| Arc::ptr_eq(&check.kind, &question.kind)) {
                    self.places.insert(question.check, (s, c));
                }
            }
        }
        let answered = is_control || script.answers(question);
        let Some((service, check)) = self.places.get(&question.check).copied().filter(|_| answered) else { return };
        let sample = self.sample(service, check, script);
        let answer = Input::Sampled(vec![(question.check, Arc::new(sample))]);
        self.later(Duration::ZERO, Coming::Input(answer));
    }

    fn act(&mut self, id: ActId, act: &Act) {
        let done = || Report::Done { words: "done".into() };
        match act {
            Act::Stop { service, for_good, control, .. } => {
                if let Some(service) = self.place_of(service) {
                    self.bodies[service].wanted &= !(*for_good && control.supervises());
                    self.bodies[service].busy = !for_good;
                    self.ends(service, Some(Exit::Signal { number: 15, core: false }));
                }
                self.report(id, done());
            }
            Act::Start { service, control, .. } => self.start(id, service, control, true),
            Act::Restart { service, control, by_hand } => self.start(id, service, control, *by_hand),
            Act::Exec { facts, .. } => {
                let service = facts.iter().find(|(name, _)| *name == "SERVICE").map(|(_, value)| value.as_str());
                let works =
                    service.and_then(|name| self.place_of(name)).is_none_or(|place| self.bodies[place].commands);
                let failed = || Report::Failed { why: "exited with code 1".into() };
                self.report(id, if works { done() } else { failed() });
            }
            Act::Tail { .. } | Act::Top { .. } => self.report(id, Report::Done { words: "".into() }),
            Act::Signal { .. } | Act::Snapshot { .. } => self.report(id, done()),
        }
    }

    fn start(&mut self, id: ActId, service: &str, control: &ControlSpec, by_hand: bool) {
        let Some(service) = self.place_of(service) else { return };
        let body = &mut self.bodies[service];
        if control.supervises() && !body.wanted && !by_hand {
            return self.report(id, Report::Failed { why: "not restarted: its operator has taken it down".into() });
        }
        if control.supervises() && !body.supervisor {
            return self.report(id, Report::Failed { why: "its supervisor is gone".into() });
        }
        (body.wanted, body.given_up, body.busy) = (true, false, true);
        let starting = body.starting;
        self.ends(service, Some(Exit::Signal { number: 15, core: false }));
        self.report(id, Report::Launched { process: None, leftovers: 0, remark: None });
        match starting {
            Starting::Works | Starting::Dies(_) => self.later(STARTS_IN, Coming::Appears(service, id)),
            Starting::Fails if control.supervises() => {
                self.report(id, Report::Failed { why: "it does not start".into() })
            }
            Starting::Fails => self.report(id, Report::LaunchEnded { exit: Exit::Code(1), output: "".into() }),
            Starting::Hangs => {}
        }
    }

    fn report(&mut self, id: ActId, report: Report) {
        self.later(Duration::ZERO, Coming::Input(Input::Acted { id, report }));
    }

    fn is_process(&self, id: CheckId) -> bool {
        let place = self.places.get(&id);
        place.is_some_and(|(s, c)| matches!(*self.plan.services[*s].checks[*c].kind, Kind::Process(_)))
    }

    fn place_of(&self, name: &str) -> Option<usize> {
        self.plan.services.iter().position(|service| &*service.name == name)
    }
}

fn sample_of(at: Now, found: Found, readings: Vec<(MetricId, Reading)>) -> Sample {
    Sample { at, took: Duration::ZERO, readings, note: None, found }
}
