//! Jobs on their way to threads, and results on their way back, in order.

use super::UploadError;
use super::guess::Before;
use crate::segment::Loose;
use crate::{ChunkId, Content};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::io;
use std::time::SystemTime;

/// Results of one job that wait for those of the jobs before it; beyond them its thread waits.
const BLOCKS: usize = 16;

/// Files that one thread reads one after the other.
pub(super) struct Job<F> {
    pub number: u64,
    pub files: Vec<(F, Option<Before>)>,
}

/// What a thread is to do next.
pub(super) enum Work<F> {
    Job(Job<F>),
    /// Chunks that another thread gathered, to be pressed and put.
    Press(Loose),
}

/// Chunks of some files, in order. What comes after the last end belongs to a file that goes on in the next block.
pub(crate) struct Block<F> {
    pub ids: Vec<ChunkId>,
    pub lengths: Vec<u32>,
    pub ends: VecDeque<End<F>>,
}

/// How a file ended.
pub(crate) struct End<F> {
    /// Chunks of the block up to here are its own and those of the files before it.
    pub upto: usize,
    pub source: F,
    /// All but its chunks; none where it could not be opened.
    pub content: Option<Content>,
    pub error: Option<io::Error>,
    pub read: SystemTime,
}

impl<F> Default for Block<F> {
    fn default() -> Block<F> {
        Block { ids: Vec::new(), lengths: Vec::new(), ends: VecDeque::new() }
    }
}

struct Slot<F> {
    blocks: VecDeque<Block<F>>,
    done: bool,
}

struct State<E: std::error::Error + 'static, F> {
    jobs: VecDeque<Job<F>>,
    loose: Vec<Loose>,
    /// Threads that wait for work.
    idle: usize,
    /// Results of jobs in their order, from job `first` on.
    slots: VecDeque<Slot<F>>,
    first: u64,
    closed: bool,
    stopped: bool,
    failure: Option<UploadError<E>>,
}

pub(super) struct Queue<E: std::error::Error + 'static, F> {
    state: Mutex<State<E, F>>,
    /// A job came, or none will come any more.
    work: Condvar,
    /// Results came.
    ready: Condvar,
    /// Results were taken.
    taken: Condvar,
}

impl<E: std::error::Error + 'static, F> Default for Queue<E, F> {
    fn default() -> Queue<E, F> {
        let state = State {
            jobs: VecDeque::new(),
            loose: Vec::new(),
            idle: 0,
            slots: VecDeque::new(),
            first: 0,
            closed: false,
            stopped: false,
            failure: None,
        };
        Queue { state: Mutex::new(state), work: Condvar::new(), ready: Condvar::new(), taken: Condvar::new() }
    }
}

impl<E: std::error::Error + 'static, F> Queue<E, F> {
    /// Numbers a job. Whether one waits for a thread.
    pub(super) fn submit(&self, mut job: Job<F>) -> bool {
        let mut state = self.state.lock();
        job.number = state.first + state.slots.len() as u64;
        state.slots.push_back(Slot { blocks: VecDeque::new(), done: false });
        state.jobs.push_back(job);
        !self.work.notify_one()
    }

    /// Jobs whose results were not all taken.
    pub(super) fn jobs_under_way(&self) -> usize {
        self.state.lock().slots.len()
    }

    pub(super) fn next(&self, wait: bool) -> Result<Option<Block<F>>, UploadError<E>> {
        let mut state = self.state.lock();
        loop {
            state.check()?;
            let Some(slot) = state.slots.front_mut() else { return Ok(None) };
            let block = slot.blocks.pop_front();
            if slot.done && slot.blocks.is_empty() {
                state.slots.pop_front();
                state.first += 1;
            }
            if block.is_some() {
                self.taken.notify_all();
                return Ok(block);
            }
            if !wait {
                return Ok(None);
            }
            self.ready.wait(&mut state);
        }
    }

    /// No more jobs will come.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.work.notify_all();
    }

    /// Nothing is wanted any more.
    pub(super) fn stop(&self) {
        self.state.lock().stopped = true;
        self.wake();
    }

    pub(super) fn check(&self) -> Result<(), UploadError<E>> {
        self.state.lock().check()
    }

    /// What is to be done next, for a thread that has nothing to do.
    pub(super) fn take(&self) -> Option<Work<F>> {
        let mut state = self.state.lock();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(loose) = state.loose.pop() {
                return Some(Work::Press(loose));
            }
            if let Some(job) = state.jobs.pop_front() {
                return Some(Work::Job(job));
            }
            if state.closed {
                return None;
            }
            state.idle += 1;
            self.work.wait(&mut state);
            state.idle -= 1;
        }
    }

    /// Gives chunks to a thread that has nothing to do; returns them where there is none.
    pub(super) fn offer(&self, loose: Loose) -> Option<Loose> {
        let mut state = self.state.lock();
        // Whoever was woken for a job still counts as idle, and takes this before it.
        if state.closed || state.loose.len() + state.jobs.len() >= state.idle {
            return Some(loose);
        }
        state.loose.push(loose);
        self.work.notify_one();
        None
    }

    /// Results of a job; `done`: its last ones.
    pub(super) fn give(&self, number: u64, block: Block<F>, done: bool) {
        let mut state = self.state.lock();
        while !state.stopped && state.first < number && state.slot(number).blocks.len() >= BLOCKS {
            self.taken.wait(&mut state);
        }
        if !state.stopped {
            let slot = state.slot(number);
            slot.blocks.push_back(block);
            slot.done = done;
            self.ready.notify_one();
        }
    }

    pub(super) fn fail(&self, failure: UploadError<E>) {
        let mut state = self.state.lock();
        state.stopped = true;
        state.failure.get_or_insert(failure);
        drop(state);
        self.wake();
    }

    fn wake(&self) {
        self.work.notify_all();
        self.ready.notify_all();
        self.taken.notify_all();
    }
}

