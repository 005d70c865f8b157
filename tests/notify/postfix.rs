//! By mail, to Postfix: what most mail servers that one meets are. A private one, which ends with its test.

use super::support::{certificate, free_port, sweep, wait_for, wait_until};
use super::{message, plan, start};
use minder::model::{Authorities, Delivery, EmailSpec, Given, Mail, MailTls, NotifierPlace};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

struct Postfix {
    master: Child,
    dir: tempfile::TempDir,
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // Only while it is ours: its number cannot be another's before it is waited for.
        if matches!(self.master.try_wait(), Ok(None)) {
            let _ = kill_process_group(Pid::from_child(&self.master), Signal::KILL);
        }
        let _ = self.master.wait();
        sweep(self.dir.path());
    }
}

/// The number of a user or group.
fn number(file: &str, name: &str) -> u32 {
    let text = fs::read_to_string(file).unwrap();
    let line = text.lines().find(|line| line.split(':').next() == Some(name)).unwrap_or_else(|| panic!("no {name}"));
    line.split(':').nth(2).unwrap().parse().unwrap()
}

fn folder(path: &Path, owner: Option<&str>) -> PathBuf {
    fs::create_dir_all(path).unwrap();
    if let Some(owner) = owner {
        chown(path, Some(number("/etc/passwd", owner)), Some(number("/etc/group", owner))).unwrap();
    }
    path.to_owned()
}

/// One that takes mail for `example.org` over TLS only, and puts it into `mail`.
fn postfix(port: u16) -> (Postfix, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let at = |name: &str| dir.path().join(name);
    folder(&at("spool/pid"), None);
    for name in
        ["private", "public", "active", "incoming", "maildrop", "defer", "deferred", "bounce", "hold", "corrupt"]
    {
        folder(&at(&format!("spool/{name}")), Some("postfix"));
    }
    folder(&at("data"), Some("postfix"));
    folder(&at("mail"), Some("postfix"));
    let (cert, key, ca) = certificate(dir.path(), 4000);
    let here = dir.path().display();
    let owner = number("/etc/passwd", "postfix");
    let main = format!(
        "compatibility_level = 3.6\nqueue_directory = {here}/spool\ndata_directory = {here}/data\nmyhostname = mail.example\n\
         mydestination =\nmynetworks =\ndaemon_directory = /usr/lib/postfix/sbin\ncommand_directory = /usr/sbin\n\
         shlib_directory = /usr/lib/postfix\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\n\
         maillog_file = {here}/mail.log\nmaillog_file_prefixes = {here}\nalias_maps =\nsmtpd_tls_cert_file = {cert}\n\
         smtpd_tls_key_file = {key}\nsmtpd_tls_security_level = encrypt\nvirtual_mailbox_domains = example.org\n\
         virtual_mailbox_base = {here}/mail\nvirtual_mailbox_maps = inline:{{ops@example.org=box/}}\nvirtual_uid_maps = static:{owner}\n\
         virtual_gid_maps = static:{group}\nvirtual_minimum_uid = 1\n",
        cert = cert.display(),
        key = key.display(),
        group = number("/etc/group", "postfix"),
    );
    fs::write(at("main.cf"), main).unwrap();
    let services = "cleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\ntlsmgr unix - - n 1000? 1 tlsmgr\n\
                    rewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\n\
                    trace unix - - n - 0 bounce\nproxymap unix - - n - - proxymap\nvirtual unix - n n - - virtual\n\
                    anvil unix - - n - 1 anvil\nerror unix - - n - - error\nretry unix - - n - - error\n";
    let listener = format!("postlog unix-dgram n - n - 1 postlogd\n127.0.0.1:{port} inet n - n - - smtpd\n");
    fs::write(at("master.cf"), listener + services).unwrap();
    let mut command = Command::new("/usr/lib/postfix/sbin/master");
    command.arg("-c").arg(dir.path()).arg("-d").current_dir(dir.path()).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let master = command.env("PATH", path).spawn().expect("no Postfix; run tests/setup");
    wait_until("Postfix listens", SOON, || TcpStream::connect(("127.0.0.1", port)).is_ok());
    (Postfix { master, dir }, ca)
}

#[tokio::test(flavor = "multi_thread")]
async fn postfix_takes_a_letter_and_refuses_who_is_not_there() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let port = free_port();
    let (postfix, ca) = postfix(port);
    let server = vec![Given::literal(format!("127.0.0.1:{port}"))];
    let ca = Authorities { path: ca.to_str().unwrap().parse().unwrap(), pem: fs::read(ca).unwrap() };
    let from = Given::literal("Minder <minder@example.com>");
    let mail = Mail { server, tls: MailTls::Starttls, ca: Some(ca), user: None, password: None, from };
    let email = |to: &str| NotifierPlace::Email(EmailSpec::new(vec![Given::literal(to)]));
    let notifiers = vec![
        ("ops", email("ops@example.org")),
        ("nobody", email("eve@example.org")),
        ("elsewhere", email("ops@example.net")),
    ];
    let mut sent = start(&plan(Some(mail), notifiers), vec![message(1, "ops")]);
    assert_eq!(sent.outcome().await, (1, Delivery::Delivered { plainly: None }));
    let arrived = wait_for(
        || {
            format!(
                "it is in the mailbox: {}",
                fs::read_to_string(postfix.dir.path().join("mail.log")).unwrap_or_default()
            )
        },
        SOON,
        || fs::read_dir(postfix.dir.path().join("mail/box/new")).ok()?.next(),
    );
    let letter = fs::read_to_string(arrived.unwrap().path()).unwrap();
    for text in ["Delivered-To: ops@example.org", "Message-ID: <0af3-1@db1>", "List-Id: ", "multipart/alternative"] {
        assert!(letter.contains(text), "{text}\n{letter}");
    }
    sent.send(message(2, "nobody"));
    assert!(sent.dead().await.contains("550"), "it is known not to be there");
    sent.send(message(3, "elsewhere"));
    assert!(sent.deferred().await.contains("454"), "it may be told to send for us");
}
