//! Rules on a timeline, before they run: one that somebody made up ([`play`]), or the one that was recorded ([`backtest()`]).
//!
//! Both run the engine itself, with time as a number: a week passes in less than a second. See `world.rs` for what is simulated.

mod backtest;
mod play;
mod recorded;
mod script;
mod words;
mod world;

pub use crate::store::Reader;
pub use backtest::{MINUTES_FOR, Moment, Side, Tested, Unjudged, backtest};
pub use play::{Difference, Line, Row, play};
