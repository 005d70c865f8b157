//! What is known of heartbeats: whether they are silent for too long, and how runs end.
//!
//! There are two kinds of them. A *watchdog* has `every`, and a service whose process is known: its clock is that of the process.
//! Every other one is a *job*, whose clock runs always.
//!
//! | | a watchdog | a job |
//! |---|---|---|
//! | silence counts from | its last beat; before one, from READY, or the appearance of its process and the grace | its last beat; before one, from when minder first knew it |
//! | and is too long after | `every`, or what `WATCHDOG_USEC` said | `every`; or `late` after the time that the `schedule` gives |
//! | nothing counts while | its process is gone, we start or stop it, it says STOPPING; it is stopped or paused | it is stopped or paused |
//! | it begins anew with | another process | |
//!
//! Nobody is blamed for what minder cannot know. Time in which minder did not run does not count for `every`; a time of the
//! schedule that has passed meanwhile, or while the machine slept, or because its clock was set, is not asked for. What was missing
//! before is unknown until a beat comes, or the next one does not.

use crate::model::kinds::{Beat, Heartbeat};
use crate::model::{Found, Identity, MetricId, Mono, Now, Reading, Sample, SavedPulse, Wall, clip, plain};
use std::sync::Arc;
use std::time::Duration;

/// Clocks of other machines are not ours: a beat that comes so much before its time is that of this time.
const EARLY: Duration = Duration::from_secs(10);
/// Looked at later than this after it was to be, minder was held up, and a beat may wait to be read: for so long it is waited for.
const HELD_UP: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(1);
/// By more than this, between two looks, the clock was set or the machine slept.
const JUMP: i64 = 2_000;
/// A clock that is set back by less than this is not asked for the same times again: cron does not run them again either.
const SET_BACK: i64 = 3 * 3_600_000;
/// What `WATCHDOG_USEC` may be set to.
const INTERVAL: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(24 * 3600));
/// How long `EXTEND_TIMEOUT_USEC` reaches at most.
pub(super) const EXTENSION: Duration = Duration::from_secs(3600);
/// So much of what it says of itself is kept, in characters.
const WORDS: usize = 500;

/// What is known of its silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    /// It is not too long.
    Short,
    /// It is.
    Long,
    /// It was, and a beat may have come while minder was not there to hear it.
    Unsure,
}

/// A run of a job.
#[derive(Debug, Clone, Copy)]
struct Run {
    since: Now,
    /// It must have ended by then; nothing if its end may have been told while minder was not there.
    until: Option<Mono>,
}

/// What is known of one.
#[derive(Debug)]
pub(super) struct Pulse {
    /// The process that it is the heartbeat of.
    pub process: Option<Identity>,
    /// Who may speak for it was said, with this process.
    pub heard_for: Option<Option<Identity>>,
    /// Nothing counts.
    pub rests: bool,
    /// How often it is to beat, as it has said itself.
    every: Option<Duration>,
    /// When it is due by its schedule.
    due: Option<Wall>,
    /// From then on its silence is too long.
    deadline: Mono,
    /// It has been waited for longer, because minder was held up.
    waited: bool,
    silence: Silence,
    /// When it was last looked at.
    looked: Now,
    /// The last beat, and whether it came from this process.
    last: Option<Now>,
    spoke: bool,
    ready: bool,
    stopping: bool,
    words: Option<Arc<str>>,
    /// The process that does the work, as it says itself.
    main: Option<Identity>,
    run: Option<Run>,
    /// How long the run took whose end is told next.
    told: Option<Duration>,
    failed: bool,
    code: Option<i32>,
    pub took: Option<Duration>,
    pub saved: Mono,
}

/// What rules turn on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flags {
    pub missing: bool,
    pub failed: bool,
    overrun: bool,
    ready: bool,
}

impl Pulse {
    pub fn new(keys: &Heartbeat, now: Now) -> Pulse {
        let mut pulse = Pulse {
            process: None,
            heard_for: None,
            rests: false,
            every: None,
            due: None,
            deadline: now.mono,
            waited: false,
            silence: Silence::Short,
            looked: now,
            last: None,
            spoke: false,
            ready: false,
            stopping: false,
            words: None,
            main: None,
            run: None,
            told: None,
            failed: false,
            code: None,
            took: None,
            saved: Mono(0),
        };
        pulse.expect(keys, now, Duration::ZERO);
        pulse
    }

    fn interval(&self, keys: &Heartbeat) -> Duration {
        self.every.or(keys.every.map(|every| every.0)).unwrap_or(INTERVAL.1)
    }

