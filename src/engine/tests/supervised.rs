//! A service beside its supervisor: whose process it is, whose turn, what counts as its doing, and what is told of it.

mod looping;
mod operator;
mod record;

use crate::engine::testing::*;
use crate::model::*;

const SEGV: Option<Exit> = Some(Exit::Signal { number: 11, core: false });
const TERM: Option<Exit> = Some(Exit::Signal { number: 15, core: false });

/// `web`, with `process: supervised`, `process.down -> restart`, and what is implied of a control.
fn watched() -> Service {
    watched_by(runit())
}

fn watched_by(control: controls::ControlSpec) -> Service {
    let mut service = service("web").checks(vec![supervised(10)]).control(control);
    let down = service.down();
    service =
        service.rule(Rule { severity: Severity::Critical, ..rule("down", down, Hold::None, vec![Action::Restart]) });
    judged(service, 1)
}

/// With the rules that are implied of its control, the check at this place.
fn judged(mut service: Service, control: u16) -> Service {
    let gone = Condition::Not(Box::new(service.is(control, "alive", Test::Truth)));
    let rules = [
        ("gone", gone, Hold::For(seconds(10))),
        ("failed", service.is(control, "failed", Test::Truth), Hold::None),
        ("flapping", service.is(control, "flapping", Test::Truth), Hold::None),
    ];
    for (name, when, hold) in rules {
        let rule = Rule { liveness: true, ..rule(name, when, hold, vec![Action::Notify(None)]) };
        service = service.rule(rule);
    }
    service
}

fn quiet(service: Service) -> World {
    let mut world = World::new(plan(vec![service]));
    world.pass(12_000);
    assert_eq!(world.status("web"), Status::Ok, "{:?}", world.view("web"));
    world.news();
    world
}

fn readings(world: &World, metric: &str) -> String {
    let view = world.view("web");
    let control = view.checks.iter().find(|check| &*check.name == "control").unwrap();
    control.metrics.iter().find(|m| m.name == metric).map_or("unknown".to_owned(), |m| m.text.clone())
}

/// Its supervisor's record has changed, and minder is told.
fn nudge(world: &mut World) {
    world.input(Input::Nudged { control: "runit", name: "web".into() });
}

fn is_calm(world: &mut World) {
    let news = world.news();
    assert!(!news.iter().any(|line| line.contains("fires") || line.starts_with('>')), "{news:?}");
}

/// Its operator takes it down.
fn take_down(world: &mut World) {
    world.web().wanted = false;
    world.kill("web", TERM);
}

/// Its operator takes it up again, and its supervisor is about to start it.
fn take_up(world: &mut World) {
    world.web().wanted = true;
    world.web().meanwhile = Phase::Starting;
    nudge(world);
}

/// Its supervisor has started it.
fn comes_up(world: &mut World) {
    world.bring_up("web");
    nudge(world);
}

#[test]
fn the_process_is_the_one_that_the_supervisor_names() {
    let mut world = quiet(watched());
    assert_eq!(world.view("web").pid, Some(101));
    world.kill("web", SEGV);
    world.pass(1_000);
    world.bring_up("web");
    world.pass(12_000);
    assert_eq!(world.view("web").pid, Some(102));
    assert_eq!(world.news(), ["pid 101 killed by SIGSEGV", "up as pid 102"]);
    world.kill("web", SEGV);
    world.pass(5_100);
    assert!(world.news().contains(&"> restart".to_owned()), "after settle it is ours");
    assert_eq!(world.view("web").pid, Some(103));
}

#[test]
fn a_supervisor_that_has_not_taken_note_of_a_death_is_asked_again_soon() {
    let mut world = quiet(watched());
    // The kernel tells of the end of a process before its parent knows.
    let identity = world.web().process.unwrap();
    world.input(Input::Exited { identity, how: SEGV });
    world.pass(30);
    world.web().process = None;
    world.pass(100);
    let new = world.bring_up("web");
    world.pass(400);
    assert_eq!(world.view("web").pid, Some(new.pid), "{:?}", world.news());
    assert_eq!(world.news(), ["pid 101 killed by SIGSEGV", "up as pid 102"]);
}

