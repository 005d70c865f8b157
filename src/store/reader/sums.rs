//! Incidents in sums: how many, how long, and of what.

use super::state::{Where, incident};
use super::{ReadError, Reader};
use crate::model::{Incident, Name, Severity, Wall};
use rusqlite::params_from_iter;
use schemars::JsonSchema;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::HashMap;

/// No more incidents than this are summed up: what is not, is said.
const MOST: usize = 100_000;
/// So many of the services, and of the rules, that fail most often.
const MOST_FREQUENT: usize = 10;

/// Which incidents to sum up.
#[derive(Debug, Clone, Default)]
pub struct IncidentSpan {
    /// From then on,
    pub from: Wall,
    /// until before then.
    pub to: Wall,
    /// When each day within begins: they are as long as the clock of their readers has it.
    pub days: Vec<Wall>,
    /// Of this service; of minder itself, if it is empty.
    pub service: Option<Name>,
    /// That were as bad as this, at their worst.
    pub severity: Option<Severity>,
}

/// Incidents of a span in sums.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct IncidentSums {
    /// From then on,
    pub from: Wall,
    /// until before then.
    pub to: Wall,
    /// So many began.
    pub begun: u64,
    /// So many of these are over.
    pub recovered: u64,
    /// How long these lasted on the mean, in milliseconds.
    pub mean_to_recover: Option<u64>,
    /// For so many milliseconds of the span at least one was open, those among them that began before it.
    pub open_for: u64,
    /// The services of which most began.
    pub services: Vec<Often>,
    /// The rules of which most began, each with its service.
    pub rules: Vec<Often>,
    /// The days, one after the other.
    pub days: Vec<DaySums>,
    /// There were more: they are not counted.
    pub more: bool,
}

/// What there was often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Often {
    /// The service; empty if it is minder itself.
    pub service: Name,
    /// The rule, if it is one that is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// How often.
    pub count: u64,
}

/// The incidents of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DaySums {
    /// When it begins.
    pub start: Wall,
    /// So many began in it.
    pub begun: u64,
    /// The worst of these.
    pub worst: Option<Severity>,
    /// For so many milliseconds of it at least one was open.
    pub open_for: u64,
}

impl Reader {
    /// Incidents in sums.
    pub fn incident_sums(&self, span: &IncidentSpan) -> Result<IncidentSums, ReadError> {
        let which = chosen(span);
        let sql = format!("SELECT data FROM incident{} LIMIT {}", which.sql, MOST + 1);
        self.state.read(|connection| {
            let mut sums = Sums::of(span);
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params_from_iter(which.values))?;
            while let Some(row) = rows.next()? {
                // One that cannot be read is of a later version.
                if let Some(incident) = incident(row)? {
                    sums.add(incident);
                }
            }
            Ok(sums.done())
        })
    }
}

/// Those that were open at some time of the span. Both halves of the end's condition are answered by the index on it.
fn chosen(span: &IncidentSpan) -> Where {
    let mut which = Where::default();
    which.and("opened < ?", Some(span.to.0));
    which.and("(closed IS NULL OR closed >= ?)", Some(span.from.0));
    which.and("service = ?", span.service.as_deref().map(str::to_owned));
    which.and("severity = ?", span.severity.map(|severity| severity.to_string()));
    which
}

/// Sums in the making.
struct Sums {
    sums: IncidentSums,
    seen: usize,
    lasted: u64,
    /// When one was open, within the span.
    open: Vec<(i64, i64)>,
    services: HashMap<Name, u64>,
    rules: HashMap<(Name, String), u64>,
}

impl Sums {
    fn of(span: &IncidentSpan) -> Sums {
        let day = |start: &Wall| DaySums { start: *start, begun: 0, worst: None, open_for: 0 };
        let days = span.days.iter().map(day).collect();
        Sums {
            sums: IncidentSums { from: span.from, to: span.to, days, ..IncidentSums::default() },
            seen: 0,
            lasted: 0,
            open: Vec::new(),
            services: HashMap::new(),
            rules: HashMap::new(),
        }
    }

