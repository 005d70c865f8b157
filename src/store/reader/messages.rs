//! Messages: what was told, to whom, and what was not and why.

use super::state::{MOST, Where, number, select};
use super::{ReadError, Reader};
use crate::model::{Message, MessageId, MessageState, MessageView, Name, Step, Wall};
use rusqlite::types::Value;
use rusqlite::{Connection, Row};
use serde::Deserialize;

/// Which messages to show. Those that match all of what is given, the newest first.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    /// That have come so far.
    pub state: Option<MessageState>,
    /// To this notifier.
    pub notifier: Option<Name>,
    /// About this service.
    pub service: Option<Name>,
    /// About this incident.
    pub incident: Option<u64>,
    /// Written from then on.
    pub from: Option<Wall>,
    /// With a smaller number than this: the next page.
    pub before: Option<u64>,
    /// At most so many, and never more than 10,000.
    pub limit: usize,
}

/// The columns of a view.
const COLUMNS: &str =
    "id, notifier, kind, service, incident, title, state, at, expires, ended, attempts, why, data FROM outbox";

impl Reader {
    /// Messages, the newest first.
    pub fn messages(&self, filter: &MessageFilter) -> Result<Vec<MessageView>, ReadError> {
        let mut which = Where::default();
        which.and("state = ?", filter.state.map(|state| state.word().to_owned()));
        which.and("notifier = ?", filter.notifier.as_deref().map(str::to_owned));
        which.and("service = ?", filter.service.as_deref().map(str::to_owned));
        which.and("incident = ?", filter.incident.map(number));
        which.and("at >= ?", filter.from.map(|at| at.0));
        which.and("id < ?", filter.before.map(number));
        let limit = filter.limit.min(MOST);
        let sql = format!("SELECT {COLUMNS}{} ORDER BY id DESC LIMIT {limit}", which.sql);
        self.state.read(|connection| select(connection, &sql, which.values, view))
    }

    /// The message of this number.
    pub fn message(&self, id: MessageId) -> Result<Option<MessageView>, ReadError> {
        let sql = format!("SELECT {COLUMNS} WHERE id = ?");
        let mut found = self.state.read(|connection| select(connection, &sql, vec![number(id.0).into()], view))?;
        Ok(found.pop())
    }

    /// Those of these messages that are dead, in the order of their numbers.
    pub fn dead(&self, ids: &[MessageId]) -> Result<Vec<Message>, ReadError> {
        let sql = "SELECT data FROM outbox WHERE state = 'dead' AND id IN (SELECT value FROM json_each(?)) ORDER BY id";
        let ids = serde_json::to_string(ids).unwrap_or_default();
        self.state.read(|connection| whole(connection, sql, vec![ids.into()]))
    }

    /// The latest messages that are dead, to one notifier or all, in the order of their numbers; never more than 10,000.
    pub fn all_dead(&self, notifier: Option<&str>, limit: usize) -> Result<Vec<Message>, ReadError> {
        let mut which = Where::default();
        which.and("state = ?", Some(MessageState::Dead.word().to_owned()));
        which.and("notifier = ?", notifier.map(str::to_owned));
        let sql = format!("SELECT data FROM outbox{} ORDER BY id DESC LIMIT {}", which.sql, limit.min(MOST));
        let mut found = self.state.read(|connection| whole(connection, &sql, which.values))?;
        found.reverse();
        Ok(found)
    }
}

/// Messages with all that they tell. One that cannot be read, of a later version, is left out.
fn whole(connection: &Connection, sql: &str, values: Vec<Value>) -> rusqlite::Result<Vec<Message>> {
    let rows = select(connection, sql, values, |row| Ok(serde_json::from_str(&row.get::<_, String>(0)?).ok()))?;
    Ok(rows.into_iter().flatten().collect())
}

fn view(row: &Row<'_>) -> rusqlite::Result<MessageView> {
    /// The rest of it is in columns, as it was when they were written.
    #[derive(Deserialize)]
    struct Steps {
        #[serde(default)]
        steps: Vec<Step>,
    }
    let (state, data): (String, String) = (row.get(6)?, row.get(12)?);
    Ok(MessageView {
        id: row.get::<_, i64>(0)? as u64,
        notifier: row.get(1)?,
        kind: row.get(2)?,
        service: row.get(3)?,
        incident: row.get::<_, Option<i64>>(4)?.map(|id| id as u64),
        title: row.get(5)?,
        state: MessageState::of(&state).unwrap_or_default(),
        at: Wall(row.get(7)?),
        expires: Wall(row.get(8)?),
        ended: row.get::<_, Option<i64>>(9)?.map(Wall),
        attempts: row.get(10)?,
        why: row.get(11)?,
        steps: serde_json::from_str::<Steps>(&data).map_or_else(|_| Vec::new(), |data| data.steps),
    })
}