#[test]
fn a_stuck_supervisor_does_not_hide_a_death() {
    let mut world = quiet(watched());
    let identity = world.web().process.unwrap();
    world.input(Input::Exited { identity, how: SEGV });
    let asked = |world: &World| world.log.iter().filter(|(_, e)| matches!(e, Effect::Ask(_))).count();
    let before = asked(&world);
    world.pass(4_900);
    assert!(asked(&world) - before < 40, "asked ever more slowly: {}", asked(&world) - before);
    assert_eq!(world.status("web"), Status::Unknown);
    world.pass(400);
    assert!(world.news().iter().any(|line| line.starts_with("down fires")));
}

#[test]
fn what_cannot_be_asked_is_never_down() {
    let mut world = quiet(watched());
    world.web().askable = false;
    world.pass(60_000);
    assert_eq!(world.news(), [""; 0], "its process lives, as the kernel knows");
    assert_eq!(world.status("web"), Status::Unknown);
    world.kill("web", SEGV);
    world.pass(120_000);
    let news = world.news();
    assert_eq!(news, ["pid 101 killed by SIGSEGV"]);
    let note = world.view("web").checks[0].note.clone();
    assert_eq!(note.as_deref(), Some("its supervisor could not be asked: permission denied"));
    world.web().askable = true;
    world.pass(12_000);
    assert!(world.news().contains(&"> restart".to_owned()));
}

#[test]
fn what_the_supervisor_gave_up_is_down_at_once_and_ours() {
    for first in [watched(), judged(web(runit()), 1)] {
        let mut world = quiet(first);
        world.web().failed = true;
        world.kill("web", Some(Exit::Code(0)));
        world.pass(20);
        let news = world.news();
        assert!(news.contains(&"> restart".to_owned()), "{news:?}");
        world.pass(20_000);
        assert_eq!(world.status("web"), Status::Ok, "{:?}", world.news());
    }
}

#[test]
fn a_backoff_is_the_supervisors_turn_however_long() {
    let mut world = quiet(watched());
    world.web().meanwhile = Phase::Starting;
    world.kill("web", SEGV);
    world.pass(60_000);
    let news = world.news();
    assert!(news.iter().any(|line| line.starts_with("down fires")), "it is told all the same: {news:?}");
    assert!(!news.iter().any(|line| line.starts_with('>')), "{news:?}");
    let held = "no restart: its supervisor is about to start it";
    assert_eq!(news.iter().filter(|line| *line == held).count(), 1, "{news:?}");
    world.bring_up("web");
    world.pass(20_000);
    assert_eq!(world.status("web"), Status::Ok);
    let news = world.news();
    assert!(!news.iter().any(|line| line.starts_with('>')), "{news:?}");
}

#[test]
fn a_start_by_the_supervisor_that_was_in_vain_ends_its_turn() {
    let mut world = quiet(watched());
    world.web().meanwhile = Phase::Starting;
    world.kill("web", SEGV);
    world.pass(8_000);
    assert!(!world.news().contains(&"> restart".to_owned()));
    world.web().stamp += 1;
    world.pass(1_500);
    assert!(world.news().contains(&"> restart".to_owned()));
}

#[test]
fn a_finish_script_has_its_time() {
    let mut world = quiet(watched());
    world.web().meanwhile = Phase::Finishing;
    world.kill("web", SEGV);
    world.pass(9_000);
    assert_eq!(world.news(), ["pid 101 killed by SIGSEGV"], "longer than settle");
    world.pass(7_000);
    assert!(world.news().contains(&"> restart".to_owned()), "but not for ever");
}

#[test]
fn a_supervisor_that_is_gone_is_told_and_its_process_lives_on() {
    let mut world = quiet(watched());
    world.web().supervisor = false;
    world.pass(9_000);
    assert_eq!(world.news(), [""; 0]);
    world.pass(12_000);
    assert_eq!(
        world.news(),
        ["incident opened, warning", "gone fires: control.alive no (runsv is gone)", "@ ops Firing"],
    );
    assert_eq!(world.view("web").pid, Some(101));
    world.web().supervisor = true;
    world.pass(12_000);
    assert_eq!(world.news().last().unwrap(), "@ ops Resolved");
}

