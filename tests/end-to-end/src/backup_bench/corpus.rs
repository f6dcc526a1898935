//! What is backed up: trees made from fixed seeds, and versions of real packages where they can be had.

mod dice;
mod mutate;
mod packages;

pub(super) use mutate::mutate;

use super::Options;
use crate::process::run;
use anyhow::{Context, Result, ensure};
use dice::{Dice, Words};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

const MIB: u64 = 1 << 20;
const PAGE: u64 = 8 << 10;
/// The trees, each below a folder that nobody writes to.
pub(super) struct Corpus {
    folder: PathBuf,
    /// Whether the packages are real.
    pub(super) is_real: bool,
    /// Machines that have most of their files in common.
    pub(super) clients: usize,
}

/// What a tree is, as it is printed.
pub(super) struct Extent {
    pub(super) files: u64,
    pub(super) bytes: u64,
    /// Of all paths and contents.
    pub(super) hash: String,
}

impl Corpus {
    /// Makes the trees that are not there yet.
    pub(super) fn prepare(options: &Options) -> Result<Corpus> {
        let kind = if options.made_up { "made-up" } else { "real" };
        let folder = options.folder.join(format!("corpus-{kind}-{}", options.scale));
        let clients = (10.0 * options.scale).clamp(2.0, 10.0) as usize;
        let corpus = Corpus { is_real: !options.made_up, clients, folder };
        corpus.make("mixed", |tree| corpus.mixed(options, tree))?;
        corpus.make("small", |tree| small(tree, options.scale))?;
        corpus.make("clients", |tree| make_clients(tree, clients, options.scale))?;
        Ok(corpus)
    }

    /// Packages, tars of them, media, a database and a disk image.
    pub(super) fn mixed_tree(&self) -> PathBuf {
        self.folder.join("mixed")
    }

    pub(super) fn small_tree(&self) -> PathBuf {
        self.folder.join("small")
    }

    pub(super) fn clients_tree(&self) -> PathBuf {
        self.folder.join("clients")
    }

    fn make(&self, name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let (tree, draft) = (self.folder.join(name), self.folder.join(format!("{name}.new")));
        if tree.exists() {
            return Ok(());
        }
        if draft.exists() {
            fs::remove_dir_all(&draft)?;
        }
        fs::create_dir_all(&draft).with_context(|| format!("{} cannot be made", draft.display()))?;
        fill(&draft)?;
        Ok(fs::rename(draft, tree)?)
    }

    fn mixed(&self, options: &Options, tree: &Path) -> Result<()> {
        let scale = options.scale;
        let (packages, versions) = (tree.join("packages"), (13.0 * scale).ceil().max(2.0) as usize);
        if self.is_real {
            let cache = options.folder.join("wheels");
            packages::real(&cache, &packages, versions)
                .context("The packages cannot be fetched; --made-up has the bench make files in their place.")?;
        } else {
            packages::made_up(&packages, versions, scale)?;
        }
        fs::create_dir(tree.join("tars"))?;
        for entry in fs::read_dir(&packages)? {
            let name = entry?.file_name();
            let mut tar = Command::new("tar");
            tar.args(["--sort=name", "--mtime=@1700000000", "--owner=0", "--group=0", "--numeric-owner"]);
            tar.args(["--format=gnu", "-C"]).arg(&packages).arg("-cf");
            run(tar.arg(tree.join("tars").join(&name).with_added_extension("tar")).arg(&name))?;
        }
        media(&tree.join("media"), scale)?;
        let (mut dice, words) = (Dice::new(300), Words::new(11));
        let pages = (128.0 * scale * MIB as f64) as u64 / PAGE;
        let all: Vec<u8> = (0..pages.max(16)).flat_map(|number| page(number, &mut dice, &words)).collect();
        put(&tree.join("database"), &all)?;
        File::create(tree.join("image"))?.set_len(((512.0 * scale) as u64).max(8) * MIB)?;
        (0..((32.0 * scale) as u64).max(2)).try_for_each(|number| image(&tree.join("image"), 400 + number))
    }
}

/// Incompressible files, every second one of them twice.
fn media(folder: &Path, scale: f64) -> Result<()> {
    for number in 0..8 {
        let bytes = Dice::new(200 + number).noise((12.0 * scale * MIB as f64) as u64);
        put(&folder.join(format!("{number}.jpg")), &bytes)?;
        if number % 2 == 0 {
            put(&folder.join(format!("copies/{number}.jpg")), &bytes)?;
        }
    }
    Ok(())
}

/// A page as a database has it: a head with numbers of its own, rows, and room that is free.
fn page(number: u64, dice: &mut Dice, words: &Words) -> Vec<u8> {
    let mut page = Vec::with_capacity(PAGE as usize);
    page.extend(dice.next().to_be_bytes());
    page.extend(number.to_be_bytes());
    let filled = PAGE / 2 + dice.below(PAGE / 2 - 128);
    while (page.len() as u64) < filled {
        page.extend(dice.next().to_be_bytes());
        page.extend(words.text(dice, 48));
    }
    page.resize(PAGE as usize, 0);
    page
}

