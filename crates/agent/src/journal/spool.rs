//! Rows on their way to the administrator. A section that is replaced as a whole is kept once, in its newest form; what
//! was not sent yet of an older form never will be.

use super::{Journal, JournalError};
use protocol::{SectionHash, SectionName};
use redb::{ReadableTable, Table, TableDefinition, WriteTransaction};
use schema::{Publish, PublishMode};
use serde::{Deserialize, Serialize};

/// Sequence number → entry.
const SPOOL: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("spool");
/// `plugin \0 type \0 section` → newest form.
const SECTIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("sections");
/// Bytes by name: how much the two tables hold.
const SIZES: TableDefinition<'_, &str, u64> = TableDefinition::new("sizes");
/// The last sequence number.
const LAST: &str = "last";
const BYTES: &str = "bytes";

/// Most that is kept while the administrator takes nothing over.
pub const SPOOL_LIMIT_BYTES: u64 = 64 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Entry {
    /// The newest form of a section, which stands in its own table.
    Section {
        key: String,
    },
    Rows {
        plugin: String,
        publish: Publish,
    },
}

#[derive(Serialize, Deserialize)]
struct Section {
    plugin: String,
    hash: String,
    /// Hash of the form that the administrator has stored.
    stored: Option<String>,
    /// Place in the spool of a form that is still to be stored.
    queued: Option<u64>,
    publish: Publish,
}

/// One entry to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    pub seq: u64,
    pub plugin: String,
    pub publish: Publish,
    pub bytes: usize,
}

pub(super) fn create(transaction: &WriteTransaction) -> Result<(), JournalError> {
    transaction.open_table(SPOOL)?;
    transaction.open_table(SECTIONS)?;
    transaction.open_table(SIZES)?;
    Ok(())
}

struct Tables<'t> {
    spool: Table<'t, u64, &'static [u8]>,
    sections: Table<'t, &'static str, &'static [u8]>,
    sizes: Table<'t, &'static str, u64>,
}

impl<'t> Tables<'t> {
    fn open(transaction: &'t WriteTransaction) -> Result<Tables<'t>, JournalError> {
        Ok(Tables {
            spool: transaction.open_table(SPOOL)?,
            sections: transaction.open_table(SECTIONS)?,
            sizes: transaction.open_table(SIZES)?,
        })
    }

    fn size(&self, name: &str) -> Result<u64, JournalError> {
        Ok(self.sizes.get(name)?.map_or(0, |value| value.value()))
    }

    fn grow(&mut self, added: usize, removed: usize) -> Result<(), JournalError> {
        let bytes = self.size(BYTES)?.saturating_add(added as u64).saturating_sub(removed as u64);
        if added > removed && bytes > SPOOL_LIMIT_BYTES {
            return Err(JournalError::Full);
        }
        self.sizes.insert(BYTES, bytes)?;
        Ok(())
    }

    fn push(&mut self, entry: &Entry) -> Result<u64, JournalError> {
        let seq = self.size(LAST)? + 1;
        let bytes = serde_json::to_vec(entry)?;
        self.grow(bytes.len(), 0)?;
        self.spool.insert(seq, bytes.as_slice())?;
        self.sizes.insert(LAST, seq)?;
        Ok(seq)
    }

    fn drop_entry(&mut self, seq: u64) -> Result<(), JournalError> {
        let removed = self.spool.remove(seq)?.map_or(0, |value| value.value().len());
        self.grow(0, removed)
    }

    fn section(&self, key: &str) -> Result<Option<Section>, JournalError> {
        self.sections.get(key)?.map(|value| Ok(serde_json::from_slice(value.value())?)).transpose()
    }

    fn put_section(&mut self, key: &str, section: &Section) -> Result<(), JournalError> {
        let bytes = serde_json::to_vec(section)?;
        let removed = self.sections.get(key)?.map_or(0, |value| value.value().len());
        self.grow(bytes.len(), removed)?;
        self.sections.insert(key, bytes.as_slice())?;
        Ok(())
    }
}

fn key_of(plugin: &str, type_name: &str, section: &str) -> String {
    format!("{plugin}\0{type_name}\0{section}")
}

fn name_of(section: &Section) -> SectionName {
    SectionName {
        plugin: section.plugin.clone(),
        type_name: section.publish.type_name.clone(),
        section: section.publish.section.clone(),
    }
}

impl Journal {
    /// Takes over rows of a plugin; false where the administrator has them already.
    ///
    /// # Errors
    /// `Full`: nothing was taken over, and the plugin keeps its rows.
    pub fn publish(&self, plugin: &str, publish: Publish) -> Result<bool, JournalError> {
        self.write_if(|transaction| {
            let mut tables = Tables::open(transaction)?;
            if publish.mode == PublishMode::Replace {
                let changed = tables.replace(plugin, publish)?;
                return Ok((changed, changed));
            }
            tables.push(&Entry::Rows { plugin: plugin.to_owned(), publish })?;
            Ok((true, true))
        })
    }

