//! Output that fits a terminal: its width, and colour where it is wanted. Colour never says anything alone.

use crate::model::{Status, clip, plain};
use std::io::IsTerminal;

/// Where output goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    /// Columns; nothing if it is not a terminal, and lines may be as long as they are.
    pub width: Option<usize>,
    /// Lines.
    pub height: usize,
    pub color: bool,
}

impl Screen {
    /// Of standard output.
    pub fn here() -> Screen {
        let out = std::io::stdout();
        let size = out.is_terminal().then(|| rustix::termios::tcgetwinsize(&out).ok()).map(|size| match size {
            Some(size) if size.ws_col > 0 && size.ws_row > 0 => (usize::from(size.ws_col), usize::from(size.ws_row)),
            _ => (80, 24),
        });
        let (width, height) = (size.map(|(width, _)| width), size.map_or(usize::MAX, |(_, height)| height));
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Screen { width, height, color: width.is_some() && !no_color }
    }

    /// In the colour of this status.
    pub fn paint(&self, status: Status, text: &str) -> String {
        let color = match status {
            Status::Critical | Status::GivenUp => "1;31",
            Status::Warning => "1;33",
            Status::Unknown => "36",
            Status::Ok => "32",
            Status::Paused | Status::Stopped => "2",
        };
        self.color(color, text)
    }

    /// The text over what stood on the screen before, without a flicker; the first lines, if it has too many. Written one
    /// after the other where there is no screen.
    pub fn redraw(&self, text: &str) -> String {
        if self.width.is_none() {
            return format!("{text}\n");
        }
        let mut out = "\x1b[H".to_owned();
        for line in text.lines().take(self.height.saturating_sub(1)) {
            out.push_str(line);
            out.push_str("\x1b[K\n");
        }
        out + "\x1b[J"
    }

    /// Less loud than the rest.
    pub fn dim(&self, text: &str) -> String {
        self.color("2", text)
    }

    pub fn bold(&self, text: &str) -> String {
        self.color("1", text)
    }

    fn color(&self, code: &str, text: &str) -> String {
        if self.color && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// The text without what could move the cursor, cut to what is left of a line of which so much is used.
    pub fn fit(&self, text: &str, used: usize) -> String {
        clip(&plain(text), self.width.map_or(usize::MAX, |width| width.saturating_sub(used).max(10)))
    }
}

/// The mark of a status: a shape for those who see no colours.
pub(super) fn mark(status: Status) -> &'static str {
    match status {
        Status::Ok => "✓",
        Status::Warning => "▲",
        Status::Critical => "✗",
        Status::GivenUp => "■",
        Status::Unknown => "?",
        Status::Paused => "‖",
        Status::Stopped => "□",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_and_do_nothing_but_stand_there() {
        let narrow = Screen { width: Some(30), height: 3, color: false };
        assert_eq!(narrow.fit("abcdefghijklmnop", 20), "abcdefghi…");
        assert_eq!(narrow.fit("ends\x1b[31m", 0), "ends [31m");
        assert_eq!(narrow.redraw("a\nb\nc\nd\n"), "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J");
        let piped = Screen { width: None, height: usize::MAX, color: false };
        assert_eq!(piped.redraw("a\n"), "a\n\n");
        assert_eq!(piped.fit(&"x".repeat(500), 20).len(), 500);
        assert_eq!(piped.paint(Status::Critical, "critical"), "critical");
        assert_eq!(Screen { color: true, ..narrow }.paint(Status::Ok, "ok"), "\x1b[32mok\x1b[0m");
    }
}
