//! Ways in: the vault key, sealed once for each.

use super::sheet::{RecoverySheet, SheetError};
use super::{Aead, VaultKey, kdf};
use crate::storage::{Storage, StorageError};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroizing;

const FOLDER: &str = "keys/";
const VERSION: u32 = 1;
const LIMIT: u64 = 64 << 10;
/// Costs above these are refused: whoever can write the folder could otherwise make opening take for ever.
const HIGHEST: Cost = Cost { memory_kib: 4 << 20, passes: 64 };

/// Something that opens a vault.
#[derive(Clone)]
pub enum WayIn {
    Password(Zeroizing<String>),
    Sheet(RecoverySheet),
    /// 32 bytes that the host keeps, so that it can open the vault by itself.
    Host(Zeroizing<[u8; 32]>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WayKind {
    Password,
    Sheet,
    Host,
}

/// What trying one password costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    pub memory_kib: u32,
    pub passes: u32,
}

impl Cost {
    /// 64 MiB, three times over.
    pub const NORMAL: Cost = Cost { memory_kib: 64 << 10, passes: 3 };
}

/// A way in, without what opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    pub name: String,
    pub kind: WayKind,
}

/// Why a vault is not opened by what was given, or its ways in are not changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the {kind} does not open this vault")]
    Wrong { kind: WayKind },
    #[error("this vault has no way in by {kind}; look into {folder} for which ways there are")]
    NoWay { kind: WayKind, folder: String },
    #[error("the vault has a way in called {name} already; choose another name, or remove that one first")]
    Taken { name: String },
    #[error("the vault has no way in called {name}")]
    Unknown { name: String },
    #[error("{name} is the only way into this vault; add another one before you remove it")]
    Last { name: String },
    #[error("a way in is called by 1 to 40 small letters, digits and dashes, not {name:?}")]
    Name { name: String },
    #[error("{path} was written by a newer version; use that one")]
    Newer { path: String },
    #[error("{path} is damaged; use another way in, or restore the file from a copy")]
    Damaged {
        path: String,
        #[source]
        source: Option<serde_json::Error>,
    },
    #[error("{path} asks for more memory or time than any vault does; restore the file from a copy")]
    Cost { path: String },
    #[error(transparent)]
    Sheet(#[from] SheetError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    kind: WayKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cost: Option<Cost>,
    #[serde(with = "hex::serde")]
    salt: [u8; 16],
    #[serde(with = "hex::serde")]
    sealed: [u8; 48],
}

#[derive(Deserialize)]
struct AnyVersion {
    version: u32,
}

impl WayIn {
    pub fn password(password: impl Into<String>) -> WayIn {
        WayIn::Password(Zeroizing::new(password.into()))
    }

    pub fn host(secret: [u8; 32]) -> WayIn {
        WayIn::Host(Zeroizing::new(secret))
    }

    pub fn kind(&self) -> WayKind {
        match self {
            WayIn::Password(_) => WayKind::Password,
            WayIn::Sheet(_) => WayKind::Sheet,
            WayIn::Host(_) => WayKind::Host,
        }
    }

    /// What the vault key is sealed under. The salt is new for each slot, so the key seals once.
    fn seal_key(&self, vault: &[u8; 16], salt: &[u8; 16], cost: Option<Cost>) -> Option<Aead> {
        let secret = match self {
            WayIn::Password(password) => {
                let cost = cost?;
                let params = Params::new(cost.memory_kib, cost.passes, 1, Some(32)).ok()?;
                let mut out = Zeroizing::new([0; 32]);
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                argon2.hash_password_into(password.as_bytes(), salt, &mut out[..]).ok()?;
                out
            }
            WayIn::Sheet(sheet) => sheet.0.clone(),
            WayIn::Host(secret) => secret.clone(),
        };
        let context = format!("slot {}", self.kind());
        Some(Aead::new(&Zeroizing::new(kdf(&context, &[&secret[..], vault, salt]))))
    }
}

/// A secret is never printed.
impl fmt::Debug for WayIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WayIn({})", self.kind())
    }
}

impl fmt::Display for WayKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WayKind::Password => "password",
            WayKind::Sheet => "recovery sheet",
            WayKind::Host => "secret of this host",
        })
    }
}