    /// The entries after `after`, up to `limit_bytes` and at least one.
    pub fn outgoing(&self, after: u64, limit_bytes: usize) -> Result<Vec<Outgoing>, JournalError> {
        self.read(|transaction| {
            let (spool, sections) = (transaction.open_table(SPOOL)?, transaction.open_table(SECTIONS)?);
            let (mut entries, mut total) = (Vec::new(), 0);
            for item in spool.range(after + 1..)? {
                let (seq, value) = item?;
                let (seq, mut bytes) = (seq.value(), value.value().len());
                let (plugin, publish) = match serde_json::from_slice(value.value())? {
                    Entry::Rows { plugin, publish } => (plugin, publish),
                    Entry::Section { key } => {
                        let Some(value) = sections.get(key.as_str())? else { continue };
                        bytes = value.value().len();
                        let section: Section = serde_json::from_slice(value.value())?;
                        (section.plugin, section.publish)
                    }
                };
                if !entries.is_empty() && total + bytes > limit_bytes {
                    break;
                }
                total += bytes;
                entries.push(Outgoing { seq, plugin, publish, bytes });
            }
            Ok(entries)
        })
    }

    /// Gives up one entry, which can never be sent.
    pub fn give_up(&self, seq: u64) -> Result<(), JournalError> {
        self.write(|transaction| {
            let mut tables = Tables::open(transaction)?;
            let entry = tables.spool.get(seq)?.map(|value| serde_json::from_slice(value.value())).transpose()?;
            tables.drop_entry(seq)?;
            if let Some(Entry::Section { key }) = entry
                && let Some(mut section) = tables.section(&key)?
                && section.queued == Some(seq)
            {
                section.queued = None;
                tables.put_section(&key, &section)?;
            }
            Ok(())
        })
    }

    /// Everything up to `seq` is stored at the administrator; `held`: but for what is at `seq`, which is to be collected
    /// once more and sent whether or not it is the same.
    pub fn stored_up_to(&self, seq: u64, held: bool) -> Result<(), JournalError> {
        self.write(|transaction| {
            let mut tables = Tables::open(transaction)?;
            let mut done = Vec::new();
            for item in tables.spool.range(..=seq)? {
                let (seq, value) = item?;
                done.push((seq.value(), serde_json::from_slice::<Entry>(value.value())?));
            }
            for (at, entry) in done {
                tables.drop_entry(at)?;
                if let Entry::Section { key } = entry
                    && let Some(mut section) = tables.section(&key)?
                    && section.queued == Some(at)
                {
                    section.queued = None;
                    section.stored = Some(section.hash.clone()).filter(|_| !(held && at == seq));
                    tables.put_section(&key, &section)?;
                }
            }
            Ok(())
        })
    }

    /// Hashes of what the administrator is believed to have.
    pub fn section_hashes(&self) -> Result<Vec<SectionHash>, JournalError> {
        self.read(|transaction| {
            let mut hashes = Vec::new();
            for item in transaction.open_table(SECTIONS)?.iter()? {
                let section: Section = serde_json::from_slice(item?.1.value())?;
                if let Some(hash) = &section.stored {
                    hashes.push(SectionHash { name: name_of(&section), hash: hash.clone() });
                }
            }
            Ok(hashes)
        })
    }

    /// Queues sections again, all of them where none is named.
    pub fn send_again(&self, names: Option<&[SectionName]>) -> Result<(), JournalError> {
        self.write(|transaction| {
            let mut tables = Tables::open(transaction)?;
            let mut wanted = Vec::new();
            for item in tables.sections.iter()? {
                let (key, value) = item?;
                let section: Section = serde_json::from_slice(value.value())?;
                if names.is_none_or(|names| names.contains(&name_of(&section))) {
                    wanted.push((key.value().to_owned(), section));
                }
            }
            for (key, mut section) in wanted {
                if section.queued.is_none() {
                    section.queued = Some(tables.push(&Entry::Section { key: key.clone() })?);
                    section.stored = None;
                    tables.put_section(&key, &section)?;
                }
            }
            Ok(())
        })
    }

    /// Forgets the sections of plugins that are gone.
    pub fn keep_sections_of(&self, plugins: &[String]) -> Result<(), JournalError> {
        self.write(|transaction| {
            let mut tables = Tables::open(transaction)?;
            let mut gone = Vec::new();
            for item in tables.sections.iter()? {
                let (key, value) = item?;
                let section: Section = serde_json::from_slice(value.value())?;
                if !plugins.contains(&section.plugin) && section.queued.is_none() {
                    gone.push((key.value().to_owned(), value.value().len()));
                }
            }
            for (key, bytes) in gone {
                tables.sections.remove(key.as_str())?;
                tables.grow(0, bytes)?;
            }
            Ok(())
        })
    }
}

impl Tables<'_> {
    /// False where nothing changed.
    fn replace(&mut self, plugin: &str, publish: Publish) -> Result<bool, JournalError> {
        let key = key_of(plugin, &publish.type_name, &publish.section);
        let hash = protocol::section_hash(&publish.rows)?;
        let known = self.section(&key)?;
        if let Some(known) = &known {
            if known.hash == hash && (known.queued.is_some() || known.stored.as_ref() == Some(&hash)) {
                return Ok(false);
            }
            if let Some(queued) = known.queued {
                self.drop_entry(queued)?;
            }
        }
        let queued = Some(self.push(&Entry::Section { key: key.clone() })?);
        let stored = known.and_then(|known| known.stored);
        self.put_section(&key, &Section { plugin: plugin.to_owned(), hash, stored, queued, publish })?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
