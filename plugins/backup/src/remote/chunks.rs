//! Chunks of a snapshot as a restore wants them: in order, each checked, some ahead of what was asked for.
//!
//! Small files lie side by side in *refs*, and a restore goes through them in that order. So what is fetched is a window
//! of positions, as many as fit into some mebibytes, and the next files find theirs in it.

use super::Reading;
use crate::files::restore::{ChunkError, ChunkSource};
use crate::wire::broken;
use parking_lot::Mutex;
use sdk::schema::Code;
use sdk::{Fault, Result};
use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use vault::{Batch, ChunkId, Fingerprint, Limits, Unpacker};

/// Windows that are kept: one for each thread that writes, and some.
const KEPT: usize = 6;
/// Positions asked for at once; the keeper answers with as many of them as fit.
const AHEAD: u64 = 4096;

/// The chunks of one snapshot.
pub(crate) struct Windows {
    reading: Reading,
    /// How many positions there are.
    count: u64,
    kept: Mutex<VecDeque<Arc<Window>>>,
    /// Held while a window is fetched: others that want it wait for it.
    fetching: Mutex<()>,
}

struct Window {
    from: u64,
    /// Plain bytes of each batch.
    plains: Vec<Vec<u8>>,
    /// Of each position: its batch, and where it is in there.
    places: Vec<(u32, Range<u32>)>,
}

impl Window {
    fn get(&self, position: u64) -> Option<&[u8]> {
        let place = usize::try_from(position.checked_sub(self.from)?).ok()?;
        let (batch, range) = self.places.get(place)?;
        self.plains.get(*batch as usize)?.get(range.start as usize..range.end as usize)
    }
}

impl Windows {
    pub(crate) fn new(reading: Reading) -> Windows {
        let count = reading.opened.refs;
        Windows { reading, count, kept: Mutex::default(), fetching: Mutex::default() }
    }

    fn window(&self, position: u64) -> Result<Arc<Window>> {
        if let Some(window) = self.find(position) {
            return Ok(window);
        }
        let _fetching = self.fetching.lock();
        if let Some(window) = self.find(position) {
            return Ok(window);
        }
        let window = Arc::new(self.fetch(position)?);
        let mut kept = self.kept.lock();
        kept.push_back(window.clone());
        if kept.len() > KEPT {
            kept.pop_front();
        }
        Ok(window)
    }

    fn find(&self, position: u64) -> Option<Arc<Window>> {
        self.kept.lock().iter().find(|window| window.get(position).is_some()).cloned()
    }

    fn fetch(&self, from: u64) -> Result<Window> {
        let most = AHEAD.min(self.count.saturating_sub(from));
        let ids = self.reading.refs(from, most)?;
        let mut unpacker = Unpacker::new(Limits::SEGMENT);
        let (mut plains, mut places) = (Vec::new(), Vec::new());
        let count = self.reading.chunks(from, most, |batch| {
            let number = plains.len() as u32;
            let plain = unpacked(&mut unpacker, &batch)?;
            for piece in &batch.pieces {
                let place = (piece.position - from) as usize;
                let range = piece.start..piece.start + piece.length;
                let chunk = plain.get(range.start as usize..range.end as usize);
                let chunk = chunk.ok_or_else(|| broken("a chunk is said to lie where nothing is."))?;
                check(ids.get(place), chunk)?;
                if places.len() <= place {
                    places.resize(place + 1, (u32::MAX, 0..0));
                }
                places[place] = (number, range);
            }
            plains.push(plain);
            Ok(())
        })?;
        places.truncate(usize::try_from(count).unwrap_or(usize::MAX));
        Ok(Window { from, plains, places })
    }
}

/// A chunk is what its id says, whoever it comes from.
fn check(id: Option<&ChunkId>, chunk: &[u8]) -> Result<()> {
    match id {
        Some(id) if Fingerprint::of(None, chunk).id == *id => Ok(()),
        _ => Err(broken("a chunk came that is not the one that was asked for.")),
    }
}

/// The plain bytes of a batch. Its pieces lie side by side, and several may be at one place.
fn unpacked(unpacker: &mut Unpacker, batch: &Batch) -> Result<Vec<u8>> {
    let mut spans: Vec<(u32, u32)> = batch.pieces.iter().map(|piece| (piece.start, piece.length)).collect();
    spans.sort_unstable();
    spans.dedup();
    let (mut end, mut lengths) = (0u32, Vec::with_capacity(spans.len()));
    for (start, length) in spans {
        if start != end {
            return Err(broken("the chunks of a batch do not lie side by side."));
        }
        end = end.checked_add(length).ok_or_else(|| broken("a batch of chunks is too long."))?;
        lengths.push(length);
    }
    Ok(unpacker.unpack(batch.kind, &lengths, &batch.bytes)?.to_vec())
}

impl ChunkSource for Windows {
    fn chunks(&self, positions: Range<u64>, take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<(), ChunkError> {
        let mut window: Option<Arc<Window>> = None;
        for position in positions {
            if window.as_ref().is_none_or(|window| window.get(position).is_none()) {
                window = Some(self.window(position).map_err(chunk_error)?);
            }
            let Some(chunk) = window.as_ref().and_then(|window| window.get(position)) else {
                return Err(chunk_error(broken("a chunk that was asked for did not come.")));
            };
            if take(chunk).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// Whether only this chunk is lost, or all that follow too.
fn chunk_error(fault: Fault) -> ChunkError {
    let problem = fault.0;
    match problem.code {
        Code::Unavailable | Code::Cancelled => ChunkError::Lost(Box::new(problem)),
        _ => ChunkError::Damaged(Box::new(problem)),
    }
}
