use super::super::servers::*;
use super::*;
use crate::model::Kind;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

async fn ask(keys: &str) -> Sample {
    let keys = serde_yaml::Deserializer::from_str(keys);
    let Kind::Certificate(spec) = Kind::read("certificate", keys).unwrap().unwrap() else { panic!() };
    assert_eq!(spec.mistakes(), []);
    net().certificate(CheckId(1), &spec, AMPLE).await
}

#[track_caller]
fn words(sample: &Sample, metric: MetricId) -> &str {
    match sample.reading(metric) {
        Reading::Text(text) => text,
        other => panic!("{other:?} {sample:?}"),
    }
}

#[track_caller]
fn well(sample: &Sample) {
    assert_eq!((sample.reading(FAILED), &sample.note), (&Reading::Flag(false), &None));
    assert!(sample.reading(EXPIRES).number().unwrap() > 3e10, "{sample:?}");
}

#[track_caller]
fn failed(sample: &Sample, note: &str) {
    let said = sample.note.as_deref().unwrap_or_default();
    assert_eq!(sample.reading(FAILED), &Reading::Flag(true), "{sample:?}");
    assert!(said.starts_with(note), "{said}");
}

#[tokio::test]
async fn a_servers_certificate_is_read_and_judged() {
    let authority = Authority::new("one");
    let nginx = Nginx::start(&[
        authority.sign("localhost", 2999),
        authority.sign("localhost", 2020),
        authority.sign("other.example", 2999),
        self_signed("localhost", 2999),
    ]);
    let ca = write(&nginx.path("ca"), &authority.pem());
    let [plain, good, expired, other, own] = nginx.ports[..] else { panic!() };
    let at = |port: u16, more: &str| format!("{{ address: 'localhost:{port}', tls: {{ ca: {ca}{more} }} }}");
    let blind = |port: u16| format!("{{ address: 'localhost:{port}', tls: {{ verify: false }} }}");

    let sample = ask(&at(good, "")).await;
    well(&sample);
    assert_eq!((words(&sample, ISSUER), words(&sample, NAMES)), ("one", "localhost"));
    let sample = ask(&at(expired, "")).await;
    failed(&sample, "certificate expired ");
    assert_eq!((sample.reading(EXPIRES), words(&sample, ISSUER)), (&Reading::Number(0.0), "one"));
    // Who has signed it is not asked; whether it is in its time is what the check is for.
    failed(&ask(&blind(expired)).await, "certificate expired ");
    well(&ask(&blind(own)).await);
    let sample = ask(&at(other, "")).await;
    failed(&sample, "the certificate is for another name: other.example");
    assert!(sample.reading(EXPIRES).number().unwrap() > 3e10);
    well(&ask(&at(other, ", name: other.example")).await);
    let sample = ask(&at(own, "")).await;
    failed(&sample, "the certificate is self-signed");
    assert!(sample.reading(EXPIRES).number().unwrap() > 3e10);
    let sample = ask(&at(plain, "")).await;
    failed(&sample, "the server does not speak TLS");
    assert_eq!(sample.reading(EXPIRES), &Reading::Unknown);
    failed(&ask("{ address: 'localhost:1' }").await, "connection refused");
}

#[tokio::test]
async fn a_certificate_in_a_file_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new("one");
    let good = authority.sign("a.example", 2999);
    let file = |pem: &str| format!("file: {}", write(&dir.path().join("pem"), pem));
    // A chain begins with the certificate itself.
    let chain = format!("some text\n{}{}", good.certificate, authority.sign("b", 2020).certificate);
    let sample = ask(&file(&chain)).await;
    well(&sample);
    assert_eq!((words(&sample, ISSUER), words(&sample, NAMES)), ("one", "a.example"));
    failed(&ask(&file(&authority.sign("a", 2020).certificate)).await, "certificate expired ");
    let der = CertificateDer::from_pem_slice(good.certificate.as_bytes()).unwrap();
    let path = dir.path().join("der");
    let bytes = async |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        ask(&format!("file: {}", path.display())).await
    };
    well(&bytes(&der).await);
    let none = format!("{}: it holds no certificate, neither in PEM nor in DER form", path.display());
    failed(&bytes(b"x").await, &none);
    failed(&bytes(b"-----BEGIN CERTIFICATE-----\n!").await, &none);
    failed(&bytes(&vec![b'x'; 2 << 20]).await, &format!("{}: it is larger than 1 MiB", path.display()));
    failed(&ask("file: /no/such.pem").await, "/no/such.pem: there is no such file");
    failed(&ask("file: /dev/null").await, "/dev/null: not a regular file");
}

#[test]
fn one_that_is_not_yet_valid_has_failed() {
    let at = |wall| Now { mono: Mono(0), wall: crate::model::Wall(wall) };
    let (not_before, not_after) = (at(1000).wall, at(2000).wall);
    let certificate = Certificate { not_before, not_after, issuer: String::new(), names: String::new() };
    let judged = |wall| in_its_time(&certificate, at(wall)).map_err(|trouble| trouble.why().to_owned());
    assert_eq!(judged(0), Err("certificate valid only in 1 s".to_owned()));
    assert_eq!((judged(1000), judged(2000)), (Ok(()), Ok(())));
    assert_eq!(judged(4000), Err("certificate expired 2 s ago".to_owned()));
}