    fn add(&mut self, incident: Incident) {
        self.seen += 1;
        if self.seen > MOST {
            self.sums.more = true;
            return;
        }
        let (from, to) = (self.sums.from, self.sums.to);
        let (start, end) = (incident.opened.max(from), incident.closed.map_or(to, |closed| closed.min(to)));
        if start < end {
            self.open.push((start.0, end.0));
        }
        if incident.opened < from {
            return;
        }
        self.sums.begun += 1;
        if let Some(closed) = incident.closed {
            self.sums.recovered += 1;
            let lasted = u64::try_from((closed - incident.opened).as_millis()).unwrap_or(u64::MAX);
            self.lasted = self.lasted.saturating_add(lasted);
        }
        let day = self.sums.days.partition_point(|day| day.start <= incident.opened);
        if let Some(day) = day.checked_sub(1).and_then(|day| self.sums.days.get_mut(day)) {
            day.begun += 1;
            day.worst = day.worst.max(Some(incident.severity));
        }
        *self.services.entry(incident.service.clone()).or_default() += 1;
        for rule in incident.rules {
            *self.rules.entry((incident.service.clone(), rule)).or_default() += 1;
        }
    }

    fn done(mut self) -> IncidentSums {
        self.sums.mean_to_recover = self.lasted.checked_div(self.sums.recovered);
        self.open.sort_unstable();
        let mut until = i64::MIN;
        for (start, end) in self.open {
            // What several were open in counts once.
            let start = start.max(until);
            until = until.max(end);
            if start < end {
                self.sums.open_for += end.abs_diff(start);
                open_in_days(&mut self.sums.days, self.sums.to.0, start, end);
            }
        }
        self.sums.services =
            most_frequent(self.services.into_iter().map(|(service, count)| Often { service, rule: None, count }));
        let rules = self.rules.into_iter();
        self.sums.rules =
            most_frequent(rules.map(|((service, rule), count)| Often { service, rule: Some(rule), count }));
        self.sums
    }
}

fn open_in_days(days: &mut [DaySums], to: i64, start: i64, end: i64) {
    let first = days.partition_point(|day| day.start.0 <= start).saturating_sub(1);
    for i in first..days.len() {
        let next = days.get(i + 1).map_or(to, |day| day.start.0);
        let (from, until) = (start.max(days[i].start.0), end.min(next));
        if from < until {
            days[i].open_for += until.abs_diff(from);
        }
        if end <= next {
            break;
        }
    }
}

