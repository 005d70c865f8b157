use super::super::servers::*;
use super::*;
use crate::model::Kind;
use std::net::SocketAddr;
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
const SHORT: Duration = Duration::from_millis(200);

fn number(reading: &Reading) -> f64 {
    reading.number().unwrap_or_else(|| panic!("{reading:?}"))
}

#[test]
fn the_places_of_the_metrics_are_right() {
    let metrics = Kind::metrics_of("http").unwrap();
    for (id, name) in [
        (FAILED, "failed"),
        (STATUS, "status"),
        (LATENCY, "latency"),
        (DNS, "dns"),
        (CONNECT, "connect"),
        (TLS, "tls"),
        (FIRST_BYTE, "first_byte"),
        (SIZE, "size"),
        (BODY_TEXT, "body"),
        (CERT_EXPIRES, "cert.expires"),
    ] {
        assert_eq!(metrics[usize::from(id.0)].name, name);
    }
}

#[tokio::test]
async fn nginx_answers() {
    let nginx = Nginx::start(&[]);
    let port = nginx.ports[0];
    let seen = ask(&format!("url: http://127.0.0.1:{port}/ok")).await;
    seen.well();
    assert_eq!(seen.text("body"), format!("ok GET 127.0.0.1:{port}"));
    assert_eq!(seen.http("status"), &Reading::Number(200.0));
    assert_eq!(number(seen.http("size")), seen.text("body").len() as f64);
    for absent in ["dns", "tls", "cert.expires"] {
        assert_eq!(seen.http(absent), &Reading::Absent, "{absent}");
    }
    let parts = number(seen.http("connect")) + number(seen.http("first_byte"));
    assert!(parts > 0.0 && parts <= number(seen.http("latency")), "{seen:?}");

    ask(&format!("url: http://127.0.0.1:{port}/down")).await.failed("status 503, expected 2xx or 3xx");
    let expecting = format!("{{ url: 'http://127.0.0.1:{port}/down', expect: {{ status: [404, 5xx] }} }}");
    ask(&expecting).await.well();

    // By its unix socket, the URL gives the path and the name.
    let socket = nginx.path("socket");
    let seen =
        ask(&format!("{{ url: 'http://web.example/ok', unix: {}, method: POST, body: x }}", socket.display())).await;
    assert_eq!(seen.well().text("body"), "ok POST web.example");
    assert_eq!(seen.http("dns"), &Reading::Absent);

    let seen = ask(&format!("{{ url: 'http://127.0.0.1:{port}/moved', redirects: 1 }}")).await;
    assert!(seen.well().text("body").starts_with("ok GET"));
    let seen = ask(&format!("{{ url: 'http://127.0.0.1:{port}/moved' }}")).await;
    assert_eq!(seen.well().http("status"), &Reading::Number(302.0));
}

#[tokio::test]
async fn an_answer_is_held_against_what_is_expected() {
    let json = r#"{"status":"up","n":[1,2.0],"none":null}"#;
    let answer =
        format!("HTTP/1.1 201 Made\r\nX-Load: low\r\nX-Load: 12 %\r\nContent-Length: {}\r\n\r\n{json}", json.len());
    let address = answering(answer).await;
    for (expect, note) in [
        ("{}", ""),
        ("{ status: 2xx, body: '\"up\"', match: 'n.:\\[', headers: { x-load: '^\\d+ %$' } }", ""),
        ("{ json: { /status: up, /n/0: 1.0, /n/1: 2, /none: null } }", ""),
        ("{ status: 200 }", "status 201, expected 200"),
        ("{ status: [200, 3xx] }", "status 201, expected 200 or 3xx"),
        ("{ body: 'down' }", "the body does not contain \"down\""),
        ("{ match: '^up' }", "the body does not match \"^up\""),
        ("{ headers: { X-Gone: '.*' } }", "the header X-Gone is missing"),
        ("{ headers: { X-Load: '^high' } }", "the header X-Load does not match \"^high\""),
        ("{ json: { /status: down } }", "`/status` is \"up\", expected \"down\""),
        ("{ json: { /n/2: 3 } }", "`/n/2` is missing in the JSON, expected 3"),
    ] {
        let seen = ask(&format!("{{ url: 'http://{address}/', expect: {expect} }}")).await;
        if note.is_empty() {
            seen.well()
        } else {
            seen.failed(note)
        };
        assert!(number(seen.http("latency")) > 0.0);
    }
    let address = answering(OK).await;
    ask(&format!("{{ url: 'http://{address}/', expect: {{ json: {{ /a: 1 }} }} }}"))
        .await
        .failed("the body is not JSON");
}

