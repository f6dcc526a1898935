//! Frames of a byte stream: a job's stream that was dialled back, or a channel between the two roles of a plugin.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use schema::Problem;

use crate::frame::{FrameError, MAX_DEPTH};

/// Bytes a sender may have under way before the receiver grants more.
pub const STREAM_WINDOW: u32 = 256 * 1024;
/// Largest piece of data in one frame.
pub const MAX_STREAM_CHUNK: usize = 64 * 1024;
/// Largest encoded problem.
const MAX_PROBLEM: usize = 64 * 1024;

#[derive(Clone, Debug, PartialEq)]
pub enum StreamFrame {
    Data(Bytes),
    /// The receiver consumed this many bytes; as many more may be sent.
    Credit(u32),
    /// Nothing more comes this way; the other way stays open.
    End,
    /// The stream failed, both ways.
    Error(Problem),
}

impl StreamFrame {
    pub fn encode(&self) -> Bytes {
        match self {
            StreamFrame::Data(data) => {
                let mut buffer = BytesMut::with_capacity(1 + data.len());
                buffer.put_u8(0);
                buffer.put_slice(data);
                buffer.freeze()
            }
            StreamFrame::Credit(bytes) => {
                let mut buffer = BytesMut::with_capacity(5);
                buffer.put_u8(1);
                buffer.put_u32_le(*bytes);
                buffer.freeze()
            }
            StreamFrame::End => Bytes::from_static(&[2]),
            StreamFrame::Error(problem) => {
                let mut buffer = BytesMut::with_capacity(256);
                buffer.put_u8(3);
                let json = serde_json::to_vec(problem).unwrap_or_default();
                buffer.put_slice(&json);
                buffer.freeze()
            }
        }
    }

    pub fn decode(mut bytes: Bytes) -> Result<StreamFrame, FrameError> {
        if bytes.is_empty() {
            return Err(FrameError::Short(0));
        }
        let kind = bytes.get_u8();
        let limit = if kind == 0 { MAX_STREAM_CHUNK } else { MAX_PROBLEM };
        if bytes.len() > limit {
            return Err(FrameError::TooLarge { size: bytes.len(), limit });
        }
        match kind {
            0 => Ok(StreamFrame::Data(bytes)),
            1 if bytes.len() == 4 => Ok(StreamFrame::Credit(bytes.get_u32_le())),
            2 if bytes.is_empty() => Ok(StreamFrame::End),
            3 if schema::is_deeper(&bytes, MAX_DEPTH) => Err(FrameError::Depth),
            3 => serde_json::from_slice(&bytes).map(StreamFrame::Error).map_err(FrameError::Payload),
            1 | 2 => Err(FrameError::Short(bytes.len())),
            other => Err(FrameError::Kind(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_is_decoded() {
        for frame in [
            StreamFrame::Data(Bytes::from_static(b"abc")),
            StreamFrame::Credit(70_000),
            StreamFrame::End,
            StreamFrame::Error(Problem::internal("gone")),
        ] {
            assert_eq!(StreamFrame::decode(frame.encode()).unwrap(), frame);
        }
    }
}
