//! The writer thread with its group commit, and the reader threads.

use crate::access::{Access, Read, Write};
use crate::cache::Cache;
use crate::catalog::Catalog;
use crate::changes::Changes;
use crate::error::{Error, OpenError};
use crate::open::{open_only_reader, open_reader, open_writer};
use parking_lot::{Mutex, RwLock};
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, oneshot};

const READERS: usize = 4;
/// Most closures in one transaction, and how long one collects them.
const MAX_BATCH: usize = 512;
const MAX_BATCH_TIME: Duration = Duration::from_millis(20);
/// Longest time a read may take.
const READ_TIME: Duration = Duration::from_secs(15);
/// Commits a slow listener may be behind before it is told that it missed some.
const CHANGES_KEPT: usize = 1024;

/// The open database. Clones share it; the last one to go closes it and waits for its threads.
#[derive(Clone)]
pub struct Database(Arc<Inner>);

struct Inner {
    writes: Option<mpsc::Sender<WriteWork>>,
    reads: Option<mpsc::Sender<ReadWork>>,
    threads: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    catalog: RwLock<Arc<Catalog>>,
    changes: broadcast::Sender<Arc<Changes>>,
    cache: Arc<Cache>,
}

/// Runs in a savepoint, or is told why there is none, and says whether to keep it. What it returns is called with how
/// the commit went.
type WriteWork = Box<dyn FnOnce(Result<&mut Write<'_>, Error>) -> (Keep, Answer) + Send>;
type Answer = Box<dyn FnOnce(Result<(), Error>) + Send>;
type ReadWork = Box<dyn FnOnce(&Read<'_>) + Send>;

enum Keep {
    Yes,
    No,
}

impl Database {
    /// Opens the database file, creates it where it is missing and brings it to this program's schema.
    ///
    /// # Errors
    /// Each variant says in a sentence what is wrong and the way out.
    pub fn open(path: &Path) -> Result<Database, OpenError> {
        let conn = open_writer(path)?;
        let catalog = Catalog::core(&conn).map_err(|e| OpenError::of(path, e))?;
        let readers = (0..READERS).map(|_| open_reader(path)).collect::<Result<Vec<_>, _>>()?;
        let (changes, _) = broadcast::channel(CHANGES_KEPT);
        let shared = Arc::new(Shared { catalog: RwLock::new(Arc::new(catalog)), changes, cache: Arc::default() });
        let thread_failed = |e: std::io::Error| OpenError::Other { path: path.to_owned(), source: Box::new(e) };
        let mut threads = Vec::with_capacity(READERS + 1);
        let (writes, write_queue) = mpsc::channel();
        let writer_shared = shared.clone();
        let writer = move || Writer { conn, shared: writer_shared, queue: write_queue }.run();
        threads.push(std::thread::Builder::new().name("db-writer".into()).spawn(writer).map_err(thread_failed)?);
        let (reads, read_queue) = mpsc::channel();
        let read_queue = Arc::new(Mutex::new(read_queue));
        for conn in readers {
            let (shared, queue) = (shared.clone(), read_queue.clone());
            let reader = move || run_reader(&conn, &shared, &queue);
            threads.push(std::thread::Builder::new().name("db-reader".into()).spawn(reader).map_err(thread_failed)?);
        }
        Ok(Database(Arc::new(Inner { writes: Some(writes), reads: Some(reads), threads, shared })))
    }

    /// Opens a database that is there, for reading only: it stays as it is, whatever program wrote it.
    ///
    /// # Errors
    /// Each variant says in a sentence what is wrong and the way out.
    pub fn open_read_only(path: &Path) -> Result<Database, OpenError> {
        let conn = open_only_reader(path)?;
        let catalog = Catalog::core(&conn).map_err(|e| OpenError::of(path, e))?;
        let (changes, _) = broadcast::channel(1);
        let shared = Arc::new(Shared { catalog: RwLock::new(Arc::new(catalog)), changes, cache: Arc::default() });
        let (reads, read_queue) = mpsc::channel();
        let own = shared.clone();
        let reader = move || run_reader(&conn, &own, &Mutex::new(read_queue));
        let thread_failed = |e: std::io::Error| OpenError::Other { path: path.to_owned(), source: Box::new(e) };
        let thread = std::thread::Builder::new().name("db-reader".into()).spawn(reader).map_err(thread_failed)?;
        Ok(Database(Arc::new(Inner { writes: None, reads: Some(reads), threads: vec![thread], shared })))
    }

    /// Runs `f` in a savepoint of the next transaction and answers when the commit is durable. Its error rolls back
    /// only what it did itself.
    ///
    /// # Errors
    /// That of `f`, or why the commit failed: then nothing of it was stored.
    pub async fn write<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Write<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        self.send_write(f, move |result| drop(answer.send(result)))?;
        answered.await.map_err(|_| Error::Closed)?
    }

    /// Like [`Database::write`], for callers without a runtime.
    ///
    /// # Errors
    /// Like [`Database::write`].
    pub fn write_blocking<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Write<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.send_write(f, move |result| drop(answer.send(result)))?;
        answered.recv().map_err(|_| Error::Closed)?
    }

    /// Runs `f` on a snapshot. A read that takes longer than 15 s is interrupted.
    ///
    /// # Errors
    /// That of `f`.
    pub async fn read<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Read<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        self.send_read(move |read| drop(answer.send(f(read))))?;
        answered.await.map_err(|_| Error::Closed)?
    }

    /// Like [`Database::read`], for callers without a runtime.
    ///
    /// # Errors
    /// That of `f`.
    pub fn read_blocking<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Read<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.send_read(move |read| drop(answer.send(f(read))))?;
        answered.recv().map_err(|_| Error::Closed)?
    }

    /// What each commit of this process changes, from now on. A listener that is too slow is told that it missed some,
    /// and must look at everything again.
    pub fn changes(&self) -> broadcast::Receiver<Arc<Changes>> {
        self.0.shared.changes.subscribe()
    }

    pub(crate) fn set_catalog(&self, catalog: Catalog) {
        *self.0.shared.catalog.write() = Arc::new(catalog);
        self.0.shared.cache.forget();
    }

    fn send_write<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Write<'_>) -> Result<T, Error> + Send + 'static,
        answer: impl FnOnce(Result<T, Error>) + Send + 'static,
    ) -> Result<(), Error> {
        let work: WriteWork = Box::new(move |write| match catch_unwind(AssertUnwindSafe(|| write.and_then(f))) {
            Ok(Ok(value)) => (Keep::Yes, Box::new(move |commit| answer(commit.map(|()| value)))),
            Ok(Err(error)) => (Keep::No, Box::new(move |_| answer(Err(error)))),
            Err(_) => (Keep::No, Box::new(move |_| answer(Err(Error::Panicked)))),
        });
        let writes = self.0.writes.as_ref().ok_or(Error::Closed)?;
        writes.send(work).map_err(|_| Error::Closed)
    }

    fn send_read(&self, f: impl FnOnce(&Read<'_>) + Send + 'static) -> Result<(), Error> {
        let reads = self.0.reads.as_ref().ok_or(Error::Closed)?;
        reads.send(Box::new(f)).map_err(|_| Error::Closed)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.writes = None;
        self.reads = None;
        let here = std::thread::current().id();
        for thread in self.threads.drain(..) {
            // The last clone may go inside a closure, on a thread that cannot wait for itself.
            if thread.thread().id() != here && thread.join().is_err() {
                tracing::error!("a database thread had panicked");
            }
        }
    }
}

