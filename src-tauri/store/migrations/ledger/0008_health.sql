-- Health checks of the captain's own, times of maintenance, what was reported, and how things changed.

CREATE TABLE health_checks (
    id   TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL
) STRICT;

CREATE TABLE maintenance (
    id   TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL
) STRICT;

CREATE TABLE check_reports (
    id   TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL
) STRICT;

-- Of the captain's checks, of the engine's parts and of agents, by the ids they have everywhere. The
-- place is that of the event and of the change in it.
CREATE TABLE check_changes (
    seq          INTEGER NOT NULL,
    n            INTEGER NOT NULL,
    check_id     TEXT NOT NULL,
    at           TEXT NOT NULL,
    confirmed_at TEXT NOT NULL,
    from_state   TEXT NOT NULL,
    to_state     TEXT NOT NULL,
    reason       TEXT NOT NULL,
    PRIMARY KEY (seq, n)
) STRICT;

CREATE INDEX check_changes_of ON check_changes (check_id, seq, n);
CREATE INDEX check_changes_when ON check_changes (confirmed_at, seq, n);
