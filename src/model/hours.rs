//! The hours at which a notifier is told.

use super::Zone;

/// `mon-fri 08:00-18:00`, in a time zone.
#[derive(Debug, Clone, PartialEq)]
pub struct Hours {
    /// As written.
    pub text: String,
    /// Where; the machine's own zone if this is missing.
    pub zone: Option<Zone>,
}
