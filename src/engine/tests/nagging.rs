//! Acknowledgements, escalation, reminders.

use crate::engine::testing::*;
use crate::model::*;
use std::sync::Arc;
use std::time::Duration;

const MINUTE: u64 = 60_000;

/// `data` tells ops at once, and chat after 15 min and again after an hour.
fn escalating() -> Service {
    let step = |minutes: u64| Escalation { after: seconds(minutes * 60), notify: vec!["chat".into()] };
    Service { escalate: vec![step(15), step(60)], ..simple("data") }
}

fn with(service: Service, remind: Option<Duration>) -> World {
    let mut plan = Plan::clone(&plan(vec![service]));
    let ops = Arc::make_mut(plan.notifiers.get_mut("ops").unwrap());
    ops.remind = remind;
    let mut world = World::new(Arc::new(plan));
    world.pass(1_000);
    world.trouble("data", true);
    world.pass(12_000);
    assert_eq!(world.told_and_why(), ["ops Firing"]);
    world
}

fn ack(world: &mut World, lasts: Option<Duration>) -> Vec<String> {
    let lasts = lasts.map(|lasts| lasts.as_millis() as u64);
    let (by, reason) = (Some("eva".to_owned()), "on it".to_owned());
    world.ask(7, Command::Acknowledge { service: "data".into(), by, reason, lasts });
    world.told_and_held()
}

fn recover(world: &mut World) {
    world.trouble("data", false);
    world.pass(12_000);
}

#[test]
fn each_step_of_an_escalation_is_taken_once_and_hears_of_the_end() {
    for restart in [false, true] {
        let mut world = with(escalating(), None);
        world.pass(14 * MINUTE);
        assert_eq!(world.told_and_why(), [""; 0]);
        if restart {
            world.kill_and_restore();
        }
        world.pass(MINUTE);
        assert_eq!(
            world.told_and_why(),
            ["chat Firing: not acknowledged, 15 min after it began"],
            "restart: {restart}"
        );
        if restart {
            world.kill_and_restore();
        }
        world.pass(44 * MINUTE);
        assert_eq!(world.told_and_why(), [""; 0], "restart: {restart}");
        world.pass(MINUTE);
        assert_eq!(world.told_and_why(), ["chat Update: not acknowledged, 1 h after it began"]);
        world.pass(600 * MINUTE);
        assert_eq!(world.told_and_why(), [""; 0]);
        recover(&mut world);
        assert_eq!(world.told_and_why(), ["chat Resolved", "ops Resolved"]);
        world.trouble("data", true);
        world.pass(16 * MINUTE);
        let again = ["ops Firing", "chat Firing: not acknowledged, 15 min after it began"];
        assert_eq!(world.told_and_why(), again, "another incident, from the first step on");
    }
}

/// Nothing else wakes the engine: its check is asked once a day.
#[test]
fn each_step_and_each_reminder_has_its_own_people_and_its_own_time() {
    let step = |minutes: u64, to: &str| Escalation { after: seconds(minutes * 60), notify: vec![to.into()] };
    let mut service = Service { escalate: vec![step(15, "chat"), step(60, "ops")], ..simple("data") };
    service.checks[0].every = seconds(86_400);
    let mut plan = Plan::clone(&plan(vec![service]));
    Arc::make_mut(plan.notifiers.get_mut("ops").unwrap()).remind = Some(seconds(40 * 60));
    let mut world = World::new(Arc::new(plan));
    world.pass(1_000);
    world.trouble("data", true);
    world.input(Input::Touched(CheckId(0)));
    world.pass(12_000);
    assert_eq!(world.told_and_why(), ["ops Firing"]);
    world.pass(15 * MINUTE);
    assert_eq!(world.told_and_why(), ["chat Firing: not acknowledged, 15 min after it began"]);
    world.pass(25 * MINUTE);
    assert_eq!(world.told_and_why(), ["ops Reminder: for 40 min now"]);
    world.pass(20 * MINUTE);
    assert_eq!(world.told_and_why(), ["ops Update: not acknowledged, 1 h after it began"]);
}

