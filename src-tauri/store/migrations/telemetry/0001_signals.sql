-- Measured time series. May be lost; deleted by age and by disk budget.

CREATE TABLE series (
    id           INTEGER PRIMARY KEY,
    name         TEXT    NOT NULL,
    -- A JSON object with sorted keys.
    labels       TEXT    NOT NULL,
    -- Values are stored as whole multiples of this.
    resolution   REAL    NOT NULL,
    -- Journal rows before this one hold nothing of the series that is not in chunks.
    journal_from INTEGER NOT NULL,
    -- The latest sample that is in a chunk.
    last_at      INTEGER NOT NULL,
    last_value   INTEGER NOT NULL,
    UNIQUE (name, labels)
) STRICT;

-- Up to ten minutes of samples of one series. A window is named by the minute it starts at, which
-- differs from series to series. The key is time-major, so that new chunks are appended at one end
-- of the table and old ones deleted at the other: full pages, and no chunk moves twice.
CREATE TABLE chunks (
    time_window INTEGER NOT NULL,
    series_id   INTEGER NOT NULL,
    part        INTEGER NOT NULL,
    samples     BLOB    NOT NULL,
    PRIMARY KEY (time_window, series_id, part)
) STRICT, WITHOUT ROWID;

-- What a chunk amounted to, as a whole and by the minute; kept longer than the chunk.
CREATE TABLE rollups (
    time_window  INTEGER NOT NULL,
    series_id    INTEGER NOT NULL,
    part         INTEGER NOT NULL,
    first_at     INTEGER NOT NULL,
    last_at      INTEGER NOT NULL,
    sample_count INTEGER NOT NULL,
    min_value    INTEGER NOT NULL,
    max_value    INTEGER NOT NULL,
    sum_value    REAL    NOT NULL,
    last_value   INTEGER NOT NULL,
    minutes      BLOB    NOT NULL,
    PRIMARY KEY (time_window, series_id, part)
) STRICT, WITHOUT ROWID;

-- Samples that are in no chunk yet, all series together, one row for each flush.
CREATE TABLE journal (
    seq     INTEGER PRIMARY KEY,
    samples BLOB NOT NULL
) STRICT;

-- Single numbers that outlive the engine.
CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
