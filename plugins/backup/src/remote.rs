//! The keeper as a machine sees it: the vault's verbs over a channel to the other role.

mod chunks;

pub(crate) use chunks::Windows;

use crate::wire::{
    Begin, Begun, Kind, Limit, Line, MAX_DRAFT, Open, Opened, Proposal, Range, Stored, broken, decode_batch,
    decode_ids, decode_yes, encode_have, encode_ids, encode_segment,
};
use sdk::schema::{Code, Problem};
use sdk::{Ctx, Result, serde_json};
use std::io;
use vault::{Basis, Batch, ChunkId, Draft, Fingerprint, Received, Receiver, Segment, SnapshotId, Streams};

/// Version of the messages.
pub(crate) const VERSION: u32 = 1;
/// Most bytes or ids asked for at once.
const PART: u64 = 1 << 20;

/// A backup under way.
#[derive(Clone)]
pub(crate) struct Remote {
    line: Line,
}

impl Remote {
    /// Begins a backup of the set `name` of this machine, sent no faster than the limit says.
    ///
    /// # Errors
    /// The administrator cannot be reached or refuses.
    pub(crate) async fn begin(ctx: &Ctx, name: &str, limit: Option<Limit>) -> Result<(Remote, Begun)> {
        let line = Line::start(ctx.channel(crate::wire::RECEIVE).await?, limit);
        let begin = Begin { version: VERSION, name: name.to_owned() };
        let begun = line.ask_async(Kind::Begin, &serde_json::to_vec(&begin)?).await?.json()?;
        Ok((Remote { line }, begun))
    }

    /// Bytes sent to the keeper so far.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.line.sent_bytes()
    }

    /// Reads the snapshot that the backup builds on.
    pub(crate) fn basis(&self, opened: Opened) -> Reading {
        Reading { line: self.line.clone(), opened }
    }

    pub(crate) async fn finish(&self) {
        self.line.finish().await;
    }
}

/// The snapshot that a backup builds on, read from the keeper.
pub(crate) fn reading_basis(remote: &Remote, opened: Opened) -> Basis {
    let (root, root_refs) = (opened.root, opened.root_refs);
    Basis::new(remote.basis(opened), root, root_refs)
}

impl Receiver for Remote {
    type Error = Problem;

    fn have(&self, names: &[Fingerprint]) -> Result<Vec<bool>, Problem> {
        let answer = self.line.ask(Kind::Have, &encode_have(names)).map_err(|fault| fault.0)?;
        decode_yes(&answer.payload, names.len()).map_err(|fault| fault.0)
    }

    fn put(&self, segment: Segment) -> Result<(), Problem> {
        self.line.tell(Kind::Put, &encode_segment(&segment)).map_err(|fault| fault.0)
    }

    fn commit(&self, draft: Draft) -> Result<Received, Problem> {
        let proposal = serde_json::to_vec(&Proposal::from(&draft))
            .map_err(|error| Problem::internal(format!("a draft cannot be written: {error}.")))?;
        if proposal.len() > MAX_DRAFT {
            let text = format!("The list of what this snapshot is made of has {} bytes, too many.", proposal.len());
            return Err(Problem::new(Code::Quota, text).fix("Back it up as several sets of paths, each with a name."));
        }
        let mut parts = proposal.chunks(PART as usize).peekable();
        let mut last: &[u8] = &[];
        while let Some(part) = parts.next() {
            match parts.peek() {
                Some(_) => self.line.tell(Kind::Part, part).map_err(|fault| fault.0)?,
                None => last = part,
            }
        }
        let stored: Stored =
            self.line.ask(Kind::Commit, last).and_then(|answer| answer.json()).map_err(|fault| fault.0)?;
        Ok(Received {
            snapshot: SnapshotId(stored.snapshot),
            time_ms: stored.time_ms,
            stored_bytes: stored.stored_bytes,
        })
    }
}

/// Reads a snapshot by position.
#[derive(Clone)]
pub(crate) struct Reading {
    line: Line,
    opened: Opened,
}

