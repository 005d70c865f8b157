//! Servers that are hostile, broken, or something else than they should be: every protocol gets through all of them. What real
//! servers do is in `tests/protocols/`.

use super::super::servers::*;
use super::*;
use crate::model::Kind;
use futures_util::future::join_all;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

const SHORT: Duration = Duration::from_millis(300);

/// Everything that is asked over a connection, with a login where there is one.
fn conversations(at: SocketAddr) -> Vec<(ProtocolName, String)> {
    let mut all = Vec::new();
    for name in ProtocolName::ALL.iter().filter(|name| !name.is_udp()) {
        let address = format!("name: {}, address: '{at}'", name.word());
        match name {
            ProtocolName::Talk => {
                all.push((*name, format!("{address}, steps: [{{ send: hello, expect: '^welcome' }}]")))
            }
            _ => all.push((*name, address.clone())),
        }
        if name.keys().contains(&"user") {
            all.push((*name, format!("{address}, user: somebody, password: {{ env: PASSWORD }}")));
        }
        if name.keys().contains(&"path") {
            all.push((*name, format!("{address}, path: /somewhere")));
        }
    }
    all
}

async fn ask(keys: &str, timeout: Duration) -> Seen {
    let spec = protocol_of(&format!("{{ {keys} }}"), "tops3cret");
    Seen(net().protocol(&spec, MetricSet::ALL, timeout).await)
}

/// All of them are asked of a server; none may be well. Returns the notes.
#[track_caller]
fn none_is_well(seen: &[(ProtocolName, Seen)]) {
    for (name, seen) in seen {
        assert_eq!(seen.protocol("failed"), &Reading::Flag(true), "{name:?}: {}", seen.note());
        assert!(!seen.note().is_empty() && !seen.note().contains("tops3cret"), "{name:?}: {}", seen.note());
        assert_eq!(seen.protocol("latency"), &Reading::Unknown, "{name:?}");
    }
}

async fn ask_all(at: SocketAddr, timeout: Duration) -> Vec<(ProtocolName, Seen)> {
    join_all(conversations(at).into_iter().map(async |(name, keys)| (name, ask(&keys, timeout).await))).await
}

/// A server that says this and then holds the connection.
async fn saying(said: impl Into<Vec<u8>>) -> SocketAddr {
    let said: std::sync::Arc<[u8]> = said.into().into();
    server(move |mut stream: TcpStream| {
        let said = std::sync::Arc::clone(&said);
        async move {
            let _ = stream.write_all(&said).await;
            hang(stream).await;
        }
    })
    .await
}

/// A server that says this over and over.
async fn endless(said: &'static [u8]) -> SocketAddr {
    server(move |stream: TcpStream| async move {
        let (mut from, mut to) = stream.into_split();
        let reading = tokio::spawn(async move { tokio::io::copy(&mut from, &mut tokio::io::sink()).await });
        let block = said.repeat(4096 / said.len() + 1);
        while to.write_all(&block).await.is_ok() {}
        reading.abort();
    })
    .await
}

#[test]
fn the_places_of_the_metrics_are_right() {
    let metrics = Kind::metrics_of("protocol").unwrap();
    for (id, name) in [(FAILED, "failed"), (LATENCY, "latency"), (VERSION, "version"), (CERT_EXPIRES, "cert.expires")] {
        assert_eq!(metrics[usize::from(id.0)].name, name);
    }
}

#[tokio::test]
async fn silence_is_no_answer() {
    let seen = ask_all(saying("").await, SHORT).await;
    none_is_well(&seen);
    for (name, seen) in &seen {
        assert!(
            seen.note().starts_with("no answer within 300 ms (connected, waiting for the "),
            "{name:?} {}",
            seen.note()
        );
    }
}

#[tokio::test]
async fn neither_is_a_closed_door() {
    let seen = ask_all(server(|_| async {}).await, AMPLE).await;
    none_is_well(&seen);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (name, seen) in ask_all(closed, AMPLE).await {
        assert_eq!(seen.note(), "connection refused", "{name:?}");
    }
}

