//! What is done by the page: each form says what will happen, begins one thing, and its outcome is shown.

use super::fixture::{self, AT, HOSTILE, MINUTE, SECOND, ago};
use super::world::World;
use minder::dashboard::{bind_unix, page, serve_unix, socket};
use minder::model::*;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tower::ServiceExt;

pub const RULES: &str = r#"
version: 1
mail: { server: "127.0.0.1:25", tls: none, from: minder@example.org }
notifiers:
  ops: { email: { to: [ops@example.org] } }
  chat: { webhook: { url: "https://chat.example.org/hooks/T0/hidden" } }
  night: { email: { to: [night@example.org] } }
defaults: { notify: [ops] }
services:
  web:
    public: true
    depends_on: [postgresql]
    control: { command: { start: [/usr/sbin/shop, --port, "8080"], user: www-data } }
    checks: [{ process: { pidfile: /run/web.pid } }]
  slow:
    control: { runit: slow }
    checks: [{ process: { pidfile: /run/slow.pid } }]
  postgresql:
    control: { systemd: postgresql }
    checks: [{ process: { pidfile: /run/pg.pid } }]
  worker:
    depends_on: [web]
    checks: [{ process: { pidfile: /run/worker.pid } }]
  indexer: { checks: [{ process: { pidfile: /run/indexer.pid } }] }
  import:
    control: { command: { start: [/usr/bin/import], stop: [/usr/bin/import, --stop] } }
    checks: [{ process: { pidfile: /run/import.pid } }]
"#;

/// How everything stands, with notifiers, a silence and maintenance.
pub fn snapshot() -> Snapshot {
    let mut now = fixture::snapshot();
    let mut slow = fixture::service("slow", Some("Back"));
    slow.control = Some("runit".into());
    slow.control_state = Some("run, wanted up".into());
    now.services.push(slow);
    for service in &mut now.services {
        service.control = match &*service.name {
            "web" | "import" => Some("command".into()),
            "worker" | "indexer" => None,
            _ => service.control.take(),
        };
    }
    let notifier = |name: &str, waiting| NotifierView {
        name: name.into(),
        waiting,
        sending: false,
        since: None,
        why: None,
        next: None,
        incident: None,
    };
    now.notifiers = vec![
        notifier("chat", 0),
        notifier("night", 0),
        NotifierView {
            since: Some(ago(4 * MINUTE)),
            why: Some("the server is not there".into()),
            next: Some(Wall(AT.0 + 40 * SECOND)),
            incident: Some(42),
            ..notifier("ops", 2)
        },
    ];
    now.silences = vec![Silence {
        id: 3,
        scope: Scope { tags: vec!["shop".into()], ..Scope::default() },
        reason: "moving the database".into(),
        by: "alice".into(),
        since: ago(10 * MINUTE),
        until: Wall(AT.0 + 50 * MINUTE),
        holder: None,
    }];
    now.maintenance = vec![MaintenanceView {
        name: "backup".into(),
        scope: Scope { services: vec!["postgresql".into()], ..Scope::default() },
        reason: "nightly dump".into(),
        window: Some(Window { begins: Wall(AT.0 + 600 * MINUTE), ends: Wall(AT.0 + 660 * MINUTE) }),
    }];
    now
}

/// The rules of this part, and how things stand by them.
pub fn world() -> World {
    World::by(snapshot(), RULES)
}

/// The pages as root has them by the socket.
struct Pages {
    world: World,
    place: PathBuf,
    serving: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct Got {
    status: u16,
    location: Option<String>,
    body: String,
}

impl Got {
    /// What a reader of the page reads, without its elements.
    fn text(&self) -> String {
        let mut text = String::new();
        let mut inside = false;
        for c in self.body.chars() {
            match c {
                '<' => inside = true,
                '>' => inside = false,
                c if !inside => text.push(c),
                _ => {}
            }
        }
        text.replace("&#34;", "\"")
            .replace("&#39;", "'")
            .replace("&#60;", "<")
            .replace("&#62;", ">")
            .replace("&#38;", "&")
    }
    /// The hidden field of this name.
    fn hidden(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let rest = self.body.split_once(&start).unwrap_or_else(|| panic!("no {name}: {}", self.body)).1;
        rest.split_once('"').unwrap().0.to_owned()
    }
    fn has(&self, words: &[&str]) -> &Got {
        for words in words {
            assert!(self.text().contains(words), "“{words}” is missing:\n{}", self.text());
        }
        self
    }
}

impl Pages {
    fn of(world: World) -> Pages {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("run/minder.sock");
        let serving = tokio::spawn(serve_unix(bind_unix(&place).unwrap(), socket(world.front.clone())));
        Pages { world, place, serving, _dir: dir }
    }
    fn new() -> Pages {
        Pages::of(world())
    }

