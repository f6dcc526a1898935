//! A vault in a folder of this machine.
//!
//! Everything goes by a descriptor of the folder, so that a disk that is unmounted under a running keeper is never mistaken for
//! the empty folder it was mounted on.

use super::{Action, Lock, Object, Storage, StorageError, Unfinished};
use parking_lot::Mutex;
use rustix::fs::{self, AtFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const TEMPORARY: &str = "tmp";
const LOCK: &str = "lock";

/// A folder. Nobody but the user that keeps the vault can read what is in it.
pub struct Directory {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    root: OwnedFd,
    /// Folders that are known to be there.
    folders: Mutex<HashSet<String>>,
}

impl Directory {
    /// An existing folder.
    ///
    /// # Errors
    /// It is not there, is no folder, or cannot be read.
    pub fn open(path: &Path) -> Result<Directory, StorageError> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let root = fs::open(path, flags, Mode::empty())
            .map_err(|e| StorageError::from_io(Action::Read, path.display().to_string(), e.into()))?;
        // For messages only, which are read elsewhere than here.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Ok(Directory { shared: Arc::new(Shared { path, root, folders: Mutex::default() }) })
    }

    /// A folder that is made, with those above it, if it is not there yet.
    ///
    /// # Errors
    /// It cannot be made or read.
    pub fn create(path: &Path) -> Result<Directory, StorageError> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|e| StorageError::from_io(Action::Write, path.display().to_string(), e))?;
        Directory::open(path)
    }
}

impl Shared {
    fn path(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    fn error(&self, action: Action, name: &str, source: impl Into<io::Error>) -> StorageError {
        StorageError::from_io(action, self.path(name), source.into())
    }

    fn open(&self, name: &str, flags: OFlags) -> rustix::io::Result<File> {
        let mode = Mode::RUSR | Mode::WUSR;
        fs::openat(&self.root, name, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, mode).map(File::from)
    }

    /// Makes the folder of an object, durably.
    fn make_folder_of(&self, name: &str) -> Result<(), StorageError> {
        for (at, _) in name.match_indices('/') {
            let folder = &name[..at];
            if self.folders.lock().contains(folder) {
                continue;
            }
            match fs::mkdirat(&self.root, folder, Mode::RWXU) {
                Ok(()) => self.sync_folder(folder_of(folder))?,
                Err(Errno::EXIST) => {}
                Err(e) => return Err(self.error(Action::Write, folder, e)),
            }
            self.folders.lock().insert(folder.to_owned());
        }
        Ok(())
    }

    fn sync_folder(&self, folder: &str) -> Result<(), StorageError> {
        self.open(folder, OFlags::DIRECTORY | OFlags::RDONLY)
            .and_then(|file| fs::fsync(&file))
            .map_err(|e| self.error(Action::Write, folder, e))
    }

    /// Puts `temporary` under `name` unless that is taken.
    fn rename(&self, temporary: &str, name: &str) -> rustix::io::Result<()> {
        match fs::renameat_with(&self.root, temporary, &self.root, name, RenameFlags::NOREPLACE) {
            // Not every file system knows the flag. The lock makes looking first safe.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => match self.open(name, OFlags::PATH) {
                Ok(_) => Err(Errno::EXIST),
                Err(Errno::NOENT) => fs::renameat(&self.root, temporary, &self.root, name),
                Err(e) => Err(e),
            },
            result => result,
        }
    }

    fn entries(&self, folder: &str) -> Result<Vec<(String, bool)>, StorageError> {
        let wrong = |e: Errno| self.error(Action::List, folder, e);
        let file = match self.open(folder, OFlags::DIRECTORY | OFlags::RDONLY) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(Vec::new()),
            Err(e) => return Err(wrong(e)),
        };
        let mut entries = Vec::new();
        for entry in fs::Dir::new(file).map_err(wrong)? {
            let entry = entry.map_err(wrong)?;
            // A name that is no text is none of ours.
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name == "." || name == ".." {
                continue;
            }
            let is_folder = match entry.file_type() {
                FileType::Unknown => {
                    let stat = fs::statat(&self.root, format!("{folder}/{name}"), AtFlags::SYMLINK_NOFOLLOW);
                    FileType::from_raw_mode(stat.map_err(wrong)?.st_mode) == FileType::Directory
                }
                kind => kind == FileType::Directory,
            };
            entries.push((name.to_owned(), is_folder));
        }
        entries.sort_unstable();
        Ok(entries)
    }

    fn list_into(&self, folder: &str, names: &mut Vec<String>) -> Result<(), StorageError> {
        for (name, is_folder) in self.entries(if folder.is_empty() { "." } else { folder })? {
            let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            if is_folder {
                self.list_into(&name, names)?;
            } else {
                names.push(name);
            }
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        match fs::unlinkat(&self.root, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(self.error(Action::Delete, name, e)),
        }
    }

    /// Removes what a killed keeper was writing.
    fn sweep(&self) -> Result<(), StorageError> {
        for (name, is_folder) in self.entries(TEMPORARY)? {
            if !is_folder {
                self.remove(&format!("{TEMPORARY}/{name}"))?;
            }
        }
        Ok(())
    }
}

