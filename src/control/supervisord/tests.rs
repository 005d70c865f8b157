//! Against the real supervisord; a fake one only for what no real one says.
#![allow(clippy::disallowed_methods, reason = "a fake server takes its time")]

use super::*;
use crate::control::supervisor::{restart, start, stop};
use crate::control::tests::{Bench, why};
use crate::daemon::RealClock;
use crate::model::controls::ControlSpec;
use crate::model::{Act, Given, Report, Span};
use crate::sys::testing::{Script, kill, lives, until};
use rustix::process::Signal;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;

const PATIENCE: Duration = Duration::from_secs(8);

const PASSWORD: &str = "s3cret&<word>";

/// A supervisord of its own, on a unix socket and on TCP. It ends with the test, and its programs too.
struct Server {
    dir: tempfile::TempDir,
    port: u16,
    script: Option<Script>,
}

impl Server {
    /// With these programs: their names, each with its command and more of its section.
    fn start(programs: &[(&str, &str, &str)]) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let at = dir.path().display();
        let mut conf = format!(
            "[supervisord]\nlogfile={at}/log\npidfile={at}/pid\ndirectory={at}\nchildlogdir={at}\n\
             [unix_http_server]\nfile={at}/sock\n\
             [inet_http_server]\nport=127.0.0.1:{port}\nusername=admin\npassword={PASSWORD}\n\
             [rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n\
             [supervisorctl]\nserverurl=unix://{at}/sock\n"
        );
        for (name, command, more) in programs {
            let section = if name.starts_with("group") { "" } else { "program:" };
            let command = if command.is_empty() { String::new() } else { format!("command={command}\n") };
            conf += &format!("[{section}{name}]\n{command}{}\n", more.replace("; ", "\n"));
        }
        fs::write(dir.path().join("conf"), conf).unwrap();
        let script = Script::start(&format!("exec supervisord -n -c {at}/conf >{at}/out 2>&1"));
        let server = Server { dir, port, script: Some(script) };
        until("supervisord answers", || {
            let control = server.unix("nobody").0;
            call(&control, "getState", &[]).is_ok()
        });
        server
    }

    fn unix(&self, program: &str) -> Supervisord {
        let server = format!("unix://{}/sock", self.dir.path().display());
        let timeout = Span(PATIENCE);
        Supervisord(SupervisordControl { program: program.to_owned(), server, user: None, password: None, timeout })
    }

    fn tcp(&self, program: &str, user: Option<&str>, password: Option<&str>) -> Supervisord {
        Supervisord(SupervisordControl {
            server: format!("http://127.0.0.1:{}", self.port),
            user: user.map(str::to_owned),
            password: password.map(Given::literal),
            ..self.unix(program).0
        })
    }

    fn until(&self, program: &str, word: &str) -> ControlState {
        let mut state = self.unix(program).state().unwrap();
        until(&format!("{program} is {word}"), || {
            state = self.unix(program).state().unwrap();
            state.word.starts_with(word)
        });
        state
    }

    /// As its operator would.
    fn ctl(&self, words: &str) {
        let output = std::process::Command::new("supervisorctl")
            .args(["-c", &format!("{}/conf", self.dir.path().display())])
            .args(words.split(' '))
            .output()
            .unwrap();
        assert!(output.status.success(), "supervisorctl {words}: {output:?}");
    }

    fn own_pid(&self) -> u32 {
        self.script.as_ref().unwrap().own_pid()
    }
}

/// A script as a command of its configuration.
fn shell(script: &str) -> String {
    format!("/bin/sh -c \"{script}\"")
}

const SLEEP: &str = "sleep 4711";
const AT_ONCE: &str = "startsecs=0";

