//! What becomes of messages between the engine and those who take them.

use crate::engine::testing::*;
use crate::model::*;
use MessageKind::*;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A plan of these services, all told to `ops`, which hears what happens together.
pub(super) fn grouped(names: &[&str], wait: u64, every: u64) -> Arc<Plan> {
    let plan = plan(names.iter().map(|name| simple(name)).collect());
    let mut plan = Plan::clone(&plan);
    let group = Some(Group { wait: seconds(wait), every: seconds(every) });
    let place = NotifierPlace::Email(EmailSpec::new(vec![Given::literal("ops@example.org")]));
    let ops = Notifier { group, place, ..Notifier::clone(&plan.notifiers["ops"]) };
    plan.notifiers.insert("ops".into(), Arc::new(ops));
    Arc::new(plan)
}

pub(super) fn begin(plan: Arc<Plan>) -> World {
    let mut world = World::new(plan);
    world.pass(15_000);
    world.news();
    world
}

impl World {
    pub(super) fn post(&mut self, name: &str, post: Post) {
        self.post.insert(name.into(), post);
    }
    /// Of each attempt at this notifier: the services and kinds of message in it.
    pub(super) fn sent(&self, to: &str) -> Vec<Vec<(String, MessageKind)>> {
        let of = |m: &Arc<Message>| (m.story.service.clone(), m.kind);
        self.parcels().iter().filter(|p| &*p.to == to).map(|p| p.messages.iter().map(of).collect()).collect()
    }
    pub(super) fn kinds(&self, to: &str) -> Vec<MessageKind> {
        self.sent(to).into_iter().flatten().map(|(_, kind)| kind).collect()
    }
    pub(super) fn times(&self, to: &str) -> Vec<u64> {
        let is_its = |(_, effect): &&(u64, Effect)| matches!(effect, Effect::Send(parcel) if &*parcel.to == to);
        self.log.iter().filter(is_its).map(|(at, _)| *at).collect()
    }
    pub(super) fn ends(&self) -> Vec<Message> {
        let record = |(_, effect): &(u64, Effect)| match effect {
            Effect::Record(Record::Message(message)) if message.state != MessageState::Waiting => {
                Some(Message::clone(message))
            }
            Effect::Tell(message) if message.state != MessageState::Waiting => Some(Message::clone(message)),
            _ => None,
        };
        self.log.iter().filter_map(record).collect()
    }
    fn notifier(&self, name: &str) -> NotifierView {
        let all = self.engine.snapshot(now(self.ms)).notifiers;
        all.into_iter().find(|view| *view.name == *name).unwrap()
    }
    pub(super) fn notes(&self) -> Vec<String> {
        self.engine.snapshot(now(self.ms)).notes
    }
}

#[test]
fn what_happens_together_is_one_parcel_the_worst_first() {
    let mut plan = Plan::clone(&grouped(&["a", "b", "c"], 5, 60));
    let mut mild = Service::clone(&plan.services[0]);
    mild.rules[0].severity = Severity::Warning;
    plan.services[0] = Arc::new(mild);
    let mut world = begin(Arc::new(plan));
    for name in ["a", "b", "c"] {
        world.trouble(name, true);
        world.pass(1_000);
    }
    world.pass(20_000);
    let sent = world.sent("ops");
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(sent[0].last().unwrap(), &("a".to_owned(), Firing), "a warning comes last: {sent:?}");
    assert_eq!(sent[0].len(), 3);
    // What comes next waits for the interval to pass.
    world.trouble("a", false);
    world.trouble("b", false);
    world.pass(100_000);
    let times = world.times("ops");
    assert_eq!(times.len(), 2, "{times:?}");
    assert_eq!(times[1] - times[0], 60_000);
    assert_eq!(world.sent("ops")[1], [("b".to_owned(), Resolved), ("a".to_owned(), Resolved)]);
}

