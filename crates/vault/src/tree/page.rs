//! The head of a page: how long it is and where the page before it of the same directory lies.

use super::Fault;
use crate::varint::{Cursor, put};

/// Bytes at which a page ends.
pub(super) const FULL_BYTES: usize = 256 << 10;
/// Entries at which it ends.
pub(super) const FULL_ENTRIES: u64 = 4096;
/// From here on a page ends after a name that says so (one in 1,024 does), so that one new name in a huge directory does
/// not move the end of every page after it.
pub(super) const MANY_ENTRIES: u64 = 512;
/// Longest page. One entry alone may pass [`FULL_BYTES`]: that of a file of 40 TiB comes near this.
pub(super) const MOST_BYTES: usize = 512 << 20;
/// Longest head.
pub(super) const HEAD_BYTES: usize = 40;

pub(super) fn ends_page(name: &[u8]) -> bool {
    let hash = blake3::hash(name);
    u16::from_le_bytes([hash.as_bytes()[0], hash.as_bytes()[1]]) & 0x3ff == 0
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Back to the start of the page before; 0 where there is none.
    pub previous: u64,
    /// Back to the refs of the page before.
    pub refs: u64,
    pub entries: u64,
}

impl Head {
    /// The whole page.
    pub(super) fn encode(&self, body: &[u8]) -> Vec<u8> {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        put(&mut head, self.previous);
        put(&mut head, self.refs);
        put(&mut head, self.entries);
        let mut out = Vec::with_capacity(HEAD_BYTES + body.len());
        put(&mut out, (head.len() + body.len()) as u64);
        out.extend_from_slice(&head);
        out.extend_from_slice(body);
        out
    }

    /// The head, where its page ends and where the body begins, counted from the start of the page.
    pub(super) fn decode(start: &[u8]) -> Result<(Head, usize, usize), Fault> {
        let mut cursor = Cursor::new(start);
        let length = cursor.number()?;
        if length > MOST_BYTES as u64 {
            return Err(Fault::Size);
        }
        let end = start.len() - cursor.remaining() + length as usize;
        let head = Head { previous: cursor.number()?, refs: cursor.number()?, entries: cursor.number()? };
        let body = start.len() - cursor.remaining();
        if body > end { Err(Fault::Format) } else { Ok((head, end, body)) }
    }
}
