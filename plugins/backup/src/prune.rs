//! Lets go of old snapshots by rule, and makes the room that they leave.

use crate::care::tell;
use crate::keeper::{fault_of, machine_and_name, open, reading};
use crate::retention::{Candidate, Reason, judge};
use crate::settings::Keeping;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sdk::prelude::*;
use sdk::schema::Code;
use sdk::schemars::JsonSchema;
use sdk::serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use vault::{CollectOptions, Progress, SnapshotId, Summary, Vault};

#[derive(Args)]
pub(crate) struct Forget {
    /// Only say what would be removed
    #[arg(default = false)]
    preview: bool,
    /// Remove these, whatever the rules keep; what is younger than the immutable days stays all the same
    #[arg(default = Vec::new())]
    snapshot: Vec<String>,
    /// Make room at once
    #[arg(default = false)]
    prune: bool,
}

/// What is to become of each snapshot.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(crate = "sdk::serde")]
#[schemars(crate = "sdk::schemars")]
pub(crate) struct Forgotten {
    /// Id, time and owner of each that goes
    removed: Vec<String>,
    /// Id of each that stays, and why
    kept: Vec<String>,
    /// Nothing was removed: it was only asked
    preview: bool,
    pruned: Option<Pruned>,
}

/// What making room came to.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(crate = "sdk::serde")]
#[schemars(crate = "sdk::schemars")]
pub(crate) struct Pruned {
    /// Chunks that snapshots need
    chunks_needed: u64,
    /// Chunks that nothing needs
    chunks_unneeded: u64,
    packs: u64,
    packs_deleted: u64,
    /// Of these, what was needed was written anew
    packs_repacked: u64,
    /// Bytes that are free now
    bytes_freed: i64,
}

pub(crate) async fn forget(ctx: Ctx, args: Forget) -> Result<Forgotten> {
    let settings: Keeping = ctx.settings().await?;
    let vault = if args.preview { reading(&ctx).await? } else { open(&ctx).await? };
    let (named, preview) = (args.snapshot, args.preview);
    let keeper = vault.clone();
    let (removed, kept) = ctx
        .blocking(move || {
            let now = Timestamp::now();
            let (goes, stays) = match named.is_empty() {
                true => by_rule(&keeper, &settings, now)?,
                false => by_name(&keeper, &settings, &named, now)?,
            };
            if !preview {
                let ids: Vec<SnapshotId> = goes.iter().map(|summary| summary.id).collect();
                keeper.remove(&ids, now.as_millisecond()).map_err(fault_of)?;
            }
            Ok((goes.iter().map(shown).collect(), stays))
        })
        .await?;
    let pruned = match args.prune && !preview {
        true => Some(collect(&ctx, vault).await?),
        false => None,
    };
    Ok(Forgotten { removed, kept, preview, pruned })
}

type Decided = (Vec<Summary>, Vec<String>);

fn by_rule(vault: &Arc<Vault>, settings: &Keeping, now: Timestamp) -> Result<Decided> {
    let listing = vault.snapshots().map_err(fault_of)?;
    let mut sets: BTreeMap<&str, Vec<&Summary>> = BTreeMap::new();
    for summary in &listing.snapshots {
        sets.entry(&summary.source).or_default().push(summary);
    }
    let (mut goes, mut stays) = (Vec::new(), Vec::new());
    for summaries in sets.values() {
        let candidates = summaries.iter().map(|summary| candidate(vault, summary, now)).collect::<Result<Vec<_>>>()?;
        for verdict in judge(&settings.rule(), &candidates, now, &TimeZone::system()) {
            let reasons: Vec<&str> = verdict.reasons.iter().map(|reason| Reason::as_str(*reason)).collect();
            match summaries.iter().find(|summary| summary.id == verdict.id) {
                Some(summary) if reasons.is_empty() => goes.push((*summary).clone()),
                _ => stays.push(format!("{} ({})", verdict.id, reasons.join(", "))),
            }
        }
    }
    Ok((goes, stays))
}

fn candidate(vault: &Arc<Vault>, summary: &Summary, now: Timestamp) -> Result<Candidate<SnapshotId>> {
    let hold = vault.held(summary.id).map_err(fault_of)?;
    Ok(Candidate {
        id: summary.id,
        taken: taken(summary),
        complete: !summary.incomplete,
        held: hold.is_some_and(|hold| !hold.is_over(now.as_millisecond())),
    })
}

/// A time that no clock tells is the beginning of time: such a snapshot is old.
fn taken(summary: &Summary) -> Timestamp {
    Timestamp::from_millisecond(summary.time_ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Some, by name: nobody removes what the immutable days protect, not even by name.
fn by_name(vault: &Arc<Vault>, settings: &Keeping, named: &[String], now: Timestamp) -> Result<Decided> {
    let mut goes = Vec::new();
    for asked in named {
        let summary = vault.summary(crate::keeper::find(vault, asked, None)?).map_err(fault_of)?;
        if now.duration_since(taken(&summary)) < settings.immutable() {
            let days = settings.immutable().as_hours() / 24;
            let text = format!("Snapshot {} is younger than {days} days, in which nothing is removed.", summary.id);
            return Err(
                fault(Code::Conflict, text).fix("Wait, or change “Nothing is removed for” for the snapshots to come.")
            );
        }
        goes.push(summary);
    }
    Ok((goes, Vec::new()))
}

fn shown(summary: &Summary) -> String {
    let (machine, name) = machine_and_name(&summary.source);
    let of = if name.is_empty() { machine.to_owned() } else { format!("{machine} {name}") };
    format!("{} {} {of}", summary.id, taken(summary))
}

pub(crate) async fn prune(ctx: Ctx, (): ()) -> Result<Pruned> {
    let vault = open(&ctx).await?;
    collect(&ctx, vault).await
}

async fn collect(ctx: &Ctx, vault: Arc<Vault>) -> Result<Pruned> {
    let watched = ctx.clone();
    let report = ctx
        .blocking(move || {
            let options = CollectOptions::new(Timestamp::now().as_millisecond());
            let mut watch = |progress: Progress| tell(&watched, progress);
            vault.collect(&options, &mut watch).map_err(fault_of)
        })
        .await?;
    if report.packs_damaged > 0 {
        ctx.in_part(
            fault(Code::Internal, format!("{} packs are damaged and were left as they are.", report.packs_damaged))
                .fix("Verify the vault with --read-data --heal."),
        );
    }
    Ok(Pruned {
        chunks_needed: report.chunks_needed,
        chunks_unneeded: report.chunks_unneeded,
        packs: report.packs,
        packs_deleted: report.packs_deleted,
        packs_repacked: report.packs_repacked,
        bytes_freed: report.bytes_deleted.cast_signed() - report.bytes_written.cast_signed(),
    })
}