    async fn send(&self, request: String) -> Got {
        let mut stream = UnixStream::connect(&self.place).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut answer)).await;
        read.expect("an answer in time").unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let location = head.lines().find_map(|line| line.strip_prefix("location: ")).map(str::to_owned);
        Got { status: head[9..12].parse().unwrap(), location, body: body.to_owned() }
    }
    async fn get(&self, path: &str) -> Got {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: minder\r\nconnection: close\r\n\r\n")).await
    }
    async fn post(&self, path: &str, body: &str) -> Got {
        let kind = "content-type: application/x-www-form-urlencoded\r\n";
        let length = body.len();
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: minder\r\nconnection: close\r\n{kind}content-length: {length}");
        self.send(format!("{head}\r\n\r\n{body}")).await
    }
    /// Sends the form of a page, with these fields on top.
    async fn confirm(&self, verb: &str, shown: &Got, fields: &[(&str, &str)]) -> Got {
        self.post(&format!("/do/{verb}"), &form(shown, fields)).await
    }
    /// Asks, confirms, and looks at the outcome.
    async fn whole(&self, verb: &str, query: &str, fields: &[(&str, &str)]) -> Got {
        let shown = self.get(&format!("/do/{verb}?{query}")).await;
        assert_eq!(shown.status, 200, "{}", shown.text());
        let begun = self.confirm(verb, &shown, fields).await;
        assert_eq!(begun.status, 303, "{}", begun.text());
        self.get(&begun.location.unwrap()).await
    }
    fn asked(&self) -> Vec<Command> {
        self.world.asked.lock().unwrap().iter().map(|(_, command)| command.clone()).collect()
    }
    /// What was put down, as soon as there is something.
    async fn audit(&self) -> Audit {
        for _ in 0..500 {
            let found = self.world.kept.lock().unwrap().iter().find_map(|record| match record {
                Record::Audit(audit) => Some((**audit).clone()),
                _ => None,
            });
            if let Some(audit) = found {
                return audit;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nothing was put down");
    }
}

/// The body of a form: all that is hidden in it, and these.
fn form(shown: &Got, fields: &[(&str, &str)]) -> String {
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    for part in shown.body.split("<input type=\"hidden\" name=\"").skip(1) {
        let (name, rest) = part.split_once('"').unwrap();
        body.append_pair(name, &shown.hidden(name));
        assert!(rest.starts_with(" value=\""));
    }
    for (name, value) in fields {
        body.append_pair(name, value);
    }
    body.finish()
}

/// What is asked for, by which query, what is read then, what is typed, and the command that comes of it.
type Case<'a> = (&'a str, &'a str, &'a [&'a str], &'a [(&'a str, &'a str)], Command);

fn silence_of(services: &[&str], reason: &str, minutes: u64) -> Command {
    let services = services.iter().map(|name| (*name).into()).collect();
    let scope = Scope { services, ..Scope::default() };
    Command::Silence { scope, reason: reason.to_owned(), lasts: minutes * 60_000, holder: None }
}

#[tokio::test]
async fn a_form_says_what_will_happen_and_asks_for_that() {
    let acknowledge = |lasts| Command::Acknowledge { service: "web".into(), by: None, reason: "on it".into(), lasts };
    let table: Vec<Case<'_>> = vec![
        (
            "restart",
            "service=web",
            &[
                "Restart web?",
                "critical for 4 min: The process is down",
                "Its process is down.",
                "Its process is sent TERM, then KILL after 10 s if it is still there.",
                "“/usr/sbin/shop --port 8080” is run as www-data.",
                "by its control, command",
                "worker: without it until it is up again.",
                "Automatic restarts so far: 2 of 5 in 15m.",
                "ops heard of its trouble",
            ],
            &[],
            Command::Restart { service: "web".into() },
        ),
        (
            "stop",
            "service=postgresql",
            &[
                "Stop postgresql?",
                "up as pid 2114",
                "systemd is told to stop postgresql.service.",
                "web and worker: without it until it is started again.",
                "minder remembers that it was stopped on purpose",
                "Nobody: to stop it by hand is no incident.",
            ],
            &[],
            Command::Stop { service: "postgresql".into() },
        ),
        (
            "start",
            "service=import",
            &["Start import?", "“/usr/bin/import” is run.", "It was stopped on purpose. That is over with this"],
            &[],
            Command::Start { service: "import".into() },
        ),
        (
            "pause",
            "service=web",
            &["Pause web?", "no rule fires and nothing is done about it", "until it is resumed"],
            &[],
            Command::Pause { service: "web".into() },
        ),
        (
            "resume",
            "service=indexer",
            &["Resume indexer?", "Its rules judge again", "ops"],
            &[],
            Command::Resume { service: "indexer".into() },
        ),
        (
            "acknowledge",
            "service=web",
            &[
                "Acknowledge the incident of web?",
                "41: The process is down",
                "no reminders and no escalation",
                "ops: that you",
            ],
            &[("reason", "on it"), ("for", ""), ("other", "")],
            acknowledge(None),
        ),
        (
            "acknowledge",
            "service=web&reason=on+it",
            &[],
            &[("reason", "on it"), ("for", "1h"), ("other", "90m")],
            acknowledge(Some(90 * 60_000)),
        ),
        (
            "silence",
            "service=web",
            &[
                "Silence web?",
                "1 service: web",
                "Nobody is told of it meanwhile.",
                "What is still wrong when it ends is told",
            ],
            &[("service", "web"), ("reason", "deploy"), ("for", "30m")],
            silence_of(&["web"], "deploy", 30),
        ),
        (
            "silence",
            "service=web+nginx",
            &["Silence web and nginx?", "2 services: nginx and web"],
            &[("service", "web nginx"), ("reason", "deploy")],
            silence_of(&["web", "nginx"], "deploy", 10),
        ),
        (
            "unsilence",
            "silence=3",
            &["End the silence of what is tagged shop?", "by alice: moving the database", "for another 50 min", "web"],
            &[],
            Command::Unsilence { silences: vec![3], holder: None, all: false },
        ),
        (
            "notify-test",
            "notifier=ops",
            &["Test ops?", "mail to ops@example.org", "both marked as a test", "in vain: the server is not there"],
            &[],
            Command::NotifyTest { notifier: "ops".into() },
        ),
        (
            "write",
            "incident=41",
            &["Write about incident 41?", "The process is down", "the public only if you say so"],
            &[("words", "A disk is full.\nWe make room."), ("public", "yes")],
            Command::Write {
                incident: 41,
                service: "web".into(),
                words: "A disk is full.\nWe make room.".into(),
                public: true,
            },
        ),
    ];
    for (verb, query, words, fields, command) in table {
        let pages = Pages::new();
        let shown = pages.get(&format!("/do/{verb}?{query}")).await;
        assert_eq!(shown.status, 200, "{verb}: {}", shown.text());
        shown.has(words);
        assert!(!shown.body.contains("hooks/T0"));
        assert!(pages.asked().is_empty(), "{verb}: to look changes nothing");
        let begun = pages.confirm(verb, &shown, fields).await;
        assert_eq!(begun.status, 303, "{verb}: {}", begun.text());
        let outcome = pages.get(&begun.location.unwrap()).await;
        assert_eq!(outcome.status, 200);
        assert_eq!(pages.asked(), [command], "{verb}");
        let audit = pages.audit().await;
        assert_eq!((&*audit.from, audit.ok), ("socket", outcome.text().contains("Done")), "{audit:?}");
        outcome.has(&["Asked for by", &audit.words[..audit.words.len().min(20)]]);
    }
}

