use super::*;
use crate::model::{Ack, MessageId, MessageKind, ParcelId, Story, StoryAction, StoryRule, Wall};
use std::sync::Arc;
use std::time::Duration;

const AT: i64 = 1_772_330_400_000;

fn zone() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

fn message(kind: MessageKind, story: Story) -> Message {
    let key = "3f9a02c177-41".to_owned();
    Message {
        id: MessageId(41),
        key,
        to: "ops".into(),
        kind,
        at: Wall(AT),
        expires: Wall(AT + 86_400_000),
        story,
        state: Default::default(),
        steps: Vec::new(),
    }
}

pub(in crate::notify) fn parcel(messages: Vec<Message>) -> Parcel {
    let key = messages[0].key.clone();
    let messages = messages.into_iter().map(Arc::new).collect();
    Parcel { id: ParcelId(1), key, to: "ops".into(), messages, others: Vec::new() }
}

fn rule(condition: &str, value: &str, note: Option<&str>, ago: i64) -> StoryRule {
    StoryRule {
        rule: condition.to_owned(),
        condition: condition.to_owned(),
        value: value.to_owned(),
        note: note.map(str::to_owned),
        since: Wall(AT - ago),
    }
}

fn action(action: &str, ok: Option<bool>, words: &str) -> StoryAction {
    StoryAction { action: action.to_owned(), ok, words: words.to_owned() }
}

/// A crash, and a restart that went well.
pub(in crate::notify) fn firing() -> Message {
    let health = StoryRule {
        rule: "health".into(),
        ..rule("http.failed for 3 of 5", "http.failed", Some("could not connect: connection refused"), 900)
    };
    let story = Story {
        host: "db1".into(),
        service: "web".into(),
        description: Some("nginx in front of the shop".into()),
        incident: Some(12),
        severity: Some(Severity::Critical),
        status: "critical".into(),
        title: "web died (SIGSEGV, core dumped)".into(),
        since: Some(Wall(AT - 1_200)),
        rules: vec![rule("process.down", "process.down", None, 1_200), health],
        death: Some("pid 812 killed by SIGSEGV, core dumped".into()),
        actions: vec![action("restart", Some(true), "running as pid 933, after 41 ms")],
        log: vec!["worker 7 exited on signal 11".into(), "shutting down".into()],
        ..Story::default()
    };
    message(MessageKind::Firing, story)
}

/// It answers 503, and nobody has done anything about it.
fn unwell() -> Message {
    let story = Story {
        title: "web: http.failed".into(),
        since: Some(Wall(AT - 15_000)),
        rules: vec![rule("http.failed for 3 of 5", "http.failed", Some("status 503, expected 2xx or 3xx"), 15_000)],
        death: None,
        actions: Vec::new(),
        log: Vec::new(),
        ..firing().story
    };
    message(MessageKind::Firing, story)
}

/// The same, over after four minutes.
fn over() -> Message {
    let mut message = unwell();
    message.kind = MessageKind::Resolved;
    message.story.status = "ok".into();
    message.story.ended = Some(Wall(AT - 15_000 + 252_000));
    message
}

pub(in crate::notify) fn test() -> Message {
    let story = Story {
        host: "db1".into(),
        title: "this is a test of ops, asked for by ann: nothing is wrong".into(),
        status: "ok".into(),
        severity: Some(Severity::Info),
        since: Some(Wall(AT)),
        incident: Some((1 << 52) + 41),
        test: true,
        ..Story::default()
    };
    message(MessageKind::Firing, story)
}

/// Another service than web, in another incident.
pub(in crate::notify) fn another(service: &str, incident: u64) -> Message {
    let mut message = unwell();
    message.key = format!("3f9a02c177-{incident}");
    message.story.incident = Some(incident);
    message.story.service = service.to_owned();
    message.story.title = format!("{service}: http.failed");
    message
}

fn shown_parcel(parcel: &Parcel) -> String {
    let letter = letter(parcel, &zone());
    format!("Subject: {}\n\n{}", letter.subject, letter.text)
}

fn shown(message: &Message) -> String {
    shown_parcel(&parcel(vec![message.clone()]))
}

fn html(parcel: &Parcel) -> String {
    let html = letter(parcel, &zone()).html;
    // For a look at it in a browser.
    if let Some(directory) = std::env::var_os("MINDER_LETTERS") {
        let name = std::thread::current().name().unwrap_or("letter").replace("::", "-");
        std::fs::write(std::path::Path::new(&directory).join(format!("{name}.html")), &html).unwrap();
    }
    html
}

#[test]
fn a_firing_says_what_since_when_how_it_died_and_what_was_done() {
    insta::assert_snapshot!(shown(&firing()));
    insta::assert_snapshot!("a_firing_in_html", html(&parcel(vec![firing()])));
}

