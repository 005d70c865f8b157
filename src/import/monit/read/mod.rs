//! A control file to what it says. What is not understood is kept as text, up to where the next statement begins.

mod connection;
mod cursor;
mod include;
mod lexer;
mod service;
mod setting;
mod test;

pub use cursor::{Amount, LOGINS};
pub use include::{Find, Text, read};
pub use lexer::{Place, Token};

use super::syntax::{Control, Said, Service};
use cursor::Cursor;

/// Every statement of these words.
pub fn control(tokens: &[Token]) -> Control {
    let mut cursor = Cursor::new(tokens);
    let mut control = Control::default();
    while let Some(token) = cursor.peek() {
        if token.is("check") {
            control.services.push(service(&mut cursor));
        } else if token.is("set") {
            control.settings.push(said(&mut cursor, setting::setting));
        } else {
            match control.services.last_mut() {
                Some(service) => service.statements.push(said(&mut cursor, service::statement)),
                None => control.settings.push(said(&mut cursor, |_| None)),
            }
        }
    }
    control
}

/// Reads a statement; or its text up to the next, if it is none that is known.
fn said<T>(cursor: &mut Cursor<'_>, read: impl FnOnce(&mut Cursor<'_>) -> Option<T>) -> Said<T> {
    let mark = cursor.mark();
    let place = cursor.place().unwrap_or(Place { file: 0, line: 0 });
    let it = read(cursor);
    // What follows something understood would be dropped in silence: with it, the whole is not understood.
    let it = it.filter(|_| cursor.at_word_of_start());
    if it.is_none() {
        cursor.back_to(mark);
        cursor.skip_statement();
    }
    Said { it, place, text: cursor.shown_since(mark) }
}

fn service(cursor: &mut Cursor<'_>) -> Service {
    let mut name = String::new();
    let head = said(cursor, |cursor| service::head(cursor, &mut name));
    Service { name, kind: head.it, place: head.place, text: head.text, statements: Vec::new() }
}
