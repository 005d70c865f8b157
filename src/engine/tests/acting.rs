//! Restarts, budgets, people.

use crate::engine::testing::*;
use crate::model::*;

const KILL: Option<Exit> = Some(Exit::Signal { number: 9, core: false });

fn quiet(service: Service) -> World {
    let mut world = World::new(plan(vec![service]));
    world.pass(12_000);
    world.news();
    world
}

fn starts(world: &World) -> Vec<u64> {
    let is_start = |effect: &Effect| matches!(effect, Effect::Act(_, Act::Start { .. } | Act::Restart { .. }));
    world.log.iter().filter(|(_, effect)| is_start(effect)).map(|(at, _)| *at).collect()
}

fn named(service: &str) -> Name {
    service.into()
}

#[test]
fn a_crash_loop_is_given_up_told_and_retried_slowly() {
    let mut world = quiet(web(command()));
    world.web().start = Start::Dies(500);
    let begin = world.ms;
    world.kill("web", KILL);
    world.pass(120_000);
    let news = world.news();
    let gaps: Vec<u64> = starts(&world).windows(2).map(|w| (w[1] - w[0]) / 1000).collect();
    assert_eq!(gaps, [1, 2, 4, 8], "at once, then growing delays");
    assert_eq!(world.status("web"), Status::GivenUp);
    assert!(news.contains(&"given up after 5 restarts in 15 min".to_owned()), "{news:?}");
    assert!(news.contains(&"restart failed: pid 102 killed by SIGSEGV after 493 ms".to_owned()), "{news:#?}");
    assert_eq!(news.iter().filter(|line| line.starts_with('@')).collect::<Vec<_>>(), ["@ ops Firing", "@ ops Update"]);
    world.pass(3_600_000);
    let later: Vec<u64> = starts(&world)[5..].iter().map(|at| (at - begin) / 60_000).collect();
    assert_eq!(later, [30, 60], "one try each half hour");
    world.web().start = Start::Up;
    world.pass(1_800_000);
    assert_eq!(world.status("web"), Status::Ok);
    assert!(world.news().contains(&"@ ops Resolved".to_owned()));
}

#[test]
fn a_failing_start_command_is_told_with_its_last_line() {
    let mut world = quiet(web(command()));
    world.web().start = Start::Fails;
    world.kill("web", KILL);
    world.pass(500);
    let news = world.news();
    assert!(news.contains(&"restart failed: the command exited with code 1: no such port".to_owned()), "{news:?}");
}

#[test]
fn a_lost_report_wedges_nothing() {
    let mut world = quiet(web(command()));
    world.web().start = Start::Hangs;
    world.kill("web", KILL);
    world.pass(45_000);
    assert!(world.news().contains(&"restart failed: the control did not report what came of it".to_owned()));
    world.pass(60_000);
    assert!(starts(&world).len() >= 2, "and it is tried again");
}

#[test]
fn a_restart_of_a_living_process_is_a_stop_and_a_start() {
    let mut service = service("web").checks(vec![process(10)]).control(command());
    let when = service.is(0, "memory", above(5e8));
    service = service.rule(rule("fat", when, Hold::None, vec![Action::Restart]));
    let mut world = quiet(service);
    world.web().memory = 6e8;
    world.pass(12_000);
    assert_eq!(
        world.news(),
        [
            "incident opened, warning",
            "fat fires: process.memory 600 MB",
            "restart, because of fat",
            "> stop",
            "pid 101 killed by SIGTERM",
            "> start",
            "up as pid 102",
            "restart done in 2.01 s: up as pid 102",
            "@ ops Firing",
        ]
    );
    let message = world.messages().pop().unwrap();
    assert_eq!(message.story.rules[0].value, "process.memory 600 MB (limit 500 MB)");
    assert_eq!(message.story.actions[0].words, "up as pid 102");
    // It is as fat again: after the grace, the next restart.
    world.pass(60_000);
    assert!(starts(&world).len() >= 2);
}

#[test]
fn several_rules_that_ask_for_a_restart_are_one() {
    let mut service = web(command());
    let when = service.down();
    service = service.rule(rule("down too", when, Hold::None, vec![Action::Restart]));
    let mut world = quiet(service);
    world.kill("web", KILL);
    world.pass(10_000);
    assert_eq!(starts(&world).len(), 1);
}

