//! Private files: written whole or not at all, readable by nobody else.

use crate::CaError;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Makes `dir` with mode 0700, or closes one that exists to others.
pub(crate) fn private_dir(dir: &Path) -> Result<(), CaError> {
    let failed = |source| CaError::Io { path: dir.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    let mode = fs::metadata(dir).map_err(failed)?.mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(failed)?;
    }
    Ok(())
}

/// Reads a private file; `None` where there is none. A file that others may read is refused, not silently mended: its
/// secret may be known by now.
pub(crate) fn read_private(path: &Path) -> Result<Option<String>, CaError> {
    let failed = |source| CaError::Io { path: path.to_owned(), source };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(e)),
    };
    if metadata.mode() & 0o077 != 0 {
        return Err(CaError::Exposed { path: path.to_owned(), mode: metadata.mode() & 0o7777 });
    }
    fs::read_to_string(path).map(Some).map_err(failed)
}

/// Writes a new private file durably. Where another process was first, its file stays and is the one to be read.
pub(crate) fn create_private(path: &Path, text: &str) -> Result<(), CaError> {
    let (dir, fresh) = beside(path);
    let failed = |source| CaError::Io { path: path.to_owned(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).map_err(failed)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| match fs::hard_link(&fresh, path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    let removed = fs::remove_file(&fresh);
    linked.and(removed).and_then(|()| fs::File::open(dir)?.sync_all()).map_err(failed)
}

fn beside(path: &Path) -> (PathBuf, PathBuf) {
    let dir = path.parent().unwrap_or(Path::new(".")).to_owned();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = dir.join(format!(".{name}.{}", uuid::Uuid::new_v4()));
    (dir, fresh)
}
