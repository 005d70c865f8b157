//! MySQL and MariaDB: a login (protocol 10, as of 4.1).
//!
//! Whoever connects and leaves without answering the greeting is counted, and kept out for good after
//! `max_connect_errors` of that; a refused login is not. So there always is one, of nobody where no user is named.

use super::super::words::Trouble;
use super::talk::{Talk, answered};
use ring::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

/// Who asks where nobody is named.
const NOBODY: &str = "minder";

/// As many packets as a login may take.
const PACKETS: usize = 10;

const WITH_DATABASE: u32 = 0x8;
const SPEAKS_41: u32 = 0x200;
const TLS: u32 = 0x800;
const TRANSACTIONS: u32 = 0x2000;
const SECURE: u32 = 0x8000;
const PLUGINS: u32 = 0x8_0000;

/// "We leave": command 1, in a packet of its own.
const QUIT: [u8; 5] = [1, 0, 0, 0, 1];

/// The next packet: its number and content.
async fn packet(talk: &mut Talk<'_>, what: &'static str) -> Result<(u8, Vec<u8>), Trouble> {
    let [a, b, c, number] = talk.array(what).await?;
    let length = usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16;
    if length == 0 {
        return Err(talk.strange(&[]));
    }
    // Something else than a server of MySQL is found out by its numbers, mostly.
    if number > 20 {
        return Err(talk.strange(&[a, b, c, number]));
    }
    Ok((number, talk.bytes(length, what).await?))
}

async fn send(talk: &mut Talk<'_>, number: u8, content: &[u8]) -> Result<(), Trouble> {
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes();
    talk.send(&[&length[..3], &[number], content].concat()).await
}

/// The code of an error, and its words.
fn error(packet: &[u8]) -> Option<(u16, &[u8])> {
    let (code, words) = packet.strip_prefix(&[0xff])?.split_first_chunk::<2>()?;
    // A mark and the state of SQL, which nobody reads.
    let words = if words.first() == Some(&b'#') { words.get(6..).unwrap_or_default() } else { words };
    Some((u16::from_le_bytes(*code), words))
}

struct Greeting {
    version: Vec<u8>,
    can: u32,
    plugin: Vec<u8>,
    salt: Vec<u8>,
}

fn greeting(packet: &[u8]) -> Option<Greeting> {
    let rest = packet.strip_prefix(&[10])?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    let (version, rest) = (&rest[..end], rest.get(end + 1..)?);
    // Behind the thread's number: salt, zero, what it can do in two parts with character set and status between them, the
    // length of the whole salt, ten zeros, the rest of the salt, the name of the way to log in.
    let (fixed, rest) = rest.split_at_checked(31)?;
    let can = u32::from_le_bytes([fixed[13], fixed[14], fixed[18], fixed[19]]);
    let more = usize::from(fixed[20]).saturating_sub(8).max(13);
    let (salt, plugin) = rest.split_at_checked(more)?;
    let plugin = plugin.split(|byte| *byte == 0).next().unwrap_or_default();
    let salt = [&fixed[4..12], salt.strip_suffix(&[0]).unwrap_or(salt)].concat();
    // MariaDB pretends to be older than MySQL's first incompatible version.
    let version = version.strip_prefix(b"5.5.5-").unwrap_or(version);
    Some(Greeting { version: version.to_vec(), can, plugin: plugin.to_vec(), salt })
}

/// What shows that we know the password, as a plugin wants it; nothing for one that is not known.
fn proof(talk: &Talk<'_>, plugin: &[u8], salt: &[u8], password: &str) -> Option<Vec<u8>> {
    let hash = |algorithm, parts: &[&[u8]]| digest::digest(algorithm, &parts.concat()).as_ref().to_vec();
    let mix = |a: Vec<u8>, b: Vec<u8>| a.iter().zip(&b).map(|(a, b)| a ^ b).collect();
    let bytes = password.as_bytes();
    match plugin {
        b"mysql_native_password" | b"caching_sha2_password" if password.is_empty() => Some(Vec::new()),
        b"mysql_native_password" | b"" => {
            let one = hash(&SHA1_FOR_LEGACY_USE_ONLY, &[bytes]);
            let two = hash(&SHA1_FOR_LEGACY_USE_ONLY, &[&one]);
            Some(mix(one, hash(&SHA1_FOR_LEGACY_USE_ONLY, &[salt, &two])))
        }
        b"caching_sha2_password" => {
            let one = hash(&SHA256, &[bytes]);
            let two = hash(&SHA256, &[&hash(&SHA256, &[&one]), salt]);
            Some(mix(one, two))
        }
        // The server sees by itself who is at the other end of its socket.
        b"unix_socket" | b"auth_socket" => Some(Vec::new()),
        b"mysql_clear_password" if talk.is_private() => Some([bytes, &[0]].concat()),
        _ => None,
    }
}

