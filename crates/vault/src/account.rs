//! Accounts: how much of the vault each source takes.
//!
//! A chunk that several sources need is divided among them, so the *fair* bytes of all sources, and what nobody needs, add up to the
//! bytes of all packs, to the byte.

use crate::SnapshotId;
use crate::error::VaultError;
use crate::index::{Run, RunEntry};
use crate::keys::Key;
use crate::pack::{Footer, Listed, PackId};
use crate::progress::{Phase, Watch, tell};
use crate::snapshot::{self, RecordFault};
use crate::storage::StorageError;
use crate::streams::Needs;
use crate::vault::Vault;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Keys that are looked up at once.
const AT_ONCE: usize = 256 << 10;

/// What one source takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    pub source: String,
    pub snapshots: u64,
    /// Bytes of the files of all its snapshots, as its clients counted them.
    pub logical_bytes: u64,
    /// Bytes of the chunks that it needs, each once, unpacked.
    pub distinct_bytes: u64,
    /// Stored bytes that nobody else needs: what is freed when all its snapshots are removed.
    pub unique_bytes: u64,
    /// Its fair share of the stored bytes.
    pub fair_bytes: u64,
}

/// What all sources take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// In the order of their names.
    pub sources: Vec<Account>,
    /// Stored bytes that no snapshot needs: garbage, and what running sessions have sent.
    pub unneeded_bytes: u64,
    /// Bytes of all packs.
    pub stored_bytes: u64,
    /// Snapshots of which it cannot be told what they need.
    pub damaged: Vec<SnapshotId>,
}

/// Which sources need an entry, by number: few different sets, however many entries.
struct Sets {
    members: Vec<Vec<u32>>,
    with: HashMap<(u32, u32), u32>,
}

impl Sets {
    /// Number 0 is the empty one.
    fn new() -> Sets {
        Sets { members: vec![Vec::new()], with: HashMap::new() }
    }

    /// Sources come in order, so one that is in a set is its last.
    fn add(&mut self, set: u32, source: u32) -> u32 {
        let members = &self.members[set as usize];
        if members.last() == Some(&source) {
            return set;
        }
        if let Some(with) = self.with.get(&(set, source)) {
            return *with;
        }
        let more = members.iter().copied().chain([source]).collect();
        let number = u32::try_from(self.members.len()).expect("there are fewer sets than entries");
        self.members.push(more);
        self.with.insert((set, source), number);
        number
    }
}

impl Vault {
    /// Reads what every snapshot needs. Backups and restores go on meanwhile; garbage is not collected.
    ///
    /// # Errors
    /// The disk is gone, or `watch` said to stop.
    pub fn accounts(self: &Arc<Self>, watch: &mut Watch<'_>) -> Result<Accounts, VaultError> {
        self.check_writable()?;
        let _upkeep = self.upkeep.lock();
        let mut accounts = Accounts::default();
        let sources = self.snapshots_by_source(&mut accounts)?;
        let run = self.index.flush_to_one()?;
        let mut divider = Divider::new(run.as_deref())?;
        let total = sources.len() as u64;
        for (number, snapshots) in (0_u32..).zip(&sources) {
            tell(watch, Phase::Snapshots, u64::from(number), total)?;
            divider.attribute(self, number, snapshots, &mut accounts.damaged)?;
        }
        let packs = self.packs_there()?;
        for (done, id) in packs.iter().enumerate() {
            tell(watch, Phase::Packs, done as u64, packs.len() as u64)?;
            divider.divide(self, *id, &mut accounts)?;
        }
        Ok(accounts)
    }

