//! The answers to what the kernel asks.

use super::attributes::{kind_of, of_entry, of_ours};
use super::content::{OpenFile, Seek};
use super::fault::{Complaints, Fault};
use super::known::Standing;
use super::number::{MOST_ENTRIES, Number};
use super::tree::{Node, Tree, Within};
use fuser::{
    AccessFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty,
    ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyXattr, Request,
};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use vault::{Attribute, Entry};

/// How long the kernel may believe what it was told of what changes: the list of snapshots.
const SOON: Duration = Duration::from_secs(1);
/// And of what does not.
const LONG: Duration = Duration::from_secs(3600);
/// Bytes of one answer with data.
const MOST_READ: u32 = 1 << 20;
/// As the kernel numbers them.
const SEEK_DATA: i32 = 3;
const SEEK_HOLE: i32 = 4;
/// What only root is shown, as on a disk.
const OF_ROOT: &[u8] = b"trusted.";

/// The file system.
pub(super) struct Shelf {
    pub(super) tree: Arc<Tree>,
    pub(super) complaints: Arc<Complaints>,
    /// Whether the kernel looks at modes and ACLs, since others than who opened the vault may look.
    pub(super) checked: bool,
    handles: Mutex<HashMap<u64, Handle>>,
    next: AtomicU64,
}

#[derive(Clone)]
enum Handle {
    File(Arc<OpenFile>),
    /// What stands above the snapshots.
    Ours(Arc<Vec<(String, Number)>>),
    Folder(Arc<Within>),
}

/// Something in a directory on its way to the kernel.
struct Line<'a> {
    /// Where the next one is.
    next: u64,
    name: &'a OsStr,
    number: Number,
    kind: FileType,
    what: What<'a>,
}

enum What<'a> {
    /// Something above the snapshots: the kernel asks again when anybody wants to know more.
    Ours,
    Entry(Standing, &'a Entry),
}

/// Takes one line of a directory; whether it has no room for it.
type Take<'a> = dyn FnMut(&Line<'_>) -> bool + 'a;

impl Shelf {
    pub(super) fn new(tree: Arc<Tree>, complaints: Arc<Complaints>, checked: bool) -> Shelf {
        Shelf { tree, complaints, checked, handles: Mutex::default(), next: AtomicU64::new(1) }
    }

    /// Runs `answer`; what it fails with is said to whoever runs the command, and its number is for the kernel.
    fn ask<T>(&self, inode: INodeNo, answer: impl FnOnce(Number) -> Result<T, Fault>) -> Result<T, Errno> {
        self.ask_within(inode, None, answer)
    }

    fn ask_within<T>(
        &self,
        inode: INodeNo,
        name: Option<&OsStr>,
        answer: impl FnOnce(Number) -> Result<T, Fault>,
    ) -> Result<T, Errno> {
        let number = Number::of(inode.0).ok_or(Errno::ESTALE)?;
        answer(number).map_err(|fault| {
            let fault = self.tree.explain(number, fault);
            self.complaints.make(|| self.tree.path(number, name), &fault);
            fault.errno()
        })
    }

    fn keep(&self, handle: Handle) -> FileHandle {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.handles.lock().insert(number, handle);
        FileHandle(number)
    }

    fn handle(&self, handle: FileHandle) -> Option<Handle> {
        self.handles.lock().get(&handle.0).cloned()
    }

    fn file(&self, handle: FileHandle) -> Result<Arc<OpenFile>, Errno> {
        match self.handle(handle) {
            Some(Handle::File(file)) => Ok(file),
            _ => Err(Errno::EBADF),
        }
    }

    /// Tells what is in a directory from this place on.
    fn list(&self, number: Number, handle: FileHandle, offset: u64, take: &mut Take<'_>) -> Result<(), Fault> {
        let above = self.tree.above(number);
        for (at, name, to) in [(0, ".", number), (1, "..", above)] {
            let (name, kind) = (OsStr::new(name), FileType::Directory);
            let line = Line { next: at + 1, name, number: to, kind, what: What::Ours };
            if offset <= at && take(&line) {
                return Ok(());
            }
        }
        let from = offset.max(2) - 2;
        match self.handle(handle) {
            Some(Handle::Ours(names)) => {
                list_ours(&names, from, take);
                Ok(())
            }
            Some(Handle::Folder(within)) => list_folder(&within, from, take),
            _ => Err(Fault::NoDirectory),
        }
    }

