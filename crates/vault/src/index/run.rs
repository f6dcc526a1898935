//! One sorted run: written once, looked into with a page or two of reading.

use super::{FOLDER, Found, Place};
use crate::keys::Key;
use crate::pack::{PackId, Span};
use crate::storage::{Object, Storage, StorageError, Unfinished};
use std::collections::HashSet;
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"BWINDX\0\x01";
const ENTRY: usize = 44;
const TRAILER: u64 = 12 + 32;
/// Entries that one look reads: a page.
const WINDOW: u64 = 93;
/// Entries between two looks that are close.
const CLOSE: u64 = 250;
/// Entries that reading in order reads at once.
const BLOCK: u64 = 2_979;
/// Looks that guess where a key is, before halving what is left: guesses always do in a run that is as it was written.
const GUESSES: u32 = 6;
/// Packs whose ids are held in memory; past that they are read where they are needed.
const TABLE: u32 = 64 << 10;

/// What is wrong with a run.
#[derive(Debug, thiserror::Error)]
pub enum RunFault {
    #[error("it is no run of an index, or was cut off")]
    Format,
    #[error("its bytes are not those that were written")]
    Hash,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunEntry {
    pub key: Key,
    pub proof: [u8; 8],
    /// Position among the packs of the run.
    pub pack: u32,
    pub span: Span,
    pub start: u32,
    pub length: u32,
}

impl RunEntry {
    pub(super) fn new(key: Key, found: &Found, pack: u32) -> RunEntry {
        let Found { proof, place } = *found;
        RunEntry { key, proof, pack, span: place.span, start: place.start, length: place.length }
    }

    fn parse(bytes: &[u8; ENTRY]) -> RunEntry {
        let (mut key, mut proof) = ([0; 16], [0; 8]);
        key.copy_from_slice(&bytes[..16]);
        proof.copy_from_slice(&bytes[16..24]);
        let mut numbers = bytes[24..].chunks_exact(4).map(|n| u32::from_le_bytes([n[0], n[1], n[2], n[3]]));
        let mut number = || numbers.next().expect("an entry holds five numbers");
        RunEntry {
            key: Key(key),
            proof,
            pack: number(),
            span: Span { offset: number(), stored: number() },
            start: number(),
            length: number(),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.key.0);
        out.extend_from_slice(&self.proof);
        for number in [self.pack, self.span.offset, self.span.stored, self.start, self.length] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
}

pub(super) fn name(number: u64) -> String {
    format!("{FOLDER}{number:016x}.run")
}

pub(crate) fn number(path: &str) -> Option<u64> {
    let digits = path.strip_prefix(FOLDER)?.strip_suffix(".run")?;
    u64::from_str_radix(digits, 16).ok().filter(|number| name(*number) == path)
}

pub(crate) struct Run {
    pub name: String,
    pub entries: u64,
    pub packs: u32,
    object: Arc<dyn Object>,
    table: Vec<PackId>,
}

/// A piece of a run that was read last.
pub(crate) struct Window {
    /// Entries that one look reads.
    size: u64,
    first: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// For one look.
    pub(crate) fn new() -> Window {
        Window { size: WINDOW, first: 0, bytes: Vec::new() }
    }

    /// For so many looks in order. Where they are close, one reads what the next few need too.
    pub(crate) fn for_many(run: &Run, looks: usize) -> Window {
        let gap = run.entries / (looks as u64).max(1);
        let size = if gap < CLOSE { (4 * gap).clamp(WINDOW, BLOCK) } else { WINDOW };
        Window { size, ..Window::new() }
    }

    fn count(&self) -> usize {
        self.bytes.len() / ENTRY
    }

    fn entry(&self, at: usize) -> &[u8; ENTRY] {
        self.bytes[at * ENTRY..].first_chunk().expect("a window holds whole entries")
    }

    fn key(&self, at: usize) -> Key {
        let mut key = [0; 16];
        key.copy_from_slice(&self.entry(at)[..16]);
        Key(key)
    }

    fn spans(&self, key: &Key) -> bool {
        self.count() > 0 && self.key(0) <= *key && *key <= self.key(self.count() - 1)
    }

