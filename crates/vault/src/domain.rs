//! Domains: what de-duplicates together, and the pack of each that is open.

use crate::keys::{DomainKeys, VaultKey};
use crate::pack::PackWriter;
use crate::snapshot::{Mode, RecordFault, decode_mode};
use crate::storage::Storage;
use crate::varint::{self, Cursor, Malformed};
use crate::{DomainId, stamp};
use parking_lot::Mutex;

const MAGIC: &[u8; 8] = b"BWDOMN\0\x01";
const KIND: &str = "domain";
const FOLDER: &str = "domains/";
const LIMIT: u64 = 4096;

pub(crate) struct Domain {
    pub id: DomainId,
    pub name: String,
    pub mode: Mode,
    pub keys: DomainKeys,
    /// The pack that all sessions of the domain write to.
    pub writer: Mutex<Option<PackWriter>>,
}

impl Domain {
    pub(crate) fn new(name: String, mode: Mode, key: &VaultKey) -> Domain {
        let id = DomainId::of(&name);
        Domain { id, name, mode, keys: key.domain(id), writer: Mutex::default() }
    }
}

pub(crate) fn path(id: DomainId) -> String {
    format!("{FOLDER}{id}.domain")
}

pub(crate) fn list(storage: &dyn Storage) -> Result<Vec<DomainId>, crate::storage::StorageError> {
    let names = storage.list(FOLDER)?;
    let ids = names.iter().filter_map(|name| stamp::parse(name.strip_prefix(FOLDER)?.strip_suffix(".domain")?));
    Ok(ids.map(DomainId).collect())
}

/// Makes the record of a new domain, once and for ever.
pub(crate) fn write(
    storage: &dyn Storage,
    key: &VaultKey,
    name: &str,
    mode: Mode,
) -> Result<Domain, crate::storage::StorageError> {
    let domain = Domain::new(name.to_owned(), mode, key);
    let mut body = vec![mode as u8];
    varint::put_bytes(&mut body, name.as_bytes());
    key.record(KIND, &domain.id.0).seal(0, &mut body);
    let mut bytes = [&MAGIC[..], &domain.id.0, &body].concat();
    let hash = blake3::hash(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    storage.put_new(&path(domain.id), &bytes)?;
    Ok(domain)
}

pub(crate) fn read(storage: &dyn Storage, key: &VaultKey, id: DomainId) -> Result<Domain, RecordFault> {
    let mut body = check(&storage.read(&path(id), LIMIT)?, id)?;
    key.record(KIND, &id.0).open(0, &mut body).map_err(|_| RecordFault::Sealed)?;
    let mut cursor = Cursor::new(&body);
    let mode = decode_mode(cursor.byte()?)?;
    let name = std::str::from_utf8(cursor.bytes()?).map_err(|_| Malformed)?.to_owned();
    if cursor.remaining() > 0 || DomainId::of(&name) != id {
        return Err(RecordFault::Format);
    }
    Ok(Domain::new(name, mode, key))
}

/// Whether the bytes of a record are those that were written: no key is needed.
pub(crate) fn verify(storage: &dyn Storage, id: DomainId) -> Result<(), RecordFault> {
    check(&storage.read(&path(id), LIMIT)?, id).map(|_| ())
}

fn check(bytes: &[u8], id: DomainId) -> Result<Vec<u8>, RecordFault> {
    let (bytes, hash) = bytes.split_last_chunk::<32>().ok_or(RecordFault::Format)?;
    let mut cursor = Cursor::new(bytes);
    if cursor.array()? != *MAGIC || cursor.array()? != id.0 {
        return Err(RecordFault::Format);
    }
    if blake3::hash(bytes) != *hash {
        return Err(RecordFault::Hash);
    }
    Ok(cursor.take(cursor.remaining())?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStorage;

    #[test]
    fn a_record_comes_back_and_every_flipped_bit_is_found() {
        let (storage, key) = (MemoryStorage::default(), VaultKey::generate());
        let id = write(&storage, &key, "branch office", Mode::Private).unwrap().id;
        assert!(write(&storage, &key, "branch office", Mode::Managed).is_err());
        let found = read(&storage, &key, id).unwrap();
        assert_eq!((found.name.as_str(), found.mode), ("branch office", Mode::Private));
        assert_eq!(list(&storage).unwrap(), [id]);
        assert!(matches!(read(&storage, &VaultKey::generate(), id), Err(RecordFault::Sealed)));
        for bit in 0..storage.bytes("domains/") as usize * 8 {
            storage.alter(&path(id), |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
            assert!(verify(&storage, id).is_err() && read(&storage, &key, id).is_err(), "bit {bit}");
            storage.alter(&path(id), |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        }
        verify(&storage, id).unwrap();
    }
}
