//! Rows that plugins publish: checked one by one, and kept as they changed.

mod check;
mod keep;
mod section;

use crate::access::Write;
use crate::catalog::{Catalog, Table};
use crate::error::{Error, sql};
use crate::pool::Database;
use crate::value::micros;
use check::{Checked, check_rows};
use fleet::{Lookup as _, MachineId, Store as _, Warning};
use jiff::{SignedDuration, Timestamp};
use keep::{Keeper, Moment};
use rusqlite::{OptionalExtension as _, params};
use schema::{Code, Problem, Publish, PublishMode, Scope};
pub use section::Section;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Most rows of one [`Publish`].
pub const MAX_ROWS: usize = 100_000;
/// Longest name of a section in bytes.
const MAX_SECTION: usize = 200;
/// Sections smaller than this may shrink as they like.
const SHRINK_GUARD_ROWS: usize = 20;
/// Refused rows of one publish that become warnings of their own.
const MAX_WARNINGS: usize = 20;

/// What became of published rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PublishOutcome {
    pub accepted: usize,
    /// The first hundred rows that were refused, each with its reason; all are counted in `rejected_rows`.
    pub rejected: Vec<Problem>,
    pub rejected_rows: usize,
    /// The section shrank by more than half: nothing was changed until a second collection says the same.
    pub held: bool,
}

impl Write<'_> {
    /// Takes rows over. `machine` is the one that sent them, whatever the rows say; absent for the administrator's role,
    /// whose rows name their machine in a field `machine` where the type belongs to machines.
    /// Rows that do not fit their type are refused one by one and become warnings.
    ///
    /// # Errors
    /// `not_found` for a type the plugin did not declare, `permission_denied` for a machine that writes for the site,
    /// `quota` for more than [`MAX_ROWS`] rows.
    pub fn publish(
        &mut self,
        machine: Option<MachineId>,
        plugin: &str,
        publish: &Publish,
        recorded_at: Timestamp,
    ) -> Result<PublishOutcome, Problem> {
        let catalog: Arc<Catalog> = self.catalog.clone();
        let type_id = format!("{plugin}.{}", publish.type_name);
        let table = catalog.tables.get(&type_id).filter(|table| table.has_intervals);
        let table = table.ok_or_else(|| {
            Problem::not_found(format!("{plugin} declared no stored type {}.", publish.type_name)).at("type")
        })?;
        self.check_sender(machine, table, publish)?;
        let checked = check_rows(table, machine, &publish.rows, |id| Ok(self.machine(id)?.is_some()))?;
        let observed = publish.observed_at.as_deref().and_then(|at| at.parse().ok()).unwrap_or(recorded_at);
        let moment = self.moment(table, machine, observed, recorded_at)?;
        let mut outcome = PublishOutcome {
            accepted: checked.rows.len(),
            rejected_rows: checked.refused_rows,
            rejected: checked.refused.clone(),
            held: false,
        };
        let keeper = Keeper::new(self, table, &publish.section, moment);
        match publish.mode {
            PublishMode::Replace => outcome.held = replace(&keeper, machine, &checked)?,
            PublishMode::Upsert => checked.rows.iter().try_for_each(|row| keeper.upsert(row))?,
            PublishMode::Append => checked.rows.iter().try_for_each(|row| keeper.append(row))?,
            PublishMode::Delete => checked.rows.iter().try_for_each(|row| keeper.delete_key(&row.key))?,
        }
        if keeper.has_changed() {
            self.observed(table, machine, moment)?;
        }
        if outcome.held {
            outcome.accepted = 0;
        }
        self.warn_of(machine, plugin, &type_id, &outcome, recorded_at)?;
        Ok(outcome)
    }

    /// A clock that is ahead cannot put facts into the future, one that went back cannot change what was answered.
    fn moment(
        &self,
        table: &Table,
        machine: Option<MachineId>,
        observed: Timestamp,
        recorded: Timestamp,
    ) -> Result<Moment, Problem> {
        let select = "SELECT observed_at FROM last_observed WHERE type = ?1 AND machine = ?2";
        let mut statement = self.conn.prepare_cached(select).map_err(sql)?;
        let of = params![table.number, text_of(machine)];
        let last: Option<i64> = statement.query_row(of, |row| row.get(0)).optional().map_err(sql)?;
        let said = micros(observed);
        let observed = micros(observed.min(recorded)).max(last.unwrap_or(i64::MIN));
        Ok(Moment { said, observed, recorded: micros(recorded) })
    }

    fn observed(&self, table: &Table, machine: Option<MachineId>, moment: Moment) -> Result<(), Problem> {
        let upsert = "INSERT INTO last_observed (type, machine, observed_at) VALUES (?1, ?2, ?3)
            ON CONFLICT (type, machine) DO UPDATE SET observed_at = excluded.observed_at";
        self.execute(upsert, params![table.number, text_of(machine), moment.observed]).map(|_| ())
    }

    fn check_sender(&self, machine: Option<MachineId>, table: &Table, publish: &Publish) -> Result<(), Problem> {
        if let Some(id) = machine {
            if table.kind.scope == Scope::Site {
                let message = format!("{} belongs to the site: a machine may not write it.", table.type_id);
                return Err(Problem::new(Code::PermissionDenied, message).at("type"));
            }
            if self.machine(id)?.is_none() {
                return Err(Problem::not_found(format!("there is no machine {id}.")).at("machine"));
            }
        }
        if publish.section.len() > MAX_SECTION {
            return Err(Problem::bad_request("the name of a section has at most 200 bytes.").at("section"));
        }
        if publish.rows.len() > MAX_ROWS {
            let message = format!("{} rows are more than the {MAX_ROWS} of one message.", publish.rows.len());
            return Err(Problem::new(Code::Quota, message).at("rows").fix("Send them in several sections."));
        }
        Ok(())
    }

    fn warn_of(
        &mut self,
        machine: Option<MachineId>,
        plugin: &str,
        type_id: &str,
        outcome: &PublishOutcome,
        at: Timestamp,
    ) -> Result<(), Problem> {
        let warning = |problem: Problem, count: u64| Warning {
            machine,
            plugin: plugin.to_owned(),
            subject: type_id.to_owned(),
            problem,
            count,
            at,
        };
        for problem in outcome.rejected.iter().take(MAX_WARNINGS) {
            self.warn(&warning(problem.clone(), 1))?;
        }
        let more = outcome.rejected_rows.saturating_sub(MAX_WARNINGS);
        if more > 0 {
            self.warn(&warning(Problem::bad_request("further rows did not fit the type."), more as u64))?;
        }
        if outcome.held {
            let problem = Problem::new(Code::Conflict, "more than half of the rows were missing.")
                .fix("Nothing was removed; it will be when a second collection says the same.");
            self.warn(&warning(problem, 1))?;
        }
        Ok(())
    }
}

