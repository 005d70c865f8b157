//! Rules on a timeline, before they run: one that somebody made up ([`play`]), or the one that was recorded.
//!
//! Both run the engine itself, with time as a number: a week passes in less than a second. See `world.rs` for what is simulated.

mod play;
mod script;
mod words;
mod world;

pub use play::{Difference, Line, Row, play};