#[test]
fn every_state_is_read_right() {
    let server = Server::start(&[
        ("up", SLEEP, AT_ONCE),
        ("never", SLEEP, "autostart=false"),
        ("slow", SLEEP, "startsecs=60"),
        ("fatal", &shell("exit 1"), "startsecs=1; startretries=0"),
        ("missing", "/no/such/program", "startretries=0"),
        ("backoff", &shell("exit 1"), "startsecs=1; startretries=1000"),
        ("done", &shell("sleep 0.1; exit 0"), AT_ONCE),
        ("three", &shell("sleep 0.1; exit 3"), "startsecs=0; autorestart=false"),
        ("killed", &shell("kill -9 $$"), "startsecs=0; autorestart=false"),
        ("stubborn", &shell("trap '' TERM; while :; do sleep 0.05; done"), "startsecs=0; stopwaitsecs=60"),
        ("one", SLEEP, AT_ONCE),
        ("group:pair", "", "programs=one"),
    ]);
    let seen = |program: &str, word: &str| {
        let state = server.until(program, word);
        assert!(state.alive);
        (state.wanted, state.phase, state.failed, state.process.is_some(), state.last_exit)
    };
    assert_eq!(seen("up", "RUNNING"), (Some(true), Phase::Running, false, true, None));
    assert_eq!(seen("pair:one", "RUNNING"), (Some(true), Phase::Running, false, true, None));
    assert_eq!(seen("never", "STOPPED, never started"), (Some(false), Phase::Down, false, false, None));
    assert_eq!(seen("slow", "STARTING"), (Some(true), Phase::Starting, false, true, None));
    // The trap: its `exitstatus` is 0, though it exited with 1.
    assert_eq!(seen("fatal", "FATAL: Exited too quickly"), (Some(true), Phase::Down, true, false, None));
    assert_eq!(seen("missing", "FATAL: can't find command"), (Some(true), Phase::Down, true, false, None));
    assert_eq!(seen("backoff", "BACKOFF: Exited too quickly"), (Some(true), Phase::Starting, false, false, None));
    for (program, word, exit) in [
        ("done", "EXITED with code 0", Some(Exit::Code(0))),
        ("three", "EXITED with code 3", Some(Exit::Code(3))),
        ("killed", "EXITED by a signal", None),
    ] {
        let state = server.until(program, word);
        assert_eq!((state.failed, state.process, state.last_exit), (false, None, exit), "{program}");
        // For a moment supervisord may be about to start it again; then nobody says whether it should be up.
        until("nothing is expected any more", || server.unix(program).state().unwrap().phase == Phase::Down);
        assert_eq!(server.unix(program).state().unwrap().wanted, None, "{program}");
    }
    server.ctl("stop up");
    assert_eq!(seen("up", "STOPPED"), (Some(false), Phase::Down, false, false, None));
    seen("stubborn", "RUNNING");
    server.unix("stubborn").tell(Order::Down).unwrap();
    assert_eq!(seen("stubborn", "STOPPING"), (Some(false), Phase::Stopping, false, true, None));
    // Since when: by its own record.
    let up = server.until("slow", "STARTING");
    let start = fs::metadata(server.dir.path().join("pid")).unwrap().modified().unwrap();
    let start = start.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let since = u128::try_from(up.since.unwrap().0).unwrap();
    assert!(since.abs_diff(start) < 10_000, "{since} {start}");
}

#[test]
fn orders_are_seen_to_be_done() {
    let server = Server::start(&[("web", SLEEP, AT_ONCE)]);
    // A restart of many, so that a short moment in between is met.
    let web = server.tcp("web", Some("admin"), Some(PASSWORD));
    let before = server.until("web", "RUNNING");
    let done = restart(&web, false, PATIENCE, &RealClock).unwrap();
    let after = web.state().unwrap();
    assert!(done.starts_with(&format!("up as pid {} after ", after.process.unwrap().pid)), "{done}");
    assert!(before.process != after.process && before.stamp != after.stamp);
    assert!(start(&web, PATIENCE, &RealClock).unwrap().starts_with("already up as pid "));
    assert!(stop(&web, PATIENCE, &RealClock).unwrap().starts_with("down after "));
    assert_eq!(stop(&web, PATIENCE, &RealClock).unwrap(), "already down");
    assert_eq!(web.state().unwrap().wanted, Some(false));
    assert!(restart(&web, false, PATIENCE, &RealClock).unwrap_err().contains("its operator has taken it down"));
    assert!(restart(&web, true, PATIENCE, &RealClock).unwrap().starts_with("up as pid "));
    stop(&web, PATIENCE, &RealClock).unwrap();
    assert!(start(&web, PATIENCE, &RealClock).unwrap().starts_with("up as pid "));
}

