//! Life and death of the process that a check watches: who it is, how it died, and what `down` means meanwhile.
//!
//! `down` is decided here, not by the probe, because it depends on how the process died and on whose turn it is:
//!
//! | the selector finds | and | `down` is |
//! |---|---|---|
//! | a process | | false |
//! | | those before it died young, and it has not lived for `settle` yet | unknown |
//! | a pidfile being written | | unknown |
//! | nobody | we stop or start it just now | unknown |
//! | | it died, and the control has not answered since | unknown |
//! | | its supervisor, which names the process, could not be asked | unknown |
//! | | its supervisor wants it up, and has given it up | true |
//! | | it died, its supervisor lives and wants it up | unknown until `settle` has passed, then true |
//! | | the same, and a script of its own cleans up behind it | unknown for the control's `timeout` at most |
//! | | it was killed by other than TERM, INT, HUP, QUIT, or exited non-zero | true |
//! | | it ended cleanly, or nobody knows how | unknown until `settle` has passed, then true |
//! | | it was never seen, its supervisor lives and wants it up | unknown until minder has looked for `settle` |
//! | | its operator has just taken it up again, or its supervisor has come | as if it had died at that moment |
//! | | it was never seen, nor its supervisor, and minder has only just begun to look | unknown |
//! | | it was never seen, soon after the machine's boot | unknown |
//! | | it was never seen | true |
//!
//! A process dies young if it has not lived for `settle`, and nobody has asked for its end. Then `settle` is counted from the first of those deaths: a daemon that
//! dies at once, whenever its supervisor starts it, is down, and stays so until one has lived.

use super::check::may_skip_selector;
use super::context::Context;
use super::schedule::Manner;
use super::service::ServiceState;
use super::supervision::Named;
use crate::model::kinds::Process;
use crate::model::{EventKind, Exit, Found, Identity, MetricId, Mono, Now, Reading, Truth};
use std::time::Duration;

/// So long the event of a death waits to hear its cause, which comes later where the parent is slow to take note.
const CAUSE_COMES_WITHIN: Duration = Duration::from_millis(200);
/// So long after the death the kernel is still listened to, if it has not said how: its word is better than what others say, and
/// where the parent is slow to take note, it comes late.
const KERNEL_SPEAKS_WITHIN: Duration = Duration::from_secs(5);
/// How often a pidfile that is being written is looked at, and for how long.
const FORMING_STEP: Duration = Duration::from_millis(200);
const FORMING_AT_MOST: Duration = Duration::from_secs(1);
/// Started so long after `settle` at most, it is started again and again.
const SOON_AGAIN: Duration = Duration::from_secs(60);
/// So many deaths in a row are recorded each, if they die young; then one of them at most this often. A daemon that dies at
/// once, for ever, must not fill the disk.
const YOUNG_TOLD: u32 = 10;
const YOUNG_TOLD_EVERY: Duration = Duration::from_secs(60);

/// What is known of the process of one check.
#[derive(Debug, Default)]
pub(super) struct Life {
    /// It is thought to live.
    pub identity: Option<Identity>,
    /// It was seen by this run of minder, and is watched; otherwise it is remembered from before.
    pub confirmed: bool,
    /// The last one died, and nobody was found since.
    pub gone: Option<Death>,
    /// A death whose event waits for its cause.
    pub untold: Option<Death>,
    /// Its death has been told, and until then the kernel may yet say how it died.
    listening: Option<(Identity, Mono)>,
    /// Since when the pidfile is being written.
    forming: Option<Mono>,
    /// When it appeared, if that was seen.
    born: Option<Mono>,
    /// The first death of those that died young, or the latest one.
    dying_since: Mono,
    /// How many in a row have died young.
    young: u32,
    /// When one of those was last recorded, and whether this one is not.
    told: Mono,
    quiet: bool,
}

/// A death.
#[derive(Debug, Clone, Copy)]
pub(super) struct Death {
    pub identity: Identity,
    pub at: Now,
    pub how: Option<Exit>,
    /// How, as others than the kernel have it: for when the kernel has not said so in time.
    pub hearsay: Option<Exit>,
    /// From when on nobody's turn is waited for.
    pub settled: Mono,
    /// The selector was asked at that time.
    asked: bool,
}

impl Death {
    pub fn at(&self) -> Now {
        self.at
    }
}

impl Life {
    pub fn is_known_dead(&self, identity: Identity) -> bool {
        [&self.gone, &self.untold].into_iter().flatten().any(|death| death.identity == identity)
    }

