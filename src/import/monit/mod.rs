//! Coming from monit: its control file to our rules.
//!
//! ```text
//!  control file ──read──▶ syntax::Control ──write──▶ rules, and notes of what differs or is lost
//!   │ lexer: words with places                 │ settings: interval, mail, limits, recipients
//!   │ include: files where they are named      │ service: checks, control, rules
//!   │ setting, service, test, connection       │ limit, cycles: units and times
//! ```
//!
//! The parser knows what control files look like, and what monit was seen to do with them. It is forgiving: a statement that is
//! not understood is kept as text up to where the next one begins.

mod read;
mod syntax;
#[cfg(test)]
mod tests;
mod write;

use super::{File, Imported, Machine};
pub use read::Find;

/// The rules that do what this control file does. `find` looks up the files that a file includes.
pub fn import(main: File, machine: &Machine, find: &mut Find<'_>) -> Imported {
    let source = main.name.clone();
    let text = read::read(main, find);
    let control = read::control(&text.tokens);
    write::rules(&source, text, control, machine)
}
