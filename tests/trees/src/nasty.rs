//! The nasty tree: everything a file system can hold, made for real.

use crate::{is_root, run};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A tree, with what could not be made here and why.
pub struct Nasty {
    pub root: PathBuf,
    pub missing: Vec<String>,
}

impl Nasty {
    /// Makes it in a new folder.
    ///
    /// # Panics
    /// Something that anybody may make cannot be made.
    pub fn make(root: PathBuf) -> Nasty {
        fs::create_dir(&root).unwrap();
        let mut nasty = Nasty { root, missing: Vec::new() };
        nasty.contents();
        nasty.names();
        nasty.links();
        nasty.sparse();
        nasty.specials();
        nasty.attributes();
        nasty.modes();
        nasty.owners();
        nasty.times();
        nasty
    }

    fn at(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.root.join(name.as_ref())
    }

    /// What needs a right or a file system that is not there is named, and everything else has to succeed.
    fn allowed<T>(&mut self, what: &str, result: Result<T, Errno>) {
        match result {
            Ok(_) => {}
            Err(error @ (Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP)) if !is_root() => {
                self.missing.push(format!("{what}: {error}"));
            }
            Err(error) => panic!("{what}: {error}"),
        }
    }

    fn contents(&mut self) {
        let folder = self.at("contents");
        fs::create_dir(&folder).unwrap();
        for size in [0, 1, 4095, 4096, 65_535, 65_536, 65_537, 300_000, 3 << 20] {
            fs::write(folder.join(format!("noise-{size}")), noise(size)).unwrap();
            fs::write(folder.join(format!("text-{size}")), "Bailiwick ".repeat(size / 10 + 1).split_at(size).0)
                .unwrap();
        }
        fs::write(folder.join("zeros"), vec![0; 1 << 20]).unwrap();
        let many = self.at("many");
        fs::create_dir(&many).unwrap();
        for number in 0..3000 {
            fs::write(many.join(format!("{number:05}")), number.to_string()).unwrap();
        }
        fs::create_dir_all(self.at("empty/in an empty/one")).unwrap();
    }

    fn names(&mut self) {
        let folder = self.at("names");
        fs::create_dir(&folder).unwrap();
        let long = "x".repeat(255);
        let names: [&[u8]; 16] = [
            b"\xff\xfe\x80",
            b"new\nline",
            b"-rf",
            b"...",
            b"..x",
            b" ",
            b"tab\t",
            b"back\\slash",
            b"quote\"'`",
            b"*?[a]",
            "größe".as_bytes(),
            "🗄".as_bytes(),
            b"\x01\x7f",
            b"a:b",
            long.as_bytes(),
            b"#x#~",
        ];
        for name in names {
            fs::write(folder.join(OsStr::from_bytes(name)), name).unwrap();
        }
        fs::create_dir(folder.join(OsStr::from_bytes(b"folder \xc3\x28"))).unwrap();
        fs::write(folder.join(OsStr::from_bytes(b"folder \xc3\x28/\xa0")), "in it").unwrap();
    }

    fn links(&mut self) {
        let folder = self.at("links");
        fs::create_dir_all(folder.join("a/b")).unwrap();
        fs::write(folder.join("one"), "three names").unwrap();
        fs::hard_link(folder.join("one"), folder.join("a/two")).unwrap();
        fs::hard_link(folder.join("one"), folder.join("a/b/three")).unwrap();
        fs::write(folder.join("a/big"), noise(200_000)).unwrap();
        fs::hard_link(folder.join("a/big"), folder.join("zz-big")).unwrap();
        fs::write(folder.join("none"), "").unwrap();
        fs::hard_link(folder.join("none"), folder.join("none too")).unwrap();
        for number in 0..2000 {
            // More names than may wait for the first one.
            fs::hard_link(folder.join("one"), folder.join(format!("a/b/{number}"))).unwrap();
        }
        symlink("one", folder.join("to one")).unwrap();
        symlink("/etc/hostname", folder.join("absolute")).unwrap();
        symlink("no such thing", folder.join("dangling")).unwrap();
        symlink("itself", folder.join("itself")).unwrap();
        symlink("../../..", folder.join("out")).unwrap();
        symlink(OsStr::from_bytes(b"\xff\n"), folder.join("no text")).unwrap();
        symlink("x/".repeat(2047), folder.join("longest")).unwrap();
        self.allowed(
            "a link with two names",
            rustix::fs::linkat(CWD, folder.join("dangling"), CWD, folder.join("dangling too"), AtFlags::empty()),
        );
    }

