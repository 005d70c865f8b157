//! What is wrong with a rule file, and where; drawn as compilers draw it.

use super::dashboard::passwords;
use super::source::Sources;
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str};
use std::ops::Range;
use std::path::Path;

/// More mistakes than this are counted, not drawn.
const DRAWN_AT_MOST: usize = 200;

/// Longer lines are named, not drawn.
const DRAWN_WINDOW: usize = 10_000;

/// A place in a source file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, by its place in [`Sources::files`].
    pub file: usize,
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

impl Place {
    /// Whether the other one lies within this one.
    pub(super) fn holds(&self, other: Place) -> bool {
        self.file == other.file && self.start <= other.start && other.end <= self.end
    }
}

/// A mistake in a rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where; nothing if it is about a file that could not be read at all.
    pub at: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// A few words beneath the underlined place.
    pub label: Option<String>,
    /// Other places that belong to it, each with a few words.
    pub related: Vec<(Place, String)>,
    /// What to do about it.
    pub help: Vec<String>,
    /// What stands at the place is a secret: it is not drawn, neither here nor in other diagnostics of the same line.
    pub conceal: bool,
}

impl Diagnostic {
    pub(super) fn new(at: Place, message: impl Into<String>) -> Diagnostic {
        Diagnostic { at: Some(at), ..Diagnostic::nowhere(message) }
    }

    pub(super) fn nowhere(message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            at: None,
            message: message.into(),
            label: None,
            related: Vec::new(),
            help: Vec::new(),
            conceal: false,
        }
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Diagnostic {
        self.label = Some(label.into());
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help.push(help.into());
        self
    }

    pub(super) fn also(mut self, place: Place, label: impl Into<String>) -> Diagnostic {
        self.related.push((place, label.into()));
        self
    }

    /// The file, the line and the column (both from 1, the column in characters).
    pub fn position<'a>(&self, sources: &'a Sources) -> Option<(&'a Path, usize, usize)> {
        let at = self.at?;
        let file = sources.files.get(at.file)?;
        let before = file.text.get(..at.start)?;
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Some((&file.path, before.matches('\n').count() + 1, before[line_start..].chars().count() + 1))
    }
}

/// What other programs call what has another name here; the first of these names that may stand there is meant.
const FOREIGN: &[(&[&str], &[&str])] = &[
    (&["interval", "period", "frequency"], &["every"]),
    (&["env", "environ"], &["environment"]),
    (&["cwd", "chdir", "workdir", "working_dir", "working_directory"], &["directory"]),
    (&["expr", "if", "condition"], &["when"]),
    (&["then", "do", "action", "actions"], &["then"]),
    (&["alert", "warn", "page", "message", "mail"], &["notify"]),
    (&["host", "hostname", "smtp"], &["server", "address"]),
    (&["port"], &["listen", "address"]),
    (&["bind"], &["listen"]),
    (&["path", "pid"], &["pidfile"]),
    (&["cmd", "args", "program"], &["command", "match"]),
    (&["retries", "attempts", "max"], &["limit"]),
    (&["rss", "ram"], &["memory"]),
    (&["fd", "files", "open_files"], &["fds"]),
    (&["response_time", "duration", "time"], &["latency"]),
    (&["code", "status_code"], &["status"]),
    (&["cert", "certificate.expires", "cert_expires", "ssl.expires", "tls.expires"], &["cert.expires"]),
    (&["start_period"], &["grace"]),
    (&["alerts", "triggers"], &["rules"]),
    (&["healthcheck", "probes"], &["checks"]),
];

/// "did you mean" what is nearest to this word, if anything is near: in its letters, in its meaning, or as its beginning.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> Option<&'a str> {
    near_in_letters(word, candidates.clone()).or_else(|| {
        let names = FOREIGN.iter().find(|(words, _)| words.contains(&word)).map_or(&[][..], |(_, names)| names);
        let meant = names.iter().find_map(|name| candidates.clone().into_iter().find(|candidate| candidate == name));
        let longer = |candidate: &&str| (3..=64).contains(&word.len()) && candidate.starts_with(word);
        meant.or_else(|| candidates.into_iter().take(1000).find(longer))
    })
}

