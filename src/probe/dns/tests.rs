use super::super::servers::net;
use super::*;
use crate::model::Kind;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const AMPLE: Duration = Duration::from_secs(10);

/// A server with the zone `example.org`, which does not know of any other; ended with its test.
struct Nsd {
    process: Child,
    _directory: TempDir,
    port: u16,
}

impl Drop for Nsd {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
        let _ = self.process.wait();
    }
}

const ZONE: &str = r#"
$ORIGIN example.org.
$TTL 60
@ SOA ns.example.org. Hostmaster.example.org. 7 3600 600 86400 60
@ NS ns
@ NS ns2.example.com.
@ MX 20 mail2
@ MX 10 Mail
@ TXT "v=spf1 " "-all"
@ CAA 0 issue "ca.example.net"
ns A 127.0.0.1
www A 192.0.2.2
www A 192.0.2.1
www AAAA 2001:db8::1
alias CNAME www
_sip._tcp SRV 0 5 5060 sip
1 PTR host
large TXT "TEXT-1"
large TXT "TEXT-2"
large TXT "TEXT-3"
"#;

impl Nsd {
    #[allow(clippy::disallowed_methods, reason = "a real server, which the test ends")]
    async fn start() -> Nsd {
        use std::os::unix::process::CommandExt;
        let directory = tempfile::Builder::new().prefix("minder-nsd-").tempdir().unwrap();
        let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let at = directory.path().display();
        let mut zone = ZONE.to_owned();
        for n in 1..=3 {
            zone = zone.replace(&format!("TEXT-{n}"), &n.to_string().repeat(250));
        }
        std::fs::write(directory.path().join("zone"), zone).unwrap();
        // A zone that cannot be read is answered for with SERVFAIL.
        let conf = format!(
            "server:\n  ip-address: 127.0.0.1@{port}\n  username: \"\"\n  chroot: \"\"\n  zonesdir: \"{at}\"\n  \
             database: \"\"\n  pidfile: \"{at}/pid\"\n  xfrdfile: \"{at}/xfrd\"\n  zonelistfile: \"{at}/list\"\n  \
             server-count: 1\n\
             remote-control:\n  control-enable: no\n\
             zone:\n  name: example.org\n  zonefile: zone\n\
             zone:\n  name: broken.example\n  zonefile: none\n"
        );
        std::fs::write(directory.path().join("conf"), conf).unwrap();
        let mut command = Command::new("/usr/sbin/nsd");
        command.arg("-d").arg("-c").arg(directory.path().join("conf"));
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
        let nsd = Nsd { process: command.spawn().expect("/usr/sbin/nsd is needed"), _directory: directory, port };
        for tries in 0.. {
            if nsd.ask("name: ns.example.org").await.reading(FAILED) == &Reading::Flag(false) {
                break;
            }
            let said = || std::fs::read_to_string(nsd._directory.path().join("log")).unwrap();
            assert!(tries < 500, "nsd does not answer: {}", said());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        nsd
    }

    async fn ask(&self, keys: &str) -> Sample {
        ask(&format!("{{ {keys}, server: '127.0.0.1:{}' }}", self.port), AMPLE).await
    }

    async fn answers(&self, keys: &str) -> String {
        let sample = self.ask(keys).await;
        assert_eq!((sample.reading(FAILED), &sample.note), (&Reading::Flag(false), &None), "{keys}");
        assert!(sample.reading(LATENCY).number().is_some_and(|latency| latency < 5.0));
        match sample.reading(ANSWERS) {
            Reading::Text(text) => text.to_string(),
            other => panic!("{other:?}"),
        }
    }
}

async fn ask(keys: &str, timeout: Duration) -> Sample {
    let keys = serde_yaml::Deserializer::from_str(keys);
    let Kind::Dns(spec) = Kind::read("dns", keys).unwrap().unwrap() else { panic!() };
    assert_eq!(spec.mistakes(), []);
    net().dns(&spec, timeout).await
}

#[track_caller]
fn failed(sample: &Sample, note: &str) {
    assert_eq!((sample.reading(FAILED), sample.note.as_deref()), (&Reading::Flag(true), Some(note)), "{sample:?}");
}

#[tokio::test]
async fn every_type_of_record_is_read() {
    let nsd = Nsd::start().await;
    for (keys, answers) in [
        ("name: www.example.org", "192.0.2.1, 192.0.2.2"),
        ("name: WWW.Example.Org.", "192.0.2.1, 192.0.2.2"),
        ("name: www.example.org, type: AAAA", "2001:db8::1"),
        ("name: alias.example.org", "192.0.2.1, 192.0.2.2"),
        ("name: alias.example.org, type: CNAME", "www.example.org"),
        ("name: example.org, type: MX", "10 mail.example.org, 20 mail2.example.org"),
        ("name: example.org, type: NS", "ns.example.org, ns2.example.com"),
        ("name: example.org, type: SOA", "ns.example.org hostmaster.example.org 7 3600 600 86400 60"),
        ("name: example.org, type: TXT", "v=spf1 -all"),
        ("name: example.org, type: CAA", "0 issue \"ca.example.net\""),
        ("name: _sip._tcp.example.org, type: SRV", "0 5 5060 sip.example.org"),
        ("name: 1.example.org, type: PTR", "host.example.org"),
        ("name: www.example.org, expect: ['192.0.2.2', '192.0.2.1']", "192.0.2.1, 192.0.2.2"),
        ("name: example.org, type: MX, expect: ['10 Mail.example.org.']", "10 mail.example.org, 20 mail2.example.org"),
    ] {
        assert_eq!(nsd.answers(keys).await, answers);
    }
    // It does not fit into a datagram.
    assert_eq!(nsd.answers("name: large.example.org, type: TXT").await.len(), 3 * 250 + 4);
}

#[tokio::test]
async fn what_is_no_good_answer_is_told() {
    let nsd = Nsd::start().await;
    let sample = nsd.ask("name: nobody.example.org").await;
    failed(&sample, "there is no such name: nobody.example.org (NXDOMAIN)");
    assert!(sample.reading(LATENCY).number().is_some() && sample.reading(ANSWERS) == &Reading::Absent);
    failed(&nsd.ask("name: www.example.org, type: MX").await, "there is no MX record of www.example.org");
    failed(&nsd.ask("name: www.example.net").await, "the server refuses to answer (REFUSED)");
    failed(&nsd.ask("name: www.broken.example").await, "the server cannot find out (SERVFAIL)");
    let sample = nsd.ask("name: www.example.org, expect: ['192.0.2.9']").await;
    failed(&sample, "192.0.2.9 is not among the answers: 192.0.2.1, 192.0.2.2");
    assert_eq!(sample.reading(ANSWERS), &Reading::Text("192.0.2.1, 192.0.2.2".into()));
}

/// A server that answers each question with what this makes of it, if anything; by number.
async fn odd(answer: impl Fn(usize, &[u8]) -> Vec<Vec<u8>> + Send + 'static) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        for number in 0.. {
            let Ok((length, from)) = socket.recv_from(&mut buffer).await else { return };
            for message in answer(number, &buffer[..length]) {
                let _ = socket.send_to(&message, from).await;
            }
        }
    });
    format!("{{ name: a.example, server: '{address}' }}")
}

