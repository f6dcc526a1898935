//! Random secrets as words, and the hashes that are stored in their place.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngCore;
use std::fmt;
use subtle::ConstantTimeEq;

/// 256 random bits, shown once to whom they are for and never stored.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// A fresh secret whose word begins with `prefix`.
    pub fn generate(prefix: &str) -> Secret {
        let mut bytes = [0u8; 32];
        rand::rng().fill_bytes(&mut bytes);
        Secret(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// The word itself, to be handed out.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub fn hash(&self) -> SecretHash {
        SecretHash::of(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Hash of a high-entropy secret. Fast on purpose: 128 random bits or more need no slow hash.
#[derive(Clone, Copy, Debug, Eq)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    pub fn of(secret: impl AsRef<[u8]>) -> SecretHash {
        SecretHash(blake3::derive_key("bailiwick 2026 stored secret", secret.as_ref()))
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for SecretHash {
    fn from(bytes: [u8; 32]) -> SecretHash {
        SecretHash(bytes)
    }
}

impl PartialEq for SecretHash {
    fn eq(&self, other: &SecretHash) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_do_not_print_themselves() {
        let (a, b) = (Secret::generate("bw_"), Secret::generate("bw_"));
        assert_ne!(a.reveal(), b.reveal());
        assert_eq!(a.reveal().len(), 3 + 43);
        assert!(!format!("{a:?}").contains(&a.reveal()[3..]));
        assert_eq!(a.hash(), SecretHash::of(a.reveal()));
        assert_ne!(a.hash(), b.hash());
    }
}