/// A server with a certificate, in a directory of its own; ends with its test.
struct Server {
    process: Child,
    directory: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
        let _ = self.process.wait();
    }
}

fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

#[allow(clippy::disallowed_methods, reason = "real servers, which the test ends")]
impl Server {
    /// `prepare` writes its configuration into the directory, where `cert.pem` and `key.pem` are, and says how it is started.
    async fn start(ports: &[u16], prepare: impl FnOnce(&Path) -> Vec<String>) -> Server {
        use std::os::unix::process::CommandExt;
        let directory = tempfile::Builder::new().prefix("minder-tls-").tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let authority = Authority::new("one");
        let signed = authority.sign("localhost", 2999);
        write(&at("cert.pem"), &signed.certificate);
        write(&at("key.pem"), &signed.key);
        write(&at("ca.pem"), &authority.pem());
        let argv = prepare(directory.path());
        let mut command = Command::new(&argv[0]);
        let log = std::fs::File::create(at("out")).unwrap();
        command.args(&argv[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
        let server = Server { process: command.spawn().unwrap(), directory };
        for port in ports {
            let mut tries = 0;
            while std::net::TcpStream::connect(("127.0.0.1", *port)).is_err() {
                tries += 1;
                let said = || std::fs::read_to_string(server.directory.path().join("out")).unwrap();
                assert!(tries < 1000, "{argv:?} does not listen on {port}: {}", said());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        server
    }

    async fn ask(&self, how: &str, port: u16) -> Sample {
        let ca = self.directory.path().join("ca.pem");
        ask(&format!("{{ address: 'localhost:{port}', starttls: {how}, tls: {{ ca: {} }} }}", ca.display())).await
    }
}

fn argv(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[allow(clippy::disallowed_methods, reason = "runs it to its end")]
fn run(words: &[String]) {
    let status = Command::new(&words[0]).args(&words[1..]).stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{words:?}");
}

#[tokio::test]
async fn mail_servers_begin_tls_when_asked() {
    let [imap, pop3, smtp] = free_ports();
    let server = Server::start(&[imap, pop3, smtp], |dir| {
        let at = dir.display();
        let service = |name: &str, port: u16, other: &str| {
            format!(
                "service {name}-login {{\n  chroot =\n  inet_listener {name} {{\n    address = 127.0.0.1\n    port = {port}\n  }}\n\
                 {other}}}\n"
            )
        };
        let off = |name: &str| format!("  inet_listener {name} {{\n    port = 0\n  }}\n");
        let conf = format!(
            "base_dir = {at}/run\nlog_path = {at}/log\nprotocols = imap pop3 submission\nssl = yes\n\
             ssl_cert = <{at}/cert.pem\nssl_key = <{at}/key.pem\nmail_location = maildir:{at}/mail\nhostname = localhost\n\
             submission_relay_host = 127.0.0.1\npassdb {{\n  driver = static\n  args = password=x\n}}\n{}{}{}",
            service("imap", imap, &off("imaps")),
            service("pop3", pop3, &off("pop3s")),
            service("submission", smtp, ""),
        );
        let path = write(&dir.join("conf"), &conf);
        argv(&["/usr/sbin/dovecot", "-F", "-c", &path])
    })
    .await;
    for (how, port) in [("imap", imap), ("pop3", pop3), ("smtp", smtp)] {
        let sample = server.ask(how, port).await;
        well(&sample);
        assert_eq!(words(&sample, NAMES), "localhost");
    }
    failed(&server.ask("imap", pop3).await, "instead of beginning TLS the server says \"+OK Dovecot");
}

#[tokio::test]
async fn a_file_server_begins_tls_when_asked() {
    let [port] = free_ports();
    let server = Server::start(&[port], |dir| {
        let at = dir.display();
        let conf = format!(
            "listen=YES\nlisten_address=127.0.0.1\nlisten_port={port}\nbackground=NO\nanonymous_enable=YES\nssl_enable=YES\n\
             rsa_cert_file={at}/cert.pem\nrsa_private_key_file={at}/key.pem\nsecure_chroot_dir={at}\n"
        );
        let path = write(&dir.join("conf"), &conf);
        argv(&["/usr/sbin/vsftpd", &path])
    })
    .await;
    well(&server.ask("ftp", port).await);
}

#[tokio::test]
async fn a_database_begins_tls_when_asked() {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("postgresql is needed").flatten();
    let programs = versions.map(|entry| entry.path().join("bin")).max().unwrap();
    let [port] = free_ports();
    let server = Server::start(&[port], |dir| {
        let data = dir.join("data").display().to_string();
        run(&argv(&["chown", "postgres", &dir.display().to_string()]));
        let as_postgres = |program: &str| {
            let program = programs.join(program).display().to_string();
            argv(&["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", &program, "-D", &data])
        };
        run(&[as_postgres("initdb"), argv(&["--no-sync"])].concat());
        for (from, to) in [("cert.pem", "server.crt"), ("key.pem", "server.key")] {
            let to = format!("{data}/{to}");
            run(&argv(&["install", "-o", "postgres", "-m", "600", &dir.join(from).display().to_string(), &to]));
        }
        let more = ["-p", &port.to_string(), "-k", &data, "-c", "ssl=on", "-c", "fsync=off", "-h", "127.0.0.1"];
        [as_postgres("postgres"), argv(&more)].concat()
    })
    .await;
    well(&server.ask("postgresql", port).await);
}
