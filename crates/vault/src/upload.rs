//! From files to a receiver: reads, cuts, names, asks, packs and puts, in as many threads as there are processors.
//!
//! Files are handed in one after the other, and what became of them comes back in that order, so a walker can go on walking
//! while they are read. Memory is bounded by the threads, whatever the files are. A file that cannot be read is a result; a
//! receiver that fails ends everything.

mod absorb;
mod guess;
mod link;
mod queue;
mod reading;
mod sent;
mod source;
mod streams;
mod worker;

use crate::{DomainSecret, Packing, Receiver, Sealer};
use link::Link;
use queue::{Job, Queue};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::SystemTime;
use worker::Worker;

pub(crate) use guess::{Before, MOST as MOST_BEFORE};
pub use link::{Cancel, UploadError, UploadProgress};
pub(crate) use queue::{Block, End};
pub use source::{FileSource, Layout, ReadSource};
pub(crate) use streams::StreamSender;

/// Bytes of files that are read one after the other by one thread, and asked about together.
const JOB_BYTES: u64 = 4 << 20;
/// Files of one such job.
const JOB_FILES: usize = 1024;
/// Threads beyond these would cost memory that an agent does not have.
const MOST_THREADS: usize = 4;

/// How an upload is done.
#[derive(Clone)]
pub struct UploadOptions {
    /// Of zstd, from 1 to 19.
    pub level: i32,
    pub threads: usize,
    /// Whether segments bring the names of their chunks. In a private domain they always do.
    pub names: bool,
    /// Given in a private domain, with the 16 random bytes that tell this run from every other.
    pub secret: Option<(DomainSecret, [u8; 16])>,
    pub cancel: Cancel,
    pub progress: Arc<UploadProgress>,
    /// Tells files that changed just before they were read.
    pub clock: fn() -> SystemTime,
}

impl Default for UploadOptions {
    fn default() -> UploadOptions {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        UploadOptions {
            level: 1,
            threads: threads.min(MOST_THREADS),
            names: false,
            secret: None,
            cancel: Cancel::default(),
            progress: Arc::default(),
            clock: SystemTime::now,
        }
    }
}

/// The threads and what is on its way through them.
pub(crate) struct Upload<R: Receiver, F> {
    link: Arc<Link<R>>,
    queue: Arc<Queue<R::Error, F>>,
    packing: Packing,
    clock: fn() -> SystemTime,
    most_threads: usize,
    threads: Vec<JoinHandle<()>>,
    batch: Vec<(F, Option<Before>)>,
    batch_bytes: u64,
}

impl<R: Receiver + 'static, F: FileSource> Upload<R, F> {
    pub(crate) fn new(receiver: Arc<R>, options: UploadOptions) -> Upload<R, F> {
        let UploadOptions { level, threads, names, secret, cancel, progress, clock } = options;
        let sealer = secret.as_ref().map(|(secret, run)| Arc::new(Sealer::new(secret, *run)));
        let packing = Packing { level, names: names || sealer.is_some(), sealer };
        Upload {
            link: Arc::new(Link::new(receiver, secret.map(|(secret, _)| secret), progress, cancel)),
            queue: Arc::new(Queue::default()),
            packing,
            clock,
            most_threads: threads.clamp(1, MOST_THREADS),
            threads: Vec::new(),
            batch: Vec::new(),
            batch_bytes: 0,
        }
    }

    pub(crate) fn link(&self) -> &Link<R> {
        &self.link
    }

    /// What takes the two streams of the snapshot.
    pub(crate) fn streams(&self) -> StreamSender<R> {
        StreamSender::new(self.link.clone(), self.packing.clone())
    }

    pub(crate) fn sealer(&self) -> Option<&Sealer> {
        self.packing.sealer.as_deref()
    }

    /// Whether another file may be handed in before results are taken.
    pub(crate) fn has_room(&self) -> bool {
        self.queue.jobs_under_way() <= 2 * self.most_threads
    }

    /// `before`: how the file was cut in the snapshot that this one builds on.
    pub(crate) fn push(&mut self, source: F, before: Option<Before>) -> Result<(), UploadError<R::Error>> {
        self.batch_bytes += source.size();
        self.batch.push((source, before));
        if self.batch_bytes >= JOB_BYTES || self.batch.len() >= JOB_FILES { self.submit() } else { Ok(()) }
    }

    /// Results that are there, in the order of files; with `wait`, the next ones, as long as any are to come.
    pub(crate) fn next(&mut self, wait: bool) -> Result<Option<Block<F>>, UploadError<R::Error>> {
        if wait && self.queue.jobs_under_way() == 0 {
            self.submit()?;
        }
        self.queue.next(wait)
    }

    /// Waits until everything that was handed in is put. All results were taken.
    pub(crate) fn close(&mut self) -> Result<(), UploadError<R::Error>> {
        self.submit()?;
        self.queue.close();
        self.join();
        self.queue.check()
    }

    fn submit(&mut self) -> Result<(), UploadError<R::Error>> {
        // Beside a large file, a second thread helps to compress.
        let is_large = std::mem::take(&mut self.batch_bytes) >= 2 * JOB_BYTES;
        if self.batch.is_empty() {
            return Ok(());
        }
        let waiting = self.queue.submit(Job { files: std::mem::take(&mut self.batch), number: 0 });
        while (waiting || is_large) && self.threads.len() < self.most_threads {
            match self.spawn() {
                Ok(thread) => self.threads.push(thread),
                Err(error) if self.threads.is_empty() => return Err(UploadError::Thread(error)),
                // Those that there are do the work.
                Err(_) => break,
            }
            if !is_large {
                break;
            }
        }
        Ok(())
    }

    fn spawn(&self) -> std::io::Result<JoinHandle<()>> {
        let (link, queue) = (self.link.clone(), self.queue.clone());
        let (packing, clock) = (self.packing.clone(), self.clock);
        let thread = std::thread::Builder::new().name(format!("upload-{}", self.threads.len()));
        thread.spawn(move || Worker::new(link, queue, packing, clock).run())
    }
}

impl<R: Receiver, F> Upload<R, F> {
    fn join(&mut self) {
        for thread in self.threads.drain(..) {
            // A thread that panicked has told the queue.
            let _told = thread.join();
        }
    }
}

impl<R: Receiver, F> Drop for Upload<R, F> {
    fn drop(&mut self) {
        self.queue.stop();
        self.join();
    }
}
