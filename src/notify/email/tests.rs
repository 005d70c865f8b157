use super::*;
use crate::daemon::RealClock;
use crate::model::{MailTls, Message, Secret};
use crate::notify::render::tests::{another, firing, parcel};

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
