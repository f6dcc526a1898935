//! What the two roles say to each other over a channel: `kind u8`, `number u32`, `length u32`, then the payload.
//!
//! The client asks under a number of its own and the keeper answers under the same, in any order. Bulk is binary, in
//! the layout below; what is said once is JSON. Everything is bounded before it is kept.

mod codec;
mod line;
mod pace;

pub(crate) use codec::{
    decode_batch, decode_have, decode_ids, decode_segment, decode_yes, encode_batch, encode_have, encode_ids,
    encode_segment, encode_yes, hex, unhex,
};
pub(crate) use line::{Incoming, Line, Outgoing};
pub(crate) use pace::{Limit, minute_of_day};

use sdk::serde::{Deserialize, Serialize};
use sdk::{Fault, Result, fault, schema::Code};
use vault::{Counts, Draft, StreamRef};

/// The longest message: a segment of chunks of the largest size, or a draft.
pub(crate) const MAX_MESSAGE: usize = 4 << 20;
/// The longest draft, which may come in parts: that of some hundred million files.
pub(crate) const MAX_DRAFT: usize = 64 << 20;
/// Bytes of `kind`, `number` and `length`.
pub(crate) const HEADER: usize = 9;

/// Key of the channel on which a machine backs up.
pub(crate) const RECEIVE: &str = "receive";
/// Key of the channel on which a machine reads its snapshots.
pub(crate) const READ: &str = "read";

/// What a message is. A number, once given, keeps its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Client: [`Begin`]. Keeper: [`Begun`].
    Begin = 1,
    /// Client: names of chunks. Keeper: a bit for each.
    Have = 2,
    /// Client: a segment. Keeper: nothing, once it was taken.
    Put = 3,
    /// Client: [`Proposal`]. Keeper: [`Stored`].
    Commit = 4,
    /// Client: [`Open`]. Keeper: [`Opened`].
    Open = 5,
    /// Client: [`Range`] of the bytes of *names*. Keeper: those bytes.
    Names = 6,
    /// Client: [`Range`] of the ids of *refs*. Keeper: those ids.
    Refs = 7,
    /// Client: [`Range`] of the chunks by their place in *refs*. Keeper: the [`Range`] of those that fit into an answer, then
    /// batches with exactly those.
    Chunks = 8,
    /// Keeper: a `Problem`, in the place of an answer.
    Problem = 9,
    /// Client: the beginning of a draft that is too long for one message; its end comes as the commit.
    Part = 10,
}

impl Kind {
    pub(crate) fn read(byte: u8) -> Option<Kind> {
        use Kind::{Begin, Chunks, Commit, Have, Names, Open, Part, Problem, Put, Refs};
        [Begin, Have, Put, Commit, Open, Names, Refs, Chunks, Problem, Part]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// One message as it came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) number: u32,
    pub(crate) payload: Vec<u8>,
}

/// The first message of a backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(crate = "sdk::serde", deny_unknown_fields)]
pub(crate) struct Begin {
    pub(crate) version: u32,
    /// Which of several sets of paths this is; only snapshots of the same one are a basis.
    pub(crate) name: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(crate = "sdk::serde")]
pub(crate) struct Begun {
    /// The snapshot that unchanged files may be taken from.
    pub(crate) basis: Option<Opened>,
    pub(crate) compression_level: i32,
    /// The keeper takes the client's names for chunks, since both are one process.
    pub(crate) names_trusted: bool,
    /// Folders that are not backed up, since backups are kept in them.
    pub(crate) leave_out: Vec<String>,
}

/// A snapshot to be read.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(crate = "sdk::serde", deny_unknown_fields)]
pub(crate) struct Open {
    pub(crate) version: u32,
    /// Its id, the beginning of it, or `latest`.
    pub(crate) snapshot: String,
    pub(crate) name: Option<String>,
    /// The job that an operator began here, by which a snapshot of another machine may be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) job: Option<String>,
}

/// What a reader needs to know of a snapshot to walk through it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(crate = "sdk::serde")]
pub(crate) struct Opened {
    pub(crate) snapshot: String,
    pub(crate) time_ms: i64,
    pub(crate) names_bytes: u64,
    pub(crate) refs: u64,
    pub(crate) root: u64,
    pub(crate) root_refs: u64,
    pub(crate) counts: Counts,
    pub(crate) incomplete: bool,
    /// The client's own words, in hex.
    pub(crate) description: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(crate = "sdk::serde", deny_unknown_fields)]
pub(crate) struct Range {
    pub(crate) from: u64,
    pub(crate) count: u64,
}

/// A draft as it travels.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(crate = "sdk::serde", deny_unknown_fields)]
pub(crate) struct Proposal {
    names: String,
    refs: String,
    root: u64,
    root_refs: u64,
    counts: Counts,
    incomplete: bool,
    description: String,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(crate = "sdk::serde")]
pub(crate) struct Stored {
    pub(crate) snapshot: [u8; 16],
    pub(crate) time_ms: i64,
    pub(crate) stored_bytes: u64,
}

impl From<&Draft> for Proposal {
    fn from(draft: &Draft) -> Proposal {
        Proposal {
            names: codec::hex(&codec::encode_stream(&draft.names)),
            refs: codec::hex(&codec::encode_stream(&draft.refs)),
            root: draft.root,
            root_refs: draft.root_refs,
            counts: draft.counts,
            incomplete: draft.incomplete,
            description: codec::hex(&draft.description),
        }
    }
}

impl Proposal {
    /// # Errors
    /// A part of it is not what it should be.
    pub(crate) fn draft(&self) -> Result<Draft> {
        let stream = |text: &str| -> Result<StreamRef> { codec::decode_stream(&codec::unhex(text)?) };
        Ok(Draft {
            names: stream(&self.names)?,
            refs: stream(&self.refs)?,
            root: self.root,
            root_refs: self.root_refs,
            counts: self.counts,
            incomplete: self.incomplete,
            description: codec::unhex(&self.description)?,
        })
    }
}

/// What the other end may not say.
pub(crate) fn broken(what: impl Into<String>) -> Fault {
    fault(Code::BadRequest, what)
}
