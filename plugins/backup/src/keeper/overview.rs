//! What operators see of the vault itself: how large it is, and whether it could be recovered.

use super::opened::existing;
use super::{fault_of, machine_and_name, vault_folder};
use crate::care::SHEET;
use crate::rows::{Drill, VaultState};
use crate::settings::Keeping;
use jiff::{SignedDuration, Timestamp};
use sdk::prelude::*;
use sdk::schema::{Filter, Op, Page};
use sdk::{Bytes, Time};
use std::collections::BTreeSet;
use std::sync::Arc;
use vault::Vault;

/// Tells it, where there is a vault.
pub(crate) async fn tell(ctx: &Ctx) -> Result<()> {
    let Some(vault) = existing(ctx).await? else { return Ok(()) };
    let settings: Keeping = ctx.settings().await?;
    // Told from where people stand; the plugin itself may not look into what is above its own directory.
    let folder = std::path::absolute(vault_folder(ctx).await?)?.display().to_string();
    let last_drill = last_drill(ctx).await?;
    let row = ctx.blocking(move || look(&vault, folder, last_drill, settings.drill(), Timestamp::now())).await?;
    ctx.rows().replace(&[row]).await.map(drop)
}

async fn last_drill(ctx: &Ctx) -> Result<Option<Timestamp>> {
    let passed = Filter { field: "outcome".to_owned(), op: Op::Eq, value: json!("passed") };
    let query = Query {
        filters: vec![passed],
        sort: vec!["-time".to_owned()],
        page: Page { limit: Some(1), ..Page::default() },
        ..Query::default()
    };
    let (drills, _) = ctx.rows::<Drill>().query(&query).await?;
    Ok(drills.first().map(|drill| drill.time.0))
}

fn look(
    vault: &Arc<Vault>,
    folder: String,
    last_drill: Option<Timestamp>,
    every: SignedDuration,
    now: Timestamp,
) -> Result<VaultState> {
    let listing = vault.snapshots().map_err(fault_of)?;
    let size = vault.size().map_err(fault_of)?;
    let has_sheet = vault.ways_in().map_err(fault_of)?.iter().any(|way| way.name == SHEET);
    let first = listing.snapshots.iter().map(|summary| summary.time_ms).min();
    let since = last_drill.or(first.and_then(|first| Timestamp::from_millisecond(first).ok()));
    let state = match since {
        _ if !has_sheet => "no_sheet",
        Some(since) if now.duration_since(since) > every => "drill_due",
        _ => "ready",
    };
    let machines: BTreeSet<&str> =
        listing.snapshots.iter().map(|summary| machine_and_name(&summary.source).0).collect();
    Ok(VaultState {
        folder,
        state: state.to_owned(),
        machines: machines.len() as u64,
        snapshots: (listing.snapshots.len() + listing.damaged.len()) as u64,
        logical_bytes: Bytes(listing.snapshots.iter().map(|summary| summary.counts.logical_bytes).sum()),
        physical_bytes: Bytes(size.bytes),
        last_drill: last_drill.map(Time),
    })
}
