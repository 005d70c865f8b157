//! Silences, maintenance, and what notifiers want to hear.

use crate::engine::testing::*;
use crate::model::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const MINUTE: u64 = 60_000;

/// `data`, tagged `disk`, in the group `store`, with the rules `missing` and `big`; and `other`.
fn world() -> World {
    started(plan_of(&[]))
}

fn plan_of(maintenance: &[Maintenance]) -> Arc<Plan> {
    let mut data = service("data").checks(vec![file(10)]);
    (data.tags, data.group) = (vec!["disk".to_owned()], Some("store".to_owned()));
    let (missing, big) = (data.is(0, "missing", Test::Truth), data.is(0, "size", above(5.0)));
    data = data.rule(rule("missing", missing, Hold::None, vec![])).rule(rule("big", big, Hold::None, vec![]));
    let mut plan = Plan::clone(&plan(vec![data, simple("other")]));
    plan.maintenance = maintenance.iter().cloned().map(Arc::new).collect();
    Arc::new(plan)
}

fn started(plan: Arc<Plan>) -> World {
    let mut world = World::new(plan);
    world.pass(1_000);
    world.news();
    world
}

/// The same plan with another `ops`.
fn wanting(change: impl FnOnce(&mut Notifier)) -> Arc<Plan> {
    let mut plan = Plan::clone(&plan_of(&[]));
    let mut ops = Notifier::clone(&plan.notifiers["ops"]);
    change(&mut ops);
    plan.notifiers.insert("ops".into(), Arc::new(ops));
    Arc::new(plan)
}

fn of_service(name: &str) -> Scope {
    Scope { services: vec![name.into()], ..Scope::default() }
}

fn of_rules(rules: &[&str]) -> Scope {
    Scope { rules: rules.iter().map(ToString::to_string).collect(), ..Scope::default() }
}

fn silence(scope: Scope, minutes: u64) -> Command {
    Command::Silence { scope, reason: "deploy".to_owned(), lasts: minutes * MINUTE, holder: None }
}

const END_ALL: Command = Command::Unsilence { silences: Vec::new(), holder: None, all: true };

impl World {
    /// What was sent since this was last asked, and what people were answered.
    fn heard(&mut self) -> Vec<String> {
        let parcels = self.parcels();
        let known = std::mem::replace(&mut self.heard_so_far, parcels.len());
        let new = parcels[known..].iter().flat_map(|parcel| &parcel.messages);
        new.map(|message| format!("{} {} {}", message.to, message.story.service, message.kind)).collect()
    }
    /// The latest message to this notifier, as it was recorded last.
    fn latest_to(&self, to: &str) -> Message {
        let of = |effect: &Effect| match effect {
            Effect::Record(Record::Message(message)) | Effect::Tell(message) if &*message.to == to => {
                Some(Message::clone(message))
            }
            _ => None,
        };
        self.log.iter().rev().find_map(|(_, effect)| of(effect)).unwrap()
    }
    /// The latest steps of the latest message.
    fn latest(&self) -> Message {
        let recorded = self.log.iter().rev().find_map(|(_, effect)| match effect {
            Effect::Record(Record::Message(message)) => Some(Message::clone(message)),
            Effect::Tell(message) => Some(Message::clone(message)),
            _ => None,
        });
        recorded.unwrap()
    }
    fn answer_to(&mut self, command: Command) -> String {
        self.ask(1, command);
        let mut answers = self.news().into_iter().filter(|line| line.starts_with('='));
        answers.next_back().unwrap()
    }
}

#[test]
fn what_still_fires_at_the_end_of_a_silence_is_told_and_what_is_over_is_not() {
    let mut world = world();
    let answer = world.answer_to(silence(of_service("data"), 10));
    assert_eq!(answer, "= true nobody is told of data for 10 min; `minder unsilence 1` ends this");
    world.trouble("data", true);
    world.trouble("other", true);
    world.pass(MINUTE);
    assert_eq!(world.heard(), ["ops other firing"], "the other one is not silenced");
    assert_eq!(world.view("data").silenced.unwrap(), "for another 9 min, by root: deploy");
    assert!(world.view("data").summary.starts_with("silenced; "), "{}", world.view("data").summary);
    assert_eq!((world.view("other").silenced, world.status("data")), (None, Status::Warning));
    world.trouble("data", false);
    world.pass(MINUTE);
    let resolved = world.messages().pop().unwrap();
    assert_eq!((resolved.state, &resolved.steps.last().unwrap().why), (MessageState::Dropped, &Why::OverByThen));
    world.trouble("data", true);
    world.pass(9 * MINUTE);
    assert_eq!(world.heard(), ["ops data firing"]);
    assert_eq!(world.parcels().pop().unwrap().messages[0].story.remark.as_deref(), Some("silenced until now: deploy"));
    let news = world.news();
    assert!(news.contains(&"data no longer silenced: its time is up".to_owned()), "{news:?}");
    assert_eq!((world.silences.all.len(), world.silences.last), (0, 1));
}

