//! The six verbs as length-prefixed frames on a socket: `u32` length of what follows, one byte of verb, fields in
//! little endian, the rest is data. A program in any language that speaks them can be a plugin.

use bytes::{Buf, Bytes, BytesMut};
use schema::{MAX_MESSAGE, Needs, OpenConfig};
use serde::{Deserialize, Serialize};

/// Longest frame on the socket. Well above a message, so that one that is too long ends its operation and not the
/// plugin.
pub(crate) const MAX_WIRE: usize = 2 * MAX_MESSAGE;

const EMIT: u8 = 1;
const REQUEST: u8 = 2;
const LOG: u8 = 3;
const START: u8 = 4;
const SIGNAL: u8 = 5;
const FEED: u8 = 6;
const SETUP: u8 = 16;
const HELLO: u8 = 17;
const READY: u8 = 18;
const FAILED: u8 = 19;
const PING: u8 = 20;
const PONG: u8 = 21;
const CONFINED: u8 = 22;

/// One frame. Data is a slice of what was read, never a copy.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Emit {
        op: u64,
        kind: u32,
        stream: u32,
        data: Bytes,
    },
    Request {
        op: u64,
        request: u64,
        method: String,
        payload: Bytes,
    },
    Log {
        level: u8,
        target: String,
        json: Bytes,
    },
    Start {
        op: u64,
        method: String,
        meta: Bytes,
        payload: Bytes,
    },
    Signal {
        op: u64,
        kind: u32,
        arg: u64,
        data: Bytes,
    },
    Feed {
        op: u64,
        stream: u32,
        frame: Bytes,
    },
    /// JSON of [`Setup`], the first frame to a runner.
    Setup(Bytes),
    /// JSON of [`crate::Sandbox`], the first frame of a runner, before it opens the library.
    Confined(Bytes),
    /// JSON of [`Hello`].
    Hello(Bytes),
    /// The plugin is open.
    Ready,
    /// JSON of [`Failed`]; the last frame of a runner.
    Failed(Bytes),
    /// Answered in turn, after every verb before it has returned.
    Ping(u64),
    Pong(u64),
}

/// What a runner is to load, and what it may do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) library: std::path::PathBuf,
    pub(crate) plugin: String,
    pub(crate) needs: Needs,
    /// Number of the account to run as, where the host is root and the needs name none.
    pub(crate) account: Option<u32>,
    /// Directory of the plugin's own; the runner's working directory.
    pub(crate) files: Option<std::path::PathBuf>,
    pub(crate) memory_mib: u32,
    pub(crate) host_pid: u32,
    /// Absent where only the manifest is wanted.
    pub(crate) open: Option<OpenConfig>,
}

/// What a runner found.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) manifest: String,
    pub(crate) abi_level: u32,
    pub(crate) panic_unwind: bool,
    pub(crate) sdk: String,
    pub(crate) rustc: String,
    pub(crate) target: String,
}

/// Why a runner gives up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub(crate) cause: String,
    pub(crate) remedy: String,
    /// Long text for the vendor.
    pub(crate) details: Option<String>,
}

/// What came is not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("a frame of {0} bytes is longer than a frame may be")]
    TooLong(usize),
    #[error("a frame of an unknown kind {0}")]
    Unknown(u8),
    #[error("a frame is shorter than its fields")]
    Short,
}

impl Frame {
    /// Head of the frame (length, verb and fields) and its data, which follows the head on the wire.
    pub(crate) fn encode(self) -> (Vec<u8>, Bytes) {
        let mut head = Head::default();
        let data = match self {
            Frame::Emit { op, kind, stream, data } => head.verb(EMIT).u64(op).u32(kind).u32(stream).with(data),
            Frame::Request { op, request, method, payload } => {
                head.verb(REQUEST).u64(op).u64(request).text(&method).with(payload)
            }
            Frame::Log { level, target, json } => head.verb(LOG).u8(level).text(&target).with(json),
            Frame::Start { op, method, meta, payload } => {
                head.verb(START).u64(op).text(&method).u32(meta.len() as u32).bytes(&meta).with(payload)
            }
            Frame::Signal { op, kind, arg, data } => head.verb(SIGNAL).u64(op).u32(kind).u64(arg).with(data),
            Frame::Feed { op, stream, frame } => head.verb(FEED).u64(op).u32(stream).with(frame),
            Frame::Setup(json) => head.verb(SETUP).with(json),
            Frame::Confined(json) => head.verb(CONFINED).with(json),
            Frame::Hello(json) => head.verb(HELLO).with(json),
            Frame::Ready => head.verb(READY).with(Bytes::new()),
            Frame::Failed(json) => head.verb(FAILED).with(json),
            Frame::Ping(n) => head.verb(PING).u64(n).with(Bytes::new()),
            Frame::Pong(n) => head.verb(PONG).u64(n).with(Bytes::new()),
        };
        let length = (head.0.len() - 4 + data.len()) as u32;
        head.0[..4].copy_from_slice(&length.to_le_bytes());
        (head.0, data)
    }

    /// Takes the next whole frame off `buffer`; nothing where more has to be read first.
    pub(crate) fn decode(buffer: &mut BytesMut) -> Result<Option<Frame>, Malformed> {
        let Some(length) = buffer.get(..4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes) else {
            return Ok(None);
        };
        let length = length as usize;
        if length > MAX_WIRE {
            return Err(Malformed::TooLong(length));
        }
        if buffer.len() < 4 + length {
            buffer.reserve(4 + length - buffer.len());
            return Ok(None);
        }
        buffer.advance(4);
        let mut body = buffer.split_to(length).freeze();
        Frame::read(&mut body).map(Some)
    }

