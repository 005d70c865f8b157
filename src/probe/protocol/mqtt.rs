//! MQTT 3.1.1: a session that is opened, asked for a sign of life, and closed.

use super::super::words::Trouble;
use super::talk::{Talk, random};

/// The lengths of what we send need one byte up to here.
const SHORT: usize = 127;

pub(super) async fn ask(talk: &mut Talk<'_>) -> Result<(), Trouble> {
    talk.send(&connect(talk.login(), talk.spec.password.is_some())?).await?;
    let [kind, length] = talk.array("the answer to CONNECT").await?;
    if (kind, length) != (0x20, 2) {
        return Err(talk.strange(&[kind, length]));
    }
    let [_, code] = talk.array("the answer to CONNECT").await?;
    let why = match code {
        0 => None,
        1 => Some("it does not speak MQTT 3.1.1"),
        2 => Some("it refuses the name of the client"),
        3 => Some("it is not available"),
        // It answers, and nobody told us how to log in.
        4 | 5 if talk.spec.user.is_none() => return Ok(()),
        4 => Some("it refuses the user or the password"),
        5 => Some("the user may not connect"),
        _ => Some("it refuses to connect"),
    };
    if let Some(why) = why {
        return Err(Trouble::failed(why));
    }
    talk.goodbye = vec![0xe0, 0];
    talk.send(&[0xc0, 0]).await?;
    match talk.array("the answer to PINGREQ").await? {
        [0xd0, 0] => Ok(()),
        other => Err(talk.strange(&other)),
    }
}

fn connect(login: Option<(&str, &str)>, has_password: bool) -> Result<Vec<u8>, Trouble> {
    // A name of its own each time: the broker would end another session of the same name.
    let client = format!("minder-{:08x}", u32::from_be_bytes(random()?));
    let mut body = b"\0\x04MQTT\x04\x02\0\x1e".to_vec();
    let mut text = |text: &str| -> Result<(), Trouble> {
        let length = u16::try_from(text.len()).map_err(|_| Trouble::ours("the user or the password is too long"))?;
        body.extend(length.to_be_bytes());
        body.extend(text.bytes());
        Ok(())
    };
    text(&client)?;
    let mut flags = 0x02;
    if let Some((user, password)) = login {
        text(user)?;
        flags |= 0x80;
        if has_password {
            text(password)?;
            flags |= 0x40;
        }
    }
    body[7] = flags;
    let mut packet = vec![0x10];
    let mut length = body.len();
    while length > SHORT {
        packet.push(0x80 | u8::try_from(length % 128).unwrap_or_default());
        length /= 128;
    }
    packet.push(u8::try_from(length).unwrap_or_default());
    packet.extend(body);
    Ok(packet)
}