#[test]
fn the_interval_holds_across_restarts_and_attempts_in_vain() {
    let mut world = begin(grouped(&["a", "b"], 1, 600));
    world.post("ops", Post::TakesInSilence);
    world.trouble("a", true);
    world.pass(12_000);
    assert!(world.times("ops").len() >= 2, "it is tried again");
    world.trouble("a", false);
    world.pass(11_000);
    world.post("ops", Post::Takes);
    let before = *world.times("ops").last().unwrap();
    world.kill_and_restore();
    world.pass(1_000_000);
    let times = world.times("ops");
    let after = times.iter().find(|at| **at > before).unwrap();
    assert_eq!(after - before, 600_000, "it may have been taken, and this one says something else");
    assert_eq!(world.taken.last().unwrap().1.messages[0].kind, Resolved);
}

#[test]
fn a_parcel_tried_again_is_the_same_also_after_a_restart() {
    let mut world = begin(grouped(&["a", "b", "c"], 5, 60));
    world.post("ops", Post::TakesInSilence);
    world.trouble("a", true);
    world.trouble("b", true);
    world.pass(20_000);
    world.trouble("c", true);
    world.pass(30_000);
    let known = world.parcels().len();
    assert!(known > 3);
    world.kill_and_restore();
    world.pass(5_000);
    let parcels = world.parcels();
    assert!(parcels.len() > known, "it is tried again after the restart");
    let first = &parcels[0];
    assert_eq!(first.messages.len(), 2);
    for parcel in &parcels {
        let ids = |parcel: &Parcel| parcel.messages.iter().map(|m| m.id).collect::<Vec<_>>();
        assert_eq!((&parcel.key, ids(parcel), &parcel.others), (&first.key, ids(first), &first.others));
    }
}

#[test]
fn the_end_of_minder_waits_for_no_others() {
    let mut world = begin(grouped(&["a", "b"], 30, 600));
    world.trouble("a", true);
    world.trouble("b", true);
    world.pass(11_000);
    assert_eq!(world.times("ops").len(), 0);
    world.input(Input::Ending);
    assert_eq!(world.sent("ops").iter().map(Vec::len).collect::<Vec<_>>(), [2]);
}

#[test]
fn one_that_cannot_be_taken_does_not_kill_those_that_go_with_it() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut world = begin(grouped(&names, 1, 10));
    world.post("ops", Post::RefusesOf("f"));
    names.iter().for_each(|name| world.trouble(name, true));
    world.pass(120_000);
    let to_ops = world.taken.iter().filter(|(_, parcel)| &*parcel.to == "ops");
    let taken: BTreeSet<String> =
        to_ops.flat_map(|(_, p)| p.messages.iter().map(|m| m.story.service.clone())).collect();
    assert_eq!(taken.len(), 7, "{taken:?}");
    let dead: Vec<_> = world.ends().into_iter().filter(|m| m.state == MessageState::Dead).collect();
    assert_eq!(dead.iter().map(|m| m.story.service.as_str()).collect::<Vec<_>>(), ["f"]);
    // All well: who was refused owes and is owed nothing.
    names.iter().for_each(|name| world.trouble(name, false));
    world.pass(120_000);
    let messages = world.taken.iter().flat_map(|(_, p)| p.messages.clone());
    let ends = messages.filter(|m| &*m.to == "ops" && m.kind == Resolved).count();
    assert_eq!(ends, 7);
    assert!(world.notifiers["ops"].heard.is_empty());
    assert!(world.outbox.is_empty());
}

#[test]
fn after_a_refused_firing_more_of_it_is_a_firing() {
    let mut service = simple("web");
    let big = service.is(0, "size", above(5.0));
    service = service.rule(rule("big", big, Hold::None, vec![]));
    let mut world = begin(plan(vec![service]));
    world.post("ops", Post::Refuses);
    world.trouble("web", true);
    world.pass(11_000);
    world.post("ops", Post::Takes);
    world.real.get_mut("web").unwrap().size = 9.0;
    world.pass(11_000);
    world.trouble("web", false);
    world.real.get_mut("web").unwrap().size = 1.0;
    world.pass(11_000);
    assert_eq!(world.kinds("ops"), [Firing, Firing, Resolved]);
}

