//! What runit, s6 and daemontools have in common: a service is a directory, and in its `supervise` a process of its own keeps a
//! status of few bytes, and obeys single letters that are written into a FIFO.
//!
//! What their commands print and return is misleading in places; the bytes are not.

use super::signal::real_uid;
use crate::model::{ControlState, Exit, Identity, Phase, Wall};
use crate::sys::{careful, fifo, proc, trust};
use rustix::io::Errno;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// The longest status there is: daemontools-encore's for a service and its log.
const MOST: u64 = 64;

/// The supervisors of this family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Runit,
    S6,
    Daemontools,
}

impl Family {
    /// Its control's word.
    fn name(self) -> &'static str {
        match self {
            Family::Runit => "runit",
            Family::S6 => "s6",
            Family::Daemontools => "daemontools",
        }
    }

    /// Who supervises one service.
    fn supervisor(self) -> &'static str {
        match self {
            Family::Runit => "runsv",
            Family::S6 => "s6-supervise",
            Family::Daemontools => "supervise",
        }
    }

    /// The FIFO that is open for reading as long as the supervisor lives.
    fn presence(self) -> &'static str {
        match self {
            Family::S6 => "supervise/control",
            Family::Runit | Family::Daemontools => "supervise/ok",
        }
    }

    /// Who has written such a status. That of daemontools-encore is as long as runit's, but only runsv writes a `stat`.
    fn of(status: &[u8], service: &Path) -> Option<Family> {
        match status.len() {
            18 => Some(Family::Daemontools),
            20 if service.join("supervise/stat").exists() => Some(Family::Runit),
            20 | 40 => Some(Family::Daemontools),
            35 | 43 => Some(Family::S6),
            _ => None,
        }
    }
}

/// What a status says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Status {
    pub phase: Phase,
    pub wanted: bool,
    pub failed: bool,
    /// Of the service itself, never that of a script that cleans up behind it.
    pub pid: Option<u32>,
    /// Of the last change.
    pub stamp: Stamp,
    /// Since when it is in this phase.
    pub since: Option<Wall>,
    pub last_exit: Option<Exit>,
    pub word: &'static str,
}

/// A TAI64N label: 2^62 stands for 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    seconds: u64,
    nanoseconds: u32,
}

impl Stamp {
    pub fn parse(bytes: [u8; 12]) -> Stamp {
        let [a, b, c, d, e, f, g, h, nanoseconds @ ..] = bytes;
        let label = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        Stamp { seconds: label.wrapping_sub(1 << 62), nanoseconds: u32::from_be_bytes(nanoseconds) }
    }

    /// The time of a clock that is behind these labels by so many seconds.
    pub fn wall(self, ahead: u64) -> Wall {
        let seconds = i64::try_from(self.seconds.saturating_sub(ahead)).unwrap_or(0);
        Wall(seconds.saturating_mul(1000).saturating_add(i64::from(self.nanoseconds / 1_000_000)))
    }

    /// To be compared with others of its kind.
    pub fn number(self) -> u64 {
        self.seconds.wrapping_mul(1_000_000_000).wrapping_add(self.nanoseconds.into())
    }
}

/// The directory of a service, and whose it should be.
pub(super) struct ServiceDir {
    pub path: PathBuf,
    pub family: Family,
}

impl ServiceDir {
    /// How it stands, as far as its bytes say. `parse` knows what they mean.
    pub fn state(&self, parse: impl Fn(&[u8]) -> Option<Status>) -> Result<ControlState, String> {
        let Some(status) = self.status(parse)? else {
            let word = format!("{} is not supervised by {}", self.path.display(), self.family.supervisor());
            return Ok(ControlState { word: word.into(), ..ControlState::default() });
        };
        let of_both = ControlState {
            wanted: Some(status.wanted),
            failed: status.failed,
            last_exit: status.last_exit,
            stamp: status.stamp.number(),
            ..ControlState::default()
        };
        if !self.is_alive()? {
            // The status stays behind and says what was so then. Nobody vouches for the pid any more: the service may live on,
            // or another process have its number.
            let word = format!("{} is gone", self.family.supervisor()).into();
            return Ok(ControlState { word, failed: false, ..of_both });
        }
        let state =
            ControlState { alive: true, phase: status.phase, since: status.since, word: status.word.into(), ..of_both };
        Ok(match status.pid.map(|pid| self.process(pid)) {
            None | Some(Process::Unseen) => state,
            Some(Process::Doubtful(why)) => {
                ControlState { word: format!("{}; its pid is not believed: {why}", status.word).into(), ..state }
            }
            Some(Process::Alive(process)) => ControlState { process: Some(process), ..state },
            // supervise sleeps for a second after each start, and calls it up meanwhile.
            Some(Process::Ended) => ControlState {
                phase: if status.wanted { Phase::Starting } else { Phase::Stopping },
                since: None,
                word: "has just ended".into(),
                ..state
            },
        })
    }

