//! What went on, as an Atom feed (RFC 4287): an entry for each incident, with what was written about it.

use super::board::{Board, State, Told};
use super::{moment, xml};
use crate::model::{Wall, show_duration};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt::Write;

/// Entries, the newest.
const ENTRIES: usize = 50;
/// What stands coded in the name of an entry.
const CODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-');

pub(super) fn render(board: &Board) -> String {
    let mut told: Vec<&Told> = board.incidents.iter().collect();
    told.sort_by_key(|one| std::cmp::Reverse(updated(one)));
    told.truncate(ENTRIES);
    let latest = told.first().map_or(board.at, |one| updated(one));
    let title = xml(&board.title);
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\n<title>{title}</title>\n\
         <id>{}</id>\n<updated>{}</updated>\n<author><name>{title}</name></author>\n",
        id(board, "status"),
        latest.utc(),
    );
    if let Some(url) = &board.url {
        let own = format!("{}/feed.atom", url.trim_end_matches('/'));
        let _ = writeln!(out, "<link rel=\"self\" type=\"application/atom+xml\" href=\"{}\"/>", xml(&own));
        let _ = writeln!(out, "<link rel=\"alternate\" type=\"text/html\" href=\"{}\"/>", xml(url));
    }
    for one in told {
        entry(board, one, &mut out);
    }
    out.push_str("</feed>\n");
    out
}

/// By RFC 4151: the same for ever, as long as the page has its address.
fn id(board: &Board, what: &str) -> String {
    let host = board
        .url
        .as_deref()
        .and_then(|url| url::Url::parse(url).ok())
        .and_then(|url| url.host_str().map(str::to_owned));
    let what = utf8_percent_encode(what, CODED);
    format!("tag:{},2026:{what}", xml(host.as_deref().unwrap_or("minder.invalid")))
}

fn updated(one: &Told) -> Wall {
    let written = one.updates.iter().map(|(at, _)| *at);
    written.chain(one.closed).chain([one.opened]).max().unwrap_or(one.opened)
}

/// `Shop is down`, `Shop was degraded`
pub(super) fn title(one: &Told) -> String {
    let is = if one.closed.is_some() { "was" } else { "is" };
    format!("{} {is} {}", one.service, if one.state == State::Down { "down" } else { "degraded" })
}

fn entry(board: &Board, one: &Told, out: &mut String) {
    let mut content = String::new();
    for (at, words) in one.updates.iter().rev() {
        let _ = write!(content, "<p><b>{}</b> {}</p>", moment(*at, &board.zone), xml(words));
    }
    let begin = moment(one.opened, &board.zone);
    let _ = match one.closed {
        Some(closed) => {
            let end = moment(closed, &board.zone);
            write!(content, "<p>From {begin} to {end} ({}).</p>", show_duration(closed - one.opened))
        }
        None => write!(content, "<p>Since {begin}.</p>"),
    };
    let _ = write!(
        out,
        "<entry>\n<title>{}</title>\n<id>{}</id>\n<published>{}</published>\n<updated>{}</updated>\n",
        xml(&title(one)),
        id(board, &one.id),
        one.opened.utc(),
        updated(one).utc(),
    );
    if let Some(url) = &board.url {
        let _ = writeln!(out, "<link rel=\"alternate\" type=\"text/html\" href=\"{}#{}\"/>", xml(url), xml(&one.id));
    }
    let _ = write!(out, "<content type=\"html\">{}</content>\n</entry>\n", xml(&content));
}
