//! `certificate`: how long a certificate is still good, on a server or in a file.

use super::certificate::Certificate;
use super::net::{Net, Place, Progress};
use super::tcp::host_and_port;
use super::words::{Trouble, text, trouble};
use super::{place, starttls};
use crate::model::kinds::{self, CheckKind};
use crate::model::{CheckId, Clock, Given, MetricId, Mono, Now, Reading, Sample, show_duration};
use crate::sys::careful;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

const fn metric(name: &str) -> MetricId {
    place(kinds::Certificate::METRICS, name)
}
const FAILED: MetricId = metric("failed");
const EXPIRES: MetricId = metric("expires");
const ISSUER: MetricId = metric("issuer");
const NAMES: MetricId = metric("names");

/// The largest file that a certificate is looked for in.
const MOST: u64 = 1 << 20;

impl Net {
    /// Asks once. What is read of a certificate that is then refused is in the sample.
    pub(super) async fn certificate(&self, check: CheckId, spec: &kinds::Certificate, timeout: Duration) -> Sample {
        let start = self.clock.now();
        let mut progress = Progress::new(spec.address.as_ref().is_some_and(Given::is_secret));
        let asked = match &spec.file {
            Some(path) => self.read_certificate(check, path.as_path(), timeout, &progress).await,
            None => {
                let showing = self.shown_certificate(spec, start.mono + timeout, &mut progress);
                let shown = tokio::time::timeout(timeout, showing).await;
                shown.unwrap_or_else(|_| Err(progress.stage.too_late(timeout)))
            }
        };
        let mut outcome = asked.map(|()| None);
        let mut readings = Vec::new();
        let now = self.clock.now();
        if let Some(certificate) = progress.certificate.get() {
            readings.push((EXPIRES, Reading::Number((certificate.not_after - now.wall).as_secs_f64())));
            readings.push((ISSUER, Reading::Text(text(certificate.issuer.as_bytes(), &[]))));
            readings.push((NAMES, Reading::Text(text(certificate.names.as_bytes(), &[]))));
            // Nobody has judged one in a file, nor one of a server that is not verified.
            if outcome.is_ok() {
                outcome = in_its_time(certificate, now).map(|()| None);
            }
        }
        let secret = spec.address.iter().filter(|address| address.is_secret());
        let secrets: Vec<String> = secret.map(|address| address.expose().to_owned()).collect();
        self.sample(start, outcome, FAILED, readings, &secrets)
    }

    /// Has the server show it. An error also if it is refused.
    async fn shown_certificate(
        &self,
        spec: &kinds::Certificate,
        deadline: Mono,
        progress: &mut Progress,
    ) -> Result<(), Trouble> {
        let address = spec.address.as_ref().and_then(|address| host_and_port(address.expose()));
        let (host, port) = address.ok_or_else(|| Trouble::ours("the address is not `host:port`"))?;
        let mut stream = self.connect(&Place::Host(host, port), deadline, progress).await?;
        if let Some(how) = spec.starttls {
            starttls::start(how, &mut stream, progress).await?;
        }
        let name = spec.tls.name.as_deref().unwrap_or(host);
        self.secure(stream, &spec.tls, name, b"", progress).await?;
        match progress.certificate.get() {
            Some(_) => Ok(()),
            None => Err(Trouble::failed("the server's certificate makes no sense")),
        }
    }

    async fn read_certificate(
        &self,
        check: CheckId,
        path: &Path,
        timeout: Duration,
        progress: &Progress,
    ) -> Result<(), Trouble> {
        let file = path.to_owned();
        let looking = self.certificates.look(check, move |(): &mut (), _: &dyn Clock| read(&file));
        let certificate = match tokio::time::timeout(timeout, looking).await {
            Ok(Ok(read)) => read?,
            Ok(Err(why)) => return Err(Trouble::ours(why)),
            Err(_) => {
                let why = format!("{} cannot be read in time: it may lie on a dead mount", path.display());
                return Err(Trouble::failed(why));
            }
        };
        let _ = progress.certificate.set(certificate);
        Ok(())
    }
}

fn in_its_time(certificate: &Certificate, now: Now) -> Result<(), Trouble> {
    if now.wall > certificate.not_after {
        let ago = show_duration(now.wall - certificate.not_after);
        Err(Trouble::failed(format!("certificate expired {ago} ago")))
    } else if now.wall < certificate.not_before {
        let ahead = show_duration(certificate.not_before - now.wall);
        Err(Trouble::failed(format!("certificate valid only in {ahead}")))
    } else {
        Ok(())
    }
}

/// The first certificate of a file, in PEM or DER.
fn read(path: &Path) -> Result<Certificate, Trouble> {
    let of_file = |why: &str| format!("{}: {why}", path.display());
    let unreadable = |e: io::Error| match e.kind() {
        // Of a file, these mean something else than of a socket.
        io::ErrorKind::NotFound => Trouble::failed(of_file("there is no such file")),
        io::ErrorKind::PermissionDenied => Trouble::ours(of_file("minder has no permission to read it")),
        _ => match trouble(&e) {
            Trouble::Ours(why) => Trouble::ours(of_file(&why)),
            Trouble::Failed(why) => Trouble::failed(of_file(&why)),
        },
    };
    let mut bytes = Vec::new();
    let file = careful::open_regular(path).map_err(unreadable)?;
    file.take(MOST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MOST {
        return Err(Trouble::failed(of_file("it is larger than 1 MiB")));
    }
    let found = match CertificateDer::pem_slice_iter(&bytes).next() {
        Some(Ok(der)) => Certificate::read(&der),
        Some(Err(_)) => None,
        None => Certificate::read(&bytes),
    };
    found.ok_or_else(|| Trouble::failed(of_file("it holds no certificate, neither in PEM nor in DER form")))
}

#[cfg(test)]
mod tests;
