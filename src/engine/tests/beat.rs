//! Heartbeats: silence and its deadlines, the words of a daemon, the runs of a job.

mod happenings;

use crate::engine::testing::*;
use crate::model::kinds::{Beat, Heartbeat};
use crate::model::*;
use jiff::tz::TimeZone;
use std::time::Duration;

const KILL: Option<Exit> = Some(Exit::Signal { number: 9, core: false });
const HOUR: u64 = 3_600_000;

fn keys() -> Heartbeat {
    let (every, schedule, zone, late, longest) = (None, None, None, None, None);
    Heartbeat { every, schedule, zone, late, longest, secret: None, user: None, here: TimeZone::UTC }
}

fn every(secs: u64) -> Heartbeat {
    Heartbeat { every: Some(Span(seconds(secs))), ..keys() }
}

/// At three each night, and 5 min later at most.
fn nightly() -> Heartbeat {
    Heartbeat { schedule: Some("0 3 * * *".parse().unwrap()), ..keys() }
}

fn with_rules(service: Service, check: u16) -> Service {
    let mut service = service;
    for name in ["missing", "failed", "overrun"] {
        let when = service.is(check, name, Test::Truth);
        let actions = if name == "missing" && service.control.is_some() { vec![Action::Restart] } else { vec![] };
        let liveness = name == "missing";
        service = service.rule(Rule { liveness, ..rule(name, when, Hold::None, actions) });
    }
    service
}

/// `web`, with a process and a heartbeat.
fn watchdog(keys: Heartbeat) -> World {
    let service = service("web").checks(vec![process(10), check("heartbeat", Kind::Heartbeat(keys), 10)]);
    let mut world = World::new(plan(vec![with_rules(service.control(command()), 1)]));
    world.pass(1);
    world.news();
    world
}

/// `web`, a job of which nothing else is known. The world begins at 00:16:40.
fn job(keys: Heartbeat) -> World {
    let service = service("web").checks(vec![check("heartbeat", Kind::Heartbeat(keys), 10)]);
    let mut world = World::new(plan(vec![with_rules(service, 0)]));
    world.pass(1);
    world.news();
    world
}

impl World {
    fn beat(&mut self, beat: Beat) {
        self.input(Input::Beat { service: "web".into(), check: "heartbeat".into(), beat });
    }
    /// Lets time pass, with a beat so often.
    fn beating(&mut self, ms: u64, each: u64) {
        for _ in 0..ms / each {
            self.pass(each);
            self.beat(Beat::Well);
        }
    }
    /// To this time of the first day, in minutes.
    fn until(&mut self, minutes: u64) {
        let now = u64::try_from(self.ms as i64 + self.set).unwrap();
        self.pass(minutes * 60_000 - now);
    }
    fn fired(&mut self) -> Vec<String> {
        let news = self.news().into_iter();
        news.filter(|line| line.contains(" fires") || line.contains(" resolved")).collect()
    }
    fn metric(&self, name: &str) -> String {
        let view = self.view("web");
        let check = view.checks.iter().find(|check| &*check.name == "heartbeat").unwrap();
        check.metrics.iter().find(|metric| metric.name == name).map_or("unknown".into(), |metric| metric.text.clone())
    }
}

#[test]
fn silence_is_missing_at_its_deadline_not_at_the_next_look() {
    let mut world = watchdog(every(20));
    world.beat(Beat::Well);
    world.pass(19_999);
    assert_eq!(world.fired(), [""; 0]);
    world.pass(1);
    assert_eq!(world.fired().len(), 1);
    assert_eq!(world.view("web").rules[0].state, RuleState::Firing);
    // It is restarted, and the new process has its own time.
    world.pass(1_000);
    assert!(world.log.iter().any(|(_, effect)| matches!(
        effect,
        Effect::Act(_, Act::Start { .. } | Act::Restart { .. } | Act::Stop { .. })
    )));
    world.pass(5_000);
    assert!(world.fired()[0].contains("resolved"));
    assert_eq!(world.status("web"), Status::Ok);
    world.beating(120_000, 15_000);
    assert_eq!(world.fired(), [""; 0]);
}

