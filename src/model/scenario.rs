//! Scenarios: a plan, what happens to its services on a timeline, and what minder is expected to do about it.

use super::{Command, Exit, MetricId, Name, Plan, Reading, Status, Subject, parse_duration};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// One scenario. Times are since its begin, when minder starts and first looks.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What it shows, in a sentence.
    pub name: String,
    /// The file that it stands in.
    pub file: PathBuf,
    /// The rules that it is about.
    pub plan: Arc<Plan>,
    /// The service that names without a service mean.
    pub service: Name,
    /// What the checks answer. What nobody says is well, where the check has a metric that says so, and else unknown.
    pub courses: Vec<Course>,
    /// What happens otherwise, in order.
    pub occurrences: Vec<(Duration, Name, Occurrence)>,
    /// In order; the last one is where it ends.
    pub expectations: Vec<Expectation>,
}

/// What a metric reads as time goes by.
#[derive(Debug, Clone)]
pub struct Course {
    /// The place of the service in its plan.
    pub service: usize,
    /// The place of the check in its service.
    pub check: usize,
    /// The process that it is read of, where a check looks at many.
    pub of: Option<Subject>,
    /// The metric.
    pub metric: MetricId,
    /// How long each value lasts. The last one stays.
    pub step: Duration,
    /// One after the other; never empty.
    pub runs: Runs,
}

/// Runs of values, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Runs {
    runs: Vec<Run>,
    /// How many values there are up to the end of each. A value is looked up at each sample: not from the first one on.
    ends: Vec<u64>,
}

impl Runs {
    /// These.
    pub fn new(runs: Vec<Run>) -> Runs {
        let mut end = 0;
        let ends = runs.iter().map(|run| {
            end += u64::from(run.times);
            end
        });
        Runs { ends: ends.collect(), runs }
    }
    /// The value with this number, from 0. The last one stays; unknown if there is none.
    pub fn value(&self, number: u64) -> Reading {
        let place = self.ends.partition_point(|end| *end <= number);
        match (self.runs.get(place), self.runs.last()) {
            (Some(run), _) => run.value((number - (self.ends[place] - u64::from(run.times))) as u32),
            (None, Some(last)) => last.value(last.times - 1),
            (None, None) => Reading::Unknown,
        }
    }
}

/// Values that follow each other: all the same, or growing or falling evenly.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The first one.
    pub first: Reading,
    /// How much more each is than the one before it, in the base unit.
    pub rise: f64,
    /// How many there are; at least one.
    pub times: u32,
}

impl Course {
    /// What it reads at this time.
    pub fn at(&self, at: Duration) -> Reading {
        let number = at.as_nanos() / self.step.as_nanos().max(1);
        self.runs.value(u64::try_from(number).unwrap_or(u64::MAX))
    }
}

impl Run {
    /// The value with this number, from 0.
    pub fn value(&self, number: u32) -> Reading {
        let rise = self.rise * f64::from(number);
        match &self.first {
            Reading::Number(value) => Reading::Number(value + rise),
            Reading::Part { value, whole } => Reading::Part { value: value + rise, whole: *whole },
            other => other.clone(),
        }
    }
}

/// What happens to a service, beside what its checks answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Occurrence {
    /// Its process ends.
    Ends(Option<Exit>),
    /// A process is there, in the place of the one before if there was one.
    Appears,
    /// What becomes of starts from now on.
    Starts(Starting),
    /// Whether the commands of `exec` do what they should, from now on.
    Commands(bool),
    /// Its operator wants it up or down, and says so to its supervisor.
    Operator {
        /// Up, or down.
        up: bool,
    },
    /// What becomes of its supervisor.
    Supervisor(Supervising),
    /// Whether a notifier takes what it is sent, from now on.
    Notifier {
        /// Which.
        name: Name,
        /// It does.
        works: bool,
    },
    /// A person asks minder for something.
    Asked(Command),
}

/// What becomes of a supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supervising {
    /// It ends; the service's process lives on.
    Dies,
    /// It is there again.
    Returns,
    /// It does not start the service any more, though it is wanted up.
    GivesUp,
}

/// What becomes of a start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Starting {
    /// A second later a process is there, and lives.
    Works,
    /// The command ends with code 1.
    Fails,
    /// Nothing comes of it.
    Hangs,
    /// A second later a process is there, and after so long it is killed by SEGV.
    Dies(Duration),
}

