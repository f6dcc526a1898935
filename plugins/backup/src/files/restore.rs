//! Writes what is in a snapshot back to disks.
//!
//! A snapshot is believed in nothing but its bytes: no name in it leads out of the place it is restored to, and what it asks for
//! beyond the rights of whoever restores is reported. Files are written beside their place and named when they are whole. A
//! restore that was cut off is run again: what is right already is passed over.
//!
//! It does not restore the times of access and of change, nor flags of single file systems.

mod content;
mod decide;
mod draft;
mod folder;
mod item;
mod links;
mod metadata;
mod problem;
mod shared;
mod walk;
mod worker;

pub use problem::{AtBackup, ChunkError, Step, There, Unwritten, WriteProblem};

use super::exclude::Excludes;
use super::owners::{OwnerNames, Owners};
use super::select::Selection;
use folder::{Folder, Opened};
use parking_lot::Mutex;
use rustix::io::Errno;
use shared::Shared;
use std::collections::HashMap;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use vault::{Entry, Streams, TreeError, TreeReader};
use walk::Walk;
use worker::Worker;

/// The chunks of a snapshot's files, by their position in *refs*.
pub trait ChunkSource: Sync {
    /// Hands over these chunks in order, each checked against its id, until `take` breaks.
    ///
    /// # Errors
    /// The chunk after those handed over is damaged, or none can be had any more.
    fn chunks(&self, positions: Range<u64>, take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<(), ChunkError>;
}

/// Who wants to know how a restore goes. Called from several threads.
pub trait Watch: Sync {
    /// Something could not be restored as it was.
    fn problem(&self, problem: WriteProblem);

    /// What would be done with a path of the snapshot; only if nothing is done.
    fn planned(&self, _path: &[u8], _action: Action) {}

    /// So many more bytes of files are on the disk.
    fn wrote(&self, _bytes: u64) {}

    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Where it was.
    Original,
    /// Into this folder, with the whole path: `/etc/hosts` becomes `folder/etc/hosts`.
    Beneath(PathBuf),
    /// Into this folder, each chosen path by its last name: `/etc/hosts` becomes `folder/hosts`.
    Into(PathBuf),
}

/// What happens where something else has the name. What is right already is left under every rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conflict {
    /// What is there is replaced, but no folder by a file. Folders that are there get the metadata of the snapshot.
    Overwrite,
    /// What is there stays.
    Keep,
    /// What is there stays if it was modified at the same time or later.
    KeepNewer,
    /// What is there stays, and is a problem.
    #[default]
    Refuse,
    /// What is there stays; what is restored gets another name beside it.
    Rename,
}

/// What is done with one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Create,
    Replace,
    /// The content is right; owner, permissions, attributes or time are set again.
    Mend,
    Right,
    Keep,
    Refuse,
    Beside,
    /// A folder is in the way.
    Blocked,
}

#[derive(Clone, Debug)]
pub struct RestoreOptions {
    pub to: Destination,
    pub what: Selection,
    pub except: Excludes,
    /// Metadata of the root itself, which has no entry in the tree. It is set where everything is restored: to the root of the
    /// machine, if that may be overwritten, or to a folder that is made for it.
    pub root: Option<Entry>,
    pub conflict: Conflict,
    /// A file that is there is compared byte by byte, and not only by size and time.
    pub compare_content: bool,
    pub owners: Owners,
    /// Names at the time of the backup, for [`Owners::ByName`].
    pub owner_names: OwnerNames,
    /// Nothing is written; [`Watch::planned`] is told what would be.
    pub only_look: bool,
    /// Returns when everything is on the disk, and not only in the memory of the system. Others who write to the same disk
    /// are waited for as well.
    pub wait_for_disk: bool,
    pub threads: usize,
}

impl RestoreOptions {
    /// Everything, to this place, next to nothing that exists.
    pub fn new(to: Destination) -> RestoreOptions {
        RestoreOptions {
            to,
            what: Selection::all(),
            except: Excludes::default(),
            root: None,
            conflict: Conflict::default(),
            compare_content: false,
            owners: Owners::default(),
            owner_names: OwnerNames::default(),
            only_look: false,
            wait_for_disk: true,
            threads: std::thread::available_parallelism().map_or(1, usize::from).min(8),
        }
    }
}

/// What a restore did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Made or entered.
    pub folders: u64,
    /// Written.
    pub files: u64,
    /// Further names of files.
    pub links: u64,
    /// Symbolic links, devices, pipes and sockets.
    pub others: u64,
    /// Bytes of content written, without holes.
    pub bytes: u64,
    /// Right already.
    pub right: u64,
    /// Left as they were, as asked.
    pub kept: u64,
    /// Of `files` and `others`: those that got another name.
    pub beside: u64,
    /// Problems that took away something.
    pub lost: u64,
    /// Problems that left something not quite as it was.
    pub doubtful: u64,
}

