//! What a supervisor says once, and keeps no record of.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The services that their supervisor was heard to give up, by their directories. s6 tells it by an event, and its status then
/// looks as if an operator had taken the service down: who hears it leaves it here for who reads the status. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct GivenUp(Arc<Mutex<HashSet<PathBuf>>>);

impl GivenUp {
    /// It was given up, or goes on.
    pub fn set(&self, service: &Path, given_up: bool) {
        let mut services = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if given_up {
            services.insert(service.to_owned());
        } else {
            services.remove(service);
        }
    }

    /// Whether it was given up, and has not been started since.
    pub fn contains(&self, service: &Path) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(service)
    }
}
