//! One entry of a page, as bytes and back. Much of it is written as what differs from the entry before it; see the README.

use super::{Attribute, Content, Doubt, Entry, Fault, FileTime, Kind, Place};
use crate::segment::Limits;
use crate::varint::{Cursor, Malformed, put, put_bytes, put_signed};

/// Bits of the first byte; the lowest three say what it is.
const ATTRIBUTES: u8 = 1 << 3;
const SAME_OWNER: u8 = 1 << 4;
const LINKED: u8 = 1 << 5;
const SAME_TIME: u8 = 1 << 6;
const WHOLE: u8 = 1 << 7;

/// The shape of a file that is not whole.
const CHANGED: u8 = 1;
const UNREADABLE: u8 = 2;
const SPARSE: u8 = 4;
const FRESH: u8 = 8;

/// What an entry leaves to the one after it. Every page begins anew.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Before {
    uid: u32,
    gid: u32,
    device: u64,
    inode: u64,
    seconds: i64,
}

impl Before {
    fn after(entry: &Entry) -> Before {
        let Entry { uid, gid, device, inode, modified, .. } = *entry;
        Before { uid, gid, device, inode, seconds: modified.seconds }
    }
}

impl From<Malformed> for Fault {
    fn from(_: Malformed) -> Fault {
        Fault::Format
    }
}

pub(super) fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.iter().any(|byte| matches!(byte, b'/' | 0))
}

/// All of an entry but the distances of a directory, which are written once its page is.
pub(super) fn encode(entry: &Entry, before: &mut Before, out: &mut Vec<u8>) {
    let owner = (entry.uid, entry.gid, entry.device);
    let mut head = number(&entry.kind);
    for (bit, holds) in [
        (ATTRIBUTES, !entry.attributes.is_empty()),
        (SAME_OWNER, owner == (before.uid, before.gid, before.device)),
        (LINKED, entry.linked),
        (SAME_TIME, entry.changed == entry.modified),
        (WHOLE, matches!(&entry.kind, Kind::File(content) if is_whole(content))),
    ] {
        head |= if holds { bit } else { 0 };
    }
    out.push(head);
    put_bytes(out, &entry.name);
    put(out, entry.mode.into());
    if head & SAME_OWNER == 0 {
        put(out, entry.uid.into());
        put(out, entry.gid.into());
        put(out, entry.device);
    }
    put_signed(out, entry.modified.seconds.wrapping_sub(before.seconds));
    put(out, entry.modified.nanoseconds.into());
    if head & SAME_TIME == 0 {
        put_signed(out, entry.changed.seconds.wrapping_sub(entry.modified.seconds));
        put(out, entry.changed.nanoseconds.into());
    }
    put_signed(out, entry.inode.wrapping_sub(before.inode) as i64);
    if head & ATTRIBUTES != 0 {
        put(out, entry.attributes.len() as u64);
        for (name, value) in &entry.attributes {
            put_bytes(out, name);
            put_bytes(out, value);
        }
    }
    encode_kind(&entry.kind, head & WHOLE != 0, out);
    *before = Before::after(entry);
}

fn number(kind: &Kind) -> u8 {
    match kind {
        Kind::File(_) => 0,
        Kind::Directory(_) => 1,
        Kind::Symlink { .. } => 2,
        Kind::Fifo => 3,
        Kind::Socket => 4,
        Kind::CharacterDevice { .. } => 5,
        Kind::BlockDevice { .. } => 6,
    }
}

fn is_whole(content: &Content) -> bool {
    let one = match content.chunks[..] {
        [] => content.size == 0,
        [length] => u64::from(length) == content.size && content.extents.is_empty(),
        _ => false,
    };
    one && content.doubt.is_none() && !content.fresh
}

fn encode_kind(kind: &Kind, whole: bool, out: &mut Vec<u8>) {
    match kind {
        Kind::File(content) => {
            put(out, content.size);
            if !whole {
                encode_content(content, out);
            }
        }
        Kind::Symlink { target } => put_bytes(out, target),
        Kind::CharacterDevice { major, minor } | Kind::BlockDevice { major, minor } => {
            put(out, (*major).into());
            put(out, (*minor).into());
        }
        Kind::Directory(_) | Kind::Fifo | Kind::Socket => {}
    }
}

