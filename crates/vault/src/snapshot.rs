//! The record of a snapshot: what is committed, and all that is needed to read it.

use crate::keys::VaultKey;
use crate::storage::{Storage, StorageError};
use crate::varint::{self, Cursor, Malformed};
use crate::{ChunkId, Counts, SnapshotId, StreamRef, stamp};
use std::fmt;

const MAGIC: &[u8; 8] = b"BWSNAP\0\x01";
const KIND: &str = "snapshot";
const FOLDER: &str = "snapshots/";
const FORMAT: u8 = 1;
/// Longest record.
pub(crate) const LIMIT: u64 = 256 << 20;
/// Bytes that a chunk of a stream takes in it at most.
pub(crate) const OF_A_CHUNK: u64 = 40;
const HEAD_LIMIT: usize = 4096;
/// Longest words of a client.
pub(crate) const DESCRIPTION_LIMIT: usize = 16 << 20;
/// What a list reads of each snapshot; almost always more than the head.
const GLANCE: usize = 1024;

/// How the chunks of a domain are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The keeper sees plain chunks and checks every name.
    Managed,
    /// Chunks are sealed under a key that the keeper never sees, and names are taken as given.
    Private,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Managed => "managed",
            Mode::Private => "private",
        })
    }
}

/// What a list says of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    pub id: SnapshotId,
    /// Who backed up.
    pub source: String,
    pub domain: String,
    pub mode: Mode,
    /// When its session began, in milliseconds since 1970 by the keeper's clock.
    pub began_ms: i64,
    /// When it was committed.
    pub time_ms: i64,
    /// Something could not be read.
    pub incomplete: bool,
    pub counts: Counts,
    /// Bytes that it added to the vault, as stored.
    pub stored_bytes: u64,
}

/// A snapshot as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub summary: Summary,
    pub names: StreamRef,
    pub refs: StreamRef,
    /// Where the last page of the root begins, in bytes of `names`.
    pub root: u64,
    /// Which id of `refs` is the first of that page.
    pub root_refs: u64,
    /// The client's own words; sealed by the client in a private domain.
    pub description: Vec<u8>,
}

/// Why the record of a snapshot cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordFault {
    #[error("it is no such record, or was cut off")]
    Format,
    #[error("its bytes are not those that were written")]
    Hash,
    #[error("it cannot be opened: damaged, or written for another vault")]
    Sealed,
    #[error("it holds what this version does not know (format {format}); use a newer one")]
    Newer { format: u8 },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<Malformed> for RecordFault {
    fn from(_: Malformed) -> RecordFault {
        RecordFault::Format
    }
}

pub(crate) fn path(id: SnapshotId) -> String {
    format!("{FOLDER}{id}.snap")
}

/// The snapshot that an object of this name is.
pub(crate) fn id_of_path(name: &str) -> Option<SnapshotId> {
    name.strip_prefix(FOLDER)?.strip_suffix(".snap")?.parse().ok()
}

/// Ids of all snapshots, from the oldest to the newest.
pub(crate) fn list(storage: &dyn Storage) -> Result<Vec<SnapshotId>, StorageError> {
    let names = storage.list(FOLDER)?;
    Ok(names.iter().filter_map(|name| id_of_path(name)).collect())
}

