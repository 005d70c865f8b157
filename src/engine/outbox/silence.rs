//! What people have asked not to hear for a while: silences, and the maintenance of the plan.
//!
//! A silence ends by whichever clock says so first: the one that never steps stands still while the machine sleeps, and the one
//! for people may be set. A silence that ends too early is a message too many; one that ends too late is a failure unheard of.
//!
//! A deployment ends in the moment in which it has brought its service up again, which no check has seen yet. So a silence that is
//! over lingers until everything in trouble has been asked anew: what is well by then is not told.

use super::Verdict;
use crate::engine::Engine;
use crate::engine::command::unknown;
use crate::engine::context::Context;
use crate::engine::schedule::NEVER;
use crate::engine::service::ServiceState;
use crate::model::{
    Command, Effect, EventKind, Identity, MaintenanceView, Message, Mono, Name, Now, Record, RequestId, Restored,
    SavedSilences, Scope, Service, Silence, Wall, Why, Window, clip, plain, show_age, show_duration,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// So many silences at a time.
const AT_MOST: usize = 1000;
/// So many services, tags and rules of one.
const NAMED_AT_MOST: usize = 100;
/// So much of a reason is kept.
const REASON_AT_MOST: usize = 300;
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// See the head of this file.
#[derive(Debug, Default)]
pub(in crate::engine) struct Quiet {
    /// By number.
    silences: BTreeMap<u64, (Silence, Mono)>,
    last: u64,
    /// The open window of each maintenance, in the order of the plan, or its next one. To find it takes longer than a step may.
    windows: Vec<Option<Window>>,
    /// When they were looked for; nothing if the plan is new.
    looked: Option<Wall>,
    lingering: Vec<Lingering>,
}

/// A silence, or maintenance, that is over, while what it was about is asked anew.
#[derive(Debug)]
struct Lingering {
    silence: Option<u64>,
    scope: Scope,
    by: String,
    reason: String,
    ended: Wall,
    /// Since when, and until when at the latest, which is known once all have been asked.
    since: Mono,
    until: Option<Mono>,
}

/// A silence, or maintenance that goes on.
#[derive(Clone, Copy)]
struct Hush<'a> {
    silence: Option<u64>,
    scope: &'a Scope,
    by: &'a str,
    reason: &'a str,
    until: Wall,
}

impl Quiet {
    /// With what an earlier run has left. Those that are over end in the first step.
    pub fn restore(restored: &Restored, now: Now) -> Quiet {
        let saved = &restored.silences;
        let silence = |silence: &Silence| {
            // A clock that was set back does not make it longer than it was.
            let left = (silence.until - now.wall).min(silence.until - silence.since);
            (silence.id, (silence.clone(), now.mono + left))
        };
        Quiet { silences: saved.all.iter().map(silence).collect(), last: saved.last, ..Quiet::default() }
    }

    /// There is a new plan: its maintenance is looked at anew.
    pub fn replan(&mut self) {
        self.looked = None;
    }

    /// When a silence ends, or lingers no more.
    pub(super) fn wake(&self, now: Now) -> Mono {
        let ends = self.silences.values().map(|(silence, ends)| (*ends).min(now.mono + (silence.until - now.wall)));
        ends.chain(self.lingering.iter().filter_map(|one| one.until)).min().unwrap_or(NEVER)
    }
}

impl Context {
    /// After a start: the processes that silences end with are watched; those of an earlier boot are gone.
    pub fn resume_quiet(&mut self, same_boot: bool) {
        let held = self.quiet.silences.iter().filter_map(|(id, (silence, _))| Some((*id, silence.holder?)));
        for (id, holder) in held.collect::<Vec<_>>() {
            if same_boot {
                self.watch_holder(holder, id);
            } else {
                self.end_silence(id, "the machine has booted since");
            }
        }
    }

