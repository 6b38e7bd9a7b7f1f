-- What the orchestrator knows beyond the life of a mission. The value of a new column in an old row
-- is what replaying the old events gives, because they lack the field and have its default.

-- A brief may be large; beside the mission it made every list walk over it.
CREATE TABLE briefs (
    mission_id BLOB NOT NULL PRIMARY KEY REFERENCES missions (id),
    text       TEXT NOT NULL
) STRICT;
INSERT INTO briefs (mission_id, text) SELECT id, brief FROM missions;
ALTER TABLE missions DROP COLUMN brief;

ALTER TABLE missions ADD COLUMN labels TEXT NOT NULL DEFAULT '[]';
ALTER TABLE missions ADD COLUMN skills TEXT NOT NULL DEFAULT '[]';
ALTER TABLE missions ADD COLUMN depends_on TEXT NOT NULL DEFAULT '[]';
ALTER TABLE missions ADD COLUMN criteria TEXT NOT NULL DEFAULT '[]';
ALTER TABLE missions ADD COLUMN links TEXT NOT NULL DEFAULT '[]';
ALTER TABLE missions ADD COLUMN deadline TEXT;
ALTER TABLE missions ADD COLUMN estimate TEXT;
ALTER TABLE missions ADD COLUMN progress TEXT;
ALTER TABLE missions ADD COLUMN external_id TEXT;
ALTER TABLE missions ADD COLUMN handoff TEXT;
ALTER TABLE missions ADD COLUMN target TEXT;
ALTER TABLE missions ADD COLUMN merged TEXT;
ALTER TABLE missions ADD COLUMN proof TEXT;
ALTER TABLE missions ADD COLUMN not_before TEXT;
ALTER TABLE missions ADD COLUMN unattended INTEGER NOT NULL DEFAULT 0;
ALTER TABLE missions ADD COLUMN hand_over INTEGER NOT NULL DEFAULT 0;
ALTER TABLE missions ADD COLUMN recoveries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE missions ADD COLUMN backoff_s INTEGER NOT NULL DEFAULT 1;
CREATE UNIQUE INDEX missions_by_external_id ON missions (external_id)
    WHERE external_id IS NOT NULL AND removed_seq IS NULL;
CREATE INDEX missions_listed ON missions (id) WHERE removed_seq IS NULL;
CREATE INDEX missions_by_policy ON missions (policy, id) WHERE removed_seq IS NULL;
CREATE INDEX missions_by_repository ON missions (repository, id)
    WHERE repository IS NOT NULL AND removed_seq IS NULL;

-- How many missions stand in each state, so that counting does not walk over all of history.
CREATE TABLE mission_counts (
    state TEXT NOT NULL PRIMARY KEY,
    n     INTEGER NOT NULL CHECK (n >= 0)
) STRICT;
INSERT INTO mission_counts (state, n)
    WITH states (state) AS (
        VALUES ('draft'), ('queued'), ('assigned'), ('running'), ('verifying'), ('in_review'),
               ('done'), ('needs_input'), ('paused'), ('failed'), ('cancelled')
    )
    SELECT state, (SELECT COUNT(*) FROM missions
                   WHERE missions.state = states.state AND removed_seq IS NULL)
    FROM states;
CREATE TRIGGER missions_counted AFTER INSERT ON missions WHEN new.removed_seq IS NULL BEGIN
    UPDATE mission_counts SET n = n + 1 WHERE state = new.state;
END;
CREATE TRIGGER missions_recounted AFTER UPDATE OF state, removed_seq ON missions BEGIN
    UPDATE mission_counts SET n = n - 1 WHERE state = old.state AND old.removed_seq IS NULL;
    UPDATE mission_counts SET n = n + 1 WHERE state = new.state AND new.removed_seq IS NULL;
END;

