//! Reading what a pack says of itself.

use super::{END, FOOTER_LIMIT, HEADER, Listed, MAGIC, PackFault, PackId, STORED_LIMIT, Span, TRAILER};
use crate::keys::{Key, VaultKey};
use crate::storage::Object;
use crate::varint::Cursor;
use crate::{DomainId, segment::Limits};
use std::ops::Range;

/// What stands in a pack.
#[derive(Debug)]
pub(crate) struct Footer {
    pub domain: DomainId,
    pub segments: Vec<FooterSegment>,
    /// The chunks of all segments, in order.
    pub chunks: Vec<Listed>,
    /// Length of the whole pack.
    pub length: u64,
}

#[derive(Debug)]
pub(crate) struct FooterSegment {
    pub span: Span,
    pub hash: [u8; 16],
    /// Which of the chunks of the footer.
    pub chunks: Range<usize>,
}

impl Footer {
    /// With a key, only one that the keeper wrote.
    pub(crate) fn read(object: &dyn Object, id: PackId, key: Option<&VaultKey>) -> Result<Footer, PackFault> {
        let length = object.length()?;
        if length < HEADER + TRAILER + 1 {
            return Err(PackFault::Short);
        }
        let mut header = [0; HEADER as usize];
        object.read_at(0, &mut header)?;
        if &header[..8] != MAGIC {
            return Err(PackFault::Header);
        }
        if header[8..24] != id.0 {
            return Err(PackFault::OtherPack);
        }
        let mut trailer = [0; TRAILER as usize];
        object.read_at(length - TRAILER, &mut trailer)?;
        let (size, rest) = trailer.split_first_chunk::<4>().ok_or(PackFault::Footer)?;
        let (hash, rest) = rest.split_first_chunk::<32>().ok_or(PackFault::Footer)?;
        let (mac, magic) = rest.split_first_chunk::<16>().ok_or(PackFault::Footer)?;
        let footer_length = u64::from(u32::from_le_bytes(*size));
        if magic != END || footer_length > FOOTER_LIMIT || footer_length > length - HEADER - TRAILER {
            return Err(PackFault::Footer);
        }
        let mut bytes = vec![0; footer_length as usize];
        let start = length - TRAILER - footer_length;
        object.read_at(start, &mut bytes)?;
        let found = blake3::Hasher::new().update(&header).update(&bytes).update(size).finalize();
        if found.as_bytes() != hash {
            return Err(PackFault::Footer);
        }
        // Comparing hashes of blake3 takes the same time whatever they are.
        if key.is_some_and(|key| widened(&key.mac(hash)) != widened(mac)) {
            return Err(PackFault::Forged);
        }
        let mut domain = [0; 16];
        domain.copy_from_slice(&header[24..]);
        parse(&bytes, start, DomainId(domain), length)
    }

    /// Each segment with its chunks.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&FooterSegment, &[Listed])> {
        self.segments.iter().map(|segment| (segment, &self.chunks[segment.chunks.clone()]))
    }
}

fn widened(mac: &[u8; 16]) -> blake3::Hash {
    let mut wide = [0; 32];
    wide[..16].copy_from_slice(mac);
    wide.into()
}

fn parse(bytes: &[u8], end: u64, domain: DomainId, length: u64) -> Result<Footer, PackFault> {
    let mut cursor = Cursor::new(bytes);
    let wrong = |_| PackFault::Footer;
    let count = cursor.count(18).map_err(wrong)?;
    let mut footer = Footer { domain, segments: Vec::with_capacity(count), chunks: Vec::new(), length };
    let mut offset = HEADER;
    for _ in 0..count {
        let stored = cursor.small().map_err(wrong)?;
        let hash = cursor.array().map_err(wrong)?;
        let chunks = cursor.count(25).map_err(wrong)?;
        if stored as usize > STORED_LIMIT || chunks > Limits::SEGMENT.chunks {
            return Err(PackFault::Footer);
        }
        let first = footer.chunks.len();
        let mut plain = 0;
        for _ in 0..chunks {
            let key = Key(cursor.array().map_err(wrong)?);
            let proof = cursor.array().map_err(wrong)?;
            let length = cursor.small().map_err(wrong)?;
            plain += u64::from(length);
            footer.chunks.push(Listed { key, proof, length });
        }
        if plain > Limits::SEGMENT.bytes as u64 {
            return Err(PackFault::Footer);
        }
        let span = Span { offset: u32::try_from(offset).map_err(|_| PackFault::Footer)?, stored };
        footer.segments.push(FooterSegment { span, hash, chunks: first..footer.chunks.len() });
        offset += u64::from(stored);
    }
    if cursor.remaining() > 0 || offset != end {
        return Err(PackFault::Footer);
    }
    Ok(footer)
}
