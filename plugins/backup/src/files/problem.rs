//! What a run could not do as it should, by path.

use super::mounts::FileSystem;
use rustix::io::Errno;
use std::fmt::{self, Write as _};
use vault::Unfit;

/// Something about one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem<W> {
    /// Absolute.
    pub path: Vec<u8>,
    pub what: W,
}

/// Something about a path that was to be read.
pub type ReadProblem = Problem<Unread>;

/// How much a problem takes away from a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As intended; said so that nobody wonders.
    Note,
    /// What is in the snapshot may not be what the machine held at any one moment.
    Doubt,
    /// Something is missing from the snapshot.
    Loss,
}

/// Why a path is not in a snapshot as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    #[error("there is nothing of this name: check the spelling of what is to be backed up")]
    Missing,
    #[error("it was gone before it could be read")]
    Vanished,
    #[error("it became something else while it was looked at")]
    Replaced,
    #[error("it cannot be looked at: {0}")]
    Hidden(#[source] Errno),
    #[error("it cannot be opened: {0}")]
    Closed(#[source] Errno),
    #[error("it cannot be read to its end: {0}")]
    Unreadable(#[source] Errno),
    #[error("its attribute `{}` cannot be read: {cause}", Shown(name))]
    Attribute { name: Vec<u8>, cause: Errno },
    #[error("the file system says of it what cannot be: {0}")]
    Unfit(#[source] Unfit),
    #[error("it changed while it was read")]
    Changed,
    #[error("it was moved while it was read; the rest of it was left out")]
    Moved,
    #[error("it is the same folder as `{}`, which it is in; it was not entered a second time", Shown(above))]
    Loop { above: Vec<u8> },
    #[error("{0} is mounted here; it was not entered")]
    NotEntered(FileSystem),
    #[error("another file system is mounted here; it was not entered, as asked")]
    OtherFileSystem,
    #[error("it holds no files: {0}")]
    NoFiles(FileSystem),
    #[error("backups are kept here; it was left out")]
    Own,
    #[error("it is a link to `{}`; both were backed up", Shown(target))]
    Link { target: Vec<u8> },
    #[error("more than 40 links lead on from it: name the place itself")]
    EndlessLink,
    #[error("attributes cannot be read without /proc: mount it")]
    NoProc,
    #[error("the list of its entries cannot be kept in the folder for temporary files: {0}")]
    NoScratch(#[source] Errno),
}

impl Unread {
    pub fn severity(&self) -> Severity {
        match self {
            Unread::NotEntered(_) | Unread::OtherFileSystem | Unread::Own | Unread::Link { .. } => Severity::Note,
            // It leads to what is in the snapshot already.
            Unread::Loop { .. } => Severity::Note,
            Unread::Changed | Unread::Vanished => Severity::Doubt,
            _ => Severity::Loss,
        }
    }
}

impl<W: fmt::Display> fmt::Display for Problem<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Shown(&self.path), self.what)
    }
}

/// A path in a message: bytes that are not text, and characters that would confuse a terminal, are escaped.
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.utf8_chunks() {
            for character in part.valid().chars() {
                match character {
                    '\\' => f.write_str("\\\\")?,
                    _ if character.is_control() => write!(f, "{}", character.escape_default())?,
                    _ => f.write_char(character)?,
                }
            }
            for byte in part.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_no_text_is_shown_unambiguously() {
        assert_eq!(Shown(b"/a/\xff\x80b").to_string(), r"/a/\xff\x80b");
        assert_eq!(Shown("/größe/\u{1b}[2J\n\\".as_bytes()).to_string(), r"/größe/\u{1b}[2J\n\\");
    }

    #[test]
    fn a_problem_names_path_and_cause() {
        let problem = Problem { path: b"/etc/shadow".to_vec(), what: Unread::Closed(Errno::ACCESS) };
        assert!(problem.to_string().starts_with("/etc/shadow: it cannot be opened: Permission denied"));
        assert_eq!(problem.what.severity(), Severity::Loss);
        assert_eq!(Unread::NotEntered(FileSystem::Pseudo("proc")).severity(), Severity::Note);
        assert_eq!(Unread::Vanished.severity(), Severity::Doubt);
    }
}
