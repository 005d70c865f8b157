//! Rules that judge each process by itself.

use crate::engine::testing::*;
use crate::model::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// `machine`, with a rule on the processor time of each of its processes.
fn judging(hold: Hold, actions: Vec<Action>) -> Service {
    let service = service("machine").checks(vec![processes(10), file(10)]);
    let when = service.is(0, "each.cpu", above(90.0));
    service.rule(rule("runaway", when, hold, actions))
}

fn world(service: Service) -> World {
    let mut world = World::new(plan(vec![service]));
    world.pass(1_000);
    world.news();
    world
}

impl World {
    fn crowd(&mut self) -> &mut BTreeMap<u32, f64> {
        &mut self.real.get_mut("machine").unwrap().crowd
    }
    /// What happens with these processes within so many seconds.
    fn running(&mut self, processes: &[(u32, f64)], seconds: u64) -> Vec<String> {
        *self.crowd() = processes.iter().copied().collect();
        self.pass(seconds * 1000);
        self.news()
    }
}

#[test]
fn each_process_fires_by_itself_and_is_named() {
    let mut world = world(judging(Hold::For(seconds(20)), vec![]));
    assert_eq!(world.running(&[(500, 99.0), (501, 10.0)], 15), [""; 0]);
    assert_eq!(world.view("machine").rules[0].state, RuleState::Pending);
    let news = world.running(&[(500, 99.0), (501, 95.0)], 20);
    let fired = "runaway fires: stress (pid 500, user nobody) each.cpu 99 %";
    assert_eq!(news, ["incident opened, warning", fired, "@ ops Firing"]);
    assert_eq!(world.status("machine"), Status::Warning);
    assert_eq!(world.view("machine").summary, "stress (pid 500, user nobody) each.cpu 99 %");
    let story = world.messages()[0].story.clone();
    assert_eq!(story.title, "machine: runaway: stress (pid 500, user nobody)");
    assert_eq!(story.rules[0].value, "stress (pid 500, user nobody) each.cpu 99 % (limit 90 %)");
    // The other one has a hold of its own. The first is over, and the incident goes on.
    let news = world.running(&[(500, 20.0), (501, 95.0)], 10);
    assert!(news[0].starts_with("runaway of stress (pid 500, user nobody) resolved after "), "{news:?}");
    assert_eq!(news[1], "runaway fires: stress (pid 501, user nobody) each.cpu 95 %");
    assert_eq!(world.view("machine").summary, "stress (pid 501, user nobody) each.cpu 95 %");
    let news = world.running(&[(500, 20.0)], 15);
    assert!(news[0].starts_with("runaway of stress (pid 501, user nobody) resolved after "), "{news:?}");
    assert!(news[0].ends_with(": the process has ended"), "{news:?}");
    assert_eq!(world.status("machine"), Status::Ok);
    assert_eq!(world.messages().last().map(|m| m.kind), Some(MessageKind::Resolved));
}

#[test]
fn a_look_that_fails_ends_nobody_and_completes_no_hold() {
    let mut world = world(judging(Hold::For(seconds(25)), vec![]));
    world.running(&[(500, 99.0)], 15);
    let answers = |world: &mut World, yes| world.real.get_mut("machine").unwrap().answers = yes;
    answers(&mut world, false);
    assert_eq!(world.running(&[(500, 99.0)], 60), [""; 0]);
    answers(&mut world, true);
    assert!(world.running(&[(500, 99.0)], 60).iter().any(|line| line.starts_with("runaway fires")));
    answers(&mut world, false);
    assert_eq!(world.running(&[(500, 99.0)], 60), [""; 0]);
    assert_eq!(world.view("machine").rules[0].state, RuleState::Firing);
    // An answer that says nothing: it timed out.
    let asked = world.log.iter().find_map(|(_, effect)| match effect {
        Effect::Ask(question) if matches!(*question.kind, Kind::Processes(_)) => Some(question.check),
        _ => None,
    });
    let sample = Sample::unknown(now(world.ms), "no answer within 5s");
    world.input(Input::Sampled(vec![(asked.unwrap(), Arc::new(sample))]));
    assert_eq!(world.news(), [""; 0]);
    assert_eq!(world.view("machine").rules[0].state, RuleState::Firing);
}

