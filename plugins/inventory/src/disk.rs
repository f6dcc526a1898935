//! How full the fullest local file system is.

use crate::root::Root;
use std::collections::BTreeSet;
use std::path::Path;

/// Bytes of one file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    pub size: u64,
    pub used: u64,
    /// What an ordinary user can still write.
    pub available: u64,
}

impl Usage {
    /// As `df` counts: of what ordinary users can have at all, in whole percent rounded up.
    fn percent(self) -> u8 {
        let all = u128::from(self.used) + u128::from(self.available);
        if all == 0 { 0 } else { u8::try_from((u128::from(self.used) * 100).div_ceil(all)).unwrap_or(100) }
    }
}

/// The fullest file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) path: String,
    pub(crate) used_percent: u8,
    pub(crate) size: u64,
}

/// Asks the system about the file system that `path` is on.
pub fn real_usage(path: &Path) -> Option<Usage> {
    let stat = rustix::fs::statvfs(path).ok()?;
    let bytes = |blocks: u64| blocks.checked_mul(stat.f_frsize);
    Some(Usage {
        size: bytes(stat.f_blocks)?,
        used: bytes(stat.f_blocks.checked_sub(stat.f_bfree)?)?,
        available: bytes(stat.f_bavail)?,
    })
}

/// Looks at the root and at every writable file system of a local disk.
pub(crate) fn fullest(root: &Root, usage: &dyn Fn(&Path) -> Option<Usage>) -> Option<Disk> {
    let mounts = root.text("/proc/self/mountinfo").unwrap_or_default();
    let mut seen = BTreeSet::new();
    let disks = mounts.lines().filter_map(mount).filter(|m| m.is_local_disk() && seen.insert(m.device.to_owned()));
    disks
        .filter_map(|m| {
            let usage = usage(Path::new(&m.path)).filter(|usage| usage.size > 0)?;
            Some(Disk { used_percent: usage.percent(), size: usage.size, path: m.path })
        })
        .max_by(|a, b| (a.used_percent, b.path.len()).cmp(&(b.used_percent, a.path.len())))
}

struct Mount<'a> {
    /// `major:minor`: the same for all places one file system is mounted at.
    device: &'a str,
    path: String,
    kind: &'a str,
    source: &'a str,
    read_only: bool,
}

impl Mount<'_> {
    fn is_local_disk(&self) -> bool {
        // A file bound over another, as containers do with /etc/hosts, is no place of its own.
        let image = matches!(self.kind, "squashfs" | "iso9660" | "erofs" | "udf");
        self.path == "/" || self.source.starts_with("/dev/") && !image && !self.read_only
    }
}

/// `36 35 98:0 /root /mount rw,noatime shared:1 - ext4 /dev/sda1 rw`.
fn mount(line: &str) -> Option<Mount<'_>> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(2);
    let (device, _, path, options) = (left.next()?, left.next()?, left.next()?, left.next()?);
    let mut right = right.split(' ');
    let (kind, source) = (right.next()?, right.next()?);
    let read_only = options.split(',').any(|option| option == "ro");
    Some(Mount { device, path: unescape(path), kind, source, read_only })
}

/// The kernel writes blanks and backslashes of paths in octal.
fn unescape(path: &str) -> String {
    ["\\040", "\\011", "\\012", "\\134"]
        .iter()
        .zip([" ", "\t", "\n", "\\"])
        .fold(path.to_owned(), |path, (code, plain)| path.replace(code, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_that_of_df() {
        let usage = |used, available| Usage { size: used + available, used, available }.percent();
        assert_eq!([usage(0, 10), usage(1, 999), usage(999, 1), usage(10, 0), usage(0, 0)], [0, 1, 100, 100, 0]);
        assert_eq!(Usage { size: u64::MAX, used: u64::MAX, available: u64::MAX }.percent(), 50);
    }

    #[test]
    fn odd_mounts_are_read() {
        let mount = mount("36 35 98:0 / /mnt/my\\040disk ro,noatime master:1 - ext3 /dev/sda1 rw").unwrap();
        assert_eq!((mount.path.as_str(), mount.kind, mount.read_only), ("/mnt/my disk", "ext3", true));
        assert!(super::mount("nonsense").is_none() && super::mount("").is_none());
    }
}