#[test]
fn more_of_what_is_under_way_and_then_refused_is_a_firing() {
    let mut service = simple("web");
    let big = service.is(0, "size", above(5.0));
    service = service.rule(rule("big", big, Hold::None, vec![]));
    let mut world = begin(plan(vec![service]));
    (world.swallow_parcels, world.post_takes) = (true, 0);
    world.trouble("web", true);
    world.pass(11_000);
    world.real.get_mut("web").unwrap().size = 9.0;
    world.pass(11_000);
    let parcel = world.parcels()[0].id;
    world.swallow_parcels = false;
    world.input(Input::Delivered { parcel, outcome: Delivery::Refused { why: "no".into() } });
    assert_eq!(world.kinds("ops"), [Firing, Firing]);
}

#[test]
fn what_else_fails_is_told_in_a_line_each() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut world = begin(plan(names.iter().map(|name| simple(name)).collect()));
    world.trouble("a", true);
    world.pass(240_000);
    names.iter().for_each(|name| world.trouble(name, true));
    world.pass(11_000);
    let parcels = world.parcels();
    assert_eq!(parcels[0].others, [""; 0]);
    let others = &parcels.last().unwrap().others;
    assert_eq!(others[0], "a: missing, for 4 min");
    assert_eq!((others.len(), others[5].as_str()), (6, "and 2 more"), "{others:?}");
    assert!(!others.contains(&format!("{}: missing, for 0 s", parcels.last().unwrap().messages[0].story.service)));
}

fn with_minders_own(names: &[&str], notify: &[&str]) -> Arc<Plan> {
    let plan = plan(names.iter().map(|name| simple(name)).collect());
    let mut plan = Plan::clone(&plan);
    let pager = Notifier::new("pager".into(), plan.notifiers["ops"].place.clone());
    plan.notifiers.insert("pager".into(), Arc::new(pager));
    Arc::new(Plan { notify: notify.iter().map(|name| (*name).into()).collect(), ..plan })
}

#[test]
fn a_notifier_that_takes_nothing_is_told_through_the_others() {
    let mut world = begin(with_minders_own(&["web"], &["ops", "chat"]));
    world.post("ops", Post::Defers);
    world.trouble("web", true);
    world.pass(60_000);
    assert_eq!(world.sent("chat").len(), 0, "not yet: {:?}", world.sent("chat"));
    assert_eq!(world.notes(), ["1 message waits for ops, and will be tried again: not now"]);
    let ops = world.notifier("ops");
    assert_eq!((ops.waiting, ops.why.as_deref(), ops.incident, ops.sending), (1, Some("not now"), None, false));
    assert!(ops.since < ops.next && ops.next > Some(now(world.ms).wall), "{ops:?}");
    assert_eq!(world.notifier("chat").since, None);
    world.pass(90_000);
    assert!(world.notifier("ops").incident.is_some());
    assert_eq!(world.sent("chat"), [[(String::new(), Firing)]]);
    assert_eq!(world.sent("pager").len(), 0, "those who hear of minder itself hear of this");
    let message = world.messages().into_iter().find(|m| &*m.to == "chat").unwrap();
    assert_eq!(message.story.title, "messages do not reach ops");
    assert_eq!(message.story.rules[0].value, "not now");
    assert!(message.story.incident.is_some());
    assert!(world.news().contains(&"messages do not reach ops: not now".to_owned()));
    let notes = world.notes();
    assert!(notes[0].starts_with("messages have not reached ops for "), "{notes:?}");
    // Through a restart,
    world.kill_and_restore();
    world.pass(600_000);
    assert_eq!(world.kinds("chat"), [Firing], "said once");
    // until it takes something.
    world.post("ops", Post::Takes);
    world.pass(400_000);
    assert_eq!(world.kinds("chat"), [Firing, Resolved]);
    assert_eq!(world.notes(), [""; 0]);
    let others = &world.parcels().into_iter().rev().find(|p| &*p.to == "ops").unwrap().others;
    assert_eq!(others, &[""; 0], "what it takes ends this one");
    let ops = world.notifier("ops");
    assert_eq!((ops.waiting, ops.since, ops.why, ops.next, ops.incident), (0, None, None, None, None));
}

