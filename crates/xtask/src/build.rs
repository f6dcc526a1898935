//! The release: `dist/bailiwick`, `dist/bailiwick-agent`, `dist/plugins/*.so` and a link for each plugin.

use crate::workspace::{self, Package};
use crate::{console, process};
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a release holds.
pub(crate) struct Release {
    pub(crate) program: PathBuf,
    pub(crate) plugins: PathBuf,
}

/// Builds what changed in the release profile and puts it into `dist/`.
pub(crate) fn release() -> Result<Release> {
    build("release")
}

/// The same in a profile that is built in half the time, to be started at once.
pub(crate) fn quick() -> Result<Release> {
    build("up")
}

fn build(profile: &str) -> Result<Release> {
    console::require()?;
    console::build()?;
    let plugins: Vec<Package> = workspace::packages()?.into_iter().filter(Package::is_plugin).collect();
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--profile", profile, "--locked", "--package", "cli", "--package", "agent"]);
    for plugin in &plugins {
        cargo.args(["--package", &plugin.name]);
    }
    process::run(cargo.env("CONSOLE_REQUIRED", "1").current_dir(workspace::root()))?;
    collect(&plugins, profile)
}

fn collect(plugins: &[Package], profile: &str) -> Result<Release> {
    let built = workspace::target_folder().join(profile);
    let dist = workspace::root().join("dist");
    let folder = dist.join("plugins");
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let program = dist.join("bailiwick");
    place(&built.join("bailiwick"), &program)?;
    place(&built.join("bailiwick-agent"), &dist.join("bailiwick-agent"))?;
    let mut kept = Vec::new();
    for plugin in plugins {
        let library = folder.join(plugin.library());
        if place(&built.join(plugin.library()), &library)? || link_of(&dist, &library).is_none() {
            link(&program, &dist, &library)?;
        }
        kept.push(library);
    }
    remove_others(&dist, &folder, &kept)?;
    fs::write(folder.join("grants.toml"), grants(plugins, &folder)?).context("the grants cannot be written")?;
    Ok(Release { program, plugins: folder })
}

/// What the plugins of this repository are granted out of the box: each says so in its own folder, for both roles.
fn grants(plugins: &[Package], folder: &Path) -> Result<String> {
    let mut text = String::new();
    for plugin in plugins {
        let file = plugin.manifest_path.with_file_name("grants.toml");
        let name = fs::read_to_string(note(&folder.join(plugin.library()))).unwrap_or_default();
        match fs::read_to_string(&file) {
            Ok(grants) => text.push_str(&grants.replace("[plugin.", &format!("[{}.", name.trim()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", file.display())),
        }
    }
    Ok(text)
}

/// Puts `from` at `to` unless it is there already; `true` when it was put. A file in use is never written over: the
/// new one takes its name.
fn place(from: &Path, to: &Path) -> Result<bool> {
    let built = fs::metadata(from).with_context(|| format!("{} was not built", from.display()))?;
    if let Ok(placed) = fs::metadata(to) {
        let same_file = placed.ino() == built.ino() && placed.dev() == built.dev();
        let same_time = placed.len() == built.len() && placed.modified()? == built.modified()?;
        if !same_file && same_time {
            return Ok(false);
        }
    }
    let beside = to.with_extension("new");
    fs::copy(from, &beside).with_context(|| format!("{} cannot be written", beside.display()))?;
    fs::File::options().append(true).open(&beside)?.set_modified(built.modified()?)?;
    fs::rename(&beside, to).with_context(|| format!("{} cannot be written", to.display()))?;
    Ok(true)
}

/// Where the name of each plugin is remembered between builds: the link points at the program, not at the library.
fn note(library: &Path) -> PathBuf {
    library.with_extension("name")
}

fn link_of(dist: &Path, library: &Path) -> Option<PathBuf> {
    let name = fs::read_to_string(note(library)).ok()?;
    let link = dist.join(format!("bailiwick-{name}"));
    link.exists().then_some(link)
}

/// `dist/bailiwick-<name>`: the program under the name of one plugin, which the plugin itself tells.
fn link(program: &Path, dist: &Path, library: &Path) -> Result<()> {
    let name = process::output(Command::new(program).args(["module", "name"]).arg(library))?;
    let name = name.trim();
    let link = dist.join(format!("bailiwick-{name}"));
    if fs::symlink_metadata(&link).is_ok() {
        fs::remove_file(&link)?;
    }
    symlink("bailiwick", &link).with_context(|| format!("{} cannot be made", link.display()))?;
    Ok(fs::write(note(library), name)?)
}

/// Plugins that are no longer part of the repository.
fn remove_others(dist: &Path, folder: &Path, kept: &[PathBuf]) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "so") && !kept.contains(&file) {
            if let Some(link) = link_of(dist, &file) {
                fs::remove_file(link)?;
            }
            fs::remove_file(note(&file)).ok();
            fs::remove_file(&file)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_changed_file_is_placed_again_and_the_old_one_stays_readable() {
        let folder = std::env::temp_dir().join(format!("bailiwick-place-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (from, to) = (folder.join("from"), folder.join("to"));
        fs::write(&from, "one").unwrap();
        assert!(place(&from, &to).unwrap());
        assert!(!place(&from, &to).unwrap());
        let open = fs::File::open(&to).unwrap();
        fs::write(&from, "three").unwrap();
        assert!(place(&from, &to).unwrap());
        assert_eq!(std::io::read_to_string(open).unwrap(), "one");
        assert_eq!(fs::read_to_string(&to).unwrap(), "three");
        fs::remove_dir_all(&folder).unwrap();
    }
}