    /// It is not silent now; `more` is how much longer it has for the next beat.
    pub fn expect(&mut self, keys: &Heartbeat, now: Now, more: Duration) {
        (self.silence, self.waited) = (Silence::Short, false);
        self.due = keys.due_after(now.wall + more);
        self.deadline = match self.due {
            Some(due) => now.mono + (due + keys.late() - now.wall),
            None => now.mono + self.interval(keys) + more,
        };
    }

    /// Another process, which has said nothing yet.
    pub fn begin(&mut self, keys: &Heartbeat, process: Identity, now: Now, grace: Duration) {
        self.process = Some(process);
        (self.spoke, self.ready, self.stopping) = (false, false, false);
        (self.every, self.words, self.main) = (None, None, None);
        self.expect(keys, now, grace);
    }

    /// Nothing counts from now on, or it does again. What was missing before is so still, if it is the same process as before.
    pub fn rest(&mut self, keys: &Heartbeat, rests: bool, now: Now, grace: Duration) {
        if std::mem::replace(&mut self.rests, rests) && !rests {
            let silence = self.silence;
            self.expect(keys, now, if self.spoke || keys.schedule.is_some() { Duration::ZERO } else { grace });
            self.silence = silence;
        }
    }

    /// A sign of life.
    fn alive(&mut self, keys: &Heartbeat, now: Now) {
        (self.last, self.spoke, self.stopping) = (Some(now), true, false);
        self.expect(keys, now, if keys.schedule.is_some() { EARLY } else { Duration::ZERO });
    }

    pub fn hear(&mut self, keys: &Heartbeat, beat: &Beat, now: Now) {
        match beat {
            Beat::Well => {
                self.alive(keys, now);
                self.end_run(now, false, Some(0));
            }
            Beat::Ready => {
                self.alive(keys, now);
                self.ready = true;
            }
            Beat::Reloading => self.ready = false,
            Beat::Stopping => (self.stopping, self.ready) = (true, false),
            Beat::Trigger => self.silence = Silence::Long,
            Beat::Status(words) => {
                self.words = Some(clip(&plain(words), WORDS).into()).filter(|w: &Arc<str>| !w.is_empty())
            }
            Beat::Every(every) if every.is_zero() => {}
            Beat::Every(every) => {
                self.every = Some((*every).clamp(INTERVAL.0, INTERVAL.1));
                if self.silence != Silence::Long {
                    self.expect(keys, now, Duration::ZERO);
                }
            }
            Beat::Extend(more) => {
                if self.silence != Silence::Long {
                    self.deadline = self.deadline.max(now.mono + (*more).min(EXTENSION));
                }
            }
            Beat::Main(process) => self.main = Some(*process),
            Beat::Started => {
                // Of runs that overlap, the first one counts, as long as it may take.
                let goes_on = self.run.and_then(|run| run.until).is_some_and(|until| now.mono < until);
                self.alive(keys, now);
                if !goes_on {
                    let until = keys.longest.map_or(self.deadline, |longest| now.mono + longest.0);
                    self.run = Some(Run { since: now, until: Some(until) });
                }
                self.told = None;
            }
            Beat::Took(took) => self.told = Some(*took),
            Beat::Failed { code } => {
                self.alive(keys, now);
                self.end_run(now, true, *code);
            }
        }
    }

    fn end_run(&mut self, now: Now, failed: bool, code: Option<i32>) {
        let run = self.run.take();
        let took = self.told.take().or(run.map(|run| match run.until {
            Some(_) => now.mono - run.since.mono,
            None => now.wall - run.since.wall,
        }));
        if failed || self.failed || took.is_some() {
            (self.failed, self.code, self.took) = (failed, code, took);
        }
    }

    /// What has come due by now. `overdue` is how long ago it was to be looked at.
    pub fn look(&mut self, keys: &Heartbeat, now: Now, overdue: Duration) {
        self.follow_the_clock(keys, now);
        if self.rests || self.stopping || self.silence == Silence::Long || now.mono < self.deadline {
            return;
        }
        if overdue.max(now.mono - self.deadline) > HELD_UP && !std::mem::replace(&mut self.waited, true) {
            self.deadline = now.mono + PATIENCE;
        } else {
            self.silence = Silence::Long;
        }
    }

    /// The clock on the wall, by which a schedule goes, may have been set, and the machine may have slept.
    fn follow_the_clock(&mut self, keys: &Heartbeat, now: Now) {
        let was = std::mem::replace(&mut self.looked, now);
        let passed = i64::try_from((now.mono - was.mono).as_millis()).unwrap_or(i64::MAX);
        let jump = now.wall.0.saturating_sub(was.wall.0).saturating_sub(passed);
        let Some(due) = self.due else { return };
        // It was due before: what is left of its time is left.
        if due <= was.wall || jump.abs() > JUMP && self.silence == Silence::Long {
            return;
        }
        let is_skipped = jump > JUMP && due <= now.wall;
        if is_skipped || jump < -SET_BACK {
            let (silence, waited) = (self.silence, self.waited);
            self.expect(keys, now, Duration::ZERO);
            (self.silence, self.waited) = (silence, waited);
        } else if due > now.wall {
            self.deadline = now.mono + (due + keys.late() - now.wall);
        }
    }

