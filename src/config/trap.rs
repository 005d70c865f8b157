//! YAML's own traps, and what to say about a text that is no YAML.

use super::diagnostic::{Diagnostic, Place, lines_around};

/// The characters that YAML takes for itself at the beginning of a value.
const TAKEN: &[char] = &['!', '>', '|', '[', '{', '*', '&', '%', '@', '"', '`', '\''];

/// Adds the advice to quote, if the line of the diagnostic holds an unquoted rule that YAML takes for something else.
pub(super) fn trap_at(diagnostic: Diagnostic, text: &str) -> Diagnostic {
    let Some(at) = diagnostic.at else { return diagnostic };
    let Some(line) = lines_around(text, at.start..at.start, 2000) else { return diagnostic };
    let line = text[line].trim();
    let rule = line.strip_prefix("- ").unwrap_or(line);
    let rule = rule.strip_prefix("when:").unwrap_or(rule).trim();
    if !(rule.contains("->") || line.starts_with("when:")) || rule.starts_with('\'') {
        return diagnostic;
    }
    // Double quotes around a rule that has some within.
    let bare = rule.strip_prefix('"').and_then(|rule| rule.strip_suffix('"')).unwrap_or(rule);
    let advice = format!("put the rule in single quotes: '{}'", bare.replace('\'', "''"));
    match rule.chars().next() {
        Some(first) if TAKEN.contains(&first) => {
            diagnostic.help(format!("YAML takes a `{first}` at the beginning of a value for itself")).help(advice)
        }
        _ if rule.contains(": ") => diagnostic.help("YAML takes an unquoted `: ` for the start of a map").help(advice),
        _ => diagnostic,
    }
}

/// What is wrong with a text that is no YAML: the scanner's words, unless the line shows what was meant. `open` is where
/// the innermost list or map begins that is not complete.
pub(super) fn scan_error(text: &str, at: Place, info: &str, open: Option<usize>) -> Diagnostic {
    // The scanner may notice what is wrong with a line only at the start of one below it.
    let line_start = text[..at.start].rfind('\n').map_or(0, |i| i + 1);
    let above = text[..line_start].trim_end();
    let above_start = above.rfind('\n').map_or(0, |i| i + 1);
    for from in [line_start, above_start] {
        let line = text[from..].lines().next().unwrap_or("");
        let indent = line.len() - line.trim_start().len();
        if let Some(tab) = line[..indent].find('\t') {
            let place = Place { start: from + tab, end: from + tab + 1, ..at };
            return Diagnostic::new(place, "a tab in the indentation").help("YAML is indented with spaces only");
        }
    }
    let lost = info.contains("did not find expected '-' indicator") || info.contains("did not find expected key");
    let message = match info {
        _ if info.contains("mapping values are not allowed") => {
            "YAML takes `: ` for the start of a map here, and there cannot be one".to_owned()
        }
        _ if info.contains("recursion limit") => "lists and maps are nested too deeply".to_owned(),
        _ if info.contains("unknown anchor") => "no anchor (`&`) of this name stands above".to_owned(),
        _ if info.contains("unexpected character") => "no YAML value begins with this character".to_owned(),
        _ if lost => "YAML cannot read this as a part of what stands above it".to_owned(),
        _ if info.contains("unknown escape character") => {
            "in double quotes a backslash begins an escape of YAML's, and there is none of this letter".to_owned()
        }
        _ => format!("this is not YAML: {info}"),
    };
    if info.contains("unknown escape character") {
        return Diagnostic::new(at, message)
            .help("in single quotes a backslash is a backslash, which regular expressions want");
    }
    let flow = open.filter(|start| text[*start..].starts_with(['[', '{']));
    if let Some(start) = flow
        && let Some(sign) = text[start..at.end].rfind("${").map(|i| start + i)
        && !text[sign..at.end].contains('\n')
    {
        let end = text[sign..].find(['}', '\n']).map_or(at.end, |i| sign + i + 1).max(sign + 2);
        let diagnostic =
            Diagnostic::new(Place { start: sign, end, ..at }, "YAML takes this brace for the start of a map");
        return diagnostic.help("within `{ }` and `[ ]`, put a text with `${..}` in it in double quotes");
    }
    let here = trap_at(Diagnostic::new(at, message.clone()), text);
    if !here.help.is_empty() {
        return here;
    }
    if let Some(start) = flow {
        let (what, close) = if text[start..].starts_with('[') { ("list", ']') } else { ("map", '}') };
        let here = match info.contains("expected ','") || info.contains("indentation in flow") {
            true => Diagnostic { message: format!("this {what} is not closed, or a comma is missing"), ..here }
                .help(format!("put a `{close}` where it ends, and commas between what is in it")),
            false => here,
        };
        return here.also(Place { start, end: start + 1, ..at }, "this is open");
    }
    let start = above_start + (above[above_start..].len() - above[above_start..].trim_start().len());
    let on_above = trap_at(Diagnostic::new(Place { start, end: above.len().max(start), ..at }, message), text);
    match on_above.help.is_empty() {
        true if lost => {
            here.help("what belongs together begins in the same column, and what is within it is indented deeper")
        }
        true => here,
        false => on_above,
    }
}
