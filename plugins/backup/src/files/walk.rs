//! Goes through what was named on a machine and hands it to the writer of a snapshot.
//!
//! Several paths become one tree from the root, with the folders that lead to them. What cannot be read, changes or vanishes
//! meanwhile is told by its path, and the rest goes on.

mod enter;
mod file;
mod folder;

pub use file::MachineFile;

use super::attributes::{self, Bearer};
use super::exclude::Excludes;
use super::listing::{Listing, NoListing};
use super::look::{Look, link_target};
use super::owners::{OwnerNames, Seen};
use super::problem::{Problem, ReadProblem, Severity, Unread};
use super::select::Selection;
use super::trail::Trail;
use enter::{Above, Rules};
use file::Problems;
use folder::{Descriptors, Folder};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::collections::btree_map;
use std::path::PathBuf;
use std::sync::Arc;
use vault::{Content, Entry, Kind, Place, Receiver, SnapshotWriter, UploadError, WriteError};

/// Bytes of names of all folders that the walk is in; beyond them they go to the scratch folder.
const NAMES: usize = 12 << 20;
/// Bytes that one folder may always have.
const LEAST_NAMES: usize = 64 << 10;
/// Folders above the one being read that are kept open.
const OPEN: usize = 48;

#[derive(Clone, Debug)]
pub struct WalkOptions {
    /// Relative ones are below `base`.
    pub paths: Vec<PathBuf>,
    pub base: PathBuf,
    /// Everything has to lie within one of these, where links have led; anywhere where there are none.
    pub within: Vec<PathBuf>,
    pub excludes: Excludes,
    /// Stays on the file systems of the paths that were named. Otherwise file systems on the machine's own disks are entered
    /// as well.
    pub one_file_system: bool,
    /// Leaves out what is in folders that a `CACHEDIR.TAG` marks.
    pub skip_caches: bool,
    /// Folders that backups are kept in.
    pub leave_out: Vec<PathBuf>,
    /// Where lists go that are too long for memory.
    pub scratch: PathBuf,
}

/// Who wants to know how a walk goes.
pub trait WalkWatch {
    /// Something is not in the snapshot as it is on the machine, or was left out.
    fn problem(&mut self, problem: ReadProblem);

    fn is_cancelled(&self) -> bool {
        false
    }
}

impl<F: FnMut(ReadProblem)> WalkWatch for F {
    fn problem(&mut self, problem: ReadProblem) {
        self(problem);
    }
}

/// What a walk saw beside what it wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// Of the root itself, which has no entry in the tree; only if it was named.
    pub root: Option<Entry>,
    pub owners: OwnerNames,
    /// Left out by pattern.
    pub excluded: u64,
    /// Problems that took something away, so that the snapshot is incomplete.
    pub lost: u64,
    /// Files that may not be what they were at any one moment, or were gone at the next.
    pub doubtful: u64,
}

impl Walked {
    /// Whether everything that was there is in the snapshot as it was.
    pub fn is_whole(&self) -> bool {
        self.lost == 0 && self.doubtful == 0
    }
}

/// Why a walk ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum WalkError<E: std::error::Error + 'static> {
    #[error("nothing is there to be backed up: none of the paths exists")]
    Nothing,
    #[error("{0} is not among what may be backed up of this machine")]
    Outside(PathBuf),
    #[error("the root of this machine cannot be opened: {0}")]
    Root(#[source] Errno),
    #[error(transparent)]
    Write(#[from] WriteError<E>),
}

/// Writes everything that was named. The snapshot is still to be finished.
///
/// # Errors
/// Nothing of what was named is there, or the snapshot cannot be written.
pub fn walk<R: Receiver + 'static>(
    writer: &mut SnapshotWriter<R, MachineFile>,
    options: &WalkOptions,
    watch: &mut dyn WalkWatch,
) -> Result<Walked, WalkError<R::Error>> {
    let (selection, problems) = Selection::of_paths(&options.paths, &options.base);
    let mut walk = Walk {
        writer,
        options,
        watch,
        rules: Rules::new(options),
        descriptors: Descriptors::of_process(),
        above: Above::default(),
        stack: Vec::new(),
        names: 0,
        seen: Seen::default(),
        problems: Problems::default(),
        walked: Walked::default(),
    };
    problems.into_iter().for_each(|problem| walk.tell(problem));
    if selection.is_empty() {
        return Err(WalkError::Nothing);
    }
    // From here on no link is followed: what is looked at now is what is read.
    let is_within = |path: &PathBuf| options.within.iter().any(|within| path.starts_with(within));
    if let Some(outside) = selection.paths().into_iter().find(|path| !options.within.is_empty() && !is_within(path)) {
        return Err(WalkError::Outside(outside));
    }
    if !std::path::Path::new("/proc/self/fd").exists() {
        walk.tell(Problem { path: b"/proc".to_vec(), what: Unread::NoProc });
    }
    walk.run(&selection)
}

