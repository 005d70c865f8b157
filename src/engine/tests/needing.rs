//! What is held while something that a service needs is not well, and what comes of it.

use crate::engine::testing::*;
use crate::model::*;

const KILL: Option<Exit> = Some(Exit::Signal { number: 9, core: false });

/// `web` needs `app`, and that needs `database`.
fn shop(web: Service) -> World {
    let mut world =
        World::new(plan(vec![needing(web, &["app"]), needing(simple("app"), &["database"]), simple("database")]));
    world.pass(15_000);
    world.news();
    world
}

fn asked(world: &World, name: &str) -> Vec<u64> {
    let mut of = Vec::new();
    let mut times = Vec::new();
    for (at, effect) in &world.log {
        match effect {
            Effect::Series(check, series) if &*series.service == name => of.push(*check),
            Effect::Ask(question) if of.contains(&question.check) => times.push(*at),
            _ => {}
        }
    }
    times
}

#[test]
fn while_what_it_needs_is_not_well_its_messages_are_held_and_told_later() {
    let mut world = shop(simple("web"));
    world.trouble("database", true);
    world.pass(10_000);
    assert_eq!(world.told_and_held(), ["@ ops Firing"], "of the database");
    assert_eq!(world.view("web").summary, "held: database is critical", "however far away it is");
    assert_eq!(world.view("web").status, Status::Ok);
    world.trouble("web", true);
    world.pass(60_000);
    assert_eq!(world.told_and_held(), ["no message to ops: database is critical"], "said once");
    assert_eq!(world.view("web").status, Status::Critical, "it is judged as ever");
    assert_eq!(world.view("web").summary, "held: database is critical; file.missing");
    world.trouble("database", false);
    world.pass(10_000);
    assert_eq!(world.told_and_held(), ["@ ops Resolved", "@ ops Firing"], "it still fires");
    world.trouble("web", false);
    world.pass(10_000);
    assert_eq!(world.told_and_held(), ["@ ops Resolved"]);
}

#[test]
fn what_is_over_before_it_could_be_told_is_never_told() {
    let mut world = shop(simple("web"));
    world.trouble("database", true);
    world.pass(10_000);
    world.trouble("web", true);
    world.pass(10_000);
    world.news();
    // Well again by itself, while the database is still down,
    world.trouble("web", false);
    world.pass(20_000);
    assert_eq!(world.told_and_held(), [""; 0]);
    // and once more, with the database: it is asked before it is told.
    world.trouble("web", true);
    world.pass(20_000);
    world.news();
    world.trouble("database", false);
    world.trouble("web", false);
    world.pass(30_000);
    assert_eq!(world.told_and_held(), ["@ ops Resolved"], "of the database");
}

#[test]
fn who_was_told_before_hears_of_the_end() {
    let mut world = shop(simple("web"));
    world.trouble("web", true);
    world.pass(10_000);
    assert_eq!(world.told_and_held(), ["@ ops Firing"]);
    world.trouble("database", true);
    world.pass(10_000);
    world.news();
    world.trouble("web", false);
    world.pass(10_000);
    assert_eq!(world.told_and_held(), ["@ ops Resolved"]);
}

#[test]
fn the_one_that_notices_first_waits_for_the_answer_of_the_cause() {
    let mut world = shop(simple("web"));
    world.trouble("web", true);
    world.trouble("database", true);
    let web = CheckId(0);
    world.input(Input::Touched(web));
    world.pass(100);
    let news = world.told_and_held();
    assert!(news.contains(&"no message to ops: database is critical".to_owned()), "{news:?}");
    assert_eq!(news.iter().filter(|line| line.starts_with('@')).count(), 1, "the database's alone: {news:?}");
    assert_eq!(world.messages()[0].story.service, "database");
    assert!(world.messages().iter().all(|message| message.story.service != "web"));
}

#[test]
fn answers_are_waited_for_and_not_for_ever() {
    let mut world = shop(simple("web"));
    if let Some(real) = world.real.get_mut("database") {
        real.answers = false;
    }
    world.trouble("web", true);
    let begin = world.ms;
    world.input(Input::Touched(CheckId(0)));
    world.pass(15_000);
    let told = world.log.iter().find(|(at, e)| *at >= begin && matches!(e, Effect::Tell(_))).unwrap().0;
    assert_eq!(told - begin, 2_001, "its timeout, and a second until it may be asked");
}

