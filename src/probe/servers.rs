//! For tests of the network's probes: servers of our own that behave oddly, nginx, and certificates.

use super::Net;
use crate::daemon::RealClock;
use crate::model::kinds::{Http, Protocol, Tcp};
use crate::model::{Kind, Metric, MetricSet, Reading, Sample};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::fmt::Write as _;
use std::future::Future;
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// More than any test that passes needs.
pub(super) const AMPLE: Duration = Duration::from_secs(20);

pub(super) fn net() -> Net {
    Net::new(Arc::new(RealClock))
}

/// The keys of a check; a text from elsewhere is what `secret` is.
pub(super) fn http_of(yaml: &str, secret: &str) -> Http {
    match kind("http", yaml, secret) {
        Kind::Http(http) => http,
        other => panic!("{other:?}"),
    }
}

pub(super) fn tcp_of(yaml: &str, secret: &str) -> Tcp {
    match kind("tcp", yaml, secret) {
        Kind::Tcp(tcp) => tcp,
        other => panic!("{other:?}"),
    }
}

pub(super) fn protocol_of(yaml: &str, secret: &str) -> Protocol {
    match kind("protocol", yaml, secret) {
        Kind::Protocol(protocol) => protocol,
        other => panic!("{other:?}"),
    }
}

fn kind(name: &str, yaml: &str, secret: &str) -> Kind {
    let keys = serde_yaml::Deserializer::from_str(yaml);
    let mut kind = Kind::read(name, keys).unwrap().unwrap_or_else(|e| panic!("{e}\n{yaml}"));
    kind.givens(&mut |given| {
        if given.is_secret() {
            given.resolve(secret.to_owned());
        }
    });
    assert_eq!(kind.mistakes(), []);
    kind
}

pub(super) async fn ask(yaml: &str) -> Seen {
    Seen(net().http(&http_of(yaml, ""), MetricSet::ALL, AMPLE).await)
}

pub(super) async fn ask_within(yaml: &str, timeout: Duration) -> Seen {
    Seen(net().http(&http_of(yaml, ""), MetricSet::ALL, timeout).await)
}

/// A sample, by the names of its metrics.
#[derive(Debug)]
pub(super) struct Seen(pub(super) Sample);

impl Seen {
    pub(super) fn note(&self) -> &str {
        self.0.note.as_deref().unwrap_or_default()
    }
    pub(super) fn http(&self, metric: &str) -> &Reading {
        self.metric(Kind::metrics_of("http").unwrap(), metric)
    }
    pub(super) fn tcp(&self, metric: &str) -> &Reading {
        self.metric(Kind::metrics_of("tcp").unwrap(), metric)
    }
    pub(super) fn protocol(&self, metric: &str) -> &Reading {
        self.metric(Kind::metrics_of("protocol").unwrap(), metric)
    }
    fn metric(&self, metrics: &[Metric], name: &str) -> &Reading {
        let id = metrics.iter().position(|metric| metric.name == name).unwrap();
        self.0.reading(crate::model::MetricId(id as u8))
    }
    /// The check has not failed.
    #[track_caller]
    pub(super) fn well(&self) -> &Seen {
        assert_eq!(self.http("failed"), &Reading::Flag(false), "{:?}", self.0.note);
        self
    }
    /// The check has failed, with this note.
    #[track_caller]
    pub(super) fn failed(&self, note: &str) -> &Seen {
        assert_eq!((self.http("failed"), self.note()), (&Reading::Flag(true), note));
        self
    }
    /// The check could not be asked; the note holds this.
    #[track_caller]
    pub(super) fn unasked(&self, note: &str) -> &Seen {
        assert_eq!(self.http("failed"), &Reading::Unknown, "{}", self.note());
        assert!(self.note().contains(note), "{}", self.note());
        self
    }
    pub(super) fn text(&self, metric: &str) -> &str {
        match self.http(metric) {
            Reading::Text(text) => text,
            other => panic!("{metric}: {other:?}"),
        }
    }
}