#[test]
fn a_message_lost_for_good_is_told_at_once_to_all_others_if_nobody_hears_of_minder() {
    let mut world = begin(with_minders_own(&["web"], &[]));
    world.post("ops", Post::Refuses);
    world.trouble("web", true);
    world.pass(11_000);
    assert_eq!((world.kinds("chat"), world.kinds("pager")), (vec![Firing], vec![Firing]));
    world.post("ops", Post::Takes);
    world.trouble("web", false);
    world.pass(11_000);
    assert_eq!(world.kinds("chat"), [Firing], "nothing was taken since");
    world.ask(1, Command::NotifyTest { notifier: "ops".into() });
    world.pass(11_000);
    assert_eq!(world.kinds("chat"), [Firing, Resolved], "a test is something");
}

#[test]
fn when_all_fail_nothing_goes_round() {
    for post in [Post::Defers, Post::Refuses] {
        let mut world = begin(with_minders_own(&["web"], &[]));
        for name in ["ops", "chat", "pager"] {
            world.post(name, post);
        }
        world.trouble("web", true);
        world.pass(20_000_000);
        let told = world.messages().len();
        assert!(told <= 7, "web's, and each of the three to two others: {told}");
        assert!(world.outbox.len() <= 7);
        for name in ["ops", "chat", "pager"] {
            world.post(name, Post::Takes);
        }
        world.trouble("web", false);
        world.pass(1_000_000);
        world.trouble("web", true);
        world.pass(1_000_000);
        assert!(world.outbox.is_empty(), "{post:?}: {:?}", world.outbox);
    }
}