#[test]
fn a_failed_action_is_in_the_subject() {
    let mut message = firing();
    message.story.actions = vec![
        action("snapshot", Some(true), "12 lines"),
        action("restart", Some(false), "no process after 30 s"),
        action("exec /usr/local/bin/drain web", None, ""),
    ];
    insta::assert_snapshot!(shown(&message));
}

#[test]
fn what_is_known_of_the_machine_and_of_people_is_told() {
    let mut message = unwell();
    message.kind = MessageKind::Reminder;
    message.at = Wall(AT + 7_200_000);
    message.story.remark = Some("nobody has mended it for 2 h".into());
    message.story.ack = Some(Ack {
        by: "ann".into(),
        reason: "the upstream is being moved".into(),
        since: Wall(AT + 60_000),
        until: Some(Wall(AT + 9_000_000)),
    });
    message.story.top = vec!["postgres (pid 3312) 4.1 GB, 180 %".into(), "java (pid 99) 2.2 GB, 20 %".into()];
    message.story.advice = vec!["Look at the database first.".into()];
    message.story.link = Some("https://minder.example.org/services/web".into());
    message.story.rules.push(StoryRule {
        rule: "leak".into(),
        ..rule("process.memory > 500MB for 5m", "process.memory 612 MB (limit 500 MB)", None, 5_000)
    });
    let mut parcel = parcel(vec![message]);
    parcel.others = vec!["db: critical, disk full".into(), "mail: warning".into()];
    insta::assert_snapshot!(shown_parcel(&parcel));
    insta::assert_snapshot!("a_reminder_in_html", html(&parcel));
}

#[test]
fn an_update_says_the_status() {
    let mut message = firing();
    message.kind = MessageKind::Update;
    message.story.status = "given up".into();
    message.story.log = Vec::new();
    message.story.rules.truncate(1);
    message.story.actions = vec![action("restart", Some(false), "5 in 15 min did not help; next try in 30 min")];
    insta::assert_snapshot!(shown(&message));
}

#[test]
fn an_all_clear_says_how_long_it_lasted() {
    insta::assert_snapshot!(shown(&over()));
    insta::assert_snapshot!("an_all_clear_in_html", html(&parcel(vec![over()])));
}

#[test]
fn a_notice_says_what_has_changed() {
    let story = Story {
        host: "db1".into(),
        service: "passwd".into(),
        status: "ok".into(),
        title: "passwd: changed(file.checksum)".into(),
        rules: vec![rule("changed(file.checksum)", "9f86d081 became 60303ae2", None, 0)],
        ..Story::default()
    };
    insta::assert_snapshot!(shown(&message(MessageKind::Notice, story)));
}

#[test]
fn the_brake_says_what_waits_and_what_to_do() {
    let waits = |name: &str| rule(&format!("restart of {name}"), "", Some("wanted by process.down"), 0);
    let story = Story {
        host: "db1".into(),
        status: "the brake is on".into(),
        severity: Some(Severity::Critical),
        title: "the brake holds 2 restarts (more than 10 in 1m): web, mail".into(),
        since: Some(Wall(AT)),
        rules: vec![waits("web"), waits("mail")],
        advice: vec!["`minder release` lets them go.".into()],
        ..Story::default()
    };
    let mut message = message(MessageKind::Firing, story);
    insta::assert_snapshot!("the_brake_is_on", shown(&message));
    message.kind = MessageKind::Resolved;
    message.story.title = "the brake is off: no restart is held".into();
    message.story.ended = Some(Wall(AT + 61_000));
    message.story.rules.clear();
    message.story.advice.clear();
    assert_eq!(subject(&message), "[minder] OK minder on db1: the brake is off: no restart is held after 1 min");
    assert!(body(&message, &zone()).starts_with("the brake is off: no restart is held after 1 min\n"));
}

#[test]
fn a_test_says_that_it_is_one() {
    insta::assert_snapshot!(shown(&test()));
    let mut over = test();
    over.kind = MessageKind::Resolved;
    over.story.ended = Some(Wall(AT));
    insta::assert_snapshot!("a_test_is_over", shown(&over));
}

