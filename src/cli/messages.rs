//! `minder messages`: what was told, to whom, and what was not and why; and the whole way of one, for `minder explain`.

use super::client::{Client, encode};
use super::screen::Screen;
use super::{Failure, Outcome, code};
use crate::model::{Message, MessageState, MessageView, Status, Wall, Why, parse_duration, plain};
use jiff::tz::TimeZone;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

/// What was told, to whom, and what was not and why
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  minder messages\n  minder messages --notifier ops --state dead\n  \
                        minder messages --service web --since 2h --json\n\n\
                        `minder explain --message ID` shows the whole way of one, `minder resend ID` sends again what is dead.")]
pub(super) struct Args {
    /// To this notifier
    #[arg(long, value_name = "NAME")]
    notifier: Option<String>,
    /// About this service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// About the incident of this number
    #[arg(long, value_name = "ID")]
    incident: Option<u64>,
    /// Those that wait, were delivered, could not be delivered (dead), or were not to be told (dropped)
    #[arg(long, value_parser = MessageState::ALL.map(MessageState::word))]
    state: Option<String>,
    /// Not longer ago than this, such as 2h
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    since: Option<Duration>,
    /// The latest so many
    #[arg(long, value_name = "N", default_value_t = 20)]
    last: usize,
    /// As JSON, as the daemon says it
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, client: &Client) -> Result<Outcome, Failure> {
    let mut path = format!("/api/v1/messages?limit={}", args.last.max(1));
    let texts = [("notifier", &args.notifier), ("service", &args.service), ("state", &args.state)];
    for (key, value) in texts {
        if let Some(value) = value {
            let _ = write!(path, "&{key}={}", encode(value));
        }
    }
    if let Some(incident) = args.incident {
        let _ = write!(path, "&incident={incident}");
    }
    if let Some(since) = args.since {
        let _ = write!(path, "&from={}", client.ago(since)?);
    }
    let mut messages: Vec<MessageView> = client.list(&path, args.last)?;
    // As in a log, the newest stands last, beside the prompt.
    messages.reverse();
    if args.json {
        let text = serde_json::to_string_pretty(&messages).map_err(|e| Failure::new(code::WRONG, e.to_string()))?;
        return Ok(Outcome { text: text + "\n", code: code::WELL });
    }
    if messages.is_empty() {
        let _ = writeln!(std::io::stderr(), "no such message is recorded");
    }
    Ok(Outcome { text: list(&messages, Screen::here()), code: code::WELL })
}

fn list(messages: &[MessageView], screen: Screen) -> String {
    let longest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
    let number = longest(&mut messages.iter().map(|message| message.id.to_string().len()));
    let notifier = longest(&mut messages.iter().map(|message| message.notifier.chars().count()));
    let kind = longest(&mut messages.iter().map(|message| message.kind.len()));
    let used = number + 2 + 19 + 2 + notifier + 2 + 9 + 2 + kind + 2;
    let mut out = String::new();
    for message in messages {
        let time = screen.dim(&time(message.at));
        let state = paint(screen, message.state, &format!("{:9}", message.state.word()));
        let (to, about) = (plain(&message.notifier), plain(&message.kind));
        let title = screen.wrap(&message.title, used);
        let _ = writeln!(out, "{:number$}  {time}  {to:notifier$}  {state}  {about:kind$}  {title}", message.id);
        if message.state != MessageState::Delivered
            && let Some(why) = message.reason(&self::time)
        {
            let _ = writeln!(out, "{:used$}{}", "", screen.dim(&screen.wrap(&why, used)));
        }
    }
    out
}

/// The way of a message, a line for each step, and what it amounts to.
pub(super) fn explain(id: u64, client: &Client) -> Result<Outcome, Failure> {
    let message: MessageView = client.get(&format!("/api/v1/messages/{id}"))?;
    Ok(Outcome { text: way(&message, Screen::here()), code: code::WELL })
}

fn way(message: &MessageView, screen: Screen) -> String {
    let MessageView { id, kind, notifier, .. } = message;
    let mut out = format!("{}\n", screen.bold(&screen.wrap(&format!("Message {id}: {}", message.title), 0)));
    let mut about = format!("{kind}, to {notifier}");
    if let Some(service) = &message.service {
        let _ = write!(about, ", about {service}");
    }
    if let Some(incident) = message.incident {
        let _ = write!(about, ", incident {incident}");
    }
    if message.attempts > 1 {
        // Of many steps the early ones are not kept.
        let least = if message.steps.len() < Message::STEPS { "" } else { "at least " };
        let _ = write!(about, ", tried {least}{} times", message.attempts);
    }
    let _ = writeln!(out, "{}\n", screen.wrap(&about, 0));
    for step in &message.steps {
        let words = screen.wrap(&step.words(&time), 19 + 2 + 11 + 2);
        let _ = writeln!(out, "{}  {:11}  {words}", screen.dim(&time(step.at)), step.stage.to_string());
    }
    if !message.steps.is_empty() {
        out.push('\n');
    }
    let _ = writeln!(out, "{}", paint(screen, message.state, &screen.wrap(&verdict(message), 0)));
    out
}

/// Why did I, or did I not, get this? And what to do.
fn verdict(message: &MessageView) -> String {
    let MessageView { id, state, .. } = message;
    let verdict = message.verdict(&time);
    match (state, message.steps.last().map(|step| &step.why)) {
        (MessageState::Dead, _) => format!("{verdict} `minder resend {id}` sends it again."),
        (MessageState::Dropped, Some(Why::Merged { into })) => {
            format!("{} `minder explain --message {}` shows it.", verdict, into.0)
        }
        _ => verdict,
    }
}

fn time(at: Wall) -> String {
    at.zoned(TimeZone::system()).strftime("%F %T").to_string()
}

fn paint(screen: Screen, state: MessageState, text: &str) -> String {
    match state {
        MessageState::Waiting => screen.paint(Status::Warning, text),
        MessageState::Delivered => screen.paint(Status::Ok, text),
        MessageState::Dead => screen.paint(Status::Critical, text),
        MessageState::Dropped => screen.dim(text),
    }
}
