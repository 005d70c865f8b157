//! Our own certificate: read from its files, and read anew when they have changed.

use super::patient::Patient;
use crate::model::{ServedTls, Wall, show_age};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The largest file that is read.
const MOST: u64 = 1 << 20;
/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(10);
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// So long before it expires, people are told: whatever renews it should have done so by then.
const SOON: Duration = Duration::from_secs(14 * 86_400);
/// The first byte of TLS.
const TLS_HANDSHAKE: u8 = 0x16;

/// Why a certificate cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("{}: {why}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The key is open to everybody.
    #[error("{}: everybody on this machine may read the key (mode {mode:04o}): chmod o= {}", path.display(), path.display())]
    Open {
        /// The file of the key.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A file has not got in it what it should.
    #[error("{}: {what}", path.display())]
    Odd {
        /// Which.
        path: PathBuf,
        /// What is missing, or wrong.
        what: String,
    },
    /// The two do not belong together.
    #[error("the key in {} is not the one of the first certificate in {}", key.display(), certificate.display())]
    Strangers {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// TLS cannot be spoken with them.
    #[error("TLS is not to be had with {}: {why}", certificate.display())]
    Useless {
        /// The file of the certificate.
        certificate: PathBuf,
        /// Why.
        why: String,
    },
}

/// Differs when a file may have changed: its inode, size, and last change.
type Version = (u64, u64, i64, i64);

/// What was read.
struct Served {
    config: Arc<ServerConfig>,
    not_after: Wall,
    versions: [Version; 2],
}

/// The certificate of the page, as it is now.
pub struct Certificate {
    files: ServedTls,
    state: Mutex<State>,
}

struct State {
    served: Served,
    /// What is wrong with the files since, and how many looks have found it so: one alone may have come between the two of them.
    trouble: Option<(String, u32)>,
}

impl Certificate {
    /// Reads the files. Blocks.
    pub fn read(files: &ServedTls) -> Result<Arc<Certificate>, CertificateError> {
        let state = Mutex::new(State { served: read(files)?, trouble: None });
        Ok(Arc::new(Certificate { files: files.clone(), state }))
    }

    /// What people should know: it is about to expire, or the files cannot be used, and an older one is served still.
    pub fn note(&self, now: Wall) -> Option<String> {
        let state = self.state();
        let path = self.files.certificate.as_path().display();
        let not_after = state.served.not_after;
        let age = if now >= not_after {
            Some(format!("the page's certificate has expired {} ago", show_age(now - not_after)))
        } else {
            let left = not_after - now;
            (left < SOON).then(|| format!("the page's certificate expires in {}", show_age(left)))
        };
        let trouble = state.trouble.as_ref().filter(|(_, looks)| *looks > 1);
        match (age, trouble) {
            (None, None) => None,
            (Some(age), None) => Some(format!("{age}, and {path} has no newer one")),
            (None, Some((why, _))) => Some(format!("the page keeps its old certificate: {why}")),
            (Some(age), Some((why, _))) => Some(format!("{age}, and the new one cannot be used: {why}")),
        }
    }

    /// What a connection that begins now is served.
    pub(super) fn current(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.state().served.config))
    }

    /// Reads the files anew whenever they have changed, for ever. One on a dead mount is waited for, by one thread.
    pub(super) async fn follow(self: &Arc<Certificate>) {
        loop {
            tokio::time::sleep(LOOK).await;
            let its = Arc::clone(self);
            let _ = tokio::task::spawn_blocking(move || its.look()).await;
        }
    }

    /// Reads the files anew if they have changed, or could not be used at the last look. What cannot be used changes nothing.
    fn look(&self) {
        let versions = [self.files.certificate.as_path(), self.files.key.as_path()].map(version);
        if let [Ok(certificate), Ok(key)] = versions {
            let mut state = self.state();
            if state.served.versions == [certificate, key] {
                state.trouble = None;
                return;
            }
        }
        // Not locked meanwhile: whoever connects does not wait for the disk.
        let outcome = read(&self.files);
        let mut state = self.state();
        match outcome {
            Ok(served) => {
                tracing::info!("the page has a new certificate, from {}", self.files.certificate);
                *state = State { served, trouble: None };
            }
            Err(e) => {
                let why = e.to_string();
                let looks = state.trouble.as_ref().map_or(1, |(_, looks)| looks.saturating_add(1));
                if looks == 2 {
                    tracing::warn!("the page keeps its old certificate: {why}");
                }
                state.trouble = Some((why, looks));
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn version(path: &Path) -> io::Result<Version> {
    std::fs::metadata(path).map(|about| (about.ino(), about.len(), about.ctime(), about.ctime_nsec()))
}

fn unreadable(path: &Path, e: &io::Error) -> CertificateError {
    let why = match e.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "minder has no permission to read it".to_owned(),
        _ => e.to_string(),
    };
    CertificateError::Unreadable { path: path.to_owned(), why }
}

/// The file, and its content, within bounds.
fn content(path: &Path) -> Result<(File, Vec<u8>), CertificateError> {
    let why = |why: &str| CertificateError::Unreadable { path: path.to_owned(), why: why.to_owned() };
    // Without blocking: a FIFO would never open.
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map_err(|e| unreadable(path, &e))?;
    if !file.metadata().is_ok_and(|about| about.is_file()) {
        return Err(why("it is not a regular file"));
    }
    let mut content = Vec::new();
    (&file).take(MOST + 1).read_to_end(&mut content).map_err(|e| unreadable(path, &e))?;
    if content.len() as u64 > MOST {
        return Err(why("it is larger than 1 MiB"));
    }
    Ok((file, content))
}

fn read(files: &ServedTls) -> Result<Served, CertificateError> {
    let (certificate, key) = (files.certificate.as_path(), files.key.as_path());
    let odd = |path: &Path, what: &str| CertificateError::Odd { path: path.to_owned(), what: what.to_owned() };
    let useless = |e: String| CertificateError::Useless { certificate: certificate.to_owned(), why: e };
    // Before the files are read: if they change meanwhile, the next look sees that.
    let seen = |path: &Path| version(path).map_err(|e| unreadable(path, &e));
    let versions = [seen(certificate)?, seen(key)?];

    let (_, text) = content(certificate)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|_| odd(certificate, "it is not PEM: a part of it is damaged"))?;
    let Some(first) = chain.first() else {
        return Err(odd(certificate, "there is no certificate in it: it needs `-----BEGIN CERTIFICATE-----`"));
    };
    let (_, leaf) = x509_parser::parse_x509_certificate(first)
        .map_err(|_| odd(certificate, "its first certificate cannot be read"))?;
    let not_after = Wall(leaf.validity().not_after.timestamp().saturating_mul(1000));

    let (file, text) = content(key)?;
    let mode = file.metadata().map_err(|e| unreadable(key, &e))?.mode() & 0o7777;
    if mode & 0o007 != 0 {
        return Err(CertificateError::Open { path: key.to_owned(), mode });
    }
    let private = PrivateKeyDer::from_pem_slice(&text).map_err(|e| match e {
        pem::Error::NoItemsFound if text.windows(9).any(|part| part == b"ENCRYPTED") => {
            odd(key, "the key is encrypted, and minder cannot ask for its password: `openssl pkey -in OLD -out NEW`")
        }
        pem::Error::NoItemsFound => odd(key, "there is no key in it: it needs `-----BEGIN PRIVATE KEY-----`"),
        _ => odd(key, "it is not PEM: a part of it is damaged"),
    })?;

    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| useless(e.to_string()))?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, private).map_err(|e| match e {
        rustls::Error::InconsistentKeys(_) => {
            CertificateError::Strangers { certificate: certificate.to_owned(), key: key.to_owned() }
        }
        e => useless(e.to_string()),
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Served { config: Arc::new(config), not_after, versions })
}

