-- state.db, version 2: a message may also be dropped, with its reasons in its data; and what each notifier has heard is kept.

CREATE TABLE notifier (
  -- What each notifier has heard and not the end of, a row each, written anew when it changes.
  name  TEXT PRIMARY KEY,
  state TEXT NOT NULL        -- JSON
) WITHOUT ROWID;
