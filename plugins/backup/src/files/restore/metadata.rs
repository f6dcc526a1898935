//! Owner, permissions, attributes and time of something that was restored.
//!
//! In this order: a new owner takes away set-user-id and capabilities, permissions of an access list go with the list,
//! and anything at all moves the time.

use super::problem::{Step, Unwritten};
use crate::files::attributes::{self, ACCESS_LIST, Attribute, Bearer, DEFAULT_ACCESS_LIST, by_descriptor};
use crate::files::look::Look;
use crate::files::owners::Renumbering;
use rustix::fd::BorrowedFd;
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::Errno;
use std::collections::BTreeMap;
use vault::Entry;

const SET_ID: u32 = 0o6000;

/// What is known of the one that gets the metadata.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) open: BorrowedFd<'a>,
    /// Opened as a mere handle.
    pub(super) is_handle: bool,
    /// What it has now, where somebody else may have made it; nothing, where it was made for this.
    pub(super) has: Option<&'a Look>,
    pub(super) kind: FileType,
    /// Made in a folder that hands down access lists.
    pub(super) inherits: bool,
}

impl Target<'_> {
    fn bearer(&self) -> Bearer<'_> {
        if self.is_handle { Bearer::Handle(self.open) } else { Bearer::Open(self.open) }
    }
}

/// Gives `target` the metadata of `entry`, and says what was refused.
pub(super) fn apply(target: Target<'_>, entry: &Entry, owners: &Renumbering) -> Vec<Unwritten> {
    let mut refused = Vec::new();
    let owner = owners.of(entry.uid, entry.gid);
    let owned = owner.map(|owner| set_owner(target, owner));
    if let Some(Err(cause)) = owned {
        refused.push(Unwritten::Failed { step: Step::Owner, cause });
    }
    // A program that runs as its owner must not run as another one.
    let is_owned = match owned {
        Some(set) => set.is_ok(),
        None => owners.are_mine(entry.uid, entry.gid),
    };
    let mode = if is_owned { entry.mode } else { entry.mode & !SET_ID };
    if mode != entry.mode && target.kind == FileType::RegularFile {
        refused.push(Unwritten::Privilege);
    }
    if let Err(cause) = set_mode(target, mode) {
        refused.push(Unwritten::Failed { step: Step::Mode, cause });
    }
    set_attributes(target, entry, owners, &mut refused);
    if let Err(cause) = set_time(target, entry) {
        refused.push(Unwritten::Failed { step: Step::Times, cause });
    }
    refused
}

fn set_owner(target: Target<'_>, (uid, gid): (u32, u32)) -> Result<(), Errno> {
    if target.has.is_some_and(|has| (has.uid, has.gid) == (uid, gid)) {
        return Ok(());
    }
    let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    if target.is_handle {
        rustix::fs::chownat(target.open, "", uid, gid, AtFlags::EMPTY_PATH)
    } else {
        rustix::fs::fchown(target.open, uid, gid)
    }
}

fn set_mode(target: Target<'_>, mode: u32) -> Result<(), Errno> {
    let mode = Mode::from_raw_mode(mode);
    match target.kind {
        // Nobody asks for the permissions of a link.
        FileType::Symlink => Ok(()),
        _ if target.is_handle => rustix::fs::chmod(by_descriptor(target.open), mode),
        _ => rustix::fs::fchmod(target.open, mode),
    }
}

fn set_time(target: Target<'_>, entry: &Entry) -> Result<(), Errno> {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: entry.modified.seconds, tv_nsec: entry.modified.nanoseconds.into() },
    };
    if target.is_handle {
        // A handle on a link stands for the link: it is not followed any further.
        rustix::fs::utimensat(CWD, by_descriptor(target.open), &times, AtFlags::empty())
    } else {
        rustix::fs::futimens(target.open, &times)
    }
}

fn set_attributes(target: Target<'_>, entry: &Entry, owners: &Renumbering, refused: &mut Vec<Unwritten>) {
    let bearer = target.bearer();
    let wanted = entry.attributes.iter().map(|(name, value)| (&name[..], owners.attribute(name, value)));
    let mut wanted: BTreeMap<&[u8], _> = wanted.collect();
    if target.has.is_some() {
        // Made by somebody else: only what differs is touched, and what is not in the snapshot goes.
        for (name, value) in attributes::read(bearer).found {
            if wanted.get(&name[..]).is_some_and(|wanted| **wanted == value) {
                wanted.remove(&name[..]);
            } else if !wanted.contains_key(&name[..]) && is_ours(&name) {
                remove(bearer, &name, refused);
            }
        }
    } else if target.inherits {
        for list in [ACCESS_LIST, DEFAULT_ACCESS_LIST] {
            if !wanted.contains_key(list) {
                remove(bearer, list, refused);
            }
        }
    }
    for (name, value) in wanted {
        if let Err(cause) = bearer.set(name, &value) {
            refused.push(Unwritten::Attribute { name: name.to_vec(), cause });
        }
    }
}

fn remove(bearer: Bearer<'_>, name: &[u8], refused: &mut Vec<Unwritten>) {
    if let Err(cause) = bearer.remove(name) {
        refused.push(Unwritten::Attribute { name: name.to_vec(), cause });
    }
}

/// Labels of a security module are its own: a system that has one gives each file a label.
fn is_ours(name: &[u8]) -> bool {
    !name.starts_with(b"security.") || name == b"security.capability"
}

/// Whether what is there has all the metadata of the entry but its attributes.
pub(super) fn is_same(entry: &Entry, there: &Look, owners: &Renumbering) -> bool {
    let owner = owners.of(entry.uid, entry.gid).is_none_or(|owner| owner == (there.uid, there.gid));
    let mode = there.kind == FileType::Symlink || entry.mode == there.mode;
    owner && mode && entry.modified == there.modified
}

/// Whether the attributes of what is there are those of the entry.
pub(super) fn has_attributes(found: &[Attribute], entry: &Entry, owners: &Renumbering) -> bool {
    let ours = found.iter().filter(|(name, _)| is_ours(name));
    let wanted = entry.attributes.iter().filter(|(name, _)| is_ours(name));
    ours.map(|(name, value)| (name, value.into())).eq(wanted.map(|(name, value)| (name, owners.attribute(name, value))))
}