fn most_frequent(all: impl Iterator<Item = Often>) -> Vec<Often> {
    let mut all: Vec<Often> = all.collect();
    all.sort_by(|a, b| (Reverse(a.count), &a.service, &a.rule).cmp(&(Reverse(b.count), &b.service, &b.rule)));
    all.truncate(MOST_FREQUENT);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Clock, Now, Record};
    use crate::store::Store;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Now {
            Now::default()
        }
    }

    /// A store with these incidents.
    fn kept(incidents: &[Incident]) -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), "boot", Arc::new(Still)).unwrap();
        let records = incidents.iter().cloned().map(Record::Incident).collect();
        assert!(store.commit(records, Vec::new()).wait(Duration::from_secs(20)));
        (dir, store)
    }

    fn any_incident() -> impl Strategy<Value = Incident> {
        let severity = prop_oneof![Just(Severity::Info), Just(Severity::Warning), Just(Severity::Critical)];
        let rules = proptest::collection::btree_set(
            prop_oneof![Just("process.down"), Just("http.failed"), Just("full")].prop_map(str::to_owned),
            0..3,
        );
        // Some end before they begin: a clock may be set back.
        (0i64..300, proptest::option::of(-10i64..120), "(|web|db|mail)", severity, rules).prop_map(
            |(opened, lasts, service, severity, rules)| Incident {
                id: 0,
                service: service.as_str().into(),
                opened: Wall(opened),
                closed: lasts.map(|lasts| Wall(opened + lasts)),
                severity,
                title: "it".into(),
                rules,
                told: Default::default(),
                ack: None,
                escalated: 0,
            },
        )
    }

    /// The same, millisecond by millisecond.
    fn naive(all: &[Incident], span: &IncidentSpan) -> IncidentSums {
        let mine: Vec<&Incident> = all
            .iter()
            .filter(|i| span.service.as_ref().is_none_or(|name| *name == i.service))
            .filter(|i| span.severity.is_none_or(|severity| severity == i.severity))
            .collect();
        let open_at = |at: i64| mine.iter().any(|i| i.opened.0 <= at && i.closed.is_none_or(|closed| at < closed.0));
        let open_in = |from: i64, to: i64| (from..to).filter(|at| open_at(*at)).count() as u64;
        let in_span = |i: &&&Incident| i.opened >= span.from && i.opened < span.to;
        // What ended before the span is not of it, wherever a clock that was set back says that it began.
        let begun: Vec<&&Incident> =
            mine.iter().filter(in_span).filter(|i| i.closed.is_none_or(|closed| closed >= span.from)).collect();
        let lasted: Vec<u64> = begun.iter().filter_map(|i| Some((i.closed?.0 - i.opened.0).max(0) as u64)).collect();
        let often = |counts: BTreeMap<(Name, Option<String>), u64>| {
            let mut all: Vec<Often> =
                counts.into_iter().map(|((service, rule), count)| Often { service, rule, count }).collect();
            all.sort_by_key(|often| Reverse(often.count));
            all.truncate(MOST_FREQUENT);
            all
        };
        let (mut services, mut rules) = (BTreeMap::new(), BTreeMap::new());
        for i in &begun {
            *services.entry((i.service.clone(), None)).or_default() += 1;
            for rule in &i.rules {
                *rules.entry((i.service.clone(), Some(rule.clone()))).or_default() += 1;
            }
        }
        let ends = span.days.iter().skip(1).map(|day| day.0).chain([span.to.0]);
        let days = span.days.iter().zip(ends).map(|(start, end)| {
            let of_day = || begun.iter().filter(|i| i.opened >= *start && i.opened.0 < end);
            DaySums {
                start: *start,
                begun: of_day().count() as u64,
                worst: of_day().map(|i| i.severity).max(),
                open_for: open_in(start.0, end),
            }
        });
        IncidentSums {
            from: span.from,
            to: span.to,
            begun: begun.len() as u64,
            recovered: lasted.len() as u64,
            mean_to_recover: lasted.iter().sum::<u64>().checked_div(lasted.len() as u64),
            open_for: open_in(span.from.0, span.to.0),
            services: often(services),
            rules: often(rules),
            days: days.collect(),
            more: false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn they_are_those_of_a_count_by_hand(
            mut all in proptest::collection::vec(any_incident(), 0..40),
            from in 0i64..200,
            days in 1usize..5,
            service in proptest::option::of("(|web|db)"),
            severe in any::<bool>(),
        ) {
            for (id, incident) in (1..).zip(&mut all) {
                incident.id = id;
            }
            let (_dir, store) = kept(&all);
            let span = IncidentSpan {
                from: Wall(from),
                to: Wall(from + days as i64 * 24),
                // A day of an hour less is among them.
                days: (0..days).map(|day| Wall(from + day as i64 * 24 - i64::from(day == 2))).collect(),
                service: service.as_deref().map(Into::into),
                severity: severe.then_some(Severity::Critical),
            };
            prop_assert_eq!(store.reader().incident_sums(&span).unwrap(), naive(&all, &span));
        }
    }

    #[test]
    fn an_index_finds_them() {
        let (dir, store) = kept(&[]);
        drop(store);
        let connection = rusqlite::Connection::open(dir.path().join("state.db")).unwrap();
        let span = IncidentSpan { from: Wall(5), to: Wall(9), ..IncidentSpan::default() };
        for span in [span.clone(), IncidentSpan { service: Some("web".into()), ..span }] {
            let which = chosen(&span);
            let sql = format!("EXPLAIN QUERY PLAN SELECT data FROM incident{} LIMIT 9", which.sql);
            let mut statement = connection.prepare(&sql).unwrap();
            let steps = statement.query_map(params_from_iter(which.values), |row| row.get::<_, String>(3)).unwrap();
            let steps: Vec<String> = steps.map(Result::unwrap).collect();
            assert!(steps.iter().any(|step| step.contains("USING INDEX")), "{steps:?}");
            assert!(!steps.iter().any(|step| step.starts_with("SCAN")), "{steps:?}");
        }
    }
}
