//! Opening the file: is it ours, is it of our time, and what migrations it lacks.

use crate::error::OpenError;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// "BAIL" in the header of the file.
const APPLICATION_ID: i32 = 0x4241_494c;
/// How long to wait for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// One step of the schema. Steps only add; what an older program relied on goes one release later.
struct Migration {
    number: u32,
    sql: &'static str,
}

/// Every step, in order: add a file and a line.
const MIGRATIONS: &[Migration] = &[
    Migration { number: 1, sql: include_str!("../migrations/0001_core.sql") },
    Migration { number: 2, sql: include_str!("../migrations/0002_identity.sql") },
    Migration { number: 3, sql: include_str!("../migrations/0003_identity_of_machines.sql") },
    Migration { number: 4, sql: include_str!("../migrations/0004_plugins_and_sections.sql") },
    Migration { number: 5, sql: include_str!("../migrations/0005_older_certificates.sql") },
];

/// Opens the file for writing, creates it where it is missing and brings it to this program's schema.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, OpenError> {
    create_private(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(|e| OpenError::of(path, e))?;
    if conn.is_readonly("main").map_err(|e| OpenError::of(path, e))? {
        return Err(OpenError::ReadOnly { path: path.to_owned() });
    }
    conn.busy_timeout(BUSY_TIMEOUT).map_err(|e| OpenError::of(path, e))?;
    is_ours(&conn, path)?;
    prepare(&conn).and_then(|()| add_functions(&conn)).map_err(|e| OpenError::of(path, e))?;
    migrate(&conn, path)?;
    Ok(conn)
}

/// Opens a file that is there for reading only: nothing is created, migrated or written.
pub(crate) fn open_only_reader(path: &Path) -> Result<Connection, OpenError> {
    let conn = open_reader(path)?;
    is_ours(&conn, path)?;
    let known = MIGRATIONS.last().map_or(0, |m| m.number);
    let found = version(&conn).map_err(|e| OpenError::of(path, e))?;
    if found > known {
        older_program_may_read(&conn, path, found, known)?;
    }
    Ok(conn)
}

/// Opens the file a second time, for reading only. A writer must be open.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(|e| OpenError::of(path, e))?;
    let set_up = || {
        conn.busy_timeout(BUSY_TIMEOUT)?;
        add_functions(&conn)?;
        conn.set_prepared_statement_cache_capacity(256);
        conn.execute_batch("PRAGMA query_only = 1; PRAGMA cache_size = -16000; PRAGMA temp_store = MEMORY;")
    };
    set_up().map_err(|e| OpenError::of(path, e))?;
    Ok(conn)
}

/// The file holds password hashes and what machines are: nobody else may read it. Journals take its mode over.
fn create_private(path: &Path) -> Result<(), OpenError> {
    if path.is_dir() {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    match OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(e) => {
            let path = path.to_owned();
            Err(match e.kind() {
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                    OpenError::ReadOnly { path }
                }
                std::io::ErrorKind::StorageFull => OpenError::Full { path },
                _ => OpenError::Other { path, source: Box::new(e) },
            })
        }
    }
}

fn is_ours(conn: &Connection, path: &Path) -> Result<(), OpenError> {
    let foreign = || OpenError::Foreign { path: path.to_owned() };
    let read = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i32>(0));
    let id = match read("SELECT application_id FROM pragma_application_id") {
        Ok(id) => id,
        Err(e) if e.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => return Err(foreign()),
        Err(e) => return Err(OpenError::of(path, e)),
    };
    let objects = read("SELECT count(*) FROM sqlite_master").map_err(|e| OpenError::of(path, e))?;
    if id != APPLICATION_ID && (id != 0 || objects > 0) { Err(foreign()) } else { Ok(()) }
}

fn prepare(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_prepared_statement_cache_capacity(512);
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -32000; PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF;",
    )
}

/// `fold(text)`: lower case in every script, where SQLite's own knows ASCII only.
fn add_functions(conn: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    conn.create_scalar_function("fold", 1, flags, |context| {
        Ok(match context.get_raw(0) {
            ValueRef::Text(text) => Some(String::from_utf8_lossy(text).to_lowercase()),
            _ => None,
        })
    })
}

fn version(conn: &Connection) -> rusqlite::Result<u32> {
    conn.query_row("SELECT user_version FROM pragma_user_version", [], |row| row.get(0))
}

fn migrate(conn: &Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |e| OpenError::of(path, e);
    let known = MIGRATIONS.last().map_or(0, |m| m.number);
    let found = version(conn).map_err(failed)?;
    if found > known {
        return older_program_may_read(conn, path, found, known);
    }
    if found == known {
        return Ok(());
    }
    if found > 0 {
        snapshot(conn, path, found)?;
    }
    conn.execute_batch("BEGIN EXCLUSIVE").map_err(failed)?;
    let migrated = run_missing(conn);
    if migrated.is_err() {
        // The error that matters is the first one; a failed COMMIT may have rolled back already.
        let _ = conn.execute_batch("ROLLBACK");
    }
    migrated.map_err(failed)
}

fn run_missing(conn: &Connection) -> rusqlite::Result<()> {
    // Another process may have migrated while this one waited.
    let found = version(conn)?;
    for migration in MIGRATIONS.iter().filter(|m| m.number > found) {
        conn.execute_batch(migration.sql)?;
        conn.pragma_update(None, "user_version", migration.number)?;
    }
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    conn.execute_batch("COMMIT")
}

/// A newer program says in `meta` which schema a program must know at least.
fn older_program_may_read(conn: &Connection, path: &Path, found: u32, known: u32) -> Result<(), OpenError> {
    let minimum: Result<u32, _> =
        conn.query_row("SELECT value FROM meta WHERE name = 'minimum_reader'", [], |row| row.get(0));
    match minimum {
        Ok(minimum) if minimum <= known => Ok(()),
        _ => Err(OpenError::Newer { path: path.to_owned(), found, known }),
    }
}

/// A copy of the file before its schema changes, so that the older program can be put back with it.
fn snapshot(conn: &Connection, path: &Path, found: u32) -> Result<(), OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".schema-{found}"));
    let copy = PathBuf::from(name);
    if copy.exists() {
        return Ok(());
    }
    let target = copy.to_string_lossy();
    conn.execute("VACUUM INTO ?1", [target.as_ref()]).map_err(|e| OpenError::of(path, e))?;
    Ok(())
}
