//! History as a script: what was sampled, when processes died and appeared, and what people wanted.

use super::world::{Script, Step};
use crate::model::{
    Command, Dimension, Event, EventKind, Kind, MetricId, Mono, Name, Occurrence, Op, Plan, Question, Reading, Test,
    Wall,
};
use crate::store::{ReadError, Reader, Step as Each, Wholes};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// So many rows of all checks together are in memory.
const ROWS: usize = 400_000;
/// A check whose samples begin later than this after the begin has roll-ups before that, if it has anything.
const SLACK: i64 = 600_000;
/// Roll-ups are fetched by the day.
const DAY: i64 = 86_400_000;

/// What is known of a check.
#[derive(Debug, Default, Clone)]
pub(super) struct Known {
    /// How many samples there were, those that roll-ups stand for included.
    pub samples: u64,
    /// Until then there were roll-ups only.
    pub coarse_until: Option<Wall>,
    /// The metrics of which there was at least one number.
    pub numbers: u64,
    /// The metrics that were to be recorded.
    pub columns: u64,
    /// The metrics of which the whole was known at least once.
    pub wholes: u64,
}

/// One check's samples, part by part.
struct Stream {
    service: usize,
    check: usize,
    /// What rules ask of each metric in a roll-up.
    wanted: BTreeMap<MetricId, End>,
    columns: Vec<Option<MetricId>>,
    rows: VecDeque<(Wall, Vec<Option<f64>>)>,
    /// Of what metrics will be parts, from when on, and of what they are now.
    wholes: VecDeque<(Wall, MetricId, Option<f64>)>,
    whole: Vec<Option<f64>>,
    /// The sample of this time.
    current: (Wall, Vec<Option<f64>>),
    current_columns: Arc<[Option<MetricId>]>,
    /// Where the next part begins, and whether there is one.
    next: Wall,
    more: bool,
    /// Roll-ups come before this.
    raw_from: Wall,
    known: Known,
}

/// Which end of a minute decides whether all of it was bad.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Least,
    Greatest,
    /// Rules ask both ways.
    Mean,
}

/// See the head of this file.
pub(super) struct Recorded<'r> {
    reader: &'r Reader,
    plan: Arc<Plan>,
    from: Wall,
    to: Wall,
    streams: Vec<Stream>,
    by_place: HashMap<(usize, usize), usize>,
    heap: BinaryHeap<Reverse<(Wall, usize)>>,
    events: VecDeque<(Wall, Step)>,
    /// The sample of the row of which [`Step::Seen`] was given just now.
    pending: Option<(Wall, Step)>,
    pids: HashMap<usize, f64>,
    /// The first thing that could not be read.
    pub failed: Option<ReadError>,
    part: usize,
}