#[tokio::test]
async fn what_is_dead_is_sent_again_by_a_form() {
    let pages = Pages::new();
    let shown = pages.get("/do/resend?message=9").await;
    shown.has(&[
        "Send message 9 again?",
        "chat, webhook at chat.example.org",
        "refused: 404 Not Found",
        "tried at once",
    ]);
    pages.confirm("resend", &shown, &[]).await;
    let again = pages.whole("resend", "notifier=chat", &[]).await;
    again.has(&["Done", "[9] are sent again for "]);
    for (query, words) in [
        ("message=8", "Message 8 was delivered: there is nothing to send again."),
        ("message=7", "Message 7 waits, and is tried again by itself"),
        ("notifier=ops", "There is no message that could be sent again."),
    ] {
        let shown = pages.get(&format!("/do/resend?{query}")).await;
        shown.has(&[words]);
        assert!(!shown.body.contains("<form"), "{query}");
    }
    assert_eq!(pages.get("/do/resend?message=77").await.status, 404);
    assert_eq!(pages.get("/do/resend?message=x").await.status, 404);
}

#[tokio::test]
async fn the_rules_are_read_anew_and_the_brake_is_let_go() {
    let pages = Pages::new();
    let outcome = pages.whole("reload", "", &[]).await;
    outcome.has(&[
        "Reload the rules",
        "Not done",
        "shop.yaml:3:5: unknown key `chekcs`",
        "The old rules stay in effect.",
    ]);
    pages.get("/do/release").await.has(&["The brake holds nothing now."]);
    pages.world.now.lock().unwrap().brake = Some(BrakeView {
        since: AT,
        limit: "10 in 1m".into(),
        waiting: vec!["web".into(), "worker".into()],
        words: "automatic restarts are held".into(),
    });
    pages.get("/").await.has(&["Let them go ahead"]);
    let shown = pages.get("/do/release").await;
    shown.has(&["Let held restarts go ahead?", "automatic restarts are held", "web, worker", "more than 10 in 1m"]);
    pages.confirm("release", &shown, &[]).await;
    assert_eq!(pages.asked(), [Command::Release]);
}

