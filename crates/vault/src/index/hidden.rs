//! Entries that count as absent.

use super::{Place, Want};
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
    /// `want`: what is damaged or about to go is no good for those who begin to rely on it, and is read nevertheless by those who do.
    pub(crate) fn hides(&self, key: &Key, place: &Place, want: Want) -> bool {
        if self.gone.contains(&place.pack) {
            return true;
        }
        let is_going = || self.condemned.get(&place.pack).is_some_and(|kept| !kept.contains(key));
        want == Want::Whole && (is_going() || self.is_bad(place))
    }

    pub(crate) fn is_bad(&self, place: &Place) -> bool {
        match self.bad.get(&place.pack) {
            None => false,
            Some(Bad::Whole) => true,
            Some(Bad::Segments(offsets)) => offsets.contains(&place.span.offset),
        }
    }
}
