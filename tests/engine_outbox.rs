//! What the engine promises about messages, over random timelines: services fail and recover, people are asked for silence,
//! receivers take, refuse, hang up and lie, plans change, and minder is killed at any moment.

use crate::model::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use testing::*;

/// The names under which the engine's own tests know the crate.
mod engine {
    pub use minder::engine::*;
}
mod model {
    pub use minder::model::*;
}
#[path = "../src/engine/testing/mod.rs"]
mod testing;

const NAMES: [&str; 4] = ["web", "app", "cache", "database"];
const TO: [&str; 3] = ["ops", "chat", "pager"];
const WAIT: u64 = 5_000;
const EVERY: u64 = 60_000;

/// Something happens.
#[derive(Debug, Clone)]
enum Happening {
    Pass(u64),
    Trouble(usize, bool),
    /// A second rule of it fires: an update.
    Size(usize, f64),
    Receiver(usize, Post),
    PostTakes(u64),
    Silence(usize, u64),
    Unsilence(u64),
    Acknowledge(usize),
    Unacknowledge(usize),
    Reload(usize),
    KillMinder,
    Freeze(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    let service = 0..NAMES.len();
    let post = prop_oneof![
        4 => Just(Post::Takes),
        3 => Just(Post::TakesInSilence),
        3 => Just(Post::Defers),
        1 => Just(Post::Refuses),
        1 => Just(Post::RefusesOf("app")),
    ];
    prop_oneof![
        3 => (0u64..100).prop_map(Pass),
        6 => (100u64..30_000).prop_map(Pass),
        2 => (30_000u64..400_000).prop_map(Pass),
        8 => (service.clone(), any::<bool>()).prop_map(|(s, on)| Trouble(s, on)),
        3 => (service.clone(), prop_oneof![Just(1.0), Just(9.0)]).prop_map(|(s, size)| Size(s, size)),
        6 => (0..TO.len(), post).prop_map(|(to, post)| Receiver(to, post)),
        1 => prop_oneof![Just(0u64), Just(50), Just(9_000)].prop_map(PostTakes),
        2 => (service.clone(), 1_000u64..200_000).prop_map(|(s, ms)| Silence(s, ms)),
        1 => (1u64..5).prop_map(Unsilence),
        2 => service.clone().prop_map(Acknowledge),
        1 => service.prop_map(Unacknowledge),
        2 => (0usize..PLANS).prop_map(Reload),
        3 => Just(KillMinder),
        1 => (1_000u64..500_000).prop_map(Freeze),
    ]
}

const PLANS: usize = 4;

/// `ops` hears what happens together, `chat` one by one, `pager` of minder itself. The plans differ in a service and a notifier.
fn variant(number: usize) -> Arc<Plan> {
    let mut services = Vec::new();
    for (i, name) in NAMES.into_iter().enumerate() {
        if number == 1 && i == 2 {
            continue;
        }
        let mut service = simple(name);
        let big = service.is(0, "size", above(5.0));
        service = service.rule(rule("big", big, Hold::None, vec![]));
        service.notify =
            ["ops", "chat"].into_iter().filter(|to| number != 2 || *to != "chat").map(Name::from).collect();
        services.push(service);
    }
    services[0] = needing(services[0].clone(), &["database"]);
    let mut plan = Plan::clone(&plan(services));
    let group = Group { wait: std::time::Duration::from_millis(WAIT), every: std::time::Duration::from_millis(EVERY) };
    let mail = NotifierPlace::Email(EmailSpec::new(vec![Given::literal("ops@example.org")]));
    let pager = Notifier::new("pager".into(), plan.notifiers["ops"].place.clone());
    let ops = Notifier { group: Some(group), place: mail, ..Notifier::clone(&plan.notifiers["ops"]) };
    plan.notifiers.insert("ops".into(), Arc::new(ops));
    plan.notifiers.insert("pager".into(), Arc::new(pager));
    if number == 2 {
        plan.notifiers.remove("chat");
    }
    plan.notify = vec![if number == 3 { "chat" } else { "pager" }.into()];
    Arc::new(plan)
}

fn happens(world: &mut World, happening: &Happening) {
    match happening.clone() {
        Happening::Pass(ms) => world.pass(ms),
        Happening::Trouble(s, on) => world.trouble(NAMES[s], on),
        Happening::Size(s, size) => {
            if let Some(real) = world.real.get_mut(NAMES[s]) {
                real.size = size;
            }
        }
        Happening::Receiver(to, post) => drop(world.post.insert(TO[to].into(), post)),
        Happening::PostTakes(ms) => world.post_takes = ms,
        Happening::Silence(s, lasts) => {
            let scope = Scope { services: vec![NAMES[s].into()], ..Scope::default() };
            world.ask(1, Command::Silence { scope, reason: "work".to_owned(), lasts, holder: None });
        }
        Happening::Unsilence(silence) => {
            world.ask(1, Command::Unsilence { silences: vec![silence], holder: None, all: false })
        }
        Happening::Acknowledge(s) => {
            let (service, reason) = (NAMES[s].into(), "seen".to_owned());
            world.ask(1, Command::Acknowledge { service, by: None, reason, lasts: None });
        }
        Happening::Unacknowledge(s) => world.ask(1, Command::Unacknowledge { service: NAMES[s].into() }),
        Happening::Reload(number) => world.reload(variant(number)),
        Happening::KillMinder => world.kill_and_restore(),
        Happening::Freeze(ms) => world.freeze(ms),
    }
}

fn live(happenings: &[Happening]) -> World {
    let mut world = World::new(variant(0));
    world.pass(15_000);
    happenings.iter().for_each(|happening| happens(&mut world, happening));
    world
}

/// All is well, all receivers work, and enough time passes for everything to be told.
fn all_clear(world: &mut World) {
    world.post.clear();
    world.post_takes = 0;
    world.reload(variant(0));
    for name in NAMES {
        world.trouble(name, false);
        world.real.entry(name.into()).or_default().size = 1.0;
    }
    world.pass(4_000_000);
    // One that has refused all there was is known to work when it takes something.
    for to in TO {
        world.ask(2, Command::NotifyTest { notifier: to.into() });
    }
    world.pass(100_000);
}

fn is_about(message: &Message) -> Option<u64> {
    message.story.incident.filter(|_| message.kind != MessageKind::Notice)
}

/// Every message as it was recorded last.
fn ended(world: &World) -> BTreeMap<MessageId, Message> {
    let mut all = BTreeMap::new();
    for (_, effect) in &world.log {
        match effect {
            Effect::Tell(message) => drop(all.insert(message.id, Message::clone(message))),
            Effect::Record(Record::Message(message)) => drop(all.insert(message.id, Message::clone(message))),
            _ => {}
        }
    }
    all
}

/// What a receiver has in the end that honours the keys of messages.
fn received(world: &World, to: &str) -> Vec<Arc<Message>> {
    let mut seen = BTreeSet::new();
    let parcels = world.taken.iter().filter(|(_, parcel)| &*parcel.to == to);
    let messages = parcels.flat_map(|(_, parcel)| parcel.messages.iter());
    messages.filter(|message| seen.insert(message.key.clone())).cloned().collect()
}

fn no_beginning_without_its_end(world: &World) -> Result<(), TestCaseError> {
    for to in TO {
        let mut open = BTreeSet::new();
        let mut latest: BTreeMap<u64, MessageId> = BTreeMap::new();
        for message in received(world, to) {
            let Some(incident) = is_about(&message) else { continue };
            let before = latest.insert(incident, message.id);
            prop_assert!(before.is_none_or(|id| id < message.id), "{to}: out of order, of incident {incident}");
            match message.kind {
                MessageKind::Firing => drop(open.insert(incident)),
                MessageKind::Resolved => drop(open.remove(&incident)),
                kind => prop_assert!(open.contains(&incident), "{to}: {kind} without a firing, of incident {incident}"),
            }
        }
        // Whoever refuses the end is not told it.
        let refused = |message: &Message| &*message.to == to && message.state == MessageState::Dead;
        for message in ended(world).into_values().filter(refused) {
            if let (MessageKind::Resolved, Some(incident)) = (message.kind, is_about(&message)) {
                open.remove(&incident);
            }
        }
        prop_assert!(open.is_empty(), "{to} has heard of these, and not of their ends: {open:?}");
        let heard = world.notifiers.get(to).map(|saved| saved.heard.clone()).unwrap_or_default();
        prop_assert!(heard.is_empty(), "{to} is owed the ends of {heard:?}");
    }
    Ok(())
}

/// Every message has an end, and that is right.
fn nothing_is_lost(world: &World) -> Result<(), TestCaseError> {
    prop_assert!(world.outbox.is_empty(), "these wait still: {:?}", world.outbox);
    let all = ended(world);
    let taken: BTreeSet<(Name, MessageId)> = world
        .taken
        .iter()
        .flat_map(|(_, parcel)| parcel.messages.iter().map(|message| (Arc::clone(&message.to), message.id)))
        .collect();
    for message in all.values() {
        let Some(Step { why, .. }) = message.steps.last() else { continue };
        let right = match (message.state, why) {
            (MessageState::Delivered, Why::Taken) => taken.contains(&(Arc::clone(&message.to), message.id)),
            (MessageState::Dead, Why::Refused { .. } | Why::Removed) => true,
            (MessageState::Dead, Why::Expired { .. }) => false,
            (MessageState::Dropped, Why::Merged { into }) => {
                let into = &all[into];
                into.id > message.id && into.to == message.to && is_about(into) == is_about(message)
            }
            (MessageState::Dropped, Why::NeverTold) => {
                matches!(message.kind, MessageKind::Resolved | MessageKind::Acknowledged)
            }
            (MessageState::Dropped, Why::OverByThen | Why::Silenced { .. } | Why::OutsideHours { .. }) => {
                message.kind == MessageKind::Resolved
            }
            _ => false,
        };
        prop_assert!(right, "message {} to {}, a {}, ended as {:?}", message.id.0, message.to, message.kind, why);
    }
    Ok(())
}

/// One parcel after another, at most one in an interval, the same one tried again as it was.
fn parcels_keep_their_time(world: &World) -> Result<(), TestCaseError> {
    let mut keys: BTreeMap<String, Vec<MessageId>> = BTreeMap::new();
    let mut last: Option<(u64, String)> = None;
    let refused = |key: &str, at: u64| {
        let ended = world.log.iter().filter(|(then, _)| *then >= at);
        let mut records = ended.filter_map(|(_, effect)| match effect {
            Effect::Record(Record::Message(message)) => Some(message),
            _ => None,
        });
        let ids = &keys_of(world)[key];
        records.any(|message| {
            let refused = |step: &Step| match &step.why {
                Why::Refused { error } | Why::Deferred { error, .. } => step.at.0 >= at as i64 && error == "no",
                _ => false,
            };
            ids.contains(&message.id) && message.steps.iter().any(refused)
        })
    };
    for (at, parcel) in world.log.iter().filter_map(|(at, effect)| match effect {
        Effect::Send(parcel) if !parcel.messages[0].story.test => Some((*at, parcel)),
        _ => None,
    }) {
        let ids: Vec<MessageId> = parcel.messages.iter().map(|message| message.id).collect();
        prop_assert!(!ids.is_empty());
        let known = keys.entry(parcel.key.clone()).or_insert_with(|| ids.clone());
        prop_assert_eq!(&*known, &ids, "two parcels {}", parcel.key);
        let about: Vec<u64> = parcel.messages.iter().filter_map(|message| is_about(message)).collect();
        prop_assert_eq!(about.iter().collect::<BTreeSet<_>>().len(), about.len(), "two of one incident");
        if &*parcel.to == "ops" {
            let bad = |message: &Arc<Message>| {
                (message.kind == MessageKind::Resolved, std::cmp::Reverse(message.story.severity))
            };
            prop_assert!(parcel.messages.is_sorted_by_key(bad), "the worst first");
            if let Some((before, key)) = last
                && key != parcel.key
                && !refused(&key, before)
            {
                prop_assert!(at >= before + EVERY, "parcels at {before} and at {at}");
            }
            last = Some((at, parcel.key.clone()));
        } else {
            prop_assert_eq!(ids.len(), 1);
        }
    }
    Ok(())
}

fn keys_of(world: &World) -> BTreeMap<String, Vec<MessageId>> {
    let parcel = |(_, effect): &(u64, Effect)| match effect {
        Effect::Send(parcel) => Some((parcel.key.clone(), parcel.messages.iter().map(|message| message.id).collect())),
        _ => None,
    };
    world.log.iter().filter_map(parcel).collect()
}

/// Of each receiver: the services of whose incidents it knows, in the end, that they are over.
fn known(world: &World) -> BTreeMap<&'static str, Vec<String>> {
    let of = |to: &'static str| {
        let ends = received(world, to).into_iter().filter(|message| message.kind == MessageKind::Resolved);
        let mut services: Vec<String> = ends.map(|message| message.story.service.clone()).collect();
        services.sort();
        (to, services)
    };
    // What `pager` hears is how long others fail, which a restart may shorten.
    ["ops", "chat"].into_iter().map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_message_has_its_end(happenings in prop::collection::vec(happening(), 1..60)) {
        let mut world = live(&happenings);
        all_clear(&mut world);
        no_beginning_without_its_end(&world)?;
        nothing_is_lost(&world)?;
        parcels_keep_their_time(&world)?;
    }

    /// What fails does so for long enough to be seen with and without the kill.
    #[test]
    fn a_restart_in_the_middle_changes_nothing(
        troubles in prop::collection::vec((0..NAMES.len(), any::<bool>(), 21_000u64..90_000), 1..12),
        posts in prop::collection::vec((0..2usize, prop_oneof![
            Just(Post::Takes), Just(Post::TakesInSilence), Just(Post::Defers)
        ]), 12),
        kills in prop::collection::vec((0..12usize, 0u64..20_000), 1..6),
    ) {
        let live = |kills: &[(usize, u64)]| {
            let mut world = World::new(variant(0));
            world.pass(15_000);
            for (i, (service, on, ms)) in troubles.iter().enumerate() {
                let (to, post) = posts[i];
                world.post.insert(TO[to].into(), post);
                world.trouble(NAMES[*service], *on);
                let mut left = *ms;
                for (_, after) in kills.iter().filter(|(when, _)| *when == i) {
                    let after = (*after).min(left);
                    world.pass(after);
                    left -= after;
                    world.kill_and_restore();
                }
                world.pass(left);
            }
            all_clear(&mut world);
            world
        };
        let (killed, whole) = (live(&kills), live(&[]));
        no_beginning_without_its_end(&killed)?;
        nothing_is_lost(&killed)?;
        prop_assert_eq!(known(&killed), known(&whole));
    }
}
