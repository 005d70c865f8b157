//! Transcripts: a command, what it prints, how it ends.

use super::fixture::{self, HOSTILE};
use super::world::World;
use minder::dashboard::{bind_unix, serve_unix, socket};
use minder::model::{BrakeView, Command as Asked, Identity, MaintenanceView, Scope, Silence, Snapshot, Verb, Window};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A daemon's socket with a world behind it.
pub(super) struct Stage {
    runtime: Runtime,
    dir: TempDir,
    pub world: World,
}

impl Stage {
    pub fn new(snapshot: Snapshot) -> Stage {
        let runtime = Runtime::new().unwrap();
        let inside = runtime.enter();
        let dir = tempfile::tempdir().unwrap();
        let world = World::new(snapshot);
        let listener = bind_unix(&dir.path().join("minder.sock")).unwrap();
        runtime.spawn(serve_unix(listener, socket(world.front.clone())));
        drop(inside);
        Stage { runtime, dir, world }
    }
    fn socket(&self) -> PathBuf {
        self.dir.path().join("minder.sock")
    }
    fn run(&self, args: &[&str]) -> Output {
        minder(args).env("MINDER_SOCKET", self.socket()).output().unwrap()
    }
    /// The command, what it says on both streams, and its exit status; paths of this run by a name.
    pub fn transcript(&self, args: &[&str]) -> String {
        transcript(args, &self.run(args)).replace(&self.socket().display().to_string(), "SOCKET")
    }
}

/// A process that does not outlive its test.
struct Leashed(Child);

impl Drop for Leashed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn minder(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_minder"));
    command.args(args).env_clear().env("TZ", "UTC");
    command
}

pub(super) fn transcript(args: &[&str], output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut all = format!("$ minder {}\n{}", args.join(" "), text(&output.stdout));
    for line in text(&output.stderr).lines() {
        all += &format!("stderr: {line}\n");
    }
    all + &format!("exit: {}\n", output.status.code().unwrap())
}

#[test]
fn status_says_the_worst_first() {
    let stage = Stage::new(fixture::snapshot());
    insta::assert_snapshot!("status", stage.transcript(&["status"]));
    insta::assert_snapshot!("status_of_one", stage.transcript(&["status", "web"]));
    insta::assert_snapshot!("status_of_none", stage.transcript(&["status", "none"]));
}

