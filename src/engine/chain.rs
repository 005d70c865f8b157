//! One request for several services: what is stopped, before what it needs; what is started, after it.
//!
//! Each step is a sequence of one service as if a person had asked for it alone, and begins when those before it are through. A
//! failure ends the way of those that come after it, and of nobody else. A restart of several stops all and then starts all.

use super::Engine;
use super::act::{Goal, OVERTAKEN};
use crate::model::{Name, RequestId, Verb};
use std::collections::BTreeSet;
use std::sync::Arc;

/// So many requests for several services may be under way.
const AT_MOST: usize = 50;
/// Requests that are steps of a chain have numbers of their own, which nobody outside knows.
const INSIDE: u64 = 1 << 63;

/// An answer to a step.
pub(super) type Heard = (RequestId, bool, String);

/// Whether the answer to this request goes to a chain.
pub(super) fn is_inside(request: RequestId) -> bool {
    request.0 & INSIDE != 0
}

/// A request for several services.
#[derive(Debug)]
pub(super) struct Chain {
    /// Who waits for it; nobody if the end of minder has interrupted it.
    request: Option<RequestId>,
    who: Arc<str>,
    verb: Verb,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    service: Name,
    step: Step,
    /// What came of it.
    words: Vec<String>,
    ok: bool,
    /// What needs it is not started after it.
    is_down: bool,
    /// What it needs is not stopped after it.
    is_up: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Waits(Goal),
    UnderWay(Goal, RequestId),
    Over,
}

impl Engine {
    /// A person wants the same of several services.
    pub(super) fn asked_several(&mut self, request: RequestId, who: &str, verb: Verb, services: Vec<Name>) {
        let mut chosen = BTreeSet::new();
        let services: Vec<Name> = services.into_iter().filter(|name| chosen.insert(Arc::clone(name))).collect();
        let goal = match verb {
            Verb::Start => Goal::Start,
            Verb::Stop | Verb::Restart => Goal::Stop,
            Verb::Pause | Verb::Resume => {
                let mut words = Vec::new();
                for name in &services {
                    if let Some(place) = self.by_name.get(name) {
                        words.push(self.services[*place].judge_or_not(&mut self.context, who, verb == Verb::Pause));
                        self.services[*place].after(&mut self.context);
                    }
                }
                return self.context.reply(request, true, words.join("\n"));
            }
        };
        if self.chains.len() >= AT_MOST {
            return self.context.reply(request, false, "too many requests for several services are under way");
        }
        services.iter().for_each(|name| self.overtake(name));
        let member = |service| Member {
            service,
            step: Step::Waits(goal),
            words: Vec::new(),
            ok: true,
            is_down: false,
            is_up: false,
        };
        let members = services.into_iter().map(member).collect();
        self.chains.push(Chain { request: Some(request), who: who.into(), verb, members });
    }

    /// Something else is wanted of this service than a chain does with it.
    pub(super) fn overtake(&mut self, name: &Name) {
        for chain in &mut self.chains {
            for member in chain.members.iter_mut().filter(|member| member.service == *name && member.step != Step::Over)
            {
                member.fail(OVERTAKEN.to_owned());
            }
        }
        if let Some(place) = self.by_name.get(name) {
            self.services[*place].restarting = false;
        }
    }

    /// Goes on with a restart of several that the end of minder has interrupted.
    pub(super) fn resume_chain(&mut self) {
        let stopped = self.services.iter().filter(|service| service.restarting);
        let member = |service: &super::service::ServiceState| Member {
            service: Arc::clone(&service.plan.name),
            step: Step::Waits(Goal::Start),
            words: Vec::new(),
            ok: true,
            is_down: false,
            is_up: false,
        };
        let members: Vec<Member> = stopped.map(member).collect();
        if !members.is_empty() {
            let who = "the restart of several that minder's end interrupted".into();
            self.chains.push(Chain { request: None, who, verb: Verb::Restart, members });
        }
    }

    /// Takes in what came of steps, and begins those whose turn it is.
    pub(super) fn turn_chains(&mut self) {
        if self.chains.is_empty() {
            self.context.heard.clear();
            return;
        }
        let mut chains = std::mem::take(&mut self.chains);
        loop {
            for (request, ok, words) in std::mem::take(&mut self.context.heard) {
                chains.iter_mut().for_each(|chain| chain.hear(request, ok, &words));
            }
            if !chains.iter_mut().any(|chain| self.turn_chain(chain)) {
                break;
            }
        }
        chains.retain(|chain| {
            let over = chain.members.iter().all(|member| member.step == Step::Over);
            if over && let Some(request) = chain.request {
                let (ok, words) = self.chain_words(chain);
                self.context.reply(request, ok, words);
            }
            !over
        });
        self.chains = chains;
    }