#[tokio::test]
async fn what_cannot_be_done_is_said_before() {
    let pages = Pages::new();
    for (verb, query, words) in [
        ("restart", "service=worker", "its rules name no `control`"),
        ("pause", "service=indexer", "indexer is paused already"),
        ("resume", "service=web", "web is not paused"),
        ("acknowledge", "service=redis", "redis has no open incident"),
        ("unacknowledge", "service=web", "Nobody has acknowledged"),
    ] {
        let shown = pages.get(&format!("/do/{verb}?{query}")).await;
        shown.has(&[words]);
        assert!(!shown.body.contains("<form"), "{verb}");
        let refused = pages.post(&format!("/do/{verb}"), &format!("{query}&form=1&seen=0")).await;
        assert_eq!(refused.status, 409, "{verb}");
    }
    pages.world.now.lock().unwrap().no_act = true;
    pages.get("/do/stop?service=web").await.has(&["--no-act"]);
    for (verb, query, status) in [
        ("restart", "service=none", 404),
        ("restart", "", 400),
        ("restart", "service=web&pid=1", 400),
        ("restart", "service=web&service=web", 400),
        ("unsilence", "silence=99", 404),
        ("unsilence", "silence=x", 400),
        ("notify-test", "notifier=none", 404),
        ("write", "incident=999", 404),
        ("explode", "service=web", 404),
    ] {
        assert_eq!(pages.get(&format!("/do/{verb}?{query}")).await.status, status, "{verb}?{query}");
    }
    assert!(pages.asked().is_empty());
}