#[test]
fn who_has_heard_of_it_hears_of_its_end_during_a_silence() {
    let mut world = world();
    world.trouble("data", true);
    world.pass(MINUTE);
    assert_eq!(world.heard(), ["ops data firing"]);
    world.ask(1, silence(Scope::default(), 10));
    world.real.get_mut("data").unwrap().size = 9.0;
    world.pass(MINUTE);
    assert_eq!(world.heard(), [""; 0], "there is more to tell, later");
    world.trouble("data", false);
    world.real.get_mut("data").unwrap().size = 1.0;
    world.pass(MINUTE);
    assert_eq!(world.heard(), ["ops data resolved"]);
    world.pass(20 * MINUTE);
    assert_eq!(world.heard(), [""; 0]);
}

#[test]
fn what_a_deployment_has_put_right_in_its_last_moment_is_not_told() {
    let mut world = world();
    world.ask(1, silence(of_service("data"), 10));
    world.trouble("data", true);
    world.pass(MINUTE);
    assert_eq!(world.status("data"), Status::Warning);
    // No check has seen it yet.
    world.trouble("data", false);
    world.ask(2, END_ALL);
    assert_eq!(world.view("data").silenced, None);
    world.pass(2_000);
    assert_eq!(
        (world.status("data"), world.heard()),
        (Status::Ok, vec![]),
        "it was asked before its time, and is well"
    );
    // What does not answer is told of all the same.
    world.ask(1, silence(of_service("data"), 10));
    world.trouble("data", true);
    world.pass(MINUTE);
    world.real.get_mut("data").unwrap().answers = false;
    world.ask(2, END_ALL);
    world.pass(1_900);
    assert_eq!(world.heard(), [""; 0]);
    world.pass(200);
    assert_eq!(world.heard(), ["ops data firing"], "a check has a second to answer, and one until it is asked");
}

#[test]
fn a_rule_is_silenced_while_nothing_else_of_its_service_fires() {
    let mut world = world();
    world.ask(1, silence(of_rules(&["big"]), 60));
    world.real.get_mut("data").unwrap().size = 9.0;
    world.pass(MINUTE);
    assert_eq!(world.heard(), [""; 0]);
    assert_eq!(world.view("data").silenced.unwrap(), "big, for another 59 min, by root: deploy");
    // Another silence for what comes now.
    world.ask(1, silence(of_rules(&["missing"]), 5));
    world.trouble("data", true);
    world.pass(MINUTE);
    assert_eq!(world.heard(), [""; 0], "each of its rules is silenced by one or the other");
    world.pass(5 * MINUTE);
    assert_eq!(world.heard(), ["ops data firing"], "one of them is over");
}