/// A server that does this with each connection, for as long as the test runs.
pub(super) async fn server<F, D>(with: F) -> SocketAddr
where
    F: Fn(TcpStream) -> D + Send + 'static,
    D: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(with(stream));
        }
    });
    address
}

/// A server that reads the head of a request, answers this, and closes.
pub(super) async fn answering(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let answer: Arc<[u8]> = answer.into().into();
    server(move |mut stream| {
        let answer = Arc::clone(&answer);
        async move {
            request_head(&mut stream).await;
            let _ = stream.write_all(&answer).await;
        }
    })
    .await
}

/// Reads up to the empty line that ends the head of a request.
pub(super) async fn request_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// Reads until the other side is gone.
pub(super) async fn hang(mut stream: TcpStream) {
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}

/// One who signs certificates.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub(super) struct Signed {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Authority {
    pub(super) fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }
    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }
    /// Signs a certificate for a name, valid up to the end of a year.
    pub(super) fn sign(&self, name: &str, until: i32) -> Signed {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(until, 12, 31);
        let key = KeyPair::generate().unwrap();
        Signed { certificate: params.signed_by(&key, &self.0).unwrap().pem(), key: key.serialize_pem() }
    }
}

/// A certificate that signs itself and may sign others, as `openssl req -x509` makes; valid up to the end of a year.
pub(super) fn self_signed(name: &str, until: i32) -> Signed {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(until, 12, 31);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    Signed { certificate: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

/// nginx, in a directory of its own; ended on drop. `ports[0]` and the socket are plain; each certificate has a port.
pub(super) struct Nginx {
    process: Child,
    pub(super) directory: TempDir,
    pub(super) ports: Vec<u16>,
}

impl Nginx {
    /// Starts one, and waits until it accepts connections. A free port may be taken in the meantime: then again.
    pub(super) fn start(certificates: &[Signed]) -> Nginx {
        (0..5).find_map(|_| Nginx::try_start(certificates)).expect("nginx does not start")
    }

    #[allow(clippy::disallowed_methods, reason = "a real server, which the test ends")]
    fn try_start(certificates: &[Signed]) -> Option<Nginx> {
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path().display();
        let free: Vec<_> = (0..=certificates.len()).map(|_| StdListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = free.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(free);
        let locations = r#"
            location = /ok { default_type text/plain; return 200 "ok $request_method $http_host"; }
            location = /down { return 503; }
            location = /moved { return 302 /ok; }
            location = /plain { return 302 http://127.0.0.1/; }
        "#;
        let mut conf = format!(
            "daemon off; master_process off; pid {dir}/pid; error_log {dir}/log; user root; events {{}} http {{
                access_log off; client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c;
                uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e;
                server {{ listen 127.0.0.1:{}; listen unix:{dir}/socket; {locations} }}",
            ports[0]
        );
        for (i, signed) in certificates.iter().enumerate() {
            std::fs::write(directory.path().join(format!("{i}.pem")), &signed.certificate).unwrap();
            std::fs::write(directory.path().join(format!("{i}.key")), &signed.key).unwrap();
            write!(
                conf,
                "server {{ listen 127.0.0.1:{} ssl; ssl_certificate {dir}/{i}.pem; ssl_certificate_key {dir}/{i}.key;
                    {locations} }}",
                ports[i + 1]
            )
            .unwrap();
        }
        conf.push('}');
        let path = directory.path().join("conf");
        std::fs::write(&path, conf).unwrap();
        let process = Command::new("/usr/sbin/nginx")
            .arg("-c")
            .arg(&path)
            .args(["-e", "stderr", "-p"])
            .arg(directory.path())
            .stderr(Stdio::null())
            .spawn()
            .expect("/usr/sbin/nginx is needed");
        let mut nginx = Nginx { process, directory, ports };
        for _ in 0..500 {
            if nginx.ports.iter().all(|port| StdStream::connect(("127.0.0.1", *port)).is_ok()) {
                return Some(nginx);
            }
            if nginx.process.try_wait().unwrap().is_some() {
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Writes a file of certificates.
pub(super) fn write(path: &Path, pem: &str) -> String {
    std::fs::write(path, pem).unwrap();
    path.display().to_string()
}