#[tokio::test]
async fn a_mistake_is_said_beside_what_was_typed() {
    let pages = Pages::new();
    let silence = pages.get("/do/silence").await;
    assert!(!silence.body.contains("aria-invalid"), "nothing was typed yet");
    let cases: [(&[(&str, &str)], &str); 8] = [
        (&[("service", "web")], "Write why"),
        (&[("service", "webb"), ("reason", "x")], "there is no service “webb”"),
        (&[("tag", "shopp"), ("reason", "x")], "no service has the tag “shopp”"),
        (&[("rule", "none"), ("reason", "x")], "there is no rule “none”"),
        (&[("reason", "x")], "or tick everything"),
        (&[("service", "web"), ("all", "yes"), ("reason", "x")], "not both"),
        (&[("service", "web"), ("reason", "x"), ("other", "90 parsecs")], "90 parsecs"),
        (&[("service", "web"), ("reason", "x"), ("other", "31d")], "between 1s and 30d"),
    ];
    for (fields, words) in cases {
        let again = pages.confirm("silence", &silence, fields).await;
        assert_eq!(again.status, 422, "{words}: {}", again.text());
        assert!(again.body.contains("aria-invalid"), "{words}");
        if !again.body.contains(words) {
            again.has(&[words]);
        }
        for (name, value) in fields {
            assert!(again.body.contains(&format!("value=\"{value}\"")), "{name} is lost");
        }
    }
    let long = "é".repeat(301);
    let again = pages.confirm("silence", &silence, &[("service", "web"), ("reason", &long)]).await;
    again.has(&["at most 300 characters; these are 301"]);
    let shown = pages.get("/do/write?incident=41").await;
    let again = pages.confirm("write", &shown, &[("words", " \n")]).await;
    assert_eq!(again.status, 422);
    let again = pages.confirm("write", &shown, &[("words", &"x".repeat(2001))]).await;
    again.has(&["at most 2000 characters"]);
    for (body, status) in [
        (format!("{}&pid=1", form(&shown, &[("words", "x")])), 400),
        ("form=1&seen=1".to_owned(), 400),
        ("incident=41&words=x".to_owned(), 400),
        (format!("form=x{}", "y".repeat(70 << 10)), 413),
    ] {
        assert_eq!(pages.post("/do/write", &body).await.status, status, "{}", &body[..20.min(body.len())]);
    }
    let json = "POST /do/write HTTP/1.1\r\nhost: minder\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    assert_eq!(pages.send(json.to_owned()).await.status, 415);
    assert!(pages.asked().is_empty());
}

#[tokio::test]
async fn what_was_confirmed_must_still_be_so() {
    let pages = Pages::new();
    // Another scope than the one whose cover was read is shown first.
    let shown = pages.get("/do/silence?service=web").await;
    let again = pages.confirm("silence", &shown, &[("service", "web redis"), ("reason", "deploy")]).await;
    assert_eq!(again.status, 409);
    again.has(&["Nothing was done yet", "Silence web and redis?", "2 services: web and redis"]);
    assert!(again.body.contains("value=\"deploy\"") && pages.asked().is_empty());
    let done = pages.confirm("silence", &again, &[("service", "web redis"), ("reason", "deploy")]).await;
    assert_eq!((done.status, pages.asked().len()), (303, 1));

    // An acknowledgement is of the incident that was read of.
    let shown = pages.get("/do/acknowledge?service=web").await;
    pages.world.now.lock().unwrap().services[1].incident.as_mut().unwrap().id = 43;
    assert_eq!(pages.confirm("acknowledge", &shown, &[("reason", "x")]).await.status, 409);

    // New rules may start it by another command.
    let shown = pages.get("/do/start?service=import").await;
    let plan = super::world::plan(&RULES.replace("/usr/bin/import]", "/usr/bin/other]"));
    pages.world.plans.send(std::sync::Arc::new(plan)).unwrap();
    let again = pages.confirm("start", &shown, &[]).await;
    assert_eq!(again.status, 409);
    again.has(&["“/usr/bin/other” is run."]);
    assert_eq!(pages.asked().len(), 1);
}

#[tokio::test]
async fn a_form_that_comes_twice_is_done_once() {
    let pages = Pages::new();
    let shown = pages.get("/do/restart?service=web").await;
    let (first, second) = (pages.confirm("restart", &shown, &[]), pages.confirm("restart", &shown, &[]));
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.status, &first.location), (303, &second.location));
    let place = first.location.unwrap();
    for _ in 0..3 {
        pages.get(&place).await.has(&["Done", "web is up as pid 4711"]);
    }
    assert_eq!(pages.confirm("restart", &shown, &[]).await.location, Some(place));
    assert_eq!(pages.asked().len(), 1);
    // One of an earlier run of minder.
    let number = shown.hidden("form");
    let old = form(&shown, &[]).replace(&number, "7");
    let stale = pages.post("/do/restart", &old).await;
    assert_eq!(stale.status, 409);
    stale.has(&["too old to be sure"]);
    assert_eq!(pages.asked().len(), 1);
}