pub(crate) fn write(storage: &dyn Storage, key: &VaultKey, snapshot: &Snapshot) -> Result<(), StorageError> {
    let id = snapshot.summary.id;
    let aead = key.record(KIND, &id.0);
    let mut head = encode_head(&snapshot.summary);
    let mut body = encode_body(snapshot);
    aead.seal(0, &mut head);
    aead.seal(1, &mut body);
    let mut bytes = Vec::with_capacity(64 + head.len() + body.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&id.0);
    bytes.extend_from_slice(&(head.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&head);
    bytes.extend_from_slice(&body);
    let hash = blake3::hash(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    storage.put_new(&path(id), &bytes)
}

pub(crate) fn read(storage: &dyn Storage, key: &VaultKey, id: SnapshotId) -> Result<Snapshot, RecordFault> {
    let bytes = storage.read(&path(id), LIMIT)?;
    let (head, body) = check(&bytes, id)?;
    let aead = key.record(KIND, &id.0);
    let (mut head, mut body) = (head.to_vec(), body.to_vec());
    aead.open(0, &mut head).map_err(|_| RecordFault::Sealed)?;
    aead.open(1, &mut body).map_err(|_| RecordFault::Sealed)?;
    decode_body(decode_head(&head, id)?, &body)
}

/// What stands in the head alone.
pub(crate) fn read_summary(storage: &dyn Storage, key: &VaultKey, id: SnapshotId) -> Result<Summary, RecordFault> {
    let object = storage.open(&path(id))?;
    let length = object.length()?;
    let mut bytes = vec![0; GLANCE.min(usize::try_from(length).unwrap_or(GLANCE))];
    object.read_at(0, &mut bytes)?;
    let (size, _) = prefix(&bytes, id)?;
    let end = 28 + size;
    if end as u64 > length {
        return Err(RecordFault::Format);
    }
    if bytes.len() < end {
        bytes.resize(end, 0);
        object.read_at(0, &mut bytes)?;
    }
    let mut head = bytes[28..end].to_vec();
    key.record(KIND, &id.0).open(0, &mut head).map_err(|_| RecordFault::Sealed)?;
    decode_head(&head, id)
}

/// Whether the bytes of a record are those that were written: no key is needed.
pub(crate) fn verify(storage: &dyn Storage, id: SnapshotId) -> Result<(), RecordFault> {
    check(&storage.read(&path(id), LIMIT)?, id).map(|_| ())
}

/// Length of the sealed head, and what follows.
fn prefix(bytes: &[u8], id: SnapshotId) -> Result<(usize, &[u8]), RecordFault> {
    let mut cursor = Cursor::new(bytes);
    if cursor.array()? != *MAGIC || cursor.array()? != id.0 {
        return Err(RecordFault::Format);
    }
    let size = u32::from_le_bytes(cursor.array()?) as usize;
    if size > HEAD_LIMIT {
        return Err(RecordFault::Format);
    }
    Ok((size, cursor.take(cursor.remaining())?))
}

fn check(bytes: &[u8], id: SnapshotId) -> Result<(&[u8], &[u8]), RecordFault> {
    let (bytes, hash) = bytes.split_last_chunk::<32>().ok_or(RecordFault::Format)?;
    let (size, rest) = prefix(bytes, id)?;
    if blake3::hash(bytes) != *hash {
        return Err(RecordFault::Hash);
    }
    rest.split_at_checked(size).ok_or(RecordFault::Format)
}

fn encode_head(summary: &Summary) -> Vec<u8> {
    let mut out = vec![FORMAT];
    varint::put_bytes(&mut out, summary.source.as_bytes());
    varint::put_bytes(&mut out, summary.domain.as_bytes());
    out.push(summary.mode as u8);
    varint::put_signed(&mut out, summary.began_ms);
    varint::put_signed(&mut out, summary.time_ms);
    out.push(u8::from(summary.incomplete));
    let counts = &summary.counts;
    for number in [counts.files, counts.directories, counts.logical_bytes, counts.files_read, counts.problems] {
        varint::put(&mut out, number);
    }
    varint::put(&mut out, summary.stored_bytes);
    out
}

fn decode_head(bytes: &[u8], id: SnapshotId) -> Result<Summary, RecordFault> {
    let mut cursor = Cursor::new(bytes);
    match cursor.byte()? {
        FORMAT => {}
        format => return Err(RecordFault::Newer { format }),
    }
    let mut text = || -> Result<String, RecordFault> {
        Ok(std::str::from_utf8(cursor.bytes()?).map_err(|_| Malformed)?.to_owned())
    };
    let (source, domain) = (text()?, text()?);
    let mode = decode_mode(cursor.byte()?)?;
    let (began_ms, time_ms) = (cursor.signed()?, cursor.signed()?);
    let incomplete = match cursor.byte()? {
        0 => false,
        1 => true,
        _ => return Err(RecordFault::Format),
    };
    let mut number = || cursor.number();
    let counts = Counts {
        files: number()?,
        directories: number()?,
        logical_bytes: number()?,
        files_read: number()?,
        problems: number()?,
    };
    let stored_bytes = number()?;
    if cursor.remaining() > 0 {
        return Err(RecordFault::Format);
    }
    Ok(Summary { id, source, domain, mode, began_ms, time_ms, incomplete, counts, stored_bytes })
}

pub(crate) fn decode_mode(byte: u8) -> Result<Mode, Malformed> {
    match byte {
        0 => Ok(Mode::Managed),
        1 => Ok(Mode::Private),
        _ => Err(Malformed),
    }
}

fn encode_body(snapshot: &Snapshot) -> Vec<u8> {
    let chunks = snapshot.names.chunks.len() + snapshot.refs.chunks.len();
    let mut out = Vec::with_capacity(chunks * 36 + snapshot.description.len() + 64);
    for stream in [&snapshot.names, &snapshot.refs] {
        varint::put(&mut out, stream.chunks.len() as u64);
        for (id, length) in &stream.chunks {
            out.extend_from_slice(&id.0);
            varint::put(&mut out, u64::from(*length));
        }
    }
    varint::put(&mut out, snapshot.root);
    varint::put(&mut out, snapshot.root_refs);
    varint::put_bytes(&mut out, &snapshot.description);
    out
}

fn decode_body(summary: Summary, bytes: &[u8]) -> Result<Snapshot, RecordFault> {
    let mut cursor = Cursor::new(bytes);
    let mut stream = || -> Result<StreamRef, Malformed> {
        let count = cursor.count(33)?;
        let mut chunks = Vec::with_capacity(count);
        for _ in 0..count {
            chunks.push((ChunkId(cursor.array()?), cursor.small()?));
        }
        Ok(StreamRef { chunks })
    };
    let (names, refs) = (stream()?, stream()?);
    let (root, root_refs) = (cursor.number()?, cursor.number()?);
    let description = cursor.bytes()?.to_vec();
    if cursor.remaining() > 0 {
        return Err(RecordFault::Format);
    }
    Ok(Snapshot { summary, names, refs, root, root_refs, description })
}

/// Makes ids whose order is that in which they were asked for.
pub(crate) struct Order(i64);

impl Order {
    pub(crate) fn after(ids: &[SnapshotId]) -> Order {
        Order(ids.last().map_or(0, |id| stamp::milliseconds(&id.0)))
    }

    pub(crate) fn next(&mut self, now_ms: i64) -> SnapshotId {
        self.0 = now_ms.max(self.0 + 1);
        SnapshotId(stamp::new(self.0))
    }
}

#[cfg(test)]
mod tests;