impl<'r> Recorded<'r> {
    /// Everything of these services from `from` until before `to`. The events are in order; those before `from` say how things
    /// stood then.
    pub fn new(reader: &'r Reader, plan: &Arc<Plan>, from: Wall, to: Wall, events: &[Event]) -> Recorded<'r> {
        let checks: usize = plan.services.iter().map(|service| service.checks.len()).sum();
        let mut recorded = Recorded {
            reader,
            plan: Arc::clone(plan),
            from,
            to,
            streams: Vec::new(),
            by_place: HashMap::new(),
            heap: BinaryHeap::new(),
            events: VecDeque::new(),
            pending: None,
            pids: HashMap::new(),
            failed: None,
            part: (ROWS / checks.max(1)).clamp(500, 50_000),
        };
        for (s, service) in plan.services.iter().enumerate() {
            for c in 0..service.checks.len() {
                if !matches!(*service.checks[c].kind, Kind::Control(_)) {
                    recorded.open(s, c);
                }
            }
        }
        for event in events {
            let place = plan.services.iter().position(|service| Some(&service.name) == event.service.as_ref());
            let step = place.and_then(|place| step_of(&event.kind, place, &plan.services[place].name));
            recorded.events.extend(step.map(|step| (event.at.max(from), step)));
        }
        recorded
    }

    /// What was known of a check.
    pub fn known(&self, service: usize, check: usize) -> Known {
        self.by_place.get(&(service, check)).map(|i| self.streams[*i].known.clone()).unwrap_or_default()
    }

    fn open(&mut self, service: usize, check: usize) {
        let mut stream = Stream {
            service,
            check,
            wanted: sides(&self.plan, service, check),
            columns: Vec::new(),
            rows: VecDeque::new(),
            wholes: VecDeque::new(),
            whole: vec![None; self.plan.services[service].checks[check].kind.metrics().len()],
            current: (self.from, Vec::new()),
            current_columns: Arc::from([]),
            next: self.from,
            more: true,
            raw_from: self.to,
            known: Known::default(),
        };
        let names = self.names(&stream);
        match self.reader.samples(&names.0, &names.1, self.from, self.to, 1) {
            Ok(first) => {
                let begin = first.rows.first().map_or(self.to, |(at, _)| *at);
                let coarse = begin.0 - self.from.0 > SLACK;
                let minute = Each::Minute.millis();
                stream.raw_from = if coarse { Wall(begin.0 - begin.0.rem_euclid(minute)) } else { self.from };
            }
            Err(e) => {
                self.failed.get_or_insert(e);
                return;
            }
        }
        self.load(&mut stream);
        let place = self.streams.len();
        self.by_place.insert((service, check), place);
        self.heap.extend(stream.rows.front().map(|(at, _)| Reverse((*at, place))));
        self.streams.push(stream);
    }

    fn names(&self, stream: &Stream) -> (Name, Name) {
        let service = &self.plan.services[stream.service];
        (Arc::clone(&service.name), Arc::clone(&service.checks[stream.check].name))
    }

    /// Fetches parts until there is a row, or nothing more.
    fn load(&mut self, stream: &mut Stream) {
        let (service, check) = self.names(stream);
        while stream.rows.is_empty() && stream.more {
            let read = if stream.next < stream.raw_from {
                self.load_minutes(stream, &service, &check)
            } else {
                self.load_samples(stream, &service, &check)
            };
            if let Err(e) = read {
                self.failed.get_or_insert(e);
                stream.more = false;
            }
        }
    }

    fn load_samples(&self, stream: &mut Stream, service: &str, check: &str) -> Result<(), ReadError> {
        let samples = self.reader.samples(service, check, stream.next, self.to, self.part)?;
        stream.more = samples.more;
        stream.next = samples.rows.last().map_or(self.to, |(at, _)| Wall(at.0 + 1));
        let kind = &self.plan.services[stream.service].checks[stream.check].kind;
        stream.columns = samples.metrics.iter().map(|name| kind.metric(name)).collect();
        stream.learn_columns();
        stream.rows = samples.rows.into();
        stream.learn_wholes(kind, samples.wholes, 1);
        Ok(())
    }

    /// Minutes as samples: so many as there were in each, and each as bad as all of them were.
    fn load_minutes(&self, stream: &mut Stream, service: &str, check: &str) -> Result<(), ReadError> {
        let to = Wall(stream.next.0 + DAY).min(stream.raw_from);
        let from = stream.next;
        let rollups = self.reader.rollups(service, check, Each::Minute, from, to)?;
        stream.next = to;
        stream.more = to < self.to;
        let kind = &self.plan.services[stream.service].checks[stream.check].kind;
        stream.columns = kind.metrics().iter().enumerate().map(|(i, _)| u8::try_from(i).ok().map(MetricId)).collect();
        let mut minutes: BTreeMap<i64, (u32, Vec<Option<f64>>)> = BTreeMap::new();
        for rollup in &rollups {
            let Some(id) = kind.metric(&rollup.metric) else { continue };
            let (samples, values) =
                minutes.entry(rollup.start.0).or_insert_with(|| (0, vec![None; stream.columns.len()]));
            *samples = (*samples).max(rollup.sum.samples);
            stream.known.columns |= 1 << id.0;
            let value = rollup.sum.mean().map(|mean| match stream.wanted.get(&id).copied().unwrap_or(End::Least) {
                End::Least => rollup.sum.min,
                End::Greatest => rollup.sum.max,
                End::Mean if kind.metrics()[usize::from(id.0)].dimension == Dimension::Flag => mean.round(),
                End::Mean => mean,
            });
            values[usize::from(id.0)] = value;
        }
        for (start, (samples, values)) in minutes {
            // Not more than could have been, whatever the database says.
            let samples = i64::from(samples.clamp(1, 600));
            for i in 0..samples {
                stream.rows.push_back((Wall(start + i * Each::Minute.millis() / samples), values.clone()));
            }
        }
        if !stream.rows.is_empty() {
            stream.known.coarse_until = Some(stream.raw_from);
            stream.learn_wholes(kind, self.reader.wholes(service, check, from, to)?, Each::Minute.millis());
        }
        Ok(())
    }

    /// The next row of the stream becomes its current one.
    fn advance(&mut self, place: usize) -> Option<(Wall, Step)> {
        let columns_changed = self.streams[place].current_columns[..] != self.streams[place].columns[..];
        let stream = &mut self.streams[place];
        if columns_changed {
            stream.current_columns = stream.columns.as_slice().into();
        }
        stream.current = stream.rows.pop_front()?;
        while let Some((_, id, whole)) = stream.wholes.pop_front_if(|(at, ..)| *at <= stream.current.0) {
            stream.whole[usize::from(id.0)] = whole;
        }
        stream.known.samples += 1;
        for (id, value) in stream.columns.iter().zip(&stream.current.1) {
            if let (Some(id), Some(_)) = (id, value) {
                stream.known.numbers |= 1 << id.0;
                stream.known.wholes |= u64::from(stream.whole[usize::from(id.0)].is_some()) << id.0;
            }
        }
        let (at, service, check) = (stream.current.0, stream.service, stream.check);
        if stream.rows.is_empty() {
            let mut stream = std::mem::replace(&mut self.streams[place], Stream::empty());
            self.load(&mut stream);
            self.streams[place] = stream;
        }
        self.heap.extend(self.streams[place].rows.front().map(|(at, _)| Reverse((*at, place))));
        let sample = Step::Sample(service, check);
        let checks = &self.plan.services[service].checks;
        let first_process = checks.iter().position(|check| matches!(*check.kind, Kind::Process(_)));
        if first_process != Some(check) {
            return Some((at, sample));
        }
        let kind = &checks[check].kind;
        let value = |name: &str| self.streams[place].value(kind.metric(name)?);
        let Some(down) = value("down") else { return Some((at, sample)) };
        let pid = value("pid");
        let anew = pid.is_some_and(|pid| self.pids.insert(service, pid).is_some_and(|before| before != pid));
        self.pending = Some((at, sample));
        Some((at, Step::Seen { service, alive: down == 0.0, anew, how: None }))
    }
}

impl Stream {
    /// Stands in while the real one is filled.
    fn empty() -> Stream {
        Stream {
            service: 0,
            check: 0,
            wanted: BTreeMap::new(),
            columns: Vec::new(),
            rows: VecDeque::new(),
            wholes: VecDeque::new(),
            whole: Vec::new(),
            current: (Wall(0), Vec::new()),
            current_columns: Arc::from([]),
            next: Wall(0),
            more: false,
            raw_from: Wall(0),
            known: Known::default(),
        }
    }

