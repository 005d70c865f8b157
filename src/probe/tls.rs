//! Whom TLS trusts, and its errors in words.

use super::certificate::{Blind, Certificate, Listed, Recorder};
use super::words::{Trouble, trouble as system_trouble};
use crate::model::kinds::Tls;
use crate::model::{Clock, Mono, clip, show_duration};
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use std::collections::HashMap;
use std::fmt;
use std::fs::{Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex as Turn;
use tokio_rustls::TlsConnector;

/// The largest file of certificates.
const CA_FILE: u64 = 1 << 20;

/// The machine's own certificates are read again once a day: they change while minder runs.
const DAY: u64 = 86_400_000_000_000;

/// Whom TLS trusts: read once, and again when it has changed.
pub(super) struct Trust {
    clock: Arc<dyn Clock>,
    provider: Arc<CryptoProvider>,
    /// Everything but the verifier and the protocol, which are set in a copy for each connection. (A copy costs a dozen
    /// counters; building the verifier of the machine's certificates costs milliseconds.)
    base: Result<ClientConfig, rustls::Error>,
    /// By file; the machine's own under none.
    read: Mutex<HashMap<Option<PathBuf>, Reader>>,
}

/// Who holds it reads the file, or finds it read.
type Reader = Arc<Turn<Option<Trusted>>>;

/// A verifier, and what its certificates were read from.
struct Trusted {
    version: Version,
    verifier: Arc<dyn ServerCertVerifier>,
}

/// Differs when the certificates may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    /// The machine's: the day, counted by our clock.
    Day(u64),
    /// A file's: its inode, size, and last change.
    File(u64, u64, i64, i64),
}

impl Version {
    fn of_machine(now: Mono) -> Version {
        Version::Day(now.0 / DAY)
    }
    fn of_file(file: &Metadata) -> Version {
        Version::File(file.ino(), file.len(), file.ctime(), file.ctime_nsec())
    }
}

impl Trust {
    /// Nothing is read yet.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Trust {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let time = Arc::new(WallClock(Arc::clone(&clock)));
        let base = ClientConfig::builder_with_details(Arc::clone(&provider), time)
            .with_safe_default_protocol_versions()
            .map(|builder| {
                let nobody = Arc::new(Blind { trusts: false, provider: Arc::clone(&provider) });
                let builder = builder.dangerous().with_custom_certificate_verifier(nobody);
                let mut base = builder.with_no_client_auth();
                // A resumed session shows no certificate.
                base.resumption = Resumption::disabled();
                base
            });
        Trust { clock, provider, base, read: Mutex::default() }
    }

    /// What makes one connection; it puts the server's certificate into `seen`, also one that it refuses.
    pub(super) async fn connector(
        &self,
        tls: &Tls,
        protocol: &[u8],
        seen: &Arc<OnceLock<Certificate>>,
    ) -> Result<TlsConnector, Trouble> {
        let verifier: Arc<dyn ServerCertVerifier> = match (tls.verify, &tls.ca) {
            (false, _) => Arc::new(Blind { trusts: true, provider: Arc::clone(&self.provider) }),
            (true, ca) => self.verifier(ca.as_ref().map(|ca| ca.as_path())).await?,
        };
        let mut config = self.base.clone().map_err(|e| Trouble::ours(format!("TLS is not available: {e}")))?;
        if !protocol.is_empty() {
            config.alpn_protocols = vec![protocol.to_vec()];
        }
        config.dangerous().set_certificate_verifier(Arc::new(Recorder { verifier, seen: Arc::clone(seen) }));
        Ok(TlsConnector::from(Arc::new(config)))
    }

    /// The verifier that trusts this file, or this machine's own certificates. Each file has one reader at a time, so
    /// that one on a dead mount holds one thread and the checks that name it, and no others.
    async fn verifier(&self, ca: Option<&Path>) -> Result<Arc<dyn ServerCertVerifier>, Trouble> {
        let turn = {
            let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(read.entry(ca.map(Path::to_owned)).or_default())
        };
        let mut trusted = turn.lock_owned().await;
        let today = Version::of_machine(self.clock.now().mono);
        if let (None, Some(trusted)) = (ca, &*trusted)
            && trusted.version == today
        {
            return Ok(Arc::clone(&trusted.verifier));
        }
        let (ca, provider) = (ca.map(Path::to_owned), Arc::clone(&self.provider));
        let reading = tokio::task::spawn_blocking(move || {
            let fresh = match ca {
                Some(path) => read_file(&path, trusted.as_ref().map(|t| t.version), provider)?,
                None => match rustls_platform_verifier::Verifier::new(Arc::clone(&provider)) {
                    Ok(verifier) => Some(Trusted { version: today, verifier: Arc::new(verifier) }),
                    // The ones of yesterday will do.
                    Err(_) if trusted.is_some() => None,
                    // Not kept: the certificates may be installed in the meantime.
                    Err(_) => return Ok(Arc::new(Blind { trusts: false, provider }) as Arc<dyn ServerCertVerifier>),
                },
            };
            if fresh.is_some() {
                *trusted = fresh;
            }
            trusted.as_ref().map(|t| Arc::clone(&t.verifier)).ok_or_else(|| Trouble::ours("there is nobody to trust"))
        });
        reading.await.unwrap_or_else(|_| Err(Trouble::ours("the certificates to trust could not be read")))
    }
}

