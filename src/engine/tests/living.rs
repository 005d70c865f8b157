//! Life and death.

use crate::engine::testing::*;
use crate::model::*;

const SEGV: Option<Exit> = Some(Exit::Signal { number: 11, core: true });
const TERM: Option<Exit> = Some(Exit::Signal { number: 15, core: false });

/// A world in which `web` runs and everything is quiet.
fn quiet(control: controls::ControlSpec) -> World {
    let mut world = World::new(plan(vec![web(control)]));
    world.pass(12_000);
    assert_eq!(world.status("web"), Status::Ok);
    world.news();
    world
}

#[test]
fn a_crash_is_acted_upon_at_once_and_verified() {
    let mut world = quiet(command());
    let died = world.ms;
    world.kill("web", SEGV);
    world.pass(1_000);
    assert_eq!(
        world.news(),
        [
            "pid 101 killed by SIGSEGV, core dumped",
            "incident opened, critical",
            "down fires: process.down",
            "restart, because of down",
            "> start",
            "up as pid 102",
            "down resolved after 7 ms",
        ]
    );
    let acted = world.log.iter().find(|(_, e)| matches!(e, Effect::Act(..))).unwrap().0;
    assert_eq!(acted - died, 1, "the time that the selector took to answer");
    world.pass(2_000);
    let news = world.news();
    assert_eq!(news[0], "restart done in 2.01 s: up as pid 102", "{news:?}");
    assert_eq!(news[1..], ["incident closed after 2.01 s", "@ ops Resolved"]);
    let story = world.messages().pop().unwrap().story;
    let (since, up, ended) = (story.since.unwrap(), story.up.unwrap(), story.ended.unwrap());
    assert!(story.whole && up - since < seconds(1) && ended - since > seconds(2), "{story:?}");
}

#[test]
fn a_clean_end_may_turn_into_a_new_process_until_settle_has_passed() {
    let mut world = quiet(command());
    world.kill("web", TERM);
    world.pass(1_900);
    assert_eq!(world.news(), ["pid 101 killed by SIGTERM"]);
    assert_eq!(world.status("web"), Status::Unknown);
    world.bring_up("web");
    world.pass(200);
    assert_eq!(world.news(), ["up as pid 102"]);
    world.kill("web", TERM);
    world.pass(2_002);
    let news = world.news();
    assert_eq!(
        news[..2],
        ["pid 102 killed by SIGTERM", "incident opened, critical"],
        "asked again when settle is over"
    );
}

#[test]
fn the_cause_may_come_after_the_news() {
    let mut world = quiet(command());
    let web = world.web().process.unwrap();
    world.kill("web", None);
    world.pass(50);
    assert_eq!(world.news(), [""; 0], "the event waits for its cause");
    world.input(Input::Exited { identity: web, how: SEGV });
    assert_eq!(world.news()[0], "pid 101 killed by SIGSEGV, core dumped");
    world.pass(5);
    assert!(world.status("web") != Status::Unknown, "judged again with the cause");

    let mut world = quiet(command());
    world.kill("web", None);
    world.pass(300);
    assert_eq!(world.news(), ["pid 101 ended, exit code not available"]);
}

#[test]
fn it_is_the_supervisors_turn_first() {
    let mut world = quiet(runit());
    world.kill("web", SEGV);
    world.pass(4_000);
    world.bring_up("web");
    world.pass(7_000);
    assert_eq!(world.news(), ["pid 101 killed by SIGSEGV, core dumped", "up as pid 102"]);
    world.kill("web", SEGV);
    world.pass(5_100);
    assert!(world.news().contains(&"> restart".to_owned()), "after settle it is ours");
}

#[test]
fn without_a_living_supervisor_it_is_ours_at_once() {
    let mut world = quiet(runit());
    world.web().supervisor = false;
    world.kill("web", SEGV);
    world.pass(50);
    assert!(world.news().contains(&"> restart".to_owned()));
}

#[test]
fn what_its_operator_took_down_is_left_alone() {
    let mut world = quiet(runit());
    world.web().wanted = false;
    world.kill("web", TERM);
    world.pass(60_000);
    let news = world.news();
    assert_eq!(news, ["pid 101 killed by SIGTERM", "stopped on purpose by the operator (runit)"]);
    assert_eq!(world.status("web"), Status::Stopped);
    world.web().wanted = true;
    world.bring_up("web");
    world.pass(20_000);
    assert_eq!(world.status("web"), Status::Ok);
}

#[test]
fn polling_notices_a_death_too() {
    let mut world = quiet(command());
    world.web().process = None;
    world.pass(9_000);
    assert_eq!(world.news(), ["pid 101 ended, exit code not available"]);
    world.pass(2_100);
    assert!(world.news().contains(&"> start".to_owned()));
}

#[test]
fn after_boot_what_was_never_seen_is_unknown() {
    let mut world = World::down(plan(vec![web(command())]), Setting { booted: seconds(10), ..setting() });
    world.pass(49_000);
    assert!(!world.news().iter().any(|line| line.contains("fires")));
    assert_eq!(world.status("web"), Status::Unknown);
    world.pass(12_000);
    assert!(world.news().iter().any(|line| line.contains("fires")));
}

#[test]
fn an_answer_from_before_the_death_does_not_bring_it_back() {
    let mut world = quiet(command());
    let web = world.web().process.unwrap();
    world.kill("web", SEGV);
    // The regular question was answered just before; the answer arrives just after.
    let found =
        Sample { at: now(world.ms), took: seconds(0), readings: vec![], note: None, found: Found::Process(web) };
    world.pass(0);
    world.input(Input::Sampled(vec![(CheckId(0), std::sync::Arc::new(found))]));
    world.pass(3_000);
    let news = world.news();
    assert_eq!(news.iter().filter(|line| line.contains("up as pid 101")).count(), 0, "{news:?}");
    assert!(news.contains(&"> start".to_owned()));
}