impl Storage for Directory {
    fn create(&self, name: &str) -> Result<Box<dyn Unfinished>, StorageError> {
        let temporary = format!("{TEMPORARY}/{}", hex::encode(rand::random::<[u8; 16]>()));
        self.shared.make_folder_of(&temporary)?;
        let file = self
            .shared
            .open(&temporary, OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY)
            .map_err(|e| self.shared.error(Action::Write, &temporary, e))?;
        Ok(Box::new(Temporary { shared: self.shared.clone(), file, temporary, name: name.to_owned(), renamed: false }))
    }

    fn open(&self, name: &str) -> Result<Arc<dyn Object>, StorageError> {
        let file = self.shared.open(name, OFlags::RDONLY).map_err(|e| self.shared.error(Action::Read, name, e))?;
        Ok(Arc::new(Opened { shared: self.shared.clone(), file, name: name.to_owned() }))
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StorageError> {
        let mut names = Vec::new();
        self.shared.list_into(prefix.trim_end_matches('/'), &mut names)?;
        Ok(names)
    }

    fn top(&self) -> Result<Vec<String>, StorageError> {
        let entries = self.shared.entries(".")?;
        Ok(entries.into_iter().map(|(name, is_folder)| if is_folder { name + "/" } else { name }).collect())
    }

    fn delete(&self, names: &[String]) -> Result<(), StorageError> {
        let mut folders = HashSet::new();
        for name in names {
            self.shared.remove(name)?;
            folders.insert(folder_of(name));
        }
        for folder in folders {
            match self.shared.sync_folder(folder) {
                Err(StorageError::NotFound { .. }) => {}
                result => result?,
            }
        }
        Ok(())
    }

    fn lock(&self) -> Result<Lock, StorageError> {
        let wrong = |e: io::Error| self.shared.error(Action::Lock, LOCK, e);
        let mut file = self.shared.open(LOCK, OFlags::CREATE | OFlags::RDWR).map_err(|e| wrong(e.into()))?;
        match fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let path = self.shared.path(LOCK);
                let text = io::read_to_string(&file).unwrap_or_default();
                return Err(match text.trim().parse() {
                    Ok(pid) => StorageError::Locked { path, pid },
                    Err(_) => StorageError::LockedByUnknown { path },
                });
            }
            Err(e) => return Err(wrong(e.into())),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(wrong)?;
        self.shared.sweep()?;
        Ok(Lock::new(file))
    }

    fn path(&self, name: &str) -> String {
        self.shared.path(name)
    }
}

fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or(".", |(folder, _)| folder)
}

struct Temporary {
    shared: Arc<Shared>,
    file: File,
    temporary: String,
    name: String,
    renamed: bool,
}

impl Unfinished for Temporary {
    fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.file.write_all(bytes).map_err(|e| self.shared.error(Action::Write, &self.name, e))
    }

    fn finish(mut self: Box<Self>) -> Result<(), StorageError> {
        let shared = self.shared.clone();
        self.file.sync_all().map_err(|e| shared.error(Action::Write, &self.name, e))?;
        shared.make_folder_of(&self.name)?;
        shared.rename(&self.temporary, &self.name).map_err(|e| shared.error(Action::Write, &self.name, e))?;
        self.renamed = true;
        shared.sync_folder(folder_of(&self.name))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // What stays behind here is swept when the vault is opened next.
            let _ = self.shared.remove(&self.temporary);
        }
    }
}

struct Opened {
    shared: Arc<Shared>,
    file: File,
    name: String,
}

impl Object for Opened {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError> {
        match self.file.read_exact_at(buffer, offset) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(StorageError::CutOff {
                path: self.shared.path(&self.name),
                length: self.length()?,
                end: offset.saturating_add(buffer.len() as u64),
            }),
            Err(e) => Err(self.shared.error(Action::Read, &self.name, e)),
        }
    }

    fn length(&self) -> Result<u64, StorageError> {
        let metadata = self.file.metadata().map_err(|e| self.shared.error(Action::Read, &self.name, e))?;
        Ok(metadata.len())
    }
}