#[test]
fn before_its_first_word_a_process_has_the_grace_as_well() {
    let mut world = watchdog(every(20));
    world.pass(29_990);
    assert_eq!(world.fired(), [""; 0]);
    world.pass(20);
    assert!(world.fired()[0].starts_with("missing fires"));
    // One that says that it is ready has begun to count at that moment.
    let mut world = watchdog(every(20));
    world.pass(2_000);
    world.beat(Beat::Ready);
    assert_eq!(world.metric("ready"), "yes");
    world.pass(19_990);
    assert_eq!(world.fired(), [""; 0]);
    world.pass(20);
    assert!(world.fired()[0].starts_with("missing fires"));
}

#[test]
fn nothing_counts_while_it_is_gone_stopped_paused_or_stopping() {
    let mut world = watchdog(every(20));
    world.web().start = Start::Hangs;
    world.beat(Beat::Ready);
    world.kill("web", KILL);
    world.pass(29_000);
    assert_eq!(world.fired(), [""; 0]);
    assert_eq!(world.metric("missing"), "unknown");
    assert_eq!(world.metric("ready"), "yes", "as it last said");

    let mut world = watchdog(every(20));
    world.beat(Beat::Well);
    world.ask(1, Command::Pause { service: "web".into() });
    world.pass(600_000);
    world.ask(2, Command::Resume { service: "web".into() });
    world.pass(19_000);
    assert_eq!(world.fired(), [""; 0]);
    world.pass(2_000);
    assert_eq!(world.fired().len(), 1);

    let mut world = watchdog(every(20));
    world.beat(Beat::Well);
    world.beat(Beat::Stopping);
    world.pass(600_000);
    assert_eq!(world.fired(), [""; 0]);
    world.beat(Beat::Ready);
    world.pass(21_000);
    assert_eq!(world.fired().len(), 1);
}

#[test]
fn a_new_process_begins_anew() {
    let mut world = watchdog(every(20));
    world.beat(Beat::Ready);
    world.beat(Beat::Every(seconds(60)));
    world.beat(Beat::Status("serving".into()));
    world.beat(Beat::Main(Identity { pid: 77, start: 1 }));
    world.pass(50_000);
    assert_eq!(world.fired(), [""; 0], "it may be silent for 60 s now");
    assert_eq!((world.metric("status"), world.metric("ready")), ("\"serving\"".into(), "yes".into()));
    let view = world.view("web");
    assert!(view.checks.iter().any(|check| check.note.as_deref() == Some("its main process is pid 77")));
    world.kill("web", KILL);
    world.bring_up("web");
    world.pass(10_000);
    assert_eq!((world.metric("status"), world.metric("ready")), ("none".into(), "no".into()));
    world.pass(35_000);
    assert!(world.fired().iter().any(|line| line.starts_with("missing fires")), "it may be silent for 20 s again");
}

#[test]
fn trouble_that_it_tells_of_itself_is_missing_at_once() {
    let mut world = watchdog(every(20));
    world.beat(Beat::Well);
    world.pass(100);
    world.beat(Beat::Trigger);
    assert!(world.fired()[0].starts_with("missing fires"));
    // What it says later does not take that back, for those who restart it: another process does.
    world.pass(5_000);
    assert!(world.fired()[0].contains("resolved"));
}

#[test]
fn readiness_ends_the_grace_and_a_start_that_waits() {
    let service =
        service("web").checks(vec![process(10), check("heartbeat", Kind::Heartbeat(every(20)), 10), file(10)]);
    let mut service = with_rules(service.control(command()), 1);
    service.grace = seconds(60);
    service.settle = seconds(30);
    let large = service.is(2, "size", above(5.0));
    let mut world = World::new(plan(vec![service.rule(rule("large", large, Hold::None, vec![]))]));
    world.pass(20_000);
    world.web().size = 9.0;
    world.news();
    world.ask(1, Command::Restart { service: "web".into() });
    world.pass(1_000);
    assert!(!world.news().iter().any(|line| line.starts_with("= true")), "it waits for settle");
    world.beat(Beat::Ready);
    world.pass(11_000);
    let news = world.news();
    assert!(news.iter().any(|line| line.starts_with("= true up as")), "{news:?}");
    assert!(news.iter().any(|line| line.starts_with("large fires")), "the grace is over: {news:?}");
}

