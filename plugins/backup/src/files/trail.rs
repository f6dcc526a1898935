//! Where something lies below the place a walk begins at, without a path for each.

use std::sync::Arc;

/// A folder, by its name and the folder it is in.
#[derive(Debug)]
pub(super) struct Trail {
    parent: Option<Arc<Trail>>,
    /// On the disk; empty where the folder was passed over, so that what is in it goes to its parent's place.
    name: Box<[u8]>,
    /// In the snapshot, where that is another.
    original: Option<Box<[u8]>>,
}

impl Trail {
    pub(super) fn start() -> Arc<Trail> {
        Arc::new(Trail { parent: None, name: Box::default(), original: None })
    }

    /// A folder in this one, with its name on the disk and in the snapshot.
    pub(super) fn name(self: &Arc<Trail>, name: &[u8], original: &[u8]) -> Arc<Trail> {
        let original = (name != original).then(|| original.into());
        Arc::new(Trail { parent: Some(self.clone()), name: name.into(), original })
    }

    /// In the snapshot.
    pub(super) fn last(&self) -> &[u8] {
        self.original.as_deref().unwrap_or(&self.name)
    }

    /// The start is its own parent.
    pub(super) fn parent(self: &Arc<Trail>) -> &Arc<Trail> {
        self.parent.as_ref().unwrap_or(self)
    }

    /// The names on the disk that lead here from the start.
    pub(super) fn names(&self) -> Vec<&[u8]> {
        let mut names: Vec<&[u8]> = self.up().map(|trail| &trail.name[..]).filter(|name| !name.is_empty()).collect();
        names.reverse();
        names
    }

    fn up(&self) -> impl Iterator<Item = &Trail> {
        std::iter::successors(Some(self), |trail| trail.parent.as_deref())
    }

    /// The path in the snapshot of something in this folder.
    pub(super) fn path(&self, name: &[u8]) -> Vec<u8> {
        let mut parts: Vec<&[u8]> = self.up().map(Trail::last).collect();
        parts.reverse();
        parts.push(name);
        let mut path = Vec::new();
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            path.push(b'/');
            path.extend_from_slice(part);
        }
        if path.is_empty() { b"/".to_vec() } else { path }
    }
}

impl Drop for Trail {
    /// A chain as deep as the tree must not be taken apart by recursion.
    fn drop(&mut self) {
        let mut next = self.parent.take();
        while let Some(mut trail) = next.and_then(Arc::into_inner) {
            next = trail.parent.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trail_tells_its_path() {
        let start = Trail::start();
        assert_eq!(start.path(b""), b"/");
        assert_eq!(start.path(b"a"), b"/a");
        let deep = start.name(b"a", b"a").name(b"b", b"b");
        assert_eq!(deep.path(b"c"), b"/a/b/c");
        assert_eq!((deep.last(), deep.parent().path(b"")), (&b"b"[..], b"/a".to_vec()));
    }

    #[test]
    fn what_has_another_name_on_the_disk_is_told_by_that_of_the_snapshot() {
        let trail = Trail::start().name(b"", b"home").name(b"me.restored", b"me");
        assert_eq!(trail.path(b"x"), b"/home/me/x");
        assert_eq!(trail.names(), [b"me.restored"]);
    }

    #[test]
    fn a_trail_of_any_depth_is_taken_apart() {
        let mut trail = Trail::start();
        for _ in 0..1_000_000 {
            trail = trail.name(b"x", b"x");
        }
        assert_eq!(trail.names().len(), 1_000_000);
    }
}
