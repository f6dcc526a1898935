//! What operators see of each machine: when it was last backed up, and how that went.

use crate::rows::Last;
use sdk::prelude::*;
use sdk::{Bytes, Time};
use vault::{Draft, Received};

/// What a draft says of itself.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    incomplete: bool,
    logical_bytes: u64,
}

impl From<&Draft> for Seen {
    fn from(draft: &Draft) -> Seen {
        Seen { incomplete: draft.incomplete, logical_bytes: draft.counts.logical_bytes }
    }
}

/// Tells that a backup of this machine was stored.
pub(super) async fn stored(ctx: &Ctx, machine: &str, received: &Received, seen: &Seen) -> Result<()> {
    let last = Last {
        last_backup: Some(Time(jiff::Timestamp::from_millisecond(received.time_ms)?)),
        backup_status: if seen.incomplete { "incomplete" } else { "complete" }.to_owned(),
        backup_size: Some(Bytes(seen.logical_bytes)),
    };
    ctx.rows().of_machine(machine).upsert(&[last]).await.map(drop)
}