struct Writer {
    conn: Connection,
    shared: Arc<Shared>,
    queue: mpsc::Receiver<WriteWork>,
}

impl Writer {
    fn run(self) {
        while let Ok(first) = self.queue.recv() {
            self.batch(first);
        }
    }

    /// One transaction of all closures that are waiting.
    fn batch(&self, first: WriteWork) {
        let mut pending = Pending::default();
        let begun = Instant::now();
        let mut next = Some(first);
        let mut ran = 0;
        while let Some(work) = next.take() {
            self.one(work, &mut pending);
            ran += 1;
            if ran < MAX_BATCH && begun.elapsed() < MAX_BATCH_TIME {
                next = self.queue.try_recv().ok();
            }
        }
        self.commit(pending);
    }

    fn one(&self, work: WriteWork, pending: &mut Pending) {
        let prepared = self.begin().and_then(|()| self.conn.execute_batch("SAVEPOINT closure"));
        let catalog = self.shared.catalog.read().clone();
        let mut write: Write<'_> = Access::new(&self.conn, catalog);
        if let Err(error) = prepared {
            let (_, answer) = work(Err(error.into()));
            return answer(Ok(()));
        }
        let (keep, answer) = work(Ok(&mut write));
        let changes = write.changes.into_inner();
        if self.conn.is_autocommit() {
            // SQLite rolled the whole transaction back: a full disk, for instance.
            pending.fail(|| Error::Full);
            return match keep {
                Keep::Yes => answer(Err(Error::Full)),
                Keep::No => answer(Ok(())),
            };
        }
        match keep {
            Keep::Yes => match self.conn.execute_batch("RELEASE closure") {
                Ok(()) => {
                    pending.changes.merge(changes);
                    pending.answers.push(answer);
                }
                Err(error) => answer(Err(error.into())),
            },
            Keep::No => {
                if let Err(error) = self.conn.execute_batch("ROLLBACK TO closure; RELEASE closure") {
                    tracing::error!(%error, "a savepoint could not be rolled back");
                }
                answer(Ok(()));
            }
        }
    }