/// Begins to speak TLS, in good time. Whoever speaks HTTP in clear is told so.
pub(super) async fn greet(
    mut stream: Patient<TcpStream>,
    acceptor: TlsAcceptor,
) -> Option<TlsStream<Patient<TcpStream>>> {
    let talk = async {
        let mut first = [0];
        if stream.peek(&mut first).await.ok()? == 0 {
            return None;
        }
        if first[0] == TLS_HANDSHAKE {
            return acceptor.accept(stream).await.ok();
        }
        let words = "This page is encrypted: write https:// before its address.\n";
        let head =
            "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nx-content-type-options: nosniff";
        let answer = format!("{head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{words}", words.len());
        stream.write_all(answer.as_bytes()).await.ok()?;
        let _ = stream.shutdown().await;
        None
    };
    tokio::time::timeout(HANDSHAKE, talk).await.ok()?
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    struct Files {
        dir: tempfile::TempDir,
        files: ServedTls,
    }

    impl Files {
        fn new() -> Files {
            let dir = tempfile::tempdir().unwrap();
            let path = |name: &str| dir.path().join(name).to_str().unwrap().parse().unwrap();
            let files = ServedTls { certificate: path("page.pem"), key: path("page.key") };
            let made = Files { dir, files };
            made.renew(86_400 * 90);
            made
        }
        /// Another certificate, and its key, that lasts so many seconds from the year 2026 on.
        fn renew(&self, lasts: i64) {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec!["page.test".to_owned()]).unwrap();
            let from = rcgen::date_time_ymd(2026, 1, 1);
            params.not_before = from;
            params.not_after =
                from.checked_add(std::time::Duration::from_secs(lasts as u64).try_into().unwrap()).unwrap();
            let certificate = params.self_signed(&key).unwrap();
            self.write("page.pem", &certificate.pem());
            self.write("page.key", &key.serialize_pem());
        }
        /// As whoever renews certificates does: beside, and then in the place of the old.
        fn write(&self, name: &str, text: &str) {
            let new = self.dir.path().join("new");
            std::fs::write(&new, text).unwrap();
            set_permissions(&new, Permissions::from_mode(0o600)).unwrap();
            std::fs::rename(new, self.dir.path().join(name)).unwrap();
        }
        fn text(&self, name: &str) -> String {
            std::fs::read_to_string(self.dir.path().join(name)).unwrap()
        }
        fn refused(&self) -> String {
            let error = read(&self.files).err().expect("an error").to_string();
            error.replace(self.dir.path().to_str().unwrap(), "")
        }
        fn note(&self, certificate: &Certificate, day: i64) -> Option<String> {
            let now = Wall(1_767_225_600_000 + day * 86_400_000);
            Some(certificate.note(now)?.replace(self.dir.path().to_str().unwrap(), ""))
        }
    }

    #[test]
    fn what_cannot_be_served_is_said_with_its_file() {
        let files = Files::new();
        let (pem, key) = (files.text("page.pem"), files.text("page.key"));
        assert!(read(&files.files).is_ok());
        files.write("page.pem", &format!("what follows is the key\n{key}"));
        assert_eq!(files.refused(), "/page.pem: there is no certificate in it: it needs `-----BEGIN CERTIFICATE-----`");
        files.write("page.pem", &pem[..pem.len() / 2]);
        assert_eq!(files.refused(), "/page.pem: it is not PEM: a part of it is damaged");
        files.write("page.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        assert_eq!(files.refused(), "/page.pem: its first certificate cannot be read");
        std::fs::remove_file(files.files.certificate.as_path()).unwrap();
        assert_eq!(files.refused(), "/page.pem: there is no such file");
        std::fs::create_dir(files.files.certificate.as_path()).unwrap();
        assert_eq!(files.refused(), "/page.pem: it is not a regular file");
        std::fs::remove_dir(files.files.certificate.as_path()).unwrap();
        files.write("page.pem", &pem);

        files.write("page.key", &pem);
        assert_eq!(files.refused(), "/page.key: there is no key in it: it needs `-----BEGIN PRIVATE KEY-----`");
        files.write("page.key", &key.replace("PRIVATE", "ENCRYPTED PRIVATE"));
        assert!(files.refused().starts_with("/page.key: the key is encrypted"), "{}", files.refused());
        files.write("page.key", &KeyPair::generate().unwrap().serialize_pem());
        assert_eq!(files.refused(), "the key in /page.key is not the one of the first certificate in /page.pem");
        files.write("page.key", &"x".repeat((1 << 20) + 1));
        assert_eq!(files.refused(), "/page.key: it is larger than 1 MiB");
        files.write("page.key", &key);
        set_permissions(files.files.key.as_path(), Permissions::from_mode(0o644)).unwrap();
        let refused = "/page.key: everybody on this machine may read the key (mode 0644): chmod o= /page.key";
        assert_eq!(files.refused(), refused);
        set_permissions(files.files.key.as_path(), Permissions::from_mode(0o640)).unwrap();
        assert!(read(&files.files).is_ok(), "a group may be there for it");
    }

    #[test]
    fn a_renewal_is_taken_and_a_broken_one_is_not() {
        let files = Files::new();
        let certificate = Certificate::read(&files.files).unwrap();
        let served = || Arc::as_ptr(&certificate.state().served.config);
        let first = served();
        certificate.look();
        assert_eq!(served(), first, "nothing has changed");

        files.renew(86_400 * 200);
        certificate.look();
        let second = served();
        assert_ne!(second, first);
        assert_eq!(files.note(&certificate, 100), None, "the first would have expired");

        let key = files.text("page.key");
        files.write("page.key", "");
        certificate.look();
        assert_eq!(files.note(&certificate, 1), None, "the other file may be on its way");
        certificate.look();
        let note = "the page keeps its old certificate: /page.key: there is no key in it: it needs `-----BEGIN PRIVATE KEY-----`";
        assert_eq!(files.note(&certificate, 1).as_deref(), Some(note));
        assert_eq!(served(), second);
        files.write("page.key", &key);
        certificate.look();
        assert_eq!(files.note(&certificate, 1), None);
    }

    #[test]
    fn people_are_told_before_it_expires() {
        let files = Files::new();
        let certificate = Certificate::read(&files.files).unwrap();
        assert_eq!(files.note(&certificate, 75), None);
        for (day, words) in [
            (80, "the page's certificate expires in 10 days, and /page.pem has no newer one"),
            (95, "the page's certificate has expired 5 days ago, and /page.pem has no newer one"),
        ] {
            assert_eq!(files.note(&certificate, day).as_deref(), Some(words));
        }
        files.write("page.pem", "");
        certificate.look();
        certificate.look();
        let words = "the page's certificate expires in 10 days, and the new one cannot be used: /page.pem: there is no certificate \
                     in it: it needs `-----BEGIN CERTIFICATE-----`";
        assert_eq!(files.note(&certificate, 80).as_deref(), Some(words));
    }
}
