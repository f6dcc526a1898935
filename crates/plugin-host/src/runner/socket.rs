//! The runner's end of the socket: read by one thread, written by any.

use crate::wire::Frame;
use bytes::BytesMut;
use parking_lot::Mutex;
use rustix::io::{Errno, retry_on_intr};
use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};

/// Bytes asked for in one read.
const READ: usize = 256 * 1024;

pub(super) struct Socket {
    fd: OwnedFd,
    writing: Mutex<()>,
}

impl Socket {
    /// Takes the socket off standard input, which becomes empty.
    pub(super) fn from_stdin() -> rustix::io::Result<Socket> {
        let fd = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
        let null = rustix::fs::open("/dev/null", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty())?;
        rustix::stdio::dup2_stdin(&null)?;
        Ok(Socket { fd, writing: Mutex::new(()) })
    }

    /// The next frame; nothing once the host is gone or what it says is no frame.
    pub(super) fn read(&self, buffer: &mut BytesMut) -> Option<Frame> {
        loop {
            match Frame::decode(buffer) {
                Ok(Some(frame)) => return Some(frame),
                Ok(None) => {}
                Err(_) => return None,
            }
            buffer.reserve(READ);
            let read =
                retry_on_intr(|| rustix::io::read(&self.fd, buffer.spare_capacity_mut()).map(|(read, _)| read.len()));
            match read {
                Ok(0) | Err(_) => return None,
                // SAFETY: the system call has just filled this many bytes of the spare capacity.
                Ok(bytes) => unsafe { buffer.set_len(buffer.len() + bytes) },
            }
        }
    }

    /// Writes a whole frame. A host that is gone is noticed by the reading thread.
    pub(super) fn write(&self, frame: Frame) {
        let (head, data) = frame.encode();
        let _writing = self.writing.lock();
        let (mut head, mut data): (&[u8], &[u8]) = (&head, &data);
        while !head.is_empty() || !data.is_empty() {
            match rustix::io::writev(self.fd.as_fd(), &[IoSlice::new(head), IoSlice::new(data)]) {
                Ok(written) => {
                    let of_head = written.min(head.len());
                    head = &head[of_head..];
                    data = &data[written - of_head..];
                }
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}
