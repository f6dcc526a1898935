-- Who may do what, and what was done. Secrets are kept as hashes only.

CREATE TABLE fleet_operator (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    folded TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    password TEXT,
    created_at INTEGER NOT NULL,
    last_active_at INTEGER
);

CREATE TABLE session (
    secret BLOB PRIMARY KEY,
    operator TEXT NOT NULL REFERENCES fleet_operator (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX session_operator ON session (operator);

CREATE TABLE sign_in_link (
    secret BLOB PRIMARY KEY,
    operator TEXT NOT NULL REFERENCES fleet_operator (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE fleet_token (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    secret BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    maker TEXT REFERENCES fleet_operator (id),
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER
);

CREATE TABLE join_token (
    id TEXT PRIMARY KEY,
    secret BLOB NOT NULL UNIQUE,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER,
    used_by TEXT
) WITHOUT ROWID;

CREATE TABLE fleet_audit (
    row INTEGER PRIMARY KEY,
    number INTEGER NOT NULL UNIQUE,
    at INTEGER NOT NULL,
    operator TEXT NOT NULL,
    actor_kind TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT,
    outcome TEXT NOT NULL,
    address TEXT,
    job TEXT,
    detail TEXT NOT NULL,
    prev TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE INDEX fleet_audit_at ON fleet_audit (at, number);
-- The chain tells of changes from outside; these keep mistakes inside from making any.
CREATE TRIGGER fleet_audit_is_never_changed BEFORE UPDATE ON fleet_audit
BEGIN SELECT raise(ABORT, 'audit records are never changed'); END;
CREATE TRIGGER fleet_audit_is_never_deleted BEFORE DELETE ON fleet_audit
BEGIN SELECT raise(ABORT, 'audit records are never deleted'); END;
