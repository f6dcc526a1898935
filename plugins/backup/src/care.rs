//! Looking after a vault: make it, see how large it is, who gets in.

use crate::keeper::{fault_of, make, open, overview, reading};
use sdk::prelude::*;
use sdk::schema::Code;
use sdk::schemars::JsonSchema;
use sdk::serde::Serialize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use vault::{Cost, OnDamage, Phase, Progress, RecoverySheet, ScrubReport, Vault, WayIn};

/// Name of the way in by the sheet.
pub(crate) const SHEET: &str = "recovery";

/// Printed with the code.
const HOW_TO_USE: &str = "With this code and the vault's folder alone everything can be restored: write the code into the first \
                          line of a file, and run bailiwick-backup restore --vault FOLDER --password-file FILE.";

/// A new vault.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(crate = "sdk::serde")]
#[schemars(crate = "sdk::schemars")]
pub(crate) struct Made {
    /// Folder of the vault
    vault: String,
    /// Opens the vault when everything else is lost: print it and put it in a safe place
    recovery_sheet: Secret,
    /// What to do with it then
    how_to_use: String,
}

pub(crate) async fn init(ctx: Ctx, (): ()) -> Result<Made> {
    ctx.doing("making the vault")?;
    let (folder, vault) = make(&ctx).await?;
    let sheet = new_sheet(&ctx, vault).await?;
    Ok(Made { vault: folder.display().to_string(), recovery_sheet: sheet, how_to_use: HOW_TO_USE.to_owned() })
}

/// A new recovery sheet.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(crate = "sdk::serde")]
#[schemars(crate = "sdk::schemars")]
pub(crate) struct Sheet {
    /// Opens the vault when everything else is lost: print it and put it in a safe place
    recovery_sheet: Secret,
    /// What to do with it then
    how_to_use: String,
}

pub(crate) async fn sheet(ctx: Ctx, (): ()) -> Result<Sheet> {
    let vault = open(&ctx).await?;
    let recovery_sheet = new_sheet(&ctx, vault).await?;
    if !ctx.is_standalone() {
        overview::tell(&ctx).await?;
    }
    Ok(Sheet { recovery_sheet, how_to_use: HOW_TO_USE.to_owned() })
}

/// Adds a sheet in the place of the one before.
async fn new_sheet(ctx: &Ctx, vault: Arc<Vault>) -> Result<Secret> {
    ctx.blocking(move || {
        let sheet = RecoverySheet::generate();
        let code = sheet.print().to_string();
        if vault.ways_in().map_err(fault_of)?.iter().any(|slot| slot.name == SHEET) {
            vault.remove_way_in(SHEET).map_err(fault_of)?;
        }
        vault.add_way_in(SHEET, &WayIn::Sheet(sheet), Cost::NORMAL).map_err(fault_of)?;
        Ok(Secret(code))
    })
    .await
}

#[derive(Args)]
pub(crate) struct Verify {
    /// Read every byte, not only what is said about it
    #[arg(default = false)]
    read_data: bool,
    /// Have damaged chunks sent again by whoever backs them up next
    #[arg(default = false)]
    heal: bool,
}

/// What a look through the vault found.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(crate = "sdk::serde")]
#[schemars(crate = "sdk::schemars")]
pub(crate) struct Verified {
    /// Nothing is wrong
    whole: bool,
    snapshots: u64,
    /// Packs that were read
    packs: u64,
    chunks: u64,
    /// Bytes that were read
    bytes: u64,
    /// Files of the vault that are damaged, and how
    damaged: Vec<String>,
    /// Snapshots that lack something
    affected: Vec<String>,
    /// Files in the vault's folder that are none of its own
    strangers: Vec<String>,
}

/// Fails where anything is wrong, so that a script need not read the report.
pub(crate) async fn verify(ctx: Ctx, args: Verify) -> Result<Verified> {
    let vault = if args.heal { open(&ctx).await? } else { reading(&ctx).await? };
    let watched = ctx.clone();
    let report = ctx
        .blocking(move || {
            let mut watch = |progress: Progress| tell(&watched, progress);
            let report = match (args.read_data || args.heal, args.heal) {
                (false, _) => vault.check(&mut watch),
                (true, heal) => vault.scrub(if heal { OnDamage::Mark } else { OnDamage::Report }, &mut watch),
            };
            report.map_err(fault_of)
        })
        .await?;
    let verified = verified(&report);
    if verified.whole {
        return Ok(verified);
    }
    for line in verified.damaged.iter().chain(&verified.affected) {
        ctx.warn(fault(Code::Internal, format!("{line}."))).await?;
    }
    let text = format!(
        "The vault is damaged: {} of its files, and {} snapshots lack something.",
        verified.damaged.len(),
        verified.affected.len()
    );
    Err(fault(Code::Internal, text)
        .fix("Run it again with --read-data --heal, then back up the machines that are affected."))
}