    fn learn_columns(&mut self) {
        self.columns.iter().flatten().for_each(|id| self.known.columns |= 1 << id.0);
    }

    /// What comes with the rows, which are of so many milliseconds.
    fn learn_wholes(&mut self, kind: &Kind, wholes: Wholes, each: i64) {
        self.wholes.clear();
        for (name, changes) in wholes {
            let Some(id) = kind.metric(&name).filter(|id| kind.metrics()[usize::from(id.0)].of_whole) else { continue };
            self.wholes.extend(changes.into_iter().map(|(at, whole)| (Wall(at.0 - at.0.rem_euclid(each)), id, whole)));
        }
        self.wholes.make_contiguous().sort_by_key(|(at, ..)| *at);
    }

    /// What the current row has of a metric.
    fn value(&self, metric: MetricId) -> Option<f64> {
        let column = self.current_columns.iter().position(|id| *id == Some(metric))?;
        self.current.1.get(column).copied().flatten()
    }
}

impl Script for Recorded<'_> {
    fn next_at(&self) -> Option<Mono> {
        let pending = self.pending.as_ref().map(|(at, _)| *at);
        let event = self.events.front().map(|(at, _)| *at);
        let row = self.heap.peek().map(|Reverse((at, _))| *at);
        let at = [pending, event, row].into_iter().flatten().min()?;
        Some(Mono(0) + (at - self.from))
    }

    fn step(&mut self) -> Option<Step> {
        if let Some((_, step)) = self.pending.take() {
            return Some(step);
        }
        let row = self.heap.peek().map(|Reverse((at, _))| *at);
        if let Some((at, _)) = self.events.front()
            && row.is_none_or(|row| *at <= row)
        {
            return self.events.pop_front().map(|(_, step)| step);
        }
        let Reverse((_, place)) = self.heap.pop()?;
        self.advance(place).map(|(_, step)| step)
    }

