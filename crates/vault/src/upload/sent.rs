//! Which chunks this upload sent or asked about lately: of fixed size, so it forgets. Who asks again gets the same answer.

use crate::ChunkId;

const SLOTS: usize = 1 << 15;

/// One id for each slot; a newer one takes the place of an older.
pub(super) struct Sent(Box<[ChunkId]>);

impl Default for Sent {
    fn default() -> Sent {
        // No bytes are known whose hash is zero, so an empty slot equals no id.
        Sent(vec![ChunkId([0; 32]); SLOTS].into())
    }
}

impl Sent {
    /// Whether it is for the caller to see that this chunk is sent.
    pub(super) fn claim(&mut self, id: &ChunkId) -> bool {
        let slot = usize::from(u16::from_le_bytes([id.0[0], id.0[1]])) % SLOTS;
        let known = std::mem::replace(&mut self.0[slot], *id);
        known != *id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_claimed_once_until_it_is_forgotten() {
        let mut sent = Sent::default();
        let [one, same_slot] = [1, 2].map(|last| {
            let mut id = [7; 32];
            id[31] = last;
            ChunkId(id)
        });
        assert!(sent.claim(&one));
        assert!(!sent.claim(&one));
        assert!(sent.claim(&same_slot));
        assert!(sent.claim(&one));
    }
}
