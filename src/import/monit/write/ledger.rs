//! What became of each statement. Every one is entered here once, so that none is dropped in silence.

use super::super::read::Place;
use crate::import::{Note, Secret, Weight, yaml};

/// What became of a statement: in what it differs, or why it has no counterpart.
pub type Outcome = Result<Vec<String>, String>;

#[derive(Default)]
pub struct Ledger {
    files: Vec<String>,
    pub statements: usize,
    notes: Vec<(Place, Note)>,
    secrets: Vec<Secret>,
}

impl Ledger {
    pub fn new(files: Vec<String>) -> Ledger {
        Ledger { files, ..Ledger::default() }
    }

    /// `FILE:LINE`
    pub fn at(&self, place: Place) -> String {
        format!("{}:{}", self.file(place), place.line)
    }

    fn file(&self, place: Place) -> String {
        self.files.get(place.file).map(|name| yaml::comment(name)).unwrap_or_default()
    }

    /// Enters statements, and says as comments which of them were not carried over as they are. Those that differ alike
    /// share one.
    pub fn enter_all<'a>(&mut self, all: impl IntoIterator<Item = (Place, &'a str, &'a Outcome)>) -> Vec<String> {
        let mut groups: Vec<Vec<Note>> = Vec::new();
        for note in all.into_iter().filter_map(|(place, text, outcome)| self.enter(place, text, outcome)) {
            let alike =
                |other: &Note| (&other.file, other.weight, &other.why) == (&note.file, Weight::Differs, &note.why);
            match groups.iter_mut().find(|group| group.first().is_some_and(alike)) {
                Some(group) if note.weight == Weight::Differs => group.push(note),
                _ => groups.push(vec![note]),
            }
        }
        groups.iter().map(|group| format!("# {}", alike(group))).collect()
    }

    fn enter(&mut self, place: Place, text: &str, outcome: &Outcome) -> Option<Note> {
        self.statements += 1;
        let (weight, why) = match outcome {
            Ok(differs) if differs.is_empty() => return None,
            Ok(differs) => (Weight::Differs, differs.join("; ")),
            Err(why) => (Weight::Lost, why.clone()),
        };
        let (file, statement, why) = (self.file(place), yaml::comment(text), yaml::comment(&why));
        let note = Note { file, line: place.line, statement, weight, why };
        self.notes.push((place, note.clone()));
        Some(note)
    }

    /// The name of an environment variable that will hold a password; this says whose.
    pub fn secret(&mut self, whose: &str, place: Place) -> String {
        let sign = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let base = format!("MONIT_{}_PASSWORD", whose.chars().map(sign).collect::<String>());
        let taken = |name: &str| self.secrets.iter().any(|secret| secret.name == name);
        let numbered = (2..).map(|n| format!("{base}_{n}"));
        let name = std::iter::once(base.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or_default();
        self.secrets.push(Secret { name: name.clone(), place: self.at(place) });
        name
    }

    /// The notes, in the order in which the statements stand; and the secrets.
    pub fn close(self) -> (Vec<Note>, Vec<Secret>) {
        let mut notes = self.notes;
        notes.sort_by_key(|(place, _)| *place);
        (notes.into_iter().map(|(_, note)| note).collect(), self.secrets)
    }
}

/// Notes that differ only in their lines, as one.
fn alike(group: &[Note]) -> String {
    match group {
        [first, _, ..] => {
            let mut lines: Vec<String> = group.iter().map(|note| note.line.to_string()).collect();
            lines.dedup();
            format!("{}:{}: differs: {}", first.file, lines.join(","), first.why)
        }
        one => one.first().map(ToString::to_string).unwrap_or_default(),
    }
}
