//! What templates see of a parcel, and what becomes of one that fails: minder's own words go out in its place.

use super::render;
use crate::model::template::{self, Format};
use crate::model::{Parcel, Told};

/// What a parcel tells, with minder's own words for it; nothing if there is nothing in it.
pub(super) fn told(parcel: &Parcel) -> Option<Told> {
    let zone = jiff::tz::TimeZone::system();
    let one = |message: &_| (render::subject(message), render::body(message, &zone));
    Told::new(parcel, one, |parcel| {
        let letter = render::letter(parcel, &zone);
        (letter.subject, letter.text)
    })
}

/// What the template makes of it; what is wrong with it goes to `plainly`, and there is nothing.
pub(super) fn render(template: &str, format: Format, told: &Told, plainly: &mut Option<String>) -> Option<String> {
    match template::render(template, format, told) {
        Ok(text) => Some(text),
        Err(fault) => {
            plainly.get_or_insert_with(|| fault.to_string());
            None
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::{Message, ParcelId};
    use std::sync::Arc;

    /// What a parcel of this alone tells.
    pub(in crate::notify) fn told(message: Message) -> Told {
        let (key, to) = (message.key.clone(), message.to.clone());
        let messages = vec![Arc::new(message)];
        super::told(&Parcel { id: ParcelId(1), key, to, messages, others: Vec::new() }).unwrap()
    }
}