struct Walk<'a, R: Receiver> {
    writer: &'a mut SnapshotWriter<R, MachineFile>,
    options: &'a WalkOptions,
    watch: &'a mut dyn WalkWatch,
    rules: Rules<'a>,
    descriptors: Arc<Descriptors>,
    above: Above,
    stack: Vec<Frame<'a>>,
    /// Bytes of names that are in memory.
    names: usize,
    seen: Seen,
    problems: Problems,
    walked: Walked,
}

/// A folder that the walk is in.
struct Frame<'a> {
    /// Closed while the walk is far below.
    folder: Option<Arc<Folder>>,
    trail: Arc<Trail>,
    look: Look,
    /// Its own entry; the root has none.
    entry: Option<Entry>,
    names: Names<'a>,
    /// Everything in it is wanted.
    whole: bool,
    /// What was named in it.
    named: Option<&'a Selection>,
}

enum Names<'a> {
    All(Listing),
    Named(btree_map::Keys<'a, Vec<u8>, Selection>),
    Only(Option<&'static [u8]>),
}

impl Names<'_> {
    fn size(&self) -> usize {
        match self {
            Names::All(listing) => listing.size(),
            Names::Named(_) | Names::Only(_) => 0,
        }
    }
}

/// A name that is looked at.
struct Found<'a> {
    name: Vec<u8>,
    folder: Arc<Folder>,
    look: Look,
    whole: bool,
    named: Option<&'a Selection>,
}

type Done<R> = Result<(), WriteError<<R as Receiver>::Error>>;

