//! Heartbeats by HTTP: a job says that it begins, and how it has ended. By the secret at the end of an address, which is all that
//! it needs, or by name at the socket.
//!
//! | address | says |
//! |---|---|
//! | `/api/v1/heartbeat/SECRET`, `../success`, `../0` | it is well; a run has succeeded |
//! | `../start` | a run begins |
//! | `../fail` | a run has failed |
//! | `../3` | a run has ended with this exit code |
//!
//! POST and GET say the same: many a job can only fetch an address. What is posted is kept as the words of the service.

use super::asked::Sent;
use super::bad;
use super::openapi::Operation;
use crate::dashboard::{Ask, Front, Problem, Routes};
use crate::model::Role::Operator;
use crate::model::kinds::Beat;
use crate::model::{Name, clip, plain};
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn routes() -> Routes {
    let (bare, said) = ("/api/v1/heartbeat/{secret}", "/api/v1/heartbeat/{secret}/{what}");
    let about = |operation: Operation| operation.more("By the secret alone. GET and POST say the same.").answers_text();
    let well = || about(Operation::new("A job is well").asks::<Took>());
    let told = || about(Operation::new("A job begins, or has ended").asks::<Took>());
    Routes::default()
        .get(None, bare, self::well)
        .about(well())
        .post(None, bare, self::well)
        .about(well().takes_text())
        .get(None, said, self::told)
        .about(told())
        .post(None, said, self::told)
        .about(told().takes_text())
}

pub(super) fn of_machine() -> Routes {
    Routes::default()
        .post(Operator, "/api/v1/services/{name}/heartbeat", named)
        .about(Operation::new("A job begins, or has ended").of_socket().takes::<Told>().answers_text())
}

/// Wrong secrets are answered so late, so many at a time. The right one is not delayed by these; a secret has sixteen characters
/// or more, of which nobody tries a noticeable part in this way.
pub(in crate::dashboard) const GUESSES: usize = 4;
const WRONG: Duration = Duration::from_millis(250);
/// What [`beats`] knows, as a regular expression.
pub(super) const WORDS_OF_BEATS: &str = "^(start|success|fail|[0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])$";
/// So much of the end of what is posted is kept, in characters.
const WORDS: usize = 400;

/// Whose a heartbeat is.
#[derive(Debug)]
pub enum Whose {
    /// The one with this secret.
    Secret(SecretString),
    /// One of a service, which is its only one where it is not said which.
    Named {
        /// The service.
        service: Name,
        /// Its check.
        check: Option<Name>,
    },
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Whose::Secret(_) => f.write_str("with this secret"),
            Whose::Named { service, check: None } => write!(f, "of `{}`", clip(&plain(service), 100)),
            Whose::Named { service, check: Some(check) } => {
                write!(f, "`{}` of `{}`", clip(&plain(check), 100), clip(&plain(service), 100))
            }
        }
    }
}

/// What a job says at the socket.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Told {
    /// Which heartbeat of the service.
    check: Option<Name>,
    /// `start`, `success`, `fail` or an exit code.
    #[schemars(regex(pattern = WORDS_OF_BEATS))]
    what: String,
    /// How long the run took, in milliseconds.
    took: Option<u64>,
    /// More about it.
    words: Option<String>,
}

/// What may stand behind the `?` of an address; anything else means nothing here, and is no reason to lose a beat.
#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Took {
    /// How long the run took, in milliseconds.
    took: Option<u64>,
}

/// What this word at the end of an address says; nothing if there is no such word.
fn beats(what: &str, took: Option<u64>, words: Option<Arc<str>>) -> Option<Vec<Beat>> {
    let last = match what {
        "" | "success" => Beat::Well,
        "start" => Beat::Started,
        "fail" => Beat::Failed { code: None },
        code => match code.parse::<u8>().ok()? {
            0 => Beat::Well,
            code => Beat::Failed { code: Some(i32::from(code)) },
        },
    };
    let took = took.filter(|_| last != Beat::Started).map(|ms| Beat::Took(Duration::from_millis(ms)));
    Some(words.map(Beat::Status).into_iter().chain(took).chain([last]).collect())
}

