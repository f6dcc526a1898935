//! Bulk messages as bytes. Little-endian; every decoder takes any bytes and says what is wrong with them.

use super::broken;
use sdk::Result;
use vault::{Batch, ChunkId, Fingerprint, Piece, Segment, SegmentKind, StreamRef, Tag};

/// Most chunks in one segment: one of empty files could name no end of them.
const MAX_CHUNKS: usize = 1 << 17;
const NAME: usize = 48;
const PIECE: usize = 16;

/// Names of chunks, 48 bytes each.
pub(crate) fn encode_have(names: &[Fingerprint]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(names.len() * NAME);
    names.iter().for_each(|name| put_name(&mut bytes, name));
    bytes
}

/// # Errors
/// It is not a list of names, or too long a one.
pub(crate) fn decode_have(bytes: &[u8], batch: usize) -> Result<Vec<Fingerprint>> {
    if !bytes.len().is_multiple_of(NAME) || bytes.len() / NAME > batch {
        return Err(broken("a question for chunks has a length it cannot have."));
    }
    Ok(bytes.chunks_exact(NAME).map(name_of).collect())
}

/// Ids of chunks, 32 bytes each.
pub(crate) fn encode_ids(ids: &[ChunkId]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.0).collect()
}

/// # Errors
/// It is not a list of ids.
pub(crate) fn decode_ids(bytes: &[u8]) -> Result<Vec<ChunkId>> {
    if !bytes.len().is_multiple_of(32) {
        return Err(broken("a list of ids is cut short."));
    }
    let id = |bytes: &[u8]| {
        let mut id = [0; 32];
        id.copy_from_slice(bytes);
        ChunkId(id)
    };
    Ok(bytes.chunks_exact(32).map(id).collect())
}

/// One bit for each answer, the first in the lowest bit.
pub(crate) fn encode_yes(answers: &[bool]) -> Vec<u8> {
    answers.chunks(8).map(|eight| eight.iter().rev().fold(0, |byte, yes| byte << 1 | u8::from(*yes))).collect()
}

/// # Errors
/// There are not `count` answers.
pub(crate) fn decode_yes(bytes: &[u8], count: usize) -> Result<Vec<bool>> {
    if bytes.len() != count.div_ceil(8) {
        return Err(broken("an answer for chunks has a length it cannot have."));
    }
    Ok((0..count).map(|n| bytes[n / 8] >> (n % 8) & 1 == 1).collect())
}

/// `kind u8`, `chunks u32`, `named u8`, their lengths, their names where `named`, then the bytes.
pub(crate) fn encode_segment(segment: &Segment) -> Vec<u8> {
    let each = if segment.names.is_empty() { 4 } else { 4 + NAME };
    let mut bytes = Vec::with_capacity(6 + segment.lengths.len() * each + segment.bytes.len());
    bytes.push(segment.kind as u8);
    bytes.extend((segment.lengths.len() as u32).to_le_bytes());
    bytes.push(u8::from(!segment.names.is_empty()));
    segment.lengths.iter().for_each(|length| bytes.extend(length.to_le_bytes()));
    segment.names.iter().for_each(|name| put_name(&mut bytes, name));
    bytes.extend(&segment.bytes);
    bytes
}

/// # Errors
/// It is not a segment.
pub(crate) fn decode_segment(bytes: &[u8]) -> Result<Segment> {
    let cut = || broken("a segment is cut short.");
    let (head, rest) = bytes.split_at_checked(6).ok_or_else(cut)?;
    let kind = kind_of(head[0])?;
    let chunks = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if chunks > MAX_CHUNKS || head[5] > 1 {
        return Err(broken("a segment says of itself what cannot be."));
    }
    let (lengths, rest) = rest.split_at_checked(chunks * 4).ok_or_else(cut)?;
    let named = usize::from(head[5]) * chunks * NAME;
    let (names, rest) = rest.split_at_checked(named).ok_or_else(cut)?;
    Ok(Segment {
        lengths: lengths.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect(),
        names: names.chunks_exact(NAME).map(name_of).collect(),
        kind,
        bytes: rest.to_vec(),
    })
}

/// `kind u8`, `pieces u32`, then of each `position u64`, `start u32`, `length u32`, then the bytes.
pub(crate) fn encode_batch(batch: &Batch) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(5 + batch.pieces.len() * PIECE + batch.bytes.len());
    bytes.push(batch.kind as u8);
    bytes.extend((batch.pieces.len() as u32).to_le_bytes());
    for piece in &batch.pieces {
        bytes.extend(piece.position.to_le_bytes());
        bytes.extend(piece.start.to_le_bytes());
        bytes.extend(piece.length.to_le_bytes());
    }
    bytes.extend(&batch.bytes);
    bytes
}

/// # Errors
/// It is not a batch.
pub(crate) fn decode_batch(bytes: &[u8]) -> Result<Batch> {
    let cut = || broken("a batch of chunks is cut short.");
    let (head, rest) = bytes.split_at_checked(5).ok_or_else(cut)?;
    let pieces = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if pieces > MAX_CHUNKS {
        return Err(broken("a batch of chunks says of itself what cannot be."));
    }
    let (places, bytes) = rest.split_at_checked(pieces * PIECE).ok_or_else(cut)?;
    let piece = |at: &[u8]| {
        let word = |n: usize| u32::from_le_bytes([at[n], at[n + 1], at[n + 2], at[n + 3]]);
        Piece { position: u64::from(word(0)) | u64::from(word(4)) << 32, start: word(8), length: word(12) }
    };
    let pieces = places.chunks_exact(PIECE).map(piece).collect();
    Ok(Batch { kind: kind_of(head[0])?, bytes: bytes.to_vec(), pieces })
}

