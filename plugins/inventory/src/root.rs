//! The root directory that everything is read below: `/`, or a tree of files in a test.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Longest file that is read whole.
const LONGEST: u64 = 4 << 20;
/// Longest fact.
const LONGEST_TEXT: usize = 200;

#[derive(Clone, Debug)]
pub struct Root(PathBuf);

impl Root {
    pub fn real() -> Root {
        Root::at("/")
    }

    pub fn at(path: impl Into<PathBuf>) -> Root {
        Root(path.into())
    }

    /// `path` (absolute) below the root.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// What the file holds; nothing where it cannot be read.
    pub(crate) fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.path(path)).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    pub(crate) fn text(&self, path: &str) -> Option<String> {
        Some(String::from_utf8_lossy(&self.bytes(path)?).into_owned())
    }

    /// A file that holds one fact: trimmed, not empty, not endless.
    pub(crate) fn fact(&self, path: &str) -> Option<String> {
        fact(self.text(path)?.trim_matches('\0'))
    }

    /// Names in a directory, sorted.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(path)).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        Path::new(&self.path(path)).exists()
    }
}

/// `text` as a fact: trimmed, on one line, not empty, not endless.
pub(crate) fn fact(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let text: String = words.join(" ").chars().take(LONGEST_TEXT).collect();
    (!text.is_empty()).then_some(text)
}

/// The value of `KEY=value` in a file of such lines, without quotes.
pub(crate) fn assignment(text: &str, key: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))?;
    let quoted = ['"', '\''].iter().find_map(|q| line.strip_prefix(*q)?.strip_suffix(*q));
    fact(&quoted.unwrap_or(line).replace("\\\"", "\"").replace("\\\\", "\\"))
}
