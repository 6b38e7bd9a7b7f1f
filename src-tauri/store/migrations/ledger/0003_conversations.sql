-- Agents that are spoken with: their conduct, messages, what they ask, rules, usage and reports. The
-- value of a new column in an old row is what replaying the old events gives, because they lack the
-- field and have its default.

ALTER TABLE agents ADD COLUMN conduct TEXT NOT NULL DEFAULT '{"permissions":"auto_in_worktree","limits":{"memory_bytes":null,"processes":null,"cpu_weight":null,"open_files":null,"output_bytes":null},"sandbox":null,"rules":"","files":false,"handover_at_percent":null}';
-- A command says whether it has a terminal now. The values of its variables are texts, so that this
-- finds the field and nothing else.
UPDATE agents SET runtime = substr(runtime, 1, length(runtime) - 1) || ',"terminal":false}'
    WHERE runtime LIKE '{"kind":"command",%'
    AND instr(runtime, '"terminal":false') = 0 AND instr(runtime, '"terminal":true') = 0;

ALTER TABLE attempts ADD COLUMN acknowledged_at TEXT;
-- An end says what of the output was not kept now.
UPDATE attempts SET exit = substr(exit, 1, length(exit) - 1) || ',"given_up_bytes":0,"redacted":0}'
    WHERE exit IS NOT NULL AND instr(exit, ',"redacted":') = 0;

CREATE TABLE messages (
    id              BLOB NOT NULL PRIMARY KEY,
    agent_id        BLOB NOT NULL REFERENCES agents (id),
    source          TEXT NOT NULL,
    text            TEXT NOT NULL,
    urgent          INTEGER NOT NULL,
    mission_id      BLOB REFERENCES missions (id),
    broadcast_id    BLOB,
    attempt_id      BLOB REFERENCES attempts (id),
    queued_at       TEXT NOT NULL,
    delivered_at    TEXT,
    started_at      TEXT,
    acknowledged_at TEXT,
    tries           INTEGER NOT NULL,
    problem         TEXT,
    quarantined     INTEGER NOT NULL,
    discarded       INTEGER NOT NULL,
    -- As the model says it.
    state           TEXT NOT NULL GENERATED ALWAYS AS (CASE
        WHEN discarded THEN 'discarded'
        WHEN quarantined THEN 'quarantined'
        WHEN acknowledged_at IS NOT NULL THEN 'acknowledged'
        WHEN started_at IS NOT NULL THEN 'started'
        WHEN delivered_at IS NOT NULL THEN 'delivered'
        ELSE 'queued' END) VIRTUAL
) STRICT;
CREATE INDEX messages_waiting ON messages (agent_id, urgent DESC, id) WHERE state = 'queued';
CREATE INDEX messages_by_agent ON messages (agent_id, id);
CREATE INDEX messages_by_state ON messages (state, id);
CREATE INDEX messages_by_mission ON messages (mission_id, id) WHERE mission_id IS NOT NULL;
CREATE INDEX messages_by_broadcast ON messages (broadcast_id, id) WHERE broadcast_id IS NOT NULL;
CREATE INDEX messages_of_attempt ON messages (attempt_id, delivered_at)
    WHERE state IN ('delivered', 'started');

-- What agents ask the captain.
CREATE TABLE requests (
    id         BLOB NOT NULL PRIMARY KEY,
    attempt_id BLOB NOT NULL REFERENCES attempts (id),
    mission_id BLOB NOT NULL REFERENCES missions (id),
    agent_id   BLOB NOT NULL REFERENCES agents (id),
    key        TEXT NOT NULL,
    ask        TEXT NOT NULL,
    asked_at   TEXT NOT NULL,
    not_before TEXT,
    outcome    TEXT,
    ended_at   TEXT,
    told       INTEGER NOT NULL,
    question   INTEGER NOT NULL GENERATED ALWAYS AS (ask ->> '$.kind' = 'question') VIRTUAL
) STRICT;
CREATE INDEX requests_open ON requests (id) WHERE outcome IS NULL;
CREATE INDEX requests_open_kinds ON requests (question, not_before) WHERE outcome IS NULL;
CREATE INDEX requests_open_of_attempt ON requests (attempt_id, id) WHERE outcome IS NULL;
-- Whoever withdrew is not told.
CREATE INDEX requests_untold ON requests (attempt_id, id)
    WHERE told = 0 AND outcome IS NOT NULL AND outcome ->> '$.kind' <> 'withdrawn';
CREATE INDEX requests_by_agent ON requests (agent_id, id);
CREATE INDEX requests_by_mission ON requests (mission_id, id);

-- Permission rules; `scope_id` is the mission or agent one is for.
CREATE TABLE rules (
    id         BLOB NOT NULL PRIMARY KEY,
    pattern    TEXT NOT NULL,
    allow      INTEGER NOT NULL,
    scope      TEXT NOT NULL,
    scope_id   BLOB,
    created_at TEXT NOT NULL,
    CHECK ((scope = 'workspace') = (scope_id IS NULL))
) STRICT;
CREATE INDEX rules_by_scope ON rules (scope, scope_id, id);

-- What each attempt has used according to each source.
CREATE TABLE attempt_usage (
    attempt_id BLOB NOT NULL REFERENCES attempts (id),
    source     TEXT NOT NULL,
    body       TEXT NOT NULL,
    PRIMARY KEY (attempt_id, source)
) STRICT;

-- The reports of each agent that were taken last, so that each counts once.
CREATE TABLE reports (
    agent_id BLOB NOT NULL REFERENCES agents (id),
    key      TEXT NOT NULL,
    seq      INTEGER NOT NULL,
    PRIMARY KEY (agent_id, key)
) STRICT;
CREATE INDEX reports_by_age ON reports (agent_id, seq);
