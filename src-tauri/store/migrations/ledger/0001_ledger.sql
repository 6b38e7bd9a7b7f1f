-- The log: every row below is computed from it. Times are RFC 3339 with nine digits, ids are
-- UUIDv7 bytes, `body` holds the fact's JSON exactly as it was hashed.
CREATE TABLE events (
    seq            INTEGER PRIMARY KEY CHECK (seq > 0),
    id             BLOB NOT NULL UNIQUE,
    at             TEXT NOT NULL,
    actor          TEXT NOT NULL,
    correlation_id BLOB,
    mission_id     BLOB,
    attempt_id     BLOB,
    agent_id       BLOB,
    mission_seq    INTEGER,
    kind           TEXT NOT NULL,
    hash           BLOB NOT NULL CHECK (length(hash) = 32),
    body           BLOB NOT NULL,
    CHECK ((mission_id IS NULL) = (mission_seq IS NULL))
) STRICT;
CREATE UNIQUE INDEX events_by_mission ON events (mission_id, mission_seq) WHERE mission_id IS NOT NULL;
CREATE INDEX events_by_attempt ON events (attempt_id, seq) WHERE attempt_id IS NOT NULL;
CREATE INDEX events_by_agent ON events (agent_id, seq) WHERE agent_id IS NOT NULL;
CREATE INDEX events_by_kind ON events (kind, seq);

CREATE TABLE agents (
    id          BLOB NOT NULL PRIMARY KEY,
    name        TEXT NOT NULL,
    name_key    TEXT NOT NULL,
    role        TEXT NOT NULL,
    skills      TEXT NOT NULL,
    runtime     TEXT NOT NULL,
    directory   TEXT,
    grace_s     INTEGER NOT NULL,
    paused      INTEGER NOT NULL,
    demo        INTEGER NOT NULL,
    created_at  TEXT NOT NULL,
    removed_seq INTEGER
) STRICT;
CREATE UNIQUE INDEX agents_by_name ON agents (name_key) WHERE removed_seq IS NULL;

CREATE TABLE missions (
    id          BLOB NOT NULL PRIMARY KEY,
    short_id    TEXT NOT NULL UNIQUE,
    title       TEXT NOT NULL,
    title_key   TEXT NOT NULL,
    state       TEXT NOT NULL,
    note        TEXT,
    priority    TEXT NOT NULL,
    policy      TEXT NOT NULL,
    agent_id    BLOB REFERENCES agents (id),
    repository  TEXT,
    gates       TEXT NOT NULL,
    retries_max INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    tries       INTEGER NOT NULL,
    grade       TEXT NOT NULL,
    demo        INTEGER NOT NULL,
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL,
    removed_seq INTEGER,
    brief       TEXT NOT NULL
) STRICT;
CREATE INDEX missions_by_state ON missions (state, id) WHERE removed_seq IS NULL;
CREATE INDEX missions_by_agent ON missions (agent_id, id) WHERE removed_seq IS NULL;
CREATE INDEX missions_unfinished ON missions (id)
    WHERE removed_seq IS NULL AND state NOT IN ('done', 'failed', 'cancelled');

CREATE TABLE attempts (
    id         BLOB NOT NULL PRIMARY KEY,
    mission_id BLOB NOT NULL REFERENCES missions (id),
    agent_id   BLOB NOT NULL REFERENCES agents (id),
    n          INTEGER NOT NULL CHECK (n > 0),
    state      TEXT NOT NULL,
    stopping   INTEGER NOT NULL,
    note       TEXT,
    workplace  TEXT,
    process    TEXT,
    exit       TEXT,
    work       TEXT,
    leased_at  TEXT NOT NULL,
    ended_at   TEXT,
    UNIQUE (mission_id, n)
) STRICT;
CREATE INDEX attempts_by_agent ON attempts (agent_id, id);
-- At most one live lease per mission.
CREATE UNIQUE INDEX attempts_unfinished ON attempts (mission_id)
    WHERE state NOT IN ('accepted', 'rejected', 'lost', 'stopped');

CREATE TABLE gate_results (
    attempt_id   BLOB NOT NULL REFERENCES attempts (id),
    gate_index   INTEGER NOT NULL,
    gate         TEXT NOT NULL,
    verdict      TEXT NOT NULL,
    exit_code    INTEGER,
    reason       TEXT NOT NULL,
    output       TEXT NOT NULL,
    output_bytes INTEGER NOT NULL,
    commit_hash  TEXT,
    started_at   TEXT NOT NULL,
    duration_ms  INTEGER NOT NULL,
    PRIMARY KEY (attempt_id, gate_index)
) STRICT;

CREATE TABLE devlogs (
    id          BLOB NOT NULL PRIMARY KEY,
    mission_id  BLOB NOT NULL REFERENCES missions (id),
    short_id    TEXT NOT NULL,
    attempt_id  BLOB REFERENCES attempts (id),
    agent_id    BLOB REFERENCES agents (id),
    title       TEXT NOT NULL,
    demo        INTEGER NOT NULL,
    at          TEXT NOT NULL,
    removed_seq INTEGER,
    markdown    TEXT NOT NULL
) STRICT;
CREATE INDEX devlogs_by_time ON devlogs (at, id) WHERE removed_seq IS NULL;
CREATE INDEX devlogs_by_mission ON devlogs (mission_id, at, id) WHERE removed_seq IS NULL;
CREATE INDEX devlogs_by_agent ON devlogs (agent_id, at, id) WHERE removed_seq IS NULL;

-- What is still to be done in the world.
CREATE TABLE outbox (
    place        INTEGER PRIMARY KEY AUTOINCREMENT,
    id           BLOB NOT NULL UNIQUE,
    effect       TEXT NOT NULL,
    at           TEXT NOT NULL,
    delivered_at TEXT
) STRICT;
CREATE INDEX outbox_undelivered ON outbox (place) WHERE delivered_at IS NULL;

-- What was answered under an idempotency key, kept for a day.
CREATE TABLE answers (
    key         TEXT NOT NULL PRIMARY KEY,
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
    body        TEXT NOT NULL,
    kept_at_ms  INTEGER NOT NULL
) STRICT;
CREATE INDEX answers_by_age ON answers (kept_at_ms);

-- How far each follower of the log has come.
CREATE TABLE cursors (
    name TEXT NOT NULL PRIMARY KEY,
    seq  INTEGER NOT NULL
) STRICT;
