//! `vault.json`: that this is a vault, which one, and what a program must know to use it.

use crate::error::VaultError;
use crate::storage::{Storage, StorageError};
use serde::{Deserialize, Serialize};

const NAME: &str = "vault.json";
const FORMAT: &str = "bailiwick-vault";
const VERSION: u32 = 1;
const LIMIT: u64 = 64 << 10;
/// What a vault is made of: an interrupted `init` leaves some of it, and nothing else may be there.
const OURS: [&str; 3] = ["keys/", "tmp/", "lock"];
const DATA: [&str; 3] = ["packs/", "snapshots/", "domains/"];

/// What a vault is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// By its one keeper.
    Write,
    /// By anybody who may read the folder, also from a disk that is mounted read-only. Nothing is written, not even a lock.
    Read,
}

#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    version: u32,
    /// A program that does not know one of these goes on.
    compatible: Vec<String>,
    /// A program that does not know one of these may read.
    read_only: Vec<String>,
    /// A program that does not know one of these does nothing.
    incompatible: Vec<String>,
    #[serde(with = "hex::serde")]
    id: [u8; 16],
}

#[derive(Deserialize)]
struct AnyHeader {
    format: String,
    version: u32,
}

/// Whether a vault may be made here.
pub(super) fn check_is_free(storage: &dyn Storage) -> Result<(), VaultError> {
    let top = storage.top()?;
    if top.iter().any(|name| name == NAME) {
        return Err(VaultError::Exists { path: storage.path("") });
    }
    if let Some(found) = top.iter().find(|name| DATA.contains(&name.as_str())) {
        // Empty folders are all that may be left of what was deleted.
        if !storage.list(found)?.is_empty() {
            return Err(VaultError::Headless { path: storage.path(NAME) });
        }
    }
    if let Some(found) = top.iter().find(|name| ![OURS, DATA].concat().contains(&name.as_str())) {
        return Err(VaultError::NotEmpty { path: storage.path(""), found: found.clone() });
    }
    // Ways into a vault that never came to be open nothing.
    Ok(storage.delete(&storage.list("keys/")?)?)
}

pub(super) fn write(storage: &dyn Storage, id: &[u8; 16]) -> Result<(), StorageError> {
    let lists = (Vec::new(), Vec::new(), Vec::new());
    let (compatible, read_only, incompatible) = lists;
    let header = Header { format: FORMAT.to_owned(), version: VERSION, compatible, read_only, incompatible, id: *id };
    storage.put_new(NAME, &serde_json::to_vec_pretty(&header).expect("a header is plain data"))
}

/// Whether something of this name may stand at the top of a vault.
pub(crate) fn is_ours(name: &str) -> bool {
    let others = ["index/", "holds/", "marks/", NAME];
    [&OURS[..], &DATA, &others].concat().contains(&name)
}

/// Whether this is a vault that this program knows.
pub(crate) fn check(storage: &dyn Storage) -> Result<(), VaultError> {
    read(storage, Access::Read).map(drop)
}

/// The id of the vault, if this program may use it so.
pub(super) fn read(storage: &dyn Storage, access: Access) -> Result<[u8; 16], VaultError> {
    let path = storage.path(NAME);
    let text = match storage.read(NAME, LIMIT) {
        Err(StorageError::NotFound { .. }) => return Err(VaultError::NoVault { path }),
        result => result?,
    };
    let wrong = |source| VaultError::Header { path: path.clone(), source: Some(source) };
    let any: AnyHeader = serde_json::from_slice(&text).map_err(wrong)?;
    if any.format != FORMAT {
        return Err(VaultError::Header { path, source: None });
    }
    if any.version > VERSION {
        return Err(VaultError::Newer { path, features: vec![format!("version {}", any.version)] });
    }
    let header: Header = serde_json::from_slice(&text).map_err(wrong)?;
    // This version knows no feature yet.
    let mut unknown = header.incompatible;
    if access == Access::Write {
        unknown.extend(header.read_only);
    }
    if unknown.is_empty() { Ok(header.id) } else { Err(VaultError::Newer { path, features: unknown }) }
}
