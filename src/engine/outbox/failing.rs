//! A notifier that takes nothing is an incident, told through the others.
//!
//! It begins when a message was lost for good, or after three attempts in vain and a minute of them: what is shorter is mended by
//! the next attempt, and nobody has to get up for it. It ends when the notifier takes something, be it a test. Each is told once to each of
//! the others, whether these take it or not: where all of them fail, nothing goes round.

use super::lane::Trouble;
use crate::engine::context::Context;
use crate::model::{EventKind, Name, Story, StoryRule};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// So many attempts in vain,
const ATTEMPTS: u32 = 3;
/// for so long.
const AT_LEAST: Duration = Duration::from_secs(60);
/// Where nobody is named who hears of minder itself, so many of all hear of one that fails: without a network all of many fail,
/// and not each has to hear of each.
const OTHERS: usize = 8;

impl Context {
    /// An attempt was in vain; `lost` if its message is dead.
    pub(super) fn in_vain(&mut self, name: &Name, why: &Arc<str>, lost: bool) {
        let now = self.now;
        let Some(lane) = self.outbox.lanes.get_mut(name) else { return };
        lane.tries = lane.tries.saturating_add(1);
        let since = lane.trouble.as_ref().map_or(now, |trouble| trouble.since);
        lane.trouble = Some(Trouble { since, why: Arc::clone(why) });
        let long = lane.tries >= ATTEMPTS && now.mono - since.mono >= AT_LEAST;
        if lane.failing.is_some() || !(lost || long) {
            return;
        }
        let title = format!("messages do not reach {name}");
        self.event(None, None, EventKind::Noted { words: format!("{title}: {why}") });
        let story = Story {
            title: title.clone(),
            status: "failing".to_owned(),
            rules: vec![StoryRule {
                rule: title.clone(),
                condition: title,
                value: why.to_string(),
                note: None,
                since: since.wall,
            }],
            advice: vec![format!("`minder notify-test {name}` tries it, and shows what becomes of it.")],
            ..Story::default()
        };
        let incident = self.open_own(since.wall, self.others_than(name), story);
        if let Some(lane) = self.outbox.lanes.get_mut(name) {
            (lane.failing, lane.dirty) = (Some(incident), true);
        }
    }

    /// It is over; `why`.
    pub(super) fn works_again(&mut self, name: &Name, why: &str) {
        let failing = self.outbox.lanes.get_mut(name).and_then(|lane| {
            lane.dirty |= lane.failing.is_some();
            lane.failing.take()
        });
        if let Some(incident) = failing {
            let title = format!("{name}: {why}");
            self.event(None, Some(incident.id), EventKind::Noted { words: title.clone() });
            self.close_own(incident, Story { title, ..Story::default() });
        }
    }

    /// Those who hear of minder itself; without any, some of all there are, first those that take what they are sent.
    fn others_than(&self, name: &Name) -> BTreeSet<Name> {
        let named: BTreeSet<Name> = self.plan.notify.iter().filter(|other| *other != name).cloned().collect();
        if !named.is_empty() {
            return named;
        }
        let fails = |other: &&Name| self.outbox.lanes.get(*other).is_some_and(|lane| lane.trouble.is_some());
        let (failing, working): (Vec<&Name>, Vec<&Name>) =
            self.plan.notifiers.keys().filter(|other| *other != name).partition(fails);
        working.into_iter().chain(failing).take(OTHERS).cloned().collect()
    }
}