#[tokio::test]
async fn odd_servers_fail_and_do_no_harm() {
    for (answer, note) in [
        ("".to_owned(), "the connection was closed before the answer"),
        ("HTTP/1.1 200 OK\r\nContent-".to_owned(), "the connection was closed before the answer"),
        ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), "the answer is not HTTP/1"),
        ("\0\x01\u{7f}".repeat(1000), "the answer is not HTTP/1"),
        (
            format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20)),
            "the head of the answer has more than 100 headers, or more than 64 KiB",
        ),
        (
            format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(101)),
            "the head of the answer has more than 100 headers, or more than 64 KiB",
        ),
    ] {
        let address = answering(answer.clone()).await;
        let seen = ask(&format!("url: http://{address}/")).await;
        seen.failed(note);
        assert_eq!(seen.http("latency"), &Reading::Unknown);
    }
    let broken = answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").await;
    let seen = ask(&format!("url: http://{broken}/")).await;
    assert!(seen.note().starts_with("the body broke off after 3 B"), "{}", seen.note());
    assert_eq!((seen.http("failed"), seen.http("size")), (&Reading::Flag(true), &Reading::Number(3.0)));
    assert_eq!(seen.text("body"), "abc");

    let early = answering(format!("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n{OK}")).await;
    ask(&format!("url: http://{early}/")).await.well();
    let unbounded = answering("HTTP/1.0 200 OK\r\n\r\nuntil the end").await;
    assert_eq!(ask(&format!("url: http://{unbounded}/")).await.well().text("body"), "until the end");
}

#[tokio::test]
async fn an_endless_body_is_cut() {
    let endless = server(|mut stream| async move {
        request_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b'x'; 8192]).await.is_ok() {}
    })
    .await;
    let seen = ask(&format!("url: http://{endless}/")).await;
    assert_eq!(seen.well().note(), "the body is larger than 1 MiB; the rest was not read");
    assert_eq!(seen.http("size"), &Reading::Number((1 << 20) as f64));
    assert_eq!(seen.text("body").len(), 16 * 1024);
    let seen = ask(&format!("{{ url: 'http://{endless}/', expect: {{ body: ok }} }}")).await;
    seen.failed("the body does not contain \"ok\" in its first 1 MiB");
}

#[tokio::test]
async fn the_deadline_keeps_what_was_obtained() {
    let silent = server(hang).await;
    let seen = ask_within(&format!("url: http://{silent}/"), SHORT).await;
    seen.failed("no answer within 200 ms (connected, waiting for the first byte)");
    assert!(number(seen.http("connect")) > 0.0);
    assert_eq!((seen.http("first_byte"), seen.http("latency")), (&Reading::Unknown, &Reading::Unknown));

    let slow = server(|mut stream| async move {
        request_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nstart").await;
        hang(stream).await;
    })
    .await;
    let seen = ask_within(&format!("url: http://{slow}/"), SHORT).await;
    seen.failed("no answer within 200 ms (reading the body)");
    assert_eq!((seen.http("status"), seen.http("size")), (&Reading::Number(200.0), &Reading::Number(5.0)));
    assert!(number(seen.http("first_byte")) > 0.0);
    assert_eq!(seen.text("body"), "start");

    let early = server(|mut stream| async move {
        request_head(&mut stream).await;
        while stream.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n").await.is_ok() {}
    })
    .await;
    let seen = ask_within(&format!("url: http://{early}/"), SHORT).await;
    seen.failed("no answer within 200 ms (connected, waiting for the first byte)");

    // A handshake that is never answered.
    let seen = ask_within(&format!("{{ url: 'https://{silent}/', tls: {{ verify: false }} }}"), SHORT).await;
    seen.failed("no answer within 200 ms (connected, in the TLS handshake)");
}

