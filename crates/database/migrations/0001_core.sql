-- Times are microseconds since 1970, UTC. Lists and objects are JSON text. What `fleet::manifest()` calls a type is the
-- table or view `fleet_<type>` here, with a column for each field; `row` and `search` serve the text index.

CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO meta VALUES ('minimum_reader', 1);

CREATE TABLE fleet_machine (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    reported_name TEXT NOT NULL,
    is_renamed INTEGER NOT NULL DEFAULT 0,
    addresses TEXT NOT NULL DEFAULT '[]',
    macs TEXT NOT NULL DEFAULT '[]',
    status TEXT NOT NULL DEFAULT 'offline',
    last_seen INTEGER,
    agent_version TEXT NOT NULL DEFAULT '',
    enrolled_at INTEGER NOT NULL,
    revoked_at INTEGER,
    groups TEXT NOT NULL DEFAULT '[]',
    search TEXT NOT NULL DEFAULT ''
);
CREATE INDEX fleet_machine_name ON fleet_machine (name COLLATE NOCASE, id);
CREATE INDEX fleet_machine_last_seen ON fleet_machine (last_seen, id);
CREATE INDEX fleet_machine_status ON fleet_machine (status);
CREATE VIRTUAL TABLE fleet_machine_fts USING fts5 (search, content = '', contentless_delete = 1, tokenize = 'trigram');

CREATE TABLE fleet_group (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL COLLATE NOCASE UNIQUE,
    description TEXT NOT NULL DEFAULT '',
    machines INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL
);
CREATE TABLE fleet_member (
    group_id TEXT NOT NULL REFERENCES fleet_group (id) ON DELETE CASCADE,
    machine TEXT NOT NULL REFERENCES fleet_machine (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, machine)
) WITHOUT ROWID;
CREATE INDEX fleet_member_machine ON fleet_member (machine);

CREATE TABLE fleet_plugin (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    title TEXT NOT NULL,
    version TEXT NOT NULL,
    state TEXT NOT NULL,
    cause TEXT NOT NULL,
    remedy TEXT NOT NULL,
    role TEXT NOT NULL,
    machine TEXT
);
CREATE INDEX fleet_plugin_machine ON fleet_plugin (machine);

CREATE TABLE fleet_warning (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    at INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    machine TEXT,
    plugin TEXT NOT NULL,
    subject TEXT NOT NULL,
    code TEXT NOT NULL,
    field TEXT,
    message TEXT NOT NULL,
    fix TEXT,
    count INTEGER NOT NULL
);
CREATE INDEX fleet_warning_at ON fleet_warning (at, id);
CREATE INDEX fleet_warning_machine ON fleet_warning (machine);

-- A row for each declared setting of the site, set or not, and one for each value of a group or machine.
CREATE TABLE fleet_setting (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    setting TEXT NOT NULL,
    module TEXT NOT NULL,
    name TEXT NOT NULL,
    title TEXT NOT NULL DEFAULT '',
    description TEXT NOT NULL DEFAULT '',
    place TEXT NOT NULL,
    "group" TEXT REFERENCES fleet_group (id) ON DELETE CASCADE,
    machine TEXT REFERENCES fleet_machine (id) ON DELETE CASCADE,
    value TEXT NOT NULL,
    "default" TEXT NOT NULL DEFAULT 'null',
    is_set INTEGER NOT NULL,
    changed_at INTEGER,
    changed_by TEXT
);
CREATE INDEX fleet_setting_module ON fleet_setting (module, name);
CREATE INDEX fleet_setting_group ON fleet_setting ("group");
CREATE INDEX fleet_setting_machine ON fleet_setting (machine);

CREATE TABLE fleet_event (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    at INTEGER NOT NULL,
    tone TEXT NOT NULL,
    module TEXT NOT NULL,
    event TEXT NOT NULL,
    title TEXT NOT NULL,
    machine TEXT,
    data TEXT NOT NULL,
    search TEXT NOT NULL DEFAULT ''
);
CREATE INDEX fleet_event_at ON fleet_event (at, id);
CREATE INDEX fleet_event_machine ON fleet_event (machine, at);
CREATE VIRTUAL TABLE fleet_event_fts USING fts5 (search, content = '', contentless_delete = 1, tokenize = 'trigram');

CREATE TABLE fleet_job (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    parent TEXT,
    is_parent INTEGER NOT NULL DEFAULT 0,
    command TEXT NOT NULL,
    title TEXT NOT NULL,
    input TEXT NOT NULL,
    asked TEXT NOT NULL,
    target TEXT NOT NULL,
    machine TEXT,
    state TEXT NOT NULL,
    is_open INTEGER NOT NULL,
    progress TEXT,
    result TEXT,
    problem TEXT,
    problem_json TEXT,
    operator_id TEXT NOT NULL,
    operator TEXT NOT NULL,
    idempotency_key TEXT,
    on_interrupt TEXT NOT NULL,
    cancel_policy TEXT NOT NULL,
    timeout_seconds INTEGER,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    assigned_at INTEGER,
    sent_at INTEGER,
    accepted_at INTEGER,
    started_at INTEGER,
    ended_at INTEGER,
    attempt INTEGER NOT NULL DEFAULT 0,
    cancel TEXT,
    checkpoint TEXT,
    due_at INTEGER,
    search TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX fleet_job_key ON fleet_job (operator_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX fleet_job_created_at ON fleet_job (created_at, id);
CREATE INDEX fleet_job_parent ON fleet_job (parent, state);
CREATE INDEX fleet_job_machine ON fleet_job (machine, created_at);
CREATE INDEX fleet_job_open ON fleet_job (machine, id) WHERE is_open = 1;
CREATE INDEX fleet_job_queued ON fleet_job (machine, id) WHERE state = 'queued' AND is_parent = 0;
CREATE INDEX fleet_job_due ON fleet_job (due_at) WHERE is_open = 1;
CREATE VIRTUAL TABLE fleet_job_fts USING fts5 (search, content = '', contentless_delete = 1, tokenize = 'trigram');
CREATE TABLE job_tally (
    parent TEXT NOT NULL,
    state TEXT NOT NULL,
    jobs INTEGER NOT NULL,
    PRIMARY KEY (parent, state)
) WITHOUT ROWID;
CREATE TABLE job_log (
    job TEXT NOT NULL,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    level TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (job, number)
) WITHOUT ROWID;

-- What plugins store: the rows of a type are the table t_<id>, a field is its column c_<id>.
CREATE TABLE stored_type (
    id INTEGER PRIMARY KEY,
    plugin TEXT NOT NULL,
    name TEXT NOT NULL,
    shape TEXT NOT NULL,
    UNIQUE (plugin, name)
);
CREATE TABLE stored_column (
    id INTEGER PRIMARY KEY,
    type INTEGER NOT NULL REFERENCES stored_type (id),
    name TEXT NOT NULL,
    storage TEXT NOT NULL,
    UNIQUE (type, name, storage)
);
-- Latest moment that rows of a type say of a machine: what is reported after it cannot be said of before it.
CREATE TABLE last_observed (
    type INTEGER NOT NULL,
    machine TEXT NOT NULL,
    observed_at INTEGER NOT NULL,
    PRIMARY KEY (type, machine)
) WITHOUT ROWID;
-- A section that shrank by more than half and waits for a second collection.
CREATE TABLE held_section (
    type INTEGER NOT NULL,
    machine TEXT NOT NULL,
    section TEXT NOT NULL,
    observed_at INTEGER NOT NULL,
    PRIMARY KEY (type, machine, section)
) WITHOUT ROWID;
