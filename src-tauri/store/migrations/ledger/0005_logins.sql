-- Logins: browsers that are signed in, and when each was used last.

CREATE TABLE logins (
    id           BLOB NOT NULL PRIMARY KEY,
    -- The SHA-256 of what its cookie holds and of what its page holds; neither is kept.
    cookie_hash  BLOB NOT NULL UNIQUE CHECK (length(cookie_hash) = 32),
    page_hash    BLOB NOT NULL CHECK (length(page_hash) = 32),
    via          TEXT NOT NULL,
    token_id     BLOB REFERENCES tokens (id),
    origin       TEXT NOT NULL,
    from_address TEXT,
    agent        TEXT NOT NULL,
    made_at      TEXT NOT NULL,
    expires_at   TEXT NOT NULL,
    ended_at     TEXT,
    ended_why    TEXT
) STRICT;
CREATE INDEX logins_standing ON logins (id) WHERE ended_at IS NULL;
CREATE INDEX logins_of_token ON logins (token_id) WHERE token_id IS NOT NULL;

-- Written now and then, and in no event: a use changes nothing.
CREATE TABLE login_uses (
    login_id BLOB NOT NULL PRIMARY KEY REFERENCES logins (id),
    at       TEXT NOT NULL
) STRICT;