#[test]
fn a_warning_a_pause_or_not_knowing_holds_nothing() {
    let mut database = simple("database");
    database.rules[0].severity = Severity::Warning;
    let mut world = World::new(plan(vec![needing(simple("web"), &["database"]), database, simple("other")]));
    world.pass(15_000);
    world.trouble("database", true);
    world.pass(15_000);
    assert_eq!(world.status("database"), Status::Warning);
    assert_eq!(world.view("web").held, None);
    world.ask(1, Command::Pause { service: "database".into() });
    assert_eq!(world.view("web").held, None);
    if let Some(real) = world.real.get_mut("database") {
        real.answers = false;
    }
    world.ask(2, Command::Resume { service: "database".into() });
    world.pass(60_000);
    assert_eq!(world.status("database"), Status::Warning, "it fires until something else is known");
    assert_eq!(world.view("web").held, None);
}

#[test]
fn starts_stops_and_deaths_of_what_it_needs_hold_too() {
    let mut world = World::new(plan(vec![needing(simple("web"), &["database"]), daemon("database")]));
    world.pass(15_000);
    world.ask(1, Command::Restart { service: "database".into() });
    assert_eq!(world.view("web").held.as_deref(), Some("database is being started or stopped"));
    world.pass(15_000);
    assert_eq!(world.view("web").held, None);
    world.kill("database", Some(Exit::Code(0)));
    world.pass(100);
    assert_eq!(world.view("web").held.as_deref(), Some("database has lost its process"));
    world.bring_up("database");
    world.pass(15_000);
    assert_eq!(world.view("web").held, None);
    world.news();
    world.ask(2, Command::Stop { service: "database".into() });
    world.pass(1_000);
    let news = world.told_and_held();
    assert_eq!(news.last().map(String::as_str), Some("= true done; web needs it, and is held"));
    assert_eq!(world.view("web").held.as_deref(), Some("database is stopped on purpose"));
}

#[test]
fn a_restart_that_cannot_help_is_tried_when_it_can() {
    let mut world = World::new(plan(vec![needing(daemon("web"), &["database"]), simple("database")]));
    world.pass(15_000);
    world.trouble("database", true);
    world.pass(10_000);
    world.news();
    world.kill("web", KILL);
    world.pass(60_000);
    let held = ["no restart: database is critical", "no message to ops: database is critical"];
    assert_eq!(world.told_and_held(), held);
    assert_eq!(world.view("web").budget.as_deref(), Some("0 of 5 in 15m"), "nothing is used of it");
    world.trouble("database", false);
    world.pass(15_000);
    let news = world.told_and_held();
    assert_eq!(news, ["@ ops Resolved", "> start", "@ ops Resolved"], "one of the database, one tells all of the web");
    assert_eq!(world.status("web"), Status::Ok);
}

#[test]
fn a_restart_waits_for_the_cause_and_that_of_a_dead_process_does_not() {
    let mut world = World::new(plan(vec![needing(daemon("web"), &["database"]), simple("database")]));
    world.pass(15_000);
    world.news();
    // Nobody has looked at the database yet.
    world.trouble("web", true);
    world.trouble("database", true);
    world.input(Input::Touched(CheckId(1)));
    world.pass(3_000);
    let news = world.told_and_held();
    assert!(news.contains(&"no restart: database is critical".to_owned()), "{news:?}");
    assert!(!news.iter().any(|line| line.starts_with('>')), "{news:?}");
    world.trouble("web", false);
    world.trouble("database", false);
    world.pass(30_000);
    world.news();
    world.kill("web", KILL);
    let death = world.ms;
    world.pass(1_000);
    let start = world.log.iter().find(|(at, e)| *at >= death && matches!(e, Effect::Act(..))).unwrap().0;
    assert!(start - death < 5, "after {} ms", start - death);
}

