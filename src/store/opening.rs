//! What is found at the start, and what is done where it is not well.

use super::OpenError;
use super::database::{self, Database, Failure, STATE};
use super::directory::Claim;
use super::state::{self, Found};
use crate::model::Wall;
use rusqlite::Connection;
use std::path::Path;

/// Opens and reads `state.db`, and says why it cannot be written, if it cannot: then it is closed again, and the writer tries
/// again. One that cannot be read is put aside, and a new one begun.
pub(super) fn state(
    database: &mut Database,
    claim: &Claim,
    boot_id: &str,
    now: Wall,
) -> Result<(Found, Option<String>), OpenError> {
    let path = database.path().to_owned();
    let unusable = |why: String| OpenError::Database { path: path.clone(), why };
    let was_there = path.symlink_metadata().is_ok();
    let mut put_aside = None;
    let read = match load(database, boot_id, now) {
        Err(damage) if damage.is_damage() => {
            let aside = database.put_aside(now).map_err(|e| unusable(format!("{damage}; nor put aside: {e}")))?;
            put_aside = Some(format!(
                "{} could not be read and was put aside as {}: {damage}; services are not started until a person confirms it",
                path.display(),
                aside.display()
            ));
            load(database, boot_id, now)
        }
        read => read,
    };
    let (mut found, trouble) = match read {
        Ok(mut found) => {
            let trouble = mend_past(database, &mut found, now).err();
            (found, trouble)
        }
        Err(Failure::Later { found, known }) => return Err(OpenError::Later { path, found, known }),
        Err(failure) => {
            database.close();
            let found = rescue(&path, boot_id, now).map_err(|_| unusable(failure.to_string()))?;
            (found, Some(failure))
        }
    };
    if was_there && put_aside.is_none() {
        notice_loss(&mut found, claim, boot_id, &path);
    }
    found.restored.lost |= put_aside.is_some();
    found.notes.extend(put_aside);
    let trouble = trouble.map(|failure| {
        database.close();
        format!("{} cannot be written: {failure}", path.display())
    });
    Ok((found, trouble))
}

fn load(database: &mut Database, boot_id: &str, now: Wall) -> Result<Found, Failure> {
    let (connection, _) = database.connection()?;
    let found = state::load(connection, boot_id, now)?;
    state::begin(connection, &found.facts, now)?;
    Ok(found)
}

/// Reads a database that cannot be written: beside somebody who holds its lock; where the shared memory beside it cannot be made;
/// or from a copy, where nobody but the holder of the lock may even look.
fn rescue(path: &Path, boot_id: &str, now: Wall) -> Result<Found, Failure> {
    let read = |connection: Result<Connection, Failure>| state::load(&connection?, boot_id, now);
    read(database::open_read_only(path, &STATE).map_err(Failure::from))
        .or_else(|_| read(database::open_for_rescue(path).map_err(Failure::from)))
        .or_else(|_| read(database::open_copy_for_rescue(path, now)))
}

/// Damage among events and incidents harms nothing that is to come, but would keep old ones from being let go of, and end
/// every look at the past. All that is needed to go on moves to a new database. A million events take a third of a second.
fn mend_past(database: &mut Database, found: &mut Found, now: Wall) -> Result<(), Failure> {
    let Some(damage) = state::damage(database.connection()?.0, &["event", "incident"])? else { return Ok(()) };
    let aside = database.put_aside(now)?;
    found.notes.push(format!(
        "{} was damaged among its events or incidents, and was put aside as {}: {damage}; all that is needed to go on was taken \
         over into a new one, the past was not",
        database.path().display(),
        aside.display()
    ));
    let transaction = database.connection()?.0.transaction()?;
    found.facts.write_all(&transaction, now)?;
    Ok(transaction.commit()?)
}

/// SQLite does not miss a log that is gone: the database is as it was when the log was last written back, and what was stopped
/// on purpose since then would be started.
fn notice_loss(found: &mut Found, claim: &Claim, boot_id: &str, path: &Path) {
    let Some(written) = claim.written.as_ref().filter(|written| written.boot == boot_id) else { return };
    let has = found.facts.last_event();
    if written.event <= has {
        return;
    }
    found.restored.lost = true;
    found.notes.push(format!(
        "{} is older than what was last written to it (event {has}, it was {}): its log, state.db-wal, was lost, or it was put \
         back from a copy; services are not started until a person confirms it",
        path.display(),
        written.event
    ));
    // Numbers that were given out are not used again.
    found.facts.went_to(written.event);
    found.restored.last_event = written.event;
}

/// Opens `history.db`; says what people should know, and why it cannot be written, if so: the writer tries again.
pub(super) fn history(database: &mut Database, now: Wall) -> (Option<String>, Option<String>) {
    let Some(failure) = database.connection().err() else { return (None, None) };
    let path = database.path().display().to_string();
    if failure.is_damage() || matches!(failure, Failure::Later { .. }) {
        let note = match database.put_aside(now) {
            Ok(aside) => format!("{path} could not be read and was put aside as {}: {failure}", aside.display()),
            Err(e) => format!("{path} could not be read: {failure}; nor put aside: {e}"),
        };
        return (Some(note), None);
    }
    (None, Some(format!("{path} cannot be opened: {failure}")))
}