#[tokio::test]
async fn nobody_is_there() {
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    ask(&format!("url: http://{closed}/")).await.failed("connection refused");
    ask(&format!("url: http://localhost:{}/", closed.port())).await.failed("connection refused");
    ask("{ url: 'http://x/', unix: /nowhere/socket }").await.failed("there is no such socket");
    // The resolver refuses such a name without asking anyone.
    let name = format!("{}.example", "x".repeat(64));
    let seen = ask(&format!("url: http://{name}/")).await;
    seen.failed(&format!("name not found: {name}"));
    assert!(number(seen.http("dns")) > 0.0);
}

#[tokio::test]
async fn localhost_is_both_of_its_addresses() {
    let listener = tokio::net::TcpListener::bind("[::1]:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heads = tokio::spawn(async move {
        let mut heads = Vec::new();
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            heads.push(request_head(&mut stream).await);
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
        heads
    });
    ask(&format!("url: http://localhost:{port}/")).await.well();
    ask(&format!("url: 'http://[::1]:{port}/'")).await.well();
    let heads = heads.await.unwrap();
    assert!(heads[0].contains(&format!("host: localhost:{port}\r\n")), "{}", heads[0]);
    assert!(heads[1].contains(&format!("host: [::1]:{port}\r\n")), "{}", heads[1]);
}

/// A server that leads to `location` with this status, and the requests that it got.
async fn leading(status: u16, location: String) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let got = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&got);
    let address = server(move |mut stream| {
        let (record, location) = (Arc::clone(&record), location.clone());
        async move {
            let mut head = request_head(&mut stream).await;
            if head.contains("content-length") {
                head.push(char::from(stream.read_u8().await.unwrap()));
            }
            let answer = match location.as_str() {
                "" => OK.to_owned(),
                _ => format!("HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"),
            };
            record.lock().unwrap().push(head);
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await;
    (address, got)
}

#[tokio::test]
async fn secrets_stay_at_their_origin() {
    let (other, got) = leading(0, String::new()).await;
    let (own, own_got) = leading(307, format!("http://{other}/there")).await;
    let yaml = format!(
        "{{ url: 'http://{own}/', method: POST, body: B, redirects: 1, bearer: {{ env: T }},
            headers: {{ X-Key: {{ env: T }}, Cookie: c=1, X-Plain: seen }} }}"
    );
    Seen(net().http(&http_of(&yaml, "tops3cret"), MetricSet::ALL, AMPLE).await).well();
    let head = own_got.lock().unwrap().concat();
    assert!(head.starts_with("POST / HTTP/1.1\r\n") && head.ends_with("\r\n\r\nB"), "{head}");
    assert_eq!(head.matches("tops3cret").count(), 2, "{head}");
    assert!(head.contains("cookie: c=1") && head.contains("connection: close"), "{head}");
    assert!(head.contains(concat!("user-agent: minder/", env!("CARGO_PKG_VERSION"))), "{head}");
    let head = got.lock().unwrap().concat();
    assert!(head.starts_with("POST /there HTTP/1.1\r\n") && head.ends_with("\r\n\r\nB"), "{head}");
    assert!(!head.contains("tops3cret") && !head.contains("cookie") && head.contains("x-plain: seen"), "{head}");

    // A body that is a secret is not sent on either.
    let yaml = format!("{{ url: 'http://{own}/', method: POST, body: {{ env: T }}, redirects: 1 }}");
    let seen = Seen(net().http(&http_of(&yaml, "S"), MetricSet::ALL, AMPLE).await);
    seen.failed("the redirect would send a secret body to another origin");
}

