//! Rules, holds, notices, status.

use crate::engine::testing::*;
use crate::model::*;

fn sized(hold: Hold) -> Service {
    let service = service("data").checks(vec![file(10)]);
    let when = service.is(0, "size", above(5.0));
    service.rule(rule("big", when, hold, vec![]))
}

fn world(service: Service) -> World {
    let mut world = World::new(plan(vec![service]));
    world.pass(1_000);
    world.news();
    world
}

impl World {
    fn set(&mut self, size: f64) {
        self.real.get_mut("data").unwrap().size = size;
    }
}

#[test]
fn fires_after_its_hold_and_resolves_at_once() {
    let mut world = world(sized(Hold::For(seconds(30))));
    world.set(9.0);
    world.pass(35_000);
    assert_eq!(world.news(), [""; 0]);
    world.pass(10_000);
    assert_eq!(world.news(), ["incident opened, warning", "big fires: file.size 9 B", "@ ops Firing"]);
    assert_eq!(world.status("data"), Status::Warning);
    world.set(1.0);
    world.pass(10_000);
    assert_eq!(world.news(), ["big resolved after 10 s", "incident closed after 10 s", "@ ops Resolved"]);
    assert_eq!(world.status("data"), Status::Ok);
}

#[test]
fn unknown_pauses_a_hold_and_resolves_nothing() {
    let mut world = world(sized(Hold::For(seconds(30))));
    world.set(9.0);
    world.pass(20_000);
    world.real.get_mut("data").unwrap().answers = false;
    world.pass(600_000);
    assert_eq!(world.news(), [""; 0], "nobody looked");
    assert_eq!(world.status("data"), Status::Unknown);
    world.real.get_mut("data").unwrap().answers = true;
    world.pass(45_000);
    assert!(!world.news().is_empty());
}

#[test]
fn counts() {
    let mut world = world(sized(Hold::Count { bad: 3, of: 5 }));
    for (size, fires) in [(9.0, false), (1.0, false), (9.0, false), (9.0, true), (9.0, false)] {
        world.set(size);
        world.pass(10_000);
        assert_eq!(world.news().iter().any(|line| line.contains("fires")), fires);
    }
}

#[test]
fn recovers_by_until() {
    let mut service = sized(Hold::None);
    let until = service.is(0, "size", Test::Compare(Op::Less, Limit::Number(2.0)));
    service.rules[0].until = Some((until, Hold::For(seconds(20))));
    let mut world = world(service);
    world.set(9.0);
    world.pass(10_000);
    assert!(!world.news().is_empty());
    world.set(3.0);
    world.pass(60_000);
    assert_eq!(world.news(), [""; 0]);
    world.set(1.0);
    world.pass(15_000);
    assert_eq!(world.news(), [""; 0]);
    world.pass(20_000);
    assert_eq!(world.news()[0], "big resolved after 1 min 30 s");
}

#[test]
fn a_notice_is_told_once_and_is_no_incident() {
    let mut service = service("data").checks(vec![file(10)]);
    let when = service.term(0, "size", Test::Truth, Term::Changed);
    service = service.rule(rule("moved", when, Hold::None, vec![exec(), Action::Notify(Some("chat".into()))]));
    let mut world = world(service);
    world.set(2.0);
    world.pass(60_000);
    let news = world.news();
    assert_eq!(
        news,
        [
            "moved: 1 B became 2 B",
            "exec /bin/true, because of moved",
            "> exec",
            "exec /bin/true done in 1 ms: done",
            "@ chat Notice",
            "@ ops Notice"
        ]
    );
    assert_eq!(world.status("data"), Status::Ok);
    world.kill_and_restore();
    world.set(3.0);
    world.pass(11_000);
    assert!(world.news().contains(&"moved: 2 B became 3 B".to_owned()), "the baseline survives");
}

#[test]
fn a_window_judges_once_it_is_covered() {
    let mut service = service("data").checks(vec![file(10)]);
    let window = |metric| Term::Window { function: Function::Avg, metric, window: seconds(60) };
    let when = service.term(0, "size", above(5.0), window);
    service = service.rule(rule("mean", when, Hold::None, vec![]));
    let mut world = world(service);
    world.set(9.0);
    world.pass(50_000);
    assert_eq!(world.news(), [""; 0]);
    world.pass(20_000);
    assert!(world.news().iter().any(|line| line.starts_with("mean fires: avg(file.size, 1m) ")));
}

/// The process of `web` grows by 10 MB every 10 s; the machine has 1 GB.
fn growing(function: Function, test: Test) -> World {
    let mut service = service("web").checks(vec![process(10)]);
    let when = service.term(0, "memory", test, |metric| Term::Window { function, metric, window: seconds(60) });
    service = service.rule(rule("grows", when, Hold::None, vec![]));
    let mut world = World::new(plan(vec![service]));
    for i in 1..10 {
        world.web().memory = 1e6 + f64::from(i) * 1e7;
        world.pass(10_000);
    }
    world
}

