-- state.db, version 2: what each notifier has heard is kept; a message may also be dropped; and messages can be asked for by what
-- they are about.

CREATE TABLE notifier (
  -- What each notifier has heard and not the end of, a row each, written anew when it changes; none where there is nothing.
  name  TEXT PRIMARY KEY,
  state TEXT NOT NULL        -- JSON
) WITHOUT ROWID;

CREATE TABLE outbox_2 (
  -- Messages: those that wait for delivery, and for a while those that do no longer. See the view `messages`.
  --
  -- state     | how many, at most        | how long
  -- waiting   | 1,000 for each notifier  | until it ends
  -- delivered | 20,000, the latest       | 7 days
  -- dropped   | 20,000, the latest       | 7 days
  -- dead      | 10,000, the latest       | 30 days
  --
  -- The row with the highest number always stays.
  id       INTEGER PRIMARY KEY,
  key      TEXT NOT NULL,    -- the same for every attempt, and for no other message
  notifier TEXT NOT NULL,
  kind     TEXT NOT NULL,    -- firing, update, resolved, ..
  service  TEXT,             -- nothing if it is about minder itself
  incident INTEGER,          -- the incident that it is about
  at       INTEGER NOT NULL,
  expires  INTEGER NOT NULL,
  state    TEXT NOT NULL,    -- waiting, delivered, dead, dropped
  ended    INTEGER,          -- when it ceased to wait
  attempts INTEGER NOT NULL, -- as far as its steps go back
  why      TEXT,             -- its latest step, in words
  title    TEXT NOT NULL,
  data     TEXT NOT NULL     -- all of it as JSON
);

INSERT INTO outbox_2
  SELECT id, key, notifier,
         coalesce(data ->> '$.kind', ''), nullif(data ->> '$.story.service', ''), data ->> '$.story.incident',
         at, expires, state, ended, attempts, error, title, json_set(data, '$.state', state)
  FROM outbox WHERE json_valid(data);

DROP VIEW messages;
DROP TABLE outbox;
ALTER TABLE outbox_2 RENAME TO outbox;

CREATE INDEX outbox_by_end ON outbox (state, ended);

CREATE VIEW messages AS
  SELECT id, notifier, kind, service, incident, title, state, attempts, why,
         strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS time,
         strftime('%Y-%m-%dT%H:%M:%fZ', expires / 1000.0, 'unixepoch') AS expires,
         strftime('%Y-%m-%dT%H:%M:%fZ', ended / 1000.0, 'unixepoch') AS ended
  FROM outbox;
