-- Hooks, and the names of secrets.

CREATE TABLE hooks (
    id   TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL
) STRICT;

-- Their values are in the system's keychain, or in a file beside this one; never here.
CREATE TABLE secrets (
    name TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL
) STRICT;
