//! A letter in plain text.

use super::content::{Content, Part};
use std::fmt::Write;

/// Lines of any length: whoever shows them breaks them.
pub(super) fn set(content: &Content) -> String {
    let mut text = format!("{}\n", content.headline);
    for part in &content.parts {
        // A `String` takes everything.
        let _ = add(&mut text, part);
    }
    text.push_str("\n-- \n");
    text.push_str(&content.footer);
    text.push('\n');
    text
}

fn add(text: &mut String, part: &Part) -> std::fmt::Result {
    match part {
        Part::Say(said) => {
            for line in said {
                writeln!(text, "{line}")?;
            }
        }
        Part::Facts(facts) => {
            text.push('\n');
            let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
            for (name, value) in facts {
                writeln!(text, "{name:<width$}  {value}")?;
            }
        }
        Part::Heading(heading) => write!(text, "\n{heading}\n")?,
        Part::Title(mark, who, news) => write!(text, "\n\n== {} {who}: {news}\n", mark.word())?,
        Part::List(lines) => {
            for line in lines {
                writeln!(text, "  {line}")?;
            }
        }
        Part::Item(item, known) => {
            writeln!(text, "  {item}")?;
            for (name, value) in known {
                writeln!(text, "    {:<6} {value}", format!("{name}:"))?;
            }
        }
        Part::Verbatim(lines) => {
            for line in lines {
                writeln!(text, "  | {line}")?;
            }
        }
        Part::Commands(commands) => {
            // Below each other: beside each other they are wider than a phone.
            for (command, what) in commands {
                write!(text, "  {command}\n    {what}\n")?;
            }
        }
        Part::Link(link) => write!(text, "\n{link}\n")?,
    }
    Ok(())
}
