//! Badges: small pictures with a label and a value, for other pages.

use super::board::{Board, Service, State};
use super::uptime::Share;
use super::xml;
use crate::model::clip;

/// The longest label, in characters.
const LABEL: usize = 40;

pub(super) fn overall(board: &Board) -> String {
    draw(&board.title, board.state.words(), colour(board.state))
}

pub(super) fn status(service: &Service) -> String {
    draw(&service.name, service.state.words(), colour(service.state))
}

pub(super) fn uptime(service: &Service, share: Share, days: i64) -> String {
    let state = match share.percent() {
        None => State::Unknown,
        Some(percent) if percent >= 99.9 => State::Operational,
        Some(percent) if percent >= 99.0 => State::Degraded,
        Some(_) => State::Down,
    };
    draw(&format!("{} {days} d", clip(&service.name, LABEL - 5)), &share.words(), colour(state))
}

/// For the tab of a browser: full while all is well, with a hole in it if something is not.
pub(super) fn icon(board: &Board) -> String {
    let (state, colour) = (board.state.words(), colour(board.state));
    let hole = if board.state == State::Operational { "" } else { r##"<circle cx="8" cy="8" r="3" fill="#fff"/>"## };
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><title>{state}</title><circle cx="8" cy="8" r="7" fill="{colour}"/>{hole}</svg>"##
    )
}

/// Dark enough for white letters.
fn colour(state: State) -> &'static str {
    match state {
        State::Operational => "#2f7a51",
        State::Degraded => "#8a5a00",
        State::Down => "#b0281f",
        State::Maintenance => "#1d5a8c",
        State::Unknown => "#5a6269",
    }
}

/// How wide a text is in Verdana of 11 pixels, or somewhat less, in tenths of a pixel. `textLength` makes it so in any font.
fn width(text: &str) -> u32 {
    let one = |c: char| match c {
        'i' | 'j' | 'l' | '\'' | '|' => 31,
        ' ' | '.' | ',' | ':' | ';' | '!' | 'f' | 't' | 'I' | '/' | '(' | ')' | '[' | ']' | '-' => 42,
        'r' | 's' | 'c' | 'z' | '"' => 52,
        'm' | 'W' | '%' | '@' => 109,
        'w' | 'M' | '+' | '=' | '<' | '>' | '~' => 91,
        'a'..='z' | '0'..='9' => 67,
        'A'..='Z' => 76,
        c if (c as u32) < 0x2e80 => 72,
        _ => 110,
    };
    text.chars().map(one).sum()
}

fn draw(label: &str, value: &str, colour: &str) -> String {
    let label = clip(label, LABEL);
    let (left_text, right_text) = (width(&label) / 10, width(value) / 10);
    let (left, right) = (left_text + 12, right_text + 12);
    let (whole, left_middle, right_middle) = (left + right, left / 2, left + right / 2);
    let (label, value) = (xml(&label), xml(value));
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="20" role="img" aria-label="{label}: {value}"><title>{label}: {value}</title><clipPath id="r"><rect width="{whole}" height="20" rx="3"/></clipPath><g clip-path="url(#r)"><rect width="{left}" height="20" fill="#3b4248"/><rect x="{left}" width="{right}" height="20" fill="{colour}"/></g><g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11"><text x="{left_middle}" y="14" textLength="{left_text}" lengthAdjust="spacingAndGlyphs">{label}</text><text x="{right_middle}" y="14" textLength="{right_text}" lengthAdjust="spacingAndGlyphs">{value}</text></g></svg>"##
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Picture;

    #[test]
    fn a_badge_is_as_wide_as_its_words_and_a_picture_whatever_they_are() {
        let narrow = draw("ill", "up", "#000");
        let wide = draw("WWW", "up", "#000");
        assert!(narrow.contains("width=\"46\"") && wide.contains("width=\"69\""), "{narrow}\n{wide}");
        for words in ["<script>&\"'", "\u{ffff}\u{fffe}", "日本", &"long ".repeat(100)] {
            let badge = draw(words, words, "#000");
            assert_eq!(Picture::of(badge.as_bytes()), Some(Picture::Svg), "{badge}");
            assert!(!badge.contains("<script>"));
        }
    }
}