/// A network that is gone is one trouble, not as many as there are pairs of notifiers.
#[test]
fn two_hundred_that_fail_do_not_tell_each_of_each() {
    let mut plan = Plan::clone(&plan(vec![simple("web")]));
    let place = plan.notifiers["ops"].place.clone();
    let mut service = Service::clone(&plan.services[0]);
    service.notify = (0..200).map(|i| Name::from(format!("n{i}"))).collect();
    plan.notifiers.clear();
    for name in &service.notify {
        plan.notifiers.insert(name.clone(), Arc::new(Notifier::new(name.clone(), place.clone())));
    }
    plan.services = vec![Arc::new(service)];
    let mut world = begin(Arc::new(plan));
    for i in 0..200 {
        world.post(&format!("n{i}"), Post::Defers);
    }
    world.trouble("web", true);
    world.pass(600_000);
    let told = world.messages().len();
    assert!((400..=200 + 200 * 8).contains(&told), "web's for each, and of each to a few: {told}");
    for i in 0..200 {
        world.post(&format!("n{i}"), Post::Takes);
    }
    world.pass(1_000_000);
    let left: Vec<_> = world.outbox.values().map(|m| m.story.title.clone()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn who_hears_of_a_notifier_is_one_that_works() {
    let mut plan = Plan::clone(&plan(vec![simple("web")]));
    let place = plan.notifiers["ops"].place.clone();
    for i in 0..20 {
        let name = Name::from(format!("n{i:02}"));
        plan.notifiers.insert(name.clone(), Arc::new(Notifier::new(name, place.clone())));
    }
    let names: Vec<Name> = plan.notifiers.keys().cloned().collect();
    let mut service = Service::clone(&plan.services[0]);
    service.notify = names.iter().take(12).cloned().collect();
    plan.services = vec![Arc::new(service)];
    let mut world = begin(Arc::new(plan));
    for name in names.iter().take(12) {
        world.post(name, Post::Refuses);
    }
    world.trouble("web", true);
    world.pass(60_000);
    let heard = names.iter().skip(12).filter(|name| !world.sent(name).is_empty()).count();
    assert!(heard > 0, "the first names are not the ones that work");
}

#[test]
fn one_that_leaves_the_plan_and_comes_back_hears_of_the_end() {
    let whole = with_minders_own(&["web"], &["chat"]);
    let mut without = Plan::clone(&whole);
    without.notifiers.remove("ops");
    without.services = vec![Arc::new(Service { notify: vec!["chat".into()], ..Service::clone(&whole.services[0]) })];
    let mut world = begin(Arc::clone(&whole));
    world.trouble("web", true);
    world.pass(11_000);
    world.reload(Arc::new(without));
    world.trouble("web", false);
    world.pass(11_000);
    world.kill_and_restore();
    world.pass(11_000);
    assert_eq!(world.kinds("ops"), [Firing]);
    world.reload(whole);
    world.pass(11_000);
    assert_eq!(world.kinds("ops"), [Firing, Resolved]);
    assert!(world.notifiers["ops"].heard.is_empty());
}

#[test]
fn one_that_leaves_the_plan_while_it_fails_fails_no_more() {
    let whole = with_minders_own(&["web"], &["chat"]);
    let mut without = Plan::clone(&whole);
    without.notifiers.remove("ops");
    let mut world = begin(Arc::clone(&whole));
    world.post("ops", Post::Defers);
    world.trouble("web", true);
    world.pass(200_000);
    world.reload(Arc::new(without));
    world.pass(1_000);
    assert_eq!(world.kinds("chat"), [Firing, Resolved]);
    let dead = world.ends().into_iter().find(|m| &*m.to == "ops").unwrap();
    assert_eq!((dead.state, &dead.steps.last().unwrap().why), (MessageState::Dead, &Why::Removed));
    assert_eq!(world.notes(), [""; 0]);
}

#[test]
fn what_is_over_before_it_could_be_told_has_a_record() {
    let services = vec![needing(simple("web"), &["database"]), simple("database")];
    let mut world = begin(plan(services));
    world.trouble("database", true);
    world.pass(11_000);
    world.trouble("web", true);
    world.pass(11_000);
    world.trouble("web", false);
    world.pass(11_000);
    let ends: Vec<_> = world.ends().into_iter().filter(|m| m.story.service == "web").collect();
    assert_eq!(ends.len(), 1);
    let why: Vec<_> = ends[0].steps.iter().map(|step| (step.stage, step.why.clone())).collect();
    let needs = Why::Needs { what: "database is critical".to_owned() };
    assert_eq!(why[1..], [(Stage::Inhibit, needs), (Stage::Inhibit, Why::OverByThen)]);
    assert!(ends[0].story.ended.is_some());
}

#[test]
fn with_no_act_nothing_is_told_and_that_is_on_record() {
    let setting = Setting { no_act: true, ..setting() };
    let mut world = World::with(plan(vec![simple("web")]), setting, Restored::default());
    world.pass(11_000);
    world.trouble("web", true);
    world.pass(11_000);
    let messages = world.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!((messages[0].state, &messages[0].steps[1].why), (MessageState::Dropped, &Why::NoAct));
    assert_eq!(world.parcels().len(), 0);
}

#[test]
fn with_no_act_what_waited_before_waits_on() {
    let mut world = begin(plan(vec![simple("web")]));
    world.swallow_parcels = true;
    world.trouble("web", true);
    world.pass(11_000);
    let attempts = world.parcels().len();
    world.setting.no_act = true;
    world.kill_and_restore();
    world.pass(60_000);
    assert_eq!(world.parcels().len(), attempts);
    (world.setting.no_act, world.swallow_parcels) = (false, false);
    world.kill_and_restore();
    world.pass(11_000);
    assert_eq!(world.taken.len(), 1);
}

#[test]
fn messages_expire_by_the_clock_that_never_steps() {
    let mut world = begin(plan(vec![simple("web")]));
    world.post("ops", Post::Defers);
    world.trouble("web", true);
    world.pass(11_000);
    world.set += 400 * 86_400_000;
    world.pass(3_600_000);
    assert_eq!(world.outbox.len(), 1, "the clock was set right by a year");
    world.pass(86_400_000);
    let end = world.ends().into_iter().find(|m| &*m.to == "ops").unwrap();
    let why = &end.steps.last().unwrap().why;
    assert_eq!((end.state, why), (MessageState::Dead, &Why::Expired { error: Some("not now".to_owned()) }));
}

#[test]
fn dead_messages_are_sent_again_on_request() {
    let mut world = begin(plan(vec![simple("web")]));
    world.post("ops", Post::Refuses);
    world.trouble("web", true);
    world.pass(11_000);
    let dead = world.ends().into_iter().find(|m| &*m.to == "ops").unwrap();
    world.post("ops", Post::Takes);
    let resend = |messages: Vec<Message>| Input::Resend { request: RequestId(1), who: "root".into(), messages };
    world.news();
    world.input(resend(vec![dead.clone()]));
    assert!(world.news().contains(&"= true 1 message is sent again".to_owned()));
    world.pass(10);
    let taken = |world: &World| world.taken.iter().filter(|(_, p)| &*p.to == "ops").map(|(_, p)| p.key.clone()).next();
    assert_eq!(taken(&world), Some(dead.key.clone()));
    world.pass(1_000);
    world.trouble("web", false);
    world.pass(11_000);
    assert_eq!(world.kinds("ops"), [Firing, Firing, Resolved], "who has heard of it now hears of its end");
    // What is over by now is sent as it was, and nobody is owed its end.
    world.input(resend(vec![dead]));
    world.pass(1_000);
    assert!(world.notifiers["ops"].heard.is_empty());
    let last = world.taken.iter().rev().find(|(_, parcel)| &*parcel.to == "ops").unwrap();
    assert_eq!(last.1.messages[0].story.remark.as_deref(), Some("sent again, and over by now"));
}

#[test]
fn of_a_firing_and_its_end_sent_again_one_message_is_made() {
    let mut world = begin(plan(vec![simple("web")]));
    world.post("ops", Post::Defers);
    world.trouble("web", true);
    world.pass(11_000);
    world.post("ops", Post::Refuses);
    world.pass(11_000);
    world.trouble("web", false);
    world.pass(11_000);
    let dead: Vec<_> = world.ends().into_iter().filter(|m| m.state == MessageState::Dead).collect();
    assert_eq!(dead.iter().map(|m| m.kind).collect::<Vec<_>>(), [Firing, Resolved], "it may have heard the first");
    world.post("ops", Post::Takes);
    world.input(Input::Resend { request: RequestId(1), who: "root".into(), messages: dead });
    world.pass(1_000);
    assert!(world.outbox.is_empty());
    let taken: Vec<_> = world.taken.iter().filter(|(_, p)| &*p.to == "ops").collect();
    assert_eq!((taken.len(), taken[0].1.messages[0].kind), (1, Resolved));
}

#[test]
fn the_brake_is_an_incident_and_its_firing_and_end_are_one_message_if_that_comes_late() {
    let names = ["a", "b", "c", "d"];
    let plan = plan(names.iter().map(|name| daemon(name)).collect());
    let brake = Times { count: 2, within: seconds(60) };
    let mut world = begin(Arc::new(Plan { brake, notify: vec!["chat".into()], ..Plan::clone(&plan) }));
    world.post("chat", Post::Defers);
    names.iter().for_each(|name| world.kill(name, Some(Exit::Code(1))));
    world.pass(10_000);
    world.kill_and_restore();
    world.pass(1_000);
    world.ask(1, Command::Release);
    world.post("chat", Post::Takes);
    world.pass(400_000);
    let taken: Vec<_> = world.taken.iter().filter(|(_, p)| &*p.to == "chat").map(|(_, p)| &p.messages).collect();
    assert_eq!(taken.len(), 1);
    assert_eq!((taken[0].len(), taken[0][0].kind), (1, Resolved));
    let incidents: BTreeSet<u64> =
        world.messages().iter().filter(|m| &*m.to == "chat").filter_map(|m| m.story.incident).collect();
    assert_eq!(incidents.len(), 1);
    assert!(world.brake.incident.is_none());
}

#[test]
fn what_is_minders_own_is_not_acknowledged_and_says_so() {
    let mut world = begin(grouped(&["a"], 5, 60));
    world.post("ops", Post::Defers);
    world.trouble("a", true);
    world.pass(200_000);
    let own = world.messages().into_iter().find(|m| m.story.service.is_empty()).unwrap();
    let service = own.story.incident.unwrap().to_string().as_str().into();
    world.news();
    world.ask(1, Command::Acknowledge { service, by: None, reason: "seen".to_owned(), lasts: None });
    let answer = "= false incident 2 (messages do not reach ops) is of minder's own: it is told once, and nobody is \
                  reminded of it";
    assert_eq!(world.news(), [answer]);
}

#[test]
fn a_thousand_that_fail_in_one_second_are_one_letter_or_ten_requests() {
    let names: Vec<String> = (0..1_000).map(|n| format!("s{n:04}")).collect();
    let mut plan = Plan::clone(&grouped(&names.iter().map(String::as_str).collect::<Vec<_>>(), 15, 60));
    let mail = EmailSpec::new(vec![Given::literal("ops@example.org")]);
    let ops = plan.notifiers["ops"].clone();
    let letters = Notifier { place: NotifierPlace::Email(mail), ..Notifier::clone(&ops) };
    let url = Given::literal("http://chat.example.org/");
    let webhook = WebhookSpec { body: Some("{}".into()), ..WebhookSpec::new(url) };
    let requests = Notifier { place: NotifierPlace::Webhook(webhook), ..Notifier::clone(&ops) };
    for (notifier, sent) in [(letters, vec![1000]), (requests, vec![100; 10])] {
        plan.notifiers.insert("ops".into(), Arc::new(notifier));
        let mut world = begin(Arc::new(plan.clone()));
        names.iter().for_each(|name| world.trouble(name, true));
        world.pass(700_000);
        assert_eq!(world.sent("ops").iter().map(Vec::len).collect::<Vec<_>>(), sent);
        assert!(world.outbox.is_empty());
    }
}

#[test]
fn a_firing_that_was_perhaps_heard_is_told_again_with_what_has_come() {
    let mut plan = Plan::clone(&grouped(&["a"], 1, 1));
    let a = Arc::make_mut(&mut plan.services[0]);
    *a = a.clone().rule(rule("big", a.is(0, "size", above(5.0)), Hold::None, vec![]));
    let mut world = begin(Arc::new(plan));
    world.post("ops", Post::TakesInSilence);
    world.trouble("a", true);
    world.pass(12_000);
    world.real.get_mut("a").unwrap().size = 9.0;
    world.pass(30_000);
    world.post("ops", Post::Takes);
    world.pass(60_000);
    world.real.get_mut("a").unwrap().size = 1.0;
    world.trouble("a", false);
    world.pass(60_000);
    let mut taken: Vec<Message> =
        world.taken.iter().flat_map(|(_, parcel)| &parcel.messages).map(|m| Message::clone(m)).collect();
    taken.dedup_by_key(|message| message.key.clone());
    let kinds: Vec<_> = taken.iter().map(|message| (message.kind, message.story.incident)).collect();
    assert_eq!(kinds, [(Firing, Some(1)), (Firing, Some(1)), (Resolved, Some(1))]);
}
