//! Whether two trees are the same: by what the system says of each name, and by what other programs make of them.

use crate::{is_root, run};
pub use rustix::fs::FileType;
use rustix::fs::{SeekFrom, Stat};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What has to be the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Same {
    Everything,
    /// All but owners, and bits and attributes that only root may set.
    WhatAnybodyMay,
}

/// What is known of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub kind: FileType,
    pub mode: u32,
    /// The first name of the same file.
    pub first: PathBuf,
    /// Where it counts.
    pub owner: Option<(u32, u32)>,
    /// Seconds and nanoseconds.
    pub modified: (i64, i64),
    /// Size and hash, target, or number of the device.
    pub what: String,
    pub attributes: BTreeMap<String, String>,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Named { kind, mode, first, owner, modified: (seconds, nanoseconds), what, attributes } = self;
        write!(f, "{kind:?} {mode:o}, first name {}, ", first.display())?;
        if let Some((user, group)) = owner {
            write!(f, "owner {user}:{group}, ")?;
        }
        write!(f, "modified {seconds}.{nanoseconds:09}, {what}, {attributes:?}")
    }
}

fn look(path: &Path, stat: &Stat, links: &mut HashMap<(u64, u64), PathBuf>, relative: &Path, same: Same) -> Named {
    let kind = FileType::from_raw_mode(stat.st_mode);
    let first = links.entry((stat.st_dev, stat.st_ino)).or_insert_with(|| relative.to_path_buf());
    let what = match kind {
        FileType::RegularFile => format!("size {} hash {:x}", stat.st_size, hash(path, stat)),
        FileType::Symlink => format!("to {:?}", fs::read_link(path).unwrap()),
        FileType::CharacterDevice | FileType::BlockDevice => format!("device {:x}", stat.st_rdev),
        _ => String::new(),
    };
    Named {
        kind,
        mode: stat.st_mode & 0o7777,
        first: first.clone(),
        owner: (same == Same::Everything).then_some((stat.st_uid, stat.st_gid)),
        modified: (stat.st_mtime, stat.st_mtime_nsec as i64),
        what,
        attributes: attributes(path, same),
    }
}

/// Of what lies in a file and where, whether the zeros around it are on the disk or not.
fn hash(path: &Path, stat: &Stat) -> u64 {
    use std::hash::{DefaultHasher, Hasher as _};
    use std::os::unix::fs::FileExt as _;
    const BLOCK: u64 = 1 << 16;
    let size = stat.st_size as u64;
    let mut hasher = DefaultHasher::new();
    let Ok(file) = fs::File::open(path) else { return 0 };
    let mut block = vec![0; BLOCK as usize];
    let mut at = 0;
    while let Ok(begin) = rustix::fs::seek(&file, SeekFrom::Data(at)) {
        let begin = begin - begin % BLOCK;
        let bytes = &mut block[..(size - begin).min(BLOCK) as usize];
        file.read_exact_at(bytes, begin).unwrap();
        if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
            hasher.write_u64(begin);
            hasher.write(&bytes[..=last]);
        }
        at = begin + BLOCK;
    }
    hasher.finish()
}

fn attributes(path: &Path, same: Same) -> BTreeMap<String, String> {
    let mut names = vec![0; 65_536];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap_or(0);
    let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let names = names.filter(|name| same == Same::Everything || name.starts_with(b"user."));
    let mut attributes = BTreeMap::new();
    for name in names {
        let mut value = vec![0; 65_536];
        let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
        attributes.insert(name.escape_ascii().to_string(), value[..length].escape_ascii().to_string());
    }
    attributes
}

/// Every name below a folder.
pub type Names = BTreeMap<PathBuf, Named>;

/// Every name below `root` with what is known of it, and the blocks that its files take.
///
/// # Panics
/// Something cannot be read.
pub fn list(root: &Path, same: Same) -> (Names, u64) {
    let (mut listed, mut links, mut blocks) = (BTreeMap::new(), HashMap::new(), 0);
    let mut todo = vec![PathBuf::new()];
    while let Some(relative) = todo.pop() {
        let path = if relative.as_os_str().is_empty() { root.to_path_buf() } else { root.join(&relative) };
        let stat = rustix::fs::lstat(&path).unwrap();
        // A folder's links are those in it, and its size is its file system's affair.
        listed.insert(relative.clone(), look(&path, &stat, &mut links, &relative, same));
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let Ok(entries) = fs::read_dir(&path) else { continue };
                let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
                // The order decides which of several names is the first.
                names.sort_by(|a, b| b.as_bytes().cmp(a.as_bytes()));
                todo.extend(names.into_iter().map(|name| relative.join(name)));
            }
            FileType::RegularFile => blocks += stat.st_blocks as u64,
            _ => {}
        }
    }
    (listed, blocks)
}

