//! The whole tree that is shown: machines, their snapshots, and what is in them.

use super::attributes::{of_entry, of_ours};
use super::content::{CHUNKS, Chunks, OpenFile};
use super::fault::Fault;
use super::known::{Known, Standing};
use super::number::{Number, Spot};
use super::recent::Recent;
use super::shown::{LATEST, Seen, Shown};
use super::snapshot::{Folder, PAGES, Pages, Placed, Snapshot};
use fuser::FileAttr;
use std::ffi::OsStr;
use std::sync::Arc;
use vault::{Entry, Kind, PagePlace, Vault, VaultError};

/// Snapshots that are looked into at the same time; others are opened anew when somebody comes back to them.
const OPEN: usize = 4;
/// Directories on the way to a file, for a message.
const DEPTH: usize = 4096;

pub(super) struct Tree {
    vault: Arc<Vault>,
    pub(super) shown: Shown,
    pub(super) known: Known,
    open: Recent<u32, Snapshot>,
    pages: Arc<Pages>,
    chunks: Arc<Chunks>,
    began_ms: i64,
}

/// An entry of a snapshot in the page that it was found in.
pub(super) struct Found {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) standing: Standing,
    page: Arc<Vec<Entry>>,
}

impl Found {
    pub(super) fn entry(&self) -> &Entry {
        &self.page[usize::from(self.standing.spot.at)]
    }

    pub(super) fn number(&self) -> Number {
        Number::of_entry(self.snapshot.id, self.standing.spot, self.entry())
    }
}

/// Something that is shown.
pub(super) enum Node {
    /// What stands above the snapshots, and where a link among it leads to.
    Ours(FileAttr, Option<String>),
    /// The root of a snapshot.
    Root(Number, Arc<Snapshot>),
    Entry(Found),
}

impl Node {
    pub(super) fn attributes(&self) -> FileAttr {
        match self {
            Node::Ours(attributes, _) => *attributes,
            Node::Root(number, snapshot) => of_entry(*number, snapshot.root()),
            Node::Entry(found) => of_entry(found.number(), found.entry()),
        }
    }

    /// The entry of a snapshot that it is.
    pub(super) fn entry(&self) -> Option<&Entry> {
        match self {
            Node::Ours(..) => None,
            Node::Root(_, snapshot) => Some(snapshot.root()),
            Node::Entry(found) => Some(found.entry()),
        }
    }
}

/// A directory of a snapshot.
pub(super) struct Within {
    pub(super) number: Number,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) folder: Arc<Folder>,
}

impl Within {
    /// Where the entry of this place in a page stands.
    pub(super) fn standing(&self, place: PagePlace, at: u16) -> Standing {
        let spot = Spot { entered: self.snapshot.entered, page: place.position(), at };
        Standing { spot, place, folder: self.number }
    }
}

impl Tree {
    pub(super) fn new(vault: Arc<Vault>, began_ms: i64) -> Tree {
        Tree {
            shown: Shown::new(vault.clone()),
            vault,
            known: Known::default(),
            open: Recent::new(OPEN),
            pages: Arc::new(Recent::new(PAGES)),
            chunks: Arc::new(Recent::new(CHUNKS)),
            began_ms,
        }
    }

    fn snapshot(&self, snapshot: u32) -> Result<Arc<Snapshot>, Fault> {
        if let Some(open) = self.open.get(snapshot) {
            return Ok(open);
        }
        let Seen { id, time_ms, .. } = self.shown.seen(snapshot).ok_or(Fault::Absent)?;
        let entered = self.shown.enter(snapshot).ok_or(Fault::TooMany)?;
        let reader = self.vault.reader(id, None).map_err(|error| match error {
            VaultError::NoSnapshot { .. } => Fault::Removed,
            error => error.into(),
        })?;
        Ok(self.open.put(snapshot, Snapshot::new(reader, entered, time_ms, self.pages.clone())?, 1))
    }

    /// What is shown under a number.
    pub(super) fn node(&self, number: Number) -> Result<Node, Fault> {
        Ok(match number {
            Number::Root => Node::Ours(of_ours(number, self.began_ms, None), None),
            Number::Machine(machine) => {
                let (_, time_ms) = self.shown.latest(machine)?.ok_or(Fault::Absent)?;
                Node::Ours(of_ours(number, time_ms, None), None)
            }
            Number::Latest(machine) => {
                let (target, time_ms) = self.shown.latest(machine)?.ok_or(Fault::Absent)?;
                Node::Ours(of_ours(number, time_ms, Some(&target)), Some(target))
            }
            Number::Snapshot(snapshot) => Node::Root(number, self.snapshot(snapshot)?),
            Number::Entry(_) | Number::Link(_) => Node::Entry(self.found(number)?),
        })
    }