/// Writes a mebibyte somewhere into a disk image: a quarter is noise, the rest text and zeros.
fn image(path: &Path, seed: u64) -> Result<()> {
    let (mut dice, words) = (Dice::new(seed), Words::new(11));
    let file = File::options().write(true).open(path)?;
    let at = dice.below(file.metadata()?.len() / MIB) * MIB;
    let mut bytes = dice.noise(MIB / 4);
    bytes.extend(words.text(&mut dice, MIB / 2));
    bytes.resize(MIB as usize, 0);
    Ok(file.write_all_at(&bytes, at)?)
}

/// Small files of text, in folders of a few hundred.
fn small(tree: &Path, scale: f64) -> Result<()> {
    let words = Words::new(12);
    for number in 0..(100_000.0 * scale) as u64 {
        let mut dice = Dice::new(10_000 + number);
        let length = dice.size(256, 8 << 10);
        let folder = tree.join(format!("{:02}/{:02}", number / 10_000, number / 250 % 40));
        put(&folder.join(format!("{number:06}.txt")), &words.text(&mut dice, length))?;
    }
    Ok(())
}

/// Trees of 160 MiB, of which 128 MiB are the same in each; half of either is text.
fn make_clients(tree: &Path, clients: usize, scale: f64) -> Result<()> {
    let words = Words::new(13);
    let first = tree.join("0");
    part(&first.join("common"), 1, (128.0 * scale * MIB as f64) as u64, &words)?;
    for number in 1..clients {
        let to = tree.join(number.to_string());
        fs::create_dir(&to)?;
        run(Command::new("cp").arg("-a").arg(first.join("common")).arg(to))?;
    }
    for number in 0..clients {
        let own = tree.join(number.to_string()).join("own");
        part(&own, 2 + number as u64, (32.0 * scale * MIB as f64) as u64, &words)?;
    }
    Ok(())
}

fn part(folder: &Path, seed: u64, bytes: u64, words: &Words) -> Result<()> {
    let mut dice = Dice::new(seed << 32);
    let (mut written, mut number) = (0, 0);
    while written < bytes {
        let is_text = written < bytes / 2;
        let length =
            if is_text { dice.size(1 << 10, 1 << 20) } else { dice.size(256 << 10, 8 << 20) }.min(bytes - written);
        let content = if is_text { words.text(&mut dice, length) } else { dice.noise(length) };
        put(&folder.join(format!("{:02}/{number:05}", number % 30)), &content)?;
        (written, number) = (written + length, number + 1);
    }
    Ok(())
}

fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes).with_context(|| format!("{} cannot be written", path.display()))
}

/// Regular files, in the order of their paths.
pub(super) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut files, mut left) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() { left.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    files.sort();
    Ok(files)
}

/// Counts and hashes a tree.
pub(super) fn extent(tree: &Path) -> Result<Extent> {
    let (mut hasher, mut bytes) = (blake3::Hasher::new(), 0);
    let files = files_below(tree)?;
    for path in &files {
        let name = path.strip_prefix(tree)?.as_os_str().as_bytes();
        hasher.update(&(name.len() as u64).to_le_bytes()).update(name);
        let length = fs::metadata(path)?.len();
        hasher.update(&length.to_le_bytes());
        std::io::copy(&mut File::open(path)?, &mut hasher)?;
        bytes += length;
    }
    Ok(Extent { files: files.len() as u64, bytes, hash: hasher.finalize().to_hex()[..16].to_owned() })
}

/// A copy to be changed, with holes where the tree has them.
pub(super) fn copy(tree: &Path, to: &Path) -> Result<()> {
    ensure!(!to.exists(), "{} is in the way", to.display());
    run(Command::new("cp").args(["-a", "--sparse=always"]).arg(tree).arg(to)).map(drop)
}

/// Bytes that the files below a folder take on the disk, or their lengths where that is less.
pub(super) fn disk_usage(folder: &Path) -> Result<u64> {
    let files = files_below(folder)?;
    files.iter().map(|path| Ok(fs::symlink_metadata(path).map(|found| found.len().min(found.blocks() * 512))?)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corpus_is_the_same_wherever_it_is_made_and_changes_the_same_way() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let hashes = [&one, &two].map(|folder| {
            let options = Options::tiny(folder.path());
            let corpus = Corpus::prepare(&options).unwrap();
            let trees = [corpus.mixed_tree(), corpus.small_tree(), corpus.clients_tree()];
            let mut hashes = trees.clone().map(|tree| extent(&tree).unwrap().hash).to_vec();
            let copied = folder.path().join("copy");
            copy(&trees[0], &copied).unwrap();
            mutate(&copied).unwrap();
            hashes.push(extent(&copied).unwrap().hash);
            hashes
        });
        assert_eq!(hashes[0], hashes[1]);
        assert_ne!(hashes[0][0], hashes[0][3], "something changed");
    }
}
