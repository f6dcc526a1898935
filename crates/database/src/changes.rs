//! What a commit changed, for open views and cached counts.

use std::collections::{BTreeMap, BTreeSet};

/// Most keys told one by one.
const MAX_KEYS: usize = 1000;

/// Types whose rows a commit changed. A change of an extension counts for the extended type too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// By type id, as in `fleet.machine`.
    pub types: BTreeMap<String, ChangedKeys>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangedKeys {
    /// Keys of rows that came, changed or went.
    Some(BTreeSet<String>),
    /// More than a thousand, or nobody counted.
    Many,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    pub(crate) fn add(&mut self, type_id: &str, key: &str) {
        if !self.types.contains_key(type_id) {
            self.types.insert(type_id.to_owned(), ChangedKeys::Some(BTreeSet::new()));
        }
        let Some(changed) = self.types.get_mut(type_id) else { return };
        if let ChangedKeys::Some(keys) = changed {
            if keys.len() < MAX_KEYS {
                keys.insert(key.to_owned());
            } else if !keys.contains(key) {
                *changed = ChangedKeys::Many;
            }
        }
    }

    pub(crate) fn add_many(&mut self, type_id: &str) {
        self.types.insert(type_id.to_owned(), ChangedKeys::Many);
    }

    pub(crate) fn merge(&mut self, other: Changes) {
        for (type_id, keys) in other.types {
            match keys {
                ChangedKeys::Many => self.add_many(&type_id),
                ChangedKeys::Some(keys) => keys.iter().for_each(|key| self.add(&type_id, key)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_until_there_are_too_many() {
        let mut changes = Changes::default();
        (0..1000).for_each(|n| changes.add("a.b", &n.to_string()));
        changes.add("a.b", "7");
        assert!(matches!(&changes.types["a.b"], ChangedKeys::Some(keys) if keys.len() == 1000));
        let mut other = Changes::default();
        other.add("a.b", "new");
        other.add("a.c", "x");
        changes.merge(other);
        assert_eq!(changes.types["a.b"], ChangedKeys::Many);
        assert_eq!(changes.types["a.c"], ChangedKeys::Some(BTreeSet::from(["x".to_owned()])));
    }
}