#[tokio::test]
async fn one_who_speaks_something_else_is_found_out() {
    let http = saying("HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nContent-Length: 0\r\n\r\n").await;
    let seen = ask_all(http, SHORT).await;
    none_is_well(&seen);
    for (name, seen) in &seen {
        // Three take its first bytes for something that goes on; what is waited for then does not come.
        let known = seen.note().contains("HTTP/1.1 400") || seen.note().contains("no answer within");
        assert!(known || *name == ProtocolName::Talk, "{name:?}: {}", seen.note());
    }
    let redis = seen.iter().find(|(name, _)| *name == ProtocolName::Redis).unwrap();
    redis.1.failed("it does not answer as redis does: HTTP/1.1 400 Bad Request");
    let ssh = saying("SSH-2.0-OpenSSH_9.2\r\n").await;
    let others = ask_all(ssh, SHORT).await.into_iter().filter(|(name, _)| *name != ProtocolName::Ssh);
    none_is_well(&others.collect::<Vec<_>>());
}

/// What a server says without end is not kept, and not listened to for longer than 64 KiB.
#[tokio::test]
async fn one_who_never_ends_is_cut_short() {
    for said in
        [&b"x"[..], b"\n", b"\0", b"\xff", b"220-x\r\n", b"* x\r\n", b"@RSYNCD: 31.0\n", b"+OK\r\n", b"INFO {}\r\n"]
    {
        let seen = ask_all(endless(said).await, AMPLE).await;
        for (name, seen) in &seen {
            // What happens to be right may be well.
            assert_ne!(seen.protocol("failed"), &Reading::Unknown, "{name:?}: {}", seen.note());
            assert!(!seen.note().contains("no answer within"), "{name:?} {said:?}: {}", seen.note());
            assert!(seen.0.took < Duration::from_secs(10), "{name:?} {said:?}");
        }
    }
}

/// Heads of messages with the largest length that they can name, where the protocol has a length.
#[tokio::test]
async fn a_length_is_not_believed() {
    let heads: [(ProtocolName, &[u8]); 12] = [
        (ProtocolName::Redis, b"+PONG\r\n$99999999999999\r\n"),
        (ProtocolName::Redis, b"+PONG\r\n$-5\r\n"),
        (ProtocolName::Postgresql, b"R\x7f\xff\xff\xff\0\0\0\0"),
        (ProtocolName::Postgresql, b"R\0\0\0\0"),
        (ProtocolName::Mysql, b"\xff\xff\xff\x00\x0a5.5"),
        (ProtocolName::Ldap, b"\x30\x84\xff\xff\xff\xff\x02"),
        (ProtocolName::Amqp, b"\x01\0\0\xff\xff\xff\xff\0\x0a\0\x0a"),
        (ProtocolName::Mongodb, b"\xff\xff\xff\x7f\0\0\0\0\x01\0\0\0\xdd\x07\0\0"),
        (ProtocolName::Fastcgi, b"\x01\x06\0\x01\xff\xff\xff\0"),
        (ProtocolName::Git, b"ffff"),
        (ProtocolName::Mqtt, b"\x20\xff"),
        (ProtocolName::Ajp, b"AB\xff\xff\x09"),
    ];
    for (name, head) in heads {
        let at = saying(head).await;
        for (asked, keys) in conversations(at) {
            if asked == name {
                let seen = ask(&keys, SHORT).await;
                // A version that cannot be had is no failure of redis.
                let well = name == ProtocolName::Redis && head.contains(&b'-') && !keys.contains("user");
                assert_eq!(seen.protocol("failed"), &Reading::Flag(!well), "{keys}: {}", seen.note());
            }
        }
    }
}