#[test]
fn who_needs_longer_has_longer() {
    let mut world = watchdog(every(20));
    world.pass(25_000);
    world.beat(Beat::Extend(seconds(60)));
    world.pass(59_000);
    assert_eq!(world.fired(), [""; 0]);
    world.pass(2_000);
    assert_eq!(world.fired().len(), 1);

    let mut world = watchdog(every(20));
    world.beat(Beat::Ready);
    world.web().start = Start::Slow { reported: true };
    world.ask(1, Command::Restart { service: "web".into() });
    world.pass(20_000);
    world.beat(Beat::Extend(seconds(120)));
    world.pass(100_000);
    assert!(!world.news().iter().any(|line| line.starts_with("= ")), "30 s are over, 120 s are not");
    world.bring_up("web");
    world.pass(30_000);
    assert!(world.news().iter().any(|line| line.starts_with("= true")));
}

#[test]
fn a_job_is_missing_late_after_its_time() {
    let mut world = job(nightly());
    world.until(3 * 60 + 4);
    assert_eq!(world.fired(), [""; 0]);
    world.until(3 * 60 + 5);
    assert!(world.fired()[0].starts_with("missing fires"));
    world.pass(HOUR);
    world.beat(Beat::Well);
    world.pass(200);
    assert!(world.fired()[0].contains("resolved"));
    world.until((24 + 3) * 60 + 4);
    assert_eq!(world.fired(), [""; 0]);
    world.beat(Beat::Well);
    // A little before its time, by a clock that is not ours, is in time.
    world.until((48 + 3) * 60 - 1);
    world.pass(55_000);
    world.beat(Beat::Well);
    world.pass(HOUR);
    assert_eq!(world.fired(), [""; 0]);
    world.until((72 + 3) * 60 + 5);
    assert_eq!(world.fired().len(), 1);
}

#[test]
fn runs_their_ends_and_how_long_they_may_take() {
    let mut world = job(Heartbeat { longest: Some(Span(seconds(600))), ..nightly() });
    world.until(3 * 60);
    world.beat(Beat::Started);
    world.pass(500_000);
    assert_eq!(world.fired(), [""; 0]);
    world.beat(Beat::Well);
    assert_eq!((world.metric("duration"), world.metric("exit.code")), ("8 min 20 s".into(), "0".into()));
    world.until((24 + 3) * 60);
    world.beat(Beat::Started);
    world.pass(600_000);
    assert!(world.fired()[0].starts_with("overrun fires"));
    world.beat(Beat::Status("no space left".into()));
    world.beat(Beat::Took(seconds(601)));
    world.beat(Beat::Failed { code: Some(3) });
    let news = world.fired();
    assert!(news.iter().any(|line| line.starts_with("failed fires")), "{news:?}");
    assert!(news.iter().any(|line| line.starts_with("overrun resolved")), "{news:?}");
    assert_eq!(world.metric("exit.code"), "3");
    assert_eq!(world.metric("status"), "\"no space left\"");
    assert!(world.view("web").checks[0].note.as_deref() == Some("no space left"));
    world.until((48 + 3) * 60);
    world.beat(Beat::Started);
    world.beat(Beat::Well);
    world.pass(200);
    assert!(world.fired()[0].starts_with("failed resolved"));
    // One that never tells its end, where nobody says how long it may take: until the next one is late.
    let mut world = job(nightly());
    world.until(3 * 60);
    world.beat(Beat::Started);
    world.until((24 + 3) * 60 + 1);
    world.beat(Beat::Started);
    assert_eq!(world.fired(), [""; 0]);
    world.until((24 + 3) * 60 + 5);
    assert!(world.fired()[0].starts_with("overrun fires"));
}

