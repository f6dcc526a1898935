//! What a reader would refuse, found before it is written: one entry must not cost the directory that it stands in.

use super::entry::is_name;
use super::page::{FULL_BYTES, MOST_BYTES};
use super::{Content, Doubt, Entry, FileTime, Kind};
use crate::segment::Limits;

/// Bytes of one entry: beside it, a page holds less than [`FULL_BYTES`] of others and the distances of their directories.
const MOST_ENTRY: usize = MOST_BYTES - 2 * FULL_BYTES;
/// Bytes that the numbers of an entry take at most.
const NUMBERS: usize = 128;
const SECOND: u32 = 1_000_000_000;

/// Why an entry cannot be written as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unfit {
    #[error("its name is none that a file can have, so it was left out")]
    Name,
    #[error("its mode holds more than permissions, which were kept")]
    Mode,
    #[error("one of its times has a second or more of nanoseconds, and was shortened")]
    Time,
    #[error("some of its attributes have no name, or the name of another, and were left out")]
    Attributes,
    #[error("what it links to holds a NUL, so it was left out")]
    Target,
    #[error("its parts do not add up to its size, so its content was left out")]
    Content,
    #[error("its attributes are too large for a snapshot, and were left out")]
    LargeAttributes,
    #[error("it is too large for a snapshot, so its content was left out")]
    LargeContent,
    #[error("what it links to is too long for a snapshot, so it was left out")]
    LargeTarget,
}

impl Entry {
    /// What a reader would refuse first.
    pub(crate) fn unfit(&self) -> Option<Unfit> {
        if !is_name(&self.name) {
            return Some(Unfit::Name);
        }
        if self.mode > 0o7777 {
            return Some(Unfit::Mode);
        }
        if [self.modified, self.changed].iter().any(|time| time.nanoseconds >= SECOND) {
            return Some(Unfit::Time);
        }
        let is_named = |name: &[u8]| !name.is_empty() && !name.contains(&0);
        if !self.attributes.is_sorted_by(|(one, _), (next, _)| one < next)
            || !self.attributes.iter().all(|(name, _)| is_named(name))
        {
            return Some(Unfit::Attributes);
        }
        match &self.kind {
            Kind::Symlink { target } if target.contains(&0) => return Some(Unfit::Target),
            Kind::File(content) if !adds_up(content) => return Some(Unfit::Content),
            _ => {}
        }
        self.too_large()
    }

    fn too_large(&self) -> Option<Unfit> {
        let attributes: usize = self.attributes.iter().map(|(name, value)| name.len() + value.len() + 20).sum();
        let (own, unfit) = match &self.kind {
            // Lengths of chunks take three bytes.
            Kind::File(content) => (4 * content.chunks.len() + 20 * content.extents.len(), Unfit::LargeContent),
            Kind::Symlink { target } => (target.len(), Unfit::LargeTarget),
            _ => (0, Unfit::Name),
        };
        match NUMBERS + self.name.len() + attributes + own > MOST_ENTRY {
            false => None,
            true if attributes > MOST_ENTRY / 2 => Some(Unfit::LargeAttributes),
            true => Some(unfit),
        }
    }

    /// The entry as it can be written, and what that took away from it; none where nothing is left that could stand for it.
    pub fn mended(mut self) -> (Option<Entry>, Vec<Unfit>) {
        let mut wrong = Vec::new();
        while let Some(unfit) = self.unfit() {
            wrong.push(unfit);
            match unfit {
                Unfit::Name | Unfit::Target | Unfit::LargeTarget => return (None, wrong),
                Unfit::Mode => self.mode &= 0o7777,
                Unfit::Time => [&mut self.modified, &mut self.changed].into_iter().for_each(shorten),
                Unfit::Attributes => {
                    self.attributes.retain(|(name, _)| !name.is_empty() && !name.contains(&0));
                    self.attributes.sort();
                    self.attributes.dedup_by(|next, one| next.0 == one.0);
                }
                Unfit::LargeAttributes => self.attributes.clear(),
                Unfit::Content | Unfit::LargeContent => {
                    if let Kind::File(content) = &mut self.kind {
                        let Content { size, fresh, .. } = *content;
                        *content = Content { size, fresh, doubt: Some(Doubt::Unreadable), ..Content::default() };
                    }
                }
            }
        }
        (Some(self), wrong)
    }
}

fn shorten(time: &mut FileTime) {
    time.nanoseconds = time.nanoseconds.min(SECOND - 1);
}

