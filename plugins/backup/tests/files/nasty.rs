//! The nasty tree is backed up, restored, and compared by programs that others wrote and by our own eyes.

use crate::kit::{self, Store};
use backup::files::restore::{Conflict, RestoreOptions};
use trees::compare::{self, Same};
use trees::{Nasty, beneath};

#[test]
fn everything_comes_back_as_it_was() {
    let work = tempfile::tempdir().unwrap();
    let nasty = Nasty::make(work.path().join("nasty"));
    let store = Store::new();
    let backup = store.back_up(&nasty.root);
    if kit::is_root() {
        assert!(backup.problems.is_empty(), "{:#?}", backup.problems);
    }
    for missing in &nasty.missing {
        kit::skip("a part of the nasty tree", missing);
    }
    let store = store.reopen();
    let target = work.path().join("restored");
    let outcome = store.restore(backup.id, &kit::into(&target));
    outcome.assert_whole();
    assert_eq!(outcome.restored.right, 0);
    let copy = beneath(&target, &nasty.root);
    let same = if kit::is_root() { Same::Everything } else { Same::WhatAnybodyMay };
    compare::ourselves(&nasty.root, &copy, same);
    compare::programs(&nasty.root, &copy);

    // Once more over what is there: nothing is written again.
    let again = RestoreOptions { conflict: Conflict::Overwrite, compare_content: true, ..kit::into(&target) };
    let outcome = store.restore(backup.id, &again);
    outcome.assert_whole();
    assert_eq!((outcome.restored.files, outcome.restored.links, outcome.restored.others), (0, 0, 0));
    compare::ourselves(&nasty.root, &copy, same);
}