    fn begin(&self) -> rusqlite::Result<()> {
        if self.conn.is_autocommit() { self.conn.execute_batch("BEGIN IMMEDIATE") } else { Ok(()) }
    }

    fn commit(&self, mut pending: Pending) {
        let committed = if self.conn.is_autocommit() { Ok(()) } else { self.conn.execute_batch("COMMIT") };
        match committed {
            Ok(()) => {
                let changes = std::mem::take(&mut pending.changes);
                if !changes.is_empty() {
                    self.shared.cache.changed(changes.types.keys());
                    // Nobody listening is no error.
                    let _ = self.shared.changes.send(Arc::new(changes));
                }
                pending.answers.drain(..).for_each(|answer| answer(Ok(())));
            }
            Err(error) => {
                if !self.conn.is_autocommit()
                    && let Err(error) = self.conn.execute_batch("ROLLBACK")
                {
                    tracing::error!(%error, "a transaction could not be rolled back");
                }
                let code = error.sqlite_error().copied();
                let text = error.to_string();
                pending.fail(|| match code {
                    Some(code) => Error::from(rusqlite::Error::SqliteFailure(code, Some(text.clone()))),
                    None => Error::Closed,
                });
            }
        }
    }
}

#[derive(Default)]
struct Pending {
    answers: Vec<Answer>,
    changes: Changes,
}

impl Pending {
    fn fail(&mut self, error: impl Fn() -> Error) {
        self.changes = Changes::default();
        self.answers.drain(..).for_each(|answer| answer(Err(error())));
    }
}