#[tokio::test]
async fn redirects_are_followed_so_far() {
    let (end, got) = leading(0, String::new()).await;
    let (see_other, _) = leading(303, format!("http://{end}/")).await;
    ask(&format!("{{ url: 'http://{see_other}/', method: POST, body: B, redirects: 3 }}")).await.well();
    assert!(got.lock().unwrap()[0].starts_with("GET / HTTP/1.1\r\n"));

    let (circle, got) = leading(302, "/again".to_owned()).await;
    ask(&format!("{{ url: 'http://{circle}/', redirects: 3 }}")).await.failed("more than 3 redirects");
    assert_eq!(got.lock().unwrap().len(), 4);
    for (location, note) in [
        ("ftp://127.0.0.1/", "the redirect does not lead to a URL of HTTP"),
        ("http://[x", "the redirect does not lead to a URL"),
    ] {
        let (address, _) = leading(301, location.to_owned()).await;
        ask(&format!("{{ url: 'http://{address}/', redirects: 3 }}")).await.failed(note);
    }
}

#[tokio::test]
async fn secrets_are_not_shown() {
    // It sends everything back, in its body and in JSON that a note would quote.
    let echo = server(|mut stream| async move {
        let head = request_head(&mut stream).await;
        let body = serde_json::json!({ "you": head }).to_string();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await;
    let secret = format!("http://{echo}/tops3cret?key=tops3cret2");
    for (yaml, secret) in [
        ("{ url: { env: U }, expect: { json: { /you: x } } }", secret.as_str()),
        (
            &format!(
                "{{ url: 'http://{echo}/', basic: {{ user: me, password: {{ env: U }} }}, expect: {{ json: {{ /you: x }} }} }}"
            ),
            "tops3cret",
        ),
        (
            &format!("{{ url: 'http://{echo}/', headers: {{ A: {{ env: U }} }}, expect: {{ json: {{ /you: x }} }} }}"),
            "tops3cret",
        ),
    ] {
        let seen = Seen(net().http(&http_of(yaml, secret), MetricSet::ALL, AMPLE).await);
        assert_eq!(seen.http("failed"), &Reading::Flag(true));
        assert!(seen.text("body").contains("[secret]"), "{}", seen.text("body"));
        let shown = format!("{seen:?}");
        assert!(!shown.contains("tops3cret") && !shown.contains(&BASE64.encode("me:tops3cret")), "{shown}");
    }
    for (secret, note) in [
        (format!("http://{}.tops3cret/?tops3cret", "x".repeat(64)), "name not found"),
        ("https://tops3cret..x/".to_owned(), "name not found"),
    ] {
        let seen = Seen(net().http(&http_of("url: { env: U }", &secret), MetricSet::ALL, AMPLE).await);
        assert!(!format!("{seen:?}").contains("tops3cret"), "{seen:?}");
        seen.failed(note);
    }
    let yaml = format!("{{ url: 'http://{echo}/', bearer: {{ env: U }} }}");
    let seen = Seen(net().http(&http_of(&yaml, "tops3cret\nX: y"), MetricSet::ALL, AMPLE).await);
    seen.unasked("the value of the header Authorization cannot be sent");
}

#[tokio::test]
async fn five_hundred_that_hang_delay_nobody() {
    // The kernel accepts the connections; nobody ever answers. No descriptors are needed on this side.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let silent = socket.listen(1024).unwrap();
    let hung = Arc::new(http_of(&format!("url: http://{}/", silent.local_addr().unwrap()), ""));
    let net = Arc::new(net());
    let mut probes = tokio::task::JoinSet::new();
    for _ in 0..500 {
        let (net, hung) = (Arc::clone(&net), Arc::clone(&hung));
        probes.spawn(async move { net.http(&hung, MetricSet::ALL, Duration::from_secs(600)).await });
    }
    let quick = http_of(&format!("url: http://{}/", answering(OK).await), "");
    Seen(net.http(&quick, MetricSet::ALL, AMPLE).await).well();
    assert!(probes.try_join_next().is_none());
}