/// Why a restore ended before its time. What it had restored is whole.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("nothing was chosen: name at least one path of the snapshot")]
    Nothing,
    #[error(
        "`{}` and `{}` would both be restored as `{}` into one folder: restore them one after the other, or with their whole paths",
        first.display(), second.display(), Path::new(first.file_name().unwrap_or_default()).display()
    )]
    SameName { first: PathBuf, second: PathBuf },
    #[error("`{}` cannot be restored to: {cause}", path.display())]
    Destination { path: PathBuf, cause: Errno },
    #[error("the snapshot cannot be read")]
    Tree(#[source] TreeError),
    #[error("the vault cannot be read any more")]
    Lost(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(
        "nothing more can be written, from `{}` on ({cause}): make room and restore again; what is there will be passed over",
        super::Shown(path)
    )]
    Full { path: Vec<u8>, cause: Errno },
    #[error("it was cancelled")]
    Cancelled,
    #[error("no thread could be started")]
    Thread(#[source] std::io::Error),
}

/// Restores what was chosen of a snapshot.
///
/// # Errors
/// It could not begin or not go on. What goes wrong with single files is told to `watch`.
pub fn restore<S, C>(
    tree: &TreeReader<S>,
    chunks: &C,
    options: &RestoreOptions,
    watch: &dyn Watch,
) -> Result<Restored, RestoreError>
where
    S: Streams,
    C: ChunkSource,
{
    check(options)?;
    let path = match &options.to {
        Destination::Original => Path::new("/"),
        Destination::Beneath(folder) | Destination::Into(folder) => folder,
    };
    let destination = |cause| RestoreError::Destination { path: path.to_path_buf(), cause };
    let is_new = !path.exists();
    let opened = open_start(path, options.only_look).map_err(destination)?;
    let start = Folder::start(opened.clone(), root_entry(options, is_new)).map_err(destination)?;
    let shared = Shared::new(options, watch, opened);
    run(tree, chunks, &shared, start)?;
    shared.finish()
}

fn check(options: &RestoreOptions) -> Result<(), RestoreError> {
    if options.what.is_empty() {
        return Err(RestoreError::Nothing);
    }
    let Destination::Into(_) = options.to else { return Ok(()) };
    let mut names = HashMap::new();
    for path in options.what.paths() {
        if let Some(first) = path.file_name().and_then(|name| names.insert(name.to_owned(), path.clone())) {
            return Err(RestoreError::SameName { first, second: path });
        }
    }
    Ok(())
}

fn root_entry(options: &RestoreOptions, is_new: bool) -> Option<Entry> {
    let may = match options.to {
        Destination::Original => options.conflict == Conflict::Overwrite,
        Destination::Beneath(_) | Destination::Into(_) => is_new,
    };
    options.root.clone().filter(|_| may && options.what.whole && !options.only_look)
}

fn open_start(path: &Path, only_look: bool) -> Result<Option<Arc<Opened>>, Errno> {
    if !only_look {
        std::fs::create_dir_all(path).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    }
    match Opened::start(path) {
        Ok(opened) => Ok(Some(Arc::new(opened))),
        Err(Errno::NOENT) if only_look => Ok(None),
        Err(error) => Err(error),
    }
}

fn run<S, C>(tree: &TreeReader<S>, chunks: &C, shared: &Shared<'_>, start: Folder) -> Result<(), RestoreError>
where
    S: Streams,
    C: ChunkSource,
{
    let threads = shared.options.threads.clamp(1, 64);
    let (to, from) = sync_channel(threads);
    // Held by those who write alone, so that the walk ends when none of them is left.
    let from = Arc::new(Mutex::new(from));
    std::thread::scope(|scope| {
        let mut started = 0;
        for number in 0..threads {
            let from = from.clone();
            let write = move || write(&from, chunks, shared);
            match std::thread::Builder::new().name(format!("restore-{number}")).spawn_scoped(scope, write) {
                Ok(_) => started += 1,
                // Fewer will do.
                Err(_) if started > 0 => break,
                Err(error) => return Err(RestoreError::Thread(error)),
            }
        }
        drop(from);
        Walk::new(tree, shared, to).run(start).map_err(RestoreError::Tree)
    })
}

fn write<C: ChunkSource>(from: &Mutex<Receiver<Vec<item::Item>>>, chunks: &C, shared: &Shared<'_>) {
    let mut worker = Worker::new(shared, chunks);
    loop {
        let next = from.lock().recv();
        let Ok(items) = next else { return };
        worker.work(items);
    }
}