    /// Who is watched: who lives, and who has died and may yet be explained.
    pub fn watched(&self) -> impl Iterator<Item = Identity> {
        let untold = self.untold.map(|death| death.identity);
        [self.identity, untold, self.listening.map(|(identity, _)| identity)].into_iter().flatten()
    }

    /// No death is on anybody's mind.
    pub fn is_quiet(&self) -> bool {
        self.gone.is_none() && self.untold.is_none() && self.listening.is_none()
    }

    /// Its processes die before they have lived for `settle`.
    pub fn is_dying_young(&self) -> bool {
        self.young > 0
    }

    /// It lives, but those before it died young, and it has yet to show that it does not: until then.
    fn unproven_until(&self, settle: Duration) -> Option<Mono> {
        self.identity.and(self.born).filter(|_| self.young > 0).map(|born| born + settle)
    }

    /// Its operator takes it up or down, or its supervisor comes. The supervisor's turn begins then, and what was before does not count.
    pub fn turn_begins(&mut self, settled: Mono) {
        (self.young, self.dying_since) = (0, Mono(0));
        if let Some(gone) = &mut self.gone {
            (gone.settled, gone.asked) = (settled, false);
        }
    }

    /// Which process may be asked directly.
    pub fn to_ask(&self, kind: &crate::model::Kind, manner: Manner) -> Option<Identity> {
        if manner.fresh && self.confirmed || !may_skip_selector(kind) { None } else { self.identity }
    }
}

impl ServiceState {
    /// What a sample of the check at `c` says about who lives.
    pub fn found(&mut self, cx: &mut Context, c: usize, found: &Found) {
        let first = self.checks[c].latest.is_none();
        let now = cx.now.mono;
        let Some(life) = &mut self.checks[c].life else { return };
        if *found != Found::Forming {
            life.forming = None;
        }
        match found {
            // Asked before the death, answered after it.
            Found::Process(id) if life.is_known_dead(*id) => {}
            Found::Process(id) if life.identity == Some(*id) => {
                if !std::mem::replace(&mut life.confirmed, true) {
                    cx.watch(*id, self.checks[c].id);
                    self.seen_up = true;
                    self.dirty = true;
                }
            }
            Found::Process(id) => self.new_process(cx, c, *id, first),
            Found::Nobody => {
                if let Some(identity) = life.identity {
                    self.died(cx, c, identity, None);
                }
            }
            Found::Forming => {
                let since = *life.forming.get_or_insert(now);
                if now - since < FORMING_AT_MOST {
                    self.checks[c].rhythm.hurry(now + FORMING_STEP, true);
                }
            }
            Found::Unasked | Found::Control(_) | Found::Each(_) => {}
        }
    }

    fn new_process(&mut self, cx: &mut Context, c: usize, new: Identity, first: bool) {
        // Its supervisor has started it while something is wrong with it: of those that died before, none may have been seen.
        let supervised = self.plan.control.as_ref().is_some_and(|control| control.supervises());
        let in_trouble = self.checks[c].rules.iter().any(|r| self.rules[*r].is_firing());
        let doubted = supervised && in_trouble;
        let check = &mut self.checks[c];
        let Some(life) = &mut check.life else { return };
        let old = life.identity.replace(new);
        let was_confirmed = std::mem::replace(&mut life.confirmed, true);
        // Whoever starts it after a long time is not at it again and again.
        if life.gone.take().is_some_and(|death| cx.now.mono - death.at.mono > self.plan.settle + SOON_AGAIN) {
            (life.young, life.dying_since) = (0, Mono(0));
        }
        life.young = life.young.max(u32::from(doubted));
        // A process that runs when minder first looks was not started just now.
        life.born = (!first || old.is_some()).then_some(cx.now.mono);
        life.quiet = life.young > YOUNG_TOLD && cx.now.mono - life.told < YOUNG_TOLD_EVERY;
        if !life.quiet {
            life.told = cx.now.mono;
        }
        let (quiet, born) = (life.quiet, life.born);
        check.windows.iter_mut().for_each(super::window::Window::clear);
        let id = check.id;
        if let Some(old) = old
            && was_confirmed
        {
            cx.unwatch(old, id);
        }
        cx.watch(new, id);
        let rules = self.checks[c].rules.clone();
        for r in rules {
            if matches!(self.plan.rules[r].hold, crate::model::Hold::Count { .. }) {
                self.rules[r].begin_anew();
            }
        }
        self.seen_up = true;
        self.dirty = true;
        let incident = self.incident.as_ref().map(|i| i.id);
        match old {
            _ if quiet => {}
            Some(old) => cx.event(Some(&self.plan.name), incident, EventKind::Replaced { old, new }),
            None => cx.event(Some(&self.plan.name), incident, EventKind::Appeared { process: new }),
        }
        if born.is_some() {
            self.grace_until = cx.now.mono + self.plan.grace;
        }
    }

