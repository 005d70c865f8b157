//! Which services somebody wants to see.

use crate::dashboard::page::words::class;
use crate::model::{ServiceView, Snapshot, plain};
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

    /// Whether this is the group that is asked for. A form brings it back as it was shown.
    pub fn is_group(&self, group: &str) -> bool {
        as_sent(group) == as_sent(&self.group)
    }

    /// The same for a tag.
    pub fn is_tag(&self, tag: &str) -> bool {
        as_sent(tag) == as_sent(&self.tag)
    }

    /// What a service must be like.
    pub fn test(&self) -> impl Fn(&ServiceView) -> bool {
        let q: String = self.q.chars().take(LONGEST).collect();
        let words: Vec<String> = q.to_lowercase().split_whitespace().map(str::to_owned).collect();
        let status = self.status.clone();
        let wanted = self.clone();
        move |service| {
            let has_word = |word: &String| {
                let has = |text: &str| text.to_lowercase().contains(word);
                has(&service.name)
                    || service.description.as_deref().is_some_and(has)
                    || service.group.as_deref().is_some_and(has)
                    || service.tags.iter().any(|tag| has(tag))
            };
            (status.is_empty() || is_so(service, &status))
                && (wanted.group.is_empty() || service.group.as_deref().is_some_and(|group| wanted.is_group(group)))
                && (wanted.tag.is_empty() || service.tags.iter().any(|tag| wanted.is_tag(tag)))
                && words.iter().all(has_word)
        }
    }
}

/// As a browser sends the text of an option.
fn as_sent(text: &str) -> String {
    plain(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The word of a status in an address, and `trouble` for all that are bad.
fn is_so(service: &ServiceView, word: &str) -> bool {
    match word {
        "trouble" => service.status.is_bad(),
        "silenced" => service.silenced.is_some(),
        word => class(&service.status) == word,
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