#[test]
fn a_stop_of_its_operators_wins_over_a_restart() {
    let program = shell("trap 'sleep 0.5; exit 0' TERM; while :; do sleep 0.05; done");
    let server = Server::start(&[("web", &program, "startsecs=0")]);
    let web = server.unix("web");
    server.until("web", "RUNNING");
    // Told between our look and our stop.
    server.unix("web").tell(Order::Down).unwrap();
    let why = web.tell(Order::Restart { by_hand: false }).unwrap_err();
    assert!(why.contains("its operator has taken it down"), "{why}");
    assert_eq!(server.until("web", "STOPPED").wanted, Some(false));
    // Ours is nobody's wish, whoever looks meanwhile.
    start(&web, PATIENCE, &RealClock).unwrap();
    web.tell(Order::Restart { by_hand: false }).unwrap();
    assert_eq!(server.until("web", "STOPPING").wanted, Some(true));
    let down = server.until("web", "STOPPED");
    assert_eq!((down.wanted, down.phase), (Some(true), Phase::Down));
    // And is put right by the next one, as if the first had been cut short.
    assert!(restart(&web, false, PATIENCE, &RealClock).unwrap().starts_with("up as pid "));
    server.ctl("stop web");
    assert_eq!(server.until("web", "STOPPED").wanted, Some(false), "another run: another wish");
}

#[test]
fn what_ignores_its_stop_signal_is_killed_at_last() {
    let program = shell("trap '' TERM; while :; do sleep 0.05; done");
    let server = Server::start(&[("web", &program, "startsecs=0; stopwaitsecs=600")]);
    let before = server.until("web", "RUNNING").process.unwrap();
    let web = server.unix("web");
    restart(&web, false, Duration::from_secs(4), &RealClock).unwrap();
    assert!(!lives(before.pid));
    stop(&web, Duration::from_secs(2), &RealClock).unwrap();
}

#[test]
fn what_it_gave_up_is_started_and_says_why_it_cannot() {
    let server = Server::start(&[
        ("fatal", &shell("test -e %(here)s/ok && exec sleep 4711; exit 1"), "startsecs=1; startretries=0"),
        ("missing", "/no/such/program", "startretries=0"),
        ("web", SLEEP, AT_ONCE),
    ]);
    let fatal = server.unix("fatal");
    let given_up = server.until("fatal", "FATAL");
    // Its clock counts seconds: two tries in one are the same to it.
    let later = || fatal.info().unwrap().0;
    until("the next second", || later().now > later().stop);
    let why = restart(&fatal, false, PATIENCE, &RealClock).unwrap_err();
    assert_eq!(why, "not up: FATAL: Exited too quickly (process log may have details)");
    assert_ne!(fatal.state().unwrap().stamp, given_up.stamp, "it was another try");
    assert_eq!(stop(&fatal, PATIENCE, &RealClock).unwrap(), "already down");
    fs::write(server.dir.path().join("ok"), "").unwrap();
    assert!(start(&fatal, PATIENCE, &RealClock).unwrap().starts_with("up as pid "));

    server.until("missing", "FATAL");
    let why = start(&server.unix("missing"), PATIENCE, &RealClock).unwrap_err();
    assert!(why.starts_with("supervisord cannot start it: no such file"), "{why}");
}

#[test]
fn a_program_that_just_ended_is_stopped_and_restarted_all_the_same() {
    let server = Server::start(&[("web", SLEEP, "startsecs=0; autorestart=true")]);
    let web = server.unix("web");
    let end = || {
        let process = server.until("web", "RUNNING").process.unwrap();
        kill(process.pid, Signal::KILL);
        until("it has ended", || !lives(process.pid));
    };
    end();
    restart(&web, false, PATIENCE, &RealClock).unwrap();
    end();
    stop(&web, PATIENCE, &RealClock).unwrap();
    assert_eq!(&*web.state().unwrap().word, "STOPPED");
}