#[tokio::test]
async fn an_outcome_is_under_way_and_then_true() {
    let pages = Pages::new();
    let shown = pages.get("/do/restart?service=slow").await;
    shown.has(&["runsv is told to restart /etc/service/slow."]);
    // The browser goes away without reading the answer.
    let body = form(&shown, &[]);
    let place = pages.confirm("restart", &shown, &[]).await.location.unwrap();
    drop(body);
    let under_way = pages.get(&place).await;
    under_way.has(&["Under way", "It goes on also if you leave this page"]);
    assert!(under_way.body.contains("<noscript><meta http-equiv=\"refresh\"") && under_way.body.contains("data-live"));
    assert!(pages.world.kept.lock().unwrap().is_empty());
    let waits = pages.world.waiting.lock().unwrap().pop().unwrap();
    waits.send(Answer { ok: false, words: format!("it did not come up: {HOSTILE}\nlast line") }).unwrap();
    let audit = pages.audit().await;
    assert_eq!((&*audit.what, audit.ok), ("restart slow", false));
    let ended = pages.get(&place).await;
    ended.has(&["Not done", "it did not come up", "last line"]);
    assert!(
        !ended.body.contains("http-equiv") && !ended.body.contains("<script>") && !ended.body.contains("data-live")
    );
    assert_eq!(pages.get("/outcomes/1").await.status, 404);
    assert_eq!(pages.get("/outcomes/x").await.status, 404);
}

