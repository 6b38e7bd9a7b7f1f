-- Access tokens: who may come in by one, and when each was used last.

CREATE TABLE tokens (
    id         BLOB NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL,
    prefix     TEXT NOT NULL,
    -- The SHA-256 of the secret, which is kept nowhere.
    hash       BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    role       TEXT NOT NULL,
    scopes     TEXT NOT NULL,
    made_at    TEXT NOT NULL,
    expires_at TEXT,
    revoked_at TEXT
) STRICT;
CREATE INDEX tokens_standing ON tokens (id) WHERE revoked_at IS NULL;

-- Written now and then, and in no event: a use changes nothing.
CREATE TABLE token_uses (
    token_id BLOB NOT NULL PRIMARY KEY REFERENCES tokens (id),
    at       TEXT NOT NULL
) STRICT;
