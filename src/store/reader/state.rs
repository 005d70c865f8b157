//! Events and incidents.

use super::{ReadError, Reader};
use crate::model::{Audit, Event, EventKind, Incident, Name, Severity, Wall};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

/// No query gives more rows than this.
pub(super) const MOST: usize = 10_000;

/// Which events to show. Those that match all of what is given, the newest first if it is not said after which.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Of this service.
    pub service: Option<Name>,
    /// Of this kind ([`EventKind::word`]).
    pub kind: Option<String>,
    /// Of this incident.
    pub incident: Option<u64>,
    /// From then on.
    pub from: Option<Wall>,
    /// With a smaller number than this: the next page.
    pub before: Option<u64>,
    /// With a greater number than this; then the oldest come first.
    pub after: Option<u64>,
    /// At most so many, and never more than 10,000.
    pub limit: usize,
}

/// Which incidents to show. Those that match all of what is given, the newest first.
#[derive(Debug, Clone, Default)]
pub struct IncidentFilter {
    /// Of this service.
    pub service: Option<Name>,
    /// Of this number.
    pub id: Option<u64>,
    /// Open, or over.
    pub open: Option<bool>,
    /// That was as bad as this, at its worst.
    pub severity: Option<Severity>,
    /// Open at some time from then on.
    pub from: Option<Wall>,
    /// Begun before then.
    pub to: Option<Wall>,
    /// With a smaller number than this: the next page.
    pub before: Option<u64>,
    /// At most so many, and never more than 10,000.
    pub limit: usize,
}

/// Which audits to show. Those that match all of what is given, the newest first.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Of what this one did.
    pub who: Option<String>,
    /// From then on.
    pub from: Option<Wall>,
    /// With a smaller number than this: the next page.
    pub before: Option<u64>,
    /// At most so many, and never more than 10,000.
    pub limit: usize,
}

/// A `WHERE` of as many conditions as are given.
#[derive(Default)]
pub(super) struct Where {
    pub sql: String,
    pub values: Vec<Value>,
}

impl Where {
    pub fn and(&mut self, condition: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.sql.push_str(if self.sql.is_empty() { " WHERE " } else { " AND " });
            self.sql.push_str(condition);
            self.values.push(value.into());
        }
    }
}

impl Reader {
    /// Events, the newest first, or the oldest of those after one.
    pub fn events(&self, filter: &EventFilter) -> Result<Vec<Event>, ReadError> {
        let (sql, values) = of_events(filter);
        self.state.read(|connection| select(connection, &sql, values, event))
    }

    /// Incidents, the newest first.
    pub fn incidents(&self, filter: &IncidentFilter) -> Result<Vec<Incident>, ReadError> {
        let mut which = Where::default();
        which.and("service = ?", filter.service.as_deref().map(str::to_owned));
        which.and("id = ?", filter.id.map(number));
        which.and("(closed IS NULL) = ?", filter.open);
        which.and("severity = ?", filter.severity.map(|severity| severity.to_string()));
        which.and("coalesce(closed, 9223372036854775807) >= ?", filter.from.map(|at| at.0));
        which.and("opened < ?", filter.to.map(|at| at.0));
        which.and("id < ?", filter.before.map(number));
        let limit = filter.limit.min(MOST);
        let sql = format!("SELECT data FROM incident{} ORDER BY id DESC LIMIT {limit}", which.sql);
        let rows = self.state.read(|connection| select(connection, &sql, which.values, incident))?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// What people and programs did, the newest first.
    pub fn audits(&self, filter: &AuditFilter) -> Result<Vec<Audit>, ReadError> {
        let mut which = Where::default();
        which.and("who = ?", filter.who.clone());
        which.and("at >= ?", filter.from.map(|at| at.0));
        which.and("id < ?", filter.before.map(number));
        let limit = filter.limit.min(MOST);
        let sql = format!(
            "SELECT id, at, who, source, what, ok, words FROM audit{} ORDER BY id DESC LIMIT {limit}",
            which.sql
        );
        self.state.read(|connection| select(connection, &sql, which.values, audit))
    }
}

/// No number of ours is larger than a signed one of SQLite may be; one that somebody asks for may be.
pub(super) fn number(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

pub(super) fn select<T>(
    connection: &Connection,
    sql: &str,
    values: Vec<Value>,
    row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare_cached(sql)?.query_map(params_from_iter(values), row)?.collect()
}

fn of_events(filter: &EventFilter) -> (String, Vec<Value>) {
    let mut which = Where::default();
    which.and("service = ?", filter.service.as_deref().map(str::to_owned));
    which.and("kind = ?", filter.kind.clone());
    which.and("incident = ?", filter.incident.map(number));
    which.and("at >= ?", filter.from.map(|at| at.0));
    which.and("id < ?", filter.before.map(number));
    which.and("id > ?", filter.after.map(number));
    let order = if filter.after.is_some() { "ASC" } else { "DESC" };
    let limit = filter.limit.min(MOST);
    let sql = format!(
        "SELECT id, at, service, incident, data, words FROM event{} ORDER BY id {order} LIMIT {limit}",
        which.sql
    );
    (sql, which.values)
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let data: String = row.get(4)?;
    // An event of a kind that this version does not know is still told in words.
    let kind = match serde_json::from_str(&data) {
        Ok(kind) => kind,
        Err(_) => EventKind::Noted { words: row.get(5)? },
    };
    Ok(Event {
        id: row.get::<_, i64>(0)? as u64,
        at: Wall(row.get(1)?),
        service: row.get::<_, Option<String>>(2)?.map(Into::into),
        incident: row.get::<_, Option<i64>>(3)?.map(|id| id as u64),
        kind,
    })
}

/// Nothing if it cannot be read: of a later version.
pub(super) fn incident(row: &Row<'_>) -> rusqlite::Result<Option<Incident>> {
    Ok(serde_json::from_str(&row.get::<_, String>(0)?).ok())
}

fn audit(row: &Row<'_>) -> rusqlite::Result<Audit> {
    Ok(Audit {
        id: row.get::<_, i64>(0)? as u64,
        at: Wall(row.get(1)?),
        who: row.get(2)?,
        from: row.get(3)?,
        what: row.get(4)?,
        ok: row.get(5)?,
        words: row.get(6)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else the deaths of a quiet service are looked for among those of all others.
    #[test]
    fn an_index_has_all_that_a_page_asks_of_events() {
        let connection = Connection::open_in_memory().unwrap();
        crate::store::database::STATE.steps.iter().for_each(|step| connection.execute_batch(step).unwrap());
        let (service, kind) = (Some(Name::from("web")), Some("died".to_owned()));
        for (filter, index) in [
            (EventFilter { service: service.clone(), ..EventFilter::default() }, "(service=?)"),
            (EventFilter { kind: kind.clone(), ..EventFilter::default() }, "(kind=?)"),
            (
                EventFilter { service, kind, before: Some(9), ..EventFilter::default() },
                "(service=? AND kind=? AND id<?)",
            ),
            (EventFilter { incident: Some(3), ..EventFilter::default() }, "(incident=?)"),
        ] {
            let (sql, values) = of_events(&filter);
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let steps = statement.query_map(params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
            let steps: Vec<String> = steps.map(Result::unwrap).collect();
            assert!(steps.len() == 1 && steps[0].ends_with(index), "{steps:?}");
        }
    }
}
