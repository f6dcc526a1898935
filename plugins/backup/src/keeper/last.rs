//! What operators see of each machine: when it was last backed up, how that went, and whether one is overdue.

use super::opened::existing;
use super::{DOMAIN, machine_and_name, open, overview};
use crate::rows::Last;
use crate::settings::Running;
use jiff::{SignedDuration, Timestamp};
use sdk::prelude::*;
use sdk::{Bytes, Time};
use std::collections::HashMap;
use vault::{Draft, Received, Summary};

/// How often is looked for machines whose daily backup is overdue.
const LOOK: Duration = Duration::from_secs(10 * 60);
const FIRST: Duration = Duration::from_secs(5);
/// From the beginning of one day's hours to the end of the next day's, and time to be done.
const LATE: SignedDuration = SignedDuration::from_hours(36);

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

impl From<&Summary> for Seen {
    fn from(summary: &Summary) -> Seen {
        Seen { incomplete: summary.incomplete, logical_bytes: summary.counts.logical_bytes }
    }
}

impl Seen {
    fn status(self) -> &'static str {
        if self.incomplete { "incomplete" } else { "complete" }
    }
}

/// Tells that a backup of this machine was stored, and of the vault.
pub(super) async fn stored(ctx: &Ctx, machine: &str, received: &Received, seen: &Seen) -> Result<()> {
    tell(ctx, machine, Some((received.time_ms, *seen)), seen.status()).await?;
    overview::tell(ctx).await
}

/// Tells that a backup of this machine was begun and came to nothing; when the last one was is seen all the same.
pub(super) async fn failed(ctx: &Ctx, machine: &str) -> Result<()> {
    let vault = open(ctx).await?;
    let source = machine.to_owned();
    let latest = ctx.blocking(move || vault.latest(&source, DOMAIN).map_err(super::fault_of)).await?;
    tell(ctx, machine, latest.as_ref().map(|latest| (latest.time_ms, Seen::from(latest))), "failed").await
}

async fn tell(ctx: &Ctx, machine: &str, last: Option<(i64, Seen)>, status: &str) -> Result<()> {
    let row = Last {
        last_backup: last.map(|(time_ms, _)| Timestamp::from_millisecond(time_ms).map(Time)).transpose()?,
        backup_status: status.to_owned(),
        backup_size: last.map(|(_, seen)| Bytes(seen.logical_bytes)),
    };
    ctx.rows().of_machine(machine).upsert(&[row]).await.map(drop)
}

/// Tells, for as long as the plugin runs, which machines are to be backed up daily and were not.
pub(crate) async fn watch(ctx: Ctx) -> Result<()> {
    if ctx.is_standalone() {
        return Ok(());
    }
    let mut told = HashMap::new();
    // The host is up by then.
    ctx.sleep(FIRST).await?;
    loop {
        if let Err(fault) = look(&ctx, &mut told, Timestamp::now()).await {
            sdk::tracing::warn!("it cannot be told which backups are overdue: {}", fault.0);
        }
        if let Err(fault) = overview::tell(&ctx).await {
            sdk::tracing::warn!("the vault is not on screen as it is: {}", fault.0);
        }
        ctx.sleep(LOOK).await?;
    }
}

/// `told`: the snapshot of each machine that was told to be the last for too long.
async fn look(ctx: &Ctx, told: &mut HashMap<String, i64>, now: Timestamp) -> Result<()> {
    let Some(vault) = existing(ctx).await? else { return Ok(()) };
    let newest = ctx.blocking(move || Ok(newest(&vault.snapshots().map_err(super::fault_of)?.snapshots))).await?;
    for machine in ctx.machines().await? {
        // One that was never backed up is seen as such already.
        let Some((time_ms, seen)) = newest.get(&machine.id).copied() else { continue };
        let is_late = now.duration_since(Timestamp::from_millisecond(time_ms)?) > LATE;
        if !is_late || told.get(&machine.id) == Some(&time_ms) {
            continue;
        }
        if ctx.settings_of::<Running>(&machine.id).await?.daily().is_some() {
            tell(ctx, &machine.id, Some((time_ms, seen)), "late").await?;
            told.insert(machine.id, time_ms);
        }
    }
    Ok(())
}

/// The newest snapshot of each machine, of its set without a name.
fn newest(snapshots: &[Summary]) -> HashMap<String, (i64, Seen)> {
    let mut newest: HashMap<String, (i64, Seen)> = HashMap::new();
    for summary in snapshots {
        let (machine, name) = machine_and_name(&summary.source);
        if name.is_empty() && newest.get(machine).is_none_or(|(time_ms, _)| *time_ms < summary.time_ms) {
            newest.insert(machine.to_owned(), (summary.time_ms, summary.into()));
        }
    }
    newest
}