/// The certificates of a file, unless it is still the version that was read before.
fn read_file(path: &Path, known: Option<Version>, provider: Arc<CryptoProvider>) -> Result<Option<Trusted>, Trouble> {
    let bad = |why: String| Trouble::ours(format!("{}: {why}", path.display()));
    let unreadable = |e: io::Error| match system_trouble(&e) {
        // Of a file, these mean something else than of a socket.
        _ if e.kind() == io::ErrorKind::NotFound => bad("there is no such file".to_owned()),
        _ if e.kind() == io::ErrorKind::PermissionDenied => bad("minder has no permission to read it".to_owned()),
        trouble => bad(trouble.why().to_owned()),
    };
    // Without blocking: a FIFO would never open.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(bad("it is not a regular file".to_owned()));
    }
    let version = Version::of_file(&metadata);
    if known == Some(version) {
        return Ok(None);
    }
    let mut pem = Vec::new();
    file.take(CA_FILE + 1).read_to_end(&mut pem).map_err(unreadable)?;
    if pem.len() as u64 > CA_FILE {
        return Err(bad("it is larger than 1 MiB".to_owned()));
    }
    let listed: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|e| bad(format!("it is not a PEM file of certificates: {e}")))?;
    let mut roots = RootCertStore::empty();
    // Bundles hold old certificates that nobody can use any more.
    roots.add_parsable_certificates(listed.iter().cloned());
    if roots.is_empty() {
        return Err(bad("it holds no certificate in PEM form that can be used".to_owned()));
    }
    let real = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|e| bad(e.to_string()))?;
    Ok(Some(Trusted { version, verifier: Arc::new(Listed { listed, real }) }))
}

/// The name that a server is asked for, and that its certificate must be for.
pub(super) fn server_name(name: &str) -> Result<ServerName<'static>, Trouble> {
    ServerName::try_from(name.to_owned())
        .map_err(|_| Trouble::ours("TLS cannot ask for a server by such a name; set `tls.name`"))
}

/// An error of TLS in words, and whose fault it is.
pub(super) fn trouble(e: &rustls::Error) -> Trouble {
    use rustls::Error;
    let ago = |from: &UnixTime, to: &UnixTime| {
        show_duration(Duration::from_secs(to.as_secs().saturating_sub(from.as_secs())))
    };
    let why = match e {
        Error::InvalidCertificate(refused) => match refused {
            CertificateError::ExpiredContext { time, not_after } => {
                format!("certificate expired {} ago", ago(not_after, time))
            }
            CertificateError::NotValidYetContext { time, not_before } => {
                format!("certificate valid only in {}", ago(time, not_before))
            }
            CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
                "the certificate is for no name".to_owned()
            }
            CertificateError::NotValidForNameContext { presented, .. } => {
                format!("the certificate is for another name: {}", presented_names(presented))
            }
            // A bad signature: by another one of the same name, such as a private authority made anew.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "the certificate is not signed by anyone who is trusted".to_owned()
            }
            CertificateError::ApplicationVerificationFailure => {
                return Trouble::ours("this machine has no root certificates");
            }
            // The checker of certificates has no type of its own for this in its words.
            CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
                "the certificate is self-signed; `tls: { ca: .. }` names a file of it, if it is to be trusted"
                    .to_owned()
            }
            other => format!("the certificate is refused: {other}"),
        },
        Error::AlertReceived(alert) => format!("the server broke TLS off: {alert:?}"),
        Error::InvalidMessage(_) => "the server does not speak TLS".to_owned(),
        other => format!("TLS failed: {other}"),
    };
    Trouble::Failed(why)
}

/// `DnsName("a.example")` is how they come.
fn presented_names(presented: &[String]) -> String {
    let plain = |name: &String| match name.split_once("(\"") {
        Some((_, name)) => name.trim_end_matches("\")").to_owned(),
        None => name.clone(),
    };
    clip(&presented.iter().take(10).map(plain).collect::<Vec<_>>().join(", "), 120)
}

