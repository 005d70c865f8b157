use super::*;
use crate::daemon::RealClock;
use crate::model::{Authorities, MailTls, Message, Secret};
use crate::notify::render::tests::{another, firing, parcel};
use std::sync::Arc;

fn mail(servers: &[&str], tls: MailTls) -> Mail {
    Mail {
        server: servers.iter().map(|server| Given::literal(*server)).collect(),
        tls,
        ca: None,
        user: None,
        password: None,
        from: Given::literal("Minder <minder@example.org>"),
    }
}

fn to(address: &str) -> EmailSpec {
    EmailSpec::new(vec![Given::literal(address)])
}

fn composed(parcel: &Parcel) -> lettre::Message {
    let words = render::letter(parcel, &jiff::tz::TimeZone::UTC);
    compose(&to("ops@example.org"), &mail(&["x:25"], MailTls::None), parcel, words).unwrap()
}

fn head(parcel: &Parcel) -> String {
    let text = String::from_utf8(composed(parcel).formatted()).unwrap();
    let head = text.split("\r\n\r\n").next().unwrap().replace("\r\n", "\n");
    // What keeps the parts asunder is made up for each letter.
    head.split(" boundary=").next().unwrap().to_owned()
}

#[test]
fn a_letter_has_its_headers_and_says_it_twice() {
    insta::assert_snapshot!(head(&parcel(vec![firing()])));
    let text = String::from_utf8(composed(&parcel(vec![firing()])).formatted()).unwrap();
    let kinds: Vec<_> = text.lines().filter(|line| line.starts_with("Content-Type: ")).collect();
    assert!(kinds[0].starts_with("Content-Type: multipart/alternative"), "{kinds:?}");
    assert_eq!(kinds[1..], ["Content-Type: text/plain; charset=utf-8", "Content-Type: text/html; charset=utf-8"]);
    assert!(text.is_ascii(), "servers that take no more than seven bits are no reason not to send it");
}

#[test]
fn a_letter_of_several_is_in_the_thread_of_each_incident() {
    let mut several = parcel(vec![another("db", 14), firing(), another("mail", 13), another("mail", 13)]);
    several.key = "3f9a02c177-41.0badcafe".to_owned();
    let head = head(&several).replace("\n ", " ");
    let threads = "<incident-12.3f9a02c177@db1> <incident-13.3f9a02c177@db1> <incident-14.3f9a02c177@db1>";
    assert!(head.contains(&format!("References: {threads}\n")), "{head}");
    assert!(head.contains(&format!("In-Reply-To: {threads}\n")), "{head}");
    assert!(head.contains("Message-ID: <3f9a02c177-41.0badcafe@db1>"), "{head}");
    let many = parcel((0..100).map(|id| another("x", id)).collect());
    assert_eq!(threads_of(&many), THREADS);
}

fn threads_of(parcel: &Parcel) -> usize {
    threads(parcel, "db1").split(' ').count()
}

#[test]
fn no_header_can_be_smuggled_in() {
    let mut message: Message = firing();
    message.key = "k\r\nBcc: eve@example.org\r\n\r\n-9".into();
    message.story.host = "db1>\r\nBcc: eve@example.org".into();
    message.story.title = "web\r\nBcc: eve@example.org\r\n\r\nhello".into();
    message.story.service = "web\nBcc: eve@example.org".into();
    let mut parcel = parcel(vec![message]);
    parcel.to = "ops\r\nBcc: eve@example.org".into();
    let head = head(&parcel);
    assert!(!head.to_lowercase().lines().any(|line| line.starts_with("bcc:")), "{head}");
    assert_eq!(composed(&parcel).envelope().to().len(), 1);
}

#[test]
fn the_thread_is_the_same_for_all_messages_of_an_incident() {
    assert_eq!(instance("3f9a02c177-41"), "3f9a02c177");
    assert_eq!(instance("a-b-19aa2f3b4c5.7"), "a-b");
    assert_eq!(token("..a b<>"), "a-b--");
    assert_eq!(token(""), "minder");
}

#[test]
fn what_a_server_repeats_of_a_password_is_not_shown() {
    let mut mail = mail(&["x:25"], MailTls::None);
    let mut password = Given::literal("");
    password.resolve("hunter2".into());
    (mail.user, mail.password) = (Some("minder".into()), Some(Secret(password)));
    let secrets = secrets(&to("ops@example.org"), &mail);
    let answer = "500 unknown command: AUTH PLAIN AG1pbmRlcgBodW50ZXIy (hunter2, aHVudGVyMg==)";
    let shown = render::without(answer, secrets.iter().map(String::as_str));
    assert_eq!(shown, "500 unknown command: AUTH PLAIN [secret] ([secret], [secret])");
}

#[tokio::test]
async fn servers_that_say_nothing_are_given_up_one_after_the_other_and_all_in_time() {
    let silent: Vec<_> = (0..4).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let addresses: Vec<String> = silent.iter().map(|silent| silent.local_addr().unwrap().to_string()).collect();
    let mail = mail(&addresses.iter().map(String::as_str).collect::<Vec<_>>(), MailTls::None);
    let letter = composed(&parcel(vec![firing()]));
    let (names, partly) = (Names::default(), Partly::default());
    let (each, all) = (Duration::from_millis(200), Duration::from_millis(500));
    let way = Way { names: &names, partly: &partly, clock: &RealClock, each, all };
    let began = RealClock.now().mono;
    let failure = deliver_by(&way, &to("ops@example.org"), &mail, "k", &letter).await.unwrap_err();
    assert!(RealClock.now().mono - began < Duration::from_secs(3));
    let Failure::Later { why, .. } = &failure else { panic!("{failure}") };
    assert_eq!(why.matches("no answer within").count(), 3, "{why}");
    assert!(why.ends_with("not asked: 0.5 s are over"), "{why}");
}

