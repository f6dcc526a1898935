//! What is to be done with one entry of a snapshot, given what is there.

use super::{Action, Conflict};
use crate::files::look::Look;
use rustix::fs::FileType;
use vault::{Entry, Kind};

pub(super) fn file_type(kind: &Kind) -> FileType {
    match kind {
        Kind::File(_) => FileType::RegularFile,
        Kind::Directory(_) => FileType::Directory,
        Kind::Symlink { .. } => FileType::Symlink,
        Kind::Fifo => FileType::Fifo,
        Kind::Socket => FileType::Socket,
        Kind::CharacterDevice { .. } => FileType::CharacterDevice,
        Kind::BlockDevice { .. } => FileType::BlockDevice,
    }
}

/// Whether what is there is what an earlier run restored, or what was never lost: for a file as far as size and time tell.
/// `target` is where a link that is there points at.
pub(super) fn is_right(entry: &Entry, there: &Look, target: Option<&[u8]>) -> bool {
    if there.kind != file_type(&entry.kind) {
        return false;
    }
    match &entry.kind {
        Kind::File(content) => there.size == content.size && there.modified == entry.modified,
        Kind::Symlink { target: wanted } => target == Some(wanted),
        Kind::CharacterDevice { major, minor } | Kind::BlockDevice { major, minor } => {
            (rustix::fs::major(there.stands_for), rustix::fs::minor(there.stands_for)) == (*major, *minor)
        }
        Kind::Directory(_) | Kind::Fifo | Kind::Socket => true,
    }
}

/// For all but folders. What is right stays under every rule, so that a restore that was cut off goes on where it was.
pub(super) fn action(conflict: Conflict, entry: &Entry, there: Option<&Look>, right: bool) -> Action {
    let Some(there) = there else { return Action::Create };
    if right {
        return if conflict == Conflict::Overwrite { Action::Mend } else { Action::Right };
    }
    let is_folder = there.kind == FileType::Directory;
    match conflict {
        Conflict::Overwrite if is_folder => Action::Blocked,
        Conflict::Overwrite => Action::Replace,
        Conflict::Keep => Action::Keep,
        Conflict::KeepNewer if there.modified >= entry.modified => Action::Keep,
        Conflict::KeepNewer if is_folder => Action::Blocked,
        Conflict::KeepNewer => Action::Replace,
        Conflict::Refuse => Action::Refuse,
        Conflict::Rename => Action::Beside,
    }
}

/// Longest name of nearly every file system.
const LONGEST: usize = 255;

/// The name for something that is put beside what is there; `attempt` counts from 1.
pub(super) fn name_beside(name: &[u8], attempt: u32) -> Vec<u8> {
    let suffix = match attempt {
        1 => ".restored".to_owned(),
        more => format!(".restored-{more}"),
    };
    let mut beside = name[..name.len().min(LONGEST - suffix.len())].to_vec();
    beside.extend_from_slice(suffix.as_bytes());
    beside
}

#[cfg(test)]
mod tests {
    use super::*;
    use vault::{Content, FileTime};

    fn file(size: u64, seconds: i64) -> Entry {
        Entry {
            name: b"file".to_vec(),
            kind: Kind::File(Content { size, ..Content::default() }),
            mode: 0o644,
            uid: 0,
            gid: 0,
            modified: FileTime { seconds, nanoseconds: 1 },
            changed: FileTime::default(),
            inode: 1,
            device: 1,
            linked: false,
            attributes: Vec::new(),
        }
    }

    fn there(kind: FileType, size: u64, seconds: i64) -> Look {
        let modified = FileTime { seconds, nanoseconds: 1 };
        let (mode, uid, gid, stored, inode, device, links, stands_for) = (0o600, 0, 0, 0, 2, 1, 1, 0);
        Look { kind, mode, uid, gid, size, stored, modified, changed: modified, inode, device, links, stands_for }
    }

    fn actions(there: &Look) -> [Action; 5] {
        let entry = file(10, 100);
        let right = is_right(&entry, there, None);
        let rules = [Conflict::Overwrite, Conflict::Keep, Conflict::KeepNewer, Conflict::Refuse, Conflict::Rename];
        rules.map(|rule| action(rule, &entry, Some(there), right))
    }

    #[test]
    fn every_rule_has_its_action() {
        use Action::{Beside, Blocked, Keep, Mend, Refuse, Replace, Right};
        let regular = FileType::RegularFile;
        assert_eq!(actions(&there(regular, 10, 100)), [Mend, Right, Right, Right, Right]);
        assert_eq!(actions(&there(regular, 11, 100)), [Replace, Keep, Keep, Refuse, Beside]);
        assert_eq!(actions(&there(regular, 10, 99)), [Replace, Keep, Replace, Refuse, Beside]);
        assert_eq!(actions(&there(regular, 10, 101)), [Replace, Keep, Keep, Refuse, Beside]);
        assert_eq!(actions(&there(FileType::Symlink, 10, 100)), [Replace, Keep, Keep, Refuse, Beside]);
        // A folder is never removed for a file.
        assert_eq!(actions(&there(FileType::Directory, 10, 99)), [Blocked, Keep, Blocked, Refuse, Beside]);
        assert_eq!(action(Conflict::Refuse, &file(1, 1), None, false), Action::Create);
    }

    #[test]
    fn a_link_is_right_if_it_leads_to_the_same_place() {
        let entry = Entry { kind: Kind::Symlink { target: b"there".to_vec() }, ..file(0, 0) };
        let link = there(FileType::Symlink, 5, 7);
        assert!(is_right(&entry, &link, Some(b"there")) && !is_right(&entry, &link, Some(b"other")));
    }

    #[test]
    fn a_name_beside_another_is_never_too_long() {
        assert_eq!(name_beside(b"a.txt", 1), b"a.txt.restored");
        assert_eq!(name_beside(b"a.txt", 12), b"a.txt.restored-12");
        assert_eq!(name_beside(&[b'x'; 255], u32::MAX).len(), 255);
    }
}
