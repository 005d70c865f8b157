//! How a process died, where the kernel does not say it, or says it late.

use crate::engine::testing::*;
use crate::model::*;

const SEGV: Exit = Exit::Signal { number: 11, core: true };
const UNKNOWN: &str = "pid 101 ended, exit code not available";

/// `web` runs under runit, and everything is quiet.
fn quiet() -> World {
    let mut world = World::new(plan(vec![web(runit())]));
    world.pass(12_000);
    assert_eq!(world.status("web"), Status::Ok);
    world.news();
    world
}

fn reported(how: Exit) -> Input {
    Input::Reported { service: "web".into(), how }
}

/// What the supervisor says, as an answer of the check that asks it.
fn says(world: &World, process: Option<Identity>, stamp: u64, last_exit: Option<Exit>) -> Input {
    let check = world
        .log
        .iter()
        .rev()
        .find_map(|(_, effect)| match effect {
            Effect::Ask(question) if matches!(*question.kind, Kind::Control(_)) => Some(question.check),
            _ => None,
        })
        .unwrap();
    let state = ControlState {
        alive: true,
        wanted: Some(true),
        phase: if process.is_some() { Phase::Running } else { Phase::Down },
        process,
        last_exit,
        stamp,
        ..ControlState::default()
    };
    let sample = Sample {
        at: now(world.ms),
        took: std::time::Duration::ZERO,
        readings: Vec::new(),
        note: None,
        found: Found::Control(state),
    };
    Input::Sampled(vec![(check, std::sync::Arc::new(sample))])
}

#[test]
fn the_supervisors_word_is_taken_of_the_death_that_it_means() {
    let died = Identity { pid: 101, start: 1 };
    let web = Some(died);
    let other = Some(Identity { pid: 90, start: 1 });
    // Its record before the death, and after it: whose process, which stamp; and what it says of the last end.
    let table = [
        ((web, 1), (None, 2), Some(SEGV), "pid 101 killed by SIGSEGV, core dumped"),
        ((web, 1), (other, 2), Some(Exit::Code(3)), "pid 101 exited with code 3"),
        ((web, 1), (None, 1), Some(SEGV), UNKNOWN),
        ((web, 1), (web, 2), Some(SEGV), UNKNOWN),
        ((other, 1), (None, 2), Some(SEGV), UNKNOWN),
        ((None, 1), (None, 2), Some(SEGV), UNKNOWN),
        ((web, 1), (None, 2), None, UNKNOWN),
    ];
    for (before, after, last_exit, expected) in table {
        // It answers after the kernel has told of the death, or before.
        for pushed in [false, true] {
            let mut world = quiet();
            world.input(says(&world, before.0, before.1, None));
            let mut inputs =
                vec![Input::Exited { identity: died, how: None }, says(&world, after.0, after.1, last_exit)];
            if pushed {
                inputs.reverse();
            }
            world.web().process = None;
            inputs.into_iter().for_each(|input| world.input(input));
            world.pass(300);
            assert_eq!(world.news()[0], expected, "{before:?} {after:?} {last_exit:?} pushed: {pushed}");
        }
    }
}

#[test]
fn the_kernels_word_is_better_than_any_other() {
    let web = Identity { pid: 101, start: 1 };
    let mut world = quiet();
    world.kill("web", Some(Exit::Memory));
    world.pass(1);
    world.input(reported(Exit::Signal { number: 9, core: false }));
    world.pass(300);
    assert_eq!(world.news(), ["pid 101 killed for want of memory (SIGKILL)"]);

    let mut world = quiet();
    world.kill("web", None);
    world.pass(1);
    world.input(reported(Exit::Code(1)));
    assert_eq!(world.news(), [""; 0], "the kernel has its time");
    world.pass(100);
    world.input(Input::Exited { identity: web, how: Some(Exit::Memory) });
    world.input(reported(Exit::Code(1)));
    world.pass(300);
    assert_eq!(world.news(), ["pid 101 killed for want of memory (SIGKILL)"]);
    assert_eq!(
        world.engine.snapshot(now(world.ms)).services[0].last_exit.as_deref(),
        Some("killed for want of memory (SIGKILL)")
    );
}