/// In what two trees differ.
pub fn differences(was: &Names, is: &Names) -> Vec<String> {
    let mut differences = Vec::new();
    for (path, named) in was {
        match is.get(path) {
            None => differences.push(format!("{path:?} is missing: {named}")),
            Some(other) if other != named => differences.push(format!("{path:?}\n  was {named}\n  is  {other}")),
            Some(_) => {}
        }
    }
    differences.extend(is.keys().filter(|path| !was.contains_key(*path)).map(|path| format!("{path:?} is new")));
    differences
}

/// Compares two trees by what the system says of every name in them.
///
/// # Panics
/// They differ.
#[track_caller]
pub fn ourselves(original: &Path, copy: &Path, same: Same) {
    let ((was, blocks_were), (is, blocks_are)) = (list(original, same), list(copy, same));
    let differences = differences(&was, &is);
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    // A file system may lay out the same extents a little differently.
    assert!(blocks_are <= blocks_were + blocks_were / 50 + 64, "{blocks_are} blocks instead of {blocks_were}");
}

/// Compares two trees by programs that others wrote.
///
/// # Panics
/// One of them finds a difference, or is not there.
#[track_caller]
pub fn programs(original: &Path, copy: &Path) {
    let mut slashed = original.as_os_str().to_owned();
    slashed.push("/");
    let options = ["-nacAXH", "--delete", "--itemize-changes", "--numeric-ids"];
    // Checksums of a TiB of nothing take an hour; its data is compared by the others.
    let changes = run(Command::new("rsync").args(options).arg("--exclude=/sparse/huge").arg(&slashed).arg(copy));
    assert!(changes.is_empty(), "rsync would change:\n{}", changes.escape_ascii());
    for program in [["getfacl", "-Rn", "."].as_slice(), &["getfattr", "-Rhd", "-m", "-", "-e", "hex", "."]] {
        let print = |folder| {
            let mut printed = run(Command::new(program[0]).args(&program[1..]).current_dir(folder));
            // The order of a listing is the file system's; what belongs together is a paragraph.
            let mut paragraphs: Vec<_> = String::from_utf8_lossy(&printed).split("\n\n").map(str::to_owned).collect();
            paragraphs.sort();
            printed = paragraphs.join("\n\n").into_bytes();
            printed
        };
        let (was, is) = (print(original), print(copy));
        assert!(was.len() > 100, "{program:?} says nothing");
        assert!(was == is, "{program:?}:\n{}\n{}", was.escape_ascii(), is.escape_ascii());
    }
    tar(original, copy);
}

#[track_caller]
fn tar(original: &Path, copy: &Path) {
    let mut pack = Command::new("tar");
    pack.args([
        "--create",
        "--sparse",
        "--xattrs",
        "--xattrs-include=*",
        "--acls",
        "--numeric-owner",
        "--exclude=./sparse/huge",
    ]);
    pack.args(["--file", "-", "."]).current_dir(original).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut packing = pack.spawn().unwrap();
    let archive = packing.stdout.take().unwrap();
    let mut compare = Command::new("tar");
    compare.args(["--compare", "--numeric-owner", "--file", "-"]).current_dir(copy).stdin(archive).env("LC_ALL", "C");
    let output = compare.output().unwrap();
    assert!(packing.wait().unwrap().success());
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || !is_root(), "tar --compare:\n{said}\n{wrong}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt as _;

    #[test]
    fn zeros_are_zeros_on_the_disk_or_not_and_everything_else_differs() {
        let folder = tempfile::tempdir().unwrap();
        let hash_of = |name: &str, size: u64, data: &[(u64, &[u8])]| {
            let path = folder.path().join(name);
            let file = fs::File::create(&path).unwrap();
            data.iter().for_each(|(at, bytes)| file.write_all_at(bytes, *at).unwrap());
            file.set_len(size).unwrap();
            hash(&path, &rustix::fs::stat(&path).unwrap())
        };
        let sparse = hash_of("sparse", 1 << 20, &[(500_000, b"data")]);
        assert_eq!(hash_of("written", 1 << 20, &[(0, &[0; 1 << 20]), (500_000, b"data")]), sparse);
        assert_ne!(hash_of("elsewhere", 1 << 20, &[(400_000, b"data")]), sparse);
        assert_ne!(hash_of("other", 1 << 20, &[(500_000, b"date")]), sparse);
        assert_ne!(hash_of("none", 1 << 20, &[]), sparse);
    }
}
