//! Why something of a snapshot is not on the disk as it was.

use crate::files::problem::{Problem, Severity, Shown};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::fmt;
use vault::{Doubt, TreeError};

/// Something about a path that was to be restored. The path is the one in the snapshot.
pub type WriteProblem = Problem<Unwritten>;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why chunks do not arrive.
#[derive(Debug, thiserror::Error)]
pub enum ChunkError {
    /// This one is damaged or missing; others may be whole.
    #[error("a part of its content is damaged or missing in the vault")]
    Damaged(#[source] Cause),
    /// Nothing can be read any more.
    #[error("the vault cannot be read any more")]
    Lost(#[source] Cause),
}

#[derive(Debug, thiserror::Error)]
pub enum Unwritten {
    #[error("the snapshot holds nothing of this name: its parent folder can be listed to see what it holds")]
    NotInSnapshot,
    #[error("the snapshot cannot be read here{}", because(.0))]
    Tree(#[source] TreeError),
    #[error("{0}{because}", because = because(.0))]
    Content(#[source] ChunkError),
    #[error("the snapshot contradicts itself about its content")]
    Contradiction,
    #[error("{0} of this name is there and was left alone, as asked")]
    Refused(There),
    #[error("{0} is in the way: move it, or restore to another place")]
    InTheWay(There),
    #[error("the folder it belongs in was moved meanwhile")]
    Moved,
    #[error("{step} failed: {cause}")]
    Failed { step: Step, cause: Errno },
    #[error("its attribute `{}` was not set: {cause}", Shown(name))]
    Attribute { name: Vec<u8>, cause: Errno },
    #[error("its set-user-id or set-group-id bit was not set, as it belongs to somebody else than before")]
    Privilege,
    #[error("it is a copy of its own: it could not be linked to its other names ({cause})")]
    Unlinked { cause: Errno },
    #[error("{0}")]
    Doubtful(AtBackup),
    #[error("it could not be read when it was backed up: there is nothing to restore")]
    NeverRead,
    #[error("only its beginning could be read when it was backed up: {0} that is there was left alone")]
    Poorer(There),
    #[error("something of this name was there; this is now `{}` beside it", Shown(name))]
    Beside { name: Vec<u8> },
}

impl Unwritten {
    /// What it takes away from what was restored.
    pub fn severity(&self) -> Severity {
        match self {
            Unwritten::Beside { .. } => Severity::Note,
            Unwritten::Failed { step: Step::Owner | Step::Mode | Step::Times | Step::Sync, .. }
            | Unwritten::Attribute { .. }
            | Unwritten::Privilege
            | Unwritten::Unlinked { .. }
            | Unwritten::Doubtful(_) => Severity::Doubt,
            _ => Severity::Loss,
        }
    }

    /// Nothing more can be written.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Unwritten::Failed { cause: Errno::NOSPC | Errno::DQUOT | Errno::ROFS, .. })
    }
}

fn because(error: &dyn std::error::Error) -> String {
    error.source().map(|source| format!(": {source}")).unwrap_or_default()
}

/// What was being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Look,
    Make,
    Open,
    Write,
    Name,
    Remove,
    Owner,
    Mode,
    Times,
    Sync,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Look => "looking at what is there",
            Step::Make => "making it",
            Step::Open => "opening it",
            Step::Write => "writing it",
            Step::Name => "giving it its name",
            Step::Remove => "removing what was there",
            Step::Owner => "setting its owner",
            Step::Mode => "setting its permissions",
            Step::Times => "setting its time",
            Step::Sync => "waiting until it was on the disk",
        })
    }
}

/// Something that exists already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum There {
    File,
    Folder,
    Link,
    Other,
}

impl There {
    pub(super) fn of(kind: FileType) -> There {
        match kind {
            FileType::RegularFile => There::File,
            FileType::Directory => There::Folder,
            FileType::Symlink => There::Link,
            _ => There::Other,
        }
    }
}

impl fmt::Display for There {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            There::File => "a file",
            There::Folder => "a folder",
            There::Link => "a link",
            There::Other => "a device, pipe or socket",
        })
    }
}

/// What was wrong with a file already when it was backed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtBackup(pub Doubt);

impl fmt::Display for AtBackup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Doubt::Changed => "it was being changed while it was backed up: check that it is usable",
            Doubt::Unreadable => "it could not be read to its end when it was backed up: only its beginning is there",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_ends_a_restore_and_a_refused_owner_does_not() {
        let failed = |step, cause| Unwritten::Failed { step, cause };
        assert!(failed(Step::Write, Errno::NOSPC).is_full() && !failed(Step::Owner, Errno::PERM).is_full());
        assert_eq!(failed(Step::Owner, Errno::PERM).severity(), Severity::Doubt);
        assert_eq!(failed(Step::Make, Errno::PERM).severity(), Severity::Loss);
    }

    #[test]
    fn the_cause_of_damage_is_told() {
        let cause = std::io::Error::other("chunk 12 of pack 7 does not match its name");
        let what = Unwritten::Content(ChunkError::Damaged(cause.into()));
        let problem = Problem { path: b"/a".to_vec(), what };
        let shown =
            "/a: a part of its content is damaged or missing in the vault: chunk 12 of pack 7 does not match its name";
        assert_eq!(problem.to_string(), shown);
    }
}