/// Good answers of real servers, as far as they do not depend on what was asked.
fn recorded() -> Vec<(ProtocolName, Vec<u8>)> {
    let mysql = [
        &b"\x63\0\0\0\x0a5.5.5-10.11.4-MariaDB\0\x2f\0\0\0abcdefgh\0\xfe\xf7\x2d\x02\0\xff\x81\x15\0\0\0\0\0\0\x1d\0\0\0"[..],
        b"ijklmnopqrst\0mysql_native_password\0",
    ]
    .concat();
    let mut mysql = mysql;
    mysql[0] = (mysql.len() - 4) as u8;
    mysql.extend(b"\x07\0\0\x02\0\0\0\x02\0\0\0");
    let amqp =
        b"\x01\0\0\0\0\0\x2f\0\x0a\0\x0a\0\x09\0\0\0\x13\x07versionS\0\0\0\x063.10.8\0\0\0\x05PLAIN\0\0\0\x05en_US\xce";
    let mongodb = b"\x26\0\0\0\x63\0\0\0\x01\0\0\0\xdd\x07\0\0\0\0\0\0\0\x11\0\0\0\x01ok\0\0\0\0\0\0\0\xf0\x3f\0";
    let postgresql = b"R\0\0\0\x08\0\0\0\0S\0\0\0\x18server_version\x0015.6\0Z\0\0\0\x05I";
    let fastcgi =
        b"\x01\x06\0\x01\0\x11\x07\0Status: 200\r\n\r\nok\0\0\0\0\0\0\0\x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0";
    let git = b"004faaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa HEAD\0side-band agent=git/2.39.5 x\n";
    vec![
        (ProtocolName::Redis, b"+PONG\r\n".to_vec()),
        (ProtocolName::Memcached, b"VERSION 1.6.18\r\n".to_vec()),
        (ProtocolName::Postgresql, postgresql.to_vec()),
        (ProtocolName::Mysql, mysql),
        (ProtocolName::Smtp, b"220 mail ESMTP Exim 4.96 Fri\r\n250-mail\r\n250 HELP\r\n250 OK\r\n".to_vec()),
        (ProtocolName::Imap, b"* OK ready\r\n* 1 EXISTS\r\na OK done\r\n".to_vec()),
        (ProtocolName::Pop3, b"+OK ready\r\n+OK\r\nCAPA\r\n.\r\n".to_vec()),
        (ProtocolName::Ftp, b"220-Hello\r\n there\r\n220 (vsFTPd 3.0.3)\r\n530 Log in.\r\n".to_vec()),
        (ProtocolName::Ssh, b"Welcome\r\nSSH-2.0-OpenSSH_9.2p1 Debian\r\n".to_vec()),
        (ProtocolName::Ldap, b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\0\x04\0\x04\0".to_vec()),
        (ProtocolName::Mqtt, b"\x20\x02\0\0\xd0\0".to_vec()),
        (ProtocolName::Amqp, amqp.to_vec()),
        (ProtocolName::Nats, b"INFO {\"version\":\"2.9.10\",\"auth_required\":false}\r\nINFO {}\r\nPONG\r\n".to_vec()),
        (ProtocolName::Mongodb, mongodb.to_vec()),
        (ProtocolName::Rsync, b"@RSYNCD: 31.0 sha512\nfiles\t\n@RSYNCD: EXIT\n".to_vec()),
        (ProtocolName::Git, git.to_vec()),
        (ProtocolName::Fastcgi, fastcgi.to_vec()),
        (ProtocolName::Ajp, b"AB\0\x01\x09".to_vec()),
        (ProtocolName::Talk, b"welcome".to_vec()),
    ]
}

fn keys_of(name: ProtocolName, at: SocketAddr) -> String {
    let more = match name {
        ProtocolName::Talk => ", steps: [{ expect: '^welcome$' }]",
        ProtocolName::Fastcgi => ", path: /ping",
        _ => "",
    };
    format!("name: {}, address: '{at}'{more}", name.word())
}

/// Asked without wanting a version: what is asked last is what was recorded.
async fn ask_plainly(name: ProtocolName, at: SocketAddr) -> Seen {
    let spec = protocol_of(&format!("{{ {} }}", keys_of(name, at)), "");
    Seen(net().protocol(&spec, MetricSet::default(), AMPLE).await)
}

/// Says this, then hears all and closes.
async fn brief(said: Vec<u8>) -> SocketAddr {
    let said: std::sync::Arc<[u8]> = said.into();
    server(move |mut stream: TcpStream| {
        let said = std::sync::Arc::clone(&said);
        async move {
            let _ = stream.write_all(&said).await;
            let _ = stream.shutdown().await;
            let mut heard = vec![0; 4096];
            while stream.read(&mut heard).await.is_ok_and(|read| read > 0) {}
        }
    })
    .await
}

#[tokio::test]
async fn a_good_answer_is_good_and_any_part_of_it_is_not() {
    for (name, answer) in recorded() {
        let seen = ask_plainly(name, brief(answer.clone()).await).await;
        assert_eq!(seen.protocol("failed"), &Reading::Flag(false), "{name:?}: {}", seen.note());
        // What ends the answer may be missing where the last line is complete without it.
        for end in 0..answer.len() - 2 {
            let seen = ask_plainly(name, brief(answer[..end].to_vec()).await).await;
            let early = matches!(name, ProtocolName::Fastcgi | ProtocolName::Ssh) && end > answer.len() - 8;
            if !early {
                assert_eq!(seen.protocol("failed"), &Reading::Flag(true), "{name:?} up to {end}: {}", seen.note());
            }
        }
    }
}

/// Every byte of every answer, changed in a few ways: nothing panics, hangs, or is our own fault.
#[tokio::test]
async fn an_answer_with_one_wrong_byte_is_judged_all_the_same() {
    for (name, answer) in recorded() {
        let cases = (0..answer.len()).flat_map(|at| [0x00, 0x80, 0xff, b'\n'].map(|byte| (at, byte)));
        let asking = cases.map(|(place, byte)| {
            let mut answer = answer.clone();
            answer[place] = byte;
            async move {
                let seen = ask_plainly(name, brief(answer).await).await;
                assert_ne!(seen.protocol("failed"), &Reading::Unknown, "{name:?} {place} {byte}: {}", seen.note());
                assert!(!seen.note().contains("no answer within"), "{name:?} {place} {byte}: {}", seen.note());
            }
        });
        join_all(asking).await;
    }
}

#[tokio::test]
async fn what_a_server_says_is_shown_in_plain_words() {
    let at = brief(b"421 too \x1b[31mbusy, tops3cret\xff\r\n".to_vec()).await;
    let keys = format!("name: smtp, address: '{at}', user: somebody, password: {{ env: PASSWORD }}");
    ask(&keys, AMPLE).await.failed("it answered: 421 too  [31mbusy, [secret]\u{fffd}");
    let at = brief(format!("-LOADING {}\r\n", "x".repeat(1000)).into_bytes()).await;
    let seen = ask(&format!("name: redis, address: '{at}'"), AMPLE).await;
    assert!(seen.note().starts_with("it answered: LOADING xxx") && seen.note().chars().count() <= 200);
    // A version is the server's word, too.
    let at = brief(b"VERSION 1\x1b[31m\r\n".to_vec()).await;
    let seen = ask(&format!("name: memcached, address: '{at}'"), AMPLE).await;
    assert_eq!(seen.protocol("version"), &Reading::Text("1 [31m".into()));
}

#[tokio::test]
async fn what_the_check_lacks_is_not_the_servers_fault() {
    let at = brief(b"* OK ready\r\na OK done\r\n".to_vec()).await;
    let keys = format!("{{ name: imap, address: '{at}', user: a, password: {{ env: PASSWORD }} }}");
    let spec = protocol_of(&keys, "two\r\nlines");
    let seen = Seen(net().protocol(&spec, MetricSet::ALL, AMPLE).await);
    seen.unasked("the password has a line break");
    // A login of MariaDB that we do not know.
    let mut greeting = recorded().into_iter().find(|(name, _)| *name == ProtocolName::Mysql).unwrap().1;
    greeting.truncate(greeting.len() - 11);
    greeting.extend(b"\x18\0\0\x02\xfeclient_ed25519\0saltsalt");
    let keys = |login: &str, at: SocketAddr| format!("name: mysql, address: '{at}'{login}");
    let at = brief(greeting.clone()).await;
    let seen = ask(&keys(", user: a, password: { env: PASSWORD }", at), AMPLE).await;
    seen.unasked("it wants a login of a sort that minder does not know here: client_ed25519");
    // MySQL wants to see the password, and anybody could.
    greeting.truncate(greeting.len() - 28);
    greeting.extend(b"\x02\0\0\x02\x01\x04");
    let at = brief(greeting).await;
    let seen = ask(&keys(", user: a, password: { env: PASSWORD }", at), AMPLE).await;
    seen.unasked("this login shows the password to the server: it needs `tls` or `unix`");
}

/// What is said before TLS begins is not taken for said within it.
#[tokio::test]
async fn nothing_is_slipped_in_before_tls() {
    for (name, said) in [("postgresql", &b"SR\0\0\0\x08\0\0\0\0"[..]), ("nats", b"INFO {}\r\nPONG\r\n")] {
        let at = saying(said).await;
        let seen = ask(&format!("name: {name}, address: '{at}', tls: {{ verify: false }}"), SHORT).await;
        seen.failed("it said more than TLS allows before its handshake");
    }
    let at = saying("N").await;
    let keys = format!("name: postgresql, address: '{at}', tls: {{ verify: false }}");
    ask(&keys, SHORT).await.failed("it does not offer TLS");
}

#[tokio::test]
async fn an_upgrade_without_proof_is_none() {
    for (said, note) in [
        ("HTTP/1.1 404 Not Found\r\n\r\n", "it answered: HTTP/1.1 404 Not Found"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: AAAA\r\n\r\n",
            "it upgraded without the proof that it understood (Sec-WebSocket-Accept)",
        ),
        ("HTTP/1.1 101 Switching\r\n\r\n", "it upgraded without the proof that it understood (Sec-WebSocket-Accept)"),
        ("HTTP/1.1 101 Switching\r\nnonsense\r\n", "it does not answer as websocket does: nonsense"),
    ] {
        let at = brief(said.into()).await;
        ask(&format!("name: websocket, address: '{at}'"), AMPLE).await.failed(note);
    }
}

/// Another server that does not know the password can say yes, and not prove it.
#[tokio::test]
async fn a_database_that_poses_as_ours_is_found_out() {
    let at = brief(b"R\0\0\0\x0a\0\0\0\x0cv=R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I".to_vec()).await;
    let keys = format!("name: postgresql, address: '{at}', user: a, password: {{ env: PASSWORD }}");
    ask(&keys, AMPLE).await.failed("it does not know the password itself: another server poses as it");
}

/// Someone who answers each packet with what `with` makes of it.
async fn answering_packets(with: fn(&[u8]) -> Vec<Vec<u8>>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            for answer in with(&buffer[..length]) {
                let _ = socket.send_to(&answer, from).await;
            }
        }
    });
    address
}