/// A good answer to a question: 192.0.2.7.
fn good(asked: &[u8]) -> Vec<u8> {
    let mut message = asked.to_vec();
    message[2] |= 0x80;
    message[7] = 1;
    message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 7]);
    message
}

#[tokio::test]
async fn one_lost_question_is_asked_again() {
    let server = odd(|number, asked| if number == 0 { Vec::new() } else { vec![good(asked)] }).await;
    let sample = ask(&server, Duration::from_secs(1)).await;
    assert_eq!(sample.reading(FAILED), &Reading::Flag(false), "{sample:?}");
    assert!((0.5..1.0).contains(&sample.reading(LATENCY).number().unwrap()), "{sample:?}");
    let silent = odd(|_, _| Vec::new()).await;
    let sample = ask(&silent, Duration::from_millis(100)).await;
    failed(&sample, "the server has not answered within 100 ms");
}

#[tokio::test]
async fn who_guesses_is_not_heard_and_who_talks_nonsense_is_told() {
    // Before the answer come three with another number, another question, and nothing in them.
    let server = odd(|_, asked| {
        let (mut guessed, mut other) = (good(asked), good(asked));
        guessed[0] ^= 1;
        other[13] = b'b';
        for lie in [&mut guessed, &mut other] {
            *lie.last_mut().unwrap() = 66;
        }
        vec![guessed, other, Vec::new(), good(asked)]
    });
    let sample = ask(&server.await, AMPLE).await;
    assert_eq!(sample.reading(ANSWERS), &Reading::Text("192.0.2.7".into()), "{sample:?}");
    let nonsense = odd(|_, asked| vec![good(asked)[..asked.len() + 5].to_vec()]).await;
    failed(&ask(&nonsense, AMPLE).await, "the server's answer makes no sense");
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    failed(&ask(&format!("{{ name: a.example, server: '{nobody}' }}"), AMPLE).await, "connection refused");
}

#[test]
fn the_machines_own_server_is_the_first_of_its_list() {
    let conf = "# a\n;nameserver 192.0.2.1\nsearch x\n nameserver\t192.0.2.2 \nnameserver 192.0.2.3\n";
    assert_eq!(first_server(conf), Ok("192.0.2.2".parse().unwrap()));
    assert_eq!(first_server(""), Ok(Ipv4Addr::LOCALHOST.into()));
    assert!(matches!(first_server("nameserver fe80::1%eth0\n"), Err(Trouble::Ours(_))));
}
