//! A letter in HTML that every mail program shows alike: one column, styles on the elements only, no colour of text or ground but
//! that of the mark, so that it reads on light and on dark. Nothing is fetched from anywhere.

use super::Mark;
use super::content::{Content, Part};
use std::borrow::Cow;
use std::fmt::Write;

const PAGE: &str =
    "margin:0;padding:16px;font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;color-scheme:light dark";
const COLUMN: &str = "max-width:640px;margin:0 auto;overflow-wrap:anywhere";
const HEADLINE: &str = "margin:8px 0 12px;font-size:20px;line-height:1.35;font-weight:600";
const HEADING: &str =
    "margin:26px 0 6px;font-size:13px;font-weight:600;letter-spacing:.06em;text-transform:uppercase;opacity:.75";
const TITLE: &str =
    "margin:36px 0 6px;padding-top:16px;border-top:1px solid #8a8a8a;font-size:17px;line-height:1.35;font-weight:600";
const SAY: &str = "margin:4px 0";
const ITEM: &str = "margin:10px 0 0;font-weight:600";
const LIST: &str = "margin:4px 0;padding-left:20px";
const TABLE: &str = "border-collapse:collapse;margin:4px 0";
const NAME: &str = "padding:2px 12px 2px 0;vertical-align:top;white-space:nowrap;font-size:14px;opacity:.75";
const VALUE: &str = "padding:2px 0;vertical-align:top;overflow-wrap:anywhere";
const VERBATIM: &str = "margin:4px 0;padding:8px 10px;border:1px solid #8a8a8a;border-radius:6px;font:13px/1.5 ui-monospace,Menlo,Consolas,monospace;white-space:pre-wrap;overflow-wrap:anywhere";
const CODE: &str = "font:14px/1.5 ui-monospace,Menlo,Consolas,monospace";
const SMALL: &str = "margin:0;font-size:14px;opacity:.75";
const FOOTER: &str = "margin:28px 0 0;font-size:13px;opacity:.75";

/// The whole page.
pub(super) fn set(content: &Content) -> String {
    let mut html = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    html.push_str("<meta name=\"viewport\" content=\"width=device-width\">");
    html.push_str("<meta name=\"color-scheme\" content=\"light dark\"></head>\n");
    // A `String` takes everything.
    let _ = fill(&mut html, content);
    html
}

fn fill(html: &mut String, content: &Content) -> std::fmt::Result {
    writeln!(html, "<body style=\"{PAGE}\"><div style=\"{COLUMN}\">")?;
    if let Some(mark) = content.mark {
        writeln!(html, "{}", badge(mark))?;
    }
    writeln!(html, "<p style=\"{HEADLINE}\">{}</p>", escaped(&content.headline))?;
    for part in &content.parts {
        add(html, part)?;
    }
    writeln!(html, "<p style=\"{FOOTER}\">{}</p>\n</div></body></html>", escaped(&content.footer))
}

fn add(html: &mut String, part: &Part) -> std::fmt::Result {
    match part {
        Part::Say(said) => {
            for line in said {
                writeln!(html, "<p style=\"{SAY}\">{}</p>", escaped(line))?;
            }
        }
        Part::Facts(facts) => table(html, facts)?,
        Part::Heading(heading) => writeln!(html, "<p style=\"{HEADING}\">{}</p>", escaped(heading))?,
        Part::Title(mark, who, news) => {
            writeln!(html, "<p style=\"{TITLE}\">{} {}: {}</p>", badge(*mark), escaped(who), escaped(news))?;
        }
        Part::List(lines) => {
            writeln!(html, "<ul style=\"{LIST}\">")?;
            for line in lines {
                writeln!(html, "<li>{}</li>", escaped(line))?;
            }
            html.push_str("</ul>\n");
        }
        Part::Item(item, known) => {
            writeln!(html, "<p style=\"{ITEM}\">{}</p>", escaped(item))?;
            table(html, known)?;
        }
        Part::Verbatim(lines) => {
            write!(html, "<div style=\"{VERBATIM}\">")?;
            for (i, line) in lines.iter().enumerate() {
                // A line feed would be shown, too.
                let end = if i == 0 { "" } else { "<br>" };
                write!(html, "{end}{}", escaped(line))?;
            }
            html.push_str("</div>\n");
        }
        Part::Commands(commands) => {
            for (command, what) in commands {
                writeln!(html, "<p style=\"margin:10px 0 0\"><code style=\"{CODE}\">{}</code></p>", escaped(command))?;
                writeln!(html, "<p style=\"{SMALL}\">{}</p>", escaped(what))?;
            }
        }
        Part::Link(link) => {
            let link = escaped(link);
            writeln!(html, "<p style=\"margin:16px 0\"><a href=\"{link}\">{link}</a></p>")?;
        }
    }
    Ok(())
}

fn table(html: &mut String, facts: &[(&'static str, String)]) -> std::fmt::Result {
    writeln!(html, "<table role=\"presentation\" style=\"{TABLE}\">")?;
    for (name, value) in facts {
        writeln!(html, "<tr><td style=\"{NAME}\">{name}</td><td style=\"{VALUE}\">{}</td></tr>", escaped(value))?;
    }
    html.push_str("</table>\n");
    Ok(())
}

/// White on a colour that is far enough from it on every ground; the word says the same to whoever sees no colours.
fn badge(mark: Mark) -> String {
    let colour = match mark {
        Mark::Critical => "#b3261e",
        Mark::Warning => "#8a5300",
        Mark::Ok => "#1f6f43",
        Mark::Test | Mark::Notice | Mark::Acknowledged | Mark::Info => "#3d5a80",
    };
    let style = format!(
        "display:inline-block;padding:1px 8px;border-radius:4px;background:{colour};color:#ffffff;font-size:13px;\
         line-height:1.6;font-weight:600;letter-spacing:.04em"
    );
    format!("<span style=\"{style}\">{}</span>", mark.word())
}

/// Text as text, in elements and in quoted attributes.
fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}