#[test]
fn a_control_that_answers_is_well() {
    let world = quiet(runit());
    let checks: Vec<(String, Status)> =
        world.view("web").checks.iter().map(|check| (check.kind.clone(), check.status)).collect();
    assert_eq!(checks, [("process".to_owned(), Status::Ok), ("control".to_owned(), Status::Ok)]);
}

#[test]
fn two_services_may_watch_one_process() {
    let other = || {
        let service = service("other").checks(vec![process(10)]);
        let when = service.down();
        service.rule(rule("down", when, Hold::None, vec![]))
    };
    let mut world = World::new(plan(vec![web(command()), other()]));
    let shared = world.web().process;
    world.real.get_mut("other").unwrap().process = shared;
    world.pass(12_000);
    world.reload(plan(vec![web(command())]));
    assert!(!world.log.iter().any(|(_, e)| matches!(e, Effect::Unwatch(id) if Some(*id) == shared)));
    world.reload(plan(vec![web(command()), other()]));
    world.real.get_mut("other").unwrap().process = shared;
    world.pass(1_000);
    world.news();
    world.real.get_mut("other").unwrap().process = None;
    world.kill("web", SEGV);
    world.pass(5);
    let news = world.news();
    assert_eq!(news.iter().filter(|line| line.contains("killed by SIGSEGV")).count(), 2, "both are told: {news:?}");
    assert!(news.contains(&"> start".to_owned()));
}

#[test]
fn nothing_is_known_of_what_may_not_be_looked_at() {
    let mut world = quiet(command());
    world.web().answers = false;
    let unknown = Sample::unknown(now(world.ms), "permission denied");
    for _ in 0..10 {
        world.input(Input::Sampled(vec![(CheckId(0), std::sync::Arc::new(unknown.clone()))]));
        world.pass(30_000);
    }
    assert_eq!(world.news(), [""; 0]);
    assert_eq!(world.status("web"), Status::Unknown);
}

#[test]
fn a_supervisor_that_wants_it_up_has_its_turn_at_the_first_look_too() {
    let mut world = World::down(plan(vec![web(runit())]), setting());
    world.pass(4_900);
    assert!(!world.news().iter().any(|line| line.starts_with('>')), "runsv may be about to start it");
    world.pass(20_000);
    assert!(world.news().iter().any(|line| line.starts_with('>')));
}

#[test]
fn a_check_of_the_process_is_asked_with_whoever_lives() {
    let cgroup = |path: Option<&str>| {
        let path = path.map(|path| path.parse().unwrap());
        check(if path.is_some() { "named" } else { "own" }, Kind::Cgroup(kinds::Cgroup { path }), 10)
    };
    let asked = |world: &mut World| {
        let mut last = [None, None];
        for (_, effect) in &world.log {
            if let Effect::Ask(question) = effect
                && let Kind::Cgroup(cgroup) = &*question.kind
            {
                last[usize::from(cgroup.path.is_some())] = Some(question.identity.map(|identity| identity.pid));
            }
        }
        last
    };
    for control in [command(), runit()] {
        let mut service = web(control.clone());
        service.checks.extend([cgroup(None), cgroup(Some("/web"))]);
        if control.supervises() {
            // Only the supervisor knows the process.
            service.checks.remove(0);
            service.rules.clear();
        }
        let mut world = World::new(plan(vec![service]));
        world.pass(25_000);
        assert_eq!(asked(&mut world), [Some(Some(101)), Some(None)], "{}", control.name());
        world.kill("web", TERM);
        world.bring_up("web");
        world.pass(25_000);
        assert_eq!(asked(&mut world), [Some(Some(102)), Some(None)], "{}", control.name());
        world.kill("web", TERM);
        if control.supervises() {
            world.pass(25_000);
            assert_eq!(asked(&mut world), [Some(None), Some(None)], "{}", control.name());
        }
    }
}

/// runsv starts it each second, and it is dead each time when anybody looks.
#[test]
fn one_that_dies_at_once_whenever_its_supervisor_starts_it_is_down() {
    let mut world = quiet(runit());
    world.web().start = Start::Hangs;
    let mut firing = 0;
    for second in 0..600 {
        world.kill("web", SEGV);
        world.pass(900);
        world.bring_up("web");
        world.pass(100);
        firing += usize::from(second > 10 && world.view("web").rules[0].state == RuleState::Firing);
    }
    let news = world.news();
    let count = |what: &str| news.iter().filter(|line| line.contains(what)).count();
    assert_eq!((count("down fires"), count("resolved")), (1, 0), "{news:#?}");
    assert_eq!(firing, 589);
    assert_eq!(count("given up"), 1);
    // Two lines for each of 600 would fill a disk.
    assert!(count("up as pid") < 40, "{}", count("up as pid"));
    world.pass(20_000);
    assert_eq!(world.status("web"), Status::Ok);
    assert!(world.news().iter().any(|line| line.contains("down resolved")));
}

/// Of those that runsv started before, none was seen alive. This one appears while our own restart is under way.
#[test]
fn one_that_appears_during_our_restart_has_yet_to_show_that_it_lives() {
    let mut world = quiet(runit());
    world.web().start = Start::Slow { reported: true };
    world.kill("web", SEGV);
    world.pass(5_100);
    assert!(world.news().contains(&"> restart".to_owned()));
    world.bring_up("web");
    world.pass(500);
    world.kill("web", SEGV);
    world.pass(10_000);
    let news = world.news();
    assert!(!news.iter().any(|line| line.contains("resolved") || line.contains("fires")), "{news:#?}");
}
