//! What was used last is kept, up to a weight.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

pub(super) struct Recent<K, V> {
    most: usize,
    kept: Mutex<Kept<K, V>>,
}

struct Kept<K, V> {
    /// The one used last is last.
    items: VecDeque<(K, Arc<V>, usize)>,
    weight: usize,
}

impl<K: PartialEq + Copy, V> Recent<K, V> {
    pub(super) fn new(most: usize) -> Recent<K, V> {
        Recent { most, kept: Mutex::new(Kept { items: VecDeque::new(), weight: 0 }) }
    }

    pub(super) fn get(&self, key: K) -> Option<Arc<V>> {
        let mut kept = self.kept.lock();
        let at = kept.items.iter().rposition(|(known, _, _)| *known == key)?;
        let item = kept.items.remove(at)?;
        let value = item.1.clone();
        kept.items.push_back(item);
        Some(value)
    }

    /// What is heavier than all that may be kept is handed back and not kept.
    pub(super) fn put(&self, key: K, value: V, weight: usize) -> Arc<V> {
        let value = Arc::new(value);
        if weight > self.most {
            return value;
        }
        let mut kept = self.kept.lock();
        if let Some(at) = kept.items.iter().position(|(known, _, _)| *known == key) {
            // Two that looked for it at once: one is enough.
            return kept.items[at].1.clone();
        }
        kept.weight += weight;
        kept.items.push_back((key, value.clone(), weight));
        while kept.weight > self.most {
            let Some((_, _, weight)) = kept.items.pop_front() else { break };
            kept.weight -= weight;
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_long_goes_first() {
        let recent = Recent::new(10);
        recent.put(1, "a", 4);
        recent.put(2, "b", 4);
        assert_eq!(recent.get(1).as_deref(), Some(&"a"));
        recent.put(3, "c", 4);
        assert!(recent.get(2).is_none());
        assert!(recent.get(1).is_some() && recent.get(3).is_some());
        assert_eq!(*recent.put(4, "too heavy", 11), "too heavy");
        assert!(recent.get(4).is_none());
        assert_eq!(*recent.put(1, "another", 4), "a");
        assert_eq!(recent.kept.lock().weight, 8);
    }
}
