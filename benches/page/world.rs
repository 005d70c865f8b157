//! A machine with 1,000 services and 5,000 checks, and 90 days behind it: a real engine and a real store, whose probes answer
//! at once what they would on a day with a little trouble.
//!
//! To generate all 90 days as a year of writing would leave them takes ten minutes and some gigabytes. What a query looks at is
//! there: the last quarter of an hour sample by sample, and two hours by the minute, of every check; 90 days by the day of every
//! check; 30 days by the minute and 90 by the hour of the checks of the first [`DEEP`] services; and 90 days of incidents.

use minder::dashboard::{Ask, Changes, Front};
use minder::engine::Engine;
use minder::model::*;
use minder::store::Store;
use rusqlite::{Connection, params};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

pub const SERVICES: usize = 1000;
/// Services that the public sees.
pub const PUBLIC: usize = 100;
/// Incidents a day, each with four events.
const TROUBLE: i64 = 200;
/// Services of which every roll-up is there.
pub const DEEP: usize = 4;
/// 2026-11-20 12:03:10 UTC.
const NOW: i64 = 1_795_176_190_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Samples of so long are written one by one.
const RECENT: i64 = 15 * MINUTE;
const EVERY: i64 = 10_000;

/// Goes on from a moment that is set.
struct Bench {
    started: Instant,
    offset: AtomicI64,
}

impl Clock for Bench {
    fn now(&self) -> Now {
        let gone = self.started.elapsed();
        let ahead = self.offset.load(Ordering::Relaxed);
        let mono = Mono((gone.as_nanos() as i64 + (RECENT + ahead) * 1_000_000) as u64);
        Now { mono, wall: Wall(NOW + ahead + gone.as_millis() as i64) }
    }
}

fn rules() -> String {
    let service = |i: usize| {
        format!(
            "  service-{i:04}:\n    group: group {}\n    tags: [team-{}]\n    public: {}\n    description: Does work number {i} for the shop\n    checks:\n      \
             - {{ process: /run/service-{i}.pid }}\n      - {{ name: front, http: 'http://127.0.0.1:{}/' }}\n      \
             - {{ name: health, http: 'http://127.0.0.1:{}/health' }}\n      - {{ name: port, tcp: '127.0.0.1:{}' }}\n      \
             - {{ name: admin, tcp: '127.0.0.1:{}' }}\n    rules:\n      - process.down -> notify\n      \
             - process.memory > 500MB for 5m -> notify\n      - process.cpu > 80% for 5m -> notify\n      \
             - front.latency > 1s for 1m -> notify\n      - health.failed for 3 of 5 -> notify\n      - port.failed for 1m -> notify\n      \
             - admin.failed for 1m -> notify\n",
            i % 20,
            i % 7,
            i < PUBLIC,
            2000 + i,
            2000 + i,
            4000 + i,
            6000 + i,
        )
    };
    let services: String = (0..SERVICES).map(service).collect();
    let page = "dashboard: { status: { title: Bench } }";
    format!("version: 1\n{page}\ndefaults: {{ every: 10s, timeout: 5s }}\nservices:\n{services}")
}

/// The plan of these rules.
pub fn plan(dir: &Path) -> Arc<Plan> {
    let file = dir.join("rules.yaml");
    std::fs::write(&file, rules()).unwrap();
    Arc::new(minder::config::parse(&minder::config::read_to_try(&file)).unwrap())
}

/// What a probe says: every fiftieth service does not answer on one port.
fn answer(question: &Question, at: Now, round: u64) -> Arc<Sample> {
    let number = u64::from(question.check.0);
    let noise =
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(round.wrapping_mul(0xbf58_476d_1ce4_e5b9)) >> 40;
    let part = noise as f64 / f64::from(1 << 24);
    let failed = number % 250 == 4;
    let (readings, found) = match question.kind.name() {
        "process" => (
            vec![
                (MetricId(0), Reading::Flag(false)),
                (MetricId(2), Reading::Number(number as f64 + 1000.0)),
                (MetricId(4), Reading::Number(part * 30.0)),
                (MetricId(6), Reading::Part { value: (1e8 + part * 1e8).round(), whole: 16e9 }),
            ],
            Found::Process(Identity { pid: number as u32 + 1000, start: 1 }),
        ),
        "http" => (
            vec![
                (MetricId(0), Reading::Flag(failed)),
                (MetricId(1), Reading::Number(200.0)),
                (MetricId(2), Reading::Number(0.002 + part * 0.01)),
            ],
            Found::Unasked,
        ),
        _ => (
            vec![(MetricId(0), Reading::Flag(failed)), (MetricId(1), Reading::Number(0.0002 + part * 0.001))],
            Found::Unasked,
        ),
    };
    Arc::new(Sample { at, took: Duration::from_micros(300), readings, note: None, found })
}

/// The daemon's loop without its hands.
struct Core {
    engine: Engine,
    store: Arc<Mutex<Store>>,
    changes: Changes,
    questions: Vec<Question>,
    round: u64,
    snapshot: Option<(Mono, Arc<Snapshot>)>,
}