    /// Attributes by name, without those that only root is shown.
    fn attribute<T>(
        &self,
        request: &Request,
        inode: INodeNo,
        pick: impl FnOnce(Vec<&Attribute>) -> T,
    ) -> Result<T, Errno> {
        self.ask(inode, |number| {
            let node = self.tree.node(number)?;
            let all = node.entry().map(|entry| entry.attributes.as_slice()).unwrap_or_default();
            let is_root = request.uid() == 0;
            Ok(pick(all.iter().filter(|(name, _)| is_root || !name.starts_with(OF_ROOT)).collect()))
        })
    }
}

fn list_ours(names: &[(String, Number)], from: u64, take: &mut Take<'_>) {
    for (at, (name, number)) in (0..).zip(names).skip(usize::try_from(from).unwrap_or(usize::MAX)) {
        let kind = if matches!(number, Number::Latest(_)) { FileType::Symlink } else { FileType::Directory };
        if take(&Line { next: at + 3, name: OsStr::new(name), number: *number, kind, what: What::Ours }) {
            break;
        }
    }
}

fn list_folder(within: &Within, from: u64, take: &mut Take<'_>) -> Result<(), Fault> {
    let (first, mut skip) = (from as usize / MOST_ENTRIES, from as usize % MOST_ENTRIES);
    for (number, place) in within.folder.pages.iter().enumerate().skip(first) {
        let page = within.snapshot.page(*place)?;
        for (at, entry) in page.iter().enumerate().skip(std::mem::take(&mut skip)) {
            let standing = within.standing(*place, at as u16);
            let line = Line {
                next: (number * MOST_ENTRIES + at + 3) as u64,
                name: OsStr::from_bytes(&entry.name),
                number: Number::of_entry(within.snapshot.id, standing.spot, entry),
                kind: kind_of(entry),
                what: What::Entry(standing, entry),
            };
            if take(&line) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// How long the kernel may believe that something is there, and what it is.
fn age(number: Number) -> Duration {
    match number {
        Number::Entry(_) | Number::Link(_) => LONG,
        _ => SOON,
    }
}

/// Answers with as much as was asked for, or says how much there is.
fn reply_bytes(bytes: &[u8], size: u32, reply: ReplyXattr) {
    match u32::try_from(bytes.len()) {
        Ok(length) if size == 0 => reply.size(length),
        Ok(length) if length <= size => reply.data(bytes),
        _ => reply.error(Errno::ERANGE),
    }
}

impl Filesystem for Shelf {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let mut wanted =
            vec![InitFlags::FUSE_DO_READDIRPLUS, InitFlags::FUSE_READDIRPLUS_AUTO, InitFlags::FUSE_PARALLEL_DIROPS];
        if self.checked {
            wanted.push(InitFlags::FUSE_POSIX_ACL);
        }
        for flag in wanted {
            // A kernel that does not have it asks more often.
            let _ = config.add_capabilities(flag);
        }
        let _ = config.set_max_write(MOST_READ);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.ask_within(parent, Some(name), |parent| self.tree.look_up(parent, name.as_bytes())) {
            Ok(node) => {
                let attributes = node.attributes();
                let number = match &node {
                    Node::Entry(found) => {
                        self.tree.known.tell(found.number(), &found.standing);
                        found.number()
                    }
                    _ => Number::of(attributes.ino.0).unwrap_or(Number::Root),
                };
                reply.entry(&age(number), &attributes, Generation(0));
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn forget(&self, _: &Request, inode: INodeNo, times: u64) {
        if let Some(number) = Number::of(inode.0) {
            self.tree.known.forget(number, times);
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.ask(inode, |number| Ok((age(number), self.tree.node(number)?.attributes()))) {
            Ok((age, attributes)) => reply.attr(&age, &attributes),
            Err(errno) => reply.error(errno),
        }
    }

    fn readlink(&self, _: &Request, inode: INodeNo, reply: ReplyData) {
        let target = self.ask(inode, |number| match self.tree.node(number)? {
            Node::Ours(_, Some(target)) => Ok(target.into_bytes()),
            node => match node.entry().map(|entry| &entry.kind) {
                Some(vault::Kind::Symlink { target }) => Ok(target.clone()),
                _ => Err(Fault::NoLink),
            },
        });
        match target {
            Ok(target) => reply.data(&target),
            Err(errno) => reply.error(errno),
        }
    }

    fn open(&self, _: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.ask(inode, |number| self.tree.open(number)) {
            // What is in a snapshot never changes, so what was read of it may be kept.
            Ok(file) => {
                let flags = FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_NOFLUSH;
                reply.opened(self.keep(Handle::File(Arc::new(file))), flags);
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.file(handle).and_then(|file| self.ask(inode, |_| file.read(offset, size))) {
            Ok(bytes) => reply.data(&bytes),
            Err(errno) => reply.error(errno),
        }
    }

    fn lseek(&self, _: &Request, _: INodeNo, handle: FileHandle, offset: i64, whence: i32, reply: ReplyLseek) {
        let what = match whence {
            SEEK_DATA => Seek::Data,
            SEEK_HOLE => Seek::Hole,
            _ => return reply.error(Errno::EINVAL),
        };
        let found = self.file(handle).and_then(|file| {
            let offset = u64::try_from(offset).map_err(|_| Errno::ENXIO)?;
            let found = file.seek(offset, what).ok_or(Errno::ENXIO)?;
            i64::try_from(found).map_err(|_| Errno::EOVERFLOW)
        });
        match found {
            Ok(found) => reply.offset(found),
            Err(errno) => reply.error(errno),
        }
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.handles.lock().remove(&handle.0);
        reply.ok();
    }

    fn opendir(&self, _: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let opened = self.ask(inode, |number| {
            Ok(match self.tree.ours(number)? {
                Some(names) => {
                    for id in self.tree.shown.unreadable() {
                        self.complaints.make(|| format!("Snapshot {id}"), &Fault::Record);
                    }
                    (Handle::Ours(Arc::new(names)), FopenFlags::empty())
                }
                None => {
                    let kept = FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_CACHE_DIR;
                    (Handle::Folder(Arc::new(self.tree.within(number)?)), kept)
                }
            })
        });
        match opened {
            Ok((handle, flags)) => reply.opened(self.keep(handle), flags),
            Err(errno) => reply.error(errno),
        }
    }

    fn readdir(&self, _: &Request, inode: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let mut take = |line: &Line<'_>| reply.add(INodeNo(line.number.inode()), line.next, line.kind, line.name);
        match self.ask(inode, |number| self.list(number, handle, offset, &mut take)) {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn readdirplus(&self, _: &Request, inode: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectoryPlus) {
        let known = &self.tree.known;
        let mut take = |line: &Line<'_>| {
            let (age, attributes) = match &line.what {
                What::Ours => (Duration::ZERO, FileAttr { kind: line.kind, ..of_ours(line.number, 0, None) }),
                What::Entry(_, entry) => (LONG, of_entry(line.number, entry)),
            };
            let is_full = reply.add(attributes.ino, line.next, line.name, &age, &attributes, Generation(0));
            if let (What::Entry(standing, _), false) = (&line.what, is_full) {
                known.tell(line.number, standing);
            }
            is_full
        };
        match self.ask(inode, |number| self.list(number, handle, offset, &mut take)) {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.handles.lock().remove(&handle.0);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(0, 0, 0, 0, 0, 4096, 255, 4096);
    }

    fn getxattr(&self, request: &Request, inode: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let found = self.attribute(request, inode, |all| {
            all.into_iter().find(|(known, _)| known == name.as_bytes()).map(|(_, value)| value.clone())
        });
        match found.and_then(|found| found.ok_or(Errno::NO_XATTR)) {
            Ok(value) => reply_bytes(&value, size, reply),
            Err(errno) => reply.error(errno),
        }
    }

    fn listxattr(&self, request: &Request, inode: INodeNo, size: u32, reply: ReplyXattr) {
        let names = self.attribute(request, inode, |all| {
            let mut names = Vec::new();
            for (name, _) in all {
                names.extend_from_slice(name);
                names.push(0);
            }
            names
        });
        match names {
            Ok(names) => reply_bytes(&names, size, reply),
            Err(errno) => reply.error(errno),
        }
    }

    fn access(&self, _: &Request, _: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        if mask.contains(AccessFlags::W_OK) { reply.error(Errno::EROFS) } else { reply.ok() }
    }
}