/// What is expected at a time, when all that happens at that time has happened.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// When.
    pub at: Duration,
    /// Its line in the file.
    pub line: usize,
    /// The status of these services.
    pub statuses: Vec<(Name, Status)>,
    /// Lists, each of which must be as long as it is here, and in this order.
    pub lists: Vec<(Listed, Vec<String>)>,
}

/// What a list of an expectation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Listed {
    /// The rules that fire at this time, in the order of the plan.
    Firing,
    /// The rules whose hold is under way at this time, in the order of the plan.
    Pending,
    /// Rules that have fired since this was last asked: `leak`, `hog of stress (1234)`.
    Fired,
    /// Rules that have ceased to fire since this was last asked.
    Resolved,
    /// Notices of changes since this was last asked.
    Noticed,
    /// What was done since this was last asked: `restart`, `restart failed`, `restart held`, `given up`.
    Did,
    /// Messages that were taken since this was last asked: `ops firing`.
    Told,
}

impl Listed {
    /// All of them, with their keys.
    pub const ALL: [(&'static str, Listed); 7] = [
        ("firing", Listed::Firing),
        ("pending", Listed::Pending),
        ("fired", Listed::Fired),
        ("resolved", Listed::Resolved),
        ("noticed", Listed::Noticed),
        ("did", Listed::Did),
        ("told", Listed::Told),
    ];
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Listed::ALL.iter().find(|(_, listed)| listed == self).map_or("", |(word, _)| word))
    }
}

/// A firing for one of many processes, as a scenario names it: `hog of stress (1234)`.
pub fn of_one(rule: &str, who: &Subject) -> String {
    format!("{rule} of {} ({})", who.name, who.identity.pid)
}

/// Reads a time on a timeline: a duration, or several, the longest first: `50s`, `5m10s`, `1h30m`.
pub fn parse_moment(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let mut rest = text;
    let mut sum = Duration::ZERO;
    let mut before = Duration::MAX;
    loop {
        let number = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let unit = rest[number..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |i| number + i);
        let part = parse_duration(&rest[..unit])?;
        if part >= before {
            return Err(format!("`{}` is no time: the longer part stands first, as in `5m10s`", text.escape_debug()));
        }
        (sum, before, rest) = (sum + part, part, &rest[unit..]);
        if rest.is_empty() {
            return Ok(sum);
        }
    }
}

/// A time on a timeline, as it is read: `5m10s`; to the millisecond.
pub fn write_moment(at: Duration) -> String {
    let (ms, seconds) = (at.subsec_millis(), at.as_secs());
    let mut out = String::new();
    for (count, unit) in [(seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m")] {
        if count > 0 {
            out.push_str(&format!("{count}{unit}"));
        }
    }
    match (seconds % 60, ms) {
        (0, 0) if !out.is_empty() => {}
        (s, 0) => out.push_str(&format!("{s}s")),
        (s, ms) => out.push_str(format!("{s}.{ms:03}").trim_end_matches('0')),
    }
    if ms > 0 {
        out.push('s');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_they_are_read() {
        for text in ["0s", "50s", "5m10s", "1h", "1h0.25s", "2d23h59m59s", "10m", "0.5s"] {
            assert_eq!(write_moment(parse_moment(text).unwrap()), text);
        }
        for text in ["", "5", "5s5m", "5m 10", "5m10", "-5s", "5x"] {
            assert!(parse_moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn values_follow_each_other_and_the_last_one_stays() {
        let run = |first: f64, rise: f64, times: u32| Run { first: Reading::Number(first), rise, times };
        let course = Course {
            service: 0,
            check: 0,
            of: None,
            metric: MetricId(0),
            step: Duration::from_secs(10),
            runs: Runs::new(vec![
                run(1.0, 0.0, 2),
                run(10.0, 10.0, 3),
                Run { first: Reading::Absent, rise: 0.0, times: 1 },
            ]),
        };
        let at = |s: u64| course.at(Duration::from_secs(s));
        let numbers: Vec<_> = [0, 9, 10, 20, 30, 40].into_iter().map(|s| at(s).number().unwrap()).collect();
        assert_eq!(numbers, [1.0, 1.0, 1.0, 10.0, 20.0, 30.0]);
        assert_eq!((at(50), at(5000)), (Reading::Absent, Reading::Absent));
    }
}
