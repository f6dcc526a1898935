"""Changes a database that nothing has open, as nobody should: FILE and foreign, newer or settle."""

import sqlite3
import sys

STATEMENTS = {
    "foreign": ["PRAGMA application_id = 195939070"],
    "newer": ["PRAGMA user_version = 900000", "UPDATE meta SET value = 900000 WHERE name = 'minimum_reader'"],
    "settle": [],
}

database = sqlite3.connect(sys.argv[1])
for statement in STATEMENTS[sys.argv[2]]:
    database.execute(statement)
database.commit()
# Everything into the one file, so that its bytes can be compared and changed.
database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
database.close()