#[test]
fn what_is_acknowledged_is_not_escalated_and_all_who_know_of_it_hear_who_looks_after_it() {
    let mut world = with(escalating(), Some(seconds(600)));
    assert_eq!(
        ack(&mut world, None),
        [
            "@ ops Acknowledged",
            "= true eva looks after incident 1 of data, until it is over: no reminders and no escalation"
        ]
    );
    assert_eq!(world.messages().last().unwrap().story.ack.as_ref().unwrap().by, "eva");
    assert!(world.view("data").summary.contains("acknowledged by eva: on it"), "{}", world.view("data").summary);
    world.pass(120 * MINUTE);
    world.kill_and_restore();
    world.pass(120 * MINUTE);
    assert_eq!(world.told_and_why(), [""; 0]);
    recover(&mut world);
    assert_eq!(world.told_and_why(), ["ops Resolved"]);
    assert_eq!(world.view("data").incident, None, "recovery has cleared it");
    world.trouble("data", true);
    world.pass(11 * MINUTE);
    let [firing, reminder] = &world.told_and_why()[..] else { panic!() };
    assert_eq!((firing.as_str(), reminder.as_str()), ("ops Firing", "ops Reminder: for 10 min now"));
}

#[test]
fn an_acknowledgement_ends_when_its_time_is_up_and_the_escalation_goes_on() {
    for restart in [false, true] {
        let mut world = with(escalating(), None);
        ack(&mut world, Some(seconds(1_200)));
        world.told_and_why();
        world.pass(19 * MINUTE);
        assert_eq!(world.told_and_why(), [""; 0]);
        if restart {
            world.kill_and_restore();
        }
        world.pass(MINUTE + 1);
        let late = [
            "ops Update: the time that eva has taken for it is up",
            "chat Firing: not acknowledged, 15 min after it began",
        ];
        assert_eq!(world.told_and_why(), late, "restart: {restart}");
        assert_eq!(world.view("data").incident.unwrap().ack, None);
    }
}

#[test]
fn whoever_gives_it_back_is_told_of() {
    let mut world = with(escalating(), None);
    ack(&mut world, None);
    world.pass(1_000);
    world.told_and_why();
    world.ask(8, Command::Unacknowledge { service: "data".into() });
    assert_eq!(world.told_and_why(), ["ops Update: eva does not look after it any more"]);
    world.pass(15 * MINUTE);
    assert_eq!(world.told_and_why(), ["chat Firing: not acknowledged, 15 min after it began"]);
    world.ask(9, Command::Unacknowledge { service: "data".into() });
    assert_eq!(world.told_and_held(), ["= false nobody has acknowledged the incident of data"]);
}

#[test]
fn what_cannot_be_acknowledged_is_refused_with_what_is_missing() {
    let mut world = World::new(plan(vec![simple("data")]));
    world.pass(1_000);
    let refusal = "= false data has no open incident: nothing is to be acknowledged";
    assert_eq!(ack(&mut world, None), [refusal]);
    world.trouble("data", true);
    world.pass(12_000);
    world.news();
    let by_number = |service: &str, reason: &str, lasts| {
        let reason = reason.to_owned();
        Command::Acknowledge { service: service.into(), by: Some("e\x1bva\n".to_owned()), reason, lasts }
    };
    for (service, reason, lasts, answer) in [
        ("data", " \t", None, "= false an acknowledgement needs a reason: what is done about it"),
        ("data", "x", Some(0), "= false an acknowledgement lasts for some time, and at most for a year"),
        ("data", "x", Some(u64::MAX), "= false an acknowledgement lasts for some time, and at most for a year"),
        ("2", "x", None, "= false there is no service `2`"),
    ] {
        world.ask(1, by_number(service, reason, lasts));
        assert_eq!(world.news(), [answer]);
    }
    world.ask(1, by_number("1", &"long ".repeat(1000), Some(60_000)));
    let ack = world.view("data").incident.unwrap().ack.unwrap();
    assert_eq!(ack.by, "e va");
    assert!(ack.reason.chars().count() <= 300);
    let events = world.news();
    assert!(events[0].starts_with("acknowledged by e va: long"), "{events:?}");
}

#[test]
fn what_gets_worse_is_told_though_somebody_looks_after_it() {
    let service = simple("data");
    let big = service.is(0, "size", above(5.0));
    let mut service = service.rule(rule("big", big, Hold::None, vec![]));
    service.rules[0].severity = Severity::Warning;
    service.rules[1].severity = Severity::Critical;
    let mut world = with(service, None);
    ack(&mut world, None);
    world.real.get_mut("data").unwrap().size = 9.0;
    world.pass(10_000);
    assert_eq!(world.told_and_why(), ["ops Update"]);
    assert_eq!(world.messages().last().unwrap().story.severity, Some(Severity::Critical));
}

