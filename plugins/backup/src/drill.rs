//! The recovery drill: whether the vault can be read with nothing but its folder and the sheet in a safe, as after the loss of
//! everything else.

use crate::keeper::{fault_of, overview, vault_folder};
use crate::rows::Drill as Record;
use rand::seq::SliceRandom;
use sdk::prelude::*;
use sdk::schema::{Code, Problem};
use sdk::schemars::JsonSchema;
use sdk::serde::Serialize;
use sdk::{Bytes, Time};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use vault::storage::Directory;
use vault::{Access, Content, Kind, Reader, RecoverySheet, SnapshotId, TreeReader, Vault, VaultError, WayIn};

/// Sets of files of which the newest snapshot is tried.
const SETS: usize = 50;
/// Files of each that are read, and bytes of them.
const FILES: usize = 20;
const BYTES: u64 = 64 << 20;
/// Entries that files are chosen from.
const ENTRIES: usize = 20_000;

#[derive(Args)]
pub(crate) struct Drill {
    /// The code on the recovery sheet, as it is printed there
    sheet: Secret,
}

/// What was read back.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema)]
#[serde(crate = "sdk::serde")]
#[schemars(crate = "sdk::schemars")]
pub(crate) struct Drilled {
    /// Machines' sets of files of which the newest snapshot was opened
    sets: u64,
    /// Files that were read from beginning to end
    files: u64,
    /// Bytes of them
    bytes: u64,
}

pub(crate) async fn drill(ctx: Ctx, args: Drill) -> Result<Drilled> {
    let sheet: RecoverySheet = args.sheet.0.parse().map_err(|error: vault::SheetError| {
        Problem::bad_request(format!("This is no code of a recovery sheet: {error}."))
            .at("sheet")
            .fix("Type it as it is printed; what stands between the groups does not matter.")
    })?;
    let folder = vault_folder(&ctx).await?;
    ctx.doing("opening the vault with the sheet")?;
    let watched = ctx.clone();
    let tried = ctx.blocking(move || recover(&watched, folder, sheet)).await;
    record(&ctx, &tried).await?;
    overview::tell(&ctx).await?;
    tried
}

/// Kept, so that it is known when the last one was.
async fn record(ctx: &Ctx, tried: &Result<Drilled>) -> Result<()> {
    let (read, problem) = match tried {
        Ok(read) => (*read, None),
        Err(fault) if fault.0.code == Code::Cancelled => return Ok(()),
        Err(fault) => (Drilled::default(), Some(fault.0.message.clone())),
    };
    let record = Record {
        time: Time(jiff::Timestamp::now()),
        outcome: if problem.is_none() { "passed" } else { "failed" }.to_owned(),
        sets: read.sets,
        files: read.files,
        bytes: Bytes(read.bytes),
        problem,
    };
    ctx.rows().append(&[record]).await.map(drop)
}

fn recover(ctx: &Ctx, folder: PathBuf, sheet: RecoverySheet) -> Result<Drilled> {
    let storage = Arc::new(Directory::open(&folder).map_err(|error| fault_of(error.into()))?);
    let vault = Vault::open(storage, &WayIn::Sheet(sheet), Access::Read).map_err(fault_of)?;
    let listing = vault.snapshots().map_err(fault_of)?;
    let mut newest: HashMap<String, SnapshotId> = HashMap::new();
    for summary in &listing.snapshots {
        newest.insert(summary.source.clone(), summary.id);
    }
    let mut chosen: Vec<(String, SnapshotId)> = newest.into_iter().collect();
    chosen.shuffle(&mut rand::rng());
    chosen.truncate(SETS);
    let (mut read, mut failed) = (Drilled::default(), Vec::new());
    for (number, (source, id)) in chosen.iter().enumerate() {
        ctx.amount(Amount::items(number as u64).of(chosen.len() as u64), "reading files back")?;
        match read_some(&vault, *id) {
            Ok((files, bytes)) => {
                read = Drilled { sets: read.sets + 1, files: read.files + files, bytes: read.bytes + bytes };
            }
            // What one machine wrote wrong says nothing of the others.
            Err(fault) => failed.push((source, id, fault)),
        }
    }
    let Some((source, id, first)) = failed.first() else { return Ok(read) };
    let text = format!(
        "{} of {} sets of files cannot be read back, snapshot {id} of {source} among them; the others can.",
        failed.len(),
        chosen.len()
    );
    let problem = Problem::internal(text).fix("Verify the vault with read_data, then back up these machines again.");
    Err(sdk::Fault(problem.caused_by(first.0.clone())))
}

/// Reads files of a snapshot as a restore would, each chunk checked against its id.
fn read_some(vault: &Arc<Vault>, id: SnapshotId) -> Result<(u64, u64)> {
    let reader = vault.reader(id, None).map_err(fault_of)?;
    let (root, root_refs) = (reader.snapshot().root, reader.snapshot().root_refs);
    let tree = TreeReader::new(reader, root, root_refs);
    let mut files: Vec<(Vec<u8>, Content)> = Vec::new();
    for entry in tree.walk(tree.root())?.take(ENTRIES) {
        if let (path, vault::Entry { kind: Kind::File(content), .. }) = entry? {
            files.push((path, content));
        }
    }
    files.shuffle(&mut rand::rng());
    let (mut count, mut bytes) = (0, 0);
    for (path, content) in files.iter().take(FILES) {
        bytes += read_whole(tree.streams(), content, BYTES - bytes).map_err(|error| {
            let problem = Problem::internal(format!("{} cannot be read back.", String::from_utf8_lossy(path)));
            sdk::Fault(problem.caused_by(fault_of(error).0))
        })?;
        count += 1;
        if bytes >= BYTES {
            break;
        }
    }
    Ok((count, bytes))
}

/// Bytes of the chunks of a file; no more than about so many.
fn read_whole(reader: &Reader, content: &Content, most: u64) -> Result<u64, VaultError> {
    let (mut bytes, positions) = (0, content.first..content.first + content.chunks.len() as u64);
    reader.each(positions, &mut |chunk| {
        bytes += chunk.len() as u64;
        if bytes < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(bytes)
}
