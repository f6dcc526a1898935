//! Libraries as files: verified by length and hash, copied to a path named by the hash before they are loaded.
//!
//! A truncated library is a SIGBUS inside `dlopen`, and a file that is overwritten while it is loaded is one later;
//! so nothing is ever loaded from where it was found, and nothing here is ever written twice.

use schema::{Code, Problem};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A library's own copy.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) path: PathBuf,
    pub(crate) blake3: String,
    pub(crate) bytes: u64,
}

/// Copies the library at `path` into `directory`, which must be of the host alone.
///
/// # Errors
/// It is not an absolute path, cannot be read, is no library, or is not what was `expected`.
pub(crate) fn store(path: &Path, expected: Option<(u64, &str)>, directory: &Path) -> Result<Stored, Problem> {
    if !path.is_absolute() {
        return Err(Problem::bad_request(format!("the path of the plugin {} is not absolute.", path.display()))
            .fix("Give the whole path, from the root directory on."));
    }
    let read = || -> io::Result<Vec<u8>> {
        let mut contents = Vec::new();
        File::open(path)?.read_to_end(&mut contents)?;
        Ok(contents)
    };
    let contents = read().map_err(|e| {
        Problem::new(Code::NotFound, format!("the plugin {} cannot be read: {e}.", path.display()))
            .fix("Install it again.")
    })?;
    let (bytes, blake3) = (contents.len() as u64, blake3::hash(&contents).to_hex().to_string());
    if let Some((expected_bytes, expected_hash)) = expected
        && (bytes != expected_bytes || blake3 != expected_hash)
    {
        let message =
            format!("the plugin {} is not the file it should be: {bytes} bytes, hash {blake3}.", path.display());
        return Err(Problem::new(Code::Conflict, message).fix("Fetch it again."));
    }
    check_whole(&contents).map_err(|what| {
        Problem::bad_request(format!("the plugin {} cannot be loaded: {what}.", path.display()))
            .fix("Install it again.")
    })?;
    let own = directory.join(format!("{blake3}.so"));
    let is_there = fs::read(&own).is_ok_and(|copy| copy == contents);
    if !is_there {
        write_whole(directory, &own, &contents)
            .map_err(|e| Problem::internal(format!("the plugin's copy {} cannot be written: {e}.", own.display())))?;
    }
    Ok(Stored { path: own, blake3, bytes })
}

fn write_whole(directory: &Path, own: &Path, contents: &[u8]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let part = own.with_extension(format!("part-{}", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o555).open(&part)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&part, own)
}

/// Whether the file has every segment and section that its headers name.
fn check_whole(contents: &[u8]) -> Result<(), &'static str> {
    let number = |at: usize, bytes: usize| -> Option<u64> {
        let field = contents.get(at..at + bytes)?;
        Some(field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    };
    if contents.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err("it is not a library for this kind of system");
    }
    let cut = "it is cut off";
    let length = contents.len() as u64;
    let (programs, sections) = (number(32, 8).ok_or(cut)?, number(40, 8).ok_or(cut)?);
    let (program_size, program_count) = (number(54, 2).ok_or(cut)?, number(56, 2).ok_or(cut)?);
    let (section_size, section_count) = (number(58, 2).ok_or(cut)?, number(60, 2).ok_or(cut)?);
    if sections.saturating_add(section_size * section_count) > length {
        return Err(cut);
    }
    for n in 0..program_count {
        let at = usize::try_from(programs.saturating_add(n * program_size)).map_err(|_| cut)?;
        if at >= contents.len() {
            return Err(cut);
        }
        let (offset, size) = (number(at + 8, 8).ok_or(cut)?, number(at + 32, 8).ok_or(cut)?);
        if offset.saturating_add(size) > length {
            return Err(cut);
        }
    }
    Ok(())
}

/// Writes a load error's long text beside the library's copy.
pub(crate) fn keep_details(stored: &Stored, details: &str) -> Option<PathBuf> {
    let path = stored.path.with_extension("load-error.txt");
    fs::write(&path, details).is_ok().then_some(path)
}
