//! What trouble is called, for somebody who is woken by it.

use crate::engine::testing::*;
use crate::model::kinds::{Beat, Heartbeat};
use crate::model::*;

/// The title of what is told when this happens to a service whose one rule has this name, of this severity. `turned` puts a `not`
/// before its metric.
fn title(mut service: Service, name: &str, turned: bool, severity: Severity, happens: impl Fn(&mut World)) -> String {
    let c = u16::try_from(service.checks.len() - 1).unwrap();
    let is = service.is(c, name.rsplit('.').next().unwrap(), Test::Truth);
    let when = if turned { Condition::Not(Box::new(is)) } else { is };
    let ops = vec![Action::Notify(Some("ops".into()))];
    service = service.rule(Rule { severity, liveness: true, ..rule(name, when, Hold::None, ops) });
    let mut world = World::new(plan(vec![service]));
    world.pass(12_000);
    happens(&mut world);
    world.pass(30_000);
    world.messages()[0].story.title.clone()
}

fn supervised_by_runit() -> Service {
    service("web").checks(vec![supervised(10)]).control(runit())
}

fn job(name: &str) -> Service {
    let keys = serde_json::json!({ "every": "20s", "longest": "5s" });
    let keys: Heartbeat = serde_json::from_value(keys).unwrap();
    service("web").checks(vec![check(name, Kind::Heartbeat(keys), 10)])
}

fn beat(world: &mut World, check: &str, beat: Beat) {
    world.input(Input::Beat { service: "web".into(), check: check.into(), beat });
}

#[test]
fn what_a_supervisor_says_is_told_in_words() {
    let title =
        |name, turned, happens: fn(&mut World)| title(supervised_by_runit(), name, turned, Severity::Critical, happens);
    let gone = |world: &mut World| world.web().supervisor = false;
    assert_eq!(title("control.alive", true, gone), "web: its supervisor is gone");
    let failed = |world: &mut World| {
        world.web().failed = true;
        world.kill("web", Some(Exit::Code(1)));
    };
    assert_eq!(title("control.failed", false, failed), "web: its supervisor has given up on it");
    let loops = |world: &mut World| {
        for _ in 0..10 {
            world.kill("web", Some(Exit::Code(1)));
            world.pass(1_000);
            world.bring_up("web");
            world.pass(3_000);
        }
    };
    assert_eq!(title("control.flapping", false, loops), "web: crash loop");
    // It is well, and somebody wants to be told of that.
    assert_eq!(title("control.alive", false, |_| {}), "web: control.alive");
}

#[test]
fn what_is_wrong_with_a_heartbeat_is_told_in_words() {
    let title = |name, happens: fn(&mut World)| title(job("heartbeat"), name, false, Severity::Critical, happens);
    assert_eq!(title("heartbeat.missing", |_| {}), "web: no heartbeat");
    let failed = |world: &mut World| beat(world, "heartbeat", Beat::Failed { code: Some(1) });
    assert_eq!(title("heartbeat.failed", failed), "web: the last run failed");
    let started = |world: &mut World| beat(world, "heartbeat", Beat::Started);
    assert_eq!(title("heartbeat.overrun", started), "web: the run takes too long");
}

#[test]
fn of_several_checks_the_words_say_which() {
    let failed = |world: &mut World| beat(world, "nightly", Beat::Failed { code: Some(1) });
    for severity in [Severity::Info, Severity::Warning] {
        let title = title(job("nightly"), "nightly.failed", false, severity, failed);
        assert_eq!(title, "web: nightly: the last run failed", "{severity}");
    }
}

#[test]
fn a_rule_that_has_a_name_goes_by_it() {
    let failed = |world: &mut World| beat(world, "nightly", Beat::Failed { code: Some(1) });
    // The last part is the metric, here and above.
    for name in ["no-copy.failed", "failed", "nightly.copy.failed"] {
        let title = title(job("nightly"), name, false, Severity::Warning, failed);
        assert_eq!(title, format!("web: {name}"));
    }
}
