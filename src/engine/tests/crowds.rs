//! Many at once: what goes together, what has no room, what the lane keeps of it all.

use super::outbox::{begin, grouped};
use crate::engine::testing::*;
use crate::model::*;
use MessageKind::*;

fn many(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("s{n:04}")).collect()
}

fn of(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

#[test]
fn twenty_that_fail_together_are_one_mail_the_worst_first() {
    let names = many(20);
    let mut plan = Plan::clone(&grouped(&of(&names), 12, 60));
    for (i, service) in plan.services.iter_mut().enumerate() {
        let service = std::sync::Arc::make_mut(service);
        service.rules[0].severity = if i % 3 == 0 { Severity::Critical } else { Severity::Warning };
    }
    let mut world = begin(std::sync::Arc::new(plan));
    names.iter().for_each(|name| world.trouble(name, true));
    world.pass(600_000);
    let parcels: Vec<_> = world.parcels().into_iter().filter(|parcel| &*parcel.to == "ops").collect();
    assert_eq!(parcels.iter().map(|parcel| parcel.messages.len()).collect::<Vec<_>>(), [20]);
    assert!(parcels[0].messages.is_sorted_by_key(|m| std::cmp::Reverse(m.story.severity)));
    names.iter().for_each(|name| world.trouble(name, false));
    world.pass(600_000);
    assert_eq!(world.sent("ops")[1].len(), 20, "and so is their end");
}

/// No time is measured: what grows with the square of the number makes this slow enough to be seen.
#[test]
fn a_thousand_that_fail_in_one_second_are_one_mail() {
    let names = many(1_000);
    let mut world = begin(grouped(&of(&names), 12, 60));
    names.iter().for_each(|name| world.trouble(name, true));
    world.pass(700_000);
    assert_eq!(world.sent("ops").iter().map(Vec::len).collect::<Vec<_>>(), [1_000]);
    assert!(world.outbox.is_empty());
}

#[test]
fn one_that_was_refused_holds_up_nobody_and_what_was_taken_ends_the_search() {
    let names = many(4);
    let mut world = begin(grouped(&of(&names), 5, 600));
    world.post("ops", Post::RefusesOf("s0000"));
    names.iter().for_each(|name| world.trouble(name, true));
    world.pass(60_000);
    let sizes: Vec<usize> = world.sent("ops").iter().map(Vec::len).collect();
    assert_eq!(sizes[..2], [4, 2], "what was refused is tried in halves, without waiting for the interval: {sizes:?}");
    world.pass(3_600_000);
    names.iter().for_each(|name| world.trouble(name, false));
    world.pass(3_600_000);
    assert_eq!(world.sent("ops").last().unwrap().len(), 3, "they go together as before");
    assert!(world.outbox.is_empty());
}

#[test]
fn more_of_what_gathers_does_not_make_it_wait_longer() {
    let mut plan = Plan::clone(&grouped(&["a"], 30, 60));
    let a = std::sync::Arc::make_mut(&mut plan.services[0]);
    *a = a.clone().rule(rule("big", a.is(0, "size", above(5.0)), Hold::None, vec![]));
    let mut world = begin(std::sync::Arc::new(plan));
    world.trouble("a", true);
    world.pass(10_000);
    let since = world.ms;
    world.pass(10_000);
    world.real.get_mut("a").unwrap().size = 9.0;
    world.pass(100_000);
    assert_eq!(world.kinds("ops"), [Firing]);
    assert!(world.times("ops")[0] <= since + 30_000);
}

#[test]
fn more_than_may_wait_lose_what_is_worth_least() {
    let names = many(1_100);
    let mut world = begin(plan(names.iter().map(|name| simple(name)).collect()));
    world.post("ops", Post::Defers);
    names.iter().for_each(|name| world.trouble(name, true));
    world.pass(11_000);
    assert_eq!(world.outbox.values().filter(|m| &*m.to == "ops").count(), 1_000);
    let dead: Vec<_> = world.ends().into_iter().filter(|m| m.state == MessageState::Dead).collect();
    assert_eq!(dead.len(), 100);
    assert!(dead.iter().all(|m| m.steps.last().unwrap().why == Why::Crowded { most: 1_000 }));
    let least = world.outbox.values().map(|m| m.id).filter(|id| dead.iter().all(|m| m.id > *id)).count();
    assert!(least <= 1, "the oldest go, but for what is under way");
}

#[test]
fn an_end_that_is_owed_has_room_before_what_begins() {
    let names = many(1_100);
    let mut world = begin(plan(names.iter().map(|name| simple(name)).collect()));
    names[..50].iter().for_each(|name| world.trouble(name, true));
    world.pass(60_000);
    world.post("ops", Post::Defers);
    names[..50].iter().for_each(|name| world.trouble(name, false));
    world.pass(60_000);
    names[50..].iter().for_each(|name| world.trouble(name, true));
    world.pass(60_000);
    let waits = |kind| world.outbox.values().filter(|m| &*m.to == "ops" && m.kind == kind).count();
    assert_eq!((waits(Resolved), waits(Firing)), (50, 950));
}