    fn found(&self, number: Number) -> Result<Found, Fault> {
        let standing = self.known.standing(number).ok_or(Fault::Removed)?;
        let snapshot = self.shown.entered(standing.spot.entered).ok_or(Fault::Removed)?;
        let snapshot = self.snapshot(snapshot)?;
        let page = snapshot.page(standing.place)?;
        match page.get(usize::from(standing.spot.at)) {
            Some(_) => Ok(Found { snapshot, standing, page }),
            None => Err(Fault::Absent),
        }
    }

    /// The directory of a snapshot that a number stands for.
    pub(super) fn within(&self, number: Number) -> Result<Within, Fault> {
        if let Number::Snapshot(snapshot) = number {
            let snapshot = self.snapshot(snapshot)?;
            return Ok(Within { number, folder: snapshot.root_folder()?, snapshot });
        }
        let found = self.found(number)?;
        match found.entry().kind {
            Kind::Directory(place) => {
                Ok(Within { number, folder: found.snapshot.folder(place)?, snapshot: found.snapshot })
            }
            _ => Err(Fault::NoDirectory),
        }
    }

    /// What a name in a directory leads to.
    pub(super) fn look_up(&self, parent: Number, name: &[u8]) -> Result<Node, Fault> {
        let number = match parent {
            Number::Root => self.shown.machine(name)?,
            Number::Machine(machine) if name == LATEST.as_bytes() => Some(Number::Latest(machine)),
            Number::Machine(machine) => self.shown.snapshot(machine, name)?,
            _ => {
                let within = self.within(parent)?;
                let found = within.snapshot.find(&within.folder, name)?;
                let Placed { place, page, at } = found.ok_or(Fault::Absent)?;
                let standing = within.standing(place, at);
                return Ok(Node::Entry(Found { snapshot: within.snapshot, standing, page }));
            }
        };
        self.node(number.ok_or(Fault::Absent)?)
    }

    /// What stands above the snapshots in a folder of ours; none for a directory of a snapshot.
    pub(super) fn ours(&self, number: Number) -> Result<Option<Vec<(String, Number)>>, Fault> {
        Ok(match number {
            Number::Root => Some(self.shown.machines()?),
            Number::Machine(machine) => {
                let mut names = self.shown.snapshots(machine)?;
                if !names.is_empty() {
                    names.push((LATEST.to_owned(), Number::Latest(machine)));
                }
                Some(names)
            }
            Number::Latest(_) => return Err(Fault::NoDirectory),
            _ => None,
        })
    }

    pub(super) fn open(&self, number: Number) -> Result<OpenFile, Fault> {
        let found = self.found(number)?;
        match &found.entry().kind {
            Kind::File(content) => Ok(OpenFile::new(found.snapshot.clone(), content.clone(), self.chunks.clone())),
            _ => Err(Fault::Absent),
        }
    }

    /// The directory that something is in.
    pub(super) fn above(&self, number: Number) -> Number {
        match number {
            Number::Latest(machine) => Number::Machine(machine),
            Number::Snapshot(snapshot) => {
                self.shown.seen(snapshot).map_or(Number::Root, |seen| Number::Machine(seen.machine))
            }
            Number::Entry(_) | Number::Link(_) => self.known.standing(number).map_or(Number::Root, |at| at.folder),
            Number::Root | Number::Machine(_) => Number::Root,
        }
    }

    /// Why something could not be read, once more: what a snapshot that was removed lacks is no damage.
    pub(super) fn explain(&self, number: Number, fault: Fault) -> Fault {
        let snapshot = match number {
            Number::Snapshot(snapshot) => Some(snapshot),
            Number::Entry(_) | Number::Link(_) => {
                self.known.standing(number).and_then(|standing| self.shown.entered(standing.spot.entered))
            }
            _ => None,
        };
        let seen = snapshot.and_then(|snapshot| self.shown.seen(snapshot));
        match (&fault, seen) {
            (Fault::Tree(_) | Fault::Vault(_), Some(seen))
                if matches!(self.vault.summary(seen.id), Err(VaultError::NoSnapshot { .. })) =>
            {
                Fault::Removed
            }
            _ => fault,
        }
    }

    /// Where something is, as far as that can be told.
    pub(super) fn path(&self, mut number: Number, name: Option<&OsStr>) -> String {
        let mut names = Vec::from_iter(name.map(|name| name.to_string_lossy().into_owned()));
        for _ in 0..DEPTH {
            match number {
                Number::Entry(_) | Number::Link(_) => {
                    let Ok(found) = self.found(number) else { break };
                    names.push(String::from_utf8_lossy(&found.entry().name).into_owned());
                    number = found.standing.folder;
                }
                Number::Snapshot(snapshot) => {
                    names.push(self.shown.path(snapshot));
                    break;
                }
                _ => break,
            }
        }
        names.reverse();
        names.join("/")
    }
}