fn kind_of(byte: u8) -> Result<SegmentKind> {
    match byte {
        0 => Ok(SegmentKind::Plain),
        1 => Ok(SegmentKind::Zstd),
        2 => Ok(SegmentKind::Sealed),
        _ => Err(broken("chunks are packed in a way that is not known.")),
    }
}

/// Ids and lengths of the chunks of a stream, 36 bytes each.
pub(crate) fn encode_stream(stream: &StreamRef) -> Vec<u8> {
    stream.chunks.iter().flat_map(|(id, length)| id.0.into_iter().chain(length.to_le_bytes())).collect()
}

/// # Errors
/// It is not a list of chunks.
pub(crate) fn decode_stream(bytes: &[u8]) -> Result<StreamRef> {
    if !bytes.len().is_multiple_of(36) {
        return Err(broken("a list of chunks is cut short."));
    }
    let chunk = |bytes: &[u8]| {
        let mut id = [0; 32];
        id.copy_from_slice(&bytes[..32]);
        (ChunkId(id), u32::from_le_bytes([bytes[32], bytes[33], bytes[34], bytes[35]]))
    };
    Ok(StreamRef { chunks: bytes.chunks_exact(36).map(chunk).collect() })
}

/// Bytes as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |n: u8| char::from(DIGITS[usize::from(n)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// # Errors
/// It is not hex.
pub(crate) fn unhex(text: &str) -> Result<Vec<u8>> {
    let wrong = || broken("bytes are not written in hex.");
    let digit = |c: u8| char::from(c).to_digit(16).map(|n| n as u8).ok_or_else(wrong);
    if !text.len().is_multiple_of(2) {
        return Err(wrong());
    }
    text.as_bytes().chunks_exact(2).map(|two| Ok(digit(two[0])? << 4 | digit(two[1])?)).collect()
}

fn put_name(bytes: &mut Vec<u8>, name: &Fingerprint) {
    bytes.extend(name.id.0);
    bytes.extend(name.tag.0);
}

fn name_of(bytes: &[u8]) -> Fingerprint {
    let (mut id, mut tag) = ([0; 32], [0; 16]);
    id.copy_from_slice(&bytes[..32]);
    tag.copy_from_slice(&bytes[32..NAME]);
    Fingerprint { id: ChunkId(id), tag: Tag(tag) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name() -> impl Strategy<Value = Fingerprint> {
        (any::<[u8; 32]>(), any::<[u8; 16]>()).prop_map(|(id, tag)| Fingerprint { id: ChunkId(id), tag: Tag(tag) })
    }

    proptest! {
        #[test]
        fn names_and_answers_come_back(names in prop::collection::vec(name(), 0..40), yes in prop::collection::vec(any::<bool>(), 0..40)) {
            prop_assert_eq!(decode_have(&encode_have(&names), 40).unwrap(), names);
            prop_assert_eq!(decode_yes(&encode_yes(&yes), yes.len()).unwrap(), yes);
        }

        #[test]
        fn segments_come_back(lengths in prop::collection::vec(any::<u32>(), 0..9), named in any::<bool>(), bytes in prop::collection::vec(any::<u8>(), 0..99)) {
            let names = if named { lengths.iter().map(|n| Fingerprint::of(None, &n.to_le_bytes())).collect() } else { Vec::new() };
            let segment = Segment { lengths, names, kind: SegmentKind::Zstd, bytes };
            prop_assert_eq!(decode_segment(&encode_segment(&segment)).unwrap(), segment);
        }

        #[test]
        fn batches_come_back(places in prop::collection::vec(any::<(u64, u32, u32)>(), 0..9), bytes in prop::collection::vec(any::<u8>(), 0..99)) {
            let pieces = places.into_iter().map(|(position, start, length)| Piece { position, start, length }).collect();
            let batch = Batch { kind: SegmentKind::Plain, bytes, pieces };
            prop_assert_eq!(decode_batch(&encode_batch(&batch)).unwrap(), batch);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            // Whatever they are, nothing panics and nothing large is made of them.
            let (_, _, _) = (decode_segment(&bytes), decode_batch(&bytes), decode_stream(&bytes));
            let (_, _, _) = (decode_have(&bytes, 4), decode_ids(&bytes), decode_yes(&bytes, bytes.len()));
        }
    }

    #[test]
    fn hex_comes_back_and_nothing_else_is_taken_for_it() {
        assert_eq!(hex(&[0, 171, 255]), "00abff");
        assert_eq!(unhex("00abff").unwrap(), [0, 171, 255]);
        assert!(unhex("0").is_err() && unhex("zz").is_err() && unhex("é").is_err());
    }

    #[test]
    fn more_than_a_message_may_hold_is_refused_before_it_is_made() {
        let mut bytes = vec![1];
        bytes.extend(u32::MAX.to_le_bytes());
        assert!(decode_segment(&[&bytes[..], &[0]].concat()).is_err());
        assert!(decode_batch(&bytes).is_err());
        assert!(decode_have(&[0; 96], 1).is_err());
    }
}
