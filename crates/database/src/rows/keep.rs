//! Storing one row: an unchanged one costs nothing, a changed one is updated or, in a type with history, closed and
//! opened anew.

use crate::access::Write;
use crate::catalog::Table;
use crate::error::sql;
use crate::rows::check::CheckedRow;
use rusqlite::types::Value as Sql;
use rusqlite::{OptionalExtension as _, Row, params, params_from_iter};
use schema::Problem;
use std::cell::Cell;
use std::collections::BTreeMap;

/// When something was so, and when it became known here, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// As the machine says.
    pub(crate) said: i64,
    /// As it is believed.
    pub(crate) observed: i64,
    pub(crate) recorded: i64,
}

/// A row that is there now.
#[derive(Debug)]
pub(crate) struct Kept {
    row: i64,
    digest: Vec<u8>,
    section: String,
    observed_from: i64,
}

/// Stores the rows of one publish.
pub(crate) struct Keeper<'w, 'a> {
    write: &'w Write<'a>,
    table: &'w Table,
    section: &'w str,
    moment: Moment,
    has_history: bool,
    /// Type whose rows show these as columns.
    extends: Option<&'w str>,
    changed: Cell<bool>,
    select: String,
    insert: String,
    update: String,
}

impl<'w, 'a> Keeper<'w, 'a> {
    pub(crate) fn new(write: &'w Write<'a>, table: &'w Table, section: &'w str, moment: Moment) -> Keeper<'w, 'a> {
        let name = &table.sql;
        let columns: Vec<&str> = table.columns.iter().map(|c| c.sql.as_str()).filter(|c| *c != "machine").collect();
        let listed: String = columns.iter().map(|c| format!(", {c}")).collect();
        let marks = ", ?".repeat(columns.len());
        let assigned: String = columns.iter().map(|c| format!(", {c} = ?")).collect();
        Keeper {
            write,
            table,
            section,
            moment,
            has_history: table.kind.stored.as_ref().is_some_and(|s| s.history),
            extends: table.kind.extends.as_ref().map(|e| e.target.as_str()),
            changed: Cell::new(false),
            select: format!(
                "SELECT row, digest, section, observed_from, key FROM {name} WHERE key = ?1 AND observed_to IS NULL"
            ),
            insert: format!(
                "INSERT INTO {name} (key, machine, section, digest, appended, observed_from, recorded_from, search{listed})
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?{marks})"
            ),
            update: format!(
                "UPDATE {name} SET section = ?, digest = ?, observed_from = ?, recorded_from = ?, search = ?{assigned}
                 WHERE row = ?"
            ),
        }
    }

    /// Rows of this section that are there now, by key.
    pub(crate) fn section(&self, machine: Option<&str>) -> Result<BTreeMap<String, Kept>, Problem> {
        let select = format!(
            "SELECT row, digest, section, observed_from, key FROM {} WHERE machine IS ?1 AND section = ?2
             AND observed_to IS NULL AND appended = 0",
            self.table.sql
        );
        // The administrator's role may replace a section over several machines at once.
        let of_all = machine.is_none() && self.table.machine.is_some();
        let select = if of_all { select.replace("machine IS ?1 AND", "?1 IS NULL AND") } else { select };
        let mut statement = self.write.conn.prepare_cached(&select).map_err(sql)?;
        let kept = |row: &Row<'_>| Ok((row.get::<_, String>(4)?, read_kept(row)?));
        statement.query_map(params![machine, self.section], kept).and_then(Iterator::collect).map_err(sql)
    }

    /// Whether to wait for a second collection, observed later, that shrinks the section too.
    pub(crate) fn is_held(&self, machine: Option<&str>, shrinks: bool) -> Result<bool, Problem> {
        let number = self.table.number;
        let place = params![number, machine.unwrap_or_default(), self.section];
        let since = self.write.held_since(place)?;
        let first = shrinks && since.is_none_or(|since| self.moment.said <= since);
        if first {
            let insert = "INSERT INTO held_section (type, machine, section, observed_at) VALUES (?1, ?2, ?3, ?4)
                ON CONFLICT DO NOTHING";
            let values = params![number, machine.unwrap_or_default(), self.section, self.moment.said];
            self.write.execute(insert, values)?;
        } else if since.is_some() {
            let delete = "DELETE FROM held_section WHERE type = ?1 AND machine = ?2 AND section = ?3";
            self.write.execute(delete, place)?;
        }
        Ok(first)
    }

    pub(crate) fn upsert(&self, row: &CheckedRow) -> Result<(), Problem> {
        match self.find(&row.key)? {
            Some(kept) => self.change(&kept, row),
            None => self.insert(row, false, self.moment.observed),
        }
    }

    /// A row that never changes: the same key again is a repeat.
    pub(crate) fn append(&self, row: &CheckedRow) -> Result<(), Problem> {
        match self.find(&row.key)? {
            Some(_) => Ok(()),
            None => self.insert(row, true, self.moment.observed),
        }
    }

    pub(crate) fn delete_key(&self, key: &str) -> Result<(), Problem> {
        match self.find(key)? {
            Some(kept) => self.delete(key, &kept),
            None => Ok(()),
        }
    }

    pub(crate) fn delete(&self, key: &str, kept: &Kept) -> Result<(), Problem> {
        if self.has_history {
            self.close(kept)?;
        } else {
            self.unindex(kept.row)?;
            self.write.execute(&format!("DELETE FROM {} WHERE row = ?1", self.table.sql), [kept.row])?;
        }
        self.tell(key);
        Ok(())
    }

    pub(crate) fn change(&self, kept: &Kept, row: &CheckedRow) -> Result<(), Problem> {
        if kept.digest == row.digest {
            if kept.section != self.section {
                let update = format!("UPDATE {} SET section = ?2 WHERE row = ?1", self.table.sql);
                self.write.execute(&update, params![kept.row, self.section])?;
            }
            return Ok(());
        }
        if self.has_history {
            let at = self.close(kept)?;
            return self.insert(row, false, at);
        }
        let own = [
            Sql::Text(self.section.to_owned()),
            Sql::Blob(row.digest.to_vec()),
            Sql::Integer(self.moment.observed),
            Sql::Integer(self.moment.recorded),
            Sql::Text(row.search.clone()),
        ];
        let values = own.into_iter().chain(row.values.iter().cloned()).chain([Sql::Integer(kept.row)]);
        self.write.execute(&self.update, params_from_iter(values))?;
        self.unindex(kept.row)?;
        self.index(kept.row, &row.search)?;
        self.tell(&row.key);
        Ok(())
    }

    fn insert(&self, row: &CheckedRow, appended: bool, from: i64) -> Result<(), Problem> {
        let own = [
            Sql::Text(row.key.clone()),
            row.machine.clone().map_or(Sql::Null, Sql::Text),
            Sql::Text(self.section.to_owned()),
            Sql::Blob(row.digest.to_vec()),
            Sql::Integer(i64::from(appended)),
            Sql::Integer(from),
            Sql::Integer(self.moment.recorded),
            Sql::Text(row.search.clone()),
        ];
        let values = own.into_iter().chain(row.values.iter().cloned());
        self.write.execute(&self.insert, params_from_iter(values))?;
        self.index(self.write.conn.last_insert_rowid(), &row.search)?;
        self.tell(&row.key);
        Ok(())
    }

    /// Ends an interval and says when: a clock that went back cannot end it before it began.
    fn close(&self, kept: &Kept) -> Result<i64, Problem> {
        let at = self.moment.observed.max(kept.observed_from + 1);
        let update = format!("UPDATE {} SET observed_to = ?2, recorded_to = ?3 WHERE row = ?1", self.table.sql);
        self.write.execute(&update, params![kept.row, at, self.moment.recorded])?;
        self.unindex(kept.row)?;
        Ok(at)
    }

    fn find(&self, key: &str) -> Result<Option<Kept>, Problem> {
        let mut statement = self.write.conn.prepare_cached(&self.select).map_err(sql)?;
        statement.query_row([key], read_kept).optional().map_err(sql)
    }

    fn index(&self, row: i64, search: &str) -> Result<(), Problem> {
        if search.is_empty() {
            return Ok(());
        }
        let insert = format!("INSERT INTO {}_fts (rowid, search) VALUES (?1, ?2)", self.table.sql);
        self.write.execute(&insert, params![row, search]).map(|_| ())
    }

    fn unindex(&self, row: i64) -> Result<(), Problem> {
        self.write.execute(&format!("DELETE FROM {}_fts WHERE rowid = ?1", self.table.sql), [row]).map(|_| ())
    }

    /// Whether any row came, changed or went.
    pub(crate) fn has_changed(&self) -> bool {
        self.changed.get()
    }

    fn tell(&self, key: &str) {
        self.changed.set(true);
        self.write.changed(&self.table.type_id, key);
        if let Some(target) = self.extends {
            self.write.changed(target, key);
        }
    }
}

fn read_kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    Ok(Kept { row: row.get(0)?, digest: row.get(1)?, section: row.get(2)?, observed_from: row.get(3)? })
}