    /// The kernel says that a process has ended.
    pub fn exited(&mut self, cx: &mut Context, c: usize, identity: Identity, how: Option<Exit>) {
        let Some(life) = &mut self.checks[c].life else { return };
        if life.identity == Some(identity) {
            self.died(cx, c, identity, how);
        } else if let Some(how) = how {
            if life.listening.take_if(|(of, _)| *of == identity).is_some() {
                cx.unwatch(identity, self.checks[c].id);
            }
            self.explain(cx, c, identity, how);
        }
    }

    /// The cause of a death has come later than the news.
    pub fn explain(&mut self, cx: &mut Context, c: usize, identity: Identity, how: Exit) {
        let Some(life) = &mut self.checks[c].life else { return };
        let quiet = life.quiet;
        for death in [&mut life.gone, &mut life.untold].into_iter().flatten().filter(|d| d.identity == identity) {
            death.how = Some(how);
        }
        if life.untold.is_some_and(|untold| untold.identity == identity) {
            self.tell_death(cx, c);
        } else if self.process_check == Some(c) && self.last_death.is_some_and(|(_, last)| last == identity) {
            self.explain_late(cx, identity, how, quiet);
        }
        self.judge(cx, c, false);
    }

    fn died(&mut self, cx: &mut Context, c: usize, identity: Identity, how: Option<Exit>) {
        self.tell_death(cx, c);
        let hearsay = self.hearsay_of(cx, c, identity);
        let (now, settle) = (cx.now.mono, self.plan.settle);
        if let Some(life) = &mut self.checks[c].life {
            let young = life.born.is_some_and(|born| now - born < settle);
            life.young = if young { life.young.saturating_add(1) } else { 0 };
            if !young || life.young == 1 && life.dying_since == Mono(0) {
                life.dying_since = now;
            }
            let settled = life.dying_since + settle;
            let death = Death { identity, at: cx.now, how, hearsay, settled, asked: false };
            life.identity = None;
            life.gone = Some(death);
            life.untold = Some(death);
        }
        self.dirty = true;
        if how.is_some() {
            self.tell_death(cx, c);
        }
        self.checks[c].rhythm.hurry(cx.now.mono, true);
        if let Some(control) = self.control_check {
            self.checks[control].rhythm.hurry(cx.now.mono, true);
        }
    }

    /// The event of a death, once.
    fn tell_death(&mut self, cx: &mut Context, c: usize) {
        let check = &mut self.checks[c];
        let Some(life) = &mut check.life else { return };
        let Some(mut death) = life.untold.take() else { return };
        let before = life.listening.take().map(|(before, _)| before);
        if death.how.is_none() {
            life.listening = Some((death.identity, death.at.mono + KERNEL_SPEAKS_WITHIN));
        }
        let heard = death.how.map(|_| death.identity);
        death.how = death.how.or(death.hearsay);
        for gone in life.gone.iter_mut().filter(|gone| gone.identity == death.identity) {
            gone.how = death.how;
        }
        // How long it would have lived is not known.
        if life.young == 1 && death.how.is_some_and(Exit::was_asked_for) {
            (life.young, life.dying_since) = (0, Mono(0));
        }
        let quiet = life.quiet;
        for identity in before.into_iter().chain(heard) {
            cx.unwatch(identity, check.id);
        }
        self.last_exit = death.how;
        self.dirty = true;
        self.last_death = Some((death.at, death.identity));
        let kind = EventKind::Died { process: death.identity, how: death.how };
        if !quiet {
            cx.event(Some(&self.plan.name), self.incident.as_ref().map(|i| i.id), kind);
        }
        self.title_death(cx);
    }

    /// What has come due about deaths: an event whose cause did not come, a `settle` that has passed, a control that does not
    /// answer.
    pub fn deaths_due(&mut self, cx: &mut Context) {
        let (now, settle) = (cx.now.mono, self.plan.settle);
        for c in 0..self.checks.len() {
            let Some(life) = &mut self.checks[c].life else { continue };
            if life.unproven_until(settle).is_some_and(|until| now >= until) {
                life.young = 0;
                self.judge(cx, c, false);
                continue;
            }
            if life.untold.is_some_and(|death| now >= death.at.mono + CAUSE_COMES_WITHIN) {
                self.tell_death(cx, c);
                self.judge(cx, c, false);
            }
            let check = &mut self.checks[c];
            let listening = check.life.as_mut().and_then(|life| life.listening.take_if(|(_, until)| now >= *until));
            if let Some((identity, _)) = listening {
                cx.unwatch(identity, check.id);
            }
            let Some(gone) = self.checks[c].life.as_mut().and_then(|life| life.gone.as_mut()) else { continue };
            if now >= gone.settled && !std::mem::replace(&mut gone.asked, true) {
                self.hurry(c, now, true);
            } else if self.control_check.is_some() {
                self.judge(cx, c, false);
            }
        }
    }

