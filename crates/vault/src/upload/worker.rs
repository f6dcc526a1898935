//! One thread of an upload.

use super::absorb::Absorber;
use super::guess::{Guess, Next};
use super::link::Link;
use super::queue::{Block, End, Job, Queue, Work};
use super::reading::Reading;
use super::{FileSource, UploadError};
use crate::{Cutter, Packing, Receiver};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

/// Bytes of files that lie in memory, in each thread.
const BUFFER: usize = 5 << 20;
/// Chunks that are handed back together, if their job has more.
const BLOCK: usize = 4096;

pub(super) struct Worker<R: Receiver, F> {
    link: Arc<Link<R>>,
    queue: Arc<Queue<R::Error, F>>,
    absorber: Absorber<R>,
    cutter: Cutter,
    clock: fn() -> SystemTime,
    buffer: Vec<u8>,
    /// Bytes up to here are chunks; from here to `filled` they are not cut yet.
    begin: usize,
    filled: usize,
    job: u64,
    block: Block<F>,
}

impl<R: Receiver, F: FileSource> Worker<R, F> {
    pub(super) fn new(
        link: Arc<Link<R>>,
        queue: Arc<Queue<R::Error, F>>,
        packing: Packing,
        clock: fn() -> SystemTime,
    ) -> Worker<R, F> {
        let absorber = Absorber::new(link.clone(), packing);
        let (cutter, buffer, block) = (Cutter::files(), vec![0; BUFFER], Block::default());
        Worker { link, queue, absorber, cutter, clock, buffer, begin: 0, filled: 0, job: 0, block }
    }

    /// Works until there is nothing more to do.
    pub(super) fn run(mut self) {
        let watch = Watch(self.queue.clone());
        let mut result = Ok(());
        while let Some(work) = result.is_ok().then(|| watch.0.take()).flatten() {
            result = match work {
                Work::Job(job) => self.work(job),
                Work::Press(loose) => self.absorber.help(loose),
            };
        }
        if let Err(error) = result.and_then(|()| self.absorber.flush()) {
            watch.0.fail(error);
        }
    }

    fn work(&mut self, job: Job<F>) -> Result<(), UploadError<R::Error>> {
        self.job = job.number;
        for (file, before) in job.files {
            self.file(file, Guess::new(before))?;
        }
        self.settle()?;
        self.queue.give(self.job, std::mem::take(&mut self.block), true);
        Ok(())
    }

    fn file(&mut self, mut source: F, guess: Guess) -> Result<(), UploadError<R::Error>> {
        self.link.check()?;
        let (content, error) = match source.open() {
            Ok(layout) => {
                let (content, error) = self.read(&mut source, Reading::new(layout), guess)?;
                (Some(content), error)
            }
            Err(error) => (None, Some(error)),
        };
        let upto = self.block.ids.len() + self.absorber.pending();
        self.block.ends.push_back(End { upto, source, content, error, read: (self.clock)() });
        Ok(())
    }

    fn read(
        &mut self,
        source: &mut F,
        mut reading: Reading,
        mut guess: Guess,
    ) -> Result<(crate::Content, Option<std::io::Error>), UploadError<R::Error>> {
        while !reading.has_ended() {
            if self.buffer.len() - self.filled < reading.wants().max(1) {
                self.link.check()?;
                self.settle()?;
                self.give_some();
            }
            let filled = reading.fill(source, &mut self.buffer[self.filled..]);
            self.filled += filled;
            self.link.progress.bytes_read.fetch_add(filled as u64, Ordering::Relaxed);
            while let Some(length) = self.next(&mut guess, reading.has_ended()) {
                self.begin += length;
            }
        }
        Ok(reading.finish(source))
    }

    /// Notes the next chunk in the buffer; nothing while that depends on what follows.
    fn next(&mut self, guess: &mut Guess, ended: bool) -> Option<usize> {
        let bytes = &self.buffer[self.begin..self.filled];
        let named = match guess.look(bytes, ended, |chunk| self.link.fingerprint(chunk)) {
            Next::Same(length, name) => {
                self.absorber.note(self.begin, length, name, true);
                return Some(length);
            }
            Next::More => return None,
            Next::Other(named) => named,
        };
        let cut = self.cutter.cut(bytes, ended)?;
        let name = named.filter(|(length, _)| *length == cut).map(|(_, name)| name);
        let name = name.unwrap_or_else(|| self.link.fingerprint(&bytes[..cut]));
        let is_known = guess.cut(&name.id);
        self.absorber.note(self.begin, cut, name, is_known);
        Some(cut)
    }

    /// Sends the chunks in the buffer, and moves what is not cut yet to its front.
    fn settle(&mut self) -> Result<(), UploadError<R::Error>> {
        let Block { ids, lengths, .. } = &mut self.block;
        self.absorber.settle(&self.buffer, ids, lengths, &mut |loose| self.queue.offer(loose))?;
        self.buffer.copy_within(self.begin..self.filled, 0);
        self.filled -= self.begin;
        self.begin = 0;
        Ok(())
    }

    fn give_some(&mut self) {
        if self.block.ids.len() >= BLOCK {
            self.queue.give(self.job, std::mem::take(&mut self.block), false);
        }
    }
}

/// Tells the queue when its thread panics, so that nobody waits for it.
struct Watch<E: std::error::Error + 'static, F>(Arc<Queue<E, F>>);

impl<E: std::error::Error + 'static, F> Drop for Watch<E, F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(UploadError::Worker);
        }
    }
}