impl Core {
    /// With every second of the last quarter of an hour, for checks are spread over their interval.
    fn of_recent_times(
        plan: Arc<Plan>,
        clock: &Bench,
        store: Arc<Mutex<Store>>,
        changes: Changes,
        restored: Restored,
    ) -> Core {
        let setting = Setting {
            host: "bench".to_owned(),
            instance: "i".to_owned(),
            booted: Duration::from_secs(9000),
            no_act: true,
        };
        let (engine, effects) = Engine::new(plan, setting, restored, clock.now());
        let mut core = Core { engine, store, changes, questions: Vec::new(), round: 0, snapshot: None };
        core.perform(effects);
        for second in 0..RECENT / 1000 {
            clock.offset.store(-RECENT + second * 1000 - clock.started.elapsed().as_millis() as i64, Ordering::Relaxed);
            core.turn(clock.now());
            // The writer has a turn each second; in this one the time of many passes.
            std::thread::sleep(Duration::from_millis(15));
        }
        core
    }

    async fn go_on(mut self, clock: &Bench, mut inbox: mpsc::Receiver<Ask>, busy: &Mutex<Duration>) {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        loop {
            let ask = tokio::select! {
                _ = second.tick() => None,
                ask = inbox.recv() => match ask {
                    Some(ask) => Some(ask),
                    None => return,
                },
            };
            let from = Instant::now();
            match ask {
                None => self.turn(clock.now()),
                Some(Ask::Snapshot(reply)) => drop(reply.send(self.snapshot(clock.now()))),
                Some(Ask::Vitals(reply)) => drop(reply.send(Arc::default())),
                Some(_) => {}
            }
            *busy.lock().unwrap() += from.elapsed();
        }
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        let mut records = Vec::new();
        for effect in effects {
            match effect {
                Effect::Ask(question) => self.questions.push(question),
                Effect::Series(check, series) => self.store.lock().unwrap().series(check, series),
                Effect::Keep(check, sample) => self.store.lock().unwrap().keep(check, &sample),
                Effect::Record(record) => {
                    if let Record::Event(event) = &record {
                        let (event, words) = (event.clone(), event.kind.to_string());
                        self.changes.push(Change { number: event.id, event, words });
                    }
                    records.push(record);
                }
                _ => {}
            }
        }
        if !records.is_empty() {
            drop(self.store.lock().unwrap().commit(records, Vec::new()));
        }
    }

    /// Everything that was asked is answered, and what is due is asked.
    fn turn(&mut self, now: Now) {
        self.round += 1;
        let answers = std::mem::take(&mut self.questions);
        let answers: Vec<_> = answers.iter().map(|q| (q.check, answer(q, now, self.round))).collect();
        if !answers.is_empty() {
            let effects = self.engine.handle(Input::Sampled(answers), now);
            self.perform(effects);
        }
        let effects = self.engine.handle(Input::Woken, now);
        self.perform(effects);
    }

    /// As the daemon does: anew at most ten times a second.
    fn snapshot(&mut self, now: Now) -> Arc<Snapshot> {
        match &self.snapshot {
            Some((at, known)) if now.mono - *at < Duration::from_millis(100) => known.clone(),
            _ => {
                let snapshot = Arc::new(self.engine.snapshot(now));
                self.snapshot = Some((now.mono, snapshot.clone()));
                snapshot
            }
        }
    }
}

/// All of it.
pub struct World {
    pub front: Arc<Front>,
    pub changes: Changes,
    pub store: Arc<Mutex<Store>>,
    pub dir: tempfile::TempDir,
    /// How long the loop was busy: its samples, and the snapshots that were asked of it.
    pub busy: Arc<Mutex<Duration>>,
    pub clock: Arc<dyn Clock>,
    _plans: watch::Sender<Arc<Plan>>,
}

impl World {
    /// Takes half a minute. The loop goes on, on a thread of its own: it samples every ten seconds.
    pub fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let plan = plan(dir.path());
        let clock = Arc::new(Bench { started: Instant::now(), offset: AtomicI64::new(-RECENT) });
        let state = dir.path().join("state");
        std::fs::create_dir(&state).unwrap();
        let (store, _) = Store::open(&state, "bench", clock.clone()).unwrap();
        let restored = trouble(&store);
        let (store, changes, busy) =
            (Arc::new(Mutex::new(store)), Changes::default(), Arc::new(Mutex::new(Duration::ZERO)));
        let (asks, inbox) = mpsc::channel(64);
        let (ready, is_ready) = std::sync::mpsc::channel();
        {
            let (plan, clock, store) = (Arc::clone(&plan), clock.clone(), Arc::clone(&store));
            let (changes, busy) = (changes.clone(), Arc::clone(&busy));
            // An engine stays on the thread that it was made on.
            std::thread::spawn(move || {
                let core = Core::of_recent_times(plan, &clock, store, changes, restored);
                clock.offset.store(-(clock.started.elapsed().as_millis() as i64), Ordering::Relaxed);
                ready.send(()).unwrap();
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(core.go_on(&clock, inbox, &busy));
            });
        }
        is_ready.recv().unwrap();
        // What is in memory is written before anything older comes.
        std::thread::sleep(Duration::from_secs(2));
        past(&state.join("history.db"));
        let (plans, of_plans) = watch::channel(plan);
        let front = Front::new(
            asks,
            changes.clone(),
            Arc::new(store.lock().unwrap().reader()),
            of_plans,
            Vec::new(),
            clock.clone(),
        );
        World { front, changes, store, dir, busy, clock, _plans: plans }
    }

    /// Something happens to a service, for those who follow along.
    pub fn happen(&self, number: u64, service: usize) {
        let event = Event {
            id: number,
            at: self.clock.now().wall,
            service: Some(format!("service-{service:04}").as_str().into()),
            incident: None,
            kind: EventKind::Noted { words: "something happened that is told in a sentence".into() },
        };
        self.changes.push(Change { number, words: event.kind.to_string(), event });
    }
}