#[test]
fn a_supervisord_that_is_gone_is_no_error() {
    let server = Server::start(&[("web", SLEEP, AT_ONCE)]);
    let process = server.until("web", "RUNNING").process.unwrap();
    kill(server.own_pid(), Signal::KILL);
    // One that dies while it is asked breaks off.
    let both = [server.unix("web"), server.tcp("web", None, None)];
    until("it is gone", || both.iter().all(|web| web.state().is_ok_and(|state| !state.alive)));
    for web in both {
        let state = web.state().unwrap();
        assert_eq!((state.alive, state.process), (false, None));
        assert!(state.word.starts_with("supervisord is not running: nothing listens at "), "{}", state.word);
        for result in [start, stop].map(|f| f(&web, PATIENCE, &RealClock)) {
            assert!(result.unwrap_err().starts_with("it cannot be told anything: supervisord is not running"));
        }
    }
    assert!(lives(process.pid), "its programs live on");
    // A socket that never was.
    fs::remove_file(server.dir.path().join("sock")).unwrap();
    assert!(!server.unix("web").state().unwrap().alive);
}

#[test]
fn one_that_shuts_down_does_not_do_as_it_is_told() {
    // It counts as running when it has ignored TERM for a second.
    let program = shell("trap '' TERM; while :; do sleep 0.05; done");
    let server = Server::start(&[("web", &program, "startsecs=1; stopwaitsecs=60")]);
    server.until("web", "RUNNING");
    kill(server.own_pid(), Signal::TERM);
    until("it says so", || &*server.unix("web").state().unwrap().word == "supervisord is shutting down");
    assert!(!server.unix("web").state().unwrap().alive);
}

#[test]
fn wrong_logins_and_wrong_names_say_what_to_do() {
    let server = Server::start(&[("web", SLEEP, AT_ONCE), ("one", SLEEP, AT_ONCE), ("group:pair", "", "programs=one")]);
    let none = server.tcp("web", None, None).state().unwrap_err();
    assert!(none.ends_with("asks for a password: set `user` and `password` of the control"), "{none}");
    let wrong = server.tcp("web", Some("admin"), Some("wr0ng")).state().unwrap_err();
    assert!(wrong.ends_with("refuses `user` and `password` of the control"), "{wrong}");
    assert!(!wrong.contains("wr0ng"));
    assert!(server.tcp("web", Some("admin"), Some(PASSWORD)).state().unwrap().alive);
    for name in ["wob", "one", "pair:web", "pair:*", "a&b"] {
        let unknown = server.unix(name).state().unwrap_err();
        assert!(unknown.contains(&format!("has no program `{name}`, but `pair:one`, `web`")), "{unknown}");
    }
}

#[test]
fn acts_go_through_the_controls() {
    let server = Server::start(&[("web", SLEEP, AT_ONCE)]);
    server.until("web", "RUNNING");
    let mut bench = Bench::new();
    let control = ControlSpec::Supervisord(server.unix("web").0);
    for act in [
        Act::Restart { service: "web".into(), control: control.clone(), by_hand: false },
        Act::Stop { service: "web".into(), control: control.clone(), process: None, for_good: true },
        Act::Start { service: "web".into(), control, after: None },
    ] {
        let report = bench.act(act);
        assert!(matches!(report, Report::Done { .. }), "{}", why(report));
    }
}

/// Answers one connection after another with this, and keeps it open.
fn fake(answer: impl Fn(&mut std::net::TcpStream) + Send + 'static) -> Supervisord {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            answer(&mut stream);
        }
    });
    Supervisord(SupervisordControl {
        program: "web".to_owned(),
        server,
        user: Some("admin".to_owned()),
        password: Some(Given::literal(PASSWORD)),
        timeout: Span(PATIENCE),
    })
}