/// Whether the chunks of a file are those of its extents, and these lie within it.
fn adds_up(content: &Content) -> bool {
    let is_chunk = |length: &u32| (1..=Limits::SEGMENT.chunk_bytes).contains(length);
    if !content.chunks.iter().all(is_chunk) {
        return false;
    }
    let bytes: u64 = content.chunks.iter().map(|length| u64::from(*length)).sum();
    if content.extents.is_empty() {
        return content.chunks.is_empty() || bytes == content.size;
    }
    let (mut data, mut end) = (0_u64, 0_u64);
    for (offset, length) in &content.extents {
        let after = offset.checked_add(*length).filter(|_| *length > 0 && *offset >= end);
        let Some(after) = after else { return false };
        // Cannot overflow: they do not overlap.
        data += length;
        end = after;
    }
    data == bytes && end <= content.size
}

#[cfg(test)]
mod tests {
    use super::super::entry::{Around, Before, decode, encode};
    use super::*;
    use crate::varint::Cursor;
    use proptest::prelude::*;

    /// What a reader makes of it.
    fn read(entry: &Entry) -> Option<Entry> {
        let mut bytes = Vec::new();
        encode(entry, &mut Before::default(), &mut bytes);
        let mut around = Around { page: 1, refs: 0, next: 0, limit: 1 << 40, floor: 0 };
        let mut cursor = Cursor::new(&bytes);
        decode(&mut cursor, &mut Before::default(), &mut around).ok().filter(|_| cursor.remaining() == 0)
    }

    fn any_name() -> impl Strategy<Value = Vec<u8>> {
        let fine = proptest::collection::vec(1_u8..=255, 0..6);
        prop_oneof![6 => fine, 1 => Just(b"..".to_vec()), 1 => Just(b"a/b".to_vec()), 1 => Just(b"a\0".to_vec())]
    }

    fn any_content() -> impl Strategy<Value = Content> {
        let chunks = proptest::collection::vec(prop_oneof![0_u32..9, Just(1 << 20), Just(u32::MAX)], 0..4);
        let extents = proptest::collection::vec((0_u64..40, 0_u64..9), 0..4);
        (chunks, extents, 0_u64..40, any::<bool>(), any::<bool>()).prop_map(
            |(chunks, extents, size, adds_up, fresh)| {
                let bytes: u64 = chunks.iter().map(|length| u64::from(*length)).sum();
                let size = if adds_up { bytes } else { size };
                // Extents that go backwards cannot even be encoded.
                let mut end = 0;
                let extents = extents.into_iter().map(|(gap, length)| {
                    let extent = (end + gap, length);
                    end += gap + length;
                    extent
                });
                Content { size, chunks, first: 0, extents: extents.collect(), doubt: None, fresh }
            },
        )
    }

    fn any_kind() -> impl Strategy<Value = Kind> {
        prop_oneof![
            2 => any_content().prop_map(Kind::File),
            1 => any_name().prop_map(|target| Kind::Symlink { target }),
            1 => Just(Kind::Fifo),
        ]
    }

    prop_compose! {
        fn any_entry()(
            name in any_name(),
            kind in any_kind(),
            mode in prop_oneof![4 => 0_u32..0o10000, 1 => any::<u32>()],
            nanoseconds in prop_oneof![4 => 0_u32..SECOND, 1 => any::<u32>()],
            changed in prop_oneof![4 => 0_u32..SECOND, 1 => any::<u32>()],
            mut attributes in proptest::collection::vec((any_name(), any::<Vec<u8>>()), 0..3),
            sorted in any::<bool>(),
        ) -> Entry {
            if sorted {
                attributes.sort();
            }
            let time = |nanoseconds| FileTime { seconds: 5, nanoseconds };
            Entry {
                name,
                kind,
                mode,
                uid: 1,
                gid: 2,
                modified: time(nanoseconds),
                changed: time(changed),
                inode: 3,
                device: 4,
                linked: false,
                attributes,
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_fit_is_read_as_it_is_and_nothing_else_is(entry in any_entry()) {
            let comes_back = read(&entry).as_ref() == Some(&entry);
            prop_assert_eq!(entry.unfit().is_none(), comes_back, "{:?}: {:?}", entry.unfit(), entry);
        }

        #[test]
        fn what_was_mended_is_read(entry in any_entry()) {
            let (mended, wrong) = entry.clone().mended();
            prop_assert_eq!(wrong.is_empty(), entry.unfit().is_none());
            if wrong.is_empty() {
                prop_assert_eq!(mended.as_ref(), Some(&entry));
            }
            if let Some(mended) = mended {
                prop_assert_eq!(read(&mended), Some(mended));
            }
        }
    }

    #[test]
    fn what_goes_backwards_or_past_every_end_is_unfit() {
        for extents in [vec![(5, 2), (4, 1)], vec![(u64::MAX, 2)], vec![(0, 0)], vec![(9, 2)]] {
            let content = Content { size: 10, chunks: vec![2], extents: extents.clone(), ..Content::default() };
            assert!(!adds_up(&content), "{extents:?}");
        }
    }
}
