//! Values of the rule language that are written as one text: `5 in 15m`, `1s..5m`, `1GB`, paths, signals.

use super::{parse_duration, write_duration};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `5 in 15m`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// So many times.
    pub count: u32,
    /// Within so long.
    pub within: Duration,
}

impl Default for Times {
    fn default() -> Times {
        Times { count: 5, within: Duration::from_secs(15 * 60) }
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.count, write_duration(self.within))
    }
}

impl std::str::FromStr for Times {
    type Err = String;
    fn from_str(text: &str) -> Result<Times, String> {
        let expected = "expected so many in so long, such as `5 in 15m`";
        let (count, within) = text.split_once(" in ").ok_or(expected)?;
        let count = count.trim().parse().map_err(|_| expected)?;
        let within = parse_duration(within)?;
        if within.is_zero() {
            return Err("the time must not be zero".to_owned());
        }
        if count > 1000 {
            return Err("more than 1000 is no limit".to_owned());
        }
        Ok(Times { count, within })
    }
}

/// `1s..5m`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DelayRange {
    /// The first.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Default for DelayRange {
    fn default() -> DelayRange {
        DelayRange { first: Duration::from_secs(1), longest: Duration::from_secs(300) }
    }
}

impl fmt::Display for DelayRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", write_duration(self.first), write_duration(self.longest))
    }
}

impl std::str::FromStr for DelayRange {
    type Err = String;
    fn from_str(text: &str) -> Result<DelayRange, String> {
        let (first, longest) = text.split_once("..").ok_or("expected two durations, such as `1s..5m`")?;
        let (first, longest) = (parse_duration(first)?, parse_duration(longest)?);
        if first > longest {
            return Err("the first delay is longer than the longest one".to_owned());
        }
        Ok(DelayRange { first, longest })
    }
}

/// A duration as rules write it: `5m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&write_duration(self.0))
    }
}

impl std::str::FromStr for Span {
    type Err = String;
    fn from_str(text: &str) -> Result<Span, String> {
        parse_duration(text).map(Span)
    }
}

/// A size as rules write it: `1GB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteSize(pub u64);

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, size) in [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)] {
            if self.0 >= size && self.0.is_multiple_of(size) {
                return write!(f, "{}{unit}", self.0 / size);
            }
        }
        write!(f, "{}B", self.0)
    }
}

impl std::str::FromStr for ByteSize {
    type Err = String;
    fn from_str(text: &str) -> Result<ByteSize, String> {
        match super::Quantity::parse(text) {
            Ok(q) if q.dimension == super::Dimension::Bytes => Ok(ByteSize(q.value as u64)),
            _ => Err(format!("expected {}", super::Dimension::Bytes.expectation())),
        }
    }
}

/// A path that begins with a slash and has no `..` in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AbsPath(PathBuf);

impl AbsPath {
    /// One that is known to be absolute.
    pub(super) fn new(path: &str) -> AbsPath {
        AbsPath(PathBuf::from(path))
    }
    /// As a path.
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl From<AbsPath> for PathBuf {
    fn from(path: AbsPath) -> PathBuf {
        path.0
    }
}

impl fmt::Display for AbsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.display())
    }
}

impl std::str::FromStr for AbsPath {
    type Err = String;
    fn from_str(text: &str) -> Result<AbsPath, String> {
        if text.contains('\0') {
            Err("a path cannot hold a NUL character".to_owned())
        } else if !text.starts_with('/') {
            Err(format!("`{}` is not an absolute path: it must begin with `/`", text.escape_debug()))
        } else if text.split('/').any(|part| part == "..") {
            Err("a path with `..` in it depends on links along the way; write it without".to_owned())
        } else {
            Ok(AbsPath(PathBuf::from(text)))
        }
    }
}

/// A signal by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signal(pub i32);

impl Signal {
    /// Please end.
    pub const TERM: Signal = Signal(15);
    /// End.
    pub const KILL: Signal = Signal(9);

    /// Linux's signals by number (x86-64, ARM, RISC-V).
    const NAMES: &'static [(&'static str, i32)] = &[
        ("HUP", 1),
        ("INT", 2),
        ("QUIT", 3),
        ("ILL", 4),
        ("TRAP", 5),
        ("ABRT", 6),
        ("BUS", 7),
        ("FPE", 8),
        ("KILL", 9),
        ("USR1", 10),
        ("SEGV", 11),
        ("USR2", 12),
        ("PIPE", 13),
        ("ALRM", 14),
        ("TERM", 15),
        ("STKFLT", 16),
        ("CHLD", 17),
        ("CONT", 18),
        ("STOP", 19),
        ("TSTP", 20),
        ("TTIN", 21),
        ("TTOU", 22),
        ("URG", 23),
        ("XCPU", 24),
        ("XFSZ", 25),
        ("VTALRM", 26),
        ("PROF", 27),
        ("WINCH", 28),
        ("IO", 29),
        ("PWR", 30),
        ("SYS", 31),
    ];

    /// By its name, with or without `SIG`.
    pub fn parse(name: &str) -> Option<Signal> {
        let name = name.strip_prefix("SIG").unwrap_or(name);
        Self::NAMES.iter().find(|(n, _)| *n == name).map(|(_, number)| Signal(*number))
    }
    /// Its name without `SIG`, if it has one.
    pub fn name(self) -> Option<&'static str> {
        Self::NAMES.iter().find(|(_, number)| *number == self.0).map(|(name, _)| *name)
    }
    /// Every name, for diagnostics.
    pub fn names() -> impl Iterator<Item = &'static str> + Clone {
        Self::NAMES.iter().map(|(name, _)| *name)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

impl std::str::FromStr for Signal {
    type Err = String;
    fn from_str(text: &str) -> Result<Signal, String> {
        Signal::parse(text)
            .ok_or_else(|| format!("`{}` is not a signal; write one such as `HUP` or `TERM`", text.escape_debug()))
    }
}

/// Types that are written as one text: read inside `visit_str`, so that a mistake has the place of the text itself.
macro_rules! as_text {
    ($($type:ty, $what:literal;)*) => { $(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                struct TextVisitor;
                impl Visitor<'_> for TextVisitor {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($what)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(TextVisitor)
            }
        }
    )* };
}

as_text! {
    Span, "a duration such as `10s`";
    ByteSize, "a size such as `1GB`";
    Times, "so many in so long, such as `5 in 15m`";
    DelayRange, "two durations, such as `1s..5m`";
    AbsPath, "an absolute path";
    Signal, "a signal such as `TERM`";
}