#[test]
fn people_stop_and_start() {
    let mut world = quiet(web(command()));
    world.ask(1, Command::Stop { service: named("web") });
    world.pass(60_000);
    assert_eq!(
        world.news(),
        [
            "stopped on purpose by root",
            "stop, because of root",
            "> stop for good",
            "pid 101 killed by SIGTERM",
            "stop done in 5 ms: done",
            "= true done",
        ]
    );
    assert_eq!(world.status("web"), Status::Stopped);
    world.ask(2, Command::Start { service: named("web") });
    world.pass(3_000);
    let news = world.news();
    assert_eq!(
        news,
        [
            "wanted up by root",
            "start, because of root",
            "> start",
            "up as pid 102",
            "start done in 2.01 s: up as pid 102",
            "= true up as pid 102"
        ]
    );
    world.ask(3, Command::Start { service: named("web") });
    assert_eq!(world.news(), ["= true web is already up as pid 102"]);
    world.ask(4, Command::Start { service: named("wbe") });
    assert_eq!(world.news(), ["= false there is no service `wbe`; did you mean `web`?"]);
}

#[test]
fn a_person_restarts_what_its_operator_has_taken_down() {
    let mut world = quiet(web(runit()));
    world.web().wanted = false;
    world.kill("web", Some(Exit::Signal { number: 15, core: false }));
    world.pass(20_000);
    assert_eq!(world.status("web"), Status::Stopped);
    world.news();
    world.ask(1, Command::Restart { service: named("web") });
    world.pass(12_000);
    let news = world.news();
    assert!(news.contains(&"> restart".to_owned()) && news.contains(&"= true up as pid 102".to_owned()), "{news:#?}");
    assert_eq!(world.status("web"), Status::Ok);
}

#[test]
fn a_stop_beats_a_restart_under_way() {
    let mut world = quiet(web(command()));
    world.kill("web", KILL);
    world.pass(1);
    world.ask(1, Command::Stop { service: named("web") });
    world.pass(60_000);
    assert_eq!(world.status("web"), Status::Stopped);
    assert_eq!(world.web().process, None);
    assert_eq!(starts(&world).len(), 1);
}

#[test]
fn no_act_says_what_it_would_do() {
    let mut world = World::with(plan(vec![web(command())]), Setting { no_act: true, ..setting() }, Restored::default());
    world.pass(12_000);
    world.news();
    world.kill("web", KILL);
    world.pass(60_000);
    let news = world.news();
    assert_eq!(news.iter().filter(|line| line.starts_with(['>', '@'])).count(), 0);
    assert!(news.contains(&"no restart: minder runs with --no-act".to_owned()));
    assert_eq!(news.iter().filter(|line| line.starts_with("no restart")).count(), 1);
    assert!(news.contains(&"no message to ops: minder runs with --no-act".to_owned()));
}

#[test]
fn after_a_lost_state_a_person_must_confirm() {
    let restored = Restored { lost: true, ..Restored::default() };
    let mut world = World::with(plan(vec![web(command())]), setting(), restored);
    world.pass(12_000);
    world.kill("web", KILL);
    world.pass(60_000);
    assert!(starts(&world).is_empty());
    assert_eq!(world.news().iter().filter(|line| line.starts_with("no restart")).count(), 1);
    // Also when minder was started again meanwhile, from the state that it began anew.
    world.kill_and_restore();
    world.pass(60_000);
    assert!(starts(&world).is_empty());
    world.ask(1, Command::Resume { service: named("web") });
    world.pass(20_000);
    assert_eq!(starts(&world).len(), 1);
    assert!(!world.saved["web"].unconfirmed);
}

#[test]
fn a_supervisor_that_cannot_be_asked_is_not_overruled() {
    let mut world = quiet(web(runit()));
    world.web().answers = false;
    world.pass(10_000);
    let file = Sample::unknown(now(world.ms), "permission denied");
    world.input(Input::Sampled(vec![(CheckId(1), std::sync::Arc::new(file))]));
    world.kill("web", KILL);
    world.pass(60_000);
    assert!(starts(&world).is_empty());
}

#[test]
fn a_notifier_is_tested() {
    let mut world = quiet(web(command()));
    world.ask(1, Command::NotifyTest { notifier: "ops".into() });
    assert_eq!(world.news(), ["@ ops Firing"]);
    let firing = world.parcels().pop().unwrap().messages[0].clone();
    world.pass(1);
    assert_eq!(world.news(), ["@ ops Resolved", "= true ops has taken the message"]);
    let resolved = world.parcels().pop().unwrap().messages[0].clone();
    assert!(firing.story.test && resolved.story.test, "{resolved:?}");
    assert!(firing.story.incident.is_some_and(|id| id > 1 << 52), "no other incident has it: {firing:?}");
    assert_eq!(firing.story.incident, resolved.story.incident, "what it has opened is closed");
    world.swallow_parcels = true;
    world.ask(2, Command::NotifyTest { notifier: "ops".into() });
    let parcel = world.parcels().pop().unwrap().id;
    world.input(Input::Said { parcel, lines: vec!["RCPT TO".into()] });
    world.input(Input::Delivered { parcel, outcome: Delivery::Refused { why: "no such mailbox".into() } });
    let answer = "= false the message has not reached ops: no such mailbox\n--- firing\nRCPT TO";
    assert_eq!(world.news(), ["@ ops Firing", answer], "there is nothing to resolve");
}