#[test]
fn all_well_is_exit_status_0() {
    let mut snapshot = fixture::snapshot();
    snapshot.services.retain(|s| !s.status.is_bad());
    let stage = Stage::new(snapshot);
    let output = stage.run(&["status"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("No trouble known, 1 of 11 services cannot be judged"));
}

#[test]
fn status_as_json_is_the_snapshot() {
    let stage = Stage::new(fixture::snapshot());
    let output = stage.run(&["status", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(serde_json::from_slice::<Snapshot>(&output.stdout).unwrap(), fixture::snapshot());
}

#[test]
fn history_in_all_its_forms() {
    let stage = Stage::new(fixture::snapshot());
    let transcripts = [
        &["history"][..],
        &["history", "web", "--since", "3m"],
        &["history", "web", "--kind", "acted", "--csv"],
        &["history", "mail-queue", "--json"],
        &["history", "web", "--check", "process", "--limit", "3"],
        &["history", "web", "--check", "process", "--limit", "3", "--csv", "--since", "1d"],
        &["history", "root-disk", "--check", "filesystem", "--limit", "1", "--json"],
        &["history", "none", "--check", "process"],
        &["history", "--check", "process"],
        &["history", "--since", "yesterday"],
        &["history", "--kind", "firing"],
        &["history", "none"],
    ]
    .map(|args| stage.transcript(args));
    insta::assert_snapshot!("history", transcripts.join("\n"));
}

#[test]
fn steering_tells_the_true_outcome() {
    let stage = Stage::new(fixture::snapshot());
    let transcripts = [
        &["restart", "web"][..],
        &["restart", "slow", "--no-wait"],
        &["stop", "web"],
        &["restart", "web", "cache"],
        &["pause", "--group", "shop"],
        &["start", "--all"],
        &["start"],
        &["start", "web", "--all"],
        &["ack", "web", "--reason", "on it"],
        &["ack", "web", "--reason", "on it", "--for", "2h", "--as", "eva"],
        &["ack", "web"],
        &["ack", "web", "--reason", "on it", "--for", "soon"],
        &["unack", "12"],
        &["release"],
        &["notify-test", "ops"],
        &["reload"],
    ]
    .map(|args| stage.transcript(args));
    insta::assert_snapshot!("steering", transcripts.join("\n"));
    let asked: Vec<Asked> = stage.world.asked.lock().unwrap().iter().map(|(_, command)| command.clone()).collect();
    assert_eq!(
        asked,
        [
            Asked::Restart { service: "web".into() },
            Asked::Restart { service: "slow".into() },
            Asked::Stop { service: "web".into() },
            several(Verb::Restart, &["web", "cache"]),
            Asked::Several { verb: Verb::Pause, services: vec![], group: Some("shop".into()), all: false },
            Asked::Several { verb: Verb::Start, services: vec![], group: None, all: true },
            ack(None, None),
            ack(Some("eva"), Some(7_200_000)),
            Asked::Unacknowledge { service: "12".into() },
            Asked::Release,
            Asked::NotifyTest { notifier: "ops".into() },
        ]
    );
}

#[test]
fn what_is_silenced_is_asked_for_and_shown() {
    let mut snapshot = fixture::snapshot();
    let (at, scope) = (snapshot.at, |name: &str| Scope { services: vec![name.into()], ..Scope::default() });
    let silence = |id: u64, scope: Scope, reason: &str| Silence {
        id,
        scope,
        reason: reason.to_owned(),
        by: "root".to_owned(),
        since: at,
        until: at + Duration::from_secs(600),
        holder: (id == 2).then_some(Identity { pid: 4711, start: 1 }),
    };
    let rules = Scope { rules: vec!["slow".to_owned()], tags: vec!["shop".to_owned()], ..Scope::default() };
    snapshot.silences = vec![silence(1, scope("web"), "moving"), silence(2, rules, HOSTILE)];
    let window = |begins: u64| Window {
        begins: at + Duration::from_secs(begins),
        ends: at + Duration::from_secs(begins + 3600),
    };
    let maintenance = |name: &str, begins: Option<u64>| MaintenanceView {
        name: name.into(),
        scope: scope("web"),
        reason: if begins.is_some() { "backup".to_owned() } else { String::new() },
        window: begins.map(window),
    };
    snapshot.maintenance =
        vec![maintenance("nightly", Some(60)), maintenance("now", Some(0)), maintenance("once", None)];
    snapshot.services[1].silenced = Some("for another 10 min, by root: moving".to_owned());
    let stage = Stage::new(snapshot);
    let json: serde_json::Value = serde_json::from_slice(&stage.run(&["silences", "--json"]).stdout).unwrap();
    assert_eq!((&json["silences"][0]["id"], &json["maintenance"][1]["name"]), (&1.into(), &"now".into()));
    let transcripts = [
        &["silences"][..],
        &["silence", "web", "db", "--tag", "shop", "--rule", "slow", "--for", "10m", "--reason", "moving"],
        &["silence", "--all", "--for", "1h", "--reason", "moving"],
        &["silence", "web", "--for", "10m"],
        &["silence", "--for", "10m", "--reason", "moving"],
        &["silence", "web", "--reason", "moving"],
        &["silence", "web", "--for", "10", "--reason", "moving"],
        &["unsilence", "1", "2"],
        &["unsilence", "--all"],
        &["unsilence"],
    ]
    .map(|args| stage.transcript(args));
    assert!(!transcripts[0].contains(['\x1b', '\u{202e}']), "{:?}", transcripts[0]);
    insta::assert_snapshot!("silences", transcripts.join("\n"));
    assert!(stage.transcript(&["status", "web"]).contains("for another 10 min, by root: moving"));
}

fn ack(by: Option<&str>, lasts: Option<u64>) -> Asked {
    let by = by.map(str::to_owned);
    Asked::Acknowledge { service: "web".into(), by, reason: "on it".to_owned(), lasts }
}

fn several(verb: Verb, services: &[&str]) -> Asked {
    let services = services.iter().map(|name| (*name).into()).collect();
    Asked::Several { verb, services, group: None, all: false }
}

#[test]
fn the_brake_is_said_first() {
    let mut snapshot = fixture::snapshot();
    snapshot.brake = Some(BrakeView {
        since: snapshot.at,
        limit: "10 in 1m".into(),
        waiting: vec!["web".into()],
        words: format!("The brake holds a restart: {HOSTILE}"),
    });
    let stage = Stage::new(snapshot);
    let text = String::from_utf8(stage.run(&["status"]).stdout).unwrap();
    assert!(text.lines().nth(1).unwrap().starts_with("The brake holds a restart"), "{text}");
    assert!(!text.contains(['\x1b', '\u{202e}']), "{text:?}");
}

#[test]
fn a_daemon_that_is_not_there_is_exit_status_3() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("minder.sock");
    let run = |args: &[&str]| {
        let output = minder(args).env("MINDER_SOCKET", &path).output().unwrap();
        transcript(args, &output).replace(&path.display().to_string(), "SOCKET")
    };
    let missing = run(&["status"]);
    drop(UnixListener::bind(&path).unwrap());
    insta::assert_snapshot!("not_running", format!("{missing}\n{}", run(&["restart", "web"])));
}

#[test]
fn what_is_not_minder_is_recognised() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("other.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let other = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // Its head ends with an empty line.
        let heads = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
        assert!(heads.take_while(|line| !line.is_empty()).count() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").unwrap();
    });
    let output = minder(&["status", "--socket"]).arg(&path).output().unwrap();
    other.join().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is not this version of minder"), "{output:?}");
}

#[test]
fn nothing_from_outside_moves_the_cursor() {
    let mut snapshot = fixture::snapshot();
    snapshot.host = HOSTILE.into();
    snapshot.notes = vec![HOSTILE.into()];
    snapshot.refused = Some(HOSTILE.into());
    let web = &mut snapshot.services[1];
    web.summary = HOSTILE.into();
    for text in [&mut web.description, &mut web.next, &mut web.control, &mut web.last_exit, &mut web.budget] {
        *text = Some(HOSTILE.into());
    }
    web.checks[0].note = Some(HOSTILE.into());
    web.checks[0].about = HOSTILE.into();
    web.checks[0].metrics[0].text = HOSTILE.into();
    web.rules[0].condition = HOSTILE.into();
    web.rules[0].actions = vec![HOSTILE.into()];
    web.rules[0].values[0].text = HOSTILE.into();
    let stage = Stage::new(snapshot);
    stage.world.happen(minder::model::EventKind::Noted { words: HOSTILE.into() }, |_| {});
    for args in [&["status"][..], &["status", "web"], &["history"], &["history", "--csv"]] {
        let output = stage.run(args);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("alert(1)"), "{args:?}: {text}");
        assert!(!text.contains(['\x1b', '\u{202e}']), "{args:?}: {text:?}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let stage = Stage::new(fixture::snapshot());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = minder(&["history"]).env("MINDER_SOCKET", stage.socket()).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn watching_shows_what_changes_and_survives_a_restart() {
    let stage = Stage::new(fixture::snapshot());
    let child =
        minder(&["status", "--watch"]).env("MINDER_SOCKET", stage.socket()).stdout(Stdio::piped()).spawn().unwrap();
    let mut child = Leashed(child);
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    // A look a second, of at most sixteen lines: a bound of some ten seconds.
    let mut shows = |what: &str| assert!(lines.by_ref().take(160).any(|line| line.starts_with(what)), "{what}");
    shows("3 of 14 services are in trouble");
    stage.world.now.lock().unwrap().services.truncate(1);
    shows("The one service is well");
    let path = stage.socket();
    std::fs::remove_file(&path).unwrap();
    shows("minder is not running here");
    let _inside = stage.runtime.enter();
    stage.runtime.spawn(serve_unix(bind_unix(&path).unwrap(), socket(stage.world.front.clone())));
    shows("The one service is well");
}

#[test]
fn usage_is_exit_status_2() {
    for args in [&["explode"][..], &["restart"], &["status", "--json", "--watch"], &[]] {
        assert_eq!(minder(args).output().unwrap().status.code(), Some(2), "{args:?}");
    }
    assert_eq!(minder(&["--help"]).output().unwrap().status.code(), Some(0));
}

#[test]
fn what_is_written_is_of_an_incident_that_there_is() {
    let stage = Stage::new(fixture::snapshot());
    let asked = || stage.world.asked.lock().unwrap().pop();
    for which in ["41", "web"] {
        stage.run(&["write", which, "the disk is replaced"]);
        let Some((_, Asked::Write { incident, service, words, public })) = asked() else {
            panic!("{which}: {}", stage.transcript(&["write", which, "x"]));
        };
        assert_eq!((incident, &*service, &*words, public), (41, "web", "the disk is replaced", false));
    }
    let none = stage.transcript(&["write", "77", "x"]);
    assert!(none.contains("77") && !none.contains("unknown field") && asked().is_none(), "{none}");
}