fn near_in_letters<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Attacker's input may be long, and the distance costs the product of both lengths.
    if word.len() > 64 {
        return None;
    }
    let folded = word.to_lowercase();
    candidates
        .into_iter()
        .take(1000)
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (word.len().min(candidate.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `a`, `b` and `c`, in code quotes.
pub(super) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        None => "nothing".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// The words of somebody else's text, cut and without control characters, for a message.
pub(super) fn quoted(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("`{}{dots}`", short.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'"))
}

/// Draws them, with the lines that they are about. Control characters of the source are made harmless.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut concealed: Vec<Place> = diagnostics.iter().filter(|d| d.conceal).filter_map(|d| d.at).collect();
    // Also where something else is wrong on the same line.
    concealed.extend(sources.files.iter().filter_map(|file| file.tree.as_ref()).flat_map(passwords));
    let mut out = String::new();
    for diagnostic in diagnostics.iter().take(DRAWN_AT_MOST) {
        let mut group = Group::with_title(Level::ERROR.primary_title(normalize_untrusted_str(&diagnostic.message)));
        for (i, (file, places)) in places_by_file(diagnostic).into_iter().enumerate() {
            let Some(source) = sources.files.get(file) else { continue };
            let path = normalize_untrusted_str(&source.path.display().to_string());
            let line_of = |byte: usize| source.text[..byte].matches('\n').count() + 1;
            let start = places.iter().map(|(place, _)| place.start).min().unwrap_or(0);
            let end = places.iter().map(|(place, _)| place.end).max().unwrap_or(0);
            let Some(window) = lines_around(&source.text, start..end, DRAWN_WINDOW) else {
                group =
                    group.element(Origin::path(path).line(places.first().map_or(1, |(place, _)| line_of(place.start))));
                continue;
            };
            let line_start = line_of(window.start);
            let annotations = places.iter().enumerate().map(|(j, (place, label))| {
                let kind = if i == 0 && j == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
                annotation(kind, *place, &window, label.as_deref())
            });
            let text = masked(&source.text[window.clone()], &window, file, &concealed);
            group = group.element(
                Snippet::source(text).path(path).line_start(line_start).annotations(annotations.collect::<Vec<_>>()),
            );
        }
        for help in &diagnostic.help {
            group = group.element(Level::HELP.message(normalize_untrusted_str(help)));
        }
        out.push_str(&renderer.render(&[group]));
        out.push_str("\n\n");
    }
    if diagnostics.len() > DRAWN_AT_MOST {
        out.push_str(&format!("and {} more\n\n", diagnostics.len() - DRAWN_AT_MOST));
    }
    match diagnostics.len() {
        0 => {}
        1 => out.push_str("1 mistake\n"),
        n => out.push_str(&format!("{n} mistakes\n")),
    }
    out
}

type Labelled = (Place, Option<String>);

/// The places of a diagnostic, file by file, the primary one first.
fn places_by_file(diagnostic: &Diagnostic) -> Vec<(usize, Vec<Labelled>)> {
    let mut files: Vec<(usize, Vec<Labelled>)> = Vec::new();
    let related = diagnostic.related.iter().map(|(place, label)| (*place, Some(label.clone())));
    for (place, label) in diagnostic.at.map(|at| (at, diagnostic.label.clone())).into_iter().chain(related) {
        // What is far from the others is drawn by itself: the lines from one to the other would be too many.
        let near = |other: Place| other.file == place.file && other.start.abs_diff(place.start) < DRAWN_WINDOW / 2;
        match files.iter_mut().find(|(_, places)| places.first().is_some_and(|(first, _)| near(*first))) {
            Some((_, places)) => places.push((place, label)),
            None => files.push((place.file, vec![(place, label)])),
        }
    }
    files
}

/// The whole lines that hold these bytes; nothing if they are longer than any person writes them. A text may be one line
/// with thousands of places in it: no more than twice so much is looked at for each.
pub(super) fn lines_around(text: &str, bytes: Range<usize>, most: usize) -> Option<Range<usize>> {
    let all = text.as_bytes();
    let (start, end) = (bytes.start.min(all.len()), bytes.end.min(all.len()));
    let from = start.saturating_sub(most);
    let start = match all[from..start].iter().rposition(|b| *b == b'\n') {
        Some(i) => from + i + 1,
        None if from == 0 => 0,
        None => return None,
    };
    let rest = &all[end.max(start)..];
    let length = rest.iter().take(most).position(|b| matches!(b, b'\r' | b'\n'));
    let end = end.max(start) + length.or((rest.len() < most).then_some(rest.len()))?;
    (end - start <= most).then_some(start..end)
}

fn annotation<'a>(kind: AnnotationKind, place: Place, window: &Range<usize>, label: Option<&str>) -> Annotation<'a> {
    let within = |offset: usize| offset.clamp(window.start, window.end) - window.start;
    kind.span(within(place.start)..within(place.end)).label(label.map(normalize_untrusted_str))
}

/// The text with secrets starred out and without carriage returns, byte for byte, so that every place stays where it is.
fn masked(text: &str, window: &Range<usize>, file: usize, concealed: &[Place]) -> String {
    let mut text = text.replace('\r', " ");
    for place in concealed.iter().filter(|place| place.file == file) {
        let start = place.start.clamp(window.start, window.end) - window.start;
        let end = place.end.clamp(window.start, window.end) - window.start;
        if start < end {
            text.replace_range(start..end, &"*".repeat(end - start));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let words = ["process", "http", "memory"];
        assert_eq!(nearest("proces", words), Some("process"));
        assert_eq!(nearest("Memory", words), Some("memory"));
        assert_eq!(nearest("banana", words), None);
        assert_eq!(nearest(&"p".repeat(1_000_000), words), None);
    }

    #[test]
    fn quoting_makes_control_characters_harmless() {
        assert_eq!(quoted("a\u{1b}[31m"), "`a\\u{1b}[31m`");
        assert_eq!(quoted("say \"x\""), "`say \"x\"`");
    }
}
