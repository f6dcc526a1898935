//! The list of snapshots.

use crate::keeper::{fault_of, machine_and_name, reading};
use crate::rows::Snapshot;
use parking_lot::Mutex;
use sdk::prelude::*;
use sdk::{Reference, Time};
use std::collections::HashMap;
use std::sync::Arc;
use vault::{Description, SnapshotId, Summary, Vault};

/// Description of snapshots that were read: they never change.
static KNOWN: Mutex<Option<HashMap<SnapshotId, Arc<Description>>>> = Mutex::new(None);

/// All snapshots, as rows.
pub(crate) async fn snapshots(ctx: Ctx, _: Query) -> Result<Vec<Snapshot>> {
    let vault = reading(&ctx).await?;
    let machines: HashMap<String, String> = if ctx.is_standalone() {
        HashMap::new()
    } else {
        ctx.machines().await?.into_iter().map(|machine| (machine.id, machine.name)).collect()
    };
    ctx.blocking(move || {
        let listing = vault.snapshots().map_err(fault_of)?;
        let mut rows: Vec<Snapshot> = listing.snapshots.iter().map(|summary| row(&vault, summary, &machines)).collect();
        rows.extend(listing.damaged.iter().map(|(id, _)| damaged(*id)));
        Ok(rows)
    })
    .await
}

fn row(vault: &Arc<Vault>, summary: &Summary, machines: &HashMap<String, String>) -> Snapshot {
    let said = words(vault, summary.id);
    let (machine, name) = machine_and_name(&summary.source);
    let status = match (summary.incomplete, said.is_some()) {
        (_, false) => "damaged",
        (true, _) => "incomplete",
        (false, _) => "complete",
    };
    Snapshot {
        id: summary.id.to_string(),
        time: time_of(summary.time_ms),
        // A machine that is no longer there goes by the name that it gave itself.
        machine: Some(Reference {
            id: machine.to_owned(),
            label: match machines.get(machine) {
                Some(name) => name.clone(),
                None if machines.is_empty() => machine.to_owned(),
                None => said.as_ref().map_or_else(|| machine.to_owned(), |said| said.machine.clone()),
            },
        }),
        name: name.to_owned(),
        paths: said
            .map(|said| said.paths.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect())
            .unwrap_or_default(),
        files: summary.counts.files,
        logical_bytes: summary.counts.logical_bytes.into(),
        new_bytes: summary.stored_bytes.into(),
        problems: summary.counts.problems,
        status: status.to_owned(),
        held: false,
    }
}

/// One whose record cannot be read: it is shown, so that nobody takes it for gone.
fn damaged(id: SnapshotId) -> Snapshot {
    let milliseconds = id.0[..6].iter().fold(0_i64, |time, byte| time << 8 | i64::from(*byte));
    Snapshot {
        id: id.to_string(),
        time: time_of(milliseconds),
        machine: None,
        name: String::new(),
        paths: Vec::new(),
        files: 0,
        logical_bytes: 0.into(),
        new_bytes: 0.into(),
        problems: 0,
        status: "damaged".to_owned(),
        held: false,
    }
}

fn words(vault: &Arc<Vault>, id: SnapshotId) -> Option<Arc<Description>> {
    if let Some(said) = KNOWN.lock().get_or_insert_default().get(&id) {
        return Some(said.clone());
    }
    let snapshot = vault.snapshot(id).ok()?;
    let said = Arc::new(Description::decode(&snapshot.description, None).ok()?);
    KNOWN.lock().get_or_insert_default().insert(id, said.clone());
    Some(said)
}

pub(crate) fn time_of(milliseconds: i64) -> Time {
    Time(jiff::Timestamp::from_millisecond(milliseconds).unwrap_or_default())
}
