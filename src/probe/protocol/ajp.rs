//! Apache JServ 1.3: CPing and CPong.

use super::super::words::Trouble;
use super::talk::Talk;

pub(super) async fn ask(talk: &mut Talk<'_>) -> Result<(), Trouble> {
    talk.send(&[0x12, 0x34, 0, 1, 10]).await?;
    match talk.array("the answer to CPing").await? {
        [b'A', b'B', 0, 1, 9] => Ok(()),
        other => Err(talk.strange(&other)),
    }
}