pub(super) async fn ask(talk: &mut Talk<'_>) -> Result<(), Trouble> {
    let (mut number, first) = packet(talk, "the greeting").await?;
    if let Some((code, words)) = error(&first) {
        // That this host may not log in is an answer to one who has no login.
        return if code == 1130 && talk.spec.user.is_none() { Ok(()) } else { Err(answered(words)) };
    }
    let Some(greeting) = greeting(&first) else { return Err(talk.strange(&first)) };
    talk.version = Some(greeting.version);

    let mut flags = SPEAKS_41 | TRANSACTIONS | SECURE | PLUGINS;
    if talk.spec.path.is_some() {
        flags |= WITH_DATABASE;
    }
    let head = |flags: u32| [&flags.to_le_bytes()[..], &[0, 0, 1, 0, 33], &[0; 23]].concat();
    if talk.spec.tls.0.is_some() {
        if greeting.can & TLS == 0 {
            return Err(Trouble::failed("it does not offer TLS"));
        }
        flags |= TLS;
        number += 1;
        send(talk, number, &head(flags)).await?;
        talk.secure().await?;
    }
    let login = talk.login().map(|(user, password)| (user.to_owned(), password.to_owned()));
    let (user, password) = login.as_ref().map_or((NOBODY, ""), |(user, password)| (user, password));
    // One that is not known is told to use another.
    let plugin: &[u8] = match &greeting.plugin[..] {
        b"caching_sha2_password" => b"caching_sha2_password",
        _ => b"mysql_native_password",
    };
    let first = proof(talk, plugin, &greeting.salt, password).unwrap_or_default();
    let mut answer = [&head(flags), user.as_bytes(), &[0, u8::try_from(first.len()).unwrap_or(0)], &first].concat();
    if let Some(database) = &talk.spec.path {
        answer.extend([database.as_bytes(), &[0]].concat());
    }
    answer.extend([plugin, &[0]].concat());
    send(talk, number + 1, &answer).await?;

    for _ in 0..PACKETS {
        let (number, packet) = packet(talk, "the answer to the login").await?;
        match &packet[..] {
            [0, ..] => {
                talk.goodbye = QUIT.to_vec();
                return Ok(());
            }
            [0xff, ..] => {
                let (code, words) = error(&packet).ok_or_else(|| talk.strange(&[]))?;
                // Nobody is refused: that is an answer.
                let refused = matches!(code, 1044 | 1045 | 1049 | 1130 | 1251 | 1524 | 1698 | 3159);
                return if refused && login.is_none() { Ok(()) } else { Err(answered(words)) };
            }
            // Another plugin, with another salt.
            [0xfe, switch @ ..] if !switch.is_empty() => {
                let mut parts = switch.splitn(2, |byte| *byte == 0);
                let (plugin, salt) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                let proof = proof(talk, plugin, salt.strip_suffix(&[0]).unwrap_or(salt), password);
                match proof {
                    Some(proof) => send(talk, number + 1, &proof).await?,
                    // An empty proof ends the login properly, with a refusal.
                    None if login.is_none() => send(talk, number + 1, &[]).await?,
                    None => return Err(unknown(plugin)),
                }
            }
            // The server had the password in its cache.
            [1, 3] => {}
            // It had not, and wants to see it.
            [1, 4] if talk.is_private() => send(talk, number + 1, &[password.as_bytes(), &[0]].concat()).await?,
            [1, 4] => {
                return Err(Trouble::ours("this login shows the password to the server: it needs `tls` or `unix`"));
            }
            _ => return Err(talk.strange(&[])),
        }
    }
    Err(talk.strange(&[]))
}

fn unknown(plugin: &[u8]) -> Trouble {
    let plugin = String::from_utf8_lossy(&plugin[..plugin.len().min(60)]);
    Trouble::ours(format!("it wants a login of a sort that minder does not know here: {plugin}"))
}