#[test]
fn reminders_come_since_the_last_word_and_across_a_restart() {
    let mut world = with(simple("data"), Some(seconds(3600)));
    world.pass(59 * MINUTE);
    world.kill_and_restore();
    assert_eq!(world.told_and_why(), [""; 0]);
    world.pass(MINUTE);
    assert_eq!(world.told_and_why(), ["ops Reminder: for 1 h now"]);
    world.pass(30 * MINUTE);
    ack(&mut world, Some(seconds(60)));
    world.pass(2 * MINUTE);
    world.told_and_why();
    world.pass(50 * MINUTE);
    assert_eq!(world.told_and_why(), [""; 0], "the end of the acknowledgement was a word about it");
    world.pass(10 * MINUTE);
    assert_eq!(world.told_and_why().len(), 1);
    recover(&mut world);
    world.told_and_why();
    world.pass(600 * MINUTE);
    assert_eq!(world.told_and_why(), [""; 0]);
}

#[test]
fn nobody_is_reminded_of_what_is_paused_or_held() {
    let mut world = with(escalating(), Some(seconds(600)));
    world.ask(1, Command::Pause { service: "data".into() });
    world.told_and_why();
    world.pass(600 * MINUTE);
    assert_eq!(world.told_and_why(), [""; 0]);

    let step = Escalation { after: seconds(900), notify: vec!["chat".into()] };
    let needing = needing(Service { escalate: vec![step], ..simple("data") }, &["base"]);
    let mut world = World::new(plan(vec![simple("base"), needing]));
    world.pass(1_000);
    world.trouble("data", true);
    world.pass(30_000);
    world.trouble("base", true);
    world.pass(60 * MINUTE);
    assert_eq!(world.told_and_why(), ["ops Firing", "ops Firing"], "of each, and no further");
    world.trouble("base", false);
    world.pass(60_000);
    let told = world.told_and_why();
    assert!(told.contains(&"chat Firing: not acknowledged, 15 min after it began".to_owned()), "{told:?}");
}

#[test]
fn who_does_nothing_reminds_nobody() {
    let mut plan = Plan::clone(&plan(vec![escalating()]));
    Arc::make_mut(plan.notifiers.get_mut("ops").unwrap()).remind = Some(seconds(600));
    let mut world = World::with(Arc::new(plan), Setting { no_act: true, ..setting() }, Restored::default());
    world.trouble("data", true);
    world.pass(600 * MINUTE);
    assert_eq!(world.told_and_why(), [""; 0]);
    let held = world
        .log
        .iter()
        .filter(|(_, e)| matches!(e, Effect::Record(Record::Event(Event { kind: EventKind::Held { .. }, .. }))));
    assert!(held.count() <= 3, "each is said once");
}

#[test]
fn a_shortage_has_the_processes_that_use_most() {
    let kind = Kind::System(kinds::System {});
    let mut service = service("host").checks(vec![check("system", kind, 10), file(10)]);
    let short = service.is(0, "memory", above(5.0));
    let missing = service.is(1, "missing", Test::Truth);
    service = service.rule(rule("short", short, Hold::None, vec![])).rule(rule("missing", missing, Hold::None, vec![]));
    let mut world = World::new(plan(vec![service]));
    world.real.get_mut("host").unwrap().size = 1.0;
    world.pass(1_000);
    world.trouble("host", true);
    world.pass(12_000);
    assert_eq!(world.messages().last().unwrap().story.top, [""; 0], "nobody is short of anything");
    let id = CheckId(0);
    let memory = Kind::System(kinds::System {}).metric("memory").unwrap();
    let sample = Sample {
        at: now(world.ms),
        took: seconds(0),
        readings: vec![(memory, Reading::Number(9.0))],
        note: None,
        found: Found::Unasked,
    };
    world.input(Input::Sampled(vec![(id, Arc::new(sample))]));
    world.pass(100);
    let story = world.messages().pop().unwrap().story;
    assert_eq!(story.top, ["1 hog"]);
}

#[test]
fn steps_that_are_due_together_are_one_message() {
    let mut world = with(escalating(), None);
    ack(&mut world, Some(seconds(7_200)));
    world.told_and_why();
    world.pass(121 * MINUTE);
    let late =
        ["ops Update: the time that eva has taken for it is up", "chat Firing: not acknowledged, 1 h after it began"];
    assert_eq!(world.told_and_why(), late);
    assert_eq!(world.view("data").incident.unwrap().escalated, 2);
}

/// Nobody is asleep because of a clock.
#[test]
fn an_acknowledgement_ends_in_time_when_the_clock_is_set_back_by_years() {
    for restart in [false, true] {
        let mut world = with(escalating(), None);
        ack(&mut world, Some(seconds(1_200)));
        world.told_and_why();
        world.set -= 3 * 365 * 86_400_000;
        if restart {
            world.kill_and_restore();
        }
        world.pass(21 * MINUTE);
        assert_eq!(world.view("data").incident.unwrap().ack, None, "restart: {restart}");
        assert!(world.told_and_why().iter().any(|line| line.starts_with("chat Firing")), "restart: {restart}");
    }
}
