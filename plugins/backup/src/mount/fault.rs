//! What can go wrong while somebody looks: what the kernel is told, and what is said where the command was started.

use crate::files::Shown;
use crate::keeper::{Said, said};
use fuser::Errno;
use parking_lot::Mutex;
use sdk::schema::{Code, Problem};
use sdk::tokio::sync::mpsc;
use std::collections::HashSet;
use vault::{TreeError, VaultError};

/// Complaints that are made one by one; what comes beyond is the same again, or of a disk that is gone.
const MOST: usize = 1000;

#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// Not worth a word: programs ask for what is not there all the time.
    #[error("it is not there")]
    Absent,
    #[error("it is no directory")]
    NoDirectory,
    #[error("it is no symbolic link")]
    NoLink,
    #[error("it is larger than what can be shown; restore it instead")]
    TooLarge,
    #[error("too many snapshots were looked into; end this mount and begin another")]
    TooMany,
    #[error("its snapshot was removed from the vault")]
    Removed,
    #[error("its record is damaged; verify the vault for what it affects")]
    Record,
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl Fault {
    pub(super) fn errno(&self) -> Errno {
        match self {
            Fault::Absent => Errno::ENOENT,
            Fault::NoDirectory => Errno::ENOTDIR,
            Fault::NoLink => Errno::EINVAL,
            Fault::TooLarge => Errno::EFBIG,
            Fault::TooMany => Errno::ENFILE,
            Fault::Removed => Errno::ESTALE,
            Fault::Record | Fault::Tree(_) | Fault::Vault(_) => Errno::EIO,
        }
    }

    fn is_worth_a_word(&self) -> bool {
        !matches!(self, Fault::Absent | Fault::NoDirectory | Fault::NoLink)
    }
}

/// Tells whoever runs the command what could not be read: each thing once.
pub(super) struct Complaints {
    told: mpsc::UnboundedSender<Problem>,
    seen: Mutex<HashSet<String>>,
}

impl Complaints {
    pub(super) fn new() -> (Complaints, mpsc::UnboundedReceiver<Problem>) {
        let (told, heard) = mpsc::unbounded_channel();
        (Complaints { told, seen: Mutex::default() }, heard)
    }

    pub(super) fn make(&self, path: impl FnOnce() -> String, fault: &Fault) {
        if !fault.is_worth_a_word() {
            return;
        }
        let path = path();
        let mut seen = self.seen.lock();
        if seen.len() < MOST && seen.insert(path.clone()) {
            let Said { what, remedies } = said(fault);
            let problem = Problem::new(Code::Unavailable, format!("{} cannot be read. {what}", Shown(path.as_bytes())));
            // Nobody listens once the command has ended.
            let _ = self.told.send(if remedies.is_empty() { problem } else { problem.fix(remedies.join(" ")) });
        }
    }
}
