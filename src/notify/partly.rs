//! What receivers have of parcels that are not through: one of several addresses, messages or servers may have taken its part
//! when the rest has to be tried again. Kept in memory only: whoever is told once more after a restart of minder sees the same
//! key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// So many parcels are remembered; there is one for each notifier, and those that were given up.
const PARCELS: usize = 1000;

/// Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Partly(Arc<Mutex<BTreeMap<String, Part>>>);

/// Of one parcel.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Part {
    /// Who has it.
    pub had: BTreeSet<String>,
    /// Which servers may have taken it, and did not say so.
    pub unsure: BTreeSet<String>,
}

impl Partly {
    /// What is known of the parcel with this key.
    pub fn of(&self, key: &str) -> Part {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned().unwrap_or_default()
    }

    /// Takes note of it; of nothing, if it is through.
    pub fn keep(&self, key: &str, part: Part) {
        let mut parcels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if part == Part::default() {
            parcels.remove(key);
            return;
        }
        if parcels.len() >= PARCELS && !parcels.contains_key(key) {
            parcels.pop_first();
        }
        parcels.insert(key.to_owned(), part);
    }
}