/// Makes the section what `checked` says; true where it was held instead. Rows that were refused keep what they were.
fn replace(keeper: &Keeper<'_, '_>, machine: Option<MachineId>, checked: &Checked) -> Result<bool, Problem> {
    let machine = machine.map(|m| m.to_string());
    let before = keeper.section(machine.as_deref())?;
    let now: BTreeSet<&str> = checked.rows.iter().map(|r| r.key.as_str()).collect();
    let gone: Vec<&String> =
        before.keys().filter(|key| !now.contains(key.as_str()) && !checked.refused_keys.contains(*key)).collect();
    let shrinks = before.len() >= SHRINK_GUARD_ROWS && gone.len() * 2 > before.len();
    if keeper.is_held(machine.as_deref(), shrinks)? {
        return Ok(true);
    }
    for row in &checked.rows {
        match before.get(&row.key) {
            Some(kept) => keeper.change(kept, row)?,
            None => keeper.upsert(row)?,
        }
    }
    for key in gone {
        keeper.delete(key, &before[key])?;
    }
    Ok(false)
}

impl Database {
    /// Removes closed intervals and appended rows that are older than their type's `retention`.
    ///
    /// # Errors
    /// Why nothing was removed.
    pub async fn trim(&self, now: Timestamp) -> Result<u64, Error> {
        self.write(move |write| Ok(write.trim(now)?)).await
    }
}

impl Write<'_> {
    /// See [`Database::trim`].
    ///
    /// # Errors
    /// Why nothing was removed.
    pub fn trim(&mut self, now: Timestamp) -> Result<u64, Problem> {
        let mut trimmed = 0;
        for table in self.catalog.clone().tables.values().filter(|t| t.has_intervals) {
            let retention = table.kind.stored.as_ref().and_then(|s| s.retention.as_deref()).and_then(retention);
            let Some(before) = retention.and_then(|kept| now.checked_sub(kept).ok()) else { continue };
            let old = "observed_to < ?1 OR (appended = 1 AND observed_from < ?1)";
            let name = &table.sql;
            let indexed = format!("DELETE FROM {name}_fts WHERE rowid IN (SELECT row FROM {name} WHERE {old})");
            self.execute(&indexed, [micros(before)])?;
            let gone = self.execute(&format!("DELETE FROM {name} WHERE {old}"), [micros(before)])?;
            if gone > 0 {
                self.changed_many(&table.type_id);
            }
            trimmed += gone as u64;
        }
        Ok(trimmed)
    }

    /// Since when a section waits for a second collection.
    pub(crate) fn held_since(&self, values: impl rusqlite::Params) -> Result<Option<i64>, Problem> {
        let select = "SELECT observed_at FROM held_section WHERE type = ?1 AND machine = ?2 AND section = ?3";
        let mut statement = self.conn.prepare_cached(select).map_err(sql)?;
        statement.query_row(values, |row| row.get(0)).optional().map_err(sql)
    }
}

/// Rows of the administrator's role belong to no sender.
fn text_of(machine: Option<MachineId>) -> String {
    machine.map(|m| m.to_string()).unwrap_or_default()
}

/// `90d`, `36h`, `2w`.
fn retention(text: &str) -> Option<SignedDuration> {
    let unit = text.chars().next_back()?;
    let number: i64 = text.strip_suffix(unit)?.parse().ok()?;
    let hours = match unit {
        'h' => 1,
        'd' => 24,
        'w' => 24 * 7,
        _ => return None,
    };
    (0..=24 * 366 * 100).contains(&number).then(|| SignedDuration::from_hours(number * hours))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_has_a_unit() {
        assert_eq!(retention("90d"), Some(SignedDuration::from_hours(90 * 24)));
        assert_eq!(retention("36h"), Some(SignedDuration::from_hours(36)));
        for wrong in ["", "d", "90", "-1d", "9m", "é"] {
            assert_eq!(retention(wrong), None, "{wrong}");
        }
    }
}