fn encode_content(content: &Content, out: &mut Vec<u8>) {
    let doubt = match content.doubt {
        None => 0,
        Some(Doubt::Changed) => CHANGED,
        Some(Doubt::Unreadable) => UNREADABLE,
    };
    let sparse = if content.extents.is_empty() { 0 } else { SPARSE };
    out.push(doubt | sparse | if content.fresh { FRESH } else { 0 });
    put(out, content.chunks.len() as u64);
    for length in &content.chunks {
        put(out, (*length).into());
    }
    if sparse != 0 {
        put(out, content.extents.len() as u64);
        let mut end = 0;
        for (offset, length) in &content.extents {
            put(out, offset - end);
            put(out, *length);
            end = offset + length;
        }
    }
}

/// The entry of the directory that the root is; it stands in no page.
pub(crate) fn encode_root(entry: &Entry, out: &mut Vec<u8>) {
    encode(entry, &mut Before::default(), out);
    // Distances from the imaginary page that `decode_root` takes it from.
    put(out, 1);
    put(out, 0);
}

pub(crate) fn decode_root(cursor: &mut Cursor<'_>) -> Result<Entry, Fault> {
    let mut around = Around { page: 1, refs: 0, next: 0, limit: 0, floor: 0 };
    let mut entry = decode(cursor, &mut Before::default(), &mut around)?;
    match &mut entry.kind {
        Kind::Directory(place) => *place = Place::default(),
        _ => return Err(Fault::Format),
    }
    Ok(entry)
}

/// The page an entry is read from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    pub page: u64,
    /// Ids before those of the page.
    pub refs: u64,
    /// Ids before those of the entry; moves on.
    pub next: u64,
    /// Ids of the whole tree.
    pub limit: u64,
    /// No sub-directory that follows may reach below this; moves on.
    pub floor: u64,
}

pub(super) fn decode(cursor: &mut Cursor<'_>, before: &mut Before, around: &mut Around) -> Result<Entry, Fault> {
    let head = cursor.byte()?;
    let name = cursor.bytes()?.to_vec();
    if !is_name(&name) {
        return Err(Fault::Name);
    }
    let mode = cursor.small()?;
    if mode > 0o7777 || (head & WHOLE != 0 && head & 7 != 0) {
        return Err(Fault::Format);
    }
    let (uid, gid, device) = if head & SAME_OWNER != 0 {
        (before.uid, before.gid, before.device)
    } else {
        (cursor.small()?, cursor.small()?, cursor.number()?)
    };
    let modified = decode_time(cursor, before.seconds)?;
    let changed = if head & SAME_TIME != 0 { modified } else { decode_time(cursor, modified.seconds)? };
    let inode = before.inode.wrapping_add(cursor.signed()? as u64);
    let attributes = if head & ATTRIBUTES != 0 { decode_attributes(cursor)? } else { Vec::new() };
    let kind = decode_kind(cursor, head, around)?;
    let linked = head & LINKED != 0;
    let entry = Entry { name, kind, mode, uid, gid, modified, changed, inode, device, linked, attributes };
    *before = Before::after(&entry);
    Ok(entry)
}

fn decode_time(cursor: &mut Cursor<'_>, since: i64) -> Result<FileTime, Fault> {
    let seconds = since.wrapping_add(cursor.signed()?);
    let nanoseconds = cursor.small()?;
    if nanoseconds < 1_000_000_000 { Ok(FileTime { seconds, nanoseconds }) } else { Err(Fault::Format) }
}

fn decode_attributes(cursor: &mut Cursor<'_>) -> Result<Vec<Attribute>, Fault> {
    let count = cursor.count(2)?;
    let mut attributes = Vec::<Attribute>::with_capacity(count.min(64));
    for _ in 0..count {
        let name = cursor.bytes()?.to_vec();
        if name.is_empty() || name.contains(&0) || attributes.last().is_some_and(|(last, _)| *last >= name) {
            return Err(Fault::Format);
        }
        attributes.push((name, cursor.bytes()?.to_vec()));
    }
    Ok(attributes)
}

