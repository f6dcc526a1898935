//! Folders of plugins for an administrator to load.

use crate::process::{built, root};
use anyhow::{Context, Result};
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder that holds the shared libraries of these crates.
pub fn folder(crates: &[&str]) -> Result<TempDir> {
    let folder = TempDir::new()?;
    for name in crates {
        put(name, folder.path())?;
    }
    Ok(folder)
}

/// Copies the shared library of a crate into a folder.
pub fn put(name: &str, folder: &Path) -> Result<PathBuf> {
    let file = format!("lib{}.so", name.replace('-', "_"));
    let to = folder.join(&file);
    std::fs::copy(built().join(&file), &to).with_context(|| format!("{file} was not built"))?;
    grant(name, folder)?;
    Ok(to)
}

/// What a shipped plugin is granted, as the build puts it beside the libraries.
fn grant(name: &str, folder: &Path) -> Result<()> {
    let Ok(grants) = std::fs::read_to_string(root().join("plugins").join(name).join("grants.toml")) else {
        return Ok(());
    };
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("grants.toml"))?;
    Ok(file.write_all(grants.replace("[plugin.", &format!("[{name}.")).as_bytes())?)
}

/// Where the echo plugin reads its name, and how long the place is.
const MARKER: &[u8] = b"bailiwick-test-plugin-name:|";
const MARKER_LENGTH: usize = 64;

/// Copies a library whose name can be changed, under this name.
pub fn put_named(crate_name: &str, name: &str, folder: &Path) -> Result<PathBuf> {
    let to = put(crate_name, folder)?;
    let mut bytes = std::fs::read(&to)?;
    let at = bytes.windows(MARKER.len()).position(|part| part == MARKER).context("the library has no marker")?;
    let place = &mut bytes[at + MARKER.len()..at + MARKER_LENGTH - 1];
    place.fill(b' ');
    place[..name.len()].copy_from_slice(name.as_bytes());
    std::fs::write(&to, bytes)?;
    Ok(to)
}