#[tokio::test]
async fn it_goes_on_when_the_browser_goes_away() {
    let pages = Pages::new();
    let body = form(&pages.get("/do/restart?service=slow").await, &[]);
    let mut stream = UnixStream::connect(&pages.place).await.unwrap();
    let kind = "content-type: application/x-www-form-urlencoded\r\n";
    let head = format!("POST /do/restart HTTP/1.1\r\nhost: minder\r\n{kind}content-length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    for _ in 0..500 {
        if !pages.world.waiting.lock().unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(stream);
    let waits = pages.world.waiting.lock().unwrap().pop().expect("it was begun");
    waits.send(Answer { ok: true, words: "up".into() }).expect("somebody waits for it still");
    assert!(pages.audit().await.ok);
}

#[tokio::test]
async fn hostile_words_stay_words_on_forms_and_outcomes() {
    let pages = Pages::new();
    {
        let mut now = pages.world.now.lock().unwrap();
        now.services[1].summary = HOSTILE.into();
        now.services[1].incident.as_mut().unwrap().title = HOSTILE.into();
        now.silences[0].reason = HOSTILE.into();
        now.silences[0].by = HOSTILE.into();
        now.notifiers[2].why = Some(HOSTILE.into());
    }
    let encoded: String = url::form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect();
    for path in [
        "/do/restart?service=web".to_owned(),
        "/do/acknowledge?service=web".to_owned(),
        "/do/unsilence?silence=3".to_owned(),
        "/do/resend?message=9".to_owned(),
        "/do/resend?notifier=chat".to_owned(),
        "/do/notify-test?notifier=ops".to_owned(),
        format!("/do/silence?service={encoded}&reason={encoded}&tag={encoded}&rule={encoded}&other={encoded}"),
        format!("/do/restart?service={encoded}"),
        format!("/do/notify-test?notifier={encoded}"),
        format!("/do/resend?notifier={encoded}"),
        format!("/messages?service={encoded}&notifier={encoded}"),
        "/messages".to_owned(),
        "/messages/9".to_owned(),
    ] {
        let got = pages.get(&path).await;
        for bad in ["<script>", "<img", "\u{1b}", "\u{202e}"] {
            assert!(!got.body.contains(bad), "{path}: {bad:?}");
        }
    }
}

#[tokio::test]
async fn who_may_only_look_is_offered_nothing_and_refused() {
    let world = world();
    let router = page(world.front.clone(), SocketAddr::from(([127, 0, 0, 1], 8900)));
    let send = |method: &str, path: &str| {
        let request = axum::http::Request::builder().method(method).uri(path).header("host", "localhost:8900");
        let form = request.header("content-type", "application/x-www-form-urlencoded");
        router.clone().oneshot(form.body(axum::body::Body::from("service=web&form=1&seen=1")).unwrap())
    };
    for verb in [
        "start",
        "stop",
        "restart",
        "pause",
        "resume",
        "acknowledge",
        "unacknowledge",
        "silence",
        "unsilence",
        "resend",
        "notify-test",
        "write",
        "reload",
        "release",
        "anything",
    ] {
        for method in ["GET", "POST"] {
            let got = send(method, &format!("/do/{verb}?service=web")).await.unwrap();
            assert!([401, 403].contains(&got.status().as_u16()), "{method} {verb}: {}", got.status());
        }
    }
    assert!([401, 403].contains(&send("GET", "/outcomes/1").await.unwrap().status().as_u16()));
    for path in ["/", "/services/web", "/messages", "/messages/9"] {
        let got = send("GET", path).await.unwrap();
        assert_eq!(got.status(), 200, "{path}");
        let body = axum::body::to_bytes(got.into_body(), 8 << 20).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(!body.contains("/do/"), "{path}");
        let how = ["/services/web", "/messages"].contains(&path);
        assert_eq!(body.contains("minder passwd"), how, "{path}");
    }
    assert!(world.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_page_of_messages_says_what_waits_and_what_was_lost() {
    let pages = Pages::new();
    let got = pages.get("/messages").await;
    got.has(&[
        "Messages do not reach ops, 2 messages wait",
        "mail to ops@example.org",
        "does not take messages, for 4 min: the server is not there",
        "tried again in 40 s",
        "webhook at chat.example.org",
        "refused: 404 Not Found",
        "Send all to chat again",
        "it waits for its turn",
        "told by message 11 instead",
        "what is tagged shop until ",
        "for another 50 min",
        "by alice",
        "backup: postgresql",
        "nightly dump",
    ]);
    assert!(!got.body.contains("hidden</"), "the path of a webhook is not shown");
    let text = got.text();
    let order = ["Not delivered", "what is tagged shop", "Waiting", "Delivered lately", "Find messages"];
    let places = order.map(|words| text.find(words).unwrap());
    assert!(places.is_sorted(), "{places:?}");
    for (query, shown, hidden) in [
        ("state=waiting", "root-disk: filesystem.used", "mail-queue is ok again"),
        ("notifier=night", "mail-queue is ok again", "root-disk: filesystem.used"),
        ("service=root-disk", "root-disk: filesystem.used", "mail-queue is ok again"),
        ("incident=41&state=dropped", "mail-queue is ok again", "root-disk: filesystem.used"),
        ("before=9", "web: process.down", "root-disk: filesystem.used"),
    ] {
        let text = pages.get(&format!("/messages?{query}")).await.text();
        assert!(text.contains(shown) && !text.contains(hidden), "{query}: {text}");
    }
    for query in ["state=lost", "incident=x", "before=-1", "colour=red"] {
        assert_eq!(pages.get(&format!("/messages?{query}")).await.status, 400, "{query}");
    }
    *pages.world.past.broken.lock().unwrap() = Some("the disk is gone".into());
    pages.get("/messages").await.has(&["The history cannot be read: the disk is gone", "moving the database"]);
}

#[tokio::test]
async fn a_message_tells_its_way() {
    let pages = Pages::new();
    let got = pages.get("/messages/9").await;
    got.has(&[
        "chat did not get it: refused: 404 Not Found.",
        "not taken: 503 Service Unavailable; tried again at",
        "Send again",
    ]);
    let got = pages.get("/messages/10").await;
    got.has(&[
        "night was not sent this, because message 11 tells it, and more.",
        "outside the `hours` of this notifier",
    ]);
    assert!(got.body.contains("href=\"/messages/11\""));
    for number in ["77", "x", "-1", "99999999999999999999"] {
        assert_eq!(pages.get(&format!("/messages/{number}")).await.status, 404, "{number}");
    }
}
