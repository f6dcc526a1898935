//! Which packs are worth clearing away.

use super::mark::Marks;
use super::{CollectOptions, CollectReport};
use crate::DomainId;
use crate::error::VaultError;
use crate::index::Runs;
use crate::keys::Key;
use crate::pack::{Footer, PackId};
use crate::stamp;
use crate::vault::Vault;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Packs that are cleared away together: bounds the memory for what is kept of them, and how much is written before anything
/// is freed.
pub(super) const ROUND: usize = 32;
/// Packs smaller than this are put together, once there are many.
const SMALL_BYTES: u64 = 8 << 20;
const MANY_SMALL: usize = 8;

pub(super) struct Plan {
    pub packs: Vec<PackId>,
}

/// A pack that is being cleared away.
pub(super) struct Condemned {
    pub id: PackId,
    /// None: it cannot be read. Nothing in it is needed, but a session may rely on it.
    pub footer: Option<Footer>,
    pub bytes: u64,
    /// Chunks that are needed from this pack.
    pub kept: Arc<HashSet<Key>>,
    pub unneeded: Vec<Key>,
}

/// What the index says of one pack.
#[derive(Clone, Copy, Default)]
struct Share {
    needed_bytes: u64,
    needed: u64,
}

impl Plan {
    pub(super) fn make(
        vault: &Vault,
        options: &CollectOptions,
        runs: &Runs,
        marks: &Marks,
        report: &mut CollectReport,
    ) -> Result<Plan, VaultError> {
        let mut shares = vec![Share::default(); runs.packs.len()];
        runs.each(|position, pack, entry| {
            if marks.is_needed(position) {
                let share = &mut shares[pack as usize];
                share.needed_bytes += u64::from(entry.length);
                share.needed += 1;
            }
        })?;
        report.chunks_needed = marks.count();
        report.chunks_unneeded = runs.entries() - report.chunks_needed;
        // Those of which nothing is needed go first: that frees what the others need for a while.
        let (mut packs, mut sparse) = (Vec::new(), Vec::new());
        let mut small: HashMap<DomainId, Vec<PackId>> = HashMap::new();
        let hidden = vault.index.hidden();
        let youngest = options.now_ms.saturating_sub(options.grace_ms);
        for (id, share) in runs.packs.iter().copied().zip(&shares) {
            report.packs += 1;
            if stamp::milliseconds(&id.0) > youngest || hidden.gone.contains(&id) {
                continue;
            }
            if share.needed == 0 {
                packs.push(id);
                continue;
            }
            let Some(footer) = vault.footer_or_trouble(id)? else { continue };
            let all: u64 = footer.chunks.iter().map(|chunk| u64::from(chunk.length)).sum();
            if share.needed_bytes * 100 < all * u64::from(options.repack_below_percent) {
                sparse.push(id);
            } else if footer.length < SMALL_BYTES {
                small.entry(footer.domain).or_default().push(id);
            }
        }
        packs.extend(sparse);
        packs.extend(small.into_values().filter(|packs| packs.len() >= MANY_SMALL).flatten());
        Ok(Plan { packs })
    }
}

impl Condemned {
    pub(super) fn find(
        vault: &Vault,
        packs: &[PackId],
        runs: &Runs,
        marks: &Marks,
    ) -> Result<Vec<Condemned>, VaultError> {
        let mut condemned = Vec::with_capacity(packs.len());
        for id in packs {
            let footer = vault.footer_or_trouble(*id)?;
            let keys = match &footer {
                Some(footer) => sorted(footer.chunks.iter().map(|chunk| chunk.key)),
                None => keys_in(runs, *id)?,
            };
            let (mut kept, mut unneeded) = (HashSet::new(), Vec::new());
            runs.positions(&keys, |position, pack, entry| {
                // Who has it from another pack does not need it from this one.
                if runs.packs[pack as usize] == *id {
                    if marks.is_needed(position) {
                        kept.insert(entry.key);
                    } else {
                        unneeded.push(entry.key);
                    }
                }
            })?;
            let bytes = match vault.storage.open(&id.path()) {
                Ok(object) => object.length()?,
                Err(error) if error.is_not_found() => 0,
                Err(error) => return Err(error.into()),
            };
            condemned.push(Condemned { id: *id, footer, bytes, kept: Arc::new(kept), unneeded });
        }
        Ok(condemned)
    }
}

fn sorted(keys: impl Iterator<Item = Key>) -> Vec<Key> {
    let mut keys: Vec<Key> = keys.collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// What the index says is in a pack.
fn keys_in(runs: &Runs, pack: PackId) -> Result<Vec<Key>, VaultError> {
    let mut keys = Vec::new();
    runs.each(|_, number, entry| {
        if runs.packs[number as usize] == pack {
            keys.push(entry.key);
        }
    })?;
    Ok(sorted(keys.into_iter()))
}
