//! Writing anew what is needed of packs that go.

use super::CollectReport;
use super::plan::Condemned;
use crate::error::VaultError;
use crate::index::Found;
use crate::keys::{DomainKeys, Key};
use crate::pack::{Footer, Listed, PackFault, PackId, PackWriter, read_segment, unpack_segment};
use crate::segment::{Limits, split};
use crate::vault::{Trouble, Vault, entries};
use crate::{DomainId, SegmentKind, stamp};
use std::collections::{HashMap, HashSet};

/// Plain bytes of chunks that are packed together again.
const SEGMENT: usize = 512 << 10;
/// Of zstd. This is read once and kept for long.
const LEVEL: i32 = 3;

pub(super) struct Repack<'a> {
    vault: &'a Vault,
    outputs: HashMap<DomainId, Output<'a>>,
    moved: Vec<(PackId, u64)>,
}

/// What is written for one domain.
struct Output<'a> {
    vault: &'a Vault,
    /// When the pack that is being copied was made: what is old stays old, and is collected without another grace.
    made_ms: i64,
    written: u64,
    domain: DomainId,
    keys: DomainKeys,
    writer: Option<PackWriter>,
    entries: Vec<(Key, Found)>,
    /// Chunks out of segments of which not everything is needed.
    loose: Vec<Listed>,
    plain: Vec<u8>,
}

impl<'a> Repack<'a> {
    pub(super) fn new(vault: &'a Vault) -> Repack<'a> {
        Repack { vault, outputs: HashMap::new(), moved: Vec::new() }
    }

    /// Copies what is kept of a pack. One of which that cannot be read stays.
    pub(super) fn pack(&mut self, pack: &Condemned, report: &mut CollectReport) -> Result<(), VaultError> {
        if pack.kept.is_empty() {
            self.moved.push((pack.id, pack.bytes));
            return Ok(());
        }
        let copied = match &pack.footer {
            Some(footer) => self.copy(pack, footer)?,
            None => Err(PackFault::Footer),
        };
        match copied {
            Ok(()) => {
                self.moved.push((pack.id, pack.bytes));
                report.packs_repacked += 1;
            }
            Err(source) => {
                report.packs_damaged += 1;
                self.vault.report(Trouble::Pack { path: self.vault.storage.path(&pack.id.path()), source });
                self.vault.index.hide(|hidden| drop(hidden.condemned.remove(&pack.id)));
            }
        }
        Ok(())
    }

    fn copy(&mut self, pack: &Condemned, footer: &Footer) -> Result<Result<(), PackFault>, VaultError> {
        let vault = self.vault;
        let output = self.outputs.entry(footer.domain).or_insert_with(|| Output::new(vault, footer.domain));
        output.made_ms = stamp::milliseconds(&pack.id.0);
        let aead = output.keys.pack(&pack.id.0);
        let object = vault.storage.open(&pack.id.path())?;
        let mut left: HashSet<Key> = HashSet::clone(&pack.kept);
        for (segment, chunks) in footer.parts() {
            let wanted: Vec<bool> = chunks.iter().map(|chunk| left.remove(&chunk.key)).collect();
            if !wanted.contains(&true) {
                continue;
            }
            let (kind, bytes) = match read_segment(&*object, &aead, segment.span) {
                Ok(segment) => segment,
                Err(PackFault::Storage(error)) if !error.is_about_content() => return Err(error.into()),
                Err(fault) => return Ok(Err(fault)),
            };
            if kind == SegmentKind::Sealed || !wanted.contains(&false) {
                output.append(kind, &bytes, chunks)?;
                continue;
            }
            let plain = match unpack_segment(kind, bytes) {
                Ok(plain) => plain,
                Err(fault) => return Ok(Err(fault)),
            };
            let lengths: Vec<u32> = chunks.iter().map(|chunk| chunk.length).collect();
            for ((plain, chunk), _) in split(&plain, &lengths).zip(chunks).zip(&wanted).filter(|(_, wanted)| **wanted) {
                output.add(plain, *chunk);
                if output.is_due() {
                    output.pack_loose()?;
                }
            }
        }
        Ok(Ok(()))
    }

    /// Packs of which everything that is needed is elsewhere on stable storage now, and their lengths.
    pub(super) fn finish(self, report: &mut CollectReport) -> Result<Vec<(PackId, u64)>, VaultError> {
        for mut output in self.outputs.into_values() {
            output.pack_loose()?;
            output.seal()?;
            report.bytes_written += output.written;
        }
        self.vault.flush_if_due();
        Ok(self.moved)
    }
}

impl<'a> Output<'a> {
    fn new(vault: &'a Vault, domain: DomainId) -> Output<'a> {
        let keys = vault.key.domain(domain);
        Output {
            vault,
            made_ms: 0,
            written: 0,
            domain,
            keys,
            writer: None,
            entries: Vec::new(),
            loose: Vec::new(),
            plain: Vec::new(),
        }
    }

    fn add(&mut self, plain: &[u8], chunk: Listed) {
        self.plain.extend_from_slice(plain);
        self.loose.push(chunk);
    }

    fn is_due(&self) -> bool {
        self.plain.len() >= SEGMENT || self.loose.len() == Limits::SEGMENT.chunks
    }

    fn pack_loose(&mut self) -> Result<(), VaultError> {
        if self.loose.is_empty() {
            return Ok(());
        }
        let (plain, chunks) = (std::mem::take(&mut self.plain), std::mem::take(&mut self.loose));
        match zstd::bulk::compress(&plain, LEVEL) {
            Ok(bytes) if bytes.len() < plain.len() => self.append(SegmentKind::Zstd, &bytes, &chunks),
            _ => self.append(SegmentKind::Plain, &plain, &chunks),
        }
    }

    fn append(&mut self, kind: SegmentKind, bytes: &[u8], chunks: &[Listed]) -> Result<(), VaultError> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(PackWriter::create(&*self.vault.storage, self.domain, &self.keys, self.made_ms)?),
        };
        let span = writer.append(kind, bytes, chunks)?;
        self.entries.extend(entries(writer.id, span, chunks));
        if writer.is_full() { self.seal() } else { Ok(()) }
    }

    /// What was copied is found in the new pack from now on.
    fn seal(&mut self) -> Result<(), VaultError> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let id = writer.id;
        self.written += writer.finish(&self.vault.key)?;
        self.vault.index.replace(&[id], self.entries.drain(..));
        Ok(())
    }
}