#[test]
fn subjects_say_it_all_in_a_line() {
    let with = |message: Message, change: &dyn Fn(&mut Message)| {
        let mut message = message;
        change(&mut message);
        subject(&message)
    };
    let ack = Ack { by: "ann".into(), reason: String::new(), since: Wall(AT), until: None };
    let crash = |message: &mut Message| {
        message.story.title = "web died (SIGSEGV)".into();
        message.story.death = Some("pid 812 killed by SIGSEGV".into());
        message.story.actions = vec![action("restart", Some(true), "running as pid 933, after 41 ms")];
    };
    let memory = |message: &mut Message| {
        message.story.severity = Some(Severity::Warning);
        message.story.rules =
            vec![rule("process.memory > 500MB for 5m", "process.memory 612 MB (limit 500 MB)", None, 0)];
    };
    let subjects = [
        with(unwell(), &|_| {}),
        with(unwell(), &memory),
        with(unwell(), &crash),
        with(unwell(), &|m| m.story.remark = Some("nobody has acknowledged it for 15 min".into())),
        with(unwell(), &|m| (m.kind, m.story.status) = (MessageKind::Update, "given up".into())),
        with(unwell(), &|m| (m.kind, m.at) = (MessageKind::Reminder, Wall(AT + 7_200_000))),
        with(unwell(), &|m| (m.kind, m.story.ack) = (MessageKind::Acknowledged, Some(ack.clone()))),
        with(unwell(), &|m| m.kind = MessageKind::Acknowledged),
        with(over(), &|_| {}),
        with(over(), &|m| m.story.whole = true),
        with(over(), &|m| {
            memory(m);
            m.story.whole = true;
        }),
        with(over(), &|m| {
            crash(m);
            m.story.ended = m.story.since.map(|since| since + Duration::from_millis(1200));
        }),
        with(over(), &|m| {
            crash(m);
            m.story.up = m.story.since.map(|since| since + Duration::from_millis(1200));
            // When it was sure to stay up.
            m.story.ended = m.story.since.map(|since| since + Duration::from_millis(3200));
            m.story.whole = true;
        }),
        with(test(), &|_| {}),
    ];
    insta::assert_snapshot!(subjects.join("\n"));
}

#[test]
fn many_are_one_letter_the_worst_first() {
    let names = ["web", "db", "mail", "cache"];
    let mut messages: Vec<Message> = names.iter().zip(12..).map(|(name, id)| another(name, id)).collect();
    messages[0] = firing();
    let mut gone = over();
    gone.story.service = "cron".into();
    gone.story.incident = Some(3);
    messages.push(gone);
    let mut parcel = parcel(messages);
    parcel.others = vec!["queue: warning, queue.length 812 (limit 500)".into()];
    insta::assert_snapshot!(shown_parcel(&parcel));
    insta::assert_snapshot!("many_in_html", html(&parcel));
}

#[test]
fn a_letter_about_a_thousand_says_how_many_it_has_no_room_for() {
    let messages: Vec<Message> = (0..1000).map(|i| another(&format!("service-{i}"), 12 + i)).collect();
    let letter = letter(&parcel(messages), &TimeZone::UTC);
    assert_eq!(letter.subject, "[minder] CRITICAL 1000 services on db1: service-0, service-1, service-2 and 997 more");
    assert!(letter.text.len() < 100_000 && letter.html.len() < 100_000, "{} {}", letter.text.len(), letter.html.len());
    let listed = letter.text.lines().filter(|line| line.starts_with("  CRITICAL service-")).count();
    assert!((100..300).contains(&listed), "{listed}");
    let left = format!("  and {} more: `minder status` shows them", 1000 - listed);
    assert!(letter.text.lines().any(|line| line == left), "{left}");
}

#[test]
fn subjects_of_several_name_the_worst() {
    let of = |messages: Vec<Message>| subject::of_parcel(&parcel(messages).messages);
    let twenty = (0..20).map(|i| another(["web", "db", "mail"].get(i).map_or(&*format!("s{i}"), |n| n), 12 + i as u64));
    assert_eq!(of(twenty.collect()), "[minder] CRITICAL 20 services on db1: web, db, mail and 17 more");
    let well = |service: &str| {
        let mut message = over();
        message.story.service = service.to_owned();
        message
    };
    assert_eq!(of(vec![well("web"), well("db")]), "[minder] OK 2 services on db1: web, db");
    assert_eq!(
        of(vec![another("web", 12), another("db", 13), well("mail")]),
        "[minder] CRITICAL 2 services on db1: web, db; 1 well again"
    );
    assert_eq!(of(vec![unwell(), well("web")]), "[minder] CRITICAL web on db1: http failed 3 of 5 (503); 1 well again");
    assert_eq!(of(vec![unwell(), unwell()]), "[minder] CRITICAL web on db1: http failed 3 of 5 (503); 1 more of it");
}

#[test]
fn a_letter_of_very_many_is_bounded_and_says_what_is_left_out() {
    let mut messages: Vec<Message> = (0..100).map(|i| another(&format!("s{i}"), i)).collect();
    for message in &mut messages {
        message.story.log = vec!["x".repeat(5000); 60];
    }
    let letter = letter(&parcel(messages), &zone());
    assert!(letter.text.len() < 80_000 && letter.html.len() < 100_000, "{} {}", letter.text.len(), letter.html.len());
    assert!(letter.text.contains(" more are left out here"), "{}", letter.text);
    assert_eq!((0..100).filter(|i| letter.text.contains(&format!("CRITICAL s{i}: "))).count(), 100);
}

