//! The templates of messages: each is tried on every kind of event, so that none fails when it is needed.

use super::diagnostic::{Diagnostic, Place, listed, nearest};
use super::plan::Builder;
use super::resolve::Text;
use super::tree::Node;
use crate::model::template::{self, Fault, Format};
use std::collections::BTreeMap;
use std::ops::Range;

impl<'a> Builder<'a> {
    /// Reports what is wrong with a template of a message, tried with these parameters of its preset.
    pub(super) fn message_template(&mut self, node: &Node, format: Format, with: &BTreeMap<String, String>) {
        let Some(text) = node.text() else { return };
        for fault in template::check(text, format, with) {
            let place = match &fault.at {
                Some(range) => place_of(node, text, range, self.source(node.place)),
                None => node.place,
            };
            let help = help(&fault, with);
            let mut diagnostic = Diagnostic::new(place, fault.what);
            diagnostic.help.extend(help);
            self.found.push(diagnostic);
        }
    }
}

fn help(fault: &Fault, with: &BTreeMap<String, String>) -> Option<String> {
    if let Some(help) = fault.help {
        return Some(help.to_owned());
    }
    let path = fault.unknown.as_deref()?;
    let (before, name) = path.rsplit_once('.').map_or(("", path), |(before, name)| (before, name));
    if before == "with" {
        let params = listed(with.keys().map(String::as_str));
        return Some(match nearest(name, with.keys().map(String::as_str)) {
            Some(meant) => format!("did you mean `with.{meant}`? (the parameters are {params})"),
            None if with.is_empty() => "it has no parameters: declare them under `params`".to_owned(),
            None => format!("the parameters are {params}"),
        });
    }
    let all = template::all_names();
    Some(match nearest(name, all.iter().map(String::as_str)) {
        Some(known) if known == name && before.is_empty() => {
            format!("`{name}` is not of the message but of a part of it, such as `rules[0].{name}`")
        }
        Some(known) if known == name => format!("not every message has it: ask first, `{{% if {before} %}}`"),
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "the names are in the reference of the rules, under \"Templates of messages\"".to_owned(),
    })
}

/// The place of a part of a text, also within a block (`|`), whose lines stand one beneath the other as they are.
fn place_of(node: &Node, text: &str, range: &Range<usize>, source: &str) -> Place {
    let whole = node.place;
    let at = Text::new(node, source).map_or(whole, |text| text.at(range));
    if at != whole {
        return at;
    }
    let line_start = text[..range.start].rfind('\n').map_or(0, |i| i + 1);
    let number = text[..line_start].matches('\n').count();
    let line = text[line_start..].lines().next().unwrap_or_default();
    let mut start = whole.start;
    let written = source[start..].split_inclusive('\n').enumerate();
    let skipped = usize::from(source[start..].starts_with('|'));
    for (index, written) in written {
        if index == number + skipped {
            let written = written.trim_end_matches(['\n', '\r']);
            let Some(indent) = written.len().checked_sub(line.len()).filter(|_| written.ends_with(line)) else { break };
            let from = start + indent + range.start - line_start;
            let end = (from + range.len()).min(start + written.len());
            return Place { start: from, end, ..whole };
        }
        start += written.len();
    }
    whole
}
