//! What happens to a tree between two backups: insertions, deletions, renames, and one byte in front of every tar.

use super::dice::{Dice, Words};
use super::{PAGE, files_below, image, page};
use anyhow::Result;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Changes a mixed tree in place, always in the same way.
pub(in crate::backup_bench) fn mutate(tree: &Path) -> Result<()> {
    let (mut dice, words) = (Dice::new(500), Words::new(11));
    for path in files_below(&tree.join("packages"))? {
        match dice.below(1000) {
            0..10 => edit(&path, |bytes| {
                let at = dice.below(bytes.len() as u64 + 1) as usize;
                bytes.splice(at..at, words.text(&mut dice, 60));
            })?,
            10..15 => edit(&path, |bytes| {
                let from = dice.below(bytes.len() as u64 + 1) as usize;
                let to = (from + 64 + dice.below(960) as usize).min(bytes.len());
                bytes.drain(from..to);
            })?,
            15..20 => fs::remove_file(&path)?,
            20..30 => fs::rename(&path, path.with_added_extension("renamed"))?,
            _ => {}
        }
    }
    let mut folders: Vec<_> = fs::read_dir(tree.join("packages"))?.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    for folder in folders.iter().step_by(5) {
        fs::rename(folder, folder.with_added_extension("moved"))?;
    }
    for tar in files_below(&tree.join("tars"))? {
        edit(&tar, |bytes| bytes.insert(0, b'x'))?;
    }
    database(&tree.join("database"), &mut dice, &words)?;
    for number in 0..4 {
        image(&tree.join("image"), 600 + number)?;
    }
    let media = files_below(&tree.join("media"))?;
    fs::rename(&media[0], media[0].with_added_extension("renamed"))?;
    Ok(fs::remove_file(&media[media.len() - 1])?)
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
    let mut bytes = fs::read(path)?;
    change(&mut bytes);
    Ok(fs::write(path, bytes)?)
}

/// One page of a hundred is written anew.
fn database(path: &Path, dice: &mut Dice, words: &Words) -> Result<()> {
    let file = File::options().write(true).open(path)?;
    let pages = file.metadata()?.len() / PAGE;
    for _ in 0..pages.div_ceil(100) {
        let number = dice.below(pages);
        file.write_all_at(&page(number, dice, words), number * PAGE)?;
    }
    Ok(())
}