    fn readings(&mut self, service: usize, check: usize, at: Mono) -> Option<Vec<(MetricId, Reading)>> {
        let stream = &self.streams[*self.by_place.get(&(service, check))?];
        let asked = &self.plan.services[service].checks[check];
        let age: Duration = (self.from + (at - Mono(0))) - stream.current.0;
        if stream.known.samples == 0 || age > asked.stale_after() {
            return None;
        }
        let metrics = asked.kind.metrics();
        let bad = asked.kind.default_metric().and_then(|id| stream.value(id)).is_some_and(|value| value != 0.0);
        let mut readings = Vec::with_capacity(stream.current_columns.len() + 2);
        for (id, value) in stream.current_columns.iter().zip(&stream.current.1) {
            let Some(id) = *id else { continue };
            match value {
                Some(value) if metrics[usize::from(id.0)].dimension == Dimension::Flag => {
                    readings.push((id, Reading::Flag(*value != 0.0)));
                }
                Some(value) => readings.push((
                    id,
                    match stream.whole[usize::from(id.0)] {
                        Some(whole) => Reading::Part { value: *value, whole },
                        None => Reading::Number(*value),
                    },
                )),
                // What failed or is missing has no other values; otherwise it could not be asked for this one.
                None if bad => readings.push((id, Reading::Absent)),
                None => {}
            }
        }
        if matches!(*asked.kind, Kind::Process(_)) {
            // Whether it lives is decided by who was seen.
            readings.retain(|(id, _)| *id != MetricId(crate::model::kinds::Process::DOWN));
        }
        Some(readings)
    }

    /// Only where somebody waits for whether a process lives: what was asked in its turn is in the history, and a sample that
    /// came twice would count twice.
    fn answers(&self, question: &Question) -> bool {
        question.urgent && matches!(*question.kind, Kind::Process(_))
    }
}

/// What an event says of the world, as opposed to what minder thought of it.
fn step_of(kind: &EventKind, place: usize, service: &Name) -> Option<Step> {
    let asked = |command: Command| Some(Step::Happens(place, Occurrence::Asked(command)));
    let service = || Arc::clone(service);
    match kind {
        EventKind::Died { how, .. } => Some(Step::Seen { service: place, alive: false, anew: false, how: *how }),
        EventKind::Appeared { .. } | EventKind::Replaced { .. } => {
            Some(Step::Seen { service: place, alive: true, anew: true, how: None })
        }
        EventKind::Intended { up, by } if by.starts_with("the operator") => {
            Some(Step::Happens(place, Occurrence::Operator { up: *up }))
        }
        EventKind::Intended { up: true, by } if is_person(by) => asked(Command::Start { service: service() }),
        EventKind::Intended { up: false, by } if is_person(by) => asked(Command::Stop { service: service() }),
        EventKind::Acting { action, by } if action == "restart" && is_person(by) => {
            asked(Command::Restart { service: service() })
        }
        EventKind::Paused { .. } => asked(Command::Pause { service: service() }),
        EventKind::Resumed { .. } => asked(Command::Resume { service: service() }),
        _ => None,
    }
}

/// Whether somebody asked for it, and not a rule.
pub(super) fn is_person(by: &str) -> bool {
    by == "root" || by.strip_prefix("uid ").is_some_and(|uid| uid.bytes().all(|b| b.is_ascii_digit()))
}

/// Which end of a minute decides whether a rule's condition held for all of it.
fn sides(plan: &Plan, service: usize, check: usize) -> BTreeMap<MetricId, End> {
    let mut sides: BTreeMap<MetricId, End> = BTreeMap::new();
    for rule in &plan.services[service].rules {
        rule.when.each_turned(&mut |comparison, turned| {
            let metric = comparison.term.metric();
            if usize::from(metric.check) != check {
                return;
            }
            let high = match comparison.test {
                Test::Truth => Some(true),
                Test::Compare(Op::Greater | Op::GreaterOrEqual, _) => Some(true),
                Test::Compare(Op::Less | Op::LessOrEqual, _) => Some(false),
                _ => None,
            };
            let side = match high {
                Some(high) if high != turned => End::Least,
                Some(_) => End::Greatest,
                None => End::Mean,
            };
            let known = sides.entry(metric.metric).or_insert(side);
            if *known != side {
                *known = End::Mean;
            }
        });
    }
    sides
}
