//! The words of the design as plain data. Imports nothing of ours, touches nothing.

mod condition;
pub mod controls;
mod event;
mod flow;
pub mod kinds;
mod metric;
mod mistake;
mod notifier;
mod plan;
mod quantity;
mod saved;
mod scenario;
mod schema;
mod secret;
mod status;
mod time;
mod values;
mod words;

pub use condition::*;
pub use event::*;
pub use flow::*;
pub use kinds::Kind;
pub use metric::*;
pub use mistake::Mistake;
pub use notifier::*;
pub use plan::*;
pub use quantity::*;
pub use saved::*;
pub use scenario::*;
pub use schema::SPAN_PATTERN;
pub use secret::*;
pub use status::*;
pub use time::*;
pub use values::*;
pub use words::*;