    fn read(body: &mut Bytes) -> Result<Frame, Malformed> {
        let body = &mut Fields(body);
        Ok(match body.u8()? {
            EMIT => Frame::Emit { op: body.u64()?, kind: body.u32()?, stream: body.u32()?, data: body.rest() },
            REQUEST => {
                Frame::Request { op: body.u64()?, request: body.u64()?, method: body.text()?, payload: body.rest() }
            }
            LOG => Frame::Log { level: body.u8()?, target: body.text()?, json: body.rest() },
            START => {
                let (op, method, meta) = (body.u64()?, body.text()?, body.u32()?);
                Frame::Start { op, method, meta: body.take(meta as usize)?, payload: body.rest() }
            }
            SIGNAL => Frame::Signal { op: body.u64()?, kind: body.u32()?, arg: body.u64()?, data: body.rest() },
            FEED => Frame::Feed { op: body.u64()?, stream: body.u32()?, frame: body.rest() },
            SETUP => Frame::Setup(body.rest()),
            CONFINED => Frame::Confined(body.rest()),
            HELLO => Frame::Hello(body.rest()),
            READY => Frame::Ready,
            FAILED => Frame::Failed(body.rest()),
            PING => Frame::Ping(body.u64()?),
            PONG => Frame::Pong(body.u64()?),
            unknown => return Err(Malformed::Unknown(unknown)),
        })
    }
}

struct Head(Vec<u8>);

impl Default for Head {
    fn default() -> Head {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend([0; 4]);
        Head(bytes)
    }
}

impl Head {
    fn verb(&mut self, verb: u8) -> &mut Head {
        self.u8(verb)
    }

    fn u8(&mut self, value: u8) -> &mut Head {
        self.0.push(value);
        self
    }

    fn u32(&mut self, value: u32) -> &mut Head {
        self.bytes(&value.to_le_bytes())
    }

    fn u64(&mut self, value: u64) -> &mut Head {
        self.bytes(&value.to_le_bytes())
    }

    /// A short text with its length in two bytes; what is longer is cut.
    fn text(&mut self, text: &str) -> &mut Head {
        let cut = &text.as_bytes()[..text.floor_char_boundary(usize::from(u16::MAX))];
        self.bytes(&(cut.len() as u16).to_le_bytes()).bytes(cut)
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Head {
        self.0.extend_from_slice(bytes);
        self
    }

    fn with(&mut self, data: Bytes) -> Bytes {
        data
    }
}

struct Fields<'a>(&'a mut Bytes);

impl Fields<'_> {
    fn take(&mut self, bytes: usize) -> Result<Bytes, Malformed> {
        if self.0.len() < bytes { Err(Malformed::Short) } else { Ok(self.0.split_to(bytes)) }
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        self.0.try_get_u8().map_err(|_| Malformed::Short)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.0.try_get_u32_le().map_err(|_| Malformed::Short)
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.0.try_get_u64_le().map_err(|_| Malformed::Short)
    }

    fn text(&mut self) -> Result<String, Malformed> {
        let length = self.0.try_get_u16_le().map_err(|_| Malformed::Short)?;
        let bytes = self.take(usize::from(length))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn rest(&mut self) -> Bytes {
        std::mem::take(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> Vec<Frame> {
        let data = Bytes::from_static(b"data");
        vec![
            Frame::Emit { op: 1, kind: 2, stream: 3, data: data.clone() },
            Frame::Request { op: 1, request: 2, method: "rows.publish".into(), payload: data.clone() },
            Frame::Log { level: 3, target: "t".into(), json: data.clone() },
            Frame::Start { op: 9, method: "query".into(), meta: data.clone(), payload: Bytes::new() },
            Frame::Signal { op: u64::MAX, kind: 1, arg: 7, data: Bytes::new() },
            Frame::Feed { op: 1, stream: 2, frame: data },
            Frame::Ready,
            Frame::Ping(5),
        ]
    }

    #[test]
    fn every_frame_comes_back_however_it_is_cut() {
        let mut wire = Vec::new();
        for frame in frames() {
            let (head, data) = frame.encode();
            wire.extend(head);
            wire.extend(data);
        }
        for step in [1, 3, 7, wire.len()] {
            let (mut buffer, mut back) = (BytesMut::new(), Vec::new());
            for part in wire.chunks(step) {
                buffer.extend_from_slice(part);
                while let Some(frame) = Frame::decode(&mut buffer).unwrap() {
                    back.push(frame);
                }
            }
            assert_eq!(back, frames());
        }
    }

    #[test]
    fn what_is_no_frame_is_refused_before_it_is_kept() {
        let decode = |bytes: &[u8]| Frame::decode(&mut BytesMut::from(bytes));
        assert_eq!(decode(&u32::MAX.to_le_bytes()), Err(Malformed::TooLong(u32::MAX as usize)));
        assert_eq!(decode(&[1, 0, 0, 0, 99]), Err(Malformed::Unknown(99)));
        assert_eq!(decode(&[2, 0, 0, 0, EMIT, 1]), Err(Malformed::Short));
        assert_eq!(decode(&[0, 0, 0, 0]), Err(Malformed::Short));
    }
}
