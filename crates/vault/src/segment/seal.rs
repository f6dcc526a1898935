//! Sealing for private domains: what the keeper stores without being able to look in.
//!
//! A sealed segment is `run 16`, `number u64`, then under AES-256-GCM `kind u8` and the bytes, then its tag of 16. The key is
//! derived from the domain's secret and the random id of the run, the nonce is the number; so no key sees a nonce twice.

use super::UnknownKind;
use crate::SegmentKind;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

const RUN: usize = 16;
const NUMBER: usize = 8;
const KIND: usize = 1;
/// Bytes before the payload.
const HEAD: usize = RUN + NUMBER + KIND;

/// What the members of a private domain share, and the keeper never sees.
#[derive(Clone)]
pub struct DomainSecret(pub [u8; 32]);

/// A secret is never printed.
impl fmt::Debug for DomainSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DomainSecret(…)")
    }
}

impl DomainSecret {
    fn key(&self, run: &[u8; RUN]) -> LessSafeKey {
        let mut hasher = blake3::Hasher::new_derive_key("bailiwick vault 1 sealed");
        hasher.update(&self.0);
        hasher.update(run);
        let key = UnboundKey::new(&AES_256_GCM, hasher.finalize().as_bytes());
        LessSafeKey::new(key.expect("a key of AES-256 has 32 bytes"))
    }
}

/// Why sealed bytes cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("it is sealed under another secret, or damaged")]
    Refused,
    #[error("it is too short to be sealed")]
    Short,
    #[error(transparent)]
    Kind(#[from] UnknownKind),
}

/// Seals what one run sends. Any number of threads may use it.
pub struct Sealer {
    run: [u8; RUN],
    key: LessSafeKey,
    next: AtomicU64,
}

impl Sealer {
    /// `run` is random, and never used again with this secret.
    pub fn new(secret: &DomainSecret, run: [u8; 16]) -> Sealer {
        Sealer { run, key: secret.key(&run), next: AtomicU64::new(0) }
    }

    pub fn seal(&self, kind: SegmentKind, plain: &[u8]) -> Vec<u8> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut out = Vec::with_capacity(HEAD + plain.len() + AES_256_GCM.tag_len());
        out.extend_from_slice(&self.run);
        out.extend_from_slice(&number.to_le_bytes());
        out.push(kind as u8);
        out.extend_from_slice(plain);
        let secret = &mut out[RUN + NUMBER..];
        let tag = self.key.seal_in_place_separate_tag(nonce(number), Aad::empty(), secret);
        out.extend_from_slice(tag.expect("segments are far below the limit of AES-GCM").as_ref());
        out
    }
}

/// Opens what runs of one domain sealed.
pub struct Opener {
    secret: DomainSecret,
    last: Option<([u8; RUN], LessSafeKey)>,
}

impl Opener {
    pub fn new(secret: DomainSecret) -> Opener {
        Opener { secret, last: None }
    }

    /// What was sealed and of which kind it is.
    ///
    /// # Errors
    /// Another secret, damage, or a kind that this version does not know.
    pub fn open(&mut self, sealed: &[u8]) -> Result<(SegmentKind, Vec<u8>), OpenError> {
        let (run, rest) = sealed.split_first_chunk::<RUN>().ok_or(OpenError::Short)?;
        let (number, rest) = rest.split_first_chunk::<NUMBER>().ok_or(OpenError::Short)?;
        if self.last.as_ref().is_none_or(|(last, _)| last != run) {
            self.last = Some((*run, self.secret.key(run)));
        }
        let (_, key) = self.last.as_ref().expect("it was just set");
        let mut bytes = rest.to_vec();
        let nonce = nonce(u64::from_le_bytes(*number));
        let plain = key.open_in_place(nonce, Aad::empty(), &mut bytes).map_err(|_| OpenError::Refused)?;
        let (length, kind) = (plain.len(), plain.first().copied().ok_or(OpenError::Short)?);
        bytes.truncate(length);
        bytes.drain(..KIND);
        Ok((SegmentKind::try_from(kind)?, bytes))
    }
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[..NUMBER].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}
