//! Which sections of machines are stored, by the hash of their rows.

use crate::access::{Access, Write};
use crate::error::sql;
use fleet::MachineId;
use rusqlite::{OptionalExtension as _, params};
use schema::Problem;

/// A section as its machine knows it.
#[derive(Clone, Copy, Debug)]
pub struct Section<'s> {
    pub plugin: &'s str,
    pub type_name: &'s str,
    pub section: &'s str,
    /// Of its rows, as the machine sent them.
    pub hash: &'s str,
}

impl Section<'_> {
    fn type_id(&self) -> String {
        format!("{}.{}", self.plugin, self.type_name)
    }
}

impl<Mode> Access<'_, Mode> {
    /// Whether another form of the section is stored than the one its machine believes, or none. Nothing is missing of a
    /// type that is not declared here.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn lacks_section(&self, machine: MachineId, section: &Section<'_>) -> Result<bool, Problem> {
        let catalog = self.catalog.clone();
        let Some(table) = catalog.tables.get(&section.type_id()) else { return Ok(false) };
        let select = "SELECT hash FROM stored_section WHERE type = ?1 AND machine = ?2 AND section = ?3";
        let mut statement = self.conn.prepare_cached(select).map_err(sql)?;
        let place = params![table.number, machine.to_string(), section.section];
        let stored: Option<String> = statement.query_row(place, |row| row.get(0)).optional().map_err(sql)?;
        Ok(stored.as_deref() != Some(section.hash))
    }
}

impl Write<'_> {
    /// The section was stored; said in the transaction that stored its rows.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn stored_section(&mut self, machine: MachineId, section: &Section<'_>) -> Result<(), Problem> {
        let catalog = self.catalog.clone();
        let Some(table) = catalog.tables.get(&section.type_id()) else { return Ok(()) };
        let upsert = "INSERT INTO stored_section (type, machine, section, hash) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT (type, machine, section) DO UPDATE SET hash = excluded.hash";
        self.execute(upsert, params![table.number, machine.to_string(), section.section, section.hash]).map(drop)
    }
}
