//! Folders of plugins for an administrator to load.

use crate::process::built;
use anyhow::{Context, Result};
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
    Ok(to)
}