#[test]
fn a_count_counts_the_samples_of_each() {
    let mut world = world(judging(Hold::Count { bad: 2, of: 3 }, vec![]));
    assert_eq!(world.running(&[(500, 99.0), (501, 1.0)], 10), [""; 0]);
    assert_eq!(world.running(&[(500, 1.0), (501, 99.0)], 10), [""; 0]);
    let news = world.running(&[(500, 99.0), (501, 1.0)], 10);
    assert_eq!(news[1], "runaway fires: stress (pid 500, user nobody) each.cpu 99 %");
    assert_eq!(news.len(), 3, "{news:?}");
}

#[test]
fn other_checks_may_stand_beside_it() {
    let mut service = judging(Hold::None, vec![]);
    let (busy, calm) = (service.is(0, "each.cpu", above(90.0)), service.is(0, "each.cpu", above(5.0)));
    let missing = service.is(1, "missing", Test::Truth);
    service.rules[0].when = Condition::And(vec![busy, missing]);
    service.rules[0].until = Some((Condition::Not(Box::new(calm)), Hold::None));
    let mut world = world(service);
    assert_eq!(world.running(&[(500, 99.0)], 20), [""; 0]);
    world.real.get_mut("machine").unwrap().trouble = true;
    let news = world.running(&[(500, 99.0)], 20);
    assert_eq!(news[1], "runaway fires: stress (pid 500, user nobody) each.cpu 99 %, file.missing");
    // `until` is of each, too.
    assert_eq!(world.running(&[(500, 50.0), (501, 1.0)], 20), [""; 0]);
    let news = world.running(&[(500, 2.0), (501, 1.0)], 20);
    assert!(news[0].starts_with("runaway of stress (pid 500, user nobody) resolved"), "{news:?}");
}

#[test]
fn actions_go_to_the_process() {
    let actions = vec![exec(), Action::Snapshot, Action::Signal(Signal(15))];
    let mut world = world(judging(Hold::None, actions));
    let news = world.running(&[(500, 99.0)], 10);
    assert!(news.contains(&"signal TERM, because of runaway of stress (pid 500, user nobody)".to_owned()), "{news:?}");
    let act = |(_, effect): &(u64, Effect)| if let Effect::Act(_, act) = effect { Some(act.clone()) } else { None };
    let acts: Vec<Act> = world.log.iter().filter_map(act).collect();
    let [
        Act::Exec { facts, process: Some(aim), .. },
        Act::Snapshot { identity, log: None },
        Act::Signal { process, .. },
    ] = acts.as_slice()
    else {
        panic!("{acts:?}")
    };
    let it = Identity { pid: 500, start: 1 };
    assert_eq!((aim.identity, *identity, process.identity), (it, it, it));
    assert!(process.process().is_none(), "found by looking, not by a pidfile");
    let fact = |name: &str| facts.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
    assert_eq!(fact("VALUE"), Some("stress (pid 500, user nobody) each.cpu 99 %"));
    assert_eq!(fact("PROCESS"), Some("stress"));
}

#[test]
fn an_action_whose_turn_comes_too_late_is_not_taken() {
    let mut world = world(judging(Hold::None, vec![exec(), Action::Signal(Signal(15))]));
    world.swallow_reports = true;
    world.running(&[(500, 99.0)], 10);
    let news = world.running(&[(500, 1.0)], 60);
    assert!(
        news.contains(&"no signal TERM (pid 500): the rule no longer fires for this process".to_owned()),
        "{news:?}"
    );
    assert!(!news.contains(&"> signal".to_owned()), "{news:?}");
}

#[test]
fn a_flood_is_one_message_that_names_the_worst() {
    let mut world = world(judging(Hold::None, vec![Action::Signal(Signal(15))]));
    let flood: Vec<(u32, f64)> = (0..200).map(|i| (1000 + i, 91.0 + f64::from(i) / 10.0)).collect();
    let news = world.running(&flood, 10);
    assert_eq!(news.iter().filter(|line| line.starts_with("runaway fires")).count(), 200);
    assert_eq!(news.iter().filter(|line| *line == "> signal").count(), 200);
    let messages = world.messages();
    assert_eq!(messages.len(), 1);
    let value = &messages[0].story.rules[0].value;
    let first = "stress (pid 1199, user nobody) each.cpu 111 % (limit 90 %); stress (pid 1198,";
    assert!(value.starts_with(first), "{value}");
    assert!(value.ends_with("; and 195 more"), "{value}");
    assert!(value.len() < 1000);
    assert_eq!(messages[0].story.title, "machine: runaway: stress (pid 1199, user nobody)");
    assert_eq!(world.view("machine").rules[0].values.len(), 5);
}

