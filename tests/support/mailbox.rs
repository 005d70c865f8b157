//! A real SMTP server with a mailbox that tests can read.

use super::{tool, wait_for};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
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

    /// A server that wants STARTTLS and then this log-in, with a certificate for 127.0.0.1 of an authority of its own.
    /// Returns the authority's certificate, too.
    pub fn with_starttls(login: &str) -> (Mailbox, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let (ca, ca_key, cert, key) = (at("ca.pem"), at("ca.key"), at("cert.pem"), at("cert.key"));
        let request = |more: &[&str]| {
            let mut command = Command::new("openssl");
            command.args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ]);
            assert!(command.args(more).stderr(Stdio::null()).status().unwrap().success(), "openssl req {more:?}");
        };
        request(&["-subj", "/CN=test authority", "-keyout", &ca_key, "-out", &ca]);
        let (name, leaf) = ("subjectAltName=IP:127.0.0.1", "basicConstraints=critical,CA:FALSE");
        let by = ["-CA", &ca, "-CAkey", &ca_key, "-addext", name, "-addext", leaf];
        request(&[&["-subj", "/CN=mail", "-keyout", &key, "-out", &cert][..], &by].concat());
        let ca = PathBuf::from(ca);
        (Mailbox::within(dir, &[login, &cert, &key]), ca)
    }

    fn with(arguments: &[&str]) -> Mailbox {
        Mailbox::within(tempfile::tempdir().unwrap(), arguments)
    }

    fn within(dir: tempfile::TempDir, arguments: &[&str]) -> Mailbox {
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
