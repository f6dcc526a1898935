//! Which file systems hold a machine's own files.
//!
//! What was named is read whatever it lies on, unless it holds no files at all. What is only met on the way down is
//! entered if it is kept on a disk of this machine: memory is gone after the next start, a share belongs to another
//! machine, and views and images repeat what is backed up elsewhere.

use rustix::fs::StatFs;
use std::fmt;

/// What lies below a mount point. The word names the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    Disk,
    /// The kernel's own views: no files.
    Pseudo(&'static str),
    Memory(&'static str),
    Network(&'static str),
    /// Shows files that lie elsewhere.
    View(&'static str),
    /// A read-only image.
    Image(&'static str),
}

impl FileSystem {
    /// `device` is the device number of something on it.
    pub fn of(found: &StatFs, device: u64) -> FileSystem {
        // The type of the field differs between architectures; no magic number has more than 32 bits.
        let magic = u32::try_from(found.f_type as i128 & 0xffff_ffff).unwrap_or_default();
        // A FUSE file system on a block device is a foreign disk, such as NTFS; any other is a program's.
        if magic == FUSE && rustix::fs::major(device) != 0 {
            return FileSystem::Disk;
        }
        KNOWN.iter().find(|(number, _)| *number == magic).map_or(FileSystem::Disk, |(_, kind)| *kind)
    }
}

impl fmt::Display for FileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileSystem::Disk => f.write_str("a disk"),
            FileSystem::Pseudo(name) => write!(f, "the kernel's {name}"),
            FileSystem::Memory(name) => write!(f, "memory ({name})"),
            FileSystem::Network(name) => write!(f, "a share of another machine ({name})"),
            FileSystem::View(name) => write!(f, "a view of other folders ({name})"),
            FileSystem::Image(name) => write!(f, "a read-only image ({name})"),
        }
    }
}

const FUSE: u32 = 0x6573_5546;

/// Magic numbers of `statfs`, from the kernel's headers.
const KNOWN: &[(u32, FileSystem)] = &[
    (0x9fa0, FileSystem::Pseudo("proc")),
    (0x6265_6572, FileSystem::Pseudo("sysfs")),
    (0x0027_e0eb, FileSystem::Pseudo("cgroup")),
    (0x6367_7270, FileSystem::Pseudo("cgroup2")),
    (0x1cd1, FileSystem::Pseudo("devpts")),
    (0x6462_6720, FileSystem::Pseudo("debugfs")),
    (0x7472_6163, FileSystem::Pseudo("tracefs")),
    (0x7363_6673, FileSystem::Pseudo("securityfs")),
    (0x6165_676c, FileSystem::Pseudo("pstore")),
    (0xcafe_4a11, FileSystem::Pseudo("bpf")),
    (0x6265_6570, FileSystem::Pseudo("configfs")),
    (0x6573_5543, FileSystem::Pseudo("fusectl")),
    (0x1980_0202, FileSystem::Pseudo("mqueue")),
    (0x9584_58f6, FileSystem::Pseudo("hugetlbfs")),
    (0x0187, FileSystem::Pseudo("autofs")),
    (0x4249_4e4d, FileSystem::Pseudo("binfmt_misc")),
    (0xde5e_81e4, FileSystem::Pseudo("efivarfs")),
    (0x6759_6969, FileSystem::Pseudo("rpc_pipefs")),
    (0x6e73_6673, FileSystem::Pseudo("nsfs")),
    (0xf97c_ff8c, FileSystem::Pseudo("selinuxfs")),
    (0x4341_5d53, FileSystem::Pseudo("smackfs")),
    (0x0765_5821, FileSystem::Pseudo("resctrl")),
    (0x6e66_7364, FileSystem::Pseudo("nfsd")),
    (0xabba_1974, FileSystem::Pseudo("xenfs")),
    (0x0102_1994, FileSystem::Memory("tmpfs")),
    (0x8584_58f6, FileSystem::Memory("ramfs")),
    (0x6969, FileSystem::Network("nfs")),
    (0x517b, FileSystem::Network("smbfs")),
    (0xff53_4d42, FileSystem::Network("cifs")),
    (0xfe53_4d42, FileSystem::Network("smb2")),
    (0x00c3_6400, FileSystem::Network("ceph")),
    (0x5346_414f, FileSystem::Network("afs")),
    (0x6b41_4653, FileSystem::Network("afs")),
    (0x0102_1997, FileSystem::Network("9p")),
    (0x7375_7245, FileSystem::Network("coda")),
    (0x0bd0_0bd0, FileSystem::Network("lustre")),
    (0x786f_4256, FileSystem::Network("vboxsf")),
    (FUSE, FileSystem::Network("fuse")),
    (0x794c_7630, FileSystem::View("overlay")),
    (0xf15f, FileSystem::View("ecryptfs")),
    (0x7371_7368, FileSystem::Image("squashfs")),
    (0x9660, FileSystem::Image("iso9660")),
    (0xe0f5_e1e2, FileSystem::Image("erofs")),
    (0x28cd_3d45, FileSystem::Image("cramfs")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    fn of(path: &str) -> FileSystem {
        FileSystem::of(&rustix::fs::statfs(path).unwrap(), std::fs::metadata(path).unwrap().dev())
    }

    #[test]
    fn the_kernels_views_hold_no_files() {
        assert_eq!(of("/proc"), FileSystem::Pseudo("proc"));
        assert_eq!(of("/sys"), FileSystem::Pseudo("sysfs"));
        assert_eq!(of("/dev/pts"), FileSystem::Pseudo("devpts"));
        assert_eq!(of("/proc").to_string(), "the kernel's proc");
    }

    #[test]
    fn magic_numbers_are_told_apart() {
        for (at, (magic, _)) in KNOWN.iter().enumerate() {
            assert!(KNOWN[at + 1..].iter().all(|(other, _)| other != magic), "{magic:x} stands twice");
        }
    }
}
