-- What the kernel was made to enforce on the plugin's runner, a JSON list of lines.
ALTER TABLE fleet_plugin ADD COLUMN sandbox TEXT NOT NULL DEFAULT '[]';

-- Which form of a section its machine was last told to be stored: the hash of its rows.
CREATE TABLE stored_section (
    type INTEGER NOT NULL,
    machine TEXT NOT NULL,
    section TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (type, machine, section)
) WITHOUT ROWID;
