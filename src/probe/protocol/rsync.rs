//! rsync's daemon: greetings, then the list of its modules.

use super::super::words::Trouble;
use super::talk::{Talk, answered};

pub(super) async fn ask(talk: &mut Talk<'_>) -> Result<(), Trouble> {
    let greeting = talk.line("the greeting").await?;
    if let Some(words) = greeting.strip_prefix(b"@ERROR: ") {
        return Err(answered(words));
    }
    let version = greeting.strip_prefix(b"@RSYNCD: ").and_then(|rest| rest.split(|byte| *byte == b' ').next());
    let Some(version) = version.filter(|version| version.first().is_some_and(u8::is_ascii_digit)) else {
        return Err(talk.unlike(&greeting));
    };
    talk.version = Some(version.to_vec());
    // 31 is spoken by all since 2013; later ones bargain over digests for logins.
    talk.send(b"@RSYNCD: 31.0\n#list\n").await?;
    loop {
        let line = talk.line("the list of modules").await?;
        if let Some(words) = line.strip_prefix(b"@ERROR: ") {
            return Err(answered(words));
        }
        if line == b"@RSYNCD: EXIT" {
            return Ok(());
        }
    }
}