impl<'a, R: Receiver + 'static> Walk<'a, R> {
    fn run(mut self, selection: &'a Selection) -> Result<Walked, WalkError<R::Error>> {
        let (folder, look) = enter::begin(selection.whole, &self.descriptors).map_err(WalkError::Root)?;
        if selection.whole {
            // Nothing is above it.
            let _first = self.above.enter(look.identity(), 0);
            self.walked.root = self.root(&folder, &look);
        }
        self.push(folder, look, None, selection.whole, Some(selection));
        while let Some(top) = self.stack.last_mut() {
            if self.watch.is_cancelled() {
                return Err(WriteError::Upload(UploadError::Cancelled).into());
            }
            let next = match &mut top.names {
                Names::All(listing) => listing.next().map(|name| name.map(<[u8]>::to_vec)),
                Names::Named(names) => Ok(names.next().cloned()),
                Names::Only(name) => Ok(name.take().map(<[u8]>::to_vec)),
            };
            match next {
                Ok(Some(name)) => self.name(name)?,
                Ok(None) => self.pop()?,
                Err(error) => {
                    self.unlisted(error);
                    self.pop()?;
                }
            }
            self.drain();
        }
        self.writer.settle()?;
        self.drain();
        self.walked.owners = self.seen.names();
        Ok(self.walked)
    }

    fn root(&mut self, folder: &Folder, look: &Look) -> Option<Entry> {
        let mut root = look.entry(b"root", Kind::Directory(Place::default()));
        let read = attributes::read(Bearer::Name { folder: folder.open(), name: b"." });
        root.attributes = read.found;
        for (name, cause) in read.unread {
            self.tell_of(&folder.trail, b"", Unread::Attribute { name, cause });
        }
        self.seen.entry(&root);
        let (root, wrong) = root.mended();
        for unfit in wrong {
            self.tell_of(&folder.trail, b"", Unread::Unfit(unfit));
        }
        root
    }

    fn push(
        &mut self,
        folder: Arc<Folder>,
        look: Look,
        entry: Option<Entry>,
        whole: bool,
        named: Option<&'a Selection>,
    ) {
        let only = whole.then(|| self.rules.only(folder.open())).flatten();
        let names = match (named, only) {
            (Some(named), _) if !whole => Names::Named(named.below.keys()),
            (_, Some(only)) => Names::Only(Some(only)),
            _ => {
                let room = NAMES.saturating_sub(self.names).max(LEAST_NAMES);
                match Listing::of(folder.descriptor(), &self.options.scratch, room) {
                    Ok(listing) => Names::All(listing),
                    Err(error) => {
                        self.tell_of(&folder.trail, b"", unlisted(&error));
                        Names::Only(None)
                    }
                }
            }
        };
        self.names += names.size();
        let trail = folder.trail.clone();
        self.stack.push(Frame { folder: Some(folder), trail, look, entry, names, whole, named });
        if let Some(far) = self.stack.len().checked_sub(OPEN + 1) {
            self.stack[far].folder = None;
        }
    }

    fn pop(&mut self) -> Done<R> {
        let Some(Frame { folder, look, entry, names, whole, .. }) = self.stack.pop() else { return Ok(()) };
        self.names -= names.size();
        if whole {
            self.above.leave(look.identity());
        }
        if let Some(above) = self.stack.last_mut().filter(|above| above.folder.is_none()) {
            above.folder = folder::reopen(folder.as_deref(), &above.trail, above.look.identity(), &self.descriptors);
            if above.folder.is_none() {
                above.names = Names::Only(None);
                let trail = above.trail.clone();
                self.tell_of(&trail, b"", Unread::Moved);
            }
        }
        match entry {
            Some(entry) => {
                self.seen.entry(&entry);
                self.writer.end_directory(entry)
            }
            None => Ok(()),
        }
    }

    fn name(&mut self, name: Vec<u8>) -> Done<R> {
        let Some(top) = self.stack.last() else { return Ok(()) };
        let Some(folder) = top.folder.clone() else { return Ok(()) };
        let named = top.named.and_then(|named| named.below.get(&name));
        let whole = top.whole || named.is_some_and(|named| named.whole);
        let look = match Look::at(folder.open(), &name) {
            Ok(look) => look,
            Err(error) => {
                let what = if error == Errno::NOENT { Unread::Vanished } else { Unread::Hidden(error) };
                self.tell_of(&folder.trail, &name, what);
                return Ok(());
            }
        };
        let is_folder = look.kind == FileType::Directory;
        let excludes = &self.options.excludes;
        if named.is_none() && !excludes.is_empty() && excludes.leave_out(&folder.trail.path(&name), is_folder) {
            self.walked.excluded += 1;
            return Ok(());
        }
        let found = Found { name, folder, look, whole, named };
        let refused = match look.kind {
            FileType::Directory => return self.folder(found),
            _ if !whole => Some(Unread::Replaced),
            _ if named.is_some() => self.rules.check_named(found.folder.open(), &look).err(),
            _ => None,
        };
        match (refused, look.kind) {
            (Some(what), _) => {
                self.tell_of(&found.folder.trail, &found.name, what);
                Ok(())
            }
            (None, FileType::RegularFile) => self.file(found),
            _ => self.other(found),
        }
    }

    fn folder(&mut self, found: Found<'a>) -> Done<R> {
        let Found { name, folder, look, whole, named } = found;
        let opened = if whole {
            let above = self.stack.last().map_or(look, |above| above.look);
            let is_named = named.is_some_and(|named| named.whole);
            self.rules.enter((folder.open(), &above), &name, &look, is_named)
        } else {
            enter::pass(folder.open(), &name)
        };
        let opened = opened.and_then(|open| match whole.then(|| self.above.enter(look.identity(), self.stack.len())) {
            Some(Err(depth)) => Err(Unread::Loop { above: self.stack[depth].trail.path(b"") }),
            _ => Ok(open),
        });
        if matches!(opened, Err(Unread::Vanished)) {
            self.tell_of(&folder.trail, &name, Unread::Vanished);
            return Ok(());
        }
        let mut entry = look.entry(&name, Kind::Directory(Place::default()));
        self.attributes(&folder, &mut entry);
        self.writer.begin_directory(&name)?;
        match opened {
            Ok(open) => {
                let trail = folder.trail.name(&name, &name);
                self.push(Folder::new(open, trail, &self.descriptors), look, Some(entry), whole, named);
                Ok(())
            }
            Err(what) => {
                self.tell_of(&folder.trail, &name, what);
                self.seen.entry(&entry);
                self.writer.end_directory(entry)
            }
        }
    }

    fn file(&mut self, found: Found<'a>) -> Done<R> {
        let Found { name, folder, look, .. } = found;
        let mut entry = look.entry(&name, Kind::File(Content { size: look.size, ..Content::default() }));
        let unchanged = self.writer.before(&name).is_some_and(|before| entry.is_unchanged_since(before));
        self.attributes(&folder, &mut entry);
        self.seen.entry(&entry);
        if unchanged {
            return self.writer.unchanged(entry);
        }
        let source = MachineFile::new(&folder, &name, look, &self.problems);
        drop(folder);
        self.writer.file(entry, source)?;
        if self.descriptors.are_many() { self.writer.settle() } else { Ok(()) }
    }

    /// Links, devices, pipes and sockets.
    fn other(&mut self, found: Found<'a>) -> Done<R> {
        let Found { name, folder, look, .. } = found;
        let (major, minor) = (rustix::fs::major(look.stands_for), rustix::fs::minor(look.stands_for));
        let kind = match look.kind {
            FileType::Symlink => link_target(folder.open(), &name).map(|target| Kind::Symlink { target }),
            FileType::Fifo => Ok(Kind::Fifo),
            FileType::Socket => Ok(Kind::Socket),
            FileType::CharacterDevice => Ok(Kind::CharacterDevice { major, minor }),
            FileType::BlockDevice => Ok(Kind::BlockDevice { major, minor }),
            _ => Err(Errno::INVAL),
        };
        match kind {
            Ok(kind) => {
                let mut entry = look.entry(&name, kind);
                self.attributes(&folder, &mut entry);
                self.seen.entry(&entry);
                self.writer.entry(entry)
            }
            Err(cause) => {
                let what = match cause {
                    Errno::NOENT => Unread::Vanished,
                    // It is no link any more.
                    Errno::INVAL => Unread::Replaced,
                    cause => Unread::Hidden(cause),
                };
                self.tell_of(&folder.trail, &name, what);
                Ok(())
            }
        }
    }

    /// Attributes of something in a folder: those of the basis, if the time of its change says that they are the same.
    fn attributes(&mut self, folder: &Folder, entry: &mut Entry) {
        if let Some(before) = self.writer.before(&entry.name).filter(|before| entry.bears_the_times_of(before)) {
            entry.attributes.clone_from(&before.attributes);
            return;
        }
        let read = attributes::read(Bearer::Name { folder: folder.open(), name: &entry.name });
        entry.attributes = read.found;
        for (name, cause) in read.unread {
            self.tell_of(&folder.trail, &entry.name, Unread::Attribute { name, cause });
        }
    }

    fn unlisted(&mut self, error: NoListing) {
        if let Some(top) = self.stack.last() {
            let trail = top.trail.clone();
            self.tell_of(&trail, b"", unlisted(&error));
        }
    }

    /// Tells what came up where files are read.
    fn drain(&mut self) {
        let problems = std::mem::take(&mut *self.problems.lock());
        problems.into_iter().for_each(|problem| self.tell(problem));
        for failure in self.writer.failures() {
            let problem = failure.source.about(file::unread(failure.error));
            self.tell(problem);
        }
        for refused in self.writer.refused() {
            self.tell(Problem { path: [b"/", &refused.path[..]].concat(), what: Unread::Unfit(refused.unfit) });
        }
    }

    fn tell_of(&mut self, folder: &Arc<Trail>, name: &[u8], what: Unread) {
        self.tell(Problem { path: folder.path(name), what });
    }

    fn tell(&mut self, problem: ReadProblem) {
        match problem.what.severity() {
            Severity::Note => {}
            Severity::Doubt => self.walked.doubtful += 1,
            Severity::Loss => self.walked.lost += 1,
        }
        self.watch.problem(problem);
    }
}

fn unlisted(error: &NoListing) -> Unread {
    match error {
        NoListing::Folder(cause) => Unread::Unreadable(*cause),
        NoListing::Scratch(cause) => Unread::NoScratch(*cause),
    }
}
