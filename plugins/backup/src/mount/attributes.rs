//! What the kernel is told of an entry.

use super::number::Number;
use fuser::{FileAttr, FileType, INodeNo};
use rustix::fs::makedev;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use vault::{Entry, FileTime, Kind};

const BLOCK: u32 = 4096;

pub(super) fn kind_of(entry: &Entry) -> FileType {
    match entry.kind {
        Kind::File(_) => FileType::RegularFile,
        Kind::Directory(_) => FileType::Directory,
        Kind::Symlink { .. } => FileType::Symlink,
        Kind::Fifo => FileType::NamedPipe,
        Kind::Socket => FileType::Socket,
        Kind::CharacterDevice { .. } => FileType::CharDevice,
        Kind::BlockDevice { .. } => FileType::BlockDevice,
    }
}

/// Of an entry of a snapshot, as it was on the machine.
pub(super) fn of_entry(number: Number, entry: &Entry) -> FileAttr {
    let (size, bytes) = match &entry.kind {
        Kind::File(content) => (content.size, content.chunks.iter().map(|length| u64::from(*length)).sum()),
        Kind::Symlink { target } => (target.len() as u64, 0),
        Kind::Directory(_) => (BLOCK.into(), 0),
        _ => (0, 0),
    };
    let device = match entry.kind {
        Kind::CharacterDevice { major, minor } | Kind::BlockDevice { major, minor } => packed(major, minor),
        _ => 0,
    };
    let (modified, changed) = (moment(entry.modified), moment(entry.changed));
    FileAttr {
        ino: INodeNo(number.inode()),
        size,
        blocks: u64::div_ceil(bytes, 512),
        atime: modified,
        mtime: modified,
        ctime: changed,
        crtime: modified,
        kind: kind_of(entry),
        perm: entry.mode as u16 & 0o7777,
        // How many names it has is not known, only that there are others.
        nlink: if entry.linked && !matches!(entry.kind, Kind::Directory(_)) { 2 } else { 1 },
        uid: entry.uid,
        gid: entry.gid,
        rdev: device,
        blksize: BLOCK,
        flags: 0,
    }
}

/// Of a folder or link that stands above the snapshots.
pub(super) fn of_ours(number: Number, time_ms: i64, link: Option<&str>) -> FileAttr {
    let time = moment(FileTime {
        seconds: time_ms.div_euclid(1000),
        nanoseconds: time_ms.rem_euclid(1000) as u32 * 1_000_000,
    });
    let (kind, perm, size) = match link {
        Some(target) => (FileType::Symlink, 0o777, target.len() as u64),
        None => (FileType::Directory, 0o555, BLOCK.into()),
    };
    FileAttr {
        ino: INodeNo(number.inode()),
        size,
        blocks: 0,
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind,
        perm,
        nlink: 1,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    }
}

/// As the kernel packs a device into 32 bits.
fn packed(major: u32, minor: u32) -> u32 {
    // What does not fit has no number in a file system of this kernel either.
    u32::try_from(makedev(major & 0xfff, minor & 0xf_ffff)).unwrap_or(0)
}

/// What the clock of no machine shows is shown as 1970.
fn moment(time: FileTime) -> SystemTime {
    let seconds = Duration::from_secs(time.seconds.unsigned_abs());
    let whole = if time.seconds < 0 { UNIX_EPOCH.checked_sub(seconds) } else { UNIX_EPOCH.checked_add(seconds) };
    let moment = whole.and_then(|whole| whole.checked_add(Duration::from_nanos(time.nanoseconds.into())));
    moment.unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_before_1970_are_what_they_were() {
        let before = FileTime { seconds: -2, nanoseconds: 800_000_000 };
        assert_eq!(moment(before), UNIX_EPOCH - Duration::new(1, 200_000_000));
        assert_eq!(moment(FileTime { seconds: 5, nanoseconds: 7 }), UNIX_EPOCH + Duration::new(5, 7));
    }

    #[test]
    fn devices_are_packed_as_the_kernel_does() {
        assert_eq!(packed(1, 3), 0x103);
        assert_eq!(packed(4095, 1_048_575), 0xffff_ffff);
    }
}