#[test]
fn further_ones_are_told_together_and_not_too_often() {
    let mut world = world(judging(Hold::None, vec![]));
    let mut crowd = vec![(500, 99.0)];
    for i in 0..30 {
        world.running(&crowd, 10);
        crowd.push((600 + i, 95.0));
    }
    world.running(&crowd, 10);
    let kinds: Vec<MessageKind> = world.messages().iter().map(|message| message.kind).collect();
    assert_eq!(kinds, [MessageKind::Firing, MessageKind::Update]);
    let at: Vec<i64> = world.messages().iter().map(|message| message.at.0).collect();
    assert!((300_000..302_000).contains(&(at[1] - at[0])), "{at:?}");
    let value = world.messages()[1].story.rules[0].value.clone();
    assert!(value.contains("; and 2"), "{value}");
    // Nobody has heard of it for a long time: the next one is told at once.
    world.running(&crowd, 700);
    crowd.push((700, 97.0));
    assert!(world.running(&crowd, 10).contains(&"@ ops Update".to_owned()));
    let news = world.running(&[], 10);
    assert_eq!(news.iter().filter(|line| line.starts_with('@')).collect::<Vec<_>>(), ["@ ops Resolved"]);
}

#[test]
fn there_is_a_bound_and_it_is_said_once() {
    let mut world = world(judging(Hold::For(seconds(60)), vec![]));
    let flood: Vec<(u32, f64)> = (0..1100).map(|i| (1000 + i, 99.0)).collect();
    let news = world.running(&flood, 30);
    assert_eq!(news, ["more than 1000 processes at once are a case for the rule runaway: the others wait"]);
    let news = world.running(&flood, 60);
    assert_eq!(news.iter().filter(|line| line.starts_with("runaway fires")).count(), 1000);
    let news = world.running(&flood[1090..], 30);
    assert_eq!(news.iter().filter(|line| line.contains("resolved")).count(), 1000, "{}", news.len());
}

#[test]
fn it_goes_on_after_a_restart_of_minder_and_with_a_new_plan() {
    let mut world = world(judging(Hold::For(seconds(20)), vec![]));
    world.running(&[(500, 99.0), (501, 99.0)], 35);
    world.kill_and_restore();
    // One has ended meanwhile; the other fires on, and is not told of again.
    let news = world.running(&[(501, 99.0)], 15);
    let over = |line: &&String| line.starts_with("runaway of stress (pid 500, user nobody) resolved");
    assert_eq!(news.iter().filter(over).count(), 1, "{news:?}");
    let again = |line: &String| line.contains("runaway fires") && line.contains("501") || line == "@ ops Firing";
    assert_eq!(news.iter().filter(|line| again(line)).count(), 0, "{news:?}");
    // The same rule beside other checks.
    let mut other = judging(Hold::For(seconds(20)), vec![]);
    other.checks.reverse();
    other.rules.clear();
    let when = other.is(1, "each.cpu", above(90.0));
    let other = other.rule(rule("runaway", when, Hold::For(seconds(20)), vec![]));
    world.reload(plan(vec![other.clone()]));
    assert!(!world.running(&[(501, 99.0)], 30).iter().any(|line| line.contains("runaway")));
    assert_eq!(world.status("machine"), Status::Warning);
    // Without the rule.
    world.reload(plan(vec![Service { rules: Vec::new(), ..other }]));
    let news = world.running(&[(501, 99.0)], 30);
    let words = "runaway of stress (pid 501, user nobody) resolved after";
    assert!(news.iter().any(|line| line.starts_with(words) && line.ends_with("removed or changed")), "{news:?}");
    assert_eq!(world.status("machine"), Status::Ok);
}

#[test]
fn what_is_only_recorded_is_told_to_whom_it_names_in_one_notice() {
    let mut service = judging(Hold::None, vec![Action::Notify(Some("chat".into()))]);
    service.rules[0].severity = Severity::Info;
    let mut world = world(service);
    let news = world.running(&[(500, 99.0), (501, 95.0)], 10);
    assert_eq!(news.iter().filter(|line| line.starts_with('@')).collect::<Vec<_>>(), ["@ chat Notice"]);
    assert!(world.messages()[0].story.rules[0].value.contains("pid 501"));
    assert_eq!(world.status("machine"), Status::Ok);
}

#[test]
fn a_pause_forgets_those_that_are_pending() {
    let mut world = world(judging(Hold::For(seconds(30)), vec![]));
    world.running(&[(500, 99.0)], 25);
    world.ask(1, Command::Pause { service: "machine".into() });
    world.ask(2, Command::Resume { service: "machine".into() });
    world.news();
    assert_eq!(world.running(&[(500, 99.0)], 25), [""; 0]);
}