    /// Silences whose time is up end, and windows that are over are followed by the next ones.
    pub(super) fn turn_quiet(&mut self) {
        let now = self.now;
        let is_over = |(silence, ends): &(Silence, Mono)| silence.until <= now.wall || *ends <= now.mono;
        let over: Vec<u64> = self.quiet.silences.iter().filter(|(_, one)| is_over(one)).map(|(id, _)| *id).collect();
        over.into_iter().for_each(|id| self.end_silence(id, "its time is up"));
        let known = self.quiet.looked.is_some_and(|looked| looked <= now.wall)
            && self.quiet.windows.iter().flatten().all(|window| now.wall < window.ends);
        if !known {
            if self.quiet.looked.is_some() {
                let over = self.plan.maintenance.iter().zip(&self.quiet.windows);
                let over = over.filter(|(_, window)| window.is_some_and(|window| window.ends <= now.wall));
                self.quiet.lingering.extend(over.map(|(one, window)| Lingering {
                    silence: None,
                    scope: one.scope.clone(),
                    by: one.name.to_string(),
                    reason: one.reason.clone(),
                    ended: window.map_or(now.wall, |window| window.ends),
                    since: now.mono,
                    until: None,
                }));
            }
            self.quiet.windows = self.plan.maintenance.iter().map(|one| one.window(now.wall)).collect();
            self.quiet.looked = Some(now.wall);
            self.outbox.touch_all();
        }
    }

    /// A process has ended, and the silences that it holds with it.
    pub fn holder_ended(&mut self, process: Identity) {
        let held = self.quiet.silences.iter().filter(|(_, (silence, _))| silence.holder == Some(process));
        let held: Vec<u64> = held.map(|(id, _)| *id).collect();
        held.into_iter().for_each(|id| self.end_silence(id, "its command has ended"));
    }

    fn begin_silence(&mut self, silence: Silence, lasts: Duration) {
        let service = only_service(&silence.scope);
        let kind = EventKind::Silenced {
            silence: silence.id,
            by: silence.by.clone(),
            scope: silence.scope.clone(),
            reason: silence.reason.clone(),
            lasts: u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX),
        };
        self.event(service.as_ref(), None, kind);
        if let Some(holder) = silence.holder {
            self.watch_holder(holder, silence.id);
        }
        self.quiet.silences.insert(silence.id, (silence, self.now.mono + lasts));
        self.save_silences();
    }

    fn end_silence(&mut self, id: u64, by: &str) {
        let Some((silence, _)) = self.quiet.silences.remove(&id) else { return };
        if let Some(holder) = silence.holder {
            self.unwatch_holder(holder, id);
        }
        let service = only_service(&silence.scope);
        let kind = EventKind::Unsilenced { silence: id, scope: silence.scope.clone(), by: by.to_owned() };
        self.event(service.as_ref(), None, kind);
        self.save_silences();
        let Silence { scope, by, reason, until: ended, .. } = silence;
        let since = self.now.mono;
        self.quiet.lingering.push(Lingering { silence: Some(id), scope, by, reason, ended, since, until: None });
    }

    fn save_silences(&mut self) {
        let saved = SavedSilences { all: self.silences(), last: self.quiet.last };
        self.emit(Effect::Record(Record::Silences(Box::new(saved))));
    }

    /// Those in effect.
    pub fn silences(&self) -> Vec<Silence> {
        self.quiet.silences.values().map(|(silence, _)| silence.clone()).collect()
    }

    /// The maintenance of the plan, for people.
    pub fn maintenance(&self) -> Vec<MaintenanceView> {
        let all = self.plan.maintenance.iter().zip(self.quiet.windows.iter());
        let view = |(one, window): (&std::sync::Arc<crate::model::Maintenance>, &Option<Window>)| MaintenanceView {
            name: one.name.clone(),
            scope: one.scope.clone(),
            reason: one.reason.clone(),
            window: *window,
        };
        all.map(view).collect()
    }

    /// Why nobody is told of this service, or of some of its rules, in words: what holds longest first.
    pub fn silenced(&self, service: &Service, now: Now) -> Option<String> {
        let mut hushes: Vec<Hush<'_>> = self
            .hushes(now)
            .filter(|hush| hush.scope.has_service(&service.name, tags(service)))
            .filter(|hush| {
                let rules = &hush.scope.rules;
                rules.is_empty() || service.rules.iter().any(|rule| rules.iter().any(|name| **name == *rule.name))
            })
            .collect();
        hushes.sort_by_key(|hush| (!hush.scope.rules.is_empty(), std::cmp::Reverse(hush.until)));
        let hush = hushes.first()?;
        let rules = match hush.scope.rules.as_slice() {
            [] => String::new(),
            rules => format!("{}, ", rules.join(", ")),
        };
        let left = show_age(hush.until - now.wall);
        Some(
            format!("{rules}for another {left}, by {}: {}", hush.by, hush.reason)
                .trim_end_matches([':', ' '])
                .to_owned(),
        )
    }

    /// What is in effect at this time.
    fn hushes(&self, now: Now) -> impl Iterator<Item = Hush<'_>> {
        let silences = self.quiet.silences.values().map(|(silence, _)| Hush {
            silence: Some(silence.id),
            scope: &silence.scope,
            by: &silence.by,
            reason: &silence.reason,
            until: silence.until,
        });
        let windows = self.plan.maintenance.iter().zip(&self.quiet.windows).filter_map(move |(one, window)| {
            let window = window.filter(|window| window.begins <= now.wall)?;
            Some(Hush { silence: None, scope: &one.scope, by: &one.name, reason: &one.reason, until: window.ends })
        });
        silences.chain(windows).filter(move |hush| hush.until > now.wall)
    }

    /// What is over, and lingers.
    fn lingering(&self) -> impl Iterator<Item = Hush<'_>> {
        self.quiet.lingering.iter().map(|one| Hush {
            silence: one.silence,
            scope: &one.scope,
            by: &one.by,
            reason: &one.reason,
            until: one.ended,
        })
    }
}

