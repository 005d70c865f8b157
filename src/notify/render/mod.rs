//! Messages in words: a subject that says it all in a line, and a body for someone who was woken by it.
//!
//! What is told is put together once, in [`content`], of clean and bounded lines; [`text`] and [`html`] only set it. What minder
//! knows is never more than facts, so a letter can be made of every message that was ever stored.

mod content;
mod html;
mod subject;
mod text;
mod words;

use crate::model::{Message, Parcel, Severity, clip, hide, plain};
use content::Content;
use jiff::tz::TimeZone;
use std::error::Error;
pub(super) use subject::subject;

/// A parcel in words.
pub(super) struct Letter {
    /// In one line: `[minder] CRITICAL web on db1: died (SIGSEGV), restarted`.
    pub subject: String,
    /// In plain text.
    pub text: String,
    /// The same in HTML: no pictures, no scripts, nothing from elsewhere. Empty if there is only text.
    pub html: String,
}

/// A parcel as a letter, times in this zone.
pub(super) fn letter(parcel: &Parcel, zone: &TimeZone) -> Letter {
    let content = Content::of_parcel(parcel, zone);
    Letter { subject: subject::of_parcel(&parcel.messages), text: text::set(&content), html: html::set(&content) }
}

/// One message in plain text, times in this zone.
pub(super) fn body(message: &Message, zone: &TimeZone) -> String {
    text::set(&Content::of_message(message, zone))
}

/// How bad it is, as the first word of a subject: subjects sort by it, and filters look for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    Test,
    Ok,
    Notice,
    Acknowledged,
    Info,
    Warning,
    Critical,
}

impl Mark {
    fn of(severity: Option<Severity>) -> Mark {
        match severity {
            Some(Severity::Info) => Mark::Info,
            Some(Severity::Warning) => Mark::Warning,
            Some(Severity::Critical) | None => Mark::Critical,
        }
    }
    fn word(self) -> &'static str {
        match self {
            Mark::Test => "TEST",
            Mark::Ok => "OK",
            Mark::Notice => "NOTICE",
            Mark::Acknowledged => "ACK",
            Mark::Info => "INFO",
            Mark::Warning => "WARNING",
            Mark::Critical => "CRITICAL",
        }
    }
}

/// Text from outside as one bounded line.
fn line(text: &str, most: usize) -> String {
    clip(plain(text).trim_end(), most)
}

/// The innermost error: the outer ones say that an error has happened, and may name an address that is secret.
pub(super) fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// The words of an error that came from outside: clean, bounded, and without these secrets, should the other side have
/// repeated them.
pub(super) fn without<'a>(text: &str, secrets: impl Iterator<Item = &'a str>) -> String {
    clip(&plain(&hide(text, secrets)), 300)
}

#[cfg(test)]
pub(super) mod tests;