    fn search(&self, key: &Key) -> Option<(u64, RunEntry)> {
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let middle = (low + high) / 2;
            if self.key(middle) < *key { low = middle + 1 } else { high = middle }
        }
        let is_it = low < self.count() && self.key(low) == *key;
        is_it.then(|| (self.first + low as u64, RunEntry::parse(self.entry(low))))
    }
}

impl Run {
    pub(crate) fn open(storage: &dyn Storage, number: u64) -> Result<Run, RunFault> {
        let name = name(number);
        let object = storage.open(&name)?;
        let length = object.length()?;
        if length < 8 + TRAILER {
            return Err(RunFault::Format);
        }
        let (mut magic, mut counts) = ([0; 8], [0; 12]);
        object.read_at(0, &mut magic)?;
        object.read_at(length - TRAILER, &mut counts)?;
        let (entries, packs) = counts.split_first_chunk().ok_or(RunFault::Format)?;
        let entries = u64::from_le_bytes(*entries);
        let packs = u32::from_le_bytes(packs.try_into().map_err(|_| RunFault::Format)?);
        let expected = u128::from(entries) * ENTRY as u128 + u128::from(packs) * 16 + 8 + u128::from(TRAILER);
        if &magic != MAGIC || u128::from(length) != expected {
            return Err(RunFault::Format);
        }
        let mut run = Run { name, entries, packs, object, table: Vec::new() };
        if packs <= TABLE {
            run.table = run.pack_ids()?;
        }
        Ok(run)
    }

    pub(crate) fn pack_ids(&self) -> Result<Vec<PackId>, RunFault> {
        if !self.table.is_empty() {
            return Ok(self.table.clone());
        }
        let mut bytes = vec![0; self.packs as usize * 16];
        self.object.read_at(self.table_start(), &mut bytes)?;
        let ids = bytes.chunks_exact(16).map(|id| PackId(id.try_into().expect("chunks have 16 bytes")));
        Ok(ids.collect())
    }

    fn table_start(&self) -> u64 {
        8 + self.entries * ENTRY as u64
    }

    /// With the id of its pack. A pack that the run does not list is as good as gone: the id is that of no pack.
    pub(crate) fn resolve(&self, entry: &RunEntry) -> Result<Found, StorageError> {
        let mut id = [0; 16];
        match self.table.get(entry.pack as usize) {
            Some(known) => id = known.0,
            None if entry.pack < self.packs => {
                self.object.read_at(self.table_start() + 16 * u64::from(entry.pack), &mut id)?;
            }
            None => {}
        }
        let place = Place { pack: PackId(id), span: entry.span, start: entry.start, length: entry.length };
        Ok(Found { proof: entry.proof, place })
    }

    /// Tells the position and the entry of each of these keys that it has. They are in order and none comes twice.
    pub(crate) fn positions(&self, keys: &[Key], mut visit: impl FnMut(u64, &RunEntry)) -> Result<(), StorageError> {
        let mut window = Window::for_many(self, keys.len());
        for key in keys {
            if let Some((position, entry)) = self.find(key, &mut window)? {
                visit(position, &entry);
            }
        }
        Ok(())
    }

    /// The entry of this key and where it stands. `window` is the one of a look for a smaller key, or an empty one.
    pub(crate) fn find(&self, key: &Key, window: &mut Window) -> Result<Option<(u64, RunEntry)>, StorageError> {
        if window.spans(key) {
            return Ok(window.search(key));
        }
        let size = window.size;
        let (mut low, mut high) = (0, self.entries);
        let (mut low_key, mut high_key) = (0, u64::MAX);
        if let Some(last) = window.count().checked_sub(1).filter(|last| window.key(*last) < *key) {
            (low, low_key) = (window.first + last as u64 + 1, window.key(last).short());
        }
        for look in 0.. {
            if low >= high {
                break;
            }
            let count = high - low;
            let guess = if look < GUESSES && high_key > low_key {
                let share = u128::from(key.short().saturating_sub(low_key)) * u128::from(count);
                low + (share / u128::from(high_key - low_key)) as u64
            } else {
                low + count / 2
            };
            let first = guess.saturating_sub(size / 2).clamp(low, high - count.min(size));
            self.load(first, size.min(high - first), window)?;
            let last = window.count() - 1;
            if *key < window.key(0) {
                (high, high_key) = (window.first, window.key(0).short());
            } else if *key > window.key(last) {
                (low, low_key) = (window.first + last as u64 + 1, window.key(last).short());
            } else {
                return Ok(window.search(key));
            }
        }
        Ok(None)
    }

