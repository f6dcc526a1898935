//! Paths that were named, merged into one tree.
//!
//! Each path is followed once, when it is named: where a link stands in it, the link itself and the place it leads to
//! are both taken, so that a backup of `/data` is never just a link. Afterwards nothing is followed any more.

use super::problem::{Problem, ReadProblem, Unread};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Links that the kernel follows in one path.
const LINKS: usize = 40;

/// A name on the way to something that was named, or that itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// This and everything below it. What is named below it again is never left out by a pattern.
    pub(super) whole: bool,
    pub(super) below: BTreeMap<Vec<u8>, Selection>,
}

impl Selection {
    /// Everything.
    pub fn all() -> Selection {
        Selection { whole: true, below: BTreeMap::new() }
    }

    /// Paths as they are in a snapshot: absolute or from its root; nothing is followed and nothing need exist.
    pub fn of_names<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Selection {
        let mut selection = Selection::default();
        for path in paths {
            let mut names: Vec<&[u8]> = Vec::new();
            for name in path.as_ref().as_os_str().as_bytes().split(|byte| *byte == b'/') {
                match name {
                    b"" | b"." => {}
                    b".." => drop(names.pop()),
                    name => names.push(name),
                }
            }
            selection.name(names.into_iter());
        }
        selection
    }

    /// Paths on this machine, relative ones below `base`, with what could not be found and what was followed.
    pub fn of_paths<P: AsRef<Path>>(paths: &[P], base: &Path) -> (Selection, Vec<ReadProblem>) {
        let mut selection = Selection::default();
        let mut problems = Vec::new();
        for path in paths {
            let path = base.join(path);
            if let Err(what) = selection.follow(&path, &mut problems) {
                problems.push(Problem { path: path.as_os_str().as_bytes().to_vec(), what });
            }
        }
        (selection, problems)
    }

    /// What was named, without what is named within it.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        let mut nodes = vec![(PathBuf::from("/"), self)];
        while let Some((path, node)) = nodes.pop() {
            if node.whole {
                paths.push(path);
            } else {
                nodes.extend(node.below.iter().rev().map(|(name, node)| (path.join(OsStr::from_bytes(name)), node)));
            }
        }
        paths
    }

    pub fn is_empty(&self) -> bool {
        !self.whole && self.below.is_empty()
    }

    fn name<'a>(&mut self, names: impl Iterator<Item = &'a [u8]>) {
        let mut node = self;
        for name in names {
            node = node.below.entry(name.to_vec()).or_default();
        }
        node.whole = true;
    }

    fn follow(&mut self, path: &Path, problems: &mut Vec<ReadProblem>) -> Result<(), Unread> {
        let mut links = 0;
        let mut resolved = PathBuf::from("/");
        let mut rest = parts(path.as_os_str().as_bytes());
        while let Some(part) = rest.pop() {
            match part.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    resolved.pop();
                    continue;
                }
                _ => resolved.push(OsStr::from_bytes(&part)),
            }
            let found = std::fs::symlink_metadata(&resolved).map_err(|error| unread(&error))?;
            if !found.is_symlink() {
                continue;
            }
            links += 1;
            if links > LINKS {
                return Err(Unread::EndlessLink);
            }
            let target = std::fs::read_link(&resolved).map_err(|error| unread(&error))?;
            self.take(&resolved);
            let target = target.as_os_str().as_bytes();
            let link = resolved.as_os_str().as_bytes().to_vec();
            problems.push(Problem { path: link, what: Unread::Link { target: target.to_vec() } });
            resolved.pop();
            if target.starts_with(b"/") {
                resolved = PathBuf::from("/");
            }
            rest.extend(parts(target));
        }
        self.take(&resolved);
        Ok(())
    }

    /// `resolved` holds no link before its last name.
    fn take(&mut self, resolved: &Path) {
        self.name(resolved.as_os_str().as_bytes().split(|byte| *byte == b'/').filter(|name| !name.is_empty()));
    }
}

/// The last name first.
fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec).collect()
}

fn unread(error: &std::io::Error) -> Unread {
    match Errno::from_io_error(error) {
        Some(Errno::NOENT | Errno::NOTDIR) => Unread::Missing,
        Some(other) => Unread::Hidden(other),
        // A path with a NUL in it is not even asked for.
        None => Unread::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn listed(selection: &Selection) -> Vec<String> {
        fn add(node: &Selection, path: &str, into: &mut Vec<String>) {
            if node.whole {
                into.push(if path.is_empty() { "/".into() } else { path.into() });
            }
            for (name, below) in &node.below {
                add(below, &format!("{path}/{}", String::from_utf8_lossy(name)), into);
            }
        }
        let mut paths = Vec::new();
        add(selection, "", &mut paths);
        paths
    }

    fn tree() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("disk/data/deep")).unwrap();
        fs::write(root.join("disk/data/file"), "x").unwrap();
        std::os::unix::fs::symlink("disk/data", root.join("data")).unwrap();
        std::os::unix::fs::symlink(root.join("data/deep"), root.join("deep")).unwrap();
        std::os::unix::fs::symlink("loop", root.join("loop")).unwrap();
        (folder, root)
    }

    fn of(root: &Path, paths: &[&str]) -> (Vec<String>, Vec<Unread>) {
        let (selection, problems) = Selection::of_paths(paths, root);
        let root = root.to_str().unwrap();
        let paths = listed(&selection).iter().map(|path| path.strip_prefix(root).unwrap_or(path).to_owned()).collect();
        (paths, problems.into_iter().map(|problem| problem.what).collect())
    }

    #[test]
    fn what_overlaps_is_one() {
        let (_folder, root) = tree();
        assert_eq!(of(&root, &["disk", "disk/data/", "./disk/../disk"]).0, ["/disk", "/disk/data"]);
        assert_eq!(of(&root, &["/"]), (vec!["/".to_owned()], vec![]));
    }

    #[test]
    fn a_link_that_was_named_brings_what_it_leads_to() {
        let (_folder, root) = tree();
        let (paths, notes) = of(&root, &["data"]);
        assert_eq!(paths, ["/data", "/disk/data"]);
        assert_eq!(notes, [Unread::Link { target: b"disk/data".to_vec() }]);
        // Two links, one of them absolute, and `..` from where they lead to.
        assert_eq!(of(&root, &["deep/../file"]).0, ["/data", "/deep", "/disk/data/file"]);
    }

    #[test]
    fn what_is_not_there_is_said_and_the_rest_goes_on() {
        let (_folder, root) = tree();
        assert_eq!(
            of(&root, &["nothing", "disk/data/file/x", "disk"]),
            (vec!["/disk".to_owned()], vec![Unread::Missing, Unread::Missing])
        );
        let (paths, what) = of(&root, &["loop"]);
        assert_eq!(paths, ["/loop"]);
        assert_eq!(what.last(), Some(&Unread::EndlessLink));
    }

    #[test]
    fn names_in_a_snapshot_need_not_exist_here() {
        let selection = Selection::of_names(["/no/such/../place", "other/"]);
        assert_eq!(listed(&selection), ["/no/place", "/other"]);
        assert_eq!(Selection::of_names(["/"]), Selection::all());
        assert!(Selection::of_names::<&str>([]).is_empty());
    }
}
