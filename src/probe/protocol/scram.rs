//! SCRAM-SHA-256: a login in which neither side tells the password, and the server proves that it knows it (RFC 5802, 7677).

use super::super::words::Trouble;
use super::talk::random;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};
use std::num::NonZeroU32;

/// A server may ask for so much work and no more: half a second of one core.
const MOST_ROUNDS: u32 = 1_000_000;

/// A login under way.
pub(super) struct Scram {
    password: String,
    nonce: String,
    /// What the server must say at the end.
    signature: Vec<u8>,
}

impl Scram {
    pub(super) fn new(password: &str) -> Result<Scram, Trouble> {
        Ok(Scram { password: password.to_owned(), nonce: STANDARD.encode(random::<18>()?), signature: Vec::new() })
    }

    /// What is said first. The user is named elsewhere: PostgreSQL takes the one of the startup message.
    pub(super) fn first(&self) -> String {
        format!("n,,{}", self.bare())
    }

    fn bare(&self) -> String {
        format!("n=,r={}", self.nonce)
    }

    /// The answer to the server's challenge; computed beside the tasks, since it takes milliseconds.
    pub(super) async fn last(mut self, challenge: Vec<u8>) -> Result<(Scram, String), Trouble> {
        let computing = tokio::task::spawn_blocking(move || {
            let answer = self.answer(&challenge);
            answer.map(|answer| (self, answer))
        });
        let computed = computing.await.map_err(|_| Trouble::ours("the login could not be computed"))?;
        computed.ok_or_else(|| Trouble::failed("its part of the login (SCRAM) makes no sense"))
    }

    fn answer(&mut self, challenge: &[u8]) -> Option<String> {
        let challenge = std::str::from_utf8(challenge).ok()?;
        let field = |name: &str| challenge.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        let nonce = field("r").filter(|nonce| nonce.starts_with(&self.nonce) && nonce.len() > self.nonce.len())?;
        let salt = STANDARD.decode(field("s")?).ok()?;
        let rounds = field("i")?.parse().ok().filter(|rounds| *rounds <= MOST_ROUNDS)?;
        let mut salted = [0; digest::SHA256_OUTPUT_LEN];
        let password = self.password.as_bytes();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, NonZeroU32::new(rounds)?, &salt, password, &mut salted);
        let mac = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text);
        let client = mac(&salted, b"Client Key");
        let stored = digest::digest(&digest::SHA256, client.as_ref());
        // "biws" is the "n,," of the first message.
        let without_proof = format!("c=biws,r={nonce}");
        let all = format!("{},{challenge},{without_proof}", self.bare());
        let signed = mac(stored.as_ref(), all.as_bytes());
        let proof: Vec<u8> = client.as_ref().iter().zip(signed.as_ref()).map(|(a, b)| a ^ b).collect();
        let server = mac(&salted, b"Server Key");
        self.signature = mac(server.as_ref(), all.as_bytes()).as_ref().to_vec();
        Some(format!("{without_proof},p={}", STANDARD.encode(proof)))
    }

    /// Whether the server's last word shows that it knows the password.
    pub(super) fn is_proved_by(&self, last: &[u8]) -> bool {
        let signature = last.strip_prefix(b"v=").and_then(|text| STANDARD.decode(text).ok());
        !self.signature.is_empty() && signature.is_some_and(|signature| signature == self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The challenge of RFC 7677. Its proof is for a user that is named, and ours is not: PostgreSQL itself takes it in the live tests.
    #[tokio::test]
    async fn a_challenge_is_answered() {
        let scram =
            Scram { password: "pencil".to_owned(), nonce: "rOprNGfwEbeRWgbNEkqO".to_owned(), signature: vec![] };
        let challenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (scram, answer) = scram.last(challenge.into()).await.unwrap();
        assert!(answer.starts_with("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p="), "{answer}");
        let v = STANDARD.encode(&scram.signature);
        assert!(scram.is_proved_by(format!("v={v}").as_bytes()));
        assert!(!scram.is_proved_by(b"v=") && !scram.is_proved_by(b"") && !scram.is_proved_by(b"v=AAAA"));
    }

    #[tokio::test]
    async fn a_challenge_that_asks_too_much_or_makes_no_sense_is_refused() {
        for challenge in [
            "",
            "r=x,s=W22Z,i=1",
            "r=abc,s=W22Z,i=4096",
            "r=abcd,s=!,i=4096",
            "r=abcd,s=W22Z,i=0",
            "r=abcd,s=W22Z,i=4000000000",
            "r=abcd,s=W22Z",
        ] {
            let scram = Scram { password: "x".to_owned(), nonce: "abc".to_owned(), signature: vec![] };
            assert!(scram.last(challenge.into()).await.is_err(), "{challenge}");
        }
    }
}