    fn sparse(&mut self) {
        let folder = self.at("sparse");
        fs::create_dir(&folder).unwrap();
        let make = |name: &str, size: u64, data: &[(u64, &[u8])]| {
            let file = fs::File::create(folder.join(name)).unwrap();
            for (at, bytes) in data {
                file.write_all_at(bytes, *at).unwrap();
            }
            file.set_len(size).unwrap();
            file.sync_all().unwrap();
        };
        let (noise, mega) = (noise(100_000), 1 << 20);
        make("one hole", 50 * mega, &[]);
        make("hole first", 8 * mega, &[(7 * mega, &noise)]);
        make("hole last", 8 * mega, &[(0, &noise)]);
        make("hole between", 20 * mega + 7, &[(0, &noise), (9 * mega, &noise), (20 * mega, b"the end")]);
        make("huge", 1 << 40, &[(1 << 39, b"in the middle of a TiB")]);
        let pieces: Vec<(u64, &[u8])> = (0..300).map(|number| (number * 65_536, &b"a piece"[..])).collect();
        make("many holes", 300 * 65_536, &pieces);
        make("zeros that are there", 3 * mega, &[(0, &vec![0; mega as usize]), (2 * mega, &noise)]);
    }

    fn specials(&mut self) {
        let folder = self.at("specials");
        fs::create_dir(&folder).unwrap();
        let node = |name: &str, kind, major, minor| {
            let mode = Mode::from_raw_mode(0o640);
            rustix::fs::mknodat(CWD, folder.join(name), kind, mode, rustix::fs::makedev(major, minor))
        };
        node("pipe", FileType::Fifo, 0, 0).unwrap();
        fs::hard_link(folder.join("pipe"), folder.join("pipe too")).unwrap();
        let devices = [
            ("null", FileType::CharacterDevice, 1, 3),
            ("big", FileType::CharacterDevice, 4095, 1_048_575),
            ("disk", FileType::BlockDevice, 7, 200),
        ];
        for (name, kind, major, minor) in devices {
            let made = node(name, kind, major, minor);
            self.allowed("a device node", made);
        }
        drop(UnixListener::bind(folder.join("socket")).unwrap());
    }

