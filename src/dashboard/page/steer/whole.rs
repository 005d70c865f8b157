//! What concerns all services: reading the rules anew, and letting go what the brake holds.

use super::super::words::Here;
use super::confirm::{Confirm, Now};
use super::deed::Deed;
use crate::model::Command;

pub(super) fn reload(now: &Now) -> Confirm {
    let back = ("/rules".to_owned(), "Rules".to_owned());
    let mut confirm = Confirm::new("Reload the rules".to_owned(), Here::Rules, back);
    confirm.fact("What happens", [
        "The files below are read again, with those that they include.".to_owned(),
        "If there is a mistake in them, nothing changes and it is shown. Otherwise they are in effect at once, and what has not \
         changed keeps its state."
            .to_owned(),
    ]);
    confirm.fact("Files", now.snapshot.files.clone());
    if now.snapshot.refused.is_some() {
        confirm.fact("Now", ["The latest rules were refused; the ones before are in effect.".to_owned()]);
    }
    confirm.deed = Some(Deed::Reload);
    confirm
}

pub(super) fn release(now: &Now) -> Confirm {
    let back = ("/".to_owned(), "All services".to_owned());
    let mut confirm = Confirm::new("Let held restarts go ahead".to_owned(), Here::Services, back);
    match &now.snapshot.brake {
        None => confirm.hindrance = Some("The brake holds nothing now.".to_owned()),
        Some(brake) => {
            confirm.fact("Now", [brake.words.clone()]);
            confirm.fact("Waiting", [brake.waiting.join(", ")]);
            let limit = &brake.limit;
            confirm.fact(
                "What happens",
                [
                    "What waits is restarted, one after the other as it fits what each needs.".to_owned(),
                    format!("If more than {limit} are asked for again, the brake holds again."),
                ],
            );
        }
    }
    confirm.deed = Some(Deed::Command(Command::Release));
    confirm
}
