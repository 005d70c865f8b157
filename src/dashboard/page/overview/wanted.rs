//! Which services somebody wants to see.

use crate::model::{ServiceView, Snapshot, Status};
use serde::Deserialize;
use std::collections::BTreeSet;

/// The longest search; what is longer is cut.
const LONGEST: usize = 200;
/// Choices in a list; whoever has more searches.
const CHOICES: usize = 300;

/// A search, and filters: what a form without a script sends, so that what is empty is not asked for.
#[derive(Debug, Default, Clone, Deserialize)]
pub(in crate::dashboard) struct Wanted {
    #[serde(default)]
    pub q: String,
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub group: String,
    #[serde(default)]
    pub tag: String,
}

impl Wanted {
    /// Everything is wanted.
    pub fn is_all(&self) -> bool {
        [&self.q, &self.status, &self.group, &self.tag].iter().all(|word| word.trim().is_empty())
    }

    /// What a service must be like.
    pub fn test(&self) -> impl Fn(&ServiceView) -> bool {
        let q: String = self.q.chars().take(LONGEST).collect();
        let words: Vec<String> = q.to_lowercase().split_whitespace().map(str::to_owned).collect();
        let status = self.status.clone();
        let (group, tag) = (self.group.clone(), self.tag.clone());
        move |service| {
            let has_word = |word: &String| {
                let has = |text: &str| text.to_lowercase().contains(word);
                has(&service.name)
                    || service.description.as_deref().is_some_and(has)
                    || service.group.as_deref().is_some_and(has)
                    || service.tags.iter().any(|tag| has(tag))
            };
            (status.is_empty() || is_so(service, &status))
                && (group.is_empty() || service.group.as_deref() == Some(&*group))
                && (tag.is_empty() || service.tags.contains(&tag))
                && words.iter().all(has_word)
        }
    }
}

/// The word of a status in an address, and `trouble` for all that are bad.
fn is_so(service: &ServiceView, word: &str) -> bool {
    match word {
        "trouble" => service.status.is_bad(),
        "silenced" => service.silenced.is_some(),
        word => super::class(&service.status) == word,
    }
}

/// What there is to choose from.
pub(super) struct Choices {
    /// The word in the address, and the words for people.
    pub statuses: Vec<(&'static str, String)>,
    pub groups: Vec<String>,
    pub tags: Vec<String>,
}

impl Choices {
    pub fn of(snapshot: &Snapshot) -> Choices {
        use Status::*;
        let count = |word: &'static str| snapshot.services.iter().filter(|service| is_so(service, word)).count();
        let all = [
            ("trouble", "in trouble"),
            ("given-up", "given up"),
            ("critical", "critical"),
            ("warning", "warning"),
            ("unknown", "unknown"),
            ("paused", "paused"),
            ("stopped", "stopped"),
            ("silenced", "silenced"),
            ("ok", "ok"),
        ];
        debug_assert!(
            [GivenUp, Critical, Warning, Unknown, Paused, Stopped, Ok]
                .iter()
                .all(|s| all.iter().any(|(w, _)| *w == super::class(s)))
        );
        let statuses = all.into_iter().map(|(word, words)| (word, count(word), words));
        let groups: BTreeSet<&String> = snapshot.services.iter().filter_map(|s| s.group.as_ref()).collect();
        let tags: BTreeSet<&String> = snapshot.services.iter().flat_map(|s| &s.tags).collect();
        Choices {
            statuses: statuses.map(|(word, count, words)| (word, format!("{words} ({count})"))).collect(),
            groups: groups.into_iter().take(CHOICES).cloned().collect(),
            tags: tags.into_iter().take(CHOICES).cloned().collect(),
        }
    }
}