impl Engine {
    /// At the end of a step: ends what is over, asks anew what it was about, and lets it be told once that has answered.
    pub fn turn_quiet(&mut self) {
        self.context.turn_quiet();
        if self.context.quiet.lingering.is_empty() {
            return;
        }
        let now = self.context.now.mono;
        let mut lingering = std::mem::take(&mut self.context.quiet.lingering);
        let known = lingering.len();
        lingering.retain_mut(|one| {
            let in_trouble = |service: &&mut ServiceState| {
                service.incident.is_some() && one.scope.has_service(&service.plan.name, tags(&service.plan))
            };
            let mut services: Vec<&mut ServiceState> = self.services.iter_mut().filter(in_trouble).collect();
            let until = *one.until.get_or_insert_with(|| {
                services.iter_mut().for_each(|service| service.hurry_checks(&mut self.context));
                now + services.iter().map(|service| service.patience()).max().unwrap_or_default()
            });
            now < until && services.iter().any(|service| !service.has_answered_since(one.since))
        });
        if lingering.len() != known {
            self.context.outbox.touch_all();
        }
        self.context.quiet.lingering = lingering;
    }

    /// Begins a silence, or ends some.
    pub fn silence(&mut self, request: RequestId, who: &str, command: Command) {
        let done = match command {
            Command::Silence { scope, reason, lasts, holder } => {
                self.new_silence(who, scope, &reason, Duration::from_millis(lasts), holder)
            }
            Command::Unsilence { silences, holder, all } => self.unsilence(who, &silences, holder, all),
            _ => Err("this is about no silence".to_owned()),
        };
        match done {
            Ok(words) => self.context.reply(request, true, words),
            Err(words) => self.context.reply(request, false, words),
        }
    }

    fn new_silence(
        &mut self,
        who: &str,
        scope: Scope,
        reason: &str,
        lasts: Duration,
        holder: Option<Identity>,
    ) -> Result<String, String> {
        self.check_scope(&scope)?;
        let reason = clip(plain(reason).trim(), REASON_AT_MOST);
        if reason.is_empty() {
            return Err("a silence needs a reason: whoever finds it wants to know".to_owned());
        }
        if !(SHORTEST..=LONGEST).contains(&lasts) {
            return Err(format!(
                "a silence lasts between {} and {}; for longer, see `maintenance` and `minder pause`",
                show_duration(SHORTEST),
                show_duration(LONGEST)
            ));
        }
        let cx = &mut self.context;
        if cx.quiet.silences.len() >= AT_MOST {
            return Err(format!("there are {AT_MOST} silences already; `minder silences` shows them"));
        }
        cx.quiet.last += 1;
        let (id, since) = (cx.quiet.last, cx.now.wall);
        let words =
            format!("nobody is told of {scope} for {}; `minder unsilence {id}` ends this", show_duration(lasts));
        cx.begin_silence(Silence { id, scope, reason, by: who.to_owned(), since, until: since + lasts, holder }, lasts);
        Ok(words)
    }