#[test]
fn a_rule_that_stops_beats_one_that_restarts() {
    for restart_first in [true, false] {
        let mut service = service("web").checks(vec![process(10)]).control(command());
        let when = service.is(0, "memory", above(5e8));
        let mut rules = vec![
            rule("again", when.clone(), Hold::None, vec![Action::Restart]),
            rule("off", when, Hold::None, vec![Action::Stop]),
        ];
        if !restart_first {
            rules.reverse();
        }
        for rule in rules {
            service = service.rule(rule);
        }
        let mut world = quiet(service);
        world.web().memory = 6e8;
        world.pass(60_000);
        assert!(starts(&world).is_empty(), "{:?}", world.news());
        assert_eq!(world.status("web"), Status::Stopped);
        assert_eq!(world.web().process, None);
    }
}

#[test]
fn a_person_who_restarts_gives_a_fresh_budget() {
    let mut world = quiet(web(command()));
    world.web().start = Start::Dies(500);
    world.kill("web", KILL);
    world.pass(120_000);
    assert_eq!(world.status("web"), Status::GivenUp);
    world.web().start = Start::Up;
    world.ask(1, Command::Restart { service: named("web") });
    world.pass(3_000);
    assert_eq!(world.status("web"), Status::Ok);
    assert_eq!((world.saved["web"].restarts.len(), world.saved["web"].given_up), (0, None));
    let before = starts(&world).len();
    world.kill("web", KILL);
    world.pass(100);
    assert_eq!(starts(&world).len(), before + 1, "at once, as the first of five");
}

#[test]
fn what_is_given_up_paused_or_stopped_is_so_after_a_kill() {
    let mut world = quiet(web(command()));
    world.web().start = Start::Dies(500);
    world.kill("web", KILL);
    world.pass(120_000);
    let tries = starts(&world).len();
    world.kill_and_restore();
    world.pass(60_000);
    assert_eq!((world.status("web"), starts(&world).len()), (Status::GivenUp, tries));
    world.ask(1, Command::Pause { service: named("web") });
    world.kill_and_restore();
    world.pass(3_600_000);
    assert_eq!((world.status("web"), starts(&world).len()), (Status::Paused, tries));
}

#[test]
fn a_person_overrules_what_the_operator_took_down() {
    let mut world = quiet(web(runit()));
    world.web().wanted = false;
    world.kill("web", Some(Exit::Signal { number: 15, core: false }));
    world.pass(1_000);
    world.news();
    world.ask(1, Command::Start { service: named("web") });
    world.pass(60_000);
    assert_eq!(
        world.news(),
        [
            "wanted up by root",
            "start, because of root",
            "> start",
            "up as pid 102",
            "start done in 5.01 s: up as pid 102",
            "= true up as pid 102",
        ]
    );
    assert_eq!(world.status("web"), Status::Ok);
}

#[test]
fn a_process_that_goes_to_the_background_is_followed() {
    let mut world = quiet(web(command()));
    world.web().start = Start::Dies(1_000_000);
    world.kill("web", KILL);
    world.pass(200);
    world.kill("web", Some(Exit::Code(0)));
    world.pass(100);
    world.bring_up("web");
    world.pass(5_000);
    let news = world.news();
    assert!(news.iter().any(|line| line.starts_with("restart done") && line.ends_with("up as pid 103")), "{news:#?}");
}

#[test]
fn actions_run_in_order_and_a_signal_needs_a_process() {
    let mut service = web(command());
    service.rules[0].actions = vec![
        Action::Signal(Signal(10)),
        exec(),
        Action::Restart,
        Action::Notify(Some("chat".into())),
        Action::Snapshot,
    ];
    let mut world = quiet(service);
    world.kill("web", KILL);
    world.pass(5_000);
    let acted: Vec<_> =
        world.news().into_iter().filter(|line| line.contains("done") || line.contains("failed")).collect();
    assert_eq!(
        acted,
        [
            "signal USR1 failed: there is no process",
            "exec /bin/true done in 1 ms: done",
            "restart done in 2.01 s: up as pid 102",
        ]
    );
}

