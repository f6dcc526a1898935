//! What the `counter` plugin of `tests/plugins` left behind on a machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// How often each line occurs, of every file `effects` below a folder.
pub fn effects(folder: &Path) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    collect(folder, &mut counted);
    counted
}

fn collect(folder: &Path, counted: &mut BTreeMap<String, usize>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, counted);
        } else if path.file_name().is_some_and(|name| name == "effects") {
            for line in fs::read_to_string(&path).unwrap_or_default().lines() {
                *counted.entry(line.to_owned()).or_default() += 1;
            }
        }
    }
}

/// How often one line occurs.
pub fn times(folder: &Path, line: &str) -> usize {
    effects(folder).get(line).copied().unwrap_or_default()
}