/// A server that says this on each line of ours, and `end` without end after the last one. Its address, and what it was told.
fn says(answers: Vec<String>, end: &'static str) -> (String, std::thread::JoinHandle<String>) {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let told = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        let mut told = String::new();
        for (i, answer) in answers.iter().enumerate() {
            if i > 0 && lines.read_line(&mut told).is_err() {
                break;
            }
            if stream.write_all(answer.as_bytes()).is_err() {
                break;
            }
        }
        let more = end.repeat(1 + 4096 / end.len().max(1));
        while !end.is_empty() && stream.write_all(more.as_bytes()).is_ok() {}
        // What comes then is for somebody who speaks TLS.
        let mut rest = Vec::new();
        let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
        let _ = std::io::Read::read_to_end(&mut lines, &mut rest);
        told + &String::from_utf8_lossy(&rest)
    });
    (address, told)
}

async fn sent_to(address: &str, tls: MailTls, ca: Option<Authorities>) -> String {
    let mut mail = Mail { ca, ..mail(&[address], tls) };
    let mut password = Given::literal("");
    password.resolve("hunter2".into());
    (mail.user, mail.password) = (Some("minder".into()), Some(Secret(password)));
    let letter = composed(&parcel(vec![firing()]));
    let (names, partly) = (Names::default(), Partly::default());
    let (each, all) = (Duration::from_secs(20), Duration::from_secs(20));
    let way = Way { names: &names, partly: &partly, clock: &RealClock, each, all };
    deliver_by(&way, &to("ops@example.org"), &mail, "k", &letter).await.unwrap_err().to_string()
}

/// What a server for 127.0.0.1 speaks TLS with, and whom to trust for that.
fn certified() -> (Arc<rustls::ServerConfig>, Authorities) {
    let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let ca = Authorities { path: "/ca.pem".parse().unwrap(), pem: certified.cert.pem().into_bytes() };
    (Arc::new(config), ca)
}

/// Who sits between minder and the server must not speak in its name once the connection is secure: what was said too early is
/// not read as the answer to what is asked then.
#[tokio::test]
async fn what_was_said_before_tls_is_no_answer_of_a_secure_server() {
    let (config, ca) = certified();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        use std::io::{BufRead, BufReader, Read, Write};
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        stream.write_all(b"220 hi\r\n").unwrap();
        lines.read_line(&mut line).unwrap();
        stream.write_all(b"250-hi\r\n250 STARTTLS\r\n").unwrap();
        lines.read_line(&mut line).unwrap();
        stream.write_all(b"220 go\r\n250-liar\r\n250 AUTH PLAIN\r\n").unwrap();
        let mut tls = rustls::ServerConnection::new(config).unwrap();
        let mut secure = rustls::Stream::new(&mut tls, &mut stream);
        // Whatever it says within; it gets no answers.
        let mut said = Vec::new();
        let _ = secure.sock.set_read_timeout(Some(Duration::from_secs(1)));
        let mut chunk = [0; 1024];
        while let Ok(count @ 1..) = secure.read(&mut chunk) {
            said.extend_from_slice(&chunk[..count]);
        }
        String::from_utf8_lossy(&said).into_owned()
    });
    let why = sent_to(&address, MailTls::Starttls, Some(ca)).await;
    let said = server.join().unwrap();
    assert!(!said.contains("AUTH"), "the liar was believed, and heard {said:?}");
    assert!(why.contains("does not speak TLS"), "{why}");
}

#[tokio::test]
async fn neither_does_one_within_tls_talk_without_end() {
    let (config, ca) = certified();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        use std::io::Write;
        let (mut stream, _) = listener.accept().unwrap();
        let mut tls = rustls::ServerConnection::new(config).unwrap();
        let mut secure = rustls::Stream::new(&mut tls, &mut stream);
        let began = secure.write_all(b"220 hi").is_ok();
        while secure.write_all(&[b'2'; 4096]).is_ok() {}
        began
    });
    let why = sent_to(&address, MailTls::Tls, Some(ca)).await;
    assert!(why.contains("it talks without end"), "{why}");
    assert!(server.join().unwrap());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (config, _) = certified();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut tls = rustls::ServerConnection::new(config).unwrap();
        std::io::Write::write_all(&mut rustls::Stream::new(&mut tls, &mut stream), b"220 hi\r\n").is_ok()
    });
    let why = sent_to(&address, MailTls::Tls, None).await;
    assert!(why.contains("not signed by anyone who is trusted"), "{why}");
    let _ = server.join().unwrap();
}

#[tokio::test]
async fn a_server_that_talks_without_end_is_left() {
    let ready = || vec!["220 hi\r\n".to_owned()];
    for (answers, end) in [(vec![], "2"), (vec![], "220-hi\r\n"), (ready(), "250-X\r\n"), (ready(), "250 x")] {
        let began = RealClock.now().mono;
        let (address, server) = says(answers.clone(), end);
        let why = sent_to(&address, MailTls::None, None).await;
        assert!(why.contains("it talks without end") || why.contains("line too long"), "{answers:?} {end}: {why}");
        assert!(RealClock.now().mono - began < Duration::from_secs(5), "{answers:?} {end}");
        server.join().unwrap();
    }
}

#[tokio::test]
async fn a_password_is_for_who_asks_for_it_over_tls() {
    let greeting = vec!["220 hi\r\n".to_owned(), "250-hi\r\n250 AUTH PLAIN\r\n".to_owned()];
    let (address, server) = says(greeting, "");
    assert!(sent_to(&address, MailTls::Starttls, None).await.contains("STARTTLS is not supported"));
    assert!(!server.join().unwrap().contains("AUTH"));
}
