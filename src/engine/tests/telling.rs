//! Who is told what.

use crate::engine::testing::*;
use crate::model::*;
use std::collections::BTreeSet;

fn two_rules() -> World {
    let mut service = service("data").checks(vec![file(10)]);
    let (missing, big) = (service.is(0, "missing", Test::Truth), service.is(0, "size", above(5.0)));
    service = service.rule(rule("missing", missing, Hold::None, vec![])).rule(rule(
        "big",
        big,
        Hold::None,
        vec![exec(), Action::Notify(Some("chat".into()))],
    ));
    let mut world = World::new(plan(vec![service]));
    world.pass(1_000);
    world.news();
    world
}

impl World {
    fn data(&mut self) -> &mut Real {
        self.real.get_mut("data").unwrap()
    }
    fn told(&mut self) -> Vec<String> {
        self.news().into_iter().filter(|line| line.starts_with('@')).collect()
    }
}

#[test]
fn one_incident_many_rules() {
    let mut world = two_rules();
    world.data().trouble = true;
    world.pass(10_000);
    assert_eq!(world.told(), ["@ ops Firing"]);
    world.data().size = 9.0;
    world.pass(10_000);
    assert_eq!(world.told(), ["@ chat Firing", "@ ops Update"], "who was told hears more, who was not hears of it");
    world.data().trouble = false;
    world.pass(10_000);
    assert_eq!(world.told(), [""; 0], "it is not over");
    world.data().size = 1.0;
    world.pass(10_000);
    assert_eq!(world.told(), ["@ chat Resolved", "@ ops Resolved"]);
    let story = world.messages().pop().unwrap().story;
    assert_eq!(story.rules.len(), 2);
    assert!(story.since.is_some() && story.ended.is_some());
}

#[test]
fn a_message_waits_for_actions_and_not_for_ever() {
    let mut world = two_rules();
    world.swallow_reports = true;
    let before = world.ms;
    world.data().size = 9.0;
    world.pass(30_000);
    let told = world.log.iter().find(|(at, e)| *at > before && matches!(e, Effect::Tell(_))).unwrap().0;
    let fired = world.log.iter().find(|(at, e)| *at > before && matches!(e, Effect::Act(..))).unwrap().0;
    assert_eq!(told - fired, 10_000);
}

#[test]
fn over_before_it_was_told_is_one_message() {
    let mut world = two_rules();
    world.swallow_reports = true;
    world.data().size = 9.0;
    world.pass(10_000);
    world.data().size = 1.0;
    world.input(Input::Touched(CheckId(0)));
    world.pass(30_000);
    assert_eq!(world.told(), ["@ chat Resolved", "@ ops Resolved"]);
    let messages = world.messages();
    assert!(messages.iter().all(|m| m.story.ended.is_some()), "{messages:?}");
    let keys: std::collections::BTreeSet<_> = messages.iter().map(|m| m.key.clone()).collect();
    assert_eq!(keys.len(), messages.len());
}

#[test]
fn the_end_of_minder_sends_what_waits() {
    let mut world = two_rules();
    world.swallow_reports = true;
    world.data().size = 9.0;
    world.pass(10_000);
    assert_eq!(world.told(), [""; 0]);
    world.input(Input::Ending);
    assert_eq!(world.told(), ["@ chat Firing", "@ ops Firing"]);
}

#[test]
fn records_stand_before_actions() {
    let mut world = two_rules();
    world.data().size = 9.0;
    world.pass(20_000);
    let act = world.log.iter().position(|(_, e)| matches!(e, Effect::Act(..))).unwrap();
    let at = world.log[act].0;
    let after = world.log[act..].iter().take_while(|(t, _)| *t == at);
    assert_eq!(after.filter(|(_, e)| matches!(e, Effect::Record(_))).count(), 0);
}

#[test]
fn a_message_has_the_last_lines_of_the_log() {
    let mut service = service("data").checks(vec![file(10)]);
    service.log = Some(Log::At("/var/log/data.log".parse().unwrap()));
    let missing = service.is(0, "missing", Test::Truth);
    let moved = service.term(0, "size", Test::Truth, Term::Changed);
    service = service.rule(rule("missing", missing, Hold::None, vec![])).rule(rule("moved", moved, Hold::None, vec![]));
    let mut world = World::new(plan(vec![service]));
    world.pass(1_000);
    world.data().trouble = true;
    world.pass(10_000);
    world.data().trouble = false;
    world.data().size = 9.0;
    world.pass(10_000);
    let logs: Vec<_> = world.messages().into_iter().map(|m| (m.kind, m.story.log.join("|"))).collect();
    let last = || "the last|words".to_owned();
    assert_eq!(
        logs,
        [(MessageKind::Firing, last()), (MessageKind::Resolved, String::new()), (MessageKind::Notice, last())]
    );
}

#[test]
fn what_was_over_before_it_was_told_is_told_though_minder_is_killed_meanwhile() {
    let mut world = two_rules();
    world.swallow_reports = true;
    world.data().size = 9.0;
    world.pass(10_000);
    world.data().size = 1.0;
    world.input(Input::Touched(CheckId(0)));
    world.pass(100);
    assert_eq!(world.told(), [""; 0], "its action is under way");
    world.kill_and_restore();
    world.pass(1_000);
    assert_eq!(world.told(), ["@ chat Resolved", "@ ops Resolved"]);
    world.kill_and_restore();
    world.pass(20_000);
    assert_eq!(world.told(), [""; 0], "once");
}

#[test]
fn a_notice_is_told_though_minder_is_killed_meanwhile() {
    let mut service = service("data").checks(vec![file(10)]);
    let moved = service.term(0, "size", Test::Truth, Term::Changed);
    service = service.rule(rule("moved", moved, Hold::None, vec![exec()]));
    let mut world = World::new(plan(vec![service]));
    world.swallow_reports = true;
    world.pass(1_000);
    world.data().size = 9.0;
    world.pass(10_000);
    assert_eq!(world.told(), [""; 0], "its action is under way");
    world.kill_and_restore();
    world.pass(20_000);
    assert_eq!(world.told(), ["@ ops Notice"]);
}

#[test]
fn a_number_that_is_not_on_record_makes_no_key_twice() {
    let mut world = two_rules();
    world.ask(1, Command::NotifyTest { notifier: "ops".into() });
    world.pass(1_000);
    world.kill_and_restore();
    world.data().trouble = true;
    world.pass(10_000);
    let sent = world.log.iter().filter_map(|(_, effect)| match effect {
        Effect::Send(parcel) => Some(parcel.key.clone()),
        _ => None,
    });
    let sent: Vec<String> = sent.collect();
    let different: BTreeSet<&String> = sent.iter().collect();
    assert_eq!((sent.len(), different.len()), (3, 3), "a test is a firing and its end: {sent:?}");
}
