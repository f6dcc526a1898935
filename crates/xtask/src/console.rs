//! The console's packages and its build, each only when something changed.

use crate::{packages, process, workspace};
use anyhow::{Context, Result};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

/// Makes sure that node and npm are there.
pub(crate) fn require() -> Result<()> {
    packages::require(packages::BUILD)
}

/// The console's folder.
pub(crate) fn folder() -> PathBuf {
    workspace::root().join("console")
}

/// Installs the packages that a lock file names into the folder it lies in, unless that was done before.
pub(crate) fn install(folder: &Path) -> Result<()> {
    let lock = fs::read(folder.join("package-lock.json"))
        .with_context(|| format!("{} cannot be read", folder.join("package-lock.json").display()))?;
    let stamp = folder.join("node_modules/.installed-lock");
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(folder);
    process::run(&mut npm).with_context(|| format!("the packages of {} are not installed", folder.display()))?;
    fs::write(&stamp, lock).with_context(|| format!("{} cannot be written", stamp.display()))
}

/// Builds `console/dist` unless it was built from the same sources before.
pub(crate) fn build() -> Result<()> {
    let folder = folder();
    install(&folder)?;
    let sources = fingerprint(&folder)?;
    let stamp = workspace::target_folder().join("xtask/console.sources");
    let built = folder.join("dist/index.html").is_file();
    if built && fs::read_to_string(&stamp).is_ok_and(|before| before == sources) {
        return Ok(());
    }
    process::run(Command::new("npm").args(["run", "--silent", "build"]).current_dir(&folder))
        .context("the console does not build")?;
    fs::create_dir_all(stamp.parent().expect("the stamp lies in a folder"))?;
    fs::write(&stamp, sources).with_context(|| format!("{} cannot be written", stamp.display()))
}

/// Name, size and time of every source file, a line each.
fn fingerprint(folder: &Path) -> Result<String> {
    let mut files = Vec::new();
    list(folder, &mut files)?;
    files.sort();
    let mut text = String::new();
    for file in files {
        let metadata = fs::metadata(&file)?;
        let changed = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = file.strip_prefix(folder).unwrap_or(&file);
        writeln!(text, "{} {} {}", name.display(), metadata.len(), changed.as_nanos())?;
    }
    Ok(text)
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        let kind = entry.file_type()?;
        if kind.is_dir() && name != "node_modules" && name != "dist" && name != "e2e" {
            list(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_new_or_removed_source_changes_the_fingerprint() {
        let folder = std::env::temp_dir().join(format!("bailiwick-console-{}", std::process::id()));
        fs::create_dir_all(folder.join("node_modules")).unwrap();
        fs::write(folder.join("a.ts"), "1").unwrap();
        let first = fingerprint(&folder).unwrap();
        fs::write(folder.join("node_modules/x.js"), "1").unwrap();
        assert_eq!(fingerprint(&folder).unwrap(), first, "packages are no sources");
        fs::write(folder.join("a.ts"), "12").unwrap();
        let changed = fingerprint(&folder).unwrap();
        assert_ne!(changed, first);
        fs::write(folder.join("b.ts"), "1").unwrap();
        assert_ne!(fingerprint(&folder).unwrap(), changed);
        fs::remove_file(folder.join("a.ts")).unwrap();
        fs::remove_file(folder.join("b.ts")).unwrap();
        assert_eq!(fingerprint(&folder).unwrap(), "");
        fs::remove_dir_all(&folder).unwrap();
    }
}
