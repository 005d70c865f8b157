-- state.db, version 1. Times are milliseconds since 1970-01-01 UTC; the views show them as ISO times.

CREATE TABLE meta (
  -- Facts about this database: `instance` is random and made once, `boot` is the machine's boot at the last start of minder.
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

INSERT INTO meta VALUES ('instance', lower(hex(randomblob(8))));

CREATE TABLE service (
  -- What must outlive minder: the state of each service, a row each, written anew when it changes.
  name  TEXT PRIMARY KEY,
  state TEXT NOT NULL        -- JSON
) WITHOUT ROWID;

CREATE TABLE event (
  -- Immutable facts, recorded on a transition only. See the view `events`.
  id       INTEGER PRIMARY KEY,
  at       INTEGER NOT NULL,
  service  TEXT,             -- nothing if it is about minder itself
  kind     TEXT NOT NULL,    -- fired, resolved, died, acted, ..
  words    TEXT NOT NULL,    -- for people, in one line
  incident INTEGER,          -- the incident that it belongs to
  data     TEXT NOT NULL     -- its facts as JSON
);

CREATE INDEX event_of_service ON event (service, id);
CREATE INDEX event_of_incident ON event (incident, id) WHERE incident IS NOT NULL;

CREATE TABLE incident (
  -- From a service's first firing to its all-clear. See the view `incidents`.
  id       INTEGER PRIMARY KEY,
  service  TEXT NOT NULL,
  opened   INTEGER NOT NULL,
  closed   INTEGER,          -- nothing while it is open
  severity TEXT NOT NULL,    -- the worst that it has been: info, warning, critical
  title    TEXT NOT NULL,
  data     TEXT NOT NULL     -- all of it as JSON
);

CREATE INDEX incident_of_service ON incident (service, id);
CREATE INDEX incident_open ON incident (id) WHERE closed IS NULL;

CREATE TABLE outbox (
  -- Messages: those that wait for delivery, and for a while those that do no longer. See the view `messages`.
  id       INTEGER PRIMARY KEY,
  key      TEXT NOT NULL,    -- the same for every attempt, and for no other message
  notifier TEXT NOT NULL,
  at       INTEGER NOT NULL,
  expires  INTEGER NOT NULL,
  state    TEXT NOT NULL,    -- waiting, delivered, dead
  ended    INTEGER,          -- when it ceased to wait
  attempts INTEGER NOT NULL,
  error    TEXT,             -- why the latest attempt failed
  title    TEXT NOT NULL,
  data     TEXT NOT NULL     -- all of it as JSON
);

CREATE INDEX outbox_by_state ON outbox (state, id);

CREATE VIEW events AS
  SELECT id, strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS time, service, kind, words, incident, data
  FROM event;

CREATE VIEW incidents AS
  SELECT id, service, severity, title,
         strftime('%Y-%m-%dT%H:%M:%fZ', opened / 1000.0, 'unixepoch') AS opened,
         strftime('%Y-%m-%dT%H:%M:%fZ', closed / 1000.0, 'unixepoch') AS closed,
         round((closed - opened) / 1000.0, 1) AS seconds
  FROM incident;

CREATE VIEW messages AS
  SELECT id, notifier, title, state, attempts, error,
         strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS time,
         strftime('%Y-%m-%dT%H:%M:%fZ', expires / 1000.0, 'unixepoch') AS expires,
         strftime('%Y-%m-%dT%H:%M:%fZ', ended / 1000.0, 'unixepoch') AS ended
  FROM outbox;
