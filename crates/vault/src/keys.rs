//! The key of a vault, what is derived from it, and sealing with that.

mod sheet;
mod slots;

pub use sheet::{RecoverySheet, SheetError};
pub use slots::{Cost, KeyError, Slot, WayIn, WayKind};
pub(crate) use slots::{add_slot, list_slots, open_slots, remove_slot, verify_slot};

use crate::{ChunkId, DomainId, Tag};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

/// Bytes by which sealing makes things longer.
pub(crate) const SEAL: usize = 16;

/// The one secret of a vault.
#[derive(Clone)]
pub(crate) struct VaultKey(Zeroizing<[u8; 32]>);

impl VaultKey {
    pub(crate) fn generate() -> VaultKey {
        VaultKey(Zeroizing::new(rand::random()))
    }

    pub(crate) fn domain(&self, id: DomainId) -> DomainKeys {
        DomainKeys {
            ids: Zeroizing::new(kdf("ids", &[&self.0[..], &id.0])),
            data: Zeroizing::new(kdf("data", &[&self.0[..], &id.0])),
        }
    }

    /// For the record of this kind and id: used for that one only, so numbers are good nonces.
    pub(crate) fn record(&self, kind: &str, id: &[u8; 16]) -> Aead {
        let record_key = Zeroizing::new(kdf("records", &[&self.0[..]]));
        Aead::new(&Zeroizing::new(kdf(kind, &[&record_key[..], id])))
    }

    /// Shows that the keeper of this vault wrote what has this hash.
    pub(crate) fn mac(&self, hash: &[u8; 32]) -> [u8; 16] {
        let mac_key = Zeroizing::new(kdf("mac", &[&self.0[..]]));
        first(blake3::keyed_hash(&mac_key, hash).as_bytes())
    }
}

/// What a chunk is called on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key(pub [u8; 16]);

impl Key {
    /// The first half as a number. Keys are keyed hashes, so nobody can aim at one.
    pub(crate) fn short(&self) -> u64 {
        u64::from_be_bytes(first(&self.0))
    }
}

/// What a tag is called on the disk.
pub(crate) type Proof = [u8; 8];

/// The keys of one domain.
pub(crate) struct DomainKeys {
    ids: Zeroizing<[u8; 32]>,
    data: Zeroizing<[u8; 32]>,
}

impl DomainKeys {
    pub(crate) fn key(&self, id: &ChunkId) -> Key {
        Key(first(blake3::keyed_hash(&self.ids, &id.0).as_bytes()))
    }

    pub(crate) fn proof(&self, tag: &Tag) -> Proof {
        first(blake3::keyed_hash(&self.ids, &tag.0).as_bytes())
    }

    pub(crate) fn pack(&self, id: &[u8; 16]) -> Aead {
        Aead::new(&Zeroizing::new(kdf("pack", &[&self.data[..], id])))
    }
}

/// What was sealed cannot be opened: damaged, or sealed under another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unopened;

/// AES-256-GCM under one key. A number seals once only.
pub(crate) struct Aead(LessSafeKey);

impl Aead {
    pub(crate) fn new(key: &[u8; 32]) -> Aead {
        Aead(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("a key of AES-256 has 32 bytes")))
    }

    pub(crate) fn seal(&self, number: u64, bytes: &mut Vec<u8>) {
        let sealed = self.0.seal_in_place_append_tag(nonce(number), Aad::empty(), bytes);
        sealed.expect("what is sealed here is far below the limit of AES-GCM");
    }

    pub(crate) fn open(&self, number: u64, bytes: &mut Vec<u8>) -> Result<(), Unopened> {
        let plain = self.0.open_in_place(nonce(number), Aad::empty(), bytes).map_err(|_| Unopened)?;
        let length = plain.len();
        bytes.truncate(length);
        Ok(())
    }
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

fn kdf(context: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(&format!("bailiwick vault 1 {context}"));
    for part in parts {
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    *bytes.first_chunk().expect("hashes are longer than their names")
}

#[cfg(test)]
mod tests;