fn run_reader(conn: &Connection, shared: &Shared, queue: &Mutex<mpsc::Receiver<ReadWork>>) {
    loop {
        let received = queue.lock().recv();
        let Ok(work) = received else { return };
        let until = Instant::now() + READ_TIME;
        if let Err(error) = conn.progress_handler(10_000, Some(move || Instant::now() > until)) {
            tracing::error!(%error, "reads are not limited in time");
        }
        let mut read: Read<'_> = Access::new(conn, shared.catalog.read().clone());
        read.cache = Some(shared.cache.clone());
        if let Err(error) = conn.execute_batch("BEGIN") {
            tracing::error!(%error, "a snapshot could not be begun");
        }
        if catch_unwind(AssertUnwindSafe(|| work(&read))).is_err() {
            tracing::error!("a closure panicked while reading");
        }
        if let Err(error) = conn.execute_batch("COMMIT") {
            tracing::error!(%error, "a snapshot could not be ended");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleet::{Lookup as _, Store as _};
    use jiff::Timestamp;

    const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

    fn limit_pages(database: &Database, more: i64) {
        let limited = database.write_blocking(move |w| {
            let pages: i64 = w.conn.query_row("PRAGMA page_count", [], |row| row.get(0))?;
            w.conn.query_row(&format!("PRAGMA max_page_count = {}", pages + more), [], |_| Ok(()))?;
            Ok(())
        });
        limited.expect("a limit takes no room");
    }

    #[test]
    fn closures_that_find_the_disk_full_store_nothing_and_the_others_do() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let database = Database::open(&dir.path().join("bailiwick.db")).expect("a fresh file");
        limit_pages(&database, 60);
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let database = database.clone();
                std::thread::spawn(move || {
                    let one = |n| {
                        let name = format!("{thread} {n}");
                        let write = move |w: &mut Write<'_>| {
                            w.create_group(&name, &"x".repeat(30_000), NOW)?;
                            Ok(())
                        };
                        let told: Result<(), Error> = database.write_blocking(write);
                        (format!("{thread} {n}"), told)
                    };
                    (0..10).map(one).collect::<Vec<_>>()
                })
            })
            .collect();
        let told: Vec<_> = threads.into_iter().flat_map(|t| t.join().expect("no panic")).collect();
        let stored = |name: String| database.read_blocking(move |r| Ok(r.find_group(&name).is_ok()));
        for (name, answer) in &told {
            assert_eq!(stored(name.clone()).expect("a read"), answer.is_ok(), "{name} {answer:?}");
        }
        let full =
            told.iter().filter(|(_, t)| t.is_err()).map(|(_, t)| schema::Problem::from(copy(t))).collect::<Vec<_>>();
        assert!(!full.is_empty() && full.len() < told.len(), "{} of {}", full.len(), told.len());
        assert!(full.iter().all(|p| p.code == schema::Code::Unavailable), "{full:?}");
        limit_pages(&database, 100_000);
        database.write_blocking(|w| Ok(w.create_group("after", "", NOW)?)).expect("there is room again");
    }

    fn copy(told: &Result<(), Error>) -> Error {
        match told {
            Err(Error::Problem(problem)) => Error::Problem(problem.clone()),
            Err(Error::Full) => Error::Full,
            other => Error::Problem(schema::Problem::internal(format!("{other:?}"))),
        }
    }

    #[test]
    fn waiting_closures_share_a_commit() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let database = Database::open(&dir.path().join("bailiwick.db")).expect("a fresh file");
        let mut commits = database.changes();
        let (go, gate) = mpsc::channel::<()>();
        let first = database.clone();
        let held = std::thread::spawn(move || {
            first.write_blocking(move |_| {
                gate.recv().expect("the gate opens");
                Ok(())
            })
        });
        let (done, all_done) = mpsc::channel();
        for n in 0..20 {
            let done = done.clone();
            let write = move |w: &mut Write<'_>| {
                w.create_group(&n.to_string(), "", NOW)?;
                Ok(())
            };
            database.send_write(write, move |result| drop(done.send(result))).expect("the queue is open");
        }
        go.send(()).expect("the writer waits");
        held.join().expect("no panic").expect("a write");
        (0..20).for_each(|_| all_done.recv().expect("an answer").expect("a write"));
        let mut count = 0;
        while commits.try_recv().is_ok() {
            count += 1;
        }
        assert!(count <= 2, "{count} commits for 20 closures that waited");
    }

    #[test]
    fn the_last_clone_may_go_inside_a_closure() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let database = Database::open(&dir.path().join("bailiwick.db")).expect("a fresh file");
        let inside = database.clone();
        let (dropped, gate) = mpsc::channel::<()>();
        let (done, ended) = mpsc::channel();
        let write = move |_: &mut Write<'_>| {
            gate.recv().expect("the outer clone goes");
            drop(inside);
            Ok(())
        };
        database.send_write(write, move |result| drop(done.send(result))).expect("the queue is open");
        drop(database);
        dropped.send(()).expect("the closure waits");
        ended.recv().expect("an answer").expect("a write");
    }
}
