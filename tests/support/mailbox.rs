//! A real SMTP server with a mailbox that tests can read.

use super::{tool, wait_for};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// aiosmtpd, and what it has taken.
pub struct Mailbox {
    server: Child,
    dir: tempfile::TempDir,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl Mailbox {
    /// A server that takes mail from everybody.
    pub fn start() -> Mailbox {
        Mailbox::with(&[])
    }

    /// A server that wants this log-in, `user:password`.
    pub fn with_login(login: &str) -> Mailbox {
        Mailbox::with(&[login])
    }

    fn with(arguments: &[&str]) -> Mailbox {
        let dir = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/smtp_server.py");
        let mut server = Command::new(tool("venv/bin/python"))
            .arg("-Wignore")
            .arg(script)
            .arg(dir.path().join("mail"))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().expect("the SMTP server does not start");
        Mailbox { server, dir, port }
    }

    /// The address to write into a plan.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Every mail so far, whole, in no order, its quoted-printable body decoded.
    pub fn mails(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.dir.path().join("mail/new")) else { return Vec::new() };
        entries.filter_map(|e| std::fs::read_to_string(e.unwrap().path()).ok()).map(|mail| decoded(&mail)).collect()
    }

    /// The first mail that holds all of these texts; waits for it.
    #[track_caller]
    pub fn wait(&self, bound: Duration, texts: &[&str]) -> String {
        let what = || format!("a mail with {texts:?}; there are {:#?}", self.mails());
        wait_for(what, bound, || self.mails().into_iter().find(|mail| texts.iter().all(|text| mail.contains(text))))
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Long lines and letters beyond ASCII come quoted-printable.
fn decoded(mail: &str) -> String {
    let mail = mail.replace("\r\n", "\n");
    if !mail.to_lowercase().contains("content-transfer-encoding: quoted-printable") {
        return mail;
    }
    let joined = mail.replace("=\n", "");
    let mut bytes = Vec::new();
    let mut rest = joined.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let code = (first == b'=').then(|| tail.get(..2)).flatten();
        let byte = code.and_then(|c| u8::from_str_radix(std::str::from_utf8(c).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