    fn unsilence(
        &mut self,
        who: &str,
        silences: &[u64],
        holder: Option<Identity>,
        all: bool,
    ) -> Result<String, String> {
        let cx = &mut self.context;
        if let Some(id) = silences.iter().find(|id| !cx.quiet.silences.contains_key(*id)) {
            return Err(format!("there is no silence {id}; `minder silences` shows those there are"));
        }
        let is_meant =
            |silence: &Silence| all || silences.contains(&silence.id) || holder.is_some() && silence.holder == holder;
        let meant: Vec<u64> = cx.silences().into_iter().filter(is_meant).map(|silence| silence.id).collect();
        for id in &meant {
            cx.end_silence(*id, who);
        }
        Ok(match meant.as_slice() {
            [] => "there is no silence".to_owned(),
            [id] => format!("silence {id} is over"),
            ids => format!("{} silences are over", ids.len()),
        })
    }

    /// What is named must be there: a silence about nothing is a mistake that nobody would notice in time.
    fn check_scope(&self, scope: &Scope) -> Result<(), String> {
        let services = || self.services.iter().map(|service| &*service.plan);
        if scope.services.len() + scope.tags.len() + scope.rules.len() > NAMED_AT_MOST {
            return Err(format!("a silence names at most {NAMED_AT_MOST} services, tags and rules"));
        }
        if let Some(name) = scope.services.iter().find(|name| !self.by_name.contains_key(*name)) {
            return Err(unknown("service", name, self.by_name.keys()));
        }
        let known: BTreeSet<Name> = services().flat_map(tags).map(Name::from).collect();
        if let Some(tag) = scope.tags.iter().find(|tag| !known.contains(tag.as_str())) {
            return Err(unknown("tag or group", tag, known.iter()));
        }
        let within = services().filter(|service| scope.has_service(&service.name, tags(service)));
        let mut rules = BTreeSet::new();
        let mut any = false;
        for service in within {
            any = true;
            rules.extend(service.rules.iter().map(|rule| rule.name.clone()));
        }
        if !any && *scope != Scope::default() {
            return Err(format!("there is no service that is meant by {scope}"));
        }
        match scope.rules.iter().find(|rule| !rules.contains(rule.as_str())) {
            Some(rule) => Err(unknown("rule", rule, rules.iter())),
            None => Ok(()),
        }
    }
}

/// What silences go by.
fn tags(service: &Service) -> impl Iterator<Item = &str> {
    service.tags.iter().chain(&service.group).map(String::as_str)
}

fn only_service(scope: &Scope) -> Option<Name> {
    match scope.services.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    }
}

/// Whether the message may go as far as silences and maintenance are concerned. One that tells of several rules is silenced if
/// each of them is.
pub(super) fn verdict(cx: &Context, message: &Message) -> Verdict {
    let story = &message.story;
    let hushes: Vec<Hush<'_>> = cx
        .hushes(cx.now)
        .chain(cx.lingering())
        .filter(|hush| hush.scope.has_service(&story.service, story.tags.iter().map(String::as_str)))
        .collect();
    let longest = |rule: Option<&str>| {
        let covers = |scope: &Scope| {
            scope.rules.is_empty() || rule.is_some_and(|rule| scope.rules.iter().any(|name| name == rule))
        };
        hushes.iter().filter(|hush| covers(hush.scope)).max_by_key(|hush| hush.until)
    };
    let hush = match story.rules.as_slice() {
        [] => longest(None),
        // When the first of them ends, it is looked at again.
        rules => rules
            .iter()
            .map(|rule| longest(Some(&rule.rule)))
            .collect::<Option<Vec<_>>>()
            .and_then(|all| all.into_iter().min_by_key(|hush| hush.until)),
    };
    match hush {
        None => Verdict::Pass,
        Some(Hush { silence, by, reason, until, .. }) => {
            let why =
                Why::Silenced { silence: *silence, by: (*by).to_owned(), reason: (*reason).to_owned(), until: *until };
            Verdict::Hold { why, until: Some(*until) }
        }
    }
}

/// A message that was held may go: if that was because of a silence, it says so.
pub(super) fn let_go(message: &mut Message) {
    let why = message.steps.last().map(|step| &step.why);
    if let Some(Why::Silenced { reason, .. }) = why
        && message.story.remark.is_none()
    {
        let reason = if reason.is_empty() { "maintenance" } else { reason };
        message.story.remark = Some(format!("silenced until now: {reason}"));
    }
}
