//! Queries: each on a connection that cannot write, beside the writers, and bounded.

mod curve;
mod history;
mod messages;
mod state;
mod sums;

pub use curve::Curve;
pub use history::{Bar, Rollup, Samples, Wholes};
pub use messages::MessageFilter;
pub use state::{AuditFilter, EventFilter, IncidentFilter};
pub use sums::{DaySums, IncidentSpan, IncidentSums, Often};

use super::buffers::Buffers;
use super::database::{Spec, open_read_only};
use super::lock;
use rusqlite::Connection;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be read", path.display())]
pub struct ReadError {
    /// The database.
    pub path: PathBuf,
    /// What SQLite says.
    pub source: rusqlite::Error,
}

/// Asks the databases. Cheap to clone; its methods block: not for the loop.
#[derive(Clone)]
pub struct Reader {
    state: Arc<Pool>,
    history: Arc<Pool>,
    buffers: Arc<Buffers>,
}

impl Reader {
    /// Of a state directory that another minder may use at the same time: it has the samples that this one still keeps in
    /// memory, the last minute or so, and they are not seen.
    pub fn of(directory: &Path) -> Reader {
        Reader::new(directory, Arc::default())
    }

    pub(super) fn new(directory: &Path, buffers: Arc<Buffers>) -> Reader {
        let pool = |spec| Arc::new(Pool { spec, path: directory.join(spec.name), idle: Mutex::new(Vec::new()) });
        Reader { state: pool(&super::database::STATE), history: pool(&super::database::HISTORY), buffers }
    }
}

/// Connections to one database that nobody uses at the moment, each with the inode of its file.
struct Pool {
    spec: &'static Spec,
    path: PathBuf,
    idle: Mutex<Vec<(Connection, u64)>>,
}

/// So many connections are kept open; each takes some 100 kB.
const IDLE: usize = 2;

impl Pool {
    /// Runs the query in one read transaction: it sees the database as it is at one moment.
    fn read<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, ReadError> {
        let failed = |source| ReadError { path: self.path.clone(), source };
        // A database that was put aside has another inode: connections to it answer for what is no more.
        let inode = std::fs::metadata(&self.path).map_or(0, |m| m.ino());
        let idle = {
            let mut idle = lock(&self.idle);
            idle.retain(|(_, of)| *of == inode);
            idle.pop()
        };
        let mut connection = match idle {
            Some((connection, _)) => connection,
            None => open_read_only(&self.path, self.spec).map_err(failed)?,
        };
        let transaction = connection.transaction().map_err(failed)?;
        let answer = query(&transaction).map_err(failed)?;
        drop(transaction);
        let mut idle = lock(&self.idle);
        if idle.len() < IDLE {
            idle.push((connection, inode));
        }
        Ok(answer)
    }
}