    /// Makes an account for each source.
    fn snapshots_by_source(&self, accounts: &mut Accounts) -> Result<Vec<Vec<SnapshotId>>, VaultError> {
        let listing = self.snapshots()?;
        accounts.damaged.extend(listing.damaged.iter().map(|(id, _)| *id));
        let mut sources: BTreeMap<String, (Account, Vec<SnapshotId>)> = BTreeMap::new();
        for summary in listing.snapshots {
            let (account, ids) = sources.entry(summary.source.clone()).or_default();
            account.source = summary.source;
            account.snapshots += 1;
            account.logical_bytes = account.logical_bytes.saturating_add(summary.counts.logical_bytes);
            ids.push(summary.id);
        }
        let (found, ids) = sources.into_values().unzip();
        accounts.sources = found;
        Ok(ids)
    }
}

struct Divider<'a> {
    /// None: nothing is stored that could be needed.
    run: Option<&'a Run>,
    ids: Vec<PackId>,
    sets: Sets,
    /// The set of each entry of the run.
    of: Vec<u32>,
}

impl<'a> Divider<'a> {
    fn new(run: Option<&'a Run>) -> Result<Divider<'a>, VaultError> {
        let ids = run.map(Run::pack_ids).transpose()?.unwrap_or_default();
        let entries = usize::try_from(run.map_or(0, |run| run.entries));
        let of = vec![0; entries.expect("there is memory for a number of each entry")];
        Ok(Divider { run, ids, sets: Sets::new(), of })
    }

    /// Adds a source to the sets of all that it needs.
    fn attribute(
        &mut self,
        vault: &Arc<Vault>,
        source: u32,
        snapshots: &[SnapshotId],
        damaged: &mut Vec<SnapshotId>,
    ) -> Result<(), VaultError> {
        let mut needs = Needs::new(vault);
        let mut keys = Vec::new();
        for id in snapshots {
            let snapshot = match snapshot::read(&*vault.storage, &vault.key, *id) {
                Ok(snapshot) => snapshot,
                // It was removed meanwhile.
                Err(RecordFault::Storage(StorageError::NotFound { .. })) => continue,
                Err(RecordFault::Storage(error)) => return Err(error.into()),
                Err(_) => {
                    damaged.push(*id);
                    continue;
                }
            };
            let told = needs.each_part(&snapshot, |more| {
                keys.extend(more);
                if keys.len() >= AT_ONCE { self.look_up(&mut keys, source) } else { Ok(()) }
            });
            match told {
                Ok(()) => {}
                Err(VaultError::Storage(error)) => return Err(error.into()),
                Err(_) => damaged.push(*id),
            }
        }
        self.look_up(&mut keys, source)
    }

    fn look_up(&mut self, keys: &mut Vec<Key>, source: u32) -> Result<(), VaultError> {
        keys.sort_unstable();
        keys.dedup();
        let (of, sets) = (&mut self.of, &mut self.sets);
        if let Some(run) = self.run {
            run.positions(keys, |position, _| {
                let set = &mut of[position as usize];
                *set = sets.add(*set, source);
            })?;
        }
        keys.clear();
        Ok(())
    }

    /// Divides one pack among the sources that need what is in it.
    fn divide(&self, vault: &Vault, id: PackId, accounts: &mut Accounts) -> Result<(), VaultError> {
        let length = match vault.storage.open(&id.path()) {
            Ok(object) => object.length()?,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        accounts.stored_bytes += length;
        let footer = match vault.footer_or_trouble(id)? {
            Some(footer) if footer.chunks.iter().any(|chunk| chunk.length > 0) => footer,
            _ => {
                accounts.unneeded_bytes += length;
                return Ok(());
            }
        };
        let sets = self.sets_of(id, &footer)?;
        let segments = footer.segments.iter().map(|segment| u64::from(segment.span.stored));
        for (share, (_, chunks)) in shares(length, segments).zip(footer.parts()) {
            let lengths = chunks.iter().map(|chunk| u64::from(chunk.length));
            for (share, chunk) in shares(share, lengths).zip(chunks) {
                match sets.get(&chunk.key) {
                    Some((set, listed)) if std::ptr::eq(*listed, chunk) => {
                        charge(accounts, &self.sets.members[*set as usize], share, chunk);
                    }
                    _ => accounts.unneeded_bytes += share,
                }
            }
        }
        Ok(())
    }

    /// The sets of the chunks for which the index leads to this pack, with the very place in its footer.
    fn sets_of<'f>(&self, id: PackId, footer: &'f Footer) -> Result<HashMap<Key, (u32, &'f Listed)>, VaultError> {
        let mut keys: Vec<Key> = footer.chunks.iter().map(|chunk| chunk.key).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut offsets: HashMap<(Key, u32), &Listed> = HashMap::with_capacity(keys.len());
        for (segment, chunks) in footer.parts() {
            for chunk in chunks {
                offsets.entry((chunk.key, segment.span.offset)).or_insert(chunk);
            }
        }
        let mut sets = HashMap::with_capacity(keys.len());
        let Some(run) = self.run else { return Ok(sets) };
        run.positions(&keys, |position, entry: &RunEntry| {
            let is_here = self.ids.get(entry.pack as usize) == Some(&id);
            if let Some(listed) = offsets.get(&(entry.key, entry.span.offset)).filter(|_| is_here) {
                sets.insert(entry.key, (self.of[position as usize], *listed));
            }
        })?;
        Ok(sets)
    }
}

/// Adds the share of one chunk to those who need it.
fn charge(accounts: &mut Accounts, members: &[u32], share: u64, chunk: &Listed) {
    let count = members.len() as u64;
    if count == 0 {
        accounts.unneeded_bytes += share;
        return;
    }
    // Who pays the bytes that are left over is different for each chunk.
    let first = chunk.key.short() % count;
    for (at, member) in (0..).zip(members) {
        let account = &mut accounts.sources[*member as usize];
        let more = u64::from((at + count - first) % count < share % count);
        account.fair_bytes += share / count + more;
        account.distinct_bytes += u64::from(chunk.length);
        if count == 1 {
            account.unique_bytes += share;
        }
    }
}

/// Divides by weights, of which at least one is not 0, with nothing left over.
fn shares(total: u64, weights: impl Iterator<Item = u64> + Clone) -> impl Iterator<Item = u64> {
    let sum: u128 = weights.clone().map(u128::from).sum::<u128>().max(1);
    let (mut weight, mut given) = (0_u128, 0_u128);
    weights.map(move |more| {
        weight += u128::from(more);
        let until = u128::from(total) * weight / sum;
        let share = until - given;
        given = until;
        u64::try_from(share).expect("a share is no more than the total")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shares_add_up_and_are_fair(total: u64, weights in proptest::collection::vec(0..1_u64 << 40, 1..50)) {
            let sum: u64 = weights.iter().sum();
            prop_assume!(sum > 0);
            let shares: Vec<u64> = shares(total, weights.iter().copied()).collect();
            prop_assert_eq!(shares.iter().sum::<u64>(), total);
            for (share, weight) in shares.iter().zip(&weights) {
                let exact = u128::from(total) * u128::from(*weight) / u128::from(sum);
                prop_assert!(u128::from(*share).abs_diff(exact) <= 1);
            }
        }

        #[test]
        fn a_chunk_is_charged_to_the_byte(share: u32, members in 1..9_u32, key: [u8; 16]) {
            let sources = vec![Account::default(); members as usize];
            let mut accounts = Accounts { sources, ..Accounts::default() };
            let members: Vec<u32> = (0..members).collect();
            let chunk = Listed { key: Key(key), proof: [0; 8], length: 1 };
            charge(&mut accounts, &members, u64::from(share), &chunk);
            let fair: Vec<u64> = accounts.sources.iter().map(|account| account.fair_bytes).collect();
            prop_assert_eq!(fair.iter().sum::<u64>(), u64::from(share));
            prop_assert!(fair.iter().max().unwrap() - fair.iter().min().unwrap() <= 1);
        }
    }
}