#[test]
fn minder_that_was_away_blames_nobody_for_it() {
    // A job that ran at three is not missing when minder starts at four.
    let mut world = job(nightly());
    world.until(3 * 60);
    world.beat(Beat::Started);
    world.beat(Beat::Well);
    world.until(4 * 60);
    world.kill_and_restore();
    world.pass(1);
    assert_eq!(world.metric("missing"), "no");
    assert_eq!(world.metric("age"), "1 h");
    world.until((24 + 3) * 60 + 4);
    assert_eq!(world.fired(), [""; 0]);
    // What was due meanwhile is not known, and not asked for; the next time is.
    world.ms += 2 * HOUR;
    world.kill_and_restore();
    world.pass(1);
    assert_eq!(world.metric("missing"), "unknown");
    world.until((48 + 3) * 60 + 4);
    assert_eq!(world.fired(), [""; 0]);
    world.until((48 + 3) * 60 + 5);
    assert_eq!(world.fired().len(), 1);
    // What was missing stays so, without being told again.
    world.kill_and_restore();
    world.pass(HOUR);
    assert_eq!(world.fired(), [""; 0]);
    assert_eq!(world.view("web").rules[0].state, RuleState::Firing);
    world.beat(Beat::Well);
    world.pass(200);
    assert_eq!(world.fired().len(), 1);
    // A watchdog counts from the start of minder on, and what it has said of itself is known.
    let mut world = watchdog(every(20));
    world.beat(Beat::Ready);
    world.pass(15_000);
    world.ms += HOUR;
    world.kill_and_restore();
    world.pass(19_000);
    assert_eq!(world.fired(), [""; 0]);
    assert_eq!(world.metric("ready"), "yes");
    world.pass(2_000);
    assert_eq!(world.fired().len(), 1);
}

#[test]
fn a_clock_that_is_set_and_a_machine_that_sleeps_fire_nothing() {
    const DAY: i64 = 86_400_000;
    for step in [DAY, -DAY, 10 * DAY, -10 * DAY, 3653 * DAY, -3653 * DAY, HOUR as i64, -(HOUR as i64)] {
        let mut world = job(nightly());
        world.set = 20 * DAY;
        world.pass(10_000);
        world.beat(Beat::Well);
        world.news();
        world.set += step;
        world.pass(60_000);
        assert_eq!(world.fired(), [""; 0], "{step}");
        // And what is due by the clock that it now has is asked for.
        world.pass(25 * HOUR);
        assert_eq!(world.fired().len(), 1, "{step}");
    }
    // Asleep over its time: the monotonic clock stands, the other one goes on.
    let mut world = job(nightly());
    world.until(2 * 60 + 55);
    world.set += 4 * HOUR as i64;
    world.pass(HOUR);
    assert_eq!(world.fired(), [""; 0]);
    let mut world = watchdog(every(20));
    world.beat(Beat::Well);
    world.pass(5_000);
    world.set += 4 * HOUR as i64;
    world.pass(14_000);
    assert_eq!(world.fired(), [""; 0]);
}

/// Beats that wait to be read while minder itself is held up have come in time.
#[test]
fn a_minder_that_is_held_up_hears_what_waits_first() {
    let mut world = watchdog(every(20));
    world.beat(Beat::Well);
    world.freeze(60_000);
    world.beat(Beat::Well);
    world.pass(15_000);
    assert_eq!(world.fired(), [""; 0]);
    world.freeze(60_000);
    world.pass(1_000);
    assert_eq!(world.fired().len(), 1, "but no longer than a second");
}

#[test]
fn the_listener_is_told_who_may_speak() {
    let mut world = watchdog(Heartbeat { user: Some("www".to_owned()), ..every(20) });
    world.kill("web", KILL);
    world.pass(100);
    world.bring_up("web");
    world.pass(10_000);
    let heard = world.log.iter().filter_map(|(_, effect)| match effect {
        Effect::Hear(_, hearing) => Some((hearing.process.map(|process| process.pid), hearing.user.clone())),
        _ => None,
    });
    let www = || Some("www".to_owned());
    assert_eq!(heard.collect::<Vec<_>>(), [(None, www()), (Some(101), www()), (None, www()), (Some(102), www())]);
}

#[test]
fn what_beats_all_the_time_is_neither_sampled_nor_saved_each_time() {
    let mut world = watchdog(every(20));
    world.beat(Beat::Ready);
    world.pass(5_000);
    let from = world.log.len();
    for _ in 0..10_000 {
        world.pass(1);
        world.beat(Beat::Well);
    }
    let count = |what: fn(&Effect) -> bool| world.log[from..].iter().filter(|(_, effect)| what(effect)).count();
    let records = count(|effect| matches!(effect, Effect::Record(_)));
    assert!(records < 5, "{records}");
    assert!(count(|effect| matches!(effect, Effect::Keep(..))) < 20);
}
