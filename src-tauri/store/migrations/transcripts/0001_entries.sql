-- What passed between attempts and their agents. Can be told again from the runs' output as long as
-- that is there; deleted by age and by disk budget.

-- Keys are never given again, because the search index holds them.
CREATE TABLE attempts (
    key          INTEGER PRIMARY KEY AUTOINCREMENT,
    attempt_id   BLOB    NOT NULL UNIQUE,
    next_ordinal INTEGER NOT NULL,
    -- Entries before this ordinal were given up.
    kept_from    INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    entries      INTEGER NOT NULL,
    bytes        INTEGER NOT NULL,
    changed_ms   INTEGER NOT NULL
) STRICT;
CREATE INDEX attempts_by_age ON attempts (changed_ms);
CREATE INDEX attempts_filled ON attempts (changed_ms) WHERE entries > 0;

CREATE TABLE entries (
    place      INTEGER PRIMARY KEY,
    attempt    INTEGER NOT NULL,
    ordinal    INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    -- Of tool calls only.
    tool       TEXT,
    tool_state TEXT,
    tool_ms    INTEGER,
    slow       INTEGER NOT NULL,
    id         TEXT    NOT NULL,
    body       TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX entries_by_ordinal ON entries (attempt, ordinal);
CREATE UNIQUE INDEX entries_by_id ON entries (attempt, id);
CREATE INDEX entries_by_revision ON entries (attempt, revision);
CREATE INDEX entries_open ON entries (attempt, ordinal) WHERE tool_state IN ('pending', 'running');
CREATE INDEX entries_calls ON entries (attempt, tool, tool_state, tool_ms, slow)
    WHERE tool_state IS NOT NULL;

-- `tags` holds the attempt's key and the kind, so that a search within one attempt looks at nothing
-- else. The texts themselves stand in the entries.
CREATE VIRTUAL TABLE texts USING fts5 (
    tags, text, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2'
);

CREATE TRIGGER entries_added AFTER INSERT ON entries BEGIN
    UPDATE attempts SET entries = entries + 1, bytes = bytes + new.bytes WHERE key = new.attempt;
END;
CREATE TRIGGER entries_grown AFTER UPDATE OF bytes ON entries WHEN new.bytes <> old.bytes BEGIN
    UPDATE attempts SET bytes = bytes - old.bytes + new.bytes WHERE key = new.attempt;
END;
CREATE TRIGGER entries_gone AFTER DELETE ON entries BEGIN
    UPDATE attempts SET entries = entries - 1, bytes = bytes - old.bytes WHERE key = old.attempt;
    DELETE FROM texts WHERE rowid = old.place;
END;

-- Single numbers that outlive the engine.
CREATE TABLE marks (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
