//! The door, over real sockets: who is let in, under which name, how encrypted, and what bounds those who connect.

use super::fixture;
use super::world::World;
use minder::dashboard::{Certificate, bind_tcp, bind_unix, page, serve_tcp, serve_tls, serve_unix, socket};
use minder::model::ServedTls;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustix::process::{Resource, getrlimit};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

/// What a test can speak through.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// A page that is served, with a certificate of its own authority.
pub struct Served {
    pub world: World,
    pub address: SocketAddr,
    pub dir: tempfile::TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Served {
    pub async fn start(tls: bool) -> Served {
        Served::by(tls, World::new(fixture::snapshot())).await
    }

    /// The page of this world.
    pub async fn by(tls: bool, world: World) -> Served {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // A name of its own: what is issued by its namesake is taken for self-signed.
        params.distinguished_name.push(DnType::CommonName, "an authority");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), authority.pem()).unwrap();
        let listener = bind_tcp(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let router = page(world.front.clone(), address);
        let mut served = Served { world, address, dir, authority, serving: tokio::spawn(async {}) };
        served.renew("first.test");
        let files = served.files();
        served.serving = match tls {
            true => tokio::spawn(serve_tls(listener, router, Certificate::read(&files).unwrap())),
            false => tokio::spawn(serve_tcp(listener, router)),
        };
        served
    }

    fn files(&self) -> ServedTls {
        let path = |name: &str| self.dir.path().join(name).to_str().unwrap().parse().unwrap();
        ServedTls { certificate: path("page.pem"), key: path("page.key") }
    }

    /// A new certificate in the place of the old one.
    fn renew(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        for (file, text) in [("page.pem", certificate.pem()), ("page.key", key.serialize_pem())] {
            let new = self.dir.path().join("new");
            std::fs::write(&new, text).unwrap();
            std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).unwrap();
            std::fs::rename(new, self.dir.path().join(file)).unwrap();
        }
    }

    async fn from(&self, source: [u8; 4]) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((source, 0))).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    async fn plain(&self) -> Box<dyn Wire> {
        Box::new(TcpStream::connect(self.address).await.unwrap())
    }

    /// An encrypted connection to this name; nothing if the certificate is not for it.
    async fn encrypted(&self, name: &'static str) -> Option<Box<dyn Wire>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let connected = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name).unwrap(), stream).await;
        Some(Box::new(connected.ok()?))
    }

    /// What is answered to this, encrypted.
    pub async fn ask(&self, request: &str) -> String {
        answer(self.encrypted("first.test").await.unwrap(), request).await
    }

    async fn curl(&self, scheme: &str, path: &str, more: &[&str]) -> (bool, String) {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--include", "--max-time", "10", "--cacert"])
            .arg(self.dir.path().join("ca.pem"));
        curl.args(more).arg(format!("{scheme}://{}{path}", self.address));
        let output = tokio::task::spawn_blocking(move || curl.output().expect("curl is needed")).await.unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n")
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    let mut answer = Vec::new();
    let talk = async {
        stream.write_all(request.as_bytes()).await?;
        stream.read_to_end(&mut answer).await
    };
    let _ = tokio::time::timeout(Duration::from_secs(20), talk).await.expect("an answer in time");
    String::from_utf8_lossy(&answer).into_owned()
}

/// How many connections there may be: as many as this, if there are files enough.
fn most() -> usize {
    getrlimit(Resource::Nofile).current.map_or(512, |files| usize::try_from(files / 4).unwrap().min(512))
}

#[tokio::test]
async fn who_has_most_connections_makes_room() {
    let served = Served::start(false).await;
    let mut first = [0; 12];
    let mut kept = Vec::new();
    let mut modest = ask_from(&served, [127, 0, 0, 2]).await;
    for _ in 0..most() - 1 {
        kept.push(ask_from(&served, [127, 0, 0, 1]).await);
    }
    let mut late = ask_from(&served, [127, 0, 0, 3]).await;
    let mut rest = Vec::new();
    let cut = tokio::time::timeout(Duration::from_secs(5), kept[0].read_to_end(&mut rest)).await;
    assert!(cut.is_ok(), "the oldest of whoever has most is still connected");
    for stream in [&mut modest, &mut late, &mut kept[1]] {
        stream.write_all(format!("{}\r\n", get("/healthz")).as_bytes()).await.unwrap();
        let more = tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut first)).await;
        more.expect("in time").expect("the other connections are there");
    }
}

