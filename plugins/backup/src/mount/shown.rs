//! Which snapshots there are, and what their folders are called: `<machine>/<time>`, and `<machine>/latest`.

use super::number::{MOST_ENTERED, Number};
use jiff::tz::TimeZone;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use vault::{SnapshotId, Vault, VaultError};

/// Name of the link to the latest snapshot of a machine.
pub(super) const LATEST: &str = "latest";
/// How old the list may be.
const AGE: Duration = Duration::from_secs(1);

/// The snapshots of a vault as they are at the moment.
pub(super) struct Shown {
    vault: Arc<Vault>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    looked: Option<Instant>,
    /// Every machine that was seen; its place is its number.
    machines: Vec<String>,
    /// Every snapshot that was seen; its place is its number.
    snapshots: Vec<Known>,
    numbers: HashMap<SnapshotId, u32>,
    /// Those whose records cannot be read.
    unreadable: HashSet<SnapshotId>,
    /// Those that are there, by their machine and name.
    there: BTreeMap<u32, BTreeMap<String, u32>>,
    /// Snapshots that were looked into, in that order.
    entered: Vec<u32>,
}

struct Known {
    id: SnapshotId,
    machine: u32,
    time_ms: i64,
    entered: Option<u16>,
}

/// A snapshot as its folder shows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) id: SnapshotId,
    pub(super) time_ms: i64,
    pub(super) machine: u32,
}

impl Shown {
    pub(super) fn new(vault: Arc<Vault>) -> Shown {
        Shown { vault, state: Mutex::default() }
    }

    fn now<T>(&self, ask: impl FnOnce(&mut State) -> T) -> Result<T, VaultError> {
        let mut state = self.state.lock();
        if state.looked.is_none_or(|looked| looked.elapsed() >= AGE) {
            state.refresh(&self.vault)?;
            state.looked = Some(Instant::now());
        }
        Ok(ask(&mut state))
    }

    /// Machines that have snapshots, by name.
    pub(super) fn machines(&self) -> Result<Vec<(String, Number)>, VaultError> {
        self.now(|state| {
            let named = state.there.keys().map(|machine| (state.name(*machine), Number::Machine(*machine)));
            named.collect()
        })
    }

    pub(super) fn machine(&self, name: &[u8]) -> Result<Option<Number>, VaultError> {
        self.now(|state| {
            let found = state.there.keys().find(|machine| state.name(**machine).as_bytes() == name);
            found.map(|machine| Number::Machine(*machine))
        })
    }

    /// Snapshots of a machine, from the oldest to the newest, by name.
    pub(super) fn snapshots(&self, machine: u32) -> Result<Vec<(String, Number)>, VaultError> {
        self.now(|state| {
            let named = state.there.get(&machine).into_iter().flatten();
            named.map(|(name, snapshot)| (name.clone(), Number::Snapshot(*snapshot))).collect()
        })
    }

    pub(super) fn snapshot(&self, machine: u32, name: &[u8]) -> Result<Option<Number>, VaultError> {
        let Ok(name) = std::str::from_utf8(name) else { return Ok(None) };
        self.now(|state| {
            let found = state.there.get(&machine)?.get(name);
            found.map(|snapshot| Number::Snapshot(*snapshot))
        })
    }

    /// Name and time of the newest snapshot of a machine.
    pub(super) fn latest(&self, machine: u32) -> Result<Option<(String, i64)>, VaultError> {
        self.now(|state| {
            let newest = state.there.get(&machine)?.iter().max_by_key(|(_, snapshot)| state.known(**snapshot).id);
            newest.map(|(name, snapshot)| (name.clone(), state.known(*snapshot).time_ms))
        })
    }

    /// A snapshot that was shown, be it there still or not.
    pub(super) fn seen(&self, snapshot: u32) -> Option<Seen> {
        let state = self.state.lock();
        let Known { id, machine, time_ms, .. } = state.snapshots.get(snapshot as usize)?;
        Some(Seen { id: *id, time_ms: *time_ms, machine: *machine })
    }

    /// What numbers of its entries say of a snapshot; none where too many were looked into.
    pub(super) fn enter(&self, snapshot: u32) -> Option<u16> {
        let state = &mut *self.state.lock();
        let next = state.entered.len();
        let known = state.snapshots.get_mut(snapshot as usize)?;
        if known.entered.is_none() && next < MOST_ENTERED {
            known.entered = Some(next as u16);
            state.entered.push(snapshot);
            return Some(next as u16);
        }
        known.entered
    }

