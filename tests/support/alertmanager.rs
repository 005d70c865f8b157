//! Debian's Alertmanager of Prometheus, in a directory and on a port of its own.

use super::{free_port, wait_for};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// One that nobody else hears of.
pub struct Alertmanager {
    /// Where it listens.
    pub port: u16,
    child: Child,
    _dir: tempfile::TempDir,
}

impl Alertmanager {
    /// Starts one, and waits until it answers.
    #[track_caller]
    pub fn start() -> Alertmanager {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let config = dir.path().join("alertmanager.yml");
        std::fs::write(&config, "route: { receiver: none }\nreceivers: [{ name: none }]\n").unwrap();
        let child = Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", dir.path().display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Alertmanager { port, child, _dir: dir };
        wait_for(|| "an Alertmanager that answers".to_owned(), Duration::from_secs(20), || started.get());
        started
    }

    /// The alerts that are active, as its API shows them.
    pub fn alerts(&self) -> serde_json::Value {
        self.get().unwrap()
    }

    fn get(&self) -> Option<serde_json::Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        stream.write_all(b"GET /api/v2/alerts HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.split(' ').nth(1).filter(|status| *status == "200").and_then(|_| serde_json::from_str(body).ok())
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