#[test]
fn the_supervisor_is_asked_before_an_automatic_restart() {
    let mut service = service("web").checks(vec![process(10), file(10)]).control(runit());
    let when = service.is(1, "missing", Test::Truth);
    service = service.rule(rule("missing", when, Hold::None, vec![Action::Restart]));
    let mut world = quiet(service);
    // Taken down just now: the process still runs, and what the supervisor last said is old.
    world.web().wanted = false;
    world.web().trouble = true;
    world.input(Input::Touched(CheckId(1)));
    world.pass(60_000);
    assert!(starts(&world).is_empty());
    assert!(world.news().iter().any(|line| line.starts_with("no restart: its operator")));
}

#[test]
fn an_interrupted_stop_does_not_undo_a_later_start() {
    let mut world = quiet(web(command()));
    world.ask(1, Command::Stop { service: named("web") });
    world.bring_up("web");
    world.kill_and_restore();
    world.news();
    world.ask(2, Command::Start { service: named("web") });
    world.pass(60_000);
    assert!(!world.news().iter().any(|line| line.starts_with('>')));
    assert_eq!(world.status("web"), Status::Ok);
}

#[test]
fn a_deadline_that_has_passed_keeps_nobody_awake() {
    let mut world = quiet(web(command()));
    world.kill("web", KILL);
    world.pass(100);
    world.news();
    // Nobody answers any more, and just before its proving time is over it dies, the cause unknown.
    world.web().answers = false;
    world.pass(2_906);
    world.kill("web", None);
    world.pass(5_000);
    assert_eq!(world.news(), ["pid 102 ended, exit code not available"]);
}

/// The control puts `MINDER_` before them.
#[test]
fn facts_have_bare_names() {
    let service = service("data").checks(vec![file(10)]);
    let when = service.is(0, "size", above(5.0));
    let mut world = World::new(plan(vec![service.rule(rule("big", when, Hold::None, vec![exec()]))]));
    world.real.get_mut("data").unwrap().size = 9.0;
    world.pass(12_000);
    let facts = world.log.iter().find_map(|(_, effect)| match effect {
        Effect::Act(_, Act::Exec { facts, .. }) => Some(facts),
        _ => None,
    });
    let names: Vec<&str> = facts.unwrap().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["SERVICE", "RULE", "CONDITION", "VALUE", "SEVERITY", "EVENT", "INCIDENT"]);
}

#[test]
fn messages_that_wait_are_noted_until_they_are_delivered() {
    let mut world = quiet(web(command()));
    world.kill("web", Some(Exit::Signal { number: 11, core: true }));
    world.pass(30_000);
    let notes = |world: &World| world.engine.snapshot(now(world.ms)).notes;
    assert_eq!(notes(&world), [""; 0]);
    let late = || Delivery::Deferred { why: "connection refused".into(), after: None };
    world.swallow_parcels = true;
    world.kill("web", Some(Exit::Signal { number: 11, core: true }));
    world.pass(30_000);
    let parcel = world.parcels().pop().unwrap().id;
    world.input(Input::Delivered { parcel, outcome: late() });
    assert_eq!(notes(&world), ["1 message waits for ops, and will be tried again: connection refused"]);
    world.swallow_parcels = false;
    world.pass(2_000);
    assert_eq!(notes(&world), [""; 0]);
}

#[test]
fn what_a_command_wrote_is_kept_with_its_event() {
    let service = service("data").checks(vec![file(10)]);
    let when = service.is(0, "size", above(5.0));
    let mut world = World::new(plan(vec![service.rule(rule("big", when, Hold::None, vec![exec()]))]));
    world.swallow_reports = true;
    world.real.get_mut("data").unwrap().size = 9.0;
    world.pass(12_000);
    let id =
        world.log.iter().find_map(|(_, e)| if let Effect::Act(id, Act::Exec { .. }) = e { Some(*id) } else { None });
    let words = "exit code 3: two\none\ntwo".into();
    world.input(Input::Acted { id: id.unwrap(), report: Report::Failed { why: words } });
    let acted = world.log.iter().find_map(|(_, effect)| match effect {
        Effect::Record(Record::Event(Event { kind: EventKind::Acted { words, output, .. }, .. })) => {
            Some((words, output))
        }
        _ => None,
    });
    assert_eq!(acted, Some((&"exit code 3: two".to_owned(), &Some("one\ntwo".to_owned()))));
    assert_eq!(world.messages()[0].story.actions[0].words, "exit code 3: two");
}
