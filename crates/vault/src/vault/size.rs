//! How much a vault holds.

use super::Vault;
use crate::error::VaultError;

/// What is on the disk, whoever needs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    pub packs: u64,
    /// Bytes of packs.
    pub bytes: u64,
    /// Chunks in them; one that is in two packs counts twice.
    pub chunks: u64,
}

impl Vault {
    /// Reads the footers of all packs; one that cannot be read counts as none and is among the troubles.
    ///
    /// # Errors
    /// The disk is gone.
    pub fn size(&self) -> Result<Size, VaultError> {
        let mut size = Size::default();
        for id in self.packs_there()? {
            if let Some(footer) = self.footer_or_trouble(id)? {
                size.packs += 1;
                size.bytes += footer.length;
                size.chunks += footer.parts().map(|(_, chunks)| chunks.len() as u64).sum::<u64>();
            }
        }
        Ok(size)
    }
}