-- Missions by label; the list in the mission's row is what counts.
CREATE TABLE mission_labels (
    label      TEXT NOT NULL,
    mission_id BLOB NOT NULL,
    PRIMARY KEY (label, mission_id)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER missions_labelled AFTER INSERT ON missions WHEN new.labels <> '[]' BEGIN
    INSERT OR IGNORE INTO mission_labels (label, mission_id)
        SELECT value, new.id FROM json_each(new.labels);
END;
CREATE TRIGGER missions_relabelled AFTER UPDATE OF labels ON missions
    WHEN new.labels <> old.labels BEGIN
    DELETE FROM mission_labels
        WHERE mission_id = old.id AND label IN (SELECT value FROM json_each(old.labels));
    INSERT OR IGNORE INTO mission_labels (label, mission_id)
        SELECT value, new.id FROM json_each(new.labels);
END;

ALTER TABLE attempts ADD COLUMN in_review INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN frozen INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN handoff TEXT;
ALTER TABLE attempts ADD COLUMN choice TEXT;
-- Work is written with its tree now. Within a JSON text a quote is always escaped, so that this
-- finds the key and nothing else.
UPDATE attempts SET work = replace(work, ',"diff":{', ',"tree":null,"diff":{')
    WHERE work IS NOT NULL;
CREATE INDEX attempts_by_end ON attempts (ended_at) WHERE state IN ('accepted', 'rejected', 'lost');
CREATE INDEX attempts_with_worktree ON attempts (id)
    WHERE instr(workplace, ',"branch":"') > 0;

-- How the attempts of each agent ended that were not stopped.
CREATE TABLE agent_counts (
    agent_id BLOB NOT NULL PRIMARY KEY REFERENCES agents (id),
    accepted INTEGER NOT NULL,
    ended    INTEGER NOT NULL
) STRICT;
INSERT INTO agent_counts (agent_id, accepted, ended)
    SELECT agent_id, SUM(state = 'accepted'), COUNT(*) FROM attempts
    WHERE state IN ('accepted', 'rejected', 'lost') GROUP BY agent_id;
CREATE TRIGGER attempts_counted AFTER UPDATE OF state ON attempts
    WHEN new.state IN ('accepted', 'rejected', 'lost')
    AND old.state NOT IN ('accepted', 'rejected', 'lost') BEGIN
    INSERT OR IGNORE INTO agent_counts (agent_id, accepted, ended) VALUES (new.agent_id, 0, 0);
    UPDATE agent_counts SET accepted = accepted + (new.state = 'accepted'), ended = ended + 1
        WHERE agent_id = new.agent_id;
END;

ALTER TABLE gate_results ADD COLUMN tree TEXT;
ALTER TABLE gate_results ADD COLUMN checks INTEGER;
ALTER TABLE gate_results ADD COLUMN answered_by TEXT;

CREATE TABLE checkpoints (
    id                BLOB NOT NULL PRIMARY KEY,
    mission_id        BLOB NOT NULL REFERENCES missions (id),
    attempt_id        BLOB NOT NULL REFERENCES attempts (id),
    n                 INTEGER NOT NULL CHECK (n > 0),
    commit_hash       TEXT NOT NULL,
    tree              TEXT NOT NULL,
    uncommitted_files INTEGER NOT NULL,
    output_bytes      INTEGER NOT NULL,
    note              TEXT NOT NULL,
    at                TEXT NOT NULL,
    UNIQUE (attempt_id, n)
) STRICT;
CREATE INDEX checkpoints_by_mission ON checkpoints (mission_id, id);

-- Reviewing agents that have been asked and have not answered.
CREATE TABLE reviews (
    attempt_id BLOB NOT NULL REFERENCES attempts (id),
    gate_index INTEGER NOT NULL,
    agent_id   BLOB NOT NULL REFERENCES agents (id),
    asked_seq  INTEGER NOT NULL,
    PRIMARY KEY (attempt_id, gate_index)
) STRICT;

CREATE TABLE policies (
    name TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL
) STRICT;

CREATE TABLE templates (
    name TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL
) STRICT;

-- What there is one of: 'settings', and 'halted' while everything is stopped.
CREATE TABLE settings (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE trash (
    id         BLOB NOT NULL PRIMARY KEY,
    kind       TEXT NOT NULL,
    mission_id BLOB NOT NULL REFERENCES missions (id),
    attempt    INTEGER,
    body       TEXT NOT NULL,
    at         TEXT NOT NULL,
    until      TEXT NOT NULL,
    ended      TEXT
) STRICT;
CREATE INDEX trash_listed ON trash (id) WHERE ended IS NULL;
CREATE INDEX trash_by_until ON trash (until) WHERE ended IS NULL;
CREATE INDEX trash_by_mission ON trash (mission_id, attempt);

CREATE TABLE topics (
    id        BLOB NOT NULL PRIMARY KEY,
    title     TEXT NOT NULL,
    text      TEXT NOT NULL,
    options   TEXT NOT NULL,
    opened_at TEXT NOT NULL,
    decision  TEXT
) STRICT;

CREATE TABLE votes (
    topic_id  BLOB NOT NULL REFERENCES topics (id),
    agent_id  BLOB NOT NULL REFERENCES agents (id),
    option    TEXT NOT NULL,
    rationale TEXT NOT NULL,
    at        TEXT NOT NULL,
    PRIMARY KEY (topic_id, agent_id)
) STRICT;

-- Delivered effects are removed after a day.
CREATE INDEX outbox_delivered ON outbox (delivered_at) WHERE delivered_at IS NOT NULL;