#[test]
fn a_person_goes_ahead_and_is_told_why_it_may_not_help() {
    let mut world = World::new(plan(vec![needing(daemon("web"), &["database"]), simple("database")]));
    world.pass(15_000);
    world.trouble("database", true);
    world.pass(10_000);
    world.news();
    world.ask(1, Command::Restart { service: "web".into() });
    world.pass(5_000);
    let news = world.told_and_held();
    let answer = "= true up as pid 103; it needs what is not well: database is critical";
    assert_eq!(news, ["> stop", "> start", answer]);
}

#[test]
fn a_restart_that_a_notice_wants_is_not_lost() {
    let mut web = service("web").checks(vec![process(10), file(10)]).control(command());
    let changed = web.term(1, "size", Test::Truth, Term::Changed);
    web = web.rule(rule("moved", changed, Hold::None, vec![Action::Restart]));
    let mut world = World::new(plan(vec![needing(web, &["database"]), simple("database")]));
    world.pass(15_000);
    world.trouble("database", true);
    world.pass(15_000);
    world.news();
    for size in 2..60 {
        world.web().size = f64::from(size);
        world.pass(10_000);
    }
    let news = world.told_and_held();
    assert_eq!(news.iter().filter(|line| line.starts_with("no restart")).count(), 1, "{news:#?}");
    assert!(!news.iter().any(|line| line.starts_with('>') || line.starts_with('@')), "{news:#?}");
    world.trouble("database", false);
    world.pass(25_000);
    let news = world.told_and_held();
    assert_eq!(news.iter().filter(|line| *line == "> start").count(), 1, "{news:?}");
    assert_eq!(news.iter().filter(|line| *line == "@ ops Notice").count(), 20, "the latest: {news:?}");
}

#[test]
fn what_is_held_stays_so_over_a_restart_of_minder() {
    let mut world = shop(simple("web"));
    world.trouble("database", true);
    world.pass(10_000);
    world.trouble("web", true);
    world.pass(10_000);
    world.news();
    world.kill_and_restore();
    world.pass(60_000);
    let news = world.told_and_held();
    assert_eq!(news, [""; 0], "that was said");
    world.input(Input::Ending);
    assert!(!world.told_and_held().iter().any(|line| line.starts_with('@')), "not even at the end");
    // Both are well when minder is back.
    world.trouble("database", false);
    world.trouble("web", false);
    world.kill_and_restore();
    world.pass(30_000);
    assert_eq!(world.told_and_held(), ["@ ops Resolved"], "of the database");
    assert_eq!(world.status("web"), Status::Ok);
}

#[test]
fn a_new_plan_without_the_need_lets_go() {
    let mut world = World::new(plan(vec![needing(simple("web"), &["database"]), simple("database")]));
    world.pass(15_000);
    world.trouble("database", true);
    world.trouble("web", true);
    world.pass(15_000);
    world.news();
    world.reload(plan(vec![simple("web"), simple("database")]));
    world.pass(100);
    assert_eq!(world.told_and_held(), ["@ ops Firing"]);
    world.reload(plan(vec![needing(simple("web"), &["database"]), simple("database")]));
    assert_eq!(world.view("web").held.as_deref(), Some("database is critical"));
    world.trouble("web", false);
    world.pass(15_000);
    assert_eq!(world.told_and_held(), ["@ ops Resolved"]);
}

#[test]
fn checks_are_asked_when_they_are_whatever_becomes_of_what_is_needed() {
    let (mut troubled, mut quiet) = (shop(simple("web")), shop(simple("web")));
    for i in 0..20 {
        troubled.trouble("database", i % 2 == 0);
        troubled.pass(7_300);
        quiet.pass(7_300);
    }
    assert_eq!(asked(&troubled, "web"), asked(&quiet, "web"));
    // What is needed is asked beside its own rhythm when one that needs it fires, at most once a second.
    for i in 0..600 {
        quiet.trouble("web", i % 2 == 0);
        quiet.input(Input::Touched(CheckId(0)));
        quiet.pass(100);
    }
    let of = asked(&quiet, "database");
    let minute: Vec<_> = of.iter().filter(|at| **at + 60_000 > quiet.ms).collect();
    assert!((50..=70).contains(&minute.len()), "{}", minute.len());
}
