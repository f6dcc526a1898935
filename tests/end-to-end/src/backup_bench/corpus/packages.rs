//! Versions of three Python packages, one after the other: what changes from release to release of real software.

use super::dice::{Dice, Words};
use super::put;
use crate::process::run;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Thirteen consecutive versions of each.
const PACKAGES: [(&str, [&str; 13]); 3] = [
    (
        "sympy",
        ["1.5", "1.5.1", "1.6", "1.6.1", "1.6.2", "1.7", "1.7.1", "1.8", "1.9", "1.10", "1.10.1", "1.11", "1.11.1"],
    ),
    (
        "networkx",
        ["2.5", "2.5.1", "2.6.2", "2.6.3", "2.7", "2.7.1", "2.8", "2.8.1", "2.8.2", "2.8.3", "2.8.4", "2.8.5", "2.8.6"],
    ),
    (
        "pip",
        [
            "23.0", "23.0.1", "23.1", "23.1.1", "23.1.2", "23.2", "23.2.1", "23.3", "23.3.1", "23.3.2", "24.0", "24.1",
            "24.1.1",
        ],
    ),
];

/// Unpacks as many versions of each below `to`, fetched once into `cache`.
pub(super) fn real(cache: &Path, to: &Path, versions: usize) -> Result<()> {
    fs::create_dir_all(cache)?;
    for (package, all) in PACKAGES {
        for version in &all[..versions.clamp(1, all.len())] {
            let wheel = match wheel(cache, package, version)? {
                Some(wheel) => wheel,
                None => {
                    let mut pip = Command::new("python3");
                    pip.args(["-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d"]).arg(cache);
                    run(pip.arg(format!("{package}=={version}")))?;
                    wheel(cache, package, version)?.with_context(|| format!("{package} {version} was not fetched"))?
                }
            };
            let folder = to.join(format!("{package}-{version}"));
            fs::create_dir_all(&folder)?;
            run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(wheel).arg(folder))?;
        }
    }
    Ok(())
}

fn wheel(cache: &Path, package: &str, version: &str) -> Result<Option<std::path::PathBuf>> {
    let beginning = format!("{package}-{version}-");
    let files = fs::read_dir(cache)?.flatten().map(|entry| entry.path());
    let named =
        |file: &std::path::PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&beginning));
    Ok(files.into_iter().find(named))
}

/// As many files and versions, made up: one file of twelve changes from version to version, and one of two hundred is new.
pub(super) fn made_up(to: &Path, versions: usize, scale: f64) -> Result<()> {
    let words = Words::new(11);
    for (number, (package, all)) in PACKAGES.iter().enumerate() {
        let mut dice = Dice::new(100 + number as u64);
        let files = ([1480.0, 640.0, 500.0][number] * scale).max(12.0) as usize;
        let mut tree: Vec<Vec<u8>> = (0..files).map(|_| file(&words, &mut dice)).collect();
        for version in &all[..versions.clamp(1, all.len())] {
            for (number, bytes) in tree.iter().enumerate() {
                put(&to.join(format!("{package}-{version}/{:02}/{number:04}.py", number % 40)), bytes)?;
            }
            for bytes in &mut tree {
                match dice.below(200) {
                    0 => *bytes = file(&words, &mut dice),
                    1..16 => {
                        let at = dice.below(bytes.len() as u64) as usize;
                        bytes.splice(at..at, words.text(&mut dice, 80));
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

fn file(words: &Words, dice: &mut Dice) -> Vec<u8> {
    let length = dice.size(512, 64 << 10);
    words.text(dice, length)
}
