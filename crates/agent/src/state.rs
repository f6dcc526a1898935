//! The agent's directory: its key, what enrolment gave it, and a lock against a second agent.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use identity::{AgentIdentity, DeviceKey};
use rustix::fs::{FlockOperation, flock};
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The enrolment before this one.
pub const OLD_ENROLMENT: &str = "enrolment.old.json";

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error(
        "{} cannot be used: {source}. Make room on its disk or make it writable for this account, or give the agent another directory with --state",
        path.display()
    )]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "another agent already runs with {}; end it first, or give this one a directory of its own with --state",
        path.display()
    )]
    Locked { path: PathBuf },
    #[error(
        "{} may be read by others. Its secret may be known: take the machine out of the fleet and enrol it anew, or close the file with: chmod 600 {}",
        path.display(), path.display()
    )]
    Exposed { path: PathBuf },
    #[error("{} is damaged; move the directory away and enrol the machine with a new join token", path.display())]
    Damaged { path: PathBuf },
    #[error(transparent)]
    Key(#[from] identity::DeviceKeyError),
}

/// What the agent knows of its site. Written whole, with every change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    pub machine: Uuid,
    pub site: Uuid,
    /// Certificate of the site's authority (DER in base64).
    pub authority: String,
    /// The machine's certificate (DER in base64).
    pub certificate: String,
    /// `HOST:PORT` of the agents' port, in the order they are tried.
    pub addresses: Vec<String>,
    /// blake3 of the join token it came from, so that the same one says nothing new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl Enrolment {
    pub fn authority(&self) -> Option<CertificateDer<'static>> {
        STANDARD.decode(&self.authority).ok().map(CertificateDer::from)
    }

    pub fn certificate(&self) -> Option<CertificateDer<'static>> {
        STANDARD.decode(&self.certificate).ok().map(CertificateDer::from)
    }

    /// What the machine's certificate says, if it is this machine's.
    pub fn identity(&self) -> Option<AgentIdentity> {
        let identity = AgentIdentity::from_der(&self.certificate()?, self.site).ok()?;
        (identity.machine == self.machine).then_some(identity)
    }
}

/// The directory, held by this process alone.
pub struct State {
    dir: PathBuf,
    _lock: File,
}

impl State {
    /// Opens the directory or makes it.
    pub fn open(dir: &Path) -> Result<State, StateError> {
        let failed = |source| StateError::Io { path: dir.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(failed)?;
        let dir = dir.canonicalize().map_err(failed)?;
        let path = dir.join("lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|source| StateError::Io { path: path.clone(), source })?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| StateError::Locked { path: dir.clone() })?;
        // For people and scripts; nothing depends on it.
        let _ = fs::write(dir.join("agent.pid"), std::process::id().to_string());
        Ok(State { dir, _lock: lock })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The device key; made at the first call and kept for ever.
    pub fn device_key(&self) -> Result<DeviceKey, StateError> {
        let path = self.dir.join("device.key");
        if let Some(pem) = read_private(&path)? {
            return Ok(DeviceKey::from_pem(&pem)?);
        }
        let key = DeviceKey::generate()?;
        write_private(&path, key.to_pem().as_bytes())?;
        Ok(key)
    }

    pub fn enrolment(&self) -> Result<Option<Enrolment>, StateError> {
        let path = self.dir.join("enrolment.json");
        let Some(text) = read_private(&path)? else { return Ok(None) };
        let enrolment: Option<Enrolment> = serde_json::from_str(&text).ok();
        enrolment
            .filter(|enrolment| enrolment.identity().is_some() && enrolment.authority().is_some())
            .map(Some)
            .ok_or(StateError::Damaged { path })
    }

    /// Keeps a copy of an enrolment that is about to be replaced.
    pub fn keep_old(&self, enrolment: &Enrolment) -> Result<(), StateError> {
        let text = serde_json::to_vec_pretty(enrolment).expect("an enrolment is plain data");
        write_private(&self.dir.join(OLD_ENROLMENT), &text)
    }

    /// What one site had done is none of another's business.
    pub fn put_journal_aside(&self) -> Result<(), StateError> {
        let path = self.dir.join("journal.redb");
        match fs::rename(&path, self.dir.join("journal.old.redb")) {
            Err(source) if source.kind() != ErrorKind::NotFound => Err(StateError::Io { path, source }),
            _ => Ok(()),
        }
    }

    pub fn set_enrolment(&self, enrolment: &Enrolment) -> Result<(), StateError> {
        let text = serde_json::to_vec_pretty(enrolment).expect("an enrolment is plain data");
        write_private(&self.dir.join("enrolment.json"), &text)
    }
}

fn read_private(path: &Path) -> Result<Option<String>, StateError> {
    let failed = |source| StateError::Io { path: path.to_owned(), source };
    let mode = match fs::metadata(path) {
        Ok(metadata) => metadata.permissions().mode(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if mode & 0o077 != 0 {
        return Err(StateError::Exposed { path: path.to_owned() });
    }
    fs::read_to_string(path).map(Some).map_err(failed)
}

/// Writes a private file whole or not at all, durably.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    let failed = |source| StateError::Io { path: path.to_owned(), source };
    let fresh = path.with_extension("new");
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&fresh, path))
        .and_then(|()| path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all()));
    written.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stays_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        let first = state.device_key().unwrap().to_pem();
        assert_eq!(state.device_key().unwrap().to_pem(), first);
        let path = dir.path().join("device.key");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(state.device_key(), Err(StateError::Exposed { .. })));
    }

    #[test]
    fn a_directory_that_cannot_be_used_is_named_with_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = State::open(&file.join("state")).err().unwrap().to_string();
        assert!(error.contains("file/state") && error.contains("Make room") && error.contains("--state"), "{error}");
    }

    #[test]
    fn a_directory_belongs_to_one_agent() {
        let dir = tempfile::tempdir().unwrap();
        let held = State::open(dir.path()).unwrap();
        assert!(matches!(State::open(dir.path()), Err(StateError::Locked { .. })));
        drop(held);
        State::open(dir.path()).unwrap();
    }
}
