-- state.db, version 3: who did what.

CREATE TABLE audit (
  -- What people and programs did, or tried to do, by the page, the API or the command line. The latest 50,000 of the last year.
  id     INTEGER PRIMARY KEY,
  at     INTEGER NOT NULL,
  who    TEXT NOT NULL,     -- a user, a token, `root`; of one who could not sign in what he called himself
  source TEXT NOT NULL,     -- an address, or `socket`
  what   TEXT NOT NULL,     -- `restart web`, `sign in`
  ok     INTEGER NOT NULL,  -- whether it was done
  words  TEXT NOT NULL      -- what came of it
);

CREATE VIEW audits AS
  SELECT id, strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS time, who, source, what, ok, words
  FROM audit;

CREATE INDEX incident_by_time ON incident (opened);
CREATE INDEX incident_by_end ON incident (closed);

-- The starts, pauses and notes of a long time are few among many events.
CREATE INDEX event_of_kind ON event (kind, id);
-- So are the deaths of a service among all that happened to it, and to others.
CREATE INDEX event_of_service_and_kind ON event (service, kind, id);