    fn load(&self, first: u64, count: u64, window: &mut Window) -> Result<(), StorageError> {
        window.first = first;
        window.bytes.resize(count as usize * ENTRY, 0);
        let result = self.object.read_at(8 + first * ENTRY as u64, &mut window.bytes);
        if result.is_err() {
            window.bytes.clear();
        }
        result
    }

    /// Whether it has anything of these packs.
    pub(super) fn names_any(&self, packs: &HashSet<PackId>) -> bool {
        self.pack_ids().is_ok_and(|ids| ids.iter().any(|id| packs.contains(id)))
    }

    /// Entries of these packs, if all of the run is as it was written.
    pub(super) fn entries_of(&self, packs: &HashSet<PackId>) -> Result<Vec<(Key, Found)>, RunFault> {
        let ids = self.pack_ids()?;
        let mut entries = Vec::new();
        for entry in self.scan() {
            let entry = entry?;
            if packs.contains(&ids[entry.pack as usize]) {
                entries.push((entry.key, self.resolve(&entry)?));
            }
        }
        Ok(entries)
    }

    /// All entries in order. At the end it says whether they are those that were written.
    pub(crate) fn scan(&self) -> Scan<'_> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(MAGIC);
        Scan { run: self, hasher, window: Window::new(), at: 0, last: None, is_done: false }
    }
}

/// Reads a run from its first entry to its last.
pub(crate) struct Scan<'a> {
    run: &'a Run,
    hasher: blake3::Hasher,
    window: Window,
    at: u64,
    last: Option<Key>,
    is_done: bool,
}

impl Scan<'_> {
    fn step(&mut self) -> Result<Option<RunEntry>, RunFault> {
        if self.at == self.run.entries {
            return self.check().map(|()| None);
        }
        if self.at == self.window.first + self.window.count() as u64 {
            self.run.load(self.at, BLOCK.min(self.run.entries - self.at), &mut self.window)?;
            self.hasher.update(&self.window.bytes);
        }
        let entry = RunEntry::parse(self.window.entry((self.at - self.window.first) as usize));
        if self.last.is_some_and(|last| last >= entry.key) || entry.pack >= self.run.packs {
            return Err(RunFault::Hash);
        }
        (self.last, self.at) = (Some(entry.key), self.at + 1);
        Ok(Some(entry))
    }

    fn check(&mut self) -> Result<(), RunFault> {
        let (mut at, end) = (self.run.table_start(), self.run.table_start() + u64::from(self.run.packs) * 16 + 12);
        let mut block = vec![0; 64 << 10];
        while at < end {
            let count = (end - at).min(block.len() as u64) as usize;
            self.run.object.read_at(at, &mut block[..count])?;
            self.hasher.update(&block[..count]);
            at += count as u64;
        }
        let mut hash = [0; 32];
        self.run.object.read_at(end, &mut hash)?;
        if self.hasher.finalize() == hash { Ok(()) } else { Err(RunFault::Hash) }
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<RunEntry, RunFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let result = self.step().transpose();
        self.is_done = !matches!(result, Some(Ok(_)));
        result
    }
}

pub(super) struct RunWriter {
    out: Box<dyn Unfinished>,
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
    entries: u64,
}

impl RunWriter {
    pub(super) fn create(storage: &dyn Storage, number: u64) -> Result<RunWriter, StorageError> {
        let out = storage.create(&name(number))?;
        Ok(RunWriter { out, hasher: blake3::Hasher::new(), buffer: MAGIC.to_vec(), entries: 0 })
    }

    /// In the order of keys.
    pub(super) fn push(&mut self, entry: &RunEntry) -> Result<(), StorageError> {
        entry.write(&mut self.buffer);
        self.entries += 1;
        if self.buffer.len() >= 128 << 10 { self.drain() } else { Ok(()) }
    }

    fn drain(&mut self) -> Result<(), StorageError> {
        self.hasher.update(&self.buffer);
        self.out.append(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    pub(super) fn finish(mut self, packs: &[PackId]) -> Result<(), StorageError> {
        for pack in packs {
            self.buffer.extend_from_slice(&pack.0);
        }
        self.buffer.extend_from_slice(&self.entries.to_le_bytes());
        let count = u32::try_from(packs.len()).expect("there are far fewer than 2^32 packs");
        self.buffer.extend_from_slice(&count.to_le_bytes());
        self.drain()?;
        self.out.append(self.hasher.finalize().as_bytes())?;
        self.out.finish()
    }
}
