//! Several runs become one, in little memory.

use super::run::{Run, RunEntry, RunFault, RunWriter, Scan};
use super::{Hidden, Place};
use crate::pack::PackId;
use crate::storage::Storage;
use std::collections::HashMap;
use std::iter::Peekable;
use std::sync::Arc;

/// Writes run `number`. Of entries of the same key the newest stays, a damaged one only where there is no other; those of packs
/// that are gone go.
pub(super) fn merge(storage: &dyn Storage, runs: &[Arc<Run>], hidden: &Hidden, number: u64) -> Result<(), RunFault> {
    let (mut table, mut numbers) = (Vec::new(), HashMap::new());
    let mut inputs = Vec::with_capacity(runs.len());
    // The newest first: the first one that has a key wins.
    for run in runs.iter().rev() {
        let ids = run.pack_ids()?;
        for id in ids.iter().filter(|id| !hidden.gone.contains(id)) {
            numbers.entry(*id).or_insert_with(|| {
                table.push(*id);
                table.len() as u32 - 1
            });
        }
        inputs.push(Input { scan: run.scan().peekable(), ids });
    }
    let mut writer = RunWriter::create(storage, number)?;
    while let Some(entry) = next(&mut inputs, &numbers, hidden)? {
        if let Some(entry) = entry {
            writer.push(&entry)?;
        }
    }
    Ok(writer.finish(&table)?)
}

struct Input<'a> {
    scan: Peekable<Scan<'a>>,
    ids: Vec<PackId>,
}

/// What stays of the smallest key that is left, which may be nothing.
fn next(
    inputs: &mut [Input<'_>],
    numbers: &HashMap<PackId, u32>,
    hidden: &Hidden,
) -> Result<Option<Option<RunEntry>>, RunFault> {
    let mut smallest = None;
    for input in inputs.iter_mut() {
        match input.scan.peek() {
            Some(Ok(entry)) if smallest.is_none_or(|key| entry.key < key) => smallest = Some(entry.key),
            Some(Err(_)) => return Err(input.scan.next().and_then(Result::err).unwrap_or(RunFault::Hash)),
            _ => {}
        }
    }
    let Some(key) = smallest else { return Ok(None) };
    let mut best: Option<(RunEntry, bool)> = None;
    for input in inputs.iter_mut() {
        let Some(Ok(entry)) = input.scan.next_if(|next| next.as_ref().is_ok_and(|entry| entry.key == key)) else {
            continue;
        };
        let id = input.ids[entry.pack as usize];
        let Some(pack) = numbers.get(&id) else { continue };
        let place = Place { pack: id, span: entry.span, start: entry.start, length: entry.length };
        let is_bad = hidden.is_bad(&place);
        if best.is_none_or(|(_, was_bad)| was_bad && !is_bad) {
            best = Some((RunEntry { pack: *pack, ..entry }, is_bad));
        }
    }
    Ok(Some(best.map(|(entry, _)| entry)))
}