impl Reading {
    /// Opens a snapshot to be restored.
    ///
    /// # Errors
    /// There is no such snapshot, or it is neither this machine's nor what the operator asked for.
    pub(crate) async fn open(ctx: &Ctx, snapshot: &str, name: Option<&str>) -> Result<Reading> {
        let line = Line::start(ctx.channel(crate::wire::READ).await?, None);
        let (name, job) = (name.map(str::to_owned), ctx.call().job.clone());
        let open = Open { version: VERSION, snapshot: snapshot.to_owned(), name, job };
        let opened = line.ask_async(Kind::Open, &serde_json::to_vec(&open)?).await?.json()?;
        Ok(Reading { line, opened })
    }

    pub(crate) fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Bytes of *names*.
    ///
    /// # Errors
    /// They are not there, or damaged.
    pub(crate) fn names(&self, from: u64, count: u64) -> Result<Vec<u8>> {
        let count = count.min(PART);
        let answer = self.line.ask(Kind::Names, &serde_json::to_vec(&Range { from, count })?)?;
        if answer.payload.len() as u64 > count {
            return Err(broken("more of a snapshot came than was asked for."));
        }
        Ok(answer.payload)
    }

    /// Ids of *refs*.
    ///
    /// # Errors
    /// They are not there, or damaged.
    pub(crate) fn refs(&self, from: u64, count: u64) -> Result<Vec<ChunkId>> {
        let answer = self.line.ask(Kind::Refs, &serde_json::to_vec(&Range { from, count: count.min(PART / 32) })?)?;
        decode_ids(&answer.payload)
    }

    /// Hands as many of the chunks at these places of *refs* to `take` as fit into an answer, as the batches they come in,
    /// in any order, and says how many.
    ///
    /// # Errors
    /// They are not there, or damaged; what `take` fails with.
    fn chunks(&self, from: u64, count: u64, mut take: impl FnMut(Batch) -> Result<()>) -> Result<u64> {
        let mut answers = self.line.ask_for_many(Kind::Chunks, &serde_json::to_vec(&Range { from, count })?)?;
        let Range { count: fits, .. } = answers.next()?.json()?;
        if fits == 0 || fits > count {
            return Err(broken("other chunks came than were asked for."));
        }
        let mut left = fits;
        while left > 0 {
            let batch = decode_batch(&answers.next()?.payload)?;
            let asked = |position: u64| position.checked_sub(from).is_some_and(|place| place < fits);
            left = left
                .checked_sub(batch.pieces.len() as u64)
                .filter(|_| !batch.pieces.is_empty() && batch.pieces.iter().all(|piece| asked(piece.position)))
                .ok_or_else(|| broken("other chunks came than were asked for."))?;
            take(batch)?;
        }
        Ok(fits)
    }
}

impl Streams for Reading {
    fn length(&self, stream: vault::Stream) -> u64 {
        match stream {
            vault::Stream::Names => self.opened.names_bytes,
            vault::Stream::Refs => self.opened.refs * 32,
        }
    }

    fn read(&self, stream: vault::Stream, mut position: u64, mut into: &mut [u8]) -> io::Result<()> {
        while !into.is_empty() {
            // Ids come whole: from the one that the position is in.
            let (bytes, skip) = match stream {
                vault::Stream::Names => (self.names(position, into.len() as u64), 0),
                vault::Stream::Refs => {
                    let skip = (position % 32) as usize;
                    let count = (skip + into.len()).div_ceil(32) as u64;
                    (self.refs(position / 32, count).map(|ids| encode_ids(&ids)), skip)
                }
            };
            let bytes = bytes.map_err(|fault| io::Error::other(fault.0))?;
            let came = bytes.get(skip..).unwrap_or_default();
            let taken = came.len().min(into.len());
            if taken == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            into[..taken].copy_from_slice(&came[..taken]);
            position += taken as u64;
            into = &mut into[taken..];
        }
        Ok(())
    }
}