    pub fn flags(&self, now: Now) -> Flags {
        let overrun = self.run.and_then(|run| run.until).is_some_and(|until| now.mono >= until);
        Flags { missing: self.silence == Silence::Long, failed: self.failed, overrun, ready: self.ready }
    }

    /// When something comes due.
    pub fn wake(&self, now: Now) -> Option<Mono> {
        let counts = !self.rests && !self.stopping && self.silence != Silence::Long;
        let overrun = self.run.and_then(|run| run.until).filter(|until| *until > now.mono);
        counts.then_some(self.deadline).into_iter().chain(overrun).min()
    }

    pub fn sample(&self, now: Now, is_watchdog: bool) -> Sample {
        let flags = self.flags(now);
        let seconds = |time: Option<Duration>| time.map_or(Reading::Absent, |time| Reading::Number(time.as_secs_f64()));
        let missing = match self.silence {
            _ if self.rests => Reading::Unknown,
            Silence::Unsure => Reading::Unknown,
            Silence::Short | Silence::Long => Reading::Flag(flags.missing),
        };
        let readings = vec![
            (Heartbeat::MISSING, missing),
            (Heartbeat::FAILED, Reading::Flag(flags.failed)),
            (Heartbeat::OVERRUN, Reading::Flag(flags.overrun)),
            (Heartbeat::READY, if is_watchdog { Reading::Flag(flags.ready) } else { Reading::Absent }),
            (Heartbeat::AGE, seconds(self.last.map(|last| now.mono - last.mono))),
            (Heartbeat::DURATION, seconds(self.took)),
            (Heartbeat::EXIT_CODE, self.code.map_or(Reading::Absent, |code| Reading::Number(f64::from(code)))),
            (Heartbeat::STATUS, self.words.clone().map_or(Reading::Absent, Reading::Text)),
        ];
        let bad = flags.missing || flags.failed || flags.overrun;
        Sample {
            at: now,
            took: Duration::ZERO,
            readings: readings.into_iter().map(|(id, reading)| (MetricId(id), reading)).collect(),
            note: self.words.clone().filter(|_| bad),
            found: Found::Unasked,
        }
    }

    /// When it last spoke, and which process it says does its work; for people.
    pub fn words(&self) -> (Option<Wall>, Option<String>) {
        let main = self.main.map(|main| format!("its main process is {main}"));
        (self.last.map(|last| last.wall), main)
    }

    pub fn saved(&self) -> SavedPulse {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        SavedPulse {
            process: self.process,
            ready: self.ready,
            every: self.every.map(ms),
            words: self.words.as_ref().map(|words| words.to_string()),
            main: self.main,
            last: self.last.map(|last| last.wall),
            due: self.due,
            missing: self.silence != Silence::Short,
            run: self.run.map(|run| run.since.wall),
            failed: self.failed,
            code: self.code,
            took: self.took.map(ms),
        }
    }

    /// Goes on where the record ends. See the head of this file for what is not known.
    pub fn restore(&mut self, keys: &Heartbeat, saved: SavedPulse, same_boot: bool, now: Now) {
        let then = |wall: Wall| Now { mono: Mono(now.mono.0.saturating_sub(nanos(now.wall - wall))), wall };
        if same_boot {
            (self.process, self.ready, self.main) = (saved.process, saved.ready, saved.main);
            self.every = saved.every.map(Duration::from_millis);
            self.spoke = saved.ready;
        }
        self.words = saved.words.map(Arc::from);
        self.last = saved.last.map(then);
        self.run = saved.run.map(|run| Run { since: then(run), until: None });
        (self.failed, self.code, self.took) = (saved.failed, saved.code, saved.took.map(Duration::from_millis));
        self.expect(keys, now, Duration::ZERO);
        let mut unsure = saved.missing;
        if let Some(due) = saved.due.filter(|_| keys.schedule.is_some()) {
            unsure |= due <= now.wall;
            // A beat that came a little early was that of the time that would now be the next one.
            let is_due = keys.due_after(Wall(due.0.saturating_sub(1))) == Some(due);
            if is_due && due > now.wall {
                self.due = Some(due);
                self.deadline = now.mono + (due + keys.late() - now.wall);
            }
        }
        if unsure {
            self.silence = Silence::Unsure;
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
