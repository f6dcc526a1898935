//! Frames on their way to a runner: written at once by whoever sends while there is room, by a task where there is
//! not. Sending never waits.

use crate::wire::Frame;
use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdStream;
use std::sync::Arc;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Most bytes that wait for a runner. One that reads needs none of it: its calls do not block.
pub(super) const MOST_WAITING: usize = 64 * 1024 * 1024;

pub(super) struct Outbox {
    socket: UnixStream,
    waiting: Mutex<Waiting>,
    overfull: CancellationToken,
    more: Notify,
    closed: CancellationToken,
}

#[derive(Default)]
struct Waiting {
    parts: VecDeque<Bytes>,
    bytes: usize,
}

impl Outbox {
    /// Needs a runtime around it; the socket must not block.
    pub(super) fn new(socket: StdStream) -> std::io::Result<Outbox> {
        let socket = UnixStream::from_std(socket)?;
        let (overfull, closed) = (CancellationToken::new(), CancellationToken::new());
        Ok(Outbox { socket, waiting: Mutex::default(), overfull, more: Notify::new(), closed })
    }

    pub(super) fn send(&self, frame: Frame) {
        let (head, data) = frame.encode();
        let (mut head, mut data) = (Bytes::from(head), data);
        let mut waiting = self.waiting.lock();
        if waiting.parts.is_empty() {
            match self.write(&mut [&mut head, &mut data]) {
                Ok(()) if head.is_empty() && data.is_empty() => return,
                Ok(()) | Err(Errno::AGAIN) => {}
                // The reader notices that the runner is gone.
                Err(_) => return,
            }
        }
        if waiting.bytes > MOST_WAITING {
            self.overfull.cancel();
            return;
        }
        waiting.bytes += head.len() + data.len();
        waiting.parts.extend([head, data].into_iter().filter(|part| !part.is_empty()));
        drop(waiting);
        self.more.notify_one();
    }

    /// Writes what there is room for and takes it off the parts.
    fn write(&self, parts: &mut [&mut Bytes]) -> rustix::io::Result<()> {
        let slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut none = SendAncillaryBuffer::default();
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let mut written = rustix::net::sendmsg(self.socket.as_fd(), &slices, &mut none, flags)?;
        for part in parts {
            let of_part = written.min(part.len());
            part.advance(of_part);
            written -= of_part;
        }
        Ok(())
    }

    /// Writes what had to wait, until the outbox is closed.
    pub(super) async fn write_out(self: Arc<Outbox>) {
        loop {
            tokio::select! {
                () = self.more.notified() => {}
                () = self.closed.cancelled() => return,
            }
            while !self.waiting.lock().parts.is_empty() {
                let ready = tokio::select! {
                    ready = self.socket.writable() => ready,
                    () = self.closed.cancelled() => return,
                };
                let written = ready.and_then(|()| {
                    self.socket.try_io(Interest::WRITABLE, || self.write_some().map_err(std::io::Error::from))
                });
                match written {
                    Ok(()) => {}
                    Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(_) => return,
                }
            }
        }
    }

    fn write_some(&self) -> rustix::io::Result<()> {
        let mut waiting = self.waiting.lock();
        {
            let mut parts: Vec<&mut Bytes> = waiting.parts.iter_mut().take(16).collect();
            let before: usize = parts.iter().map(|part| part.len()).sum();
            self.write(&mut parts)?;
            let after: usize = parts.iter().map(|part| part.len()).sum();
            waiting.bytes -= before - after;
        }
        while waiting.parts.front().is_some_and(Bytes::is_empty) {
            waiting.parts.pop_front();
        }
        Ok(())
    }

    /// Returns once more waits than may.
    pub(super) async fn overfull(&self) {
        self.overfull.cancelled().await;
    }

    /// Nothing more comes: the runner reads the end of the socket.
    pub(super) fn finish(&self) {
        // A socket that is gone has ended already.
        let _ = rustix::net::shutdown(self.socket.as_fd(), rustix::net::Shutdown::Write);
    }

    pub(super) fn close(&self) {
        self.closed.cancel();
        *self.waiting.lock() = Waiting::default();
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting.lock().bytes
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}