fn decode_kind(cursor: &mut Cursor<'_>, head: u8, around: &mut Around) -> Result<Kind, Fault> {
    Ok(match head & 7 {
        0 => {
            let size = cursor.number()?;
            let mut content = if head & WHOLE != 0 { whole(size)? } else { decode_content(cursor, size)? };
            content.first = around.next;
            around.next = around.next.checked_add(content.chunks.len() as u64).ok_or(Fault::Content)?;
            if around.next > around.limit {
                return Err(Fault::Content);
            }
            Kind::File(content)
        }
        1 => Kind::Directory(decode_place(cursor, around)?),
        2 => {
            let target = cursor.bytes()?.to_vec();
            if target.contains(&0) {
                return Err(Fault::Format);
            }
            Kind::Symlink { target }
        }
        3 => Kind::Fifo,
        4 => Kind::Socket,
        5 => Kind::CharacterDevice { major: cursor.small()?, minor: cursor.small()? },
        6 => Kind::BlockDevice { major: cursor.small()?, minor: cursor.small()? },
        _ => return Err(Fault::Format),
    })
}

fn decode_place(cursor: &mut Cursor<'_>, around: &mut Around) -> Result<Place, Fault> {
    let (back, refs) = (cursor.number()?, cursor.number()?);
    let page = around.page.checked_sub(back).ok_or(Fault::Distance)?;
    let refs = around.refs.checked_sub(refs).ok_or(Fault::Distance)?;
    let floor = around.floor;
    if back == 0 || page < floor {
        return Err(Fault::Distance);
    }
    around.floor = page + 1;
    Ok(Place { page, refs, floor })
}

fn whole(size: u64) -> Result<Content, Fault> {
    let chunks = match u32::try_from(size) {
        Ok(0) => Vec::new(),
        Ok(length) if length <= Limits::SEGMENT.chunk_bytes => vec![length],
        _ => return Err(Fault::Content),
    };
    Ok(Content { size, chunks, ..Content::default() })
}

fn decode_content(cursor: &mut Cursor<'_>, size: u64) -> Result<Content, Fault> {
    let shape = cursor.byte()?;
    let doubt = match shape & (CHANGED | UNREADABLE) {
        0 => None,
        CHANGED => Some(Doubt::Changed),
        UNREADABLE => Some(Doubt::Unreadable),
        _ => return Err(Fault::Format),
    };
    let count = cursor.count(1)?;
    let (mut chunks, mut bytes) = (Vec::with_capacity(count), 0_u64);
    for _ in 0..count {
        let length = cursor.small()?;
        if length == 0 || length > Limits::SEGMENT.chunk_bytes {
            return Err(Fault::Content);
        }
        chunks.push(length);
        // Cannot overflow: there are fewer chunks than bytes in a page.
        bytes += u64::from(length);
    }
    let extents = if shape & SPARSE != 0 { decode_extents(cursor)? } else { Vec::new() };
    let (data, end) = match extents.last() {
        // Cannot overflow: they do not overlap, and the end of the last one did not.
        Some((offset, length)) => (extents.iter().map(|(_, length)| length).sum(), offset + length),
        None => (bytes, bytes),
    };
    let is_full = extents.is_empty() && !chunks.is_empty();
    if data != bytes || end > size || (is_full && end < size) || shape >= 2 * FRESH {
        return Err(Fault::Content);
    }
    Ok(Content { size, chunks, first: 0, extents, doubt, fresh: shape & FRESH != 0 })
}

fn decode_extents(cursor: &mut Cursor<'_>) -> Result<Vec<(u64, u64)>, Fault> {
    let count = cursor.count(2)?;
    let (mut extents, mut end) = (Vec::with_capacity(count), 0_u64);
    for _ in 0..count {
        let offset = end.checked_add(cursor.number()?).ok_or(Fault::Content)?;
        let length = cursor.number()?;
        end = offset.checked_add(length).ok_or(Fault::Content)?;
        if length == 0 {
            return Err(Fault::Content);
        }
        extents.push((offset, length));
    }
    Ok(extents)
}