#[test]
fn the_kernels_word_wins_also_where_it_comes_late() {
    let web = Identity { pid: 101, start: 1 };
    let kernel = || Input::Exited { identity: web, how: Some(Exit::Memory) };
    let told = |late: u64| {
        let mut world = quiet();
        world.kill("web", None);
        world.input(reported(Exit::Code(1)));
        world.pass(300);
        assert_eq!(world.news(), ["pid 101 exited with code 1"]);
        world.pass(late);
        world.news();
        world.input(kernel());
        world.pass(300);
        world.news()
    };
    assert_eq!(told(2_000), ["pid 101 killed for want of memory (SIGKILL)"]);
    let nothing: [&str; 0] = [];
    assert_eq!(told(6_000), nothing, "nobody listens any more");
    // It is listened to until it has said it, or no longer than that, whoever lives meanwhile.
    let unwatched = |world: &World| {
        world.log.iter().filter(|(_, effect)| matches!(effect, Effect::Unwatch(of) if *of == web)).count()
    };
    for says in [true, false] {
        let mut world = quiet();
        world.kill("web", None);
        world.pass(300);
        world.bring_up("web");
        world.pass(2_000);
        assert_eq!(unwatched(&world), 0);
        if says {
            world.input(kernel());
            assert_eq!(unwatched(&world), 1);
        }
        world.pass(4_000);
        assert_eq!(unwatched(&world), 1);
    }
}

/// `web`, which nobody starts again, with a check of another kind that is in trouble first.
fn alone() -> World {
    let service = service("web").checks(vec![process(10), file(10)]);
    let (down, missing) = (service.down(), service.is(1, "missing", Test::Truth));
    let service = service.rule(rule("missing", missing, Hold::None, vec![]));
    let mut world = World::new(plan(vec![service.rule(rule("gone", down, Hold::None, vec![]))]));
    world.pass(12_000);
    world.news();
    world
}

#[test]
fn the_title_of_a_death_says_how() {
    let table = [
        (Some(SEGV), "web died (SIGSEGV, core dumped)"),
        (Some(Exit::Code(3)), "web died (exit code 3)"),
        (Some(Exit::Memory), "web died (killed for want of memory)"),
        (Some(Exit::Signal { number: 15, core: false }), "web died (SIGTERM)"),
        (None, "web died"),
    ];
    for (how, title) in table {
        let mut world = alone();
        world.kill("web", how);
        world.pass(15_000);
        let view = world.view("web");
        assert_eq!(view.incident.unwrap().headline(), title);
        assert_eq!(world.messages()[0].story.title, title);
        assert_eq!(format!("web {}", view.summary), title);
    }
}

#[test]
fn the_title_is_mended_when_more_is_known() {
    // The death comes after other trouble, and its cause after the message.
    let mut world = alone();
    world.trouble("web", true);
    world.pass(11_000);
    assert_eq!(world.view("web").incident.unwrap().headline(), "web: missing");
    world.kill("web", None);
    world.pass(9_000);
    assert_eq!(world.view("web").incident.unwrap().headline(), "web died");
    world.input(reported(SEGV));
    let view = world.view("web");
    assert_eq!(view.incident.unwrap().headline(), "web died (SIGSEGV, core dumped)");
    assert_eq!(view.summary, "file.missing; died (SIGSEGV, core dumped)");
    let titles: Vec<String> = world.messages().into_iter().map(|message| message.story.title).collect();
    assert_eq!(titles, ["web: missing", "web died"]);
}

#[test]
fn the_message_of_a_death_waits_for_its_cause() {
    let mut service = service("web").checks(vec![process(10)]);
    service.settle = std::time::Duration::ZERO;
    let down = service.down();
    let mut world = World::new(plan(vec![service.rule(rule("gone", down, Hold::None, vec![]))]));
    world.pass(12_000);
    world.kill("web", None);
    world.pass(100);
    assert!(world.view("web").incident.is_some() && world.messages().is_empty());
    world.input(Input::Exited { identity: Identity { pid: 101, start: 1 }, how: Some(SEGV) });
    assert_eq!(world.messages()[0].story.title, "web died (SIGSEGV, core dumped)");
}

