//! What holds under runsv, s6-supervise and supervise alike: choosing another of them is changing one key.

use super::SOON;
use super::support::{Minder, Receiver, Supervised, free_port, process_exists, stays, wait_until};
use std::time::{Duration, Instant};

/// A control is polled every five seconds. What is noticed within this, time after time, was told.
const AT_ONCE: Duration = Duration::from_millis(1500);

/// A web server that answers 500 once it has found a file `sick`, which a new life removes.
const SERVER: &str = r#"
import http.server, os, sys
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(500 if os.path.exists(sys.argv[2]) else 200)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Page).serve_forever()
"#;

/// A minder and a web server, each under its supervisor.
pub struct Scene {
    receiver: Receiver,
    minder: Minder,
    service: Supervised,
}

impl Scene {
    pub fn new(program: &'static str) -> Scene {
        let (receiver, mut minder) = (Receiver::start(), Minder::new());
        let (port, sick) = (free_port(), minder.dir().join("sick"));
        std::fs::write(minder.dir().join("server.py"), SERVER).unwrap();
        let (at, sick) = (minder.dir().display(), sick.display());
        let run = format!("rm -f {sick}\nexec python3 {at}/server.py {port} {sick}");
        let service = Supervised::start(program, minder.dir(), "app", &[("run", &run)]);
        wait_until("it serves", SOON, || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        minder.write(&format!(
            r#"
notifiers:
  chat: {{ webhook: {{ url: "{}" }} }}
services:
  app:
    notify: [chat]
    grace: 2s
    settle: 2s
    control: {}
    checks:
      - process: supervised
        every: 1h
      - http: "http://127.0.0.1:{port}/"
        every: 500ms
    rules:
      - process.down -> restart
      - http.failed for 2 times -> restart
      - not control.alive -> notify
"#,
            receiver.url(),
            service.control(),
        ));
        minder.start();
        minder.wait_status("app", "ok", SOON);
        wait_until("minder watches it", SOON, || {
            minder.watched("app").is_some() && minder.watched("app") == service.pid()
        });
        Scene { receiver, minder, service }
    }

    pub fn gets_restarted_when_its_probe_fails(self) {
        let old = self.service.pid().unwrap();
        std::fs::write(self.minder.dir().join("sick"), "").unwrap();
        let new = self.minder.wait_replaced("app", old, SOON);
        assert_eq!(self.service.pid(), Some(new));
        let event = self.receiver.wait(SOON, &["minder.firing"]).json();
        assert_eq!(event["data"]["actions"][0]["ok"], true, "{event:#}");
        self.minder.wait_status("app", "ok", SOON);
    }

    pub fn stays_down_when_its_operator_took_it_down(self) {
        let old = self.service.pid().unwrap();
        self.service.order("down");
        wait_until("it is down", SOON, || !process_exists(old));
        self.minder.wait_status("app", "stopped", SOON);
        stays("nothing starts it", Duration::from_secs(4), || self.service.pid().is_none());
        assert!(self.receiver.requests().is_empty(), "no incident: {:#?}", self.receiver.requests());
        for _ in 0..3 {
            self.service.order("up");
            wait_until("it is up", SOON, || self.service.pid().is_some());
            let since = Instant::now();
            wait_until("that is noticed", SOON, || self.minder.watched("app") == self.service.pid());
            assert!(since.elapsed() < AT_ONCE, "noticed after {:?}", since.elapsed());
            self.service.order("down");
            self.minder.wait_status("app", "stopped", SOON);
        }
        self.service.order("up");
        self.minder.wait_status("app", "ok", SOON);
        assert!(self.receiver.requests().is_empty(), "no incident: {:#?}", self.receiver.requests());
    }

    pub fn says_that_its_supervisor_is_gone(mut self) {
        let lives = self.service.pid().unwrap();
        let since = Instant::now();
        self.service.kill_supervisor();
        self.receiver.wait(SOON, &["minder.firing", "control.alive"]);
        assert!(since.elapsed() < 2 * AT_ONCE, "told after {:?}", since.elapsed());
        assert!(process_exists(lives), "the service lives on");
    }

    pub fn tells_a_crash_loop_once(program: &'static str) {
        let (receiver, mut minder) = (Receiver::start(), Minder::new());
        let service = Supervised::start(program, minder.dir(), "app", &[("run", "exit 1")]);
        let (hook, control) = (receiver.url(), service.control());
        minder.write(&format!(
            "notifiers:\n  chat: {{ webhook: {{ url: \"{hook}\" }} }}\n\
             services:\n  app:\n    notify: [chat]\n    control: {control}\n"
        ));
        minder.start();
        receiver.wait(2 * SOON, &["minder.firing", "control.flapping"]);
        // It goes round once a second.
        stays("it is told once", Duration::from_secs(4), || receiver.requests().len() == 1);
    }
}
