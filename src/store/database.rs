//! One database file: opening, migrating, and putting aside what cannot be read.

use super::directory::private;
use crate::model::Wall;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a database must be like.
pub(super) struct Spec {
    /// The file's name.
    pub name: &'static str,
    /// SQLite's `application_id`: tells our file from somebody else's.
    pub application: i32,
    /// The steps from version 0 to the latest, in order; never changed once released. `PRAGMA user_version` counts them.
    pub steps: &'static [&'static str],
    /// How many unreadable ones are kept. A disk that damages whatever is written must not fill up with them.
    pub aside: usize,
}

/// Services, events, incidents, outbox.
pub(super) const STATE: Spec = Spec {
    name: "state.db",
    application: 0x6d6e_6401,
    steps: &[
        include_str!("schema/state_1.sql"),
        include_str!("schema/state_2.sql"),
        include_str!("schema/state_3.sql"),
    ],
    aside: 5,
};

/// Samples and roll-ups.
pub(super) const HISTORY: Spec = Spec {
    name: "history.db",
    application: 0x6d6e_6402,
    steps: &[include_str!("schema/history_1.sql"), include_str!("schema/history_2.sql")],
    aside: 1,
};

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("it was written by a later minder (version {found}, this one knows {known})")]
    Later { found: i64, known: usize },
    #[error("it is not a database of minder")]
    Foreign,
    #[error("it is damaged: {0}")]
    Damaged(String),
    #[error("{}", words(.0))]
    Sqlite(#[from] rusqlite::Error),
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// SQLite's own words, without the statement that they may quote.
fn words(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(code, Some(words)) if words.len() < 200 => {
            format!("{words} (code {})", code.extended_code)
        }
        rusqlite::Error::SqliteFailure(code, _) => code.to_string(),
        other => other.to_string(),
    }
}

impl Failure {
    /// The file itself is at fault: trying again cannot help.
    pub fn is_damage(&self) -> bool {
        match self {
            Failure::Foreign | Failure::Damaged(_) => true,
            Failure::Later { .. } | Failure::Io(_) => false,
            // `Unknown` is SQLITE_ERROR: a table or column that should be there is not.
            Failure::Sqlite(rusqlite::Error::SqliteFailure(code, _)) => {
                matches!(code.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown)
            }
            Failure::Sqlite(
                rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::QueryReturnedNoRows
                | rusqlite::Error::Utf8Error(..),
            ) => true,
            Failure::Sqlite(rusqlite::Error::SqlInputError { .. }) => true,
            Failure::Sqlite(_) => false,
        }
    }
}

/// A database file and the writer's connection to it.
pub(super) struct Database {
    spec: &'static Spec,
    path: PathBuf,
    open: Option<(Connection, u64)>,
}

impl Database {
    /// The database in this directory, not yet opened.
    pub fn new(directory: &Path, spec: &'static Spec) -> Database {
        Database { spec, path: directory.join(spec.name), open: None }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The connection. It is opened if it is not open; and if the file was deleted or replaced behind our back, which would
    /// otherwise be noticed only at the next start, with everything lost. True if so: the file may be a new one.
    pub fn connection(&mut self) -> Result<(&mut Connection, bool), Failure> {
        if let Some((_, inode)) = &self.open
            && std::fs::metadata(&self.path).map(|m| m.ino()).ok() != Some(*inode)
        {
            self.close();
        }
        match self.open {
            Some(ref mut open) => Ok((&mut open.0, false)),
            None => {
                let connection = open(&self.path, self.spec)?;
                let inode = std::fs::metadata(&self.path)?.ino();
                Ok((&mut self.open.insert((connection, inode)).0, true))
            }
        }
    }

    /// Closes the connection. Always before a new one: closing removes the write-ahead log by name.
    pub fn close(&mut self) {
        self.open = None;
    }

    /// Moves the file and its log out of the way, and says where it is now.
    pub fn put_aside(&mut self, now: Wall) -> std::io::Result<PathBuf> {
        self.close();
        self.remove_aside()?;
        let name = |n: u32| match n {
            0 => format!("{}.unreadable-{}", self.path.display(), now.0 / 1000),
            n => format!("{}.unreadable-{}.{n}", self.path.display(), now.0 / 1000),
        };
        let aside = (0..).map(name).find(|aside| !Path::new(aside).exists()).unwrap_or_else(|| name(0));
        for end in ["-wal", "-shm", ""] {
            match std::fs::rename(format!("{}{end}", self.path.display()), format!("{aside}{end}")) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        Ok(aside.into())
    }

    /// Removes the oldest of those that were put aside, so that there is room for one more.
    fn remove_aside(&self) -> std::io::Result<()> {
        let prefix = format!("{}.unreadable-", self.spec.name);
        let mut aside = Vec::new();
        for entry in std::fs::read_dir(self.path.parent().unwrap_or(Path::new(".")))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(&prefix) && !name.ends_with("-wal") && !name.ends_with("-shm") {
                aside.push((entry.metadata()?.mtime(), name));
            }
        }
        aside.sort();
        let room = self.spec.aside.saturating_sub(1);
        for (_, name) in aside.iter().take(aside.len().saturating_sub(room)) {
            for end in ["-wal", "-shm", ""] {
                match std::fs::remove_file(self.path.with_file_name(format!("{name}{end}"))) {
                    Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

fn open(path: &Path, spec: &Spec) -> Result<Connection, Failure> {
    let fresh = path.symlink_metadata().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound);
    let opened = open_file(path, spec, fresh);
    if fresh && opened.is_err() {
        // Half made, it would look like one that has lost everything.
        for end in ["-wal", "-shm", ""] {
            let _ = std::fs::remove_file(format!("{}{end}", path.display()));
        }
    }
    opened
}

fn open_file(path: &Path, spec: &Spec, fresh: bool) -> Result<Connection, Failure> {
    // Created here because SQLite would let the umask decide; the log takes its mode from it.
    private(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(1))?;
    connection.set_prepared_statement_cache_capacity(32);
    // auto_vacuum has an effect only before the first page is written, and choosing WAL writes it.
    connection.execute_batch(
        "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
         PRAGMA cache_size = -1024; PRAGMA mmap_size = 0; PRAGMA journal_size_limit = 4194304;
         PRAGMA trusted_schema = OFF;",
    )?;
    migrate(&mut connection, spec, fresh)?;
    Ok(connection)
}

/// A connection for reading a database that cannot be written, such as on a full disk, where the shared memory beside the log
/// cannot be made: exclusive locking does without.
pub(super) fn open_for_rescue(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(1))?;
    connection
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA query_only = ON; PRAGMA trusted_schema = OFF;")?;
    Ok(connection)
}

/// The same for a disk that can only be read: what stands in the log can be read only once it is written, so both are copied
/// to memory first. The copy is private, and gone when the connection is made.
pub(super) fn open_copy_for_rescue(path: &Path, now: Wall) -> Result<Connection, Failure> {
    let directory = PathBuf::from(format!("/dev/shm/minder-{}-{}", std::process::id(), now.0));
    std::fs::DirBuilder::new().mode(0o700).create(&directory)?;
    let copied = || -> Result<Connection, Failure> {
        let copy = directory.join("copy.db");
        for end in ["", "-wal"] {
            match std::fs::copy(format!("{}{end}", path.display()), format!("{}{end}", copy.display())) {
                Err(e) if end.is_empty() || e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
                _ => {}
            }
        }
        let connection = open_for_rescue(&copy)?;
        // Opened by a first look; its files may go then.
        connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))?;
        Ok(connection)
    };
    let connection = copied();
    let _ = std::fs::remove_dir_all(&directory);
    connection
}

/// A connection that cannot write, for queries.
pub(super) fn open_read_only(path: &Path, spec: &Spec) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(1))?;
    connection.execute_batch("PRAGMA cache_size = -512; PRAGMA mmap_size = 0; PRAGMA trusted_schema = OFF;")?;
    let application: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if application != i64::from(spec.application) {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_NOTADB);
        return Err(rusqlite::Error::SqliteFailure(code, Some(Failure::Foreign.to_string())));
    }
    Ok(connection)
}