#[test]
fn a_forecast_stays_a_part_of_the_whole() {
    let ahead = |s| Function::Forecast(seconds(s));
    let full = Test::Compare(Op::Greater, Limit::PercentOfWhole(95.0));
    // 1 % more every 10 s.
    let mut world = growing(ahead(900), full.clone());
    let fired = world.news().into_iter().find(|line| line.starts_with("grows fires")).unwrap();
    assert!(fired.starts_with("grows fires: forecast(process.memory, 1m, 15m) 9"), "{fired}");
    assert!(fired.ends_with(" %"), "{fired}");
    let value = world.messages()[0].story.rules[0].value.clone();
    assert!(value.ends_with(" % (limit 95 %)"), "{value}");
    let view = world.view("web").rules[0].values[0].clone();
    assert_eq!(view.whole, Some(1e9));
    assert!(view.value.is_some_and(|percent| (95.0..101.0).contains(&percent)), "{view:?}");
    assert!(growing(ahead(600), full).news().iter().all(|line| !line.contains("fires")));
}

#[test]
fn a_rate_is_no_part_of_the_whole() {
    let mut world = growing(Function::Rate, above(0.9e6));
    assert!(world.news().iter().any(|line| line.starts_with("grows fires: rate(process.memory, 1m) ")));
    let view = world.view("web").rules[0].values[0].clone();
    assert_eq!((view.whole, view.value.map(|rate| rate.round())), (None, Some(1e6)));
    // A new process begins a new window.
    world.kill("web", None);
    world.bring_up("web");
    world.pass(20_000);
    assert_eq!(world.view("web").rules[0].values[0].value, None);
}

#[test]
fn info_is_recorded_and_told_only_to_whom_it_names() {
    let mut service = sized(Hold::None);
    service.rules[0].severity = Severity::Info;
    let mut world = world(service.clone());
    world.set(9.0);
    world.pass(10_000);
    assert_eq!(world.news(), ["big fires: file.size 9 B"]);
    assert_eq!(world.status("data"), Status::Ok);
    service.rules[0].actions = vec![Action::Notify(Some("chat".into()))];
    let mut world = self::world(service);
    world.set(9.0);
    world.pass(10_000);
    assert_eq!(world.news(), ["big fires: file.size 9 B", "@ chat Notice"]);
}

#[test]
fn after_a_start_only_liveness_judges() {
    let mut service = web(command());
    let when = service.is(0, "memory", above(1e8));
    service = service.rule(rule("fat", when, Hold::None, vec![]));
    let mut world = World::new(plan(vec![service]));
    world.pass(1_000);
    world.news();
    world.web().process = None;
    world.pass(20_000);
    world.bring_up("web");
    world.web().memory = 9e8;
    world.pass(10_000);
    let fires = |world: &mut World| world.news().iter().any(|line| line.contains("fat fires"));
    assert!(!fires(&mut world));
    world.pass(20_000);
    assert!(fires(&mut world));
}

#[test]
fn paused_is_not_judged_and_resumed_is_judged_anew() {
    let mut world = world(sized(Hold::For(seconds(30))));
    world.set(9.0);
    world.pass(30_000);
    world.ask(1, Command::Pause { service: "data".into() });
    world.pass(60_000);
    assert_eq!(world.news(), ["paused by root", "= true data is paused: it is not judged until it is resumed"]);
    assert_eq!(world.status("data"), Status::Paused);
    world.ask(2, Command::Resume { service: "data".into() });
    world.pass(30_000);
    assert_eq!(world.news(), ["resumed by root", "= true data is judged again"], "the hold begins anew");
    world.pass(20_000);
    assert!(!world.news().is_empty());
}

#[test]
fn a_not_turns_what_is_shown_as_bad() {
    let service = service("data").checks(vec![file(10)]);
    let when = Condition::Not(Box::new(service.is(0, "size", above(5.0))));
    let mut world = world(service.rule(rule("small", when, Hold::None, vec![])));
    world.set(9.0);
    world.pass(10_000);
    let value = world.view("data").rules[0].values[0].clone();
    assert_eq!((value.text.as_str(), value.limit.as_str(), value.bad), ("9 B", "<= 5 B", Some(false)));
    world.set(1.0);
    world.pass(10_000);
    assert_eq!(world.view("data").rules[0].values[0].bad, Some(true));
}

#[test]
fn what_cannot_be_judged_says_why() {
    let mut world = world(sized(Hold::None));
    world.real.get_mut("data").unwrap().answers = false;
    world.pass(60_000);
    let view = world.view("data");
    assert_eq!((view.status, view.summary.as_str()), (Status::Unknown, "file says nothing"));
}
