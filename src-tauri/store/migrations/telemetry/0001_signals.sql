-- Measured time series. May be lost; deleted by age and by disk budget.

CREATE TABLE series (
    id         INTEGER PRIMARY KEY,
    -- The signal's name.
    name       TEXT NOT NULL,
    -- A JSON object with sorted keys.
    labels     TEXT NOT NULL,
    -- Numbers are kept as whole multiples of this.
    resolution REAL NOT NULL,
    -- The latest sample, as of the last time the series fell silent.
    last_at    INTEGER,
    last_value INTEGER,
    UNIQUE (name, labels)
) STRICT;

-- Up to ten minutes of samples of one series. The key is the minute the window starts at, the series
-- and the number of the chunk in its window, in 27, 24 and 12 bits: new chunks are appended at one end
-- of the table and old ones deleted at the other.
CREATE TABLE chunks (
    id   INTEGER PRIMARY KEY,
    data BLOB NOT NULL
) STRICT;

-- Four hours of one series by the minute. The key is the number of the four hours since 1970, and the
-- series in 24 bits.
CREATE TABLE minutes (
    id   INTEGER PRIMARY KEY,
    data BLOB NOT NULL
) STRICT;

-- A day of one series by the hour, keyed likewise.
CREATE TABLE hours (
    id   INTEGER PRIMARY KEY,
    data BLOB NOT NULL
) STRICT;

-- Samples that are in no chunk yet, all series together, one row for each flush.
CREATE TABLE journal (
    seq  INTEGER PRIMARY KEY,
    data BLOB NOT NULL
) STRICT;

-- Suspends, clock steps, and measurements that were missed.
CREATE TABLE marks (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    kind    TEXT NOT NULL,
    span_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX marks_by_time ON marks (at);

-- Single numbers that outlive the engine.
CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