/// Text from outside, as bad as it gets, in every place that it can be in.
fn hostile() -> Parcel {
    let bad = "a\u{1b}[2J\u{7}b\u{202e}c\r\nBcc: eve@example.org\r\n\r\n<script>alert(1)</script>\"'&<img src=x>";
    let mut message = unwell();
    let story = &mut message.story;
    (story.host, story.service) = (bad.into(), bad.into());
    story.title = bad.into();
    story.status = bad.into();
    (story.description, story.remark, story.death) = (Some(bad.into()), Some(bad.into()), Some(bad.into()));
    story.rules = vec![StoryRule { rule: bad.into(), ..rule(bad, bad, Some(bad), 0) }];
    story.actions = vec![action(bad, Some(false), bad)];
    (story.advice, story.top) = (vec![bad.into()], vec![bad.into()]);
    story.log = vec!["x".repeat(5000), bad.into(), "-- ".into()];
    story.link = Some("javascript:alert(1)".into());
    story.ack = Some(Ack { by: bad.into(), reason: bad.into(), since: Wall(AT), until: Some(Wall(i64::MAX)) });
    message.key = bad.into();
    let mut parcel = parcel(vec![message]);
    parcel.others = vec![bad.into()];
    parcel
}

#[test]
fn nothing_breaks_out_of_its_line() {
    let parcel = hostile();
    let letter = letter(&parcel, &zone());
    let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    for text in [&letter.subject, &letter.text, &letter.html] {
        assert!(!text.contains(bad) && !text.lines().any(|line| line.starts_with("Bcc:")), "{text}");
    }
    assert!(!letter.subject.contains('\n') && letter.subject.chars().count() <= 160);
    assert!(letter.text.lines().all(|line| line.chars().count() <= content::LINE + 20));
    for tag in ["<script", "<img", "javascript:", "\"'&<"] {
        assert!(!letter.html.contains(tag), "{tag}\n{}", letter.html);
    }
    insta::assert_snapshot!(
        "hostile_text",
        format!("Subject: {}\n\n{}", letter.subject, letter.text.replace(&"x".repeat(900), "x..x"))
    );
    insta::assert_snapshot!("hostile_html", html(&parcel).replace(&"x".repeat(900), "x..x"));
}

#[test]
fn html_fetches_nothing_and_runs_nothing() {
    for parcel in [parcel(vec![firing()]), hostile(), parcel(vec![test()])] {
        let html = html(&parcel);
        for tag in html.split('<').skip(1).filter_map(|rest| rest.split('>').next()) {
            let name = tag.trim_start_matches('/').split(' ').next().unwrap();
            let known = "!doctype html head meta body div p span table tr td ul li br code a".split(' ');
            assert!(known.clone().any(|known| known == name), "{tag}\n{html}");
            assert!(![" src=", "url(", " on", "@import"].iter().any(|bad| tag.contains(bad)), "{tag}\n{html}");
        }
    }
}

#[test]
fn conditions_are_said_as_one_says_them() {
    for (written, said) in [
        ("process.memory > 500MB for 5m", "process memory above 500MB for 5m"),
        ("avg(process.cpu, 5m) >= 80%", "avg(process cpu, 5m) at least 80%"),
        (
            r#"file.content == "a.b > c" and http.latency > 1.5s"#,
            r#"file content is "a.b > c" and http latency above 1.5s"#,
        ),
        ("not process.down", "not process down"),
        ("\"", "\""),
        ("", ""),
    ] {
        assert_eq!(words::spoken(written), said);
    }
}

#[test]
fn secrets_that_come_back_are_not_repeated() {
    let text = without("bad token hunter2\r\n", ["hunter2", ""].into_iter());
    assert_eq!(text, "bad token [secret]  ");
}

/// However many fail at once.
#[test]
fn a_thousand_are_a_letter_of_bounded_size() {
    let messages: Vec<_> = (0..1000).map(|n| Arc::new(another(&format!("service-{n}"), n))).collect();
    let parcel = Parcel { id: ParcelId(1), key: "key".into(), to: "ops".into(), messages, others: Vec::new() };
    let letter = letter(&parcel, &TimeZone::UTC);
    assert!(letter.text.len() < 60_000 && letter.html.len() < 100_000, "{} {}", letter.text.len(), letter.html.len());
    assert!(letter.text.contains("CRITICAL service-99:") && letter.text.contains(" more: `minder status` shows"));
    assert!(letter.subject.contains("1000 services"), "{}", letter.subject);
}
