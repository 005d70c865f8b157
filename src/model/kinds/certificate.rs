//! `certificate`: how long a certificate is still good, on a server or in a file.

use super::{CheckKind, Mistake, Tls};
use crate::model::{AbsPath, Dimension, Given, Metric};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The keys of a `certificate` check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The server that shows it: `host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Given>,
    /// Or the file (PEM or DER) that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<AbsPath>,
    /// How the connection turns to TLS; at once where this is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starttls: Option<Starttls>,
    /// How to trust the server.
    #[serde(default, skip_serializing_if = "Tls::is_default")]
    pub tls: Tls,
}

/// A protocol in which TLS begins after a few words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Starttls {
    /// Mail between servers (RFC 3207).
    Smtp,
    /// Mail for readers (RFC 9051).
    Imap,
    /// Mail for readers (RFC 2595).
    Pop3,
    /// Files (RFC 4217).
    Ftp,
    /// PostgreSQL.
    Postgresql,
}

impl CheckKind for Certificate {
    const NAME: &'static str = "certificate";
    const SHORT: Option<&'static str> = Some("address");
    const DEFAULT: Option<&'static str> = Some("failed");
    const METRICS: &'static [Metric] = &[
        Metric::new("failed", Dimension::Flag, "it cannot be had, or is not valid"),
        Metric::new("expires", Dimension::Time, "how long it is still valid; read even where it is refused"),
        Metric::new("issuer", Dimension::Text, "who has signed it"),
        Metric::new("names", Dimension::Text, "the names that it is for, sorted and joined by a comma and a space"),
    ];

    fn givens(&mut self, f: &mut dyn FnMut(&mut Given)) {
        self.address.iter_mut().for_each(f);
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = self.tls.mistakes();
        match (&self.address, &self.file) {
            (None, None) => mistakes.push(
                Mistake::new(&[], "this check does not say where the certificate is")
                    .help("add `address: host:port`, or `file: /path/of/certificate.pem`"),
            ),
            (Some(_), Some(_)) => mistakes.push(
                Mistake::new(&["file"], "`address` and `file` both say where the certificate is")
                    .help("leave one of the two away"),
            ),
            (Some(address), None) => mistakes.extend(crate::model::mistake::address_mistake(address, &["address"])),
            (None, Some(_)) => {
                let unasked = [("starttls", self.starttls.is_some()), ("tls", !self.tls.is_default())];
                for (key, _) in unasked.into_iter().filter(|(_, there)| *there) {
                    mistakes.push(
                        Mistake::new(&[key], format!("`{key}` has no meaning for a certificate in a file"))
                            .help("leave it away, or name the server that shows the certificate: `address: host:port`"),
                    );
                }
            }
        }
        mistakes
    }

    fn about(&self) -> String {
        match (&self.address, &self.file) {
            (Some(address), _) => address.to_string(),
            (None, Some(file)) => file.to_string(),
            (None, None) => String::new(),
        }
    }
}