/// A good answer of NTP, or of DNS.
fn packet(question: &[u8], with: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut answer = question.to_vec();
    if question.len() == 48 && question[0] == 0x23 {
        (answer[0], answer[1]) = (0x24, 3);
        answer.copy_within(40..48, 24);
    } else {
        answer[2] |= 0x80;
    }
    with(&mut answer);
    answer
}

#[tokio::test]
async fn packets_are_judged_by_what_they_answer() {
    let asked =
        async |name: &str, at: SocketAddr, timeout| ask(&format!("name: {name}, address: '{at}'"), timeout).await;
    for name in ["ntp", "dns"] {
        let good = answering_packets(|question| vec![packet(question, |_| {})]).await;
        asked(name, good, AMPLE).await.well();
        // Somebody else's answers before ours.
        let noisy = answering_packets(|question| {
            let strange = packet(question, |answer| {
                let at = if answer.len() == 48 { 24 } else { 0 };
                answer[at] ^= 1;
            });
            vec![vec![], vec![0; 7], vec![0xff; 4000], strange, packet(question, |_| {})]
        })
        .await;
        asked(name, noisy, AMPLE).await.well();
        let silent = answering_packets(|_| Vec::new()).await;
        asked(name, silent, SHORT).await.failed("no answer within 300 ms (connected, waiting for the answer)");
        let flood = answering_packets(|_| vec![vec![0xff; 100]; 200]).await;
        asked(name, flood, AMPLE).await.failed("what it sends is no answer to the question");
        let gone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        asked(name, gone, AMPLE).await.failed("connection refused");
    }
    let busy = answering_packets(|question| {
        vec![packet(question, |answer| {
            answer[1] = 0;
            answer[12..16].copy_from_slice(b"RATE");
        })]
    })
    .await;
    asked("ntp", busy, AMPLE).await.failed("it does not want to be asked: RATE");
    let broken = answering_packets(|question| vec![packet(question, |answer| answer[3] |= 2)]).await;
    asked("dns", broken, AMPLE).await.failed("it answered: SERVFAIL, it could not find out");
}

/// The first packet is lost.
#[tokio::test]
async fn a_lost_packet_is_sent_again() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        let _ = socket.recv_from(&mut buffer).await;
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let _ = socket.send_to(&packet(&buffer[..length], |_| {}), from).await;
        }
    });
    ask(&format!("name: ntp, address: '{at}'"), Duration::from_secs(3)).await.well();
}