/// A connection from there that has been answered once.
async fn ask_from(served: &Served, source: [u8; 4]) -> TcpStream {
    let mut stream = served.from(source).await;
    stream.write_all(format!("{}\r\n", get("/healthz")).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "it was cut off");
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    stream
}

/// Whoever is slow is cut off in good time, in clear and encrypted: all of them at once, since each takes its time.
#[tokio::test]
async fn who_is_slow_is_cut_off() {
    let (clear, tls) = (Served::start(false).await, Served::start(true).await);
    let begun = Instant::now();
    // What is said at first, and then, twice a second, for ever.
    let drip = |mut stream: Box<dyn Wire>, first: String, then: &'static str| async move {
        let (mut got, mut buf) = (Vec::new(), [0; 4096]);
        let _ = stream.write_all(first.as_bytes()).await;
        while begun.elapsed() < Duration::from_secs(20) {
            let read = tokio::time::timeout(Duration::from_millis(500), stream.read(&mut buf)).await;
            match read {
                Ok(Ok(0) | Err(_)) => return Some(String::from_utf8_lossy(&got).into_owned()),
                Ok(Ok(n)) => got.extend_from_slice(&buf[..n]),
                Err(_) => drop(stream.write_all(then.as_bytes()).await),
            }
        }
        None
    };
    let post = "POST /api/v1/heartbeat/guess HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n".to_owned();
    let name = "first.test";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("minder.sock");
    let unix = tokio::spawn(serve_unix(bind_unix(&path).unwrap(), socket(clear.world.front.clone())));
    let command = "POST /api/v1/commands HTTP/1.1\r\nhost: minder\r\ncontent-length: 1000\r\n\r\n".to_owned();
    let ends = tokio::join!(
        drip(clear.plain().await, String::new(), ""),
        drip(clear.plain().await, get("/healthz"), "x: y\r\n"),
        drip(clear.plain().await, format!("{}\r\n", get("/healthz")), ""),
        drip(clear.plain().await, post.clone(), "x"),
        drip(tls.plain().await, String::new(), ""),
        drip(tls.plain().await, "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}".to_owned(), "\u{1}"),
        drip(tls.encrypted(name).await.unwrap(), get("/healthz"), "x: y\r\n"),
        drip(tls.encrypted(name).await.unwrap(), format!("{}\r\n", get("/healthz")), ""),
        drip(tls.encrypted(name).await.unwrap(), post.clone(), "x"),
        drip(Box::new(UnixStream::connect(&path).await.unwrap()), command, "x"),
    );
    unix.abort();
    let is = |what: &str, end: Option<String>, start: &str| {
        let got = end.unwrap_or_else(|| panic!("{what} is not cut off"));
        assert!(got.starts_with(start) && (start.is_empty() == got.is_empty()), "{what}: {got}");
    };
    is("silence", ends.0, "");
    is("a head that never ends", ends.1, "");
    is("what was answered and says no more", ends.2, "HTTP/1.1 200 ");
    is("a body that never ends", ends.3, "HTTP/1.1 ");
    is("silence before TLS", ends.4, "");
    is("a handshake that never ends", ends.5, "");
    is("an encrypted head that never ends", ends.6, "");
    is("an encrypted one that says no more", ends.7, "HTTP/1.1 200 ");
    is("an encrypted body that never ends", ends.8, "HTTP/1.1 ");
    is("a command that never ends", ends.9, "HTTP/1.1 408 ");
}

/// Takes the time that a reader has, half a minute.
#[tokio::test]
async fn who_reads_nothing_is_cut_off() {
    let (clear, tls) = (Served::start(false).await, Served::start(true).await);
    // Ever more is asked, and nothing read: in the end the other side neither writes nor reads, and then it goes.
    let ask = |mut stream: Box<dyn Wire>| async move {
        let request = format!("{}\r\n", get("/assets/style.css")).repeat(100);
        while stream.write_all(request.as_bytes()).await.is_ok() && stream.flush().await.is_ok() {}
    };
    let both = async { tokio::join!(ask(clear.plain().await), ask(tls.encrypted("first.test").await.unwrap())) };
    tokio::time::timeout(Duration::from_secs(60), both).await.expect("who reads nothing is cut off");
}