fn verified(report: &ScrubReport) -> Verified {
    let affected = |one: &vault::Affected| {
        let chunks: u64 = one.positions.iter().map(|range| range.end - range.start).sum();
        format!("snapshot {} of {} lacks {chunks} chunks of its {:?}", one.snapshot, one.source, one.part)
            .to_lowercase()
    };
    Verified {
        whole: report.is_clean(),
        snapshots: report.snapshots,
        packs: report.files.packs,
        chunks: report.chunks,
        bytes: report.files.bytes,
        damaged: report.files.damage.iter().map(|damage| format!("{}: {}", damage.path, damage.fault)).collect(),
        affected: report.affected.iter().map(affected).collect(),
        strangers: report.files.strangers.clone(),
    }
}

/// Passes on how far the keeper is, and whether it is to go on.
pub(crate) fn tell(ctx: &Ctx, progress: Progress) -> ControlFlow<()> {
    let what = match progress.phase {
        Phase::Packs => "reading packs",
        Phase::Snapshots => "looking at snapshots",
        Phase::Repacking => "copying what is needed",
        Phase::Deleting => "deleting packs",
    };
    match ctx.amount(Amount::items(progress.done).of(progress.total), what) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    }
}

/// How large a vault is.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(crate = "sdk::serde")]
#[schemars(crate = "sdk::schemars")]
pub(crate) struct Stats {
    snapshots: u64,
    /// Bytes of all files in all snapshots
    logical_bytes: u64,
    /// Bytes of the packs on the disk
    physical_bytes: u64,
    chunks: u64,
}

pub(crate) async fn stats(ctx: Ctx, (): ()) -> Result<Stats> {
    let vault = reading(&ctx).await?;
    ctx.blocking(move || {
        let listing = vault.snapshots().map_err(fault_of)?;
        let size = vault.size().map_err(fault_of)?;
        Ok(Stats {
            snapshots: (listing.snapshots.len() + listing.damaged.len()) as u64,
            logical_bytes: listing.snapshots.iter().map(|summary| summary.counts.logical_bytes).sum(),
            physical_bytes: size.bytes,
            chunks: size.chunks,
        })
    })
    .await
}

/// What is done about the ways into a vault.
#[derive(Args, Clone, Copy)]
pub(crate) enum KeyAction {
    /// Show which there are
    List,
    /// Add a password, the first line of a file
    AddPassword,
    /// Remove one
    Remove,
}

#[derive(Args)]
pub(crate) struct Key {
    #[arg(default = KeyAction::List)]
    action: KeyAction,
    /// Name of the way in
    name: Option<String>,
    /// File with the new password
    #[arg(type = "path")]
    new_password_file: Option<String>,
}

/// Ways into a vault.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(crate = "sdk::serde")]
#[schemars(crate = "sdk::schemars")]
pub(crate) struct Keys {
    /// Name and kind of each
    ways_in: Vec<String>,
}

pub(crate) async fn key(ctx: Ctx, args: Key) -> Result<Keys> {
    let vault = open(&ctx).await?;
    let keys = ctx.blocking(move || {
        match args.action {
            KeyAction::List => {}
            KeyAction::AddPassword => {
                let file = args.new_password_file.ok_or_else(|| missing("new_password_file"))?;
                let way = WayIn::password(crate::keeper::password(&PathBuf::from(file))?);
                vault.add_way_in(&args.name.ok_or_else(|| missing("name"))?, &way, Cost::NORMAL).map_err(fault_of)?;
            }
            KeyAction::Remove => {
                vault.remove_way_in(&args.name.ok_or_else(|| missing("name"))?).map_err(fault_of)?;
            }
        }
        let ways = vault.ways_in().map_err(fault_of)?;
        let ways_in = ways.iter().map(|slot| format!("{} ({})", slot.name, slot.kind)).collect();
        Ok(Keys { ways_in })
    });
    let keys = keys.await?;
    if !ctx.is_standalone() {
        overview::tell(&ctx).await?;
    }
    Ok(keys)
}

fn missing(field: &str) -> sdk::Fault {
    sdk::Fault(sdk::schema::Problem::bad_request("it is needed for this.").at(field))
}