#[test]
fn tags_and_groups() {
    for tag in ["disk", "store"] {
        let mut world = world();
        world.ask(1, silence(Scope { tags: vec![tag.to_owned()], ..Scope::default() }, 10));
        world.trouble("data", true);
        world.trouble("other", true);
        world.pass(MINUTE);
        assert_eq!(world.heard(), ["ops other firing"], "{tag}");
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    let mut world = world();
    let day = 1440;
    for (command, words) in [
        (silence(of_service("dta"), 1), "there is no service `dta`; did you mean `data`?"),
        (silence(of_rules(&["bgi"]), 1), "there is no rule `bgi`; did you mean `big`?"),
        (silence(Scope { services: vec!["other".into()], ..of_rules(&["big"]) }, 1), "there is no rule `big`"),
        (
            silence(Scope { tags: vec!["dsk".to_owned()], ..Scope::default() }, 1),
            "there is no tag or group `dsk`; did you mean `disk`?",
        ),
        (
            silence(Scope { tags: vec!["disk".to_owned()], ..of_service("other") }, 1),
            "there is no service that is meant by other if tagged disk",
        ),
        (silence(of_service("data"), 0), "a silence lasts between 1 s and 30 d"),
        (silence(of_service("data"), 31 * day), "a silence lasts between 1 s and 30 d"),
        (
            Command::Silence { scope: of_service("data"), reason: " \n".to_owned(), lasts: MINUTE, holder: None },
            "a silence needs a reason",
        ),
        (
            Command::Unsilence { silences: vec![7], holder: None, all: false },
            "there is no silence 7; `minder silences` shows those there are",
        ),
    ] {
        let answer = world.answer_to(command.clone());
        assert!(answer.starts_with(&format!("= false {words}")), "{command:?}: {answer}");
    }
    for _ in 0..1000 {
        assert!(world.answer_to(silence(of_service("data"), 1)).starts_with("= true"));
    }
    assert!(world.answer_to(silence(of_service("data"), 1)).starts_with("= false there are 1000 silences already"));
    assert_eq!(world.answer_to(END_ALL), "= true 1000 silences are over");
    assert_eq!(world.answer_to(END_ALL), "= true there is no silence");
}

#[test]
fn a_reason_is_bounded_and_plain() {
    let mut world = world();
    let reason = format!("a\x1b[31m\nb{}", "x".repeat(10_000));
    world.ask(1, Command::Silence { scope: Scope::default(), reason, lasts: MINUTE, holder: None });
    let kept = &world.silences.all[0].reason;
    assert!(kept.chars().count() <= 301 && !kept.chars().any(char::is_control), "{kept}");
}

#[test]
fn a_silence_outlives_minder_and_not_its_holder() {
    let mut world = world();
    let holder = world.bring_up("holder");
    world.real.insert("holder".into(), Real { process: Some(holder), ..Real::default() });
    let held = |holder| Command::Silence {
        scope: of_service("data"),
        reason: "deploy".to_owned(),
        lasts: 10 * MINUTE,
        holder: Some(holder),
    };
    world.ask(1, held(holder));
    world.trouble("data", true);
    world.pass(MINUTE);
    world.kill_and_restore();
    world.pass(MINUTE);
    assert_eq!(world.heard(), [""; 0], "it goes on after a restart");
    world.kill("holder", Some(Exit::Signal { number: 9, core: false }));
    world.pass(1_100);
    assert_eq!(world.heard(), ["ops data firing"]);
    assert!(world.news().contains(&"data no longer silenced: its command has ended".to_owned()));
    // One that is gone already.
    world.ask(1, held(Identity { pid: 77, start: 7 }));
    world.pass(100);
    assert!(world.silences.all.is_empty());
    // And one that goes while minder is down.
    let holder = world.bring_up("holder");
    world.ask(1, held(holder));
    assert_eq!(world.silences.all.len(), 1);
    world.real.get_mut("holder").unwrap().process = None;
    world.kill_and_restore();
    world.pass(100);
    assert!(world.silences.all.is_empty());
    // By the holder's own word.
    let holder = world.bring_up("holder");
    world.ask(1, held(holder));
    world.ask(2, silence(of_service("other"), 10));
    world.ask(3, Command::Unsilence { silences: vec![], holder: Some(holder), all: false });
    assert_eq!(world.silences.all.len(), 1, "only its own");
}

#[test]
fn after_a_boot_a_holder_is_gone_whoever_has_its_pid_now() {
    let mut world = world();
    let holder = world.real["data"].process.unwrap();
    world
        .ask(1, Command::Silence { scope: Scope::default(), reason: "x".into(), lasts: 600_000, holder: Some(holder) });
    let restored = Restored { silences: world.silences.clone(), same_boot: false, ..Restored::default() };
    let mut next = World::with(plan_of(&[]), setting(), restored);
    assert!(next.news().contains(&"everything no longer silenced: the machine has booted since".to_owned()));
}

#[test]
fn a_clock_that_is_set_ends_a_silence_rather_than_to_prolong_it() {
    for set in [3_600_000, -3_600_000] {
        let mut world = world();
        world.ask(1, silence(of_service("data"), 10));
        world.trouble("data", true);
        world.set = set;
        world.pass(11 * MINUTE);
        assert_eq!(world.heard(), ["ops data firing"], "{set}");
    }
}

/// It is worth sending for as long as ever, from when it may go: its first attempt may fail.
#[test]
fn what_was_silenced_for_long_is_tried_as_long_as_anything_else() {
    let mut world = started(wanting(|ops| ops.expire = seconds(3600)));
    world.ask(1, silence(of_service("data"), 180));
    world.trouble("data", true);
    world.pass(170 * MINUTE);
    assert_eq!(world.heard(), [""; 0]);
    world.post("ops", Post::Defers);
    world.pass(20 * MINUTE);
    assert!(!world.heard().is_empty(), "it is tried, in vain");
    world.post("ops", Post::Takes);
    world.pass(10 * MINUTE);
    assert_eq!(world.heard(), ["ops data firing", "chat  resolved"], "and chat hears that ops takes messages again");
    assert_eq!(world.latest().state, MessageState::Delivered);
}

#[test]
fn a_long_silence_does_not_let_what_still_fires_expire() {
    let mut world = world();
    let days = 3;
    world.ask(1, silence(of_service("data"), days * 1440));
    world.trouble("data", true);
    world.pass(MINUTE);
    world.kill_and_restore();
    world.pass(days * 1440 * MINUTE);
    assert_eq!(world.heard(), ["ops data firing"]);
}

/// Its firing has expired after attempts that were in vain as far as is known: what comes next begins anew.
#[test]
fn more_of_what_was_perhaps_never_heard_is_a_firing() {
    for restart in [false, true] {
        let mut world = started(wanting(|ops| ops.expire = seconds(60)));
        world.post("ops", Post::Defers);
        world.trouble("data", true);
        world.pass(5 * MINUTE);
        assert_eq!(world.latest_to("ops").state, MessageState::Dead);
        if restart {
            world.kill_and_restore();
        }
        world.post("ops", Post::Takes);
        world.heard();
        world.real.get_mut("data").unwrap().size = 9.0;
        world.pass(MINUTE);
        assert_eq!(world.heard().first().map(String::as_str), Some("ops data firing"), "restart: {restart}");
    }
}

#[test]
fn maintenance_comes_by_itself() {
    // The world begins at 00:16:40 UTC.
    let nightly = Maintenance {
        name: "nightly".into(),
        scope: of_service("data"),
        schedule: "30 0 * * *".parse().unwrap(),
        zone: Some("UTC".parse().unwrap()),
        here: jiff::tz::TimeZone::UTC,
        lasts: Duration::from_secs(600),
        reason: "backup".to_owned(),
    };
    let mut world = started(plan_of(&[nightly]));
    world.pass(13 * MINUTE);
    assert_eq!(world.view("data").silenced, None);
    world.pass(2 * MINUTE);
    assert_eq!(world.view("data").silenced.unwrap(), "for another 8 min, by nightly: backup");
    world.trouble("data", true);
    world.pass(MINUTE);
    assert_eq!(world.heard(), [""; 0]);
    let Why::Silenced { silence: None, by, .. } = &world.latest().steps.last().unwrap().why.clone() else { panic!() };
    assert_eq!(by, "nightly");
    world.pass(10 * MINUTE);
    assert_eq!(world.heard(), ["ops data firing"]);
    // A plan without it.
    world.trouble("data", false);
    world.pass(MINUTE);
    world.pass(1440 * MINUTE - 12 * MINUTE);
    assert!(world.view("data").silenced.is_some(), "the next night");
    world.reload(plan_of(&[]));
    assert_eq!(world.view("data").silenced, None);
}

#[test]
fn outside_its_hours_a_notifier_is_not_told() {
    let hours = |text: &str| Some(Hours::parse(&[text.to_owned()], Some("UTC".parse().unwrap())).unwrap());
    let mut world = started(wanting(|ops| ops.hours = hours("01:00-02:00")));
    world.trouble("data", true);
    world.pass(10 * MINUTE);
    assert_eq!(world.heard(), [""; 0]);
    let why = world.latest().steps.last().unwrap().why.clone();
    assert_eq!(why, Why::OutsideHours { until: Some(Wall(3_600_000)) });
    world.trouble("other", true);
    world.pass(MINUTE);
    world.trouble("other", false);
    world.pass(33 * MINUTE);
    assert_eq!(world.heard(), ["ops data firing"], "what is over is not told");
    world.pass(61 * MINUTE);
    world.trouble("data", false);
    world.pass(MINUTE);
    assert_eq!(world.heard(), ["ops data resolved"], "he has heard of it, and hears of its end, whatever the hour");
}

#[test]
fn a_machine_that_sleeps_wakes_to_the_right_hour() {
    let hours = Hours::parse(&["08:00-18:00".to_owned()], Some("UTC".parse().unwrap())).unwrap();
    let mut world = started(wanting(|ops| ops.hours = Some(hours)));
    world.trouble("data", true);
    world.pass(MINUTE);
    // Eight hours of which the clock that never steps knows nothing.
    world.set = 8 * 3_600_000;
    world.pass(2 * MINUTE);
    assert_eq!(world.heard(), ["ops data firing"]);
}

#[test]
fn severity_and_kinds() {
    let mut world = started(wanting(|ops| ops.severity = Severity::Critical));
    world.trouble("data", true);
    world.trouble("other", true);
    world.pass(MINUTE);
    assert_eq!(world.heard(), ["ops other firing"], "data is a warning");
    world.trouble("data", false);
    world.trouble("other", false);
    world.pass(MINUTE);
    assert_eq!(world.heard(), ["ops other resolved"]);
    let kinds: BTreeSet<_> = [MessageKind::Firing, MessageKind::Resolved].into();
    let mut world = started(wanting(|ops| ops.kinds = kinds));
    world.trouble("data", true);
    world.pass(MINUTE);
    world.real.get_mut("data").unwrap().size = 9.0;
    world.pass(MINUTE);
    assert_eq!(world.heard(), ["ops data firing"], "no update");
    assert_eq!(world.latest().steps.last().unwrap().why, Why::Unwanted { kind: MessageKind::Update });
    world.trouble("data", false);
    world.real.get_mut("data").unwrap().size = 1.0;
    world.pass(MINUTE);
    assert_eq!(world.heard(), ["ops data resolved"]);
}
