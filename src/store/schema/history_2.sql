-- history.db, version 2: the wholes that metrics are parts of, such as the size of a filesystem.

CREATE TABLE whole (
  -- From when on metrics were parts of what, packed as samples are. A row for each block in which that has changed: what is in
  -- no row is as it was in the one before. Kept as long as minutes are, with the last row of before.
  series INTEGER NOT NULL,
  start  INTEGER NOT NULL,   -- of the first change
  end    INTEGER NOT NULL,   -- of the last change
  count  INTEGER NOT NULL,
  data   BLOB NOT NULL,      -- in each change the whole of every metric of the series, missing where there is none
  PRIMARY KEY (series, start)
) WITHOUT ROWID;
