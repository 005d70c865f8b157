//! A real SMTP server with a mailbox that tests can read.

use super::{tool, wait_for};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
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

    /// The same, at this port.
    pub fn at(port: u16) -> Mailbox {
        Mailbox::within(tempfile::tempdir().unwrap(), port, &[])
    }

    /// A server that wants this log-in, `user:password`.
    pub fn with_login(login: &str) -> Mailbox {
        Mailbox::with(&[login])
    }

    /// A server that wants this log-in, and knows no other way of it than LOGIN.
    pub fn with_login_by_login(login: &str) -> Mailbox {
        Mailbox::with(&[login, "login-only"])
    }

    /// A server that wants STARTTLS and then this log-in, with a certificate for 127.0.0.1 of an authority of its own.
    /// Returns the authority's certificate, too.
    pub fn with_starttls(login: &str) -> (Mailbox, PathBuf) {
        Mailbox::with_certificate(login, 4000)
    }

    /// The same, with a certificate that is valid up to the end of a year.
    pub fn with_certificate(login: &str, until: i32) -> (Mailbox, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key, ca) = certificate(dir.path(), until);
        let mailbox = Mailbox::within(dir, 0, &[login, cert.to_str().unwrap(), key.to_str().unwrap()]);
        (mailbox, ca)
    }

    fn with(arguments: &[&str]) -> Mailbox {
        Mailbox::within(tempfile::tempdir().unwrap(), 0, arguments)
    }

    fn within(dir: tempfile::TempDir, port: u16, arguments: &[&str]) -> Mailbox {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/smtp_server.py");
        let mut server = Command::new(tool("venv/bin/python"))
            .arg("-Wignore")
            .arg(script)
            .arg(dir.path().join("mail"))
            .arg(port.to_string())
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

/// A certificate for 127.0.0.1, valid up to the end of a year, its key, and the certificate of the authority that signed it.
pub fn certificate(dir: &Path, until: i32) -> (PathBuf, PathBuf, PathBuf) {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.distinguished_name.push(DnType::CommonName, "test authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(until, 12, 31);
    let key = KeyPair::generate().unwrap();
    let signed = params.signed_by(&key, &authority).unwrap();
    let write = |name: &str, text: String| {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    (write("cert.pem", signed.pem()), write("cert.key", key.serialize_pem()), write("ca.pem", authority.pem()))
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
