//! Entries that count as absent.

use super::Place;
use crate::keys::Key;
use crate::pack::PackId;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

#[derive(Clone, Default)]
pub(crate) struct Hidden {
    /// Packs that runs name and that are not there any more.
    pub gone: HashSet<PackId>,
    /// Packs that are being cleared away, with the chunks that are to be kept.
    pub condemned: HashMap<PackId, Arc<HashSet<Key>>>,
    pub bad: HashMap<PackId, Bad>,
}

/// What is damaged in a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bad {
    Whole,
    /// Segments, by their offsets.
    Segments(BTreeSet<u32>),
}

impl Hidden {
    /// `damaged`: whether what is damaged is hidden too.
    pub(crate) fn hides(&self, key: &Key, place: &Place, damaged: bool) -> bool {
        if self.gone.contains(&place.pack) {
            return true;
        }
        if self.condemned.get(&place.pack).is_some_and(|kept| !kept.contains(key)) {
            return true;
        }
        damaged && self.is_bad(place)
    }

    pub(crate) fn is_bad(&self, place: &Place) -> bool {
        match self.bad.get(&place.pack) {
            None => false,
            Some(Bad::Whole) => true,
            Some(Bad::Segments(offsets)) => offsets.contains(&place.span.offset),
        }
    }
}
