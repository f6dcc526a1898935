//! The frame: a 24-byte header and a JSON payload. Neutral to what carries it.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of an encoded [`Header`].
pub const HEADER_BYTES: usize = 24;
/// Deepest nesting of a payload.
pub const MAX_DEPTH: usize = schema::MAX_DEPTH;
/// Layout of the header; the version of the messages is negotiated by `Hello`.
const LAYOUT: u8 = 1;

/// What the payload of a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Hello,
    Welcome,
    Refused,
    Message,
}

impl Kind {
    fn number(self) -> u8 {
        match self {
            Kind::Hello => 1,
            Kind::Welcome => 2,
            Kind::Refused => 3,
            Kind::Message => 4,
        }
    }

    fn from_number(number: u8) -> Option<Kind> {
        [Kind::Hello, Kind::Welcome, Kind::Refused, Kind::Message].into_iter().find(|kind| kind.number() == number)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub kind: Kind,
    /// Epoch of the session: the agent's count of connections, as in its `Hello`.
    pub epoch: u64,
    /// Counts the frames of one direction from 1, without gaps.
    pub seq: u32,
    /// Highest `seq` of the other direction that was processed.
    pub ack: u32,
}

/// A frame whose payload is not yet decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub header: Header,
    pub payload: Bytes,
}

/// Why bytes are not a frame, or a payload not a message.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of {size} bytes is larger than {limit}")]
    TooLarge { size: usize, limit: usize },
    #[error("a frame of {0} bytes is shorter than its header")]
    Short(usize),
    #[error("frame layout {0} is not known")]
    Layout(u8),
    #[error("frame kind {0} is not known")]
    Kind(u8),
    #[error("the payload is nested deeper than {MAX_DEPTH}")]
    Depth,
    #[error("the payload is not a message of this version")]
    Payload(#[source] serde_json::Error),
}

impl Frame {
    /// The bytes of a frame with `message` as its payload.
    ///
    /// # Errors
    /// `TooLarge` where the message exceeds `limit` bytes, `Depth` where it is nested too deeply: it must be split or
    /// refused by the caller.
    pub fn encode<T: Serialize>(header: Header, message: &T, limit: usize) -> Result<Bytes, FrameError> {
        let mut buffer = BytesMut::with_capacity(256);
        buffer.put_u8(LAYOUT);
        buffer.put_u8(header.kind.number());
        buffer.put_u16_le(0);
        buffer.put_u64_le(header.epoch);
        buffer.put_u32_le(header.seq);
        buffer.put_u32_le(header.ack);
        buffer.put_u32_le(0);
        let mut writer = buffer.writer();
        serde_json::to_writer(&mut writer, message).map_err(FrameError::Payload)?;
        let buffer = writer.into_inner();
        if buffer.len() > limit {
            return Err(FrameError::TooLarge { size: buffer.len(), limit });
        }
        if schema::is_deeper(&buffer[HEADER_BYTES..], MAX_DEPTH) {
            return Err(FrameError::Depth);
        }
        Ok(buffer.freeze())
    }

    /// Whether a message can be sent at all, for those who keep it before that.
    ///
    /// # Errors
    /// As for [`Frame::encode`].
    pub fn check<T: Serialize>(message: &T) -> Result<(), FrameError> {
        let header = Header { kind: Kind::Message, epoch: 0, seq: 0, ack: 0 };
        Frame::encode(header, message, crate::MAX_FRAME_BYTES).map(drop)
    }

    /// Splits bytes into header and payload; looks at the payload's size and nesting only.
    pub fn decode(mut bytes: Bytes, limit: usize) -> Result<Frame, FrameError> {
        if bytes.len() > limit {
            return Err(FrameError::TooLarge { size: bytes.len(), limit });
        }
        if bytes.len() < HEADER_BYTES {
            return Err(FrameError::Short(bytes.len()));
        }
        let layout = bytes.get_u8();
        if layout != LAYOUT {
            return Err(FrameError::Layout(layout));
        }
        let number = bytes.get_u8();
        let kind = Kind::from_number(number).ok_or(FrameError::Kind(number))?;
        bytes.advance(2);
        let header = Header { kind, epoch: bytes.get_u64_le(), seq: bytes.get_u32_le(), ack: bytes.get_u32_le() };
        bytes.advance(4);
        if schema::is_deeper(&bytes, MAX_DEPTH) {
            return Err(FrameError::Depth);
        }
        Ok(Frame { header, payload: bytes })
    }

    /// The payload as a message.
    pub fn message<T: DeserializeOwned>(&self) -> Result<T, FrameError> {
        serde_json::from_slice(&self.payload).map_err(FrameError::Payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header { kind: Kind::Message, epoch: 7, seq: 3, ack: 2 };

    #[test]
    fn what_was_encoded_is_decoded() {
        let bytes = Frame::encode(HEADER, &"hello", 1000).unwrap();
        let frame = Frame::decode(bytes, 1000).unwrap();
        assert_eq!(frame.header, HEADER);
        assert_eq!(frame.message::<String>().unwrap(), "hello");
    }

    #[test]
    fn a_large_frame_is_refused_on_both_ways() {
        let text = "x".repeat(1000);
        assert!(matches!(Frame::encode(HEADER, &text, 1000), Err(FrameError::TooLarge { .. })));
        let bytes = Frame::encode(HEADER, &text, 2000).unwrap();
        assert!(matches!(Frame::decode(bytes, 1000), Err(FrameError::TooLarge { .. })));
    }

    #[test]
    fn a_frame_that_is_too_deep_is_refused() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        let frame = |n: usize| {
            let mut bytes = Frame::encode(HEADER, &(), 1000).unwrap()[..HEADER_BYTES].to_vec();
            bytes.extend(deep(n).as_bytes());
            Frame::decode(bytes.into(), 1000)
        };
        assert!(frame(MAX_DEPTH).is_ok());
        assert!(matches!(frame(MAX_DEPTH + 1), Err(FrameError::Depth)));
        let value: serde_json::Value = serde_json::from_str(&deep(MAX_DEPTH + 1)).unwrap();
        assert!(matches!(Frame::encode(HEADER, &value, 1000), Err(FrameError::Depth)), "it is not sent either");
    }
}