fn page(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn what_is_no_supervisord_is_told_apart() {
    let struct_of = |members: &[(&str, &str)]| {
        let members: String = members
            .iter()
            .map(|(name, value)| format!("<member><name>{name}</name><value><int>{value}</int></value></member>"))
            .collect();
        format!(
            "<methodResponse><params><param><value><struct>{members}</struct></value></param></params></methodResponse>"
        )
    };
    let full = |state: &str, pid: &str| {
        struct_of(&[("state", state), ("start", "1"), ("stop", "0"), ("now", "9"), ("pid", pid), ("exitstatus", "0")])
    };
    let login = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, format!("admin:{PASSWORD}"));
    let fault = format!(
        "<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>99</int></value></member>\
         <member><name>faultString</name><value>no {} {login} \u{1b}[31m</value></member></struct></value></fault></methodResponse>",
        quick_xml::escape::escape(PASSWORD)
    );
    for (answer, said) in [
        ("SSH-2.0-OpenSSH\r\n".to_owned(), "broke off"),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(), "is not supervisord: HTTP status 404"),
        (page("<html><body>It works</body></html>"), "is not supervisord: its answer is no XML-RPC"),
        (page("\u{1b}[31m"), "is not supervisord: its answer is cut short"),
        (page("<methodResponse></methodResponse>"), "is not supervisord: no state"),
        (page(&struct_of(&[("state", "20")])), "does not say `start`"),
        (page(&full("1000", "0")), "does not know how the program stands: it says state 1000"),
        (page(&full("20", "-4")), "a pid that cannot be"),
        (page(&fault), "(fault 99)"),
        (page("<methodResponse><fault></fault></methodResponse>"), "a fault without its number"),
    ] {
        let server = fake(move |stream| stream.write_all(answer.as_bytes()).unwrap());
        let why = server.state().unwrap_err();
        assert!(why.contains(said), "{why}");
        assert!(!why.contains(PASSWORD) && !why.contains(&login) && !why.contains('\u{1b}'), "{why}");
    }
    // A pid of another machine, or of nobody's supervisord, is no process of this program.
    let answer = page(&full("20", &std::process::id().to_string()));
    let elsewhere = fake(move |stream| stream.write_all(answer.as_bytes()).unwrap());
    let state = elsewhere.state().unwrap();
    assert_eq!((state.phase, state.process), (Phase::Running, None));
}

#[test]
fn an_answer_without_end_or_none_is_given_up() {
    let endless = fake(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        let chunk = format!("2710\r\n{}\r\n", "<value>\n".repeat(1250));
        while stream.write_all(chunk.as_bytes()).is_ok() {}
    });
    let why = endless.state().unwrap_err();
    assert!(why.contains("cannot be read: length limit exceeded"), "{why}");
    let silent = fake(|stream| {
        // Until minder closes it.
        let _ = stream.read(&mut [0]);
    });
    let began = std::time::Instant::now();
    let why = silent.state().unwrap_err();
    assert!(why.ends_with("did not answer within 5 s"), "{why}");
    assert!(began.elapsed() < Duration::from_secs(8));
}

/// Any user may listen where no supervisord does, and say of a process of root's that it is the program.
#[test]
fn whoever_poses_as_supervisord_names_no_process_of_others() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("not tried: only root can become another");
    }
    let script = r#"
import http.server, os, sys
class Posing(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = self.rfile.read(int(self.headers["content-length"])).decode()
        member = "<member><name>%s</name><value><int>%s</int></value></member>"
        info = dict(state=20, start=1, stop=0, now=9, pid=sys.argv[1], exitstatus=0)
        value = "<struct>" + "".join(member % one for one in info.items()) + "</struct>"
        if "getPID" in asked:
            value = sys.argv[2]
        answer = "<methodResponse><params><param><value>%s</value></param></params></methodResponse>" % value
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Posing)
print(server.server_port, flush=True)
server.serve_forever()
"#;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("posing.py");
    fs::write(&file, script).unwrap();
    let (own, parent) = (std::process::id(), rustix::process::getppid().unwrap().as_raw_nonzero());
    let state = |user: u32| {
        let run = format!(
            "exec 3<{}; exec setpriv --reuid {user} --clear-groups /usr/bin/python3 -B /dev/fd/3 {own} {parent}",
            file.display()
        );
        let mut posing = Script::start(&run);
        let server = format!("http://127.0.0.1:{}", posing.line());
        let control = SupervisordControl {
            program: "web".to_owned(),
            server,
            user: None,
            password: None,
            timeout: Span(PATIENCE),
        };
        Supervisord(control).state()
    };
    let why = state(65534).unwrap_err();
    assert!(why.contains("runs as user 65534, and names a process of another user's"), "{why}");
    assert_eq!(state(0).unwrap().process.unwrap().pid, own, "root may");
}