    pub(super) fn entered(&self, entered: u16) -> Option<u32> {
        self.state.lock().entered.get(usize::from(entered)).copied()
    }

    /// Where the folder of a snapshot is, for messages.
    pub(super) fn path(&self, snapshot: u32) -> String {
        let state = self.state.lock();
        let Some(known) = state.snapshots.get(snapshot as usize) else { return String::new() };
        let names = state.there.get(&known.machine).into_iter().flatten();
        let name = names.into_iter().find(|(_, number)| **number == snapshot).map(|(name, _)| name.clone());
        format!("{}/{}", state.name(known.machine), name.unwrap_or_else(|| moment(known.time_ms)))
    }

    /// Snapshots whose records cannot be read.
    pub(super) fn unreadable(&self) -> Vec<SnapshotId> {
        self.state.lock().unreadable.iter().copied().collect()
    }
}

impl State {
    fn known(&self, snapshot: u32) -> &Known {
        &self.snapshots[snapshot as usize]
    }

    fn name(&self, machine: u32) -> String {
        folder_name(&self.machines[machine as usize])
    }

    fn refresh(&mut self, vault: &Vault) -> Result<(), VaultError> {
        let mut machines: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for id in vault.snapshot_ids()? {
            let number = match self.numbers.get(&id) {
                Some(number) => *number,
                None => match vault.summary(id) {
                    Ok(summary) => self.add(id, &summary.source, summary.time_ms),
                    // Removed since.
                    Err(VaultError::NoSnapshot { .. }) => continue,
                    Err(error @ VaultError::Storage(_)) => return Err(error),
                    Err(_) => {
                        self.unreadable.insert(id);
                        continue;
                    }
                },
            };
            machines.entry(self.known(number).machine).or_default().push(number);
        }
        self.there = machines.into_iter().map(|(machine, snapshots)| (machine, self.names(snapshots))).collect();
        Ok(())
    }

    fn add(&mut self, id: SnapshotId, source: &str, time_ms: i64) -> u32 {
        let machine = match self.machines.iter().position(|known| known == source) {
            Some(machine) => machine,
            None => {
                self.machines.push(source.to_owned());
                self.machines.len() - 1
            }
        };
        let number = self.snapshots.len() as u32;
        self.snapshots.push(Known { id, machine: machine as u32, time_ms, entered: None });
        self.numbers.insert(id, number);
        number
    }

    /// What snapshots of one machine, in order, are called. Of those of one second, the later ones bear the end of their ids.
    fn names(&self, snapshots: Vec<u32>) -> BTreeMap<String, u32> {
        let mut names = BTreeMap::new();
        for snapshot in snapshots {
            let Known { id, time_ms, .. } = self.known(snapshot);
            let mut name = moment(*time_ms);
            if names.contains_key(&name) {
                name = format!("{name}-{}", &id.to_string()[24..]);
            }
            names.insert(name, snapshot);
        }
        names
    }
}

/// A moment as a name that sorts by time, in UTC.
fn moment(milliseconds: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or_default().to_zoned(TimeZone::UTC);
    time.strftime("%Y-%m-%d_%H-%M-%S").to_string()
}

/// A source as a name of a folder: no two are the same.
fn folder_name(source: &str) -> String {
    match source {
        "." | ".." => source.replace('.', "%2E"),
        _ => source.replace('%', "%25").replace('/', "%2F"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_time_and_no_two_are_the_same() {
        let mut state = State::default();
        let times = [1_700_000_000_000, 1_700_000_000_999, 1_700_000_001_000, -1];
        let id = |number: usize| SnapshotId([number as u8; 16]);
        let numbers = times.iter().enumerate().map(|(number, time)| state.add(id(number), "larch", *time)).collect();
        let names: Vec<String> = state.names(numbers).into_keys().collect();
        let expected =
            ["1969-12-31_23-59-59", "2023-11-14_22-13-20", "2023-11-14_22-13-20-01010101", "2023-11-14_22-13-21"];
        assert_eq!(names, expected);
    }

    #[test]
    fn any_source_is_a_name_of_a_folder() {
        assert_eq!(folder_name("larch:home"), "larch:home");
        assert_eq!(folder_name("a/b"), "a%2Fb");
        assert_eq!(folder_name("a%2Fb"), "a%252Fb");
        assert_eq!(folder_name(".."), "%2E%2E");
    }
}
