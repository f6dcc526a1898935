//! How far the audit chain had come, signed by the site's authority and kept outside the database: a chain that was cut
//! short or written anew since does not hold against it.

use crate::audit::{Hash, Head};
use crate::ca::SiteCa;
use crate::{CaError, tls};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::{CertificateDer, alg_id};
use serde::{Deserialize, Serialize};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Begins what is signed, so that the signature stands for nothing else.
const CONTEXT: &str = "bailiwick 2026 audit checkpoint";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    seq: u64,
    hash: String,
    signature: String,
}

/// A note that this site's authority did not sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is damaged, or was not signed by this site's authority")]
pub struct NotSigned;

/// The text of the file that remembers `head`.
///
/// # Errors
/// The authority cannot sign.
pub fn write(ca: &SiteCa, head: Head) -> Result<String, CaError> {
    let signature = STANDARD.encode(ca.sign(&message(head.seq, &head.hash.to_string()))?);
    let note = Note { seq: head.seq, hash: head.hash.to_string(), signature };
    Ok(serde_json::to_string(&note).expect("a note is plain data") + "\n")
}

/// The head that such a text remembers.
///
/// # Errors
/// [`NotSigned`].
pub fn read(text: &str, authority: &CertificateDer<'_>) -> Result<Head, NotSigned> {
    let note: Note = serde_json::from_str(text).map_err(|_| NotSigned)?;
    let signature = STANDARD.decode(&note.signature).map_err(|_| NotSigned)?;
    let (_, certificate) = X509Certificate::from_der(authority).map_err(|_| NotSigned)?;
    let key = &certificate.public_key().subject_public_key.data;
    let provider = tls::provider();
    let fitting = provider.signature_verification_algorithms.all.iter().find(|algorithm| {
        algorithm.public_key_alg_id() == alg_id::ECDSA_P256 && algorithm.signature_alg_id() == alg_id::ECDSA_SHA256
    });
    let verified = fitting.map(|algorithm| algorithm.verify_signature(key, &message(note.seq, &note.hash), &signature));
    match verified {
        Some(Ok(())) => Ok(Head { seq: note.seq, hash: note.hash.parse::<Hash>().map_err(|_| NotSigned)? }),
        _ => Err(NotSigned),
    }
}

fn message(seq: u64, hash: &str) -> Vec<u8> {
    format!("{CONTEXT}\n{seq}\n{hash}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    #[test]
    fn only_what_the_sites_own_authority_signed_is_believed() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let open =
            |dir: &tempfile::TempDir| SiteCa::open(&dir.path().join("authority"), Timestamp::UNIX_EPOCH).unwrap();
        let (ca, foreign) = (open(&dir), open(&other));
        let head = Head { seq: 12, hash: Hash([7; 32]) };
        let text = write(&ca, head).unwrap();
        assert_eq!(read(&text, ca.certificate()), Ok(head));
        assert_eq!(read(&text, foreign.certificate()), Err(NotSigned));
        assert_eq!(read(&text.replace("12", "11"), ca.certificate()), Err(NotSigned));
        assert_eq!(read(&text.replace("07", "08"), ca.certificate()), Err(NotSigned));
        assert_eq!(read("", ca.certificate()), Err(NotSigned));
        let certificate = crate::ca::read_certificate(&dir.path().join("authority")).unwrap();
        assert_eq!(certificate.as_ref(), ca.certificate().as_ref());
    }
}
