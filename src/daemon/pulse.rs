//! minder's own life sign: a thread beside the loop that speaks to minder's supervisor, and sees when the loop is stuck.
//!
//! systemd is told that minder is ready, how it stands, and that it is well, by sd_notify(3). It is told so only while the loop
//! turns: a process that lives and does nothing is the worst monitor of all. Other supervisors see a process that ends, and
//! nothing else; so a loop that is stuck for [`STUCK`] ends minder, and whoever supervises it starts it again. The daemons live on.

use crate::model::{Clock, Mono, show_duration};
use sd_notify::NotifyState;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The loop turns at least so often, also when nothing happens.
pub(super) const TURN: Duration = Duration::from_secs(2);
/// A loop that has not turned for so long is stuck: no turn of it waits for anything.
const STUCK: Duration = Duration::from_secs(60);
/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// The loop's side.
pub(super) struct Pulse {
    shared: Arc<Shared>,
    says: mpsc::Sender<Says>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    turned: AtomicU64,
}

/// What the loop has to say to minder's supervisor.
enum Says {
    /// It is ready; how it stands, in words.
    Ready(String),
    /// It is about to end. Nothing is guarded any more: the end has bounds of its own.
    Ending,
}

impl Pulse {
    /// Starts the thread. Fails if there is none to be had.
    pub fn start(clock: Arc<dyn Clock>) -> io::Result<Pulse> {
        let turned = AtomicU64::new(clock.now().mono.0);
        let shared = Arc::new(Shared { clock, turned });
        let (says, said) = mpsc::channel();
        let theirs = Arc::downgrade(&shared);
        let watchdog = sd_notify::watchdog_enabled();
        let guard = move || guard(&theirs, &said, watchdog);
        std::thread::Builder::new().name("pulse".to_owned()).stack_size(128 << 10).spawn(guard)?;
        Ok(Pulse { shared, says })
    }

    /// The loop has turned.
    pub fn turn(&self, now: Mono) {
        self.shared.turned.store(now.0, Ordering::Relaxed);
    }

    /// minder does its work now; `words` say on what.
    pub fn ready(&self, words: String) {
        let _ = self.says.send(Says::Ready(words));
    }

    /// minder is about to end.
    pub fn ending(&self) {
        let _ = self.says.send(Says::Ending);
    }
}

/// What is to be done about the loop.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Turns,
    /// It did not turn as often as it should, which nobody need know yet.
    Late,
    Stuck,
}

/// Judges by when the loop last turned, and when it was looked at before. Where the looks themselves are far apart, the whole
/// process was halted, and the loop has had no time of its own.
fn judge(turned: Mono, looked: Mono, now: Mono, look: Duration) -> Verdict {
    let idle = now - turned;
    if idle <= TURN * 2 {
        Verdict::Turns
    } else if idle < STUCK || now - looked > look * 4 {
        Verdict::Late
    } else {
        Verdict::Stuck
    }
}

fn guard(shared: &Weak<Shared>, said: &mpsc::Receiver<Says>, watchdog: Option<Duration>) {
    let look = watchdog.map_or(LOOK, |every| (every / 3).clamp(Duration::from_millis(10), LOOK));
    let mut looked: Option<Mono> = None;
    // The time that the process was halted does not count.
    let mut excused = Mono(0);
    loop {
        match said.recv_timeout(look) {
            Ok(Says::Ready(words)) => tell(&[NotifyState::Ready, NotifyState::Status(&words)]),
            Ok(Says::Ending) => return tell(&[NotifyState::Stopping]),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let Some(shared) = shared.upgrade() else { return };
        let now = shared.clock.now().mono;
        let last = looked.replace(now).unwrap_or(now);
        if now - last > look * 4 {
            excused = now;
        }
        let turned = Mono(shared.turned.load(Ordering::Relaxed)).max(excused);
        match judge(turned, last, now, look) {
            Verdict::Turns if watchdog.is_some() => tell(&[NotifyState::Watchdog]),
            Verdict::Turns | Verdict::Late => {}
            Verdict::Stuck => {
                let idle = show_duration(now - turned);
                // Not to the log: its own thread may be what is stuck.
                let words = format!("minder's loop has been stuck for {idle}; it ends, to be started again");
                let _ = writeln!(std::io::stderr(), "{words}");
                std::process::abort();
            }
        }
    }
}

/// Where there is no systemd, nobody listens, and that is as well.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(states) {
        tracing::debug!("systemd cannot be told: {e}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000_000)
    }

    #[test]
    fn only_a_loop_that_had_the_time_to_turn_is_stuck() {
        for (turned, looked, now, expected) in [
            (99, 95, 100, Verdict::Turns),
            (90, 95, 100, Verdict::Late),
            (41, 95, 100, Verdict::Late),
            (40, 95, 100, Verdict::Stuck),
            (40, 60, 100, Verdict::Late),
        ] {
            assert_eq!(judge(at(turned), at(looked), at(now), LOOK), expected, "{turned} {looked} {now}");
        }
    }
}
