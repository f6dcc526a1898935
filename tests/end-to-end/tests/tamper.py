"""Changes a database from outside: FILE and foreign, newer, older, settle, cut-audit
or new-audit where nothing has it open; queue-again stores the
job with the id that follows once more, as a new one, and tells nobody."""

import sqlite3
import sys

STATEMENTS = {
    "foreign": ["PRAGMA application_id = 195939070"],
    "newer": ["PRAGMA user_version = 900000", "UPDATE meta SET value = 900000 WHERE name = 'minimum_reader'"],
    "older": ["PRAGMA user_version = 1"],
    "settle": [],
    "cut-audit": [
        "DROP TRIGGER fleet_audit_is_never_deleted",
        "DELETE FROM fleet_audit WHERE number > (SELECT max(number) - 3 FROM fleet_audit)",
    ],
    "new-audit": ["DROP TRIGGER fleet_audit_is_never_deleted", "DELETE FROM fleet_audit"],
    "queue-again": [
        "CREATE TEMP TABLE again AS SELECT * FROM fleet_job WHERE id = :of",
        "UPDATE again SET row = NULL, id = :id, idempotency_key = NULL, state = 'queued', is_open = 1, result = NULL,"
        " assigned_at = NULL, sent_at = NULL, accepted_at = NULL, started_at = NULL, ended_at = NULL, attempt = 0,"
        " progress = NULL, due_at = expires_at, cancel = NULL",
        "INSERT INTO fleet_job SELECT * FROM again",
    ],
}

database = sqlite3.connect(sys.argv[1], timeout=10)
if sys.argv[2] in ("state", "open"):
    of = "SELECT state FROM fleet_job WHERE "
    rows = database.execute(of + "id = ?", sys.argv[3:]) if sys.argv[2] == "state" else database.execute(of + "is_open = 1")
    print("\n".join(state for (state,) in rows))
    sys.exit()
for statement in STATEMENTS[sys.argv[2]]:
    database.execute(statement, {"of": sys.argv[3], "id": sys.argv[4]} if ":id" in statement or ":of" in statement else {})
database.commit()
if sys.argv[2] == "queue-again":
    sys.exit()
# Everything into the one file, so that its bytes can be compared and changed.
database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
database.close()
