-- history.db, version 1. Times are milliseconds since 1970-01-01 UTC; the views show them as ISO times.

CREATE TABLE series (
  -- What was kept of a check. A check whose kept metrics change begins a new series.
  id      INTEGER PRIMARY KEY,
  service TEXT NOT NULL,
  "check" TEXT NOT NULL,
  kind    TEXT NOT NULL,
  metrics TEXT NOT NULL,     -- the names of its metrics in order, as a JSON list
  judged  INTEGER,           -- which of them says whether the check is bad (down, failed, missing); nothing if none does
  rolled  INTEGER NOT NULL,  -- blocks that start before this are in the roll-ups
  UNIQUE (service, "check", kind, metrics)
);

CREATE TABLE block (
  -- Samples, packed: about a minute of a series in a row. `minder history` unpacks them.
  series INTEGER NOT NULL,
  start  INTEGER NOT NULL,   -- of the first sample
  end    INTEGER NOT NULL,   -- of the last sample
  count  INTEGER NOT NULL,
  data   BLOB NOT NULL,
  PRIMARY KEY (series, start)
) WITHOUT ROWID;

-- Roll-ups: a row for each series, metric, and minute, hour or day (UTC) that has samples, up to half an hour late.

CREATE TABLE rollup_minute (
  series  INTEGER NOT NULL,
  start   INTEGER NOT NULL,
  metric  INTEGER NOT NULL,  -- its place in the series' list
  samples INTEGER NOT NULL,  -- how many samples were taken
  count   INTEGER NOT NULL,  -- how many of them have a number for this metric
  min     REAL,
  max     REAL,
  sum     REAL NOT NULL,     -- of a flag: how often it was true
  PRIMARY KEY (series, start, metric)
) WITHOUT ROWID;

CREATE TABLE rollup_hour (
  series INTEGER NOT NULL, start INTEGER NOT NULL, metric INTEGER NOT NULL,
  samples INTEGER NOT NULL, count INTEGER NOT NULL, min REAL, max REAL, sum REAL NOT NULL,
  PRIMARY KEY (series, start, metric)
) WITHOUT ROWID;

CREATE TABLE rollup_day (
  series INTEGER NOT NULL, start INTEGER NOT NULL, metric INTEGER NOT NULL,
  samples INTEGER NOT NULL, count INTEGER NOT NULL, min REAL, max REAL, sum REAL NOT NULL,
  PRIMARY KEY (series, start, metric)
) WITHOUT ROWID;

CREATE VIEW minutes AS
  SELECT strftime('%Y-%m-%dT%H:%MZ', r.start / 1000, 'unixepoch') AS time, s.service, s."check",
         s.metrics ->> r.metric AS metric, r.samples, r.count, r.min, r.sum / nullif(r.count, 0) AS avg, r.max
  FROM rollup_minute r JOIN series s ON s.id = r.series;

CREATE VIEW hours AS
  SELECT strftime('%Y-%m-%dT%H:%MZ', r.start / 1000, 'unixepoch') AS time, s.service, s."check",
         s.metrics ->> r.metric AS metric, r.samples, r.count, r.min, r.sum / nullif(r.count, 0) AS avg, r.max
  FROM rollup_hour r JOIN series s ON s.id = r.series;

CREATE VIEW days AS
  SELECT date(r.start / 1000, 'unixepoch') AS time, s.service, s."check",
         s.metrics ->> r.metric AS metric, r.samples, r.count, r.min, r.sum / nullif(r.count, 0) AS avg, r.max
  FROM rollup_day r JOIN series s ON s.id = r.series;

-- How often a check was bad (down, failed, missing), by hour, and how often that could not be said.
CREATE VIEW health AS
  SELECT strftime('%Y-%m-%dT%H:%MZ', r.start / 1000, 'unixepoch') AS time, s.service, s."check",
         r.samples, cast(r.sum AS INTEGER) AS bad, r.samples - r.count AS unknown
  FROM rollup_hour r JOIN series s ON s.id = r.series AND s.judged = r.metric;