/// The end of an output, as people can be shown it.
fn last_words(body: &[u8]) -> Option<Arc<str>> {
    // A character is four bytes at most.
    let end = &body[body.len().saturating_sub(4 * WORDS)..];
    let text = String::from_utf8_lossy(end);
    let text = text.trim();
    let skipped = text.chars().count().saturating_sub(WORDS);
    let text: String = text.chars().skip(skipped).collect();
    (!text.is_empty()).then(|| plain(&text).into())
}

async fn well(
    state: State<Arc<Front>>,
    Path(secret): Path<String>,
    took: Result<Query<Took>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<&'static str, Problem> {
    told(state, Path((secret, String::new())), took, body).await
}

async fn told(
    State(front): State<Arc<Front>>,
    Path((secret, what)): Path<(String, String)>,
    took: Result<Query<Took>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<&'static str, Problem> {
    let whose = Whose::Secret(SecretString::from(secret));
    // An output that is too long is no reason to lose the beat.
    let words = body.ok().and_then(|body| last_words(&body));
    let took = took.ok().and_then(|Query(took)| took.took);
    if let Some(beats) = beats(&what, took, words) {
        let answer = front.ask(|reply| Ask::Beat { whose, beats, reply }).await?;
        if answer.is_ok() {
            return Ok("OK\n");
        }
    }
    let _one_of_few = front.guesses.acquire().await;
    tokio::time::sleep(WRONG).await;
    let detail =
        "There is no heartbeat at this address. It ends in the secret, and /start, /success, /fail or an exit code.";
    Err(Problem::new(StatusCode::NOT_FOUND, "Nothing here", detail))
}

async fn named(
    State(front): State<Arc<Front>>,
    Path(service): Path<String>,
    Sent(told): Sent<Told>,
) -> Result<&'static str, Problem> {
    let words = told.words.and_then(|words| last_words(words.as_bytes()));
    let beats =
        beats(&told.what, told.took, words).ok_or_else(|| bad("what: `start`, `success`, `fail` or an exit code"))?;
    let whose = Whose::Named { service: service.into(), check: told.check };
    let answer = front.ask(|reply| Ask::Beat { whose, beats, reply }).await?;
    answer.map(|()| "OK\n").map_err(|why| Problem::new(StatusCode::NOT_FOUND, "No such heartbeat", why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_address_says() {
        let failed = |code| Some(vec![Beat::Failed { code }]);
        let table = [
            ("", Some(vec![Beat::Well])),
            ("success", Some(vec![Beat::Well])),
            ("0", Some(vec![Beat::Well])),
            ("start", Some(vec![Beat::Started])),
            ("fail", failed(None)),
            ("3", failed(Some(3))),
            ("255", failed(Some(255))),
            ("256", None),
            ("-1", None),
            ("begin", None),
        ];
        for (what, expected) in table {
            assert_eq!(beats(what, None, None), expected, "{what}");
        }
        let ended = beats("1", Some(1500), Some("x".into()));
        let took = Beat::Took(Duration::from_millis(1500));
        assert_eq!(ended, Some(vec![Beat::Status("x".into()), took, Beat::Failed { code: Some(1) }]));
    }

    #[test]
    fn of_an_output_the_end_is_kept() {
        assert_eq!(last_words(b" \n"), None);
        assert!(!last_words(b"a\x1b[31mb\xff").unwrap().contains('\u{1b}'));
        let long = "ä".repeat(100_000) + "end";
        let kept = last_words(long.as_bytes()).unwrap();
        assert_eq!((kept.chars().count(), kept.ends_with("äend")), (WORDS, true));
    }

    #[test]
    fn a_secret_is_not_shown() {
        let whose = Whose::Secret(SecretString::from("0123456789abcdef".to_owned()));
        assert!(!format!("{whose} {whose:?}").contains("0123"));
    }
}
