//! `talk`: a conversation that the rule file spells out.

use super::super::words::Trouble;
use super::talk::Talk;
use crate::model::clip;

/// In how many pieces the answer of a step may come: each is a search through all that has come.
const PIECES: usize = 256;

pub(super) async fn ask(talk: &mut Talk<'_>) -> Result<(), Trouble> {
    let steps = &talk.spec.steps;
    for (i, step) in steps.iter().enumerate() {
        let of = if steps.len() == 1 { String::new() } else { format!(" of step {}", i + 1) };
        if let Some(send) = &step.send {
            // What came before was the answer to something else.
            talk.came.clear();
            talk.send(send.expose().as_bytes()).await?;
        }
        let Some(expect) = &step.expect else { continue };
        let mut pieces = 0;
        while !expect.is_match(&String::from_utf8_lossy(&talk.came)) {
            let ended = !talk.read("the expected answer").await?;
            pieces += 1;
            if ended && talk.came.is_empty() {
                return Err(Trouble::failed(format!("the connection was closed without the answer{of}")));
            }
            if ended || pieces == PIECES {
                let expect = clip(expect.as_str(), 80);
                return Err(Trouble::failed(format!("the answer{of} does not match \"{expect}\"")));
            }
        }
        // The next step begins behind what answered this one.
        talk.came.clear();
    }
    Ok(())
}
