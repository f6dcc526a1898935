//! What is left out of a backup by pattern, as `.gitignore` files write it.
//!
//! A pattern without a slash means that name anywhere (`*.tmp`, `node_modules/`: the slash at the end means folders
//! only). One with a slash before its end means a path from the root of the machine (`/var/tmp/*`, `home/*/Downloads`).
//! `**` stands for any number of folders, `!` takes back what an earlier line left out. What is below a folder that
//! was left out cannot be taken back, and what was named itself is never left out.

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// A pattern nobody can match by.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{pattern}` is not a pattern: {source}. Patterns are written as in .gitignore; `\\` before `[`, `*` or `?` means the character itself"
)]
pub struct BadPattern {
    pub pattern: String,
    source: Box<ignore::Error>,
}

/// Patterns of what is left out; by default none.
#[derive(Clone, Debug)]
pub struct Excludes {
    patterns: Gitignore,
}

impl Default for Excludes {
    fn default() -> Excludes {
        Excludes { patterns: Gitignore::empty() }
    }
}

impl Excludes {
    pub fn new<P: AsRef<str>>(patterns: impl IntoIterator<Item = P>) -> Result<Excludes, BadPattern> {
        let mut builder = GitignoreBuilder::new("/");
        for pattern in patterns {
            let pattern = pattern.as_ref();
            let bad = |source| BadPattern { pattern: pattern.to_owned(), source: Box::new(source) };
            builder.add_line(None, pattern).map_err(bad)?;
        }
        let build = |source| BadPattern { pattern: String::new(), source: Box::new(source) };
        Ok(Excludes { patterns: builder.build().map_err(build)? })
    }

    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether something with this absolute path is left out, provided that what it is in is not.
    pub fn leave_out(&self, path: &[u8], is_folder: bool) -> bool {
        !self.is_empty() && self.patterns.matched(Path::new(OsStr::from_bytes(path)), is_folder).is_ignore()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excludes(patterns: &[&str]) -> Excludes {
        Excludes::new(patterns).unwrap()
    }

    #[test]
    fn names_mean_any_place_and_paths_one() {
        let excludes = excludes(&["*.tmp", "node_modules/", "/var/tmp", "home/*/Downloads", "!keep.tmp"]);
        let out = |path: &str, folder| excludes.leave_out(path.as_bytes(), folder);
        assert!(out("/a/b.tmp", false) && out("/b.tmp", true));
        assert!(out("/home/x/node_modules", true) && !out("/home/x/node_modules", false));
        assert!(out("/var/tmp", true) && !out("/srv/var/tmp", true));
        assert!(out("/home/me/Downloads", true) && !out("/srv/home/me/Downloads", true));
        assert!(!out("/a/keep.tmp", false));
    }

    #[test]
    fn names_that_are_no_text_are_matched_too() {
        assert!(excludes(&["*.tmp"]).leave_out(b"/a/\xff\xfe.tmp", false));
        assert!(!excludes(&["*.tmp"]).leave_out(b"/a/\xff\xfe", false));
        assert!(!Excludes::default().leave_out(b"/a", false));
    }

    #[test]
    fn a_pattern_that_means_nothing_is_refused_by_name() {
        let error = Excludes::new(["*.ok", "[z-a]"]).unwrap_err();
        assert!(error.to_string().starts_with("`[z-a]` is not a pattern:"), "{error}");
    }
}