    /// Begins one step whose turn it is; whether there was one.
    fn turn_chain(&mut self, chain: &mut Chain) -> bool {
        let stopping = chain.members.iter().any(|member| member.is_at(Goal::Stop));
        for m in 0..chain.members.len() {
            let Step::Waits(goal) = chain.members[m].step else { continue };
            let name = Arc::clone(&chain.members[m].service);
            let Some(place) = self.by_name.get(&name).copied() else {
                chain.members[m].fail("it is no longer in the plan".to_owned());
                return true;
            };
            let before: Vec<&Member> =
                chain.members.iter().filter(|other| self.comes_before(other, place, goal)).collect();
            if goal == Goal::Start && stopping || before.iter().any(|other| other.is_at(goal)) {
                continue;
            }
            let service = &mut self.services[place];
            // Before it was looked at, nobody knows whether it runs.
            let seen = |c: usize| service.checks[c].latest.is_some();
            if chain.request.is_none() && !service.verifying_check().is_none_or(seen) {
                continue;
            }
            let why = match goal {
                Goal::Stop => {
                    before.iter().find(|other| other.is_up).map(|other| format!("{} is still up", other.service))
                }
                _ => before.iter().find(|other| other.is_down).map(|other| format!("{} is not up", other.service)),
            };
            service.restarting = goal == Goal::Stop && chain.verb == Verb::Restart;
            service.dirty = true;
            let member = &mut chain.members[m];
            match why {
                // It is left as it is; where it was stopped only to be started again, it is wanted up all the same.
                Some(why) => {
                    service.restarting = false;
                    if chain.verb == Verb::Restart {
                        service.want_up(&mut self.context, &chain.who);
                    }
                    (member.is_down, member.is_up) = (goal == Goal::Start, goal == Goal::Stop);
                    let done = if goal == Goal::Stop { "stopped" } else { "started" };
                    member.fail(format!("not {done}: {why}"));
                }
                None => {
                    self.last_step += 1;
                    let request = RequestId(INSIDE | self.last_step);
                    member.step = Step::UnderWay(goal, request);
                    service.person_wants(&mut self.context, request, &chain.who, goal);
                }
            }
            service.after(&mut self.context);
            self.touched.push(place);
            return true;
        }
        false
    }

    /// Whether this member has its turn before the service at `place`.
    fn comes_before(&self, other: &Member, place: usize, goal: Goal) -> bool {
        let Some(other) = self.by_name.get(&other.service) else { return false };
        let needs = |service: usize, needed: usize| self.services[service].needs.of.contains(&needed);
        if goal == Goal::Stop { needs(*other, place) } else { needs(place, *other) }
    }

    fn chain_words(&self, chain: &Chain) -> (bool, String) {
        let ok = chain.members.iter().all(|member| member.ok);
        let mut members: Vec<&Member> = chain.members.iter().collect();
        // In the order of the last steps: what is needed comes first where something was started.
        let rank =
            |member: &&Member| self.by_name.get(&member.service).map(|place| self.services[*place].needs.of.len());
        members.sort_by_key(rank);
        if chain.verb == Verb::Stop {
            members.reverse();
        }
        let mut lines: Vec<String> = Vec::new();
        if !ok {
            let failed = members.iter().filter(|member| !member.ok).count();
            lines.push(format!("{} of {}: the {} failed", failed, members.len(), chain.verb));
        }
        lines.extend(members.iter().map(|member| format!("{}: {}", member.service, member.words.join("; "))));
        if chain.verb == Verb::Stop {
            let mut others = BTreeSet::new();
            for place in members.iter().filter_map(|member| self.by_name.get(&member.service)) {
                others.extend(self.held_by(*place));
            }
            lines.extend(held_words(&others).map(|words| format!("also: {words}")));
        }
        (ok, lines.join("\n"))
    }

    /// The services that are held as long as this one is down.
    fn held_by(&self, place: usize) -> impl Iterator<Item = Name> {
        let by = self.services[place].needs.by.iter().map(|by| &self.services[*by]);
        by.filter(|service| service.is_judged()).map(|service| Arc::clone(&service.plan.name))
    }

    /// What a person should know beside what he has asked of this service alone.
    pub(super) fn aside(&self, place: usize, goal: Goal) -> Option<String> {
        match goal {
            Goal::Stop => held_words(&self.held_by(place).collect()),
            Goal::Start | Goal::Restart => {
                self.services[place].needs.held().map(|why| format!("it needs what is not well: {why}"))
            }
        }
    }
}

fn held_words(names: &BTreeSet<Name>) -> Option<String> {
    let list: Vec<&str> = names.iter().take(10).map(|name| &**name).collect();
    Some(match names.len() {
        0 => return None,
        1 => format!("{} needs it, and is held", list.join(", ")),
        n if n > list.len() => format!("{} and {} more need it, and are held", list.join(", "), n - list.len()),
        _ => format!("{} need it, and are held", list.join(", ")),
    })
}

impl Chain {
    fn hear(&mut self, request: RequestId, ok: bool, words: &str) {
        let is_it = |member: &&mut Member| matches!(member.step, Step::UnderWay(_, id) if id == request);
        let Some(member) = self.members.iter_mut().find(is_it) else { return };
        let Step::UnderWay(goal, _) = member.step else { return };
        // Of a restart that goes well, only its end is of interest.
        let first_half = self.verb == Verb::Restart && goal == Goal::Stop;
        if !(first_half && ok) {
            member.words.push(if first_half { format!("not stopped: {words}") } else { words.to_owned() });
        }
        member.ok &= ok;
        member.is_up = goal == Goal::Stop && !ok;
        member.is_down = goal == Goal::Start && !ok;
        member.step = if first_half { Step::Waits(Goal::Start) } else { Step::Over };
    }
}

impl Member {
    fn is_at(&self, goal: Goal) -> bool {
        match self.step {
            Step::Waits(at) | Step::UnderWay(at, _) => at == goal,
            Step::Over => false,
        }
    }

    fn fail(&mut self, words: String) {
        self.words.push(words);
        (self.step, self.ok) = (Step::Over, false);
    }
}