impl<E: std::error::Error + 'static, F> State<E, F> {
    fn slot(&mut self, number: u64) -> &mut Slot<F> {
        let at = (number - self.first) as usize;
        &mut self.slots[at]
    }

    fn check(&mut self) -> Result<(), UploadError<E>> {
        match self.failure.take() {
            Some(failure) => Err(failure),
            None if self.stopped => Err(UploadError::Ended),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn block(number: u64) -> Block<u64> {
        let end = End { upto: 0, source: number, content: None, error: None, read: SystemTime::UNIX_EPOCH };
        Block { ends: [end].into(), ..Block::default() }
    }

    type Tested = Queue<std::fmt::Error, u64>;

    fn job(queue: &Tested) {
        queue.submit(Job { number: 0, files: Vec::new() });
    }

    #[test]
    fn results_come_in_order_and_threads_that_are_far_ahead_wait() {
        let (queue, given) = (Arc::new(Tested::default()), Arc::new(AtomicUsize::new(0)));
        job(&queue);
        job(&queue);
        let (thread_queue, thread_given) = (queue.clone(), given.clone());
        let ahead = std::thread::spawn(move || {
            for number in 0..200 {
                thread_queue.give(1, block(1000 + number), number == 199);
                thread_given.fetch_add(1, Ordering::Relaxed);
            }
        });
        while given.load(Ordering::Relaxed) < BLOCKS {
            std::thread::yield_now();
        }
        assert!(queue.next(false).unwrap().is_none(), "the first job has given nothing");
        assert_eq!(queue.jobs_under_way(), 2);
        assert_eq!(queue.state.lock().slots[1].blocks.len(), BLOCKS);
        queue.give(0, block(0), false);
        queue.give(0, block(1), true);
        let mut order = Vec::new();
        while let Some(mut block) = queue.next(true).unwrap() {
            order.push(block.ends.pop_front().unwrap().source);
        }
        ahead.join().unwrap();
        assert_eq!(order, [0, 1].into_iter().chain(1000..1200).collect::<Vec<_>>());
    }

    #[test]
    fn a_failure_is_told_once_and_ends_everything() {
        let queue = Tested::default();
        job(&queue);
        queue.fail(UploadError::Worker);
        queue.fail(UploadError::Cancelled);
        assert!(matches!(queue.next(true), Err(UploadError::Worker)));
        assert!(matches!(queue.next(true), Err(UploadError::Ended)));
        assert!(queue.take().is_none());
        queue.give(0, block(0), true);
    }

    #[test]
    fn chunks_are_offered_to_idle_threads_alone() {
        let queue = Arc::new(Tested::default());
        assert!(queue.offer(Loose::default()).is_some());
        let thread_queue = queue.clone();
        let idle = std::thread::spawn(move || matches!(thread_queue.take(), Some(Work::Press(_))));
        while queue.state.lock().idle == 0 {
            std::thread::yield_now();
        }
        assert!(queue.offer(Loose::default()).is_none());
        assert!(idle.join().unwrap());
        queue.close();
        assert!(queue.take().is_none());
    }
}
