//! What there is to look at: the list of snapshots, and the files in one.

use crate::keeper::{fault_of, find, machine_and_name, reading};
use crate::rows::{File, Snapshot};
use parking_lot::Mutex;
use sdk::prelude::*;
use sdk::schema::{Code, Problem};
use sdk::{Fault, Time};
use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;
use vault::{Description, Doubt, Entry, Kind, Reader, SnapshotId, Summary, TreeReader, Vault};

/// Entries of a directory that are looked at for one answer.
const MOST: usize = 100_000;

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
        machine: match machines.get(machine) {
            Some(name) => name.clone(),
            None if machines.is_empty() => machine.to_owned(),
            None => said.as_ref().map_or_else(|| machine.to_owned(), |said| said.machine.clone()),
        },
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
        machine: String::new(),
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

fn time_of(milliseconds: i64) -> Time {
    Time(jiff::Timestamp::from_millisecond(milliseconds).unwrap_or_default())
}

/// What is in one directory of a snapshot.
pub(crate) async fn files(ctx: Ctx, query: Query) -> Result<Vec<File>> {
    let text = |name: &str| query.params.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (asked, path) = (text("snapshot"), text("path"));
    let asked = if asked.is_empty() { "latest".to_owned() } else { asked };
    let vault = reading(&ctx).await?;
    ctx.blocking(move || {
        let id = find(&vault, &asked, None)?;
        let reader = vault.reader(id, None).map_err(fault_of)?;
        let said = Description::decode(&reader.snapshot().description, None).unwrap_or_default();
        let (root, root_refs) = (reader.snapshot().root, reader.snapshot().root_refs);
        list(&TreeReader::new(reader, root, root_refs), &path, &said)
    })
    .await
}

fn list(tree: &TreeReader<Reader>, path: &str, said: &Description) -> Result<Vec<File>> {
    let clean: Vec<&str> = path.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
    let clean = clean.join("/");
    let place = if clean.is_empty() {
        tree.root()
    } else {
        let found = tree.find(clean.as_bytes())?.ok_or_else(|| not_there(path))?;
        match found.kind {
            Kind::Directory(place) => place,
            _ => {
                let above = clean.rsplit_once('/').map_or("", |(above, _)| above);
                return Ok(vec![file(above, &found, said)]);
            }
        }
    };
    let mut rows = Vec::new();
    for entry in tree.list(place)? {
        if rows.len() == MOST {
            break;
        }
        rows.push(file(&clean, &entry?, said));
    }
    Ok(rows)
}

fn not_there(path: &str) -> Fault {
    Fault(
        Problem::new(Code::NotFound, format!("There is no {path:?} in this snapshot."))
            .at("path")
            .fix("List the directory above it."),
    )
}

fn file(above: &str, entry: &Entry, said: &Description) -> File {
    let name = std::ffi::OsStr::from_bytes(&entry.name).to_string_lossy().into_owned();
    let (kind, size, target, doubt) = match &entry.kind {
        Kind::File(content) => ("file", Some(content.size.into()), None, content.doubt),
        Kind::Directory(_) => ("directory", None, None, None),
        Kind::Symlink { target } => ("symlink", None, Some(String::from_utf8_lossy(target).into_owned()), None),
        Kind::Fifo => ("fifo", None, None, None),
        Kind::Socket => ("socket", None, None, None),
        Kind::CharacterDevice { .. } | Kind::BlockDevice { .. } => ("device", None, None, None),
    };
    let by_name = |names: &std::collections::BTreeMap<u32, String>, id: u32| {
        names.get(&id).cloned().unwrap_or_else(|| id.to_string())
    };
    let modified = jiff::Timestamp::new(entry.modified.seconds, entry.modified.nanoseconds as i32).ok();
    File {
        path: if above.is_empty() { format!("/{name}") } else { format!("/{above}/{name}") },
        name,
        kind: kind.to_owned(),
        size,
        modified: modified.map(Time),
        mode: mode_text(entry.mode),
        owner: by_name(&said.users, entry.uid),
        group: by_name(&said.groups, entry.gid),
        target,
        doubt: doubt.map(|doubt| match doubt {
            Doubt::Changed => "changed".to_owned(),
            Doubt::Unreadable => "unreadable".to_owned(),
        }),
    }
}

fn mode_text(mode: u32) -> String {
    let special = [(0o4000, 0o100, 's', 'S'), (0o2000, 0o010, 's', 'S'), (0o1000, 0o001, 't', 'T')];
    let mut text: Vec<char> = "rwxrwxrwx"
        .chars()
        .enumerate()
        .map(|(n, letter)| if mode >> (8 - n) & 1 == 1 { letter } else { '-' })
        .collect();
    for (n, (bit, executable, both, alone)) in special.into_iter().enumerate() {
        if mode & bit != 0 {
            text[3 * n + 2] = if mode & executable != 0 { both } else { alone };
        }
    }
    text.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_read_as_ls_writes_them() {
        assert_eq!(mode_text(0o755), "rwxr-xr-x");
        assert_eq!(mode_text(0o4755), "rwsr-xr-x");
        assert_eq!(mode_text(0o2644), "rw-r-Sr--");
        assert_eq!(mode_text(0o1777), "rwxrwxrwt");
    }
}
