//! The long form as lines of YAML, each with a comment behind it that says where it comes from.

use serde_yaml::Value;

/// Comments stand in one column, unless a line reaches further than this.
const COLUMN: usize = 44;

/// A part of the long form.
#[derive(Debug)]
pub(super) enum Part {
    /// A value in one line, with its comment.
    Leaf(Value, String),
    /// Keys with their values; a comment where they are written otherwise than as a map.
    Map(Vec<(String, Part)>, Option<String>),
    /// Elements, each on lines of its own.
    List(Vec<Part>),
}

/// A line without its comment, and the comment.
struct Line {
    text: String,
    comment: Option<String>,
}

/// A map as a whole file.
pub(super) fn write(part: &Part) -> String {
    let mut lines = Vec::new();
    if let Part::Map(entries, _) = part {
        map(&mut lines, entries, 0, "");
    }
    let width = |line: &Line| line.text.chars().count();
    let commented = lines.iter().filter(|line| line.comment.is_some()).map(width);
    let column = commented.filter(|width| *width <= COLUMN).max().unwrap_or(0);
    let mut out = String::new();
    for line in &lines {
        out.push_str(&line.text);
        if let Some(comment) = &line.comment {
            let gap = column.saturating_sub(width(line)) + 3;
            out.push_str(&" ".repeat(gap));
            out.push_str("# ");
            out.push_str(comment);
        }
        out.push('\n');
    }
    out
}

/// Writes entries; what stands before the first is the dash of the list that they are an element of.
fn map(lines: &mut Vec<Line>, entries: &[(String, Part)], indent: usize, dash: &str) {
    for (i, (key, part)) in entries.iter().enumerate() {
        let dash = if i == 0 { dash } else { "" };
        let head = format!("{}{dash}{}:", " ".repeat(indent - dash.len()), scalar(&Value::String(key.clone()), false));
        match part {
            Part::Leaf(value, comment) => {
                let text = format!("{head} {}", flow(value, false));
                lines.push(Line { text, comment: Some(comment.clone()) });
            }
            Part::Map(inner, comment) => {
                lines.push(Line { text: head, comment: comment.clone() });
                map(lines, inner, indent + 2, "");
            }
            Part::List(items) => {
                lines.push(Line { text: head, comment: None });
                list(lines, items, indent + 2);
            }
        }
    }
}

fn list(lines: &mut Vec<Line>, items: &[Part], indent: usize) {
    for item in items {
        match item {
            Part::Leaf(value, comment) => {
                let text = format!("{}- {}", " ".repeat(indent), flow(value, false));
                lines.push(Line { text, comment: Some(comment.clone()) });
            }
            Part::Map(entries, _) => map(lines, entries, indent + 2, "- "),
            Part::List(items) => {
                lines.push(Line { text: format!("{}-", " ".repeat(indent)), comment: None });
                list(lines, items, indent + 2);
            }
        }
    }
}

/// A value in one line.
fn flow(value: &Value, within: bool) -> String {
    match value {
        Value::Sequence(items) => {
            let items: Vec<String> = items.iter().map(|item| flow(item, true)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Mapping(entries) if entries.is_empty() => "{}".to_owned(),
        Value::Mapping(entries) => {
            let entry = |(key, value): (&Value, &Value)| format!("{}: {}", flow(key, true), flow(value, true));
            format!("{{ {} }}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        scalar_value => scalar(scalar_value, within),
    }
}

/// Text, number or flag; within brackets, more texts need quotes.
fn scalar(value: &Value, within: bool) -> String {
    // Only values of ours are written, none of which can fail.
    let written = serde_yaml::to_string(value).unwrap_or_default();
    let written = written.trim_end_matches('\n');
    let Value::String(text) = value else { return written.to_owned() };
    let bare = !written.starts_with(['"', '\'']);
    // YAML counts these as ends of lines, and folds them.
    let breaks = text.contains(['\u{85}', '\u{2028}', '\u{2029}']);
    if breaks
        || written.contains('\n')
        || written.starts_with(['|', '>'])
        || bare && within && text.contains([',', '[', ']', '{', '}', ':', '?'])
    {
        return in_double_quotes(text);
    }
    written.to_owned()
}

fn in_double_quotes(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Also what ends a line in other versions of YAML, and a byte order mark.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                out.push_str(&format!("\\u{:04X}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::super::super::tree::{self, NODES};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn comments_are_aligned_and_long_lines_do_not_push_them_away() {
        let leaf = |text: &str| Part::Leaf(Value::String(text.to_owned()), "here".to_owned());
        let inner = Part::Map(vec![("b".to_owned(), leaf("x")), ("c".to_owned(), leaf(&"y".repeat(60)))], None);
        let file = Part::Map(vec![("list".to_owned(), Part::List(vec![leaf("1"), inner]))], None);
        assert_eq!(scalar(&Value::String("\u{2028}".to_owned()), false), "\"\\u2028\"");
        assert_eq!(
            write(&file),
            format!("list:\n  - '1'    # here\n  - b: x   # here\n    c: {}   # here\n", "y".repeat(60))
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_text_reads_back(texts in prop::collection::vec("(\\PC|[\\[\\]{}:,&*!|>'\"%@#?\\\\ ~\u{0}-\u{1f}\u{7f}\u{85}\u{2028}\u{feff}-]){0,8}|[a-z]{1,4}|0?[0-9]{1,3}|true|null", 1..4)) {
            let values: Vec<Value> = texts.iter().cloned().map(Value::String).collect();
            let mut parts: Vec<Part> = values.iter().map(|value| Part::Leaf(value.clone(), "# x: ".to_owned())).collect();
            parts.push(Part::Leaf(Value::Sequence(values), "x".to_owned()));
            let written = write(&Part::Map(vec![("k: #".to_owned(), Part::List(parts))], None));
            let (root, found) = tree::parse(&written, 0, &mut { NODES });
            prop_assert!(found.is_empty(), "{found:?} in {written:?}");
            let root = root.unwrap();
            let tree::Value::Seq(items) = &root.get("k: #").unwrap().1.value else { panic!("{written}") };
            let (row, items) = items.split_last().unwrap();
            let tree::Value::Seq(row) = &row.value else { panic!("{written}") };
            for read in [items, row] {
                let read: Vec<_> = read.iter().map(|node| match &node.value {
                    tree::Value::Scalar { text, .. } => text.clone(),
                    _ => panic!("{written}"),
                }).collect();
                prop_assert_eq!(&read, &texts, "{}", written);
            }
        }
    }
}