/// The time by which certificates are judged.
struct WallClock(Arc<dyn Clock>);

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WallClock")
    }
}

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        let wall = u64::try_from(self.0.now().wall.0).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(wall)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::servers::*;
    use super::*;
    use crate::model::{MetricSet, Reading};

    #[tokio::test]
    async fn certificates_are_judged_and_read_even_where_refused() {
        let (authority, stranger) = (Authority::new("one"), Authority::new("other"));
        let nginx = Nginx::start(&[
            authority.sign("localhost", 2999),
            authority.sign("localhost", 2020),
            authority.sign("other.example", 2999),
            self_signed("localhost", 2999),
            self_signed("localhost", 2020),
        ]);
        let ca = write(&nginx.path("ca"), &authority.pem());
        let strangers = write(&nginx.path("strangers"), &stranger.pem());
        let itself = write(
            &nginx.path("own"),
            &[nginx.path("3.pem"), nginx.path("4.pem")].map(|pem| std::fs::read_to_string(pem).unwrap()).concat(),
        );
        let [_, good, expired, other, own, own_expired] = nginx.ports[..] else { panic!() };
        let url = |port: u16, tls: &str| format!("{{ url: 'https://localhost:{port}/ok', tls: {{ {tls} }} }}");
        let expires = |seen: &Seen| seen.http("cert.expires").number().unwrap_or_else(|| panic!("{seen:?}"));

        let seen = ask(&url(good, &format!("ca: {ca}"))).await;
        assert!(expires(seen.well()) > 3e10, "{seen:?}");
        assert!(seen.http("tls").number().unwrap() > 0.0);

        let seen = ask(&url(expired, &format!("ca: {ca}"))).await;
        assert_eq!((seen.http("failed"), expires(&seen)), (&Reading::Flag(true), 0.0));
        let note = seen.note();
        assert!(note.starts_with("certificate expired ") && note.ends_with(" ago") && note.contains(" days"), "{note}");
        assert_eq!(seen.http("status"), &Reading::Unknown);
        let seen = ask(&url(expired, "verify: false")).await;
        assert_eq!(expires(seen.well()), 0.0);

        let seen = ask(&url(other, &format!("ca: {ca}"))).await;
        seen.failed("the certificate is for another name: other.example");
        assert!(expires(&seen) > 3e10);
        ask(&url(other, &format!("ca: {ca}, name: other.example"))).await.well();

        let seen = ask(&url(good, &format!("ca: {strangers}"))).await;
        seen.failed("the certificate is not signed by anyone who is trusted");
        assert!(expires(&seen) > 3e10);

        let seen = ask(&url(own, &format!("ca: {strangers}"))).await;
        seen.failed("the certificate is self-signed; `tls: { ca: .. }` names a file of it, if it is to be trusted");

        // The certificate itself is named as the one to trust; its name still counts.
        ask(&url(own, &format!("ca: {itself}"))).await.well();
        let seen = ask(&url(own, &format!("ca: {itself}, name: web.example"))).await;
        seen.failed("the certificate is for another name: localhost");
        let seen = ask(&url(own_expired, &format!("ca: {itself}"))).await;
        assert!(seen.note().starts_with("certificate expired "), "{}", seen.note());

        ask(&url(nginx.ports[0], "verify: false")).await.failed("the server does not speak TLS");
        let down = format!("{{ url: 'https://localhost:{good}/plain', redirects: 2, tls: {{ ca: {ca} }} }}");
        ask(&down).await.failed("the redirect leads from https to http");

        // By this machine's own certificates it is not trusted, or there are none, which is not the server's fault.
        let seen = ask(&url(good, "verify: true")).await;
        assert_ne!(seen.http("failed"), &Reading::Flag(false));
        assert!(expires(&seen) > 3e10);
    }

    #[tokio::test]
    async fn a_file_of_certificates_is_read_again_when_it_changes() {
        let (authority, stranger) = (Authority::new("one"), Authority::new("one"));
        let nginx = Nginx::start(&[authority.sign("localhost", 2999)]);
        let ca = write(&nginx.path("ca"), &stranger.pem());
        let spec = format!("{{ url: 'https://localhost:{}/ok', tls: {{ ca: {ca} }} }}", nginx.ports[1]);
        let (net, spec) = (net(), http_of(&spec, ""));
        let ask = async || Seen(net.http(&spec, MetricSet::ALL, AMPLE).await);
        ask().await.failed("the certificate is not signed by anyone who is trusted");
        write(&nginx.path("new"), &authority.pem());
        std::fs::rename(nginx.path("new"), &ca).unwrap();
        ask().await.well();
        ask().await.well();
        // What we cannot read is not the server's fault.
        for (pem, note) in [
            ("", "it holds no certificate in PEM form that can be used"),
            ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "it is not a PEM file of certificates"),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "it holds no certificate in PEM form that can be used",
            ),
            (&"x".repeat((1 << 20) + 1), "it is larger than 1 MiB"),
        ] {
            write(&nginx.path("new"), pem);
            std::fs::rename(nginx.path("new"), &ca).unwrap();
            ask().await.unasked(note);
        }
        std::fs::remove_file(&ca).unwrap();
        ask().await.unasked("there is no such file");
        rustix::fs::mkfifoat(rustix::fs::CWD, ca.as_str(), rustix::fs::Mode::RUSR).unwrap();
        ask().await.unasked("it is not a regular file");
    }

    #[test]
    fn without_root_certificates_we_cannot_tell() {
        let refused = CertificateError::ApplicationVerificationFailure;
        assert_eq!(trouble(&refused.into()), Trouble::ours("this machine has no root certificates"));
    }
}