    /// When that will be.
    pub fn deaths_wake(&self) -> Option<Mono> {
        let lives = self.checks.iter().filter_map(|check| check.life.as_ref());
        lives
            .flat_map(|life| {
                let untold = life.untold.map(|death| death.at.mono + CAUSE_COMES_WITHIN);
                let gone = life.gone.filter(|death| !death.asked).map(|death| death.settled);
                let control =
                    life.gone.and_then(|death| self.control_answers_until(&death)).filter(|at| *at > self.ticked);
                let listening = life.listening.map(|(_, until)| until);
                [untold, listening, gone, control, life.unproven_until(self.plan.settle)]
            })
            .flatten()
            .min()
    }

    /// Until when the control's answer to a death is waited for; nothing if it is there.
    fn control_answers_until(&self, death: &Death) -> Option<Mono> {
        let check = &self.plan.checks[self.control_check?];
        let answered = self.control_at.is_some_and(|at| at >= death.at.mono);
        (!answered).then(|| death.at.mono + check.timeout)
    }

    /// A process has died, and its supervisor has not been heard since.
    pub fn awaits_word_of_death(&self, now: Mono) -> bool {
        let gone = self.checks.iter().filter_map(|check| check.life.as_ref()?.gone);
        gone.filter_map(|death| self.control_answers_until(&death)).any(|until| now < until)
    }

    /// Nothing more is waited for: what we did about the death has failed.
    pub fn death_is_certain(&mut self, c: usize, now: Mono) {
        if let Some(gone) = self.checks[c].life.as_mut().and_then(|life| life.gone.as_mut()) {
            gone.settled = now;
        }
    }

    /// A death of which it was not seen yet, after all that may turn it to good, that nobody lives.
    pub fn is_unsettled(&self) -> bool {
        self.checks.iter().any(|check| {
            let gone = check.life.as_ref().and_then(|life| life.gone);
            gone.is_some_and(|death| check.latest.as_ref().is_none_or(|sample| sample.at.mono < death.settled))
        })
    }

    /// `down`, as the table above has it.
    pub fn down(&self, c: usize, now: Mono) -> Reading {
        let (Some(sample), Some(life)) = (&self.checks[c].latest, &self.checks[c].life) else {
            return Reading::Unknown;
        };
        let truth = match sample.found {
            Found::Process(id) => {
                let unproven = life.unproven_until(self.plan.settle).is_some_and(|until| now < until);
                if life.identity == Some(id) && !unproven { Truth::False } else { Truth::Unknown }
            }
            Found::Forming | Found::Control(_) | Found::Each(_) => Truth::Unknown,
            // Not asked for a process, and yet it may say: `minder test` does.
            Found::Unasked => return sample.reading(MetricId(Process::DOWN)).clone(),
            Found::Nobody => match &life.gone {
                _ if self.is_acting() => Truth::Unknown,
                _ if self.is_supervised(c) && self.named(c, now) != Named::Nobody => Truth::Unknown,
                Some(death) if self.control_answers_until(death).is_some_and(|until| now < until) => Truth::Unknown,
                _ if self.has_failed() => Truth::True,
                Some(death) if self.is_finishing(death.at.mono, now) => Truth::Unknown,
                Some(death) if now >= death.settled => Truth::True,
                Some(_) if self.supervisors_turn() => Truth::Unknown,
                Some(death) => match death.how {
                    Some(how) if !how.is_clean() => Truth::True,
                    _ => Truth::Unknown,
                },
                // Before the supervisor has been heard, its record may be that it is down on purpose.
                None if self.awaits_control(now) => Truth::Unknown,
                // It may be about to start it: minder has only just begun to look, or was just told so.
                None if self.supervisors_turn() && now < self.turn_since + self.plan.settle => Truth::Unknown,
                None if self.supervisor_may_come(now) => Truth::Unknown,
                None if !self.seen_up && now < self.boot_grace_until => Truth::Unknown,
                None => Truth::True,
            },
        };
        match truth {
            Truth::True => Reading::Flag(true),
            Truth::False => Reading::Flag(false),
            Truth::Unknown => Reading::Unknown,
        }
    }
}