/// Incidents of 90 days: of all services in turn, and of the second one every tenth. What was used of numbers.
fn trouble(store: &Store) -> Restored {
    let (mut event, mut incident) = (0, 0);
    let mut records = Vec::new();
    let mut tell = |at: i64, service: Option<&Name>, of: Option<u64>, kind: EventKind| {
        event += 1;
        Record::Event(Event { id: event, at: Wall(at), service: service.cloned(), incident: of, kind })
    };
    let started = EventKind::Started { version: "bench".into() };
    records.push(tell(NOW - 90 * DAY, None, None, started));
    for i in 0..90 * TROUBLE {
        incident += 1;
        let at = NOW - 90 * DAY + i * (DAY / TROUBLE);
        let number = if i % 10 == 0 { 1 } else { (i * 37) as usize % SERVICES };
        let service: Name = format!("service-{number:04}").as_str().into();
        let rule = "process.down".to_owned();
        let process = Identity { pid: 1000 + i as u32 % 30_000, start: 7 };
        for (after, kind) in [
            (0, EventKind::Died { process, how: Some(Exit::Code(1)) }),
            (
                1,
                EventKind::Fired {
                    rule: rule.clone(),
                    severity: Severity::Critical,
                    condition: "process.down".into(),
                    value: "process.down".into(),
                    note: None,
                    of: None,
                },
            ),
            (
                900,
                EventKind::Acted {
                    action: "restart".into(),
                    ok: true,
                    words: "it runs".into(),
                    took: 800,
                    output: None,
                },
            ),
            (30_000, EventKind::Resolved { rule: rule.clone(), after: 30_000, why: None, of: None }),
        ] {
            records.push(tell(at + after, Some(&service), Some(incident), kind));
        }
        records.push(Record::Incident(Incident {
            id: incident,
            service,
            opened: Wall(at),
            closed: Some(Wall(at + 30_000)),
            severity: Severity::Critical,
            title: "died (exit code 1)".into(),
            rules: [rule].into(),
            told: Default::default(),
            ack: None,
            escalated: 0,
        }));
        if records.len() > 2000 {
            let batch = std::mem::take(&mut records);
            assert!(store.commit(batch, Vec::new()).wait(Duration::from_secs(60)));
        }
    }
    assert!(store.commit(records, Vec::new()).wait(Duration::from_secs(60)));
    Restored { last_event: event, last_incident: incident, ..Restored::default() }
}

/// The roll-ups of what was before, written beside the store.
fn past(database: &Path) {
    let mut db = Connection::open(database).unwrap();
    db.busy_timeout(Duration::from_secs(60)).unwrap();
    let series: Vec<(i64, String, i64)> = db
        .prepare("SELECT id, service, json_array_length(metrics) FROM series ORDER BY id")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(series.len(), 5 * SERVICES, "every check is kept");
    let deep: Vec<String> = (0..DEEP).map(|i| format!("service-{i:04}")).collect();
    let begin = NOW - RECENT;
    for chunk in series.chunks(100) {
        let transaction = db.transaction().unwrap();
        for (id, service, metrics) in chunk {
            let is_deep = deep.contains(service);
            for (table, step, span) in [
                ("rollup_minute", MINUTE, if is_deep { 30 * DAY } else { 2 * HOUR }),
                ("rollup_hour", HOUR, if is_deep { 90 * DAY } else { 2 * HOUR }),
                ("rollup_day", DAY, 90 * DAY),
            ] {
                let mut insert = transaction
                    .prepare_cached(&format!("INSERT OR IGNORE INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?, ?)"))
                    .unwrap();
                let count = step / EVERY;
                for i in 1..=span / step {
                    let start = (begin - i * step).div_euclid(step) * step;
                    for metric in 0..*metrics {
                        let bad = metric == 0 && (i + id) % 97 == 0;
                        let mean =
                            if metric == 0 { f64::from(u8::from(bad)) / 4.0 } else { 20.0 + ((i * 7) % 13) as f64 };
                        insert
                            .execute(params![id, start, metric, count, count, 0.0, mean * 2.0, mean * count as f64])
                            .unwrap();
                    }
                }
            }
        }
        transaction.commit().unwrap();
    }
}