#[test]
fn each_check_has_its_own_death() {
    let mut service = service("web").checks(vec![process(10), check("other", process(10).kind.as_ref().clone(), 10)]);
    for (c, name) in [(0, "gone"), (1, "other")] {
        let down = service.is(c, "down", Test::Truth);
        service = service.rule(Rule { liveness: true, ..rule(name, down, Hold::None, vec![]) });
    }
    let mut world = World::new(plan(vec![service]));
    world.pass(12_000);
    // The other check's process is one that this world does not have: it is gone when it is looked at.
    let asked = |(_, effect): &(u64, Effect)| match effect {
        Effect::Ask(question) => Some(question.check),
        _ => None,
    };
    let other = world.log.iter().filter_map(asked).max().unwrap();
    let found = Found::Process(Identity { pid: 7, start: 1 });
    let took = std::time::Duration::ZERO;
    let sample = Sample { at: now(world.ms), took, readings: Vec::new(), note: None, found };
    world.kill("web", Some(SEGV));
    world.input(Input::Sampled(vec![(other, std::sync::Arc::new(sample))]));
    world.pass(150);
    assert_eq!(world.view("web").summary, "died (SIGSEGV, core dumped)");
    world.pass(15_000);
    assert_eq!(world.view("web").summary, "process.down; died");
}

#[test]
fn who_was_never_seen_has_not_died() {
    let service = service("web").checks(vec![process(10)]);
    let down = service.down();
    let mut world = World::down(plan(vec![service.rule(rule("gone", down, Hold::None, vec![]))]), setting());
    world.pass(90_000);
    assert_eq!(world.view("web").incident.unwrap().headline(), "web: gone");
    assert_eq!(world.view("web").summary, "process.down");
}

#[test]
fn a_report_explains_the_latest_death_or_the_one_that_is_noticed_next() {
    // Late, but of the latest.
    let mut world = quiet();
    world.kill("web", None);
    world.pass(2_000);
    assert_eq!(world.news(), [UNKNOWN]);
    world.input(reported(Exit::Code(3)));
    assert_eq!(world.news(), ["pid 101 exited with code 3"]);
    world.input(reported(Exit::Code(4)));
    world.bring_up("web");
    world.pass(20_000);
    assert_eq!(world.news(), ["up as pid 102"], "the first report was of that death; there is no other");

    // Before the death is noticed: nobody is told of ends, and the check has its turn at once.
    let mut world = quiet();
    world.deaf = true;
    world.kill("web", None);
    world.input(reported(Exit::Code(3)));
    world.pass(300);
    assert_eq!(world.news(), ["pid 101 exited with code 3"]);

    // Far too early.
    let mut world = quiet();
    world.input(reported(Exit::Code(3)));
    world.pass(11_000);
    world.kill("web", None);
    world.pass(300);
    assert_eq!(world.news(), [UNKNOWN]);

    // Of nobody.
    let mut world = quiet();
    world.input(Input::Reported { service: "none".into(), how: SEGV });
    world.pass(1_000);
    assert_eq!(world.news(), [""; 0]);
}

#[test]
fn the_arguments_of_a_finish_script_are_understood() {
    let signal = |number, core| Some(Exit::Signal { number, core });
    let table = [
        // runit's.
        ((0, 0), Some(Exit::Code(0))),
        ((111, 0), Some(Exit::Code(111))),
        ((-1, 11), signal(11, false)),
        ((-1, 139), signal(11, true)),
        // s6's.
        ((256, 15), signal(15, false)),
        ((256, 0), None),
        ((-1, 0), None),
        ((-1, 128), None),
        ((3, 9), None),
        ((257, 0), None),
        ((-2, 1), None),
        ((i32::MIN, i32::MAX), None),
    ];
    for ((code, status), expected) in table {
        assert_eq!(Exit::from_finish(code, status), expected, "{code} {status}");
    }
}

#[test]
fn what_was_saved_before_there_were_other_ends_is_read() {
    for (text, exit) in [
        ("{\"code\":3}", Exit::Code(3)),
        ("{\"signal\":{\"number\":11,\"core\":true}}", SEGV),
        ("\"memory\"", Exit::Memory),
    ] {
        assert_eq!(serde_json::from_str::<Exit>(text).unwrap(), exit);
        assert_eq!(serde_json::to_string(&exit).unwrap(), text);
    }
}
