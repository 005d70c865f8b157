//! Asks for interfaces, in `/sys/class/net` (the kernel's Documentation/ABI/testing/sysfs-class-net).

use super::{Rate, place};
use crate::model::kinds::{CheckKind, Network};
use crate::model::{Clock, Found, MetricId, Mono, Reading, Sample};
use crate::sys::proc;
use std::io;
use std::path::Path;

const fn metric(name: &str) -> MetricId {
    place(Network::METRICS, name)
}
const DOWN: MetricId = metric("down");
const SPEED: MetricId = metric("speed");
const SATURATION: MetricId = metric("saturation");
const RECEIVED: MetricId = metric("received");
const SENT: MetricId = metric("sent");
const ERRORS: MetricId = metric("errors");

/// What is kept of an interface between two looks.
#[derive(Default)]
pub(super) struct State {
    /// Its number: an interface made anew under an old name has another one.
    index: u64,
    received: Rate,
    sent: Rate,
    errors: Rate,
}

impl State {
    /// One look.
    pub(super) fn look(&mut self, keys: &Network, clock: &dyn Clock) -> Sample {
        self.look_below(Path::new("/sys/class/net"), keys, clock)
    }

    fn look_below(&mut self, all: &Path, keys: &Network, clock: &dyn Clock) -> Sample {
        let began = clock.now();
        let files = all.join(&keys.interface);
        let (readings, note) = match number(&files.join("ifindex")) {
            Ok(index) => self.there(&files, index, began.mono),
            Err(e) if is_missing(&e) && all.is_dir() => {
                *self = State::default();
                let rest = (SPEED.0..=ERRORS.0).map(|id| (MetricId(id), Reading::Absent));
                let readings = std::iter::once((DOWN, Reading::Flag(true))).chain(rest).collect();
                (readings, Some(format!("there is no interface {}", keys.interface)))
            }
            Err(e) => (Vec::new(), Some(format!("{} cannot be read: {e}", files.display()))),
        };
        let at = clock.now();
        let note = note.map(Into::into);
        Sample { at, took: at.mono - began.mono, readings, note, found: Found::Unasked }
    }

    fn there(&mut self, files: &Path, index: u64, at: Mono) -> (Vec<(MetricId, Reading)>, Option<String>) {
        let count = |name: &str| number(&files.join("statistics").join(name)).ok();
        let errors = || Some(count("rx_errors")?.saturating_add(count("tx_errors")?));
        let counters = [count("rx_bytes"), count("tx_bytes"), errors()];
        let rates = [&self.received, &self.sent, &self.errors];
        let back = rates.into_iter().zip(counters).any(|(rate, count)| count.is_some_and(|count| rate.is_back(count)));
        if index != self.index || back {
            *self = State { index, ..State::default() };
        }
        let rates = [&mut self.received, &mut self.sent, &mut self.errors];
        let mut rates = rates.into_iter().zip(counters).map(|(rate, count)| rate.take(at, count?));
        let [received, sent, errors] = [(); 3].map(|()| rates.next().flatten());
        let (down, why) = state(files);
        let speed = speed(files);
        let busier = received.zip(sent).map(|(received, sent)| received.max(sent));
        let saturation = match (speed, busier) {
            (None, _) => Some(Reading::Absent),
            (Some(speed), busier) => busier.map(|busier| Reading::Number(busier * 100.0 / speed)),
        };
        let readings = [
            (DOWN, down.map(Reading::Flag)),
            (SPEED, Some(speed.map_or(Reading::Absent, Reading::Number))),
            (SATURATION, saturation),
            (RECEIVED, received.map(Reading::Number)),
            (SENT, sent.map(Reading::Number)),
            (ERRORS, errors.map(Reading::Number)),
        ];
        (readings.into_iter().filter_map(|(id, reading)| Some((id, reading?))).collect(), why)
    }
}

/// Whether it is down, and why it is, or why that cannot be said (RFC 2863 has the words).
fn state(files: &Path) -> (Option<bool>, Option<String>) {
    let word = match text(&files.join("operstate")) {
        Ok(word) => word,
        Err(e) => return (None, Some(format!("its state cannot be read: {e}"))),
    };
    let why = match word.as_str() {
        "up" => return (Some(false), None),
        // What has no cable, such as the loopback, a tunnel or a dummy, is in no known state while it is up. Where a carrier
        // is told, it decides.
        "unknown" => match text(&files.join("carrier")).as_deref() {
            Ok("0") => "it has no carrier",
            _ => return (Some(false), None),
        },
        "down" => match text(&files.join("carrier")) {
            // Only one that is switched on has a carrier to tell of.
            Ok(_) => "its cable has no signal",
            Err(_) => "it is switched off",
        },
        "lowerlayerdown" => "the interface below it is down",
        "dormant" => "it waits for something, such as to be let into its network",
        "testing" => "it is being tested",
        "notpresent" => "parts of it are missing",
        other => return (None, Some(format!("its state `{}` is not known", other.escape_debug()))),
    };
    (Some(true), Some(why.to_owned()))
}

/// Bytes a second in each direction. Written in Mbit/s; without a cable, or where there is none, it is -1, 0 or an error.
fn speed(files: &Path) -> Option<f64> {
    let megabits = text(&files.join("speed")).ok()?.parse::<i64>().ok()?;
    // The kernel writes an unknown speed of 32 bits without its sign, too.
    (megabits > 0 && megabits < i64::from(u32::MAX)).then(|| megabits as f64 * 1e6 / 8.0)
}

