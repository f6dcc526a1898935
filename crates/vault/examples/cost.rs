//! What a backup costs: `cost VAULT TREE [BASIS]` backs a tree up into a vault of this process and prints the time, the
//! processor's time and the memory it took. `VAULT` is made where it is missing; `-` throws everything away, to tell the
//! client's share. With `BASIS`, a file, the next run with the same one skips what did not change. `LEVEL=3` changes the
//! level of zstd, `THREADS=1` the threads.

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, open, openat, statat};
use rustix::time::{ClockId, clock_gettime};
use std::convert::Infallible;
use std::error::Error;
use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};
use vault::storage::Directory;
use vault::{
    Access, BasisFile, BasisFileWriter, Content, Cost, Description, Draft, Entry, FileSource, FileTime, Fingerprint,
    Kind, Layout, Mode as DomainMode, Place, Received, Receiver, Segment, SessionOptions, SnapshotId, SnapshotWriter,
    Trust, UploadOptions, Vault, WayIn,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A file by its name in an open directory.
struct NamedFile {
    folder: Arc<OwnedFd>,
    name: CString,
    size: u64,
    blocks: u64,
    changed: FileTime,
    open: Option<OwnedFd>,
}

impl FileSource for NamedFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn open(&mut self) -> io::Result<Layout> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOATIME;
        let file = openat(&*self.folder, &self.name, flags, Mode::empty())?;
        let extents = (self.blocks * 512 < self.size).then(|| extents(&file, self.size)).transpose()?;
        self.open = Some(file);
        Ok(Layout { size: Some(self.size), extents })
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let file = self.open.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        Ok(rustix::io::pread(file, into, offset)?)
    }

    fn close(&mut self) -> io::Result<bool> {
        let file = self.open.take().ok_or(io::ErrorKind::NotConnected)?;
        let now = rustix::fs::fstat(&file)?;
        Ok(now.st_size as u64 == self.size && changed(&now) == self.changed)
    }
}

fn extents(file: &OwnedFd, size: u64) -> io::Result<Vec<(u64, u64)>> {
    use rustix::fs::{SeekFrom, seek};
    let (mut extents, mut at) = (Vec::new(), 0);
    while at < size {
        let Ok(data) = seek(file, SeekFrom::Data(at)) else { break };
        let hole = seek(file, SeekFrom::Hole(data))?;
        extents.push((data, hole.min(size) - data));
        at = hole;
    }
    Ok(extents)
}

fn changed(stat: &rustix::fs::Stat) -> FileTime {
    FileTime { seconds: stat.st_ctime, nanoseconds: stat.st_ctime_nsec as u32 }
}

