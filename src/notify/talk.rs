//! What is said in an attempt, for the person who tries a notifier.

use crate::model::{clip, hide, plain};
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::instrument::WithSubscriber;
use tracing::{Event, Metadata, Subscriber, span};

/// So many lines are kept.
const LINES: usize = 400;

/// So many characters of a line.
const LINE: usize = 500;

/// The lines of a conversation, if anybody listens. `>` is what minder says, `<` what it hears.
#[derive(Default)]
pub(super) struct Talk(pub Option<Vec<String>>);

impl Talk {
    /// Takes note of each line of this, without the secrets.
    pub(super) fn say<S: AsRef<str>>(&mut self, sign: char, text: &str, secrets: &[S]) {
        let Some(lines) = &mut self.0 else { return };
        let text = hide(text, secrets.iter().map(AsRef::as_ref));
        let left = LINES.saturating_sub(lines.len());
        lines.extend(text.lines().take(left).map(|line| format!("{sign} {}", clip(&plain(line), LINE))));
    }

    /// Runs an exchange by lettre, and takes note of what it says and hears: it tells that to `tracing`, and to nobody else.
    pub(super) async fn over_smtp<F: Future>(&mut self, secrets: &[String], exchange: F) -> F::Output {
        if self.0.is_none() {
            return exchange.await;
        }
        let heard = Heard::default();
        let outcome = exchange.with_subscriber(heard.clone()).await;
        let heard = std::mem::take(&mut *heard.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        let mut login = false;
        for (sign, text) in heard {
            let text = text.replace("<CRLF>", "\n");
            // A login is over when the server no longer asks on.
            match sign {
                '>' if text.starts_with("AUTH ") => {
                    login = true;
                    let mechanism = text.split_whitespace().nth(1).unwrap_or_default();
                    self.say(sign, &format!("AUTH {mechanism} [secret]"), secrets);
                    continue;
                }
                '>' if login => {
                    self.say(sign, "[secret]", secrets);
                    continue;
                }
                _ => login &= text.starts_with("334"),
            }
            self.say(sign, &text, secrets);
        }
        outcome
    }
}

/// Listens to lettre, for as long as one exchange takes.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<(char, String)>>>);

impl Subscriber for Heard {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("lettre::transport::smtp")
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

impl Visit for Heard {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let text = format!("{value:?}");
        let line = text.strip_prefix("Wrote: ").map(|text| ('>', text));
        let Some((sign, text)) = line.or_else(|| text.strip_prefix("<< ").map(|text| ('<', text))) else { return };
        let mut heard = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if field.name() != "message" || heard.len() >= LINES {
            return;
        }
        match heard.last_mut() {
            // An answer of several lines is told again with each of them.
            Some((was, before)) if *was == sign && sign == '<' && text.starts_with(before.as_str()) => {
                *before = text.to_owned();
            }
            _ => heard.push((sign, text.to_owned())),
        }
    }
}