    fn attributes(&mut self) {
        let folder = self.at("attributes");
        fs::create_dir_all(folder.join("shared/inner")).unwrap();
        for name in ["users", "list", "able", "shared/new"] {
            fs::write(folder.join(name), name).unwrap();
        }
        let mut set = |path: PathBuf, name: &str, value: &[u8]| {
            let set = rustix::fs::lsetxattr(path, name, value, XattrFlags::empty());
            self.allowed(&format!("an attribute {name}"), set);
        };
        for path in [folder.join("users"), folder.join("shared"), folder.clone()] {
            set(path.clone(), "user.mime_type", b"text/plain");
            set(path.clone(), "user.empty", b"");
            set(path.clone(), "user.binary\u{ff}", b"\x00\xff\n\x00");
            set(path, "user.large", &vec![b'x'; 2000]);
        }
        set(folder.join("users"), "trusted.secret", b"root alone");
        set(folder.join("users"), "security.bailiwick", b"a label");
        // Version 2: effective, net_bind_service (10) permitted.
        let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        set(folder.join("able"), "security.capability", &capability);
        symlink("users", folder.join("link")).unwrap();
        rustix::fs::mknodat(CWD, folder.join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        set(folder.join("link"), "trusted.of-a-link", b"yes");
        set(folder.join("pipe"), "trusted.of-a-pipe", b"yes");
        let acl = |entries: &str, path: &str| run(Command::new("setfacl").args(["-m", entries]).arg(folder.join(path)));
        acl("u:1234:rw,g:4321:r,m::rw", "list");
        acl("d:u:1234:rwx,d:g:4321:rx,d:o::-", "shared");
        acl("u:1:x", "shared/inner");
    }

    fn modes(&mut self) {
        let folder = self.at("modes");
        fs::create_dir(&folder).unwrap();
        for mode in [0o000, 0o001, 0o400, 0o644, 0o777, 0o4755, 0o2711, 0o6777, 0o1644] {
            let path = folder.join(format!("file-{mode:o}"));
            fs::write(&path, "mode").unwrap();
            chmod(&path, mode);
        }
        for mode in [0o000, 0o500, 0o1777, 0o2775, 0o3700, 0o711, 0o1700] {
            let path = folder.join(format!("folder-{mode:o}"));
            fs::create_dir(&path).unwrap();
            fs::write(path.join("in it"), "mode").unwrap();
            chmod(&path, mode);
        }
    }

    fn owners(&mut self) {
        let folder = self.at("owners");
        fs::create_dir(&folder).unwrap();
        for (uid, gid) in [(1, 2), (12_345, 54_321), (4_294_967_294, 4_294_967_294), (65_534, 65_534)] {
            let path = folder.join(format!("{uid}-{gid}"));
            fs::write(&path, "owned").unwrap();
            symlink("owned", folder.join(format!("link-{uid}"))).unwrap();
            fs::create_dir(folder.join(format!("folder-{uid}"))).unwrap();
            for name in [format!("{uid}-{gid}"), format!("link-{uid}"), format!("folder-{uid}")] {
                let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
                let owned = rustix::fs::chownat(CWD, folder.join(name), uid, gid, AtFlags::SYMLINK_NOFOLLOW);
                self.allowed("another owner", owned);
            }
        }
        // A program that runs as somebody else, which chown takes away again.
        let path = folder.join("12345-54321");
        chmod(&path, 0o6755);
    }

    fn times(&mut self) {
        let folder = self.at("times");
        fs::create_dir(&folder).unwrap();
        let times = [(-1_500_000_000, 1), (-1, 999_999_999), (0, 0), (1_700_000_000, 123_456_789), (4_102_444_800, 5)];
        for (seconds, nanoseconds) in times {
            fs::write(folder.join(format!("file{seconds}")), "time").unwrap();
            symlink("time", folder.join(format!("link{seconds}"))).unwrap();
            rustix::fs::mknodat(CWD, folder.join(format!("pipe{seconds}")), FileType::Fifo, Mode::RUSR, 0).unwrap();
            fs::create_dir(folder.join(format!("folder{seconds}"))).unwrap();
            fs::write(folder.join(format!("folder{seconds}/later")), "time").unwrap();
            for kind in ["file", "link", "pipe", "folder"] {
                set_time(&folder.join(format!("{kind}{seconds}")), seconds, nanoseconds);
            }
        }
        set_time(&folder, 1_000_000_000, 7);
        set_time(&self.root, 1_111_111_111, 111);
    }
}

/// # Panics
/// It cannot be changed.
pub fn chmod(path: &Path, mode: u32) {
    rustix::fs::chmod(path, Mode::from_raw_mode(mode)).unwrap();
}

/// # Panics
/// It cannot be changed.
pub fn set_time(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// Bytes that nobody can compress, the same for each length.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ length as u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend(next());
    }
    bytes.truncate(length);
    bytes
}
