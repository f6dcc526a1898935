//! The files in a snapshot, a directory at a time.

use crate::keeper::{DOMAIN, fault_of, find, machine_and_name, reading};
use crate::rows::File;
use crate::wire::{hex, unhex};
use sdk::prelude::*;
use sdk::schema::{Code, DEFAULT_LIMIT, MAX_LIMIT, Problem};
use sdk::{Fault, Time};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;
use vault::{Description, Doubt, Entry, Kind, Place, Reader, SnapshotId, TreeReader, Vault};

/// Entries of a directory that are put into another order than that of their names.
const MOST: usize = 100_000;

/// A snapshot that is looked into.
pub(crate) struct Opened {
    pub(crate) tree: TreeReader<Reader>,
    pub(crate) said: Description,
}

/// What is in one directory of a snapshot. In the order of names only the page that is asked for is read.
pub(crate) async fn files(ctx: Ctx, query: Query) -> Result<(Vec<File>, Option<String>)> {
    let path = query.param::<String>("path")?.unwrap_or_default();
    let opened = open(&ctx, &query).await?;
    ctx.blocking(move || {
        let place = match opened.at(&path)? {
            At::Directory(place) => place,
            At::Other(above, entry) => return Ok((vec![file(&above, &entry, &opened.said)], None)),
        };
        let by_name = matches!(query.sort.as_slice(), [] | [_]) && query.sort.iter().all(|sort| sort == "name");
        let whole = query.filters.is_empty() && query.q.as_deref().unwrap_or_default().is_empty();
        if by_name && whole {
            page(&opened, place, &clean(&path), &query)
        } else {
            ordered(&opened, place, &path, &query)
        }
    })
    .await
}

/// The snapshot that a query names: by its id, or the newest of a machine, or of all.
pub(crate) async fn open(ctx: &Ctx, query: &Query) -> Result<Opened> {
    let asked = query.param::<String>("snapshot")?.filter(|asked| !asked.is_empty());
    let machine = match query.param::<String>("machine")? {
        Some(machine) if !machine.is_empty() => Some(machine_id(ctx, machine).await?),
        _ => None,
    };
    let vault = reading(ctx).await?;
    ctx.blocking(move || {
        let id = snapshot(&vault, asked.as_deref().unwrap_or("latest"), machine.as_deref())?;
        let reader = vault.reader(id, None).map_err(fault_of)?;
        let said = Description::decode(&reader.snapshot().description, None).unwrap_or_default();
        let (root, root_refs) = (reader.snapshot().root, reader.snapshot().root_refs);
        Ok(Opened { tree: TreeReader::new(reader, root, root_refs), said })
    })
    .await
}

/// A machine by its name or id, as snapshots know it.
pub(crate) async fn machine_id(ctx: &Ctx, asked: String) -> Result<String> {
    if ctx.is_standalone() {
        return Ok(asked);
    }
    let known = ctx.machines().await?.into_iter().find(|machine| machine.id == asked || machine.name == asked);
    Ok(known.map_or(asked, |machine| machine.id))
}

/// The snapshot that is meant, of this machine where one is named.
fn snapshot(vault: &Arc<Vault>, asked: &str, machine: Option<&str>) -> Result<SnapshotId> {
    let Some(machine) = machine else { return find(vault, asked, None) };
    let is_its = |source: &str| machine_and_name(source).0 == machine;
    if asked != "latest" {
        let id = find(vault, asked, None)?;
        let of_another = || fault(Code::NotFound, format!("There is no snapshot {asked:?} of this machine."));
        return if is_its(&vault.summary(id).map_err(fault_of)?.source) { Ok(id) } else { Err(of_another()) };
    }
    let listed = vault.snapshots().map_err(fault_of)?.snapshots;
    let newest = listed.iter().rfind(|summary| summary.domain == DOMAIN && is_its(&summary.source));
    newest.map(|summary| summary.id).ok_or_else(|| {
        fault(Code::NotFound, "There is no snapshot of this machine yet.").fix("Back it up first, or name another.")
    })
}

/// What lies at a path.
pub(crate) enum At {
    Directory(Place),
    /// Anything else, and the path of the directory it is in.
    Other(String, Entry),
}

impl Opened {
    pub(crate) fn at(&self, path: &str) -> Result<At> {
        let clean = clean(path);
        if clean.is_empty() {
            return Ok(At::Directory(self.tree.root()));
        }
        let found = self.tree.find(clean.as_bytes())?.ok_or_else(|| not_there(path))?;
        match found.kind {
            Kind::Directory(place) => Ok(At::Directory(place)),
            _ => Ok(At::Other(clean.rsplit_once('/').map_or("", |(above, _)| above).to_owned(), found)),
        }
    }
}

/// The names of a path between slashes.
pub(crate) fn clean(path: &str) -> String {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
    names.join("/")
}

/// One page in the order of names; it ends with a cursor that is the last name.
fn page(opened: &Opened, place: Place, above: &str, query: &Query) -> Result<(Vec<File>, Option<String>)> {
    let limit = query.page.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT) as usize;
    let after = match &query.page.after {
        Some(after) => unhex(after).map_err(|_| Problem::bad_request("there is no page that begins there."))?,
        None => Vec::new(),
    };
    let (mut rows, mut last) = (Vec::new(), Vec::new());
    for entry in opened.tree.list_after(place, &after)? {
        if rows.len() == limit {
            return Ok((rows, Some(hex(&last))));
        }
        let entry = entry?;
        rows.push(file(above, &entry, &opened.said));
        last = entry.name;
    }
    Ok((rows, None))
}

/// One page in any other order, or of what is looked for.
fn ordered(opened: &Opened, place: Place, path: &str, query: &Query) -> Result<(Vec<File>, Option<String>)> {
    let (mut rows, above) = (Vec::new(), clean(path));
    for entry in opened.tree.list(place)? {
        if rows.len() == MOST {
            let text = format!("More than {MOST} files are in {path:?}: too many to put into that order.");
            return Err(fault(Code::Quota, text).fix("List them by name."));
        }
        rows.push(file(&above, &entry?, &opened.said));
    }
    let (rows, next) = sdk::select(&rows, query)?;
    let rows = rows.into_iter().map(|row| sdk::serde_json::from_value(Value::Object(row)));
    Ok((rows.collect::<Result<_, _>>()?, next))
}

fn not_there(path: &str) -> Fault {
    Fault(
        Problem::new(Code::NotFound, format!("There is no {path:?} in this snapshot."))
            .at("path")
            .fix("List the directory above it."),
    )
}

pub(crate) fn file(above: &str, entry: &Entry, said: &Description) -> File {
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