fn text(path: &Path) -> io::Result<String> {
    let bytes = proc::read_path(path, 256)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

fn number(path: &Path) -> io::Result<u64> {
    text(path)?.parse().map_err(|_| io::ErrorKind::InvalidData.into())
}

/// `ENODEV` is said by files of an interface that was removed while they were read.
fn is_missing(e: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(e), Some(Errno::NOENT | Errno::NOTDIR | Errno::NODEV))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Now;
    use std::fs;

    /// A made-up `/sys/class/net` with one interface, and a clock.
    struct Machine {
        dir: tempfile::TempDir,
        state: State,
        seconds: u64,
    }
    struct At(u64);
    impl Clock for At {
        fn now(&self) -> Now {
            Now { mono: Mono(self.0 * 1_000_000_000), ..Now::default() }
        }
    }

    impl Machine {
        fn new() -> Machine {
            let machine = Machine { dir: tempfile::tempdir().unwrap(), state: State::default(), seconds: 100 };
            machine.make(7);
            machine
        }
        fn make(&self, index: u32) {
            fs::create_dir_all(self.dir.path().join("eth7/statistics")).unwrap();
            self.set("ifindex", &index.to_string());
            self.set("operstate", "up");
            self.set("carrier", "1");
            self.set("speed", "1000");
            self.count([0, 0, 0, 0]);
        }
        fn set(&self, name: &str, text: &str) {
            fs::write(self.dir.path().join("eth7").join(name), format!("{text}\n")).unwrap();
        }
        fn count(&self, counters: [u64; 4]) {
            for (name, count) in ["rx_bytes", "tx_bytes", "rx_errors", "tx_errors"].iter().zip(counters) {
                self.set(&format!("statistics/{name}"), &count.to_string());
            }
        }
        /// A look, a second after the one before it.
        fn look(&mut self) -> Sample {
            self.seconds += 1;
            let keys = Network { interface: "eth7".to_owned() };
            let sample = self.state.look_below(self.dir.path(), &keys, &At(self.seconds));
            assert!(sample.readings.is_sorted_by(|a, b| a.0 < b.0), "{sample:?}");
            sample
        }
        fn numbers(&mut self) -> [Option<f64>; 4] {
            let sample = self.look();
            [SATURATION, RECEIVED, SENT, ERRORS].map(|id| sample.reading(id).number())
        }
    }

    #[test]
    fn rates_are_of_the_time_between_two_looks() {
        let mut machine = Machine::new();
        assert_eq!(machine.numbers(), [None; 4]);
        machine.count([10_000_000, 25_000_000, 3, 1]);
        assert_eq!(machine.numbers(), [Some(20.0), Some(1e7), Some(2.5e7), Some(4.0)]);
        machine.count([5, 25_000_000, 3, 1]);
        assert_eq!(machine.numbers(), [None; 4], "a counter went back");
        machine.count([1005, 25_000_000, 3, 1]);
        assert_eq!(machine.numbers()[1], Some(1000.0));
        machine.make(8);
        machine.count([2005, 25_000_000, 3, 1]);
        assert_eq!(machine.numbers()[1], None, "it is another interface");
    }

    #[test]
    fn a_speed_that_is_none_is_absent() {
        let mut machine = Machine::new();
        assert_eq!(machine.look().reading(SPEED), &Reading::Number(1.25e8));
        for nonsense in ["-1", "0", "4294967295", "", "fast"] {
            machine.set("speed", nonsense);
            let sample = machine.look();
            assert_eq!((sample.reading(SPEED), sample.reading(SATURATION)), (&Reading::Absent, &Reading::Absent));
            assert_eq!(sample.reading(RECEIVED), &Reading::Number(0.0));
        }
    }

    #[test]
    fn it_is_up_or_it_is_said_why_not() {
        let mut machine = Machine::new();
        for (state, carrier, down, why) in [
            ("up", Some("1"), Some(false), None),
            ("unknown", Some("1"), Some(false), None),
            ("unknown", None, Some(false), None),
            ("unknown", Some("0"), Some(true), Some("it has no carrier")),
            ("down", Some("0"), Some(true), Some("its cable has no signal")),
            ("down", None, Some(true), Some("it is switched off")),
            ("lowerlayerdown", Some("0"), Some(true), Some("the interface below it is down")),
            ("odd\u{1b}", Some("1"), None, Some("its state `odd\\u{1b}` is not known")),
        ] {
            machine.set("operstate", state);
            match carrier {
                Some(carrier) => machine.set("carrier", carrier),
                None => drop(fs::remove_file(machine.dir.path().join("eth7/carrier"))),
            }
            let sample = machine.look();
            assert_eq!(sample.reading(DOWN), &down.map_or(Reading::Unknown, Reading::Flag), "{state}");
            assert_eq!(sample.note.as_deref(), why, "{state}");
        }
    }

    #[test]
    fn one_that_is_not_there_is_down() {
        let mut machine = Machine::new();
        machine.look();
        fs::rename(machine.dir.path().join("eth7"), machine.dir.path().join("eth8")).unwrap();
        let sample = machine.look();
        assert_eq!(sample.reading(DOWN), &Reading::Flag(true));
        assert_eq!(sample.reading(SENT), &Reading::Absent);
        assert_eq!(sample.note.as_deref(), Some("there is no interface eth7"));
        fs::rename(machine.dir.path().join("eth8"), machine.dir.path().join("eth7")).unwrap();
        assert_eq!(machine.numbers(), [None; 4], "what was before it went is forgotten");
        let keys = Network { interface: "eth7".to_owned() };
        let sample = State::default().look_below(&machine.dir.path().join("none"), &keys, &At(1));
        assert_eq!(sample.reading(DOWN), &Reading::Unknown, "without /sys nothing can be said");
    }
}
