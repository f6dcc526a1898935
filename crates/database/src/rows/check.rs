//! Whether published rows fit their type, and the key of each.

use crate::catalog::Table;
use crate::rows::MAX_ROWS;
use crate::value::search_text;
use fleet::MachineId;
use rusqlite::types::Value as Sql;
use schema::{Object, Problem, Scope, check_value};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

/// Refused rows that are told one by one.
const MAX_TOLD: usize = 100;
/// Longest key of a row in bytes.
const MAX_KEY: usize = 2048;

/// Rows that fit, and what was wrong with the others.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub(crate) rows: Vec<CheckedRow>,
    pub(crate) refused: Vec<Problem>,
    pub(crate) refused_rows: usize,
    /// Keys of refused rows, as far as they had one.
    pub(crate) refused_keys: BTreeSet<String>,
}

/// A row as it will be stored.
#[derive(Debug)]
pub(crate) struct CheckedRow {
    pub(crate) key: String,
    pub(crate) machine: Option<String>,
    /// In the order of the table's columns, without the machine.
    pub(crate) values: Vec<Sql>,
    pub(crate) digest: [u8; 16],
    pub(crate) search: String,
}

/// Checks `rows` against the type of `table`. `exists` says whether there is a machine.
pub(crate) fn check_rows(
    table: &Table,
    sender: Option<MachineId>,
    rows: &[Object],
    exists: impl Fn(MachineId) -> Result<bool, Problem>,
) -> Result<Checked, Problem> {
    let mut checked = Checked::default();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut known: HashMap<MachineId, bool> = HashMap::new();
    for row in rows.iter().take(MAX_ROWS) {
        let machine = match machine_of(table, sender, row) {
            Ok(Some(id)) if sender.is_none() => {
                let there = match known.get(&id) {
                    Some(there) => *there,
                    None => *known.entry(id).or_insert(exists(id)?),
                };
                there.then_some(Some(id)).ok_or_else(|| Problem::not_found("there is no such machine.").at("machine"))
            }
            other => other,
        };
        let key = machine.as_ref().ok().and_then(|m| key_of(table, *m, row));
        let fits = machine.and_then(|machine| check_row(table, machine, key.as_deref(), row));
        match fits {
            Ok(row) if seen.insert(row.key.clone()) => checked.rows.push(row),
            Ok(row) => checked.refuse(Problem::bad_request("two rows have the same key."), Some(row.key)),
            Err(problem) => checked.refuse(problem, key),
        }
    }
    Ok(checked)
}

impl Checked {
    fn refuse(&mut self, problem: Problem, key: Option<String>) {
        self.refused_rows += 1;
        if self.refused.len() < MAX_TOLD {
            self.refused.push(problem);
        }
        self.refused_keys.extend(key);
    }
}

/// The machine a row belongs to: the sender, and only for the administrator's role what the row says.
fn machine_of(table: &Table, sender: Option<MachineId>, row: &Object) -> Result<Option<MachineId>, Problem> {
    if table.kind.scope == Scope::Site {
        return Ok(None);
    }
    if sender.is_some() {
        return Ok(sender);
    }
    let named = row.get("machine").and_then(Value::as_str).and_then(|text| text.parse().ok());
    let missing = || Problem::bad_request("a row of a machine names it by its id.").at("machine");
    named.map(Some).ok_or_else(missing)
}

fn check_row(
    table: &Table,
    machine: Option<MachineId>,
    key: Option<&str>,
    row: &Object,
) -> Result<CheckedRow, Problem> {
    let of_machine = table.kind.scope == Scope::Machine;
    for name in row.keys().filter(|name| !(of_machine && *name == "machine")) {
        if !table.kind.fields.contains_key(name) {
            let shown: String = schema::neutral_text(name).chars().take(40).collect();
            return Err(Problem::bad_request("the type has no such field.").at(shown));
        }
    }
    let Some(key) = key else {
        let fields = table.kind.key.join(", ");
        return Err(Problem::bad_request("the key of a row is missing.").at(fields));
    };
    if key.len() > MAX_KEY {
        return Err(Problem::bad_request("the key of a row is longer than 2048 bytes.").at(table.kind.key.join(", ")));
    }
    let mut digest = blake3::Hasher::new();
    let mut values = Vec::with_capacity(table.columns.len());
    let mut texts: Vec<String> = Vec::new();
    for column in table.columns.iter().filter(|c| !(of_machine && c.name == "machine")) {
        let value = row.get(&column.name).unwrap_or(&Value::Null);
        check_value(&column.name, &column.field, value)?;
        if !value.is_null() {
            // Absent values do not count, so that a new field does not change every row.
            digest.update(column.name.as_bytes()).update(b"\0").update(value.to_string().as_bytes()).update(b"\0");
        }
        if column.field.search {
            collect_texts(value, &mut texts);
        }
        values.push(column.storage.to_sql(value));
    }
    let mut short = [0; 16];
    short.copy_from_slice(&digest.finalize().as_bytes()[..16]);
    Ok(CheckedRow {
        key: key.to_owned(),
        machine: machine.map(|m| m.to_string()),
        values,
        digest: short,
        search: search_text(texts.iter().map(String::as_str)),
    })
}

fn collect_texts(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Number(number) => texts.push(number.to_string()),
        Value::Array(list) => list.iter().for_each(|one| collect_texts(one, texts)),
        _ => {}
    }
}

/// The opaque key of a row: its machine and its key fields, `/` between them. Absent where a key field is.
fn key_of(table: &Table, machine: Option<MachineId>, row: &Object) -> Option<String> {
    let mut parts: Vec<String> = machine.iter().map(MachineId::to_string).collect();
    for name in &table.kind.key {
        let value = row.get(name)?;
        parts.push(match value {
            Value::String(text) => text.replace('%', "%25").replace('/', "%2F"),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => return None,
        });
    }
    Some(parts.join("/"))
}