/// `cost` counts for passwords only.
pub(crate) fn add_slot(
    storage: &dyn Storage,
    vault: &[u8; 16],
    name: &str,
    key: &VaultKey,
    way: &WayIn,
    cost: Cost,
) -> Result<(), KeyError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 40 || !name.chars().all(plain) {
        return Err(KeyError::Name { name: name.to_owned() });
    }
    let path = path(name);
    let cost = (way.kind() == WayKind::Password).then_some(cost);
    let salt = rand::random();
    let too_much = || KeyError::Cost { path: storage.path(&path) };
    let mut sealed = Zeroizing::new(key.0.to_vec());
    way.seal_key(vault, &salt, cost).ok_or_else(too_much)?.seal(0, &mut sealed);
    let sealed = sealed[..].try_into().expect("a sealed key has 48 bytes");
    let file = File { version: VERSION, kind: way.kind(), cost, salt, sealed };
    let text = serde_json::to_vec_pretty(&file).expect("a slot is plain data");
    match storage.put_new(&path, &text) {
        Err(StorageError::Exists { .. }) => Err(KeyError::Taken { name: name.to_owned() }),
        result => Ok(result?),
    }
}

pub(crate) fn remove_slot(storage: &dyn Storage, name: &str) -> Result<(), KeyError> {
    let slots = storage.list(FOLDER)?;
    let path = path(name);
    if !slots.contains(&path) {
        return Err(KeyError::Unknown { name: name.to_owned() });
    }
    if slots.len() == 1 {
        return Err(KeyError::Last { name: name.to_owned() });
    }
    Ok(storage.delete(&[path])?)
}

pub(crate) fn list_slots(storage: &dyn Storage) -> Result<Vec<Slot>, KeyError> {
    let slots = storage.list(FOLDER)?.into_iter().filter_map(|path| {
        let name = path.strip_prefix(FOLDER)?.strip_suffix(".json")?.to_owned();
        Some(read(storage, &path).map(|file| Slot { name, kind: file.kind }))
    });
    slots.collect()
}

/// The vault key, if this way in opens any slot. A slot that cannot be read stands in nobody's way who has another one.
pub(crate) fn open_slots(storage: &dyn Storage, vault: &[u8; 16], way: &WayIn) -> Result<VaultKey, KeyError> {
    let kind = way.kind();
    let mut result = KeyError::NoWay { kind, folder: storage.path(FOLDER) };
    for path in storage.list(FOLDER)? {
        let file = match read(storage, &path) {
            Ok(file) if file.kind == kind => file,
            Ok(_) => continue,
            Err(error) => {
                if matches!(result, KeyError::NoWay { .. }) {
                    result = error;
                }
                continue;
            }
        };
        let Some(aead) = way.seal_key(vault, &file.salt, file.cost) else {
            result = KeyError::Damaged { path: storage.path(&path), source: None };
            continue;
        };
        let mut bytes = Zeroizing::new(file.sealed.to_vec());
        if aead.open(0, &mut bytes).is_ok()
            && let Ok(key) = bytes[..].try_into()
        {
            return Ok(VaultKey(Zeroizing::new(key)));
        }
        result = KeyError::Wrong { kind };
    }
    Err(result)
}

/// Whether a slot can be read at all: no key is needed.
pub(crate) fn verify_slot(storage: &dyn Storage, path: &str) -> Result<(), KeyError> {
    read(storage, path).map(drop)
}

fn read(storage: &dyn Storage, path: &str) -> Result<File, KeyError> {
    let text = storage.read(path, LIMIT)?;
    let shown = storage.path(path);
    let damaged = |source| KeyError::Damaged { path: shown.clone(), source: Some(source) };
    let AnyVersion { version } = serde_json::from_slice(&text).map_err(damaged)?;
    if version > VERSION {
        return Err(KeyError::Newer { path: shown });
    }
    let file: File = serde_json::from_slice(&text).map_err(damaged)?;
    if file.cost.is_some_and(|cost| cost.memory_kib > HIGHEST.memory_kib || cost.passes > HIGHEST.passes) {
        return Err(KeyError::Cost { path: shown });
    }
    Ok(file)
}

fn path(name: &str) -> String {
    format!("{FOLDER}{name}.json")
}