    /// What its status says; nothing where there never was a supervisor.
    pub fn status(&self, parse: impl Fn(&[u8]) -> Option<Status>) -> Result<Option<Status>, String> {
        let path = self.path.join("supervise/status");
        let bytes = match read(&path) {
            Ok(bytes) => bytes,
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(e) => return Err(unreadable(&path, e)),
        };
        match Family::of(&bytes, &self.path) {
            Some(other) if other != self.family => {
                let (service, other) = (self.path.display(), other.name());
                Err(format!("{service} is a service of {other}; write `control: {{ {other}: {service} }}`"))
            }
            _ => parse(&bytes).map(Some).ok_or_else(|| {
                let (supervisor, length) = (self.family.supervisor(), bytes.len());
                format!("{} is not what {supervisor} writes, with its {length} bytes", path.display())
            }),
        }
    }

    fn is_alive(&self) -> Result<bool, String> {
        let path = self.path.join(self.family.presence());
        match fifo::open_to_write(&path) {
            Ok(_) => Ok(true),
            Err(Errno::NXIO | Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(e) => Err(unreadable(&path, e.into())),
        }
    }

    /// What has become of a pid that the status names. It is taken for the service's only if nobody but root and the user that
    /// it runs as could have written that: whoever else may change the directory could have any process watched, and signalled.
    fn process(&self, pid: u32) -> Process {
        let stat = match proc::stat(pid) {
            Ok(stat) if stat.is_alive() => stat,
            Ok(_) => return Process::Ended,
            Err(e) if proc::is_gone(&e) => return Process::Ended,
            Err(_) => return Process::Unseen,
        };
        let Ok(user) = real_uid(pid) else { return Process::Unseen };
        match trust::only_root_or(user, &self.path.join("supervise/status")) {
            Ok(()) => Process::Alive(Identity { pid, start: stat.start }),
            Err(why) => Process::Doubtful(why.to_string()),
        }
    }

    /// Hands these letters to the supervisor.
    pub fn send(&self, letters: &str) -> Result<(), String> {
        let path = self.path.join("supervise/control");
        let supervisor = self.family.supervisor();
        // Without O_NONBLOCK it would hang where the supervisor is gone. So few bytes are written in one piece.
        let sent = fifo::open_to_write(&path).and_then(|control| rustix::io::write(control, letters.as_bytes()));
        match sent {
            Ok(_) => Ok(()),
            Err(Errno::NXIO) => Err(format!("{}: its {supervisor} is gone", self.path.display())),
            Err(Errno::AGAIN) => {
                Err(format!("{}: its {supervisor} does not read what it is told", self.path.display()))
            }
            Err(e) => Err(unreadable(&path, e.into())),
        }
    }
}

/// What has become of a pid that a status names.
enum Process {
    Alive(Identity),
    Ended,
    /// We may not look at it.
    Unseen,
    /// Others could have put it there.
    Doubtful(String),
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    careful::open_regular(path)?.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn unreadable(path: &Path, e: io::Error) -> String {
    let path = path.display();
    match Errno::from_io_error(&e) {
        Some(Errno::ACCESS) => format!("{path}: minder's user may not use it; run minder as root"),
        Some(Errno::XDEV) => {
            format!("{path}: a symbolic link leads to what is not its owner's; only root may make such links")
        }
        _ => format!("{path}: {e}"),
    }
}

#[cfg(test)]
pub mod testing;
