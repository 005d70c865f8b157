//! Judges a server's certificate, and notes what it says, accepted or not.

use crate::model::{Wall, clip};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// What is kept of a server's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    /// The first moment at which it is valid.
    pub(super) not_before: Wall,
    /// The last one.
    pub(super) not_after: Wall,
    /// Who has signed it: the common name, or else the organisation.
    pub(super) issuer: String,
    /// The names and addresses that it is for, sorted and joined. The common name is none of them, as for all who verify it.
    pub(super) names: String,
}

/// The longest name that is kept, in characters.
const NAME: usize = 255;
/// More names than this are left out.
const NAMES: usize = 200;

impl Certificate {
    /// Reads it from DER.
    pub(super) fn read(der: &[u8]) -> Option<Certificate> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let validity = certificate.validity();
        let wall = |time: x509_parser::time::ASN1Time| Wall(time.timestamp().saturating_mul(1000));
        let issuer = certificate.issuer();
        let signer = issuer.iter_common_name().chain(issuer.iter_organization()).find_map(|name| name.as_str().ok());
        Some(Certificate {
            not_before: wall(validity.not_before),
            not_after: wall(validity.not_after),
            issuer: clip(signer.unwrap_or_default(), NAME),
            names: names(&certificate),
        })
    }
}

fn names(certificate: &X509Certificate<'_>) -> String {
    let Ok(Some(all)) = certificate.subject_alternative_name() else { return String::new() };
    let address = |bytes: &[u8]| match (<[u8; 4]>::try_from(bytes), <[u8; 16]>::try_from(bytes)) {
        (Ok(four), _) => Some(IpAddr::from(four).to_string()),
        (_, Ok(six)) => Some(IpAddr::from(six).to_string()),
        _ => None,
    };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => Some(clip(name, NAME)),
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    };
    let mut names: Vec<String> = all.value.general_names.iter().take(NAMES).filter_map(name).collect();
    names.sort_unstable();
    names.join(", ")
}

/// The methods of a verifier that are about the handshake's signature, done by another one.
macro_rules! signatures {
    ($($by:tt)*) => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            self.$($by)*.verify_tls12_signature(message, certificate, signature)
        }
        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            self.$($by)*.verify_tls13_signature(message, certificate, signature)
        }
        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.$($by)*.supported_verify_schemes()
        }
    };
}

/// Notes the certificate, then lets the other one judge: what is refused is never seen again.
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) verifier: Arc<dyn ServerCertVerifier>,
    pub(super) seen: Arc<OnceLock<Certificate>>,
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(certificate) = Certificate::read(end_entity) {
            let _ = self.seen.set(certificate);
        }
        self.verifier.verify_server_cert(end_entity, intermediates, name, ocsp, now)
    }
    signatures!(verifier);
}

/// Trusts who is listed in a file, and whom they have signed. (WebPKI alone refuses a server that shows the listed
/// certificate itself, if that may sign others: what `openssl req -x509` makes, and people then name as `ca`.)
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) listed: Vec<CertificateDer<'static>>,
    pub(super) real: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Listed {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if !self.listed.iter().any(|listed| listed == end_entity) {
            return self.real.verify_server_cert(end_entity, intermediates, name, ocsp, now);
        }
        let Some(certificate) = Certificate::read(end_entity) else {
            return Err(CertificateError::BadEncoding.into());
        };
        let unix = |wall: Wall| UnixTime::since_unix_epoch(Duration::from_millis(u64::try_from(wall.0).unwrap_or(0)));
        let (not_before, not_after) = (unix(certificate.not_before), unix(certificate.not_after));
        if now > not_after {
            return Err(CertificateError::ExpiredContext { time: now, not_after }.into());
        }
        if now < not_before {
            return Err(CertificateError::NotValidYetContext { time: now, not_before }.into());
        }
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
        Ok(ServerCertVerified::assertion())
    }
    signatures!(real);
}

/// Does not look at the certificate.
#[derive(Debug)]
pub(super) struct Blind {
    /// Trusts anyone (`verify: false`), or nobody (this machine has no root certificates).
    pub(super) trusts: bool,
    pub(super) provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Blind {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.trusts {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_makes_no_sense_is_none() {
        assert_eq!(Certificate::read(b""), None);
        assert_eq!(Certificate::read(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
