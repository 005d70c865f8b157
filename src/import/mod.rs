//! The words of another monitor to the text of our rules. Pure: files come in as text, and rules go out as text.
//!
//! An importer carries over what it can, says where the result differs, and lists what has no counterpart. That it lists stands
//! as a comment at its place in the result, too: nothing is dropped in silence.

pub mod monit;
pub mod yaml;

use std::fmt;

/// The machine that the rules are for, as far as other monitors' words depend on it.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Its name.
    pub host: String,
    /// Its processors.
    pub cores: u32,
}

/// A file of another monitor.
#[derive(Debug, Clone)]
pub struct File {
    /// Where it is, as people name it.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// What came of an import.
#[derive(Debug)]
pub struct Imported {
    /// The rules. Without any service they are no plan, but still hold the comments.
    pub yaml: String,
    /// How many services they have.
    pub services: usize,
    /// How many statements were read.
    pub statements: usize,
    /// What differs, and what has no counterpart, in the order in which it was read.
    pub notes: Vec<Note>,
    /// Environment variables that must hold the passwords, which are not copied.
    pub secrets: Vec<Secret>,
}

impl Imported {
    /// How many statements have no counterpart.
    pub fn lost(&self) -> usize {
        self.notes.iter().filter(|note| note.weight == Weight::Lost).count()
    }
}

/// A statement that was not carried over as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// The file that it stands in.
    pub file: String,
    /// The line in it, from 1.
    pub line: u32,
    /// The statement, in one line, without passwords.
    pub statement: String,
    /// How much of it was carried over.
    pub weight: Weight,
    /// Why not all.
    pub why: String,
}

/// How much of a statement was carried over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// It is there, and means something slightly different.
    Differs,
    /// Nothing.
    Lost,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = match self.weight {
            Weight::Differs => "differs",
            Weight::Lost => "not carried over",
        };
        write!(f, "{}:{}: {weight}: {}: {}", self.file, self.line, self.statement, self.why)
    }
}

/// An environment variable that must hold a password.
#[derive(Debug, Clone, PartialEq)]
pub struct Secret {
    /// Its name.
    pub name: String,
    /// Where the password stands: file and line.
    pub place: String,
}
