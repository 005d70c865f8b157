//! What stands in for the daemon: a loop that answers, and a past.
#![allow(dead_code)] // shared by several tests, each of which uses a part

mod obey;

use super::fixture::{AT, DAY, HOSTILE, MINUTE, SECOND, ago, event, events, machine, past_incidents, snapshot};
use minder::dashboard::{
    Ask, AuditFilter, Bar, Changes, Curve, DaySums, EventFilter, Front, History, IncidentFilter, IncidentSpan,
    IncidentSums, MessageFilter, Often, Rollup, Samples, Step as Stretch, Sum, Wholes,
};
use minder::model::*;
use obey::obey;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// A past of which every look shows the same.
#[derive(Default)]
pub struct Past {
    /// Fails, with these words, if they are there.
    pub broken: Mutex<Option<String>>,
    /// All looks wait while this is so: the disk hangs.
    pub hangs: AtomicBool,
    /// Events that come on top.
    pub events: Mutex<Vec<Event>>,
    /// Incidents that come on top.
    pub incidents: Mutex<Vec<Incident>>,
    /// Who did what.
    pub audits: Mutex<Vec<Audit>>,
    /// All incidents that there are, the newest first, instead of those that are open.
    pub only: Mutex<Option<Vec<Incident>>>,
}

/// Between 0 and 1, the same for the same place.
fn noise(seed: i64) -> f64 {
    let mut x = seed.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x ^= x >> 31;
    (x.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f64 / f64::from(1 << 24)
}

impl Past {
    fn whole(&self) -> Result<(), String> {
        // A test that fails does not hang for ever.
        for _ in 0..5000 {
            if !self.hangs.load(Ordering::SeqCst) {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.broken.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

impl History for Past {
    fn events(&self, filter: &EventFilter) -> Result<Vec<Event>, String> {
        self.whole()?;
        let mut all = self.events.lock().unwrap().clone();
        all.extend(events());
        all.retain(|e| filter.service.is_none() || filter.service == e.service);
        all.retain(|e| filter.kind.as_deref().is_none_or(|k| k == e.kind.word()));
        all.retain(|e| filter.incident.is_none() || filter.incident == e.incident);
        all.retain(|e| filter.from.is_none_or(|from| e.at >= from) && filter.before.is_none_or(|before| e.id < before));
        if let Some(after) = filter.after {
            all.retain(|e| e.id > after);
            all.reverse();
        }
        all.truncate(filter.limit);
        Ok(all)
    }
    fn audits(&self, filter: &AuditFilter) -> Result<Vec<Audit>, String> {
        self.whole()?;
        let mut all = self.audits.lock().unwrap().clone();
        all.retain(|a| filter.who.as_ref().is_none_or(|who| *who == a.who));
        all.retain(|a| filter.from.is_none_or(|from| a.at >= from) && filter.before.is_none_or(|before| a.id < before));
        all.reverse();
        all.truncate(filter.limit);
        Ok(all)
    }
    fn incidents(&self, filter: &IncidentFilter) -> Result<Vec<Incident>, String> {
        self.whole()?;
        let mut all = self.only.lock().unwrap().clone().unwrap_or_else(|| {
            let open = snapshot().services.into_iter().filter_map(|s| s.incident);
            open.chain(past_incidents()).chain(self.incidents.lock().unwrap().clone()).collect()
        });
        all.retain(|i| filter.id.is_none_or(|id| id == i.id));
        all.retain(|i| filter.service.as_ref().is_none_or(|service| *service == i.service));
        all.retain(|i| filter.severity.is_none_or(|severity| severity == i.severity));
        all.retain(|i| filter.open.is_none_or(|open| open == i.closed.is_none()));
        all.retain(|i| filter.from.is_none_or(|from| i.closed.is_none_or(|closed| closed >= from)));
        all.retain(|i| filter.to.is_none_or(|to| i.opened < to) && filter.before.is_none_or(|before| i.id < before));
        all.sort_by_key(|i| std::cmp::Reverse(i.id));
        all.truncate(filter.limit);
        Ok(all)
    }
    fn incident_sums(&self, span: &IncidentSpan) -> Result<IncidentSums, String> {
        let filter = IncidentFilter {
            service: span.service.clone(),
            severity: span.severity,
            from: Some(span.from),
            limit: usize::MAX,
            ..IncidentFilter::default()
        };
        let mut all = self.incidents(&filter)?;
        all.retain(|i| i.opened >= span.from && i.opened < span.to);
        let lasted = |i: &Incident| (i.closed.unwrap_or(span.to).0 - i.opened.0) as u64;
        let over: Vec<&Incident> = all.iter().filter(|i| i.closed.is_some()).collect();
        let often = |of_rules: bool, rule: fn(&Incident) -> Option<String>| {
            let mut counts: Vec<Often> = Vec::new();
            for i in &all {
                let (service, rule) = (i.service.clone(), rule(i));
                if of_rules && rule.is_none() {
                    continue;
                }
                match counts.iter_mut().find(|often| often.service == service && often.rule == rule) {
                    Some(often) => often.count += 1,
                    None => counts.push(Often { service, rule, count: 1 }),
                }
            }
            counts.sort_by_key(|often| std::cmp::Reverse(often.count));
            counts
        };
        let ends = span.days.iter().skip(1).copied().chain([span.to]);
        let days = span.days.iter().zip(ends).map(|(start, end)| {
            let of_day = || all.iter().filter(|i| i.opened >= *start && i.opened < end);
            DaySums {
                start: *start,
                begun: of_day().count() as u64,
                worst: of_day().map(|i| i.severity).max(),
                open_for: of_day().map(lasted).sum(),
            }
        });
        Ok(IncidentSums {
            from: span.from,
            to: span.to,
            begun: all.len() as u64,
            recovered: over.len() as u64,
            mean_to_recover: over.iter().map(|i| lasted(i)).sum::<u64>().checked_div(over.len() as u64),
            open_for: all.iter().map(lasted).sum(),
            services: often(false, |_| None),
            rules: often(true, |i| i.rules.first().cloned()),
            days: days.collect(),
            more: false,
        })
    }
    fn bars(&self, service: &str, check: &str, from: Wall, to: Wall, buckets: usize) -> Result<Vec<Bar>, String> {
        self.whole()?;
        let step = (to.0 - from.0) / buckets as i64;
        let bar = |i: usize| {
            let start = Wall(from.0 + i as i64 * step);
            let back = (AT.0 - start.0) / MINUTE;
            let bad = match (service, check) {
                ("web", _) => (0..5).contains(&back) || (31..34).contains(&back),
                ("root-disk", _) => back < 127,
                ("mail-queue", _) => back < 53,
                ("worker", _) => (20..22).contains(&back),
                _ => false,
            };
            let unknown = service == "certificate" && back < 4;
            let samples = if start > AT { 0 } else { 12 };
            Bar { start, samples, bad: if bad { 7 } else { 0 }, unknown: if unknown { samples } else { 0 } }
        };
        Ok((0..buckets)
            .map(bar)
            .filter(|b| b.samples > 0 && !(service == "varnish" && b.start < ago(40 * MINUTE)))
            .collect())
    }
    fn sampled(&self, _: &str, from: Wall, to: Wall) -> Result<Option<(Wall, Wall)>, String> {
        self.whole()?;
        Ok(Some((from, to)))
    }
    fn samples(&self, service: &str, check: &str, from: Wall, to: Wall, limit: usize) -> Result<Samples, String> {
        self.whole()?;
        Ok(samples(service, check, from, to, 10 * SECOND, limit))
    }
    fn rollups(&self, service: &str, check: &str, step: Stretch, from: Wall, to: Wall) -> Result<Vec<Rollup>, String> {
        self.whole()?;
        let mut rollups = Vec::new();
        let samples = samples(service, check, from, to, step.millis(), usize::MAX);
        for (start, values) in samples.rows {
            for (metric, value) in samples.metrics.iter().zip(values) {
                let (count, value) = (u32::from(value.is_some()), value.unwrap_or(0.0));
                let sum = Sum { samples: 6, count, min: value, max: value, sum: value };
                rollups.push(Rollup { metric: metric.clone(), start, sum });
            }
        }
        Ok(rollups)
    }
    fn kept(&self, service: &str, check: &str) -> Result<Vec<String>, String> {
        self.whole()?;
        Ok(kept(service, check).iter().map(|metric| (*metric).to_owned()).collect())
    }
    fn curves(
        &self,
        service: &str,
        check: &str,
        metrics: &[String],
        from: Wall,
        to: Wall,
        parts: usize,
    ) -> Result<Vec<Curve>, String> {
        self.whole()?;
        let width = (to.0 - from.0) / parts as i64;
        let samples = samples(service, check, from, to, width.clamp(10 * SECOND, 30 * MINUTE) / 2, usize::MAX);
        let curve = |metric: &String| {
            let mut sums = vec![Sum::NONE; parts];
            if let Some(column) = samples.metrics.iter().position(|name| name == metric) {
                for (at, values) in &samples.rows {
                    let Some(value) = values[column] else { continue };
                    let one = Sum { samples: 1, count: 1, min: value, max: value, sum: value };
                    // What does not divide evenly is the last part's.
                    let part = &mut sums[(((at.0 - from.0) / width) as usize).min(parts - 1)];
                    *part = part.and(&one);
                }
            }
            let parts = sums.into_iter().enumerate().filter(|(_, sum)| sum.count > 0);
            let parts = parts.map(|(i, sum)| (Wall(from.0 + i as i64 * width), sum)).collect();
            Curve { metric: metric.clone(), parts }
        };
        Ok(metrics.iter().map(curve).collect())
    }
    fn wholes(&self, service: &str, check: &str, from: Wall, _: Wall) -> Result<Wholes, String> {
        self.whole()?;
        let mut wholes = Wholes::new();
        if (service, check) == ("root-disk", "filesystem") {
            // It grew an hour and a half ago.
            wholes.insert("used".into(), vec![(from, Some(3.9e10)), (ago(90 * MINUTE), Some(4e10))]);
        }
        Ok(wholes)
    }
    fn messages(&self, filter: &MessageFilter) -> Result<Vec<MessageView>, String> {
        self.whole()?;
        let mut all: Vec<MessageView> = messages().iter().map(view).collect();
        all.retain(|m| filter.state.is_none_or(|state| state == m.state));
        all.retain(|m| filter.notifier.as_deref().is_none_or(|notifier| notifier == m.notifier));
        all.retain(|m| filter.service.is_none() || filter.service.as_deref() == m.service.as_deref());
        all.retain(|m| filter.incident.is_none() || filter.incident == m.incident);
        all.retain(|m| filter.from.is_none_or(|from| m.at >= from) && filter.before.is_none_or(|before| m.id < before));
        all.reverse();
        all.truncate(filter.limit);
        Ok(all)
    }
    fn message(&self, id: MessageId) -> Result<Option<MessageView>, String> {
        self.whole()?;
        Ok(messages().iter().find(|m| m.id == id).map(view))
    }
    fn dead(&self, ids: &[MessageId]) -> Result<Vec<Message>, String> {
        let dead = self.all_dead(None, usize::MAX)?;
        Ok(dead.into_iter().filter(|m| ids.contains(&m.id)).collect())
    }
    fn all_dead(&self, notifier: Option<&str>, limit: usize) -> Result<Vec<Message>, String> {
        self.whole()?;
        let dead = messages().into_iter().filter(|m| m.state == MessageState::Dead);
        Ok(dead.filter(|m| notifier.is_none_or(|notifier| *m.to == *notifier)).take(limit).collect())
    }
}

/// A message of each kind of end, in the order of their numbers.
pub fn messages() -> Vec<Message> {
    use MessageKind::{Firing, Resolved};
    use MessageState::{Dead, Delivered, Dropped, Waiting};
    let at = |seconds: i64| Wall(ago(4 * MINUTE).0 + seconds * SECOND);
    let message = |id, to: &str, kind, title: &str, state, steps: Vec<(i64, Stage, Why)>| {
        let told = (0, Stage::Incident, Why::Told { of: title.into() });
        let steps = std::iter::once(told).chain(steps);
        let service = title.split([':', ' ']).next().unwrap_or_default().to_owned();
        Message {
            id: MessageId(id),
            key: format!("key-{id}"),
            to: to.into(),
            kind,
            at: at(0),
            expires: at(86_400),
            story: Story { service, incident: Some(41), title: title.into(), ..Story::default() },
            state,
            steps: steps.map(|(after, stage, why)| Step { at: at(after), stage, why }).collect(),
        }
    };
    let deferred = |error: &str, until| Why::Deferred { error: error.into(), until: at(until) };
    let busy = "the server is not there";
    vec![
        message(
            7,
            "ops",
            Firing,
            "web: process.down",
            Waiting,
            vec![(1, Stage::Deliver, deferred(busy, 2)), (2, Stage::Deliver, deferred(busy, 4))],
        ),
        message(
            8,
            "chat",
            Firing,
            "web: process.down",
            Delivered,
            vec![
                (0, Stage::Group, Why::Gathers { until: at(10) }),
                (10, Stage::Group, Why::Together { count: 3 }),
                (11, Stage::Deliver, Why::Taken),
            ],
        ),
        message(
            9,
            "chat",
            Firing,
            HOSTILE,
            Dead,
            vec![
                (1, Stage::Deliver, deferred("503 Service Unavailable", 2)),
                (3, Stage::Deliver, Why::Refused { error: "404 Not Found".into() }),
            ],
        ),
        message(
            10,
            "night",
            Firing,
            "mail-queue: exec.failed",
            Dropped,
            vec![
                (0, Stage::Schedule, Why::OutsideHours { until: Some(at(3600)) }),
                (60, Stage::Deduplicate, Why::Merged { into: MessageId(11) }),
            ],
        ),
        message(
            11,
            "night",
            Resolved,
            "mail-queue is ok again",
            Dropped,
            vec![(
                60,
                Stage::Silence,
                Why::Silenced {
                    silence: Some(2),
                    by: "root".into(),
                    reason: "moved to a new disk".into(),
                    until: at(7200),
                },
            )],
        ),
        message(12, "ops", Firing, "root-disk: filesystem.used", Waiting, vec![]),
    ]
}

fn view(message: &Message) -> MessageView {
    let steps = message.steps.clone();
    MessageView {
        id: message.id.0,
        notifier: message.to.to_string(),
        kind: message.kind.word().to_owned(),
        service: Some(message.story.service.clone()),
        incident: message.story.incident,
        title: message.story.title.clone(),
        state: message.state,
        at: message.at,
        expires: message.expires,
        ended: steps.last().filter(|_| message.state != MessageState::Waiting).map(|step| step.at),
        attempts: steps.iter().filter(|step| step.why.is_attempt()).count() as u32,
        why: steps.last().map(|step| step.why.to_string()),
        steps,
    }
}

/// What is kept of a check.
fn kept(service: &str, check: &str) -> &'static [&'static str] {
    match (service, check) {
        ("postgresql", "process") => &["down", "memory", "cpu", "threads"],
        (_, "process") => &["down", "memory", "cpu"],
        (_, "filesystem") => &["used"],
        (_, "system") => &["cpu", "memory", "load1", "pressure.io"],
        (_, "young") => &[],
        _ => &["failed", "latency"],
    }
}

/// A sample at every `step`, until now.
fn samples(service: &str, check: &str, from: Wall, to: Wall, step: i64, limit: usize) -> Samples {
    let metrics = kept(service, check);
    let row = |at: i64| {
        let wave = (noise(at / 240_000) * 0.25 + noise(at / 10_000) * 0.06).min(1.0);
        let gone = service == "web" && (AT.0 - at) < 5 * MINUTE;
        let value = |name: &&str| match *name {
            "pressure.io" => Some((wave * 40.0).round() / 10.0),
            "load1" => Some((wave * 700.0).round() / 100.0),
            "memory" if check == "system" => Some((4.1e9 + 4e9 * wave).round()),
            "memory" if gone => None,
            "memory" => Some((2.6e8 + 4e8 * wave).round()),
            "cpu" => Some((1800.0 + 6000.0 * wave).round() / 100.0),
            "used" => Some(3.74e10 - 1e4 * ((AT.0 - at) / SECOND) as f64),
            "threads" => Some((8.0 + 5.0 * wave).round()),
            "latency" => Some(if gone { 0.0004 } else { 0.0011 + 0.004 * wave * wave }),
            _ => Some(0.0),
        };
        (Wall(at), metrics.iter().map(value).collect())
    };
    // Two months at most, whatever is asked for.
    let (first, end) = (from.0.max(AT.0 - 60 * DAY), to.0.min(AT.0 + 1));
    let mut times = (first.div_euclid(step)..).map(|i| i * step).filter(|at| *at >= first).take_while(|at| *at < end);
    let rows = times.by_ref().take(limit).map(row).collect();
    Samples {
        metrics: metrics.iter().map(|m| (*m).to_owned()).collect(),
        rows,
        more: times.next().is_some(),
        ..Samples::default()
    }
}

/// The plan that these rules make.
pub fn plan(rules: &str) -> Plan {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("minder.yaml");
    std::fs::write(&file, rules).unwrap();
    load(&file)
}

/// The plan that the rules at this path make.
pub fn load(path: &std::path::Path) -> Plan {
    let loaded = minder::config::load(path, &minder::config::Env::from_process());
    loaded.unwrap_or_else(|report| panic!("{report}")).0
}

/// A clock that stands still, until it is told how much time passes.
#[derive(Default)]
pub struct Still(AtomicU64);

impl Still {
    pub fn pass(&self, time: Duration) {
        self.0.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }
}

impl Clock for Still {
    fn now(&self) -> Now {
        let passed = self.0.load(Ordering::Relaxed);
        Now { mono: Mono(passed), wall: AT + Duration::from_nanos(passed) }
    }
}

/// Everything at once: what stands in for the daemon, and hands to change it.
pub struct World {
    pub front: Arc<Front>,
    /// The plan in effect, to be changed.
    pub plans: watch::Sender<Arc<Plan>>,
    /// What the page has had kept: sessions, and who did what.
    pub kept: Arc<Mutex<Vec<Record>>>,
    pub clock: Arc<Still>,
    pub now: Arc<Mutex<Snapshot>>,
    /// How minder itself fares.
    pub vitals: Arc<Mutex<Vitals>>,
    pub past: Arc<Past>,
    pub changes: Changes,
    /// Who asked for what.
    pub asked: Arc<Mutex<Vec<(String, Command)>>>,
    /// Which control was said to have news of which service.
    pub nudged: Arc<Mutex<Vec<String>>>,
    /// Those who wait for a restart of `slow`, which ends when the test says so.
    pub waiting: Arc<Mutex<Vec<oneshot::Sender<Answer>>>>,
    /// Whether commands are done, instead of a few only.
    pub obeys: Arc<AtomicBool>,
}

impl World {
    /// Needs a tokio runtime.
    pub fn new(snapshot: Snapshot) -> World {
        World::by(snapshot, "version: 1\nservices: { machine: { checks: [{ system: {} }] } }")
    }

    /// The same by these rules, of which the page looks at `dashboard` above all. Needs a tokio runtime.
    pub fn by(snapshot: Snapshot, rules: &str) -> World {
        World::again(snapshot, rules, Vec::new())
    }

    /// The same, with sessions of an earlier one.
    pub fn again(snapshot: Snapshot, rules: &str, sessions: Vec<Session>) -> World {
        let plan = plan(rules);
        let (asks, mut inbox) = mpsc::channel(64);
        let changes = Changes::default();
        let past = Arc::new(Past::default());
        let now = Arc::new(Mutex::new(snapshot));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let nudged = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::new(Mutex::new(Vec::new()));
        let (its_kept, its_past) = (kept.clone(), past.clone());
        let vitals = Arc::new(Mutex::new(Vitals::default()));
        let its_vitals = vitals.clone();
        let (its_now, its_asked, its_nudged) = (now.clone(), asked.clone(), nudged.clone());
        let waiting = Arc::new(Mutex::new(Vec::new()));
        let its_waiting = waiting.clone();
        let obeys = Arc::new(AtomicBool::new(false));
        let its_obeys = obeys.clone();
        tokio::spawn(async move {
            while let Some(ask) = inbox.recv().await {
                match ask {
                    Ask::Snapshot(reply) => drop(reply.send(Arc::new(its_now.lock().unwrap().clone()))),
                    Ask::Vitals(reply) => drop(reply.send(Arc::new(its_vitals.lock().unwrap().clone()))),
                    Ask::Command { who, command, reply } => {
                        its_asked.lock().unwrap().push((who.to_string(), command.clone()));
                        match &command {
                            Command::Restart { service } if **service == *"slow" => {
                                its_waiting.lock().unwrap().push(reply);
                                continue;
                            }
                            _ => {}
                        }
                        if its_obeys.load(Ordering::Relaxed)
                            && let Some(answer) = obey(&who, &command, &mut its_now.lock().unwrap())
                        {
                            drop(reply.send(answer));
                            continue;
                        }
                        match &command {
                            Command::Restart { service } => {
                                drop(reply.send(Answer { ok: true, words: format!("{service} is up as pid 4711") }));
                            }
                            Command::NotifyTest { .. } => {
                                drop(reply.send(Answer { ok: true, words: "delivered".into() }));
                            }
                            Command::Silence { scope, reason, lasts, .. } => {
                                let mut now = its_now.lock().unwrap();
                                let id = now.silences.last().map_or(1, |last| last.id + 1);
                                let until = Wall(now.at.0 + *lasts as i64);
                                let (since, by) = (now.at, who.to_string());
                                let (scope, reason, holder) = (scope.clone(), reason.clone(), None);
                                now.silences.push(Silence { id, scope, reason, by, since, until, holder });
                                drop(reply.send(Answer { ok: true, words: format!("silence {id}") }));
                            }
                            Command::Unsilence { silences, .. } => {
                                let mut now = its_now.lock().unwrap();
                                now.silences.retain(|silence| !silences.contains(&silence.id));
                                drop(reply.send(Answer { ok: true, words: "told again".into() }));
                            }
                            other => {
                                drop(reply.send(Answer { ok: false, words: format!("cannot do this: {other:?}") }));
                            }
                        }
                    }
                    Ask::Resend { who, messages, reply } => {
                        let ids: Vec<u64> = messages.iter().map(|message| message.id.0).collect();
                        drop(reply.send(Answer { ok: true, words: format!("{ids:?} are sent again for {who}") }));
                    }
                    Ask::Ended { reply, .. } => drop(reply.send(false)),
                    Ask::Beat { reply, .. } => drop(reply.send(Err("minder knows no heartbeat".to_owned()))),
                    Ask::Nudge { control, name } => its_nudged.lock().unwrap().push(format!("{control} {name}")),
                    Ask::Machine(reply) => drop(reply.send(Arc::new(machine()))),
                    Ask::Record(record) => {
                        if let Record::Audit(audit) = &record {
                            let mut audits = its_past.audits.lock().unwrap();
                            let id = audits.len() as u64 + 1;
                            audits.push(Audit { id, ..(**audit).clone() });
                        }
                        its_kept.lock().unwrap().push(record);
                    }
                    Ask::Reload(reply) => {
                        let words = "shop.yaml:3:5: unknown key `chekcs`\nThe old rules stay in effect.";
                        drop(reply.send(Answer { ok: false, words: words.into() }));
                    }
                }
            }
        });
        let clock = Arc::new(Still::default());
        let (plans, of_plans) = watch::channel(Arc::new(plan));
        let front = Front::new(asks, changes.clone(), past.clone(), of_plans, sessions, clock.clone());
        World { front, plans, clock, now, vitals, past, changes, asked, nudged, kept, waiting, obeys }
    }

    /// Something happens: the snapshot changes, and those who follow along are told.
    pub fn happen(&self, kind: EventKind, change: impl FnOnce(&mut Snapshot)) {
        self.happen_to("web", kind, change);
    }

    /// The same, to this service.
    pub fn happen_to(&self, service: &str, kind: EventKind, change: impl FnOnce(&mut Snapshot)) {
        let mut now = self.now.lock().unwrap();
        now.at = Wall(now.at.0 + SECOND);
        change(&mut now);
        let mut events = self.past.events.lock().unwrap();
        let event = event(200 + events.len() as u64, now.at, service, None, kind);
        events.insert(0, event.clone());
        self.changes.push(Change { number: event.id, words: event.kind.to_string(), event });
    }
}
