//! What nobody can guess, and what is derived from it.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};
use std::sync::OnceLock;
use subtle::ConstantTimeEq;

/// 256 random bits; nothing if this machine has none.
pub(super) fn random() -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok().map(|()| bytes)
}

/// The same as a text of 43 characters, for a cookie.
pub(super) fn word() -> Option<String> {
    random().map(|bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// Whether a text can be one that [`word`] has made.
pub(super) fn is_word(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

/// The SHA-256 of a text, in hex.
pub(in crate::dashboard) fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What only the one who has the key can derive from a text. What it is for keeps one use apart from another.
pub(super) fn derived(key: &[u8], purpose: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&key, format!("{purpose}\n{text}").as_bytes()))
}

/// Whether two texts are the same, in a time that does not say how much of them is.
pub(super) fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// A key of this run of minder, made when it is first needed.
#[derive(Default)]
pub(super) struct RunKey(OnceLock<Option<[u8; 32]>>);

impl RunKey {
    /// Nothing if this machine has no random numbers.
    pub fn get(&self) -> Option<&[u8; 32]> {
        self.0.get_or_init(random).as_ref()
    }
}