fn walk<R: Receiver + 'static>(folder: OwnedFd, writer: &mut SnapshotWriter<R, NamedFile>) -> Result<()> {
    let mut names: Vec<CString> = Vec::new();
    for found in Dir::read_from(&folder)? {
        let name = found?.file_name().to_owned();
        if !matches!(name.as_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    names.sort_unstable();
    let folder = Arc::new(folder);
    for name in names {
        let stat = statat(&*folder, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        let mut entry = entry(&name, &stat);
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let below = openat(&*folder, &name, flags, Mode::empty())?;
                writer.begin_directory(name.as_bytes())?;
                walk(below, writer)?;
                entry.kind = Kind::Directory(Place::default());
                writer.end_directory(entry)?;
            }
            FileType::RegularFile => {
                let size = stat.st_size as u64;
                entry.kind = Kind::File(Content { size, ..Content::default() });
                if writer.before(name.as_bytes()).is_some_and(|before| entry.is_unchanged_since(before)) {
                    writer.unchanged(entry)?;
                } else {
                    let (folder, changed, blocks) = (folder.clone(), entry.changed, stat.st_blocks as u64);
                    writer.file(entry, NamedFile { folder, name, size, blocks, changed, open: None })?;
                }
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&*folder, &name, Vec::new())?;
                entry.kind = Kind::Symlink { target: target.into_bytes() };
                writer.entry(entry)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn entry(name: &CStr, stat: &rustix::fs::Stat) -> Entry {
    Entry {
        name: name.to_bytes().to_vec(),
        kind: Kind::Fifo,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        modified: FileTime { seconds: stat.st_mtime, nanoseconds: stat.st_mtime_nsec as u32 },
        changed: changed(stat),
        inode: stat.st_ino,
        device: stat.st_dev,
        linked: stat.st_nlink > 1,
        attributes: Vec::new(),
    }
}

/// Has nothing and keeps nothing.
#[derive(Default)]
struct Nowhere;

impl Receiver for Nowhere {
    type Error = Infallible;

    fn have(&self, names: &[Fingerprint]) -> std::result::Result<Vec<bool>, Infallible> {
        Ok(vec![false; names.len()])
    }

    fn put(&self, _: Segment) -> std::result::Result<(), Infallible> {
        Ok(())
    }

    fn commit(&self, _: Draft) -> std::result::Result<Received, Infallible> {
        Ok(Received { snapshot: SnapshotId([0; 16]), time_ms: 0, stored_bytes: 0 })
    }
}

fn backup<R: Receiver + 'static>(
    receiver: R,
    tree: &OsStr,
    basis: Option<&Path>,
    known: Option<BasisFile>,
) -> Result<()> {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let mut options =
        UploadOptions { names: true, level: number("LEVEL").unwrap_or(1) as i32, ..UploadOptions::default() };
    options.threads = number("THREADS").unwrap_or(options.threads as u64) as usize;
    let progress = options.progress.clone();
    let mut writer = SnapshotWriter::new(Arc::new(receiver), options, known.map(BasisFile::into_basis));
    if let Some(path) = basis {
        writer.keep_basis(BasisFileWriter::create(path)?);
    }
    walk(open(tree, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?, &mut writer)?;
    writer.settle()?;
    let failures = writer.failures();
    let finished = writer.finish(&Description::default(), !failures.is_empty())?;
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64 / f64::from(1 << 20);
    let counts = finished.counts;
    println!("{} files, {} read, {} failed", counts.files, counts.files_read, failures.len());
    println!("MiB: {:.1} read, {:.1} sent", read(&progress.bytes_read), read(&progress.bytes_sent));
    Ok(())
}

/// User and system time in seconds and the largest memory in MiB, as the kernel counts them.
fn cost() -> Result<(f64, f64, u64)> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after = stat.rsplit_once(')').ok_or("no such process")?.1;
    let ticks = |at: usize| after.split_whitespace().nth(at).and_then(|ticks| ticks.parse::<f64>().ok());
    let (user, system) = ticks(11).zip(ticks(12)).ok_or("no times")?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no peak")?;
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse()?;
    Ok((user / 100.0, system / 100.0, peak >> 10))
}

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let (place, tree, basis) = match &arguments[..] {
        [place, tree] => (place, tree, None),
        [place, tree, basis] => (place, tree, Some(Path::new(basis))),
        _ => return Err("cost VAULT TREE [BASIS]".into()),
    };
    let began = Instant::now();
    let known = basis.map(BasisFile::open).transpose()?.flatten();
    if place == "-" {
        backup(Nowhere, tree, basis, known)?;
    } else {
        let way = WayIn::Host([7; 32].into());
        let place = Path::new(place);
        let vault = if place.exists() {
            Vault::open(Arc::new(Directory::open(place)?), &way, Access::Write)?
        } else {
            Vault::init(Arc::new(Directory::create(place)?), "host", &way, Cost::NORMAL)?
        };
        let now_ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis() as i64;
        let session = vault.begin(SessionOptions {
            source: "measured".to_owned(),
            domain: "measured".to_owned(),
            mode: DomainMode::Managed,
            basis: known.as_ref().map(BasisFile::snapshot),
            trust: Trust::Own,
            now_ms,
        })?;
        backup(session, tree, basis, known)?;
    }
    let wall = began.elapsed().as_secs_f64();
    let exact = clock_gettime(ClockId::ProcessCPUTime);
    let cpu = exact.tv_sec as f64 + exact.tv_nsec as f64 / 1e9;
    let (user, system, peak) = cost()?;
    println!("{wall:.2} s; CPU {cpu:.2} s (user {user:.2}, system {system:.2}); peak {peak} MiB");
    Ok(())
}
