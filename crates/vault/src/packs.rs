//! Packs that are read from: those used last stay open.

use crate::SegmentKind;
use crate::domain::Domain;
use crate::index::Place;
use crate::keys::Aead;
use crate::pack::{PackFault, PackId, read_segment};
use crate::storage::{Object, Storage};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

/// Packs that stay open.
const OPEN: usize = 64;

pub(crate) struct Packs {
    storage: Arc<dyn Storage>,
    /// The one used last is last.
    open: Mutex<VecDeque<Arc<OpenPack>>>,
}

struct OpenPack {
    id: PackId,
    object: Arc<dyn Object>,
    aead: Aead,
}

impl Packs {
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Packs {
        Packs { storage, open: Mutex::default() }
    }

    /// The segment that this chunk is in, as its client made it.
    pub(crate) fn segment(&self, domain: &Domain, place: &Place) -> Result<(SegmentKind, Vec<u8>), PackFault> {
        let pack = self.get(domain, place.pack)?;
        read_segment(&*pack.object, &pack.aead, place.span)
    }

    fn get(&self, domain: &Domain, id: PackId) -> Result<Arc<OpenPack>, PackFault> {
        {
            let mut open = self.open.lock();
            if let Some(at) = open.iter().position(|pack| pack.id == id) {
                let pack = open.remove(at).expect("it was just found");
                open.push_back(pack.clone());
                return Ok(pack);
            }
        }
        let object = self.storage.open(&id.path())?;
        let pack = Arc::new(OpenPack { id, object, aead: domain.keys.pack(&id.0) });
        let mut open = self.open.lock();
        if open.len() >= OPEN {
            open.pop_front();
        }
        open.push_back(pack.clone());
        Ok(pack)
    }

    /// Packs that were deleted.
    pub(crate) fn close(&self, packs: &[PackId]) {
        self.open.lock().retain(|pack| !packs.contains(&pack.id));
    }
}