#[tokio::test]
async fn heads_bodies_and_headers_are_bounded() {
    let (clear, tls) = (Served::start(false).await, Served::start(true).await);
    let head = |size: usize| format!("{}x: {}\r\n\r\n", get("/healthz"), "y".repeat(size));
    let many = |count: usize| format!("{}connection: close\r\n{}\r\n", get("/healthz"), "x: y\r\n".repeat(count));
    let body = |path: &str, size: usize| {
        let head = "host: localhost\r\nconnection: close\r\ncontent-type: text/plain";
        format!("POST {path} HTTP/1.1\r\n{head}\r\ncontent-length: {size}\r\n\r\n{}", "x".repeat(size))
    };
    for (what, request, starts) in [
        ("many headers", many(98), "HTTP/1.1 200 "),
        ("too many headers", many(200), "HTTP/1.1 431 "),
        ("too long a head", head(100 << 10), "HTTP/1.1 431 "),
        (
            "too long an address",
            format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "x".repeat(70 << 10)),
            "HTTP/1.1 4",
        ),
        ("too long a body", body("/api/v1/heartbeat/guess", 65 << 10), "HTTP/1.1 4"),
        ("no HTTP", "nonsense\r\n\r\n".to_owned(), "HTTP/1.1 400 "),
    ] {
        for stream in [clear.plain().await, tls.encrypted("first.test").await.unwrap()] {
            let got = answer(stream, &request).await;
            // Whoever writes on after his connection was ended may not see the answer.
            let may_be_lost = !starts.contains("200") && got.is_empty() && request.len() > 32 << 10;
            assert!(got.starts_with(starts) || may_be_lost, "{what}: {got}");
        }
    }
}

#[tokio::test]
async fn it_is_encrypted_as_browsers_want_it() {
    let served = Served::start(true).await;
    let (good, text) = served.curl("https", "/healthz", &[]).await;
    assert!(good && text.starts_with("HTTP/1.1 200 ") && text.contains("\"ok\":true"), "{text}");
    for header in [
        "content-security-policy: default-src 'none'",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "permissions-policy: camera=()",
        "cross-origin-opener-policy: same-origin",
        "cross-origin-resource-policy: same-origin",
        "cache-control: no-store",
    ] {
        assert!(text.to_lowercase().contains(header), "{header}: {text}");
    }
    for (version, works) in [("1.0", false), ("1.1", false), ("1.2", true), ("1.3", true)] {
        let (good, text) = served.curl("https", "/healthz", &["--tlsv1.0", "--tls-max", version]).await;
        assert_eq!(good, works, "TLS {version}: {text}");
    }
    let (_, text) = served.curl("http", "/", &[]).await;
    assert!(text.starts_with("HTTP/1.1 400 ") && text.contains("write https://"), "{text}");
    let (good, text) = served.curl("https", "/healthz", &["--header", "Host: evil.example.org"]).await;
    assert!(good && text.starts_with("HTTP/1.1 421 ") && text.contains("hosts: [evil.example.org]"), "{text}");
}

#[tokio::test]
async fn a_name_that_the_plan_has_is_known_at_once() {
    let served = Served::start(false).await;
    let host = ["--header", "Host: minder.lan:1234"];
    assert!(served.curl("http", "/healthz", &host).await.1.starts_with("HTTP/1.1 421 "));
    served.world.plans.send_modify(|plan| Arc::make_mut(plan).dashboard.hosts.push("minder.lan".to_owned()));
    assert!(served.curl("http", "/healthz", &host).await.1.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_renewed_certificate_is_served_to_whoever_comes_next() {
    let served = Served::start(true).await;
    let mut before = served.encrypted("first.test").await.unwrap();
    served.renew("second.test");
    let renewed = async {
        while served.encrypted("second.test").await.is_none() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    // Whoever is connected stays so, as long as he has something to say.
    let talk = async {
        loop {
            before.write_all(format!("{}\r\n", get("/healthz")).as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"}") {
                assert_ne!(before.read_buf(&mut answer).await.unwrap(), 0, "it was cut off");
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        () = renewed => {}
        () = talk => {}
        () = tokio::time::sleep(Duration::from_secs(20)) => panic!("it is not served"),
    }
    assert!(served.encrypted("first.test").await.is_none());
}