/// Takes the database to the latest version, each step in a transaction of its own. A file that was there and holds nothing was
/// emptied, or has lost its log: to begin anew in silence would forget what was stopped on purpose.
fn migrate(connection: &mut Connection, spec: &Spec, fresh: bool) -> Result<(), Failure> {
    let number = |c: &Connection, sql| c.query_row(sql, [], |row| row.get::<_, i64>(0));
    let found = number(connection, "PRAGMA user_version")?;
    let application = number(connection, "PRAGMA application_id")?;
    let tables = number(connection, "SELECT count(*) FROM sqlite_schema")?;
    if (tables > 0 || found != 0) && application != i64::from(spec.application) {
        return Err(Failure::Foreign);
    }
    if tables == 0 && !fresh {
        return Err(Failure::Damaged("it is empty".to_owned()));
    }
    let known = spec.steps.len();
    let done = usize::try_from(found).ok().filter(|done| *done <= known);
    let done = done.ok_or(Failure::Later { found, known })?;
    for (i, step) in spec.steps.iter().enumerate().skip(done) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", i as i64 + 1)?;
        transaction.pragma_update(None, "application_id", spec.application)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "CREATE TABLE thing (name TEXT);";
    const OLD: Spec = Spec { name: "x.db", application: 7, steps: &[FIRST], aside: 1 };
    const NEW: Spec = Spec {
        steps: &[FIRST, "ALTER TABLE thing ADD COLUMN size INTEGER; UPDATE thing SET size = length(name);"],
        ..OLD
    };
    const BROKEN: Spec = Spec { steps: &[FIRST, "CREATE TABLE other (a); CREATE TABLE thing (b);"], ..OLD };

    #[test]
    fn an_older_version_is_migrated_and_a_later_one_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.db");
        open(&path, &OLD).unwrap().execute("INSERT INTO thing VALUES ('four')", []).unwrap();
        let broken = open(&path, &BROKEN).unwrap_err();
        assert!(matches!(broken, Failure::Sqlite(_)), "{broken}");
        let migrated = open(&path, &NEW).unwrap();
        assert_eq!(migrated.query_row("SELECT size FROM thing", [], |r| r.get::<_, i64>(0)).unwrap(), 4);
        drop(migrated);
        assert!(matches!(open(&path, &OLD), Err(Failure::Later { found: 2, known: 1 })));
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn somebody_elses_database_is_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
        assert!(matches!(open(&path, &OLD), Err(Failure::Foreign)));
    }

    #[test]
    fn a_deleted_file_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let mut database = Database::new(directory.path(), &STATE);
        assert!(database.connection().unwrap().1);
        assert!(!database.connection().unwrap().1);
        std::fs::remove_file(database.path()).unwrap();
        assert!(database.connection().unwrap().1);
        assert!(database.path().exists());
    }

    #[test]
    fn only_so_many_are_put_aside() {
        for (spec, kept) in [(&STATE, 5), (&HISTORY, 1)] {
            let directory = tempfile::tempdir().unwrap();
            let mut database = Database::new(directory.path(), spec);
            for second in 1..8 {
                database.connection().unwrap();
                let aside = database.put_aside(Wall(second * 1000)).unwrap();
                assert!(aside.exists() && !database.path().exists());
            }
            assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), kept);
        }
    }
}
