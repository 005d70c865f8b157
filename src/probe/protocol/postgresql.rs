//! PostgreSQL: a session that is opened as far as we may, and closed (protocol 3.0).

use super::super::words::Trouble;
use super::scram::Scram;
use super::talk::{Talk, answered};
use md5::{Digest, Md5};

const PROTOCOL: [u8; 4] = [0, 3, 0, 0];
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
const TERMINATE: [u8; 5] = [b'X', 0, 0, 0, 4];

/// Who asks where nobody is named.
const NOBODY: &str = "minder";

/// A message: its letter, its length, its content.
fn message(kind: Option<u8>, content: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = kind.into_iter().collect();
    bytes.extend(u32::try_from(content.len() + 4).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend(content);
    bytes
}

fn startup(user: &str, database: Option<&str>) -> Vec<u8> {
    let mut content = PROTOCOL.to_vec();
    let fields = [("user", Some(user)), ("database", database), ("application_name", Some("minder"))];
    for (name, value) in fields.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        content.extend(format!("{name}\0{value}\0").into_bytes());
    }
    content.push(0);
    message(None, &content)
}

pub(super) async fn ask(talk: &mut Talk<'_>) -> Result<(), Trouble> {
    if talk.spec.tls.0.is_some() {
        talk.send(&SSL_REQUEST).await?;
        match talk.array("the answer to the question for TLS").await? {
            [b'S'] => talk.secure().await?,
            [b'N'] => return Err(Trouble::failed("it does not offer TLS")),
            other => return Err(talk.strange(&other)),
        }
    }
    let login = talk.login().map(|(user, password)| (user.to_owned(), password.to_owned()));
    let user = login.as_ref().map_or(NOBODY, |(user, _)| user);
    talk.send(&startup(user, talk.spec.path.as_deref())).await?;
    let mut scram = None;
    loop {
        let head @ [kind, length @ ..] = talk.array::<5>("the answer to the login").await?;
        if !b"RESKNvZ".contains(&kind) {
            return Err(talk.strange(&head));
        }
        let length = u32::from_be_bytes(length).checked_sub(4).ok_or_else(|| talk.strange(&head))?;
        let content = talk.bytes(length as usize, "the answer to the login").await?;
        match kind {
            b'R' => {
                let (code, rest) = content.split_first_chunk::<4>().ok_or_else(|| talk.strange(&[]))?;
                match (u32::from_be_bytes(*code), &login) {
                    (0, _) => talk.goodbye = TERMINATE.to_vec(),
                    // It answers, and nobody told us how to log in. To leave now is what psql does, too.
                    (_, None) => return Ok(()),
                    (code, Some((user, password))) => {
                        authenticate(talk, code, rest, user, password, &mut scram).await?
                    }
                }
            }
            b'S' => {
                let mut words = content.split(|byte| *byte == 0);
                if words.next() == Some(b"server_version") {
                    talk.version = words.next().map(<[u8]>::to_vec);
                }
            }
            b'E' => {
                let field = |name: u8| content.split(|byte| *byte == 0).find_map(|field| field.strip_prefix(&[name]));
                let code = field(b'C').unwrap_or_default();
                talk.goodbye.clear();
                // Whom it does not know, or has no database for, it has answered.
                if login.is_none() && (code.starts_with(b"28") || code == b"3D000") {
                    return Ok(());
                }
                return Err(answered(field(b'M').unwrap_or(code)));
            }
            b'Z' => return Ok(()),
            _ => {}
        }
    }
}

async fn authenticate(
    talk: &mut Talk<'_>,
    code: u32,
    rest: &[u8],
    user: &str,
    password: &str,
    scram: &mut Option<Scram>,
) -> Result<(), Trouble> {
    if talk.spec.password.is_none() {
        return Err(Trouble::ours("it asks for a password, and the check has none"));
    }
    let answer = match code {
        3 => [password.as_bytes(), &[0]].concat(),
        5 => {
            let salt = rest.get(..4).ok_or_else(|| talk.strange(&[]))?;
            let inner = hex(&Md5::digest(format!("{password}{user}")));
            let outer = hex(&Md5::digest([inner.as_bytes(), salt].concat()));
            format!("md5{outer}\0").into_bytes()
        }
        10 => {
            if !rest.split(|byte| *byte == 0).any(|name| name == b"SCRAM-SHA-256") {
                return Err(Trouble::ours("it wants a login of a sort that minder does not know"));
            }
            let begun = Scram::new(password)?;
            let first = begun.first();
            *scram = Some(begun);
            let length = u32::try_from(first.len()).unwrap_or(u32::MAX).to_be_bytes();
            [b"SCRAM-SHA-256\0", &length[..], first.as_bytes()].concat()
        }
        11 => {
            let begun = scram.take().ok_or_else(|| talk.strange(&[]))?;
            let (begun, last) = begun.last(rest.to_vec()).await?;
            *scram = Some(begun);
            last.into_bytes()
        }
        12 => {
            return match scram.take().is_some_and(|scram| scram.is_proved_by(rest)) {
                true => Ok(()),
                false => Err(Trouble::failed("it does not know the password itself: another server poses as it")),
            };
        }
        _ => return Err(Trouble::ours("it wants a login of a sort that minder does not know")),
    };
    talk.send(&message(Some(b'p'), &answer)).await
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
