//! git's daemon: what a repository has, as `git fetch` asks it.

use super::super::words::Trouble;
use super::talk::{Talk, answered};

pub(super) async fn ask(talk: &mut Talk<'_>) -> Result<(), Trouble> {
    let path = talk.spec.path.as_deref();
    let request = format!("git-upload-pack {}\0host={}\0", path.unwrap_or("/"), talk.host());
    talk.send(format!("{:04x}{request}", request.len() + 4).as_bytes()).await?;
    let head = talk.array::<4>("the answer").await?;
    let length = std::str::from_utf8(&head).ok().and_then(|digits| usize::from_str_radix(digits, 16).ok());
    let length = match length {
        // A repository without any branch.
        Some(0) => return Ok(()),
        Some(length) if length > 4 => length - 4,
        _ => return Err(talk.strange(&head)),
    };
    let line = talk.bytes(length, "the answer").await?;
    match line.strip_prefix(b"ERR ") {
        // Which one there is was not said.
        Some(_) if path.is_none() => Ok(()),
        Some(words) => Err(answered(words)),
        // The first branch, and behind it what the server can do.
        None if line.len() > 40 && line[..40].iter().all(u8::is_ascii_hexdigit) => {
            let agent = line.split(|byte| b" \0\n".contains(byte)).find_map(|word| word.strip_prefix(b"agent="));
            talk.version = agent.map(<[u8]>::to_vec);
            // We want none of it.
            talk.goodbye = b"0000".to_vec();
            Ok(())
        }
        None => Err(talk.unlike(&line)),
    }
}
