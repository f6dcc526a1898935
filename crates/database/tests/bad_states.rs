//! Files and file systems that are not what they should be: a sentence with the way out, and nothing lost.

#![allow(clippy::unwrap_used)] // a test may stop at what it did not expect

use database::{Database, OpenError};
use fleet::{Lookup as _, Store as _};
use jiff::Timestamp;
use schema::Code;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn file(dir: &Path) -> PathBuf {
    dir.join("bailiwick.db")
}

fn refused(path: &Path) -> OpenError {
    Database::open(path).map(|_| ()).unwrap_err()
}

/// Changes the file as another program would.
fn edit(path: &Path, sql: &str) {
    let conn = rusqlite::Connection::open(path).unwrap();
    conn.execute_batch(sql).unwrap();
}

#[test]
fn a_foreign_file_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path());
    edit(&path, "CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)");
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(refused(&path), OpenError::Foreign { .. }));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    edit(&path, "DROP TABLE theirs; PRAGMA application_id = 7");
    assert!(matches!(refused(&path), OpenError::Foreign { .. }));
    std::fs::write(&path, "this is a letter, not a database; ".repeat(100)).unwrap();
    let error = refused(&path);
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
    assert!(error.to_string().contains("another state directory"), "{error}");
    assert!(matches!(refused(dir.path()), OpenError::Foreign { .. }));
    assert!(matches!(refused(&dir.path().join("missing/bailiwick.db")), OpenError::Other { .. }));
}

#[test]
fn a_newer_schema_is_read_only_where_it_allows_that() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path());
    drop(Database::open(&path).unwrap());
    edit(&path, "PRAGMA user_version = 99; UPDATE meta SET value = 98 WHERE name = 'minimum_reader'");
    let error = refused(&path);
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error:?}");
    assert!(error.to_string().contains("newer"), "{error}");
    edit(&path, "UPDATE meta SET value = 1 WHERE name = 'minimum_reader'");
    Database::open(&path).unwrap();
}

#[test]
fn a_damaged_file_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path());
    drop(Database::open(&path).unwrap());
    let mut bytes = std::fs::read(&path).unwrap();
    // What the write-ahead log may still hold would heal the file.
    for log in ["bailiwick.db-wal", "bailiwick.db-shm"] {
        let removed = std::fs::remove_file(dir.path().join(log));
        assert!(removed.is_ok() || removed.is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound));
    }
    // Everything behind the header of the first page.
    bytes[100..].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let error = refused(&path);
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains("last backup"), "{error}");
}

#[test]
fn only_the_owner_reads_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path());
    let database = Database::open(&path).unwrap();
    database.write_blocking(|w| Ok(w.create_group("a", "", NOW)?)).unwrap();
    for name in ["bailiwick.db", "bailiwick.db-wal"] {
        let mode = std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name} {mode:o}");
    }
}

#[test]
fn another_process_may_write_beside_this_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path());
    let databases = [Database::open(&path).unwrap(), Database::open(&path).unwrap()];
    let threads: Vec<_> = databases
        .iter()
        .enumerate()
        .map(|(n, database)| {
            let database = database.clone();
            std::thread::spawn(move || {
                for i in 0..50 {
                    database.write_blocking(move |w| Ok(w.create_group(&format!("{n} {i}"), "", NOW)?)).unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let found = databases[0].read_blocking(|r| Ok(r.count("fleet.group", &Default::default(), &Default::default())?));
    assert_eq!(found.unwrap(), 100);
}

/// A file system of its own; needs root.
struct Mount(tempfile::TempDir);

impl Mount {
    fn new(options: &str) -> Mount {
        let dir = tempfile::tempdir().unwrap();
        run(Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(dir.path()));
        Mount(dir)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        run(Command::new("umount").arg("--lazy").arg(self.0.path()));
    }
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn a_directory_that_cannot_be_written_is_told() {
    if is_root() {
        let mount = Mount::new("size=8m");
        let path = file(mount.0.path());
        drop(Database::open(&path).unwrap());
        run(Command::new("mount").args(["-o", "remount,ro"]).arg(mount.0.path()));
        assert!(matches!(refused(&path), OpenError::ReadOnly { .. }), "{:?}", refused(&path));
        assert!(matches!(refused(&mount.0.path().join("new.db")), OpenError::ReadOnly { .. }));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o500)).unwrap();
    let error = refused(&file(dir.path()));
    assert!(matches!(error, OpenError::ReadOnly { .. }), "{error:?}");
    assert!(error.to_string().contains("write permission"), "{error}");
}

#[test]
fn a_full_disk_stores_nothing_half_and_works_again_with_room() {
    if !is_root() {
        // The same is tested with a limit on the file's pages, for which no mount is needed.
        return;
    }
    let mount = Mount::new("size=4m");
    let path = file(mount.0.path());
    let database = Database::open(&path).unwrap();
    let ballast = mount.0.path().join("ballast");
    std::fs::write(&ballast, vec![0; 2 << 20]).unwrap();
    let mut stored = 0;
    let error = loop {
        let name = format!("group {stored}");
        let written = database.write_blocking(move |w| Ok(w.create_group(&name, &"x".repeat(50_000), NOW)?));
        match written {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 200, "the disk never filled");
    };
    let problem = schema::Problem::from(error);
    assert_eq!(problem.code, Code::Unavailable, "{problem:?}");
    assert!(problem.fix.unwrap().contains("room"));
    let lost = format!("group {stored}");
    assert!(database.read_blocking(move |r| Ok(r.find_group(&lost).is_err())).unwrap());
    std::fs::remove_file(&ballast).unwrap();
    database.write_blocking(|w| Ok(w.create_group("after", "", NOW)?)).unwrap();
    drop(database);
    let again = Database::open(&path).unwrap();
    let count = again.read_blocking(|r| Ok(r.count("fleet.group", &Default::default(), &Default::default())?)).unwrap();
    assert_eq!(count, stored + 1);
}