#[test]
fn while_the_machine_boots_supervisors_come_up_too() {
    let mut world = World::down(plan(vec![watched()]), Setting { booted: seconds(10), ..setting() });
    world.web().supervisor = false;
    world.kill_and_restore();
    world.pass(48_000);
    assert!(!world.news().iter().any(|line| line.contains("fires")));
    world.pass(25_000);
    assert!(world.news().iter().any(|line| line.starts_with("gone fires")));
}

#[test]
fn rules_know_nothing_of_a_control_that_cannot_be_asked() {
    let mut world = quiet(watched());
    world.web().askable = false;
    world.pass(60_000);
    assert_eq!(world.news(), [""; 0]);
    for metric in ["alive", "failed", "flapping"] {
        assert_eq!(readings(&world, metric), "unknown", "{metric}");
    }
}

#[test]
fn a_nudge_has_the_supervisor_asked_at_once() {
    let mut world = quiet(watched());
    let asked = |world: &World| {
        world.log.iter().filter(|(_, e)| matches!(e, Effect::Ask(q) if q.kind.name() == "control")).count()
    };
    let before = asked(&world);
    world.input(Input::Nudged { control: "runit", name: "other".into() });
    world.input(Input::Nudged { control: "s6", name: "web".into() });
    assert_eq!(asked(&world), before);
    world.input(Input::Nudged { control: "runit", name: "web".into() });
    world.pass(1);
    assert_eq!(asked(&world), before + 1);
    let watched = world.log.iter().filter(|(_, e)| matches!(e, Effect::WatchControl(..))).count();
    assert_eq!(watched, 1);
}

#[test]
fn a_nudge_is_about_the_service_that_its_supervisor_calls_so() {
    let supervisord = |program: &str| {
        let keys = serde_json::json!({ "program": program });
        controls::ControlSpec::read("supervisord", keys).unwrap().unwrap()
    };
    for (program, event, is) in [
        ("web", "web", true),
        ("web", "web:web", true),
        ("web", "site:web", false),
        ("site:web", "site:web", true),
        ("site:web", "web", false),
        ("web", "web:", false),
    ] {
        assert_eq!(supervisord(program).is_about("supervisord", event), is, "{program} {event}");
    }
    assert!(!supervisord("web").is_about("runit", "web"));
}

#[test]
fn what_rules_mention_of_a_control_is_recorded() {
    let world = quiet(watched());
    let kept = world.log.iter().filter(|(_, e)| matches!(e, Effect::Series(_, series) if &*series.check == "control"));
    assert_eq!(kept.count(), 1);
    let world = quiet(web(runit()));
    assert!(!world.log.iter().any(|(_, e)| matches!(e, Effect::Series(_, series) if &*series.check == "control")));
}

#[test]
fn a_directory_that_is_new_to_its_supervisor_has_its_time() {
    let mut world = World::down(plan(vec![watched()]), setting());
    world.web().supervisor = false;
    world.kill_and_restore();
    world.news();
    world.pass(7_000);
    assert_eq!(world.status("web"), Status::Unknown);
    world.web().supervisor = true;
    world.web().meanwhile = Phase::Starting;
    nudge(&mut world);
    world.pass(4_000);
    comes_up(&mut world);
    world.pass(30_000);
    assert_eq!(world.status("web"), Status::Ok);
    is_calm(&mut world);
}

#[test]
fn a_directory_that_no_supervisor_finds_is_told() {
    let mut world = World::down(plan(vec![watched()]), setting());
    world.web().supervisor = false;
    world.kill_and_restore();
    world.news();
    world.pass(9_900);
    is_calm(&mut world);
    world.pass(20_100);
    let news = world.news();
    assert!(news.iter().any(|line| line == "gone fires: control.alive no (runsv is gone)"), "{news:?}");
    assert!(news.iter().any(|line| line.starts_with("down fires")), "{news:?}");
}

#[test]
fn a_supervisor_that_comes_back_has_its_turn() {
    let mut world = quiet(watched());
    world.web().supervisor = false;
    world.kill("web", SEGV);
    world.pass(2_000);
    world.news();
    world.web().supervisor = true;
    nudge(&mut world);
    world.pass(3_000);
    comes_up(&mut world);
    world.pass(12_000);
    assert!(!world.news().contains(&"> restart".to_owned()));
}
