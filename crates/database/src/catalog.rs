//! Which table holds which type, and what every name in a query stands for.

use crate::value::Storage;
use indexmap::IndexMap;
use rusqlite::Connection;
use schema::{Field, FieldType, Scope, Type};
use std::collections::{BTreeMap, BTreeSet};

/// Type that machine rows refer to.
pub(crate) const MACHINE_TYPE: &str = "fleet.machine";

/// Every type that can be queried now: the core's, and those of the plugins that are declared.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) tables: BTreeMap<String, Table>,
}

/// Where the rows of one type are. All names of tables and columns are this crate's own.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) type_id: String,
    /// Of a plugin's type; 0 for the core's.
    pub(crate) number: i64,
    pub(crate) sql: String,
    /// Column with the key of a row.
    pub(crate) key: String,
    /// Column with the machine a row belongs to.
    pub(crate) machine: Option<String>,
    pub(crate) kind: Type,
    pub(crate) columns: Vec<Column>,
    /// The table has `row` and `search`, and a text index `<table>_fts`.
    pub(crate) has_text_index: bool,
    /// The table holds intervals of time: a row without `observed_to` is there now.
    pub(crate) has_intervals: bool,
    pub(crate) extensions: Vec<Extension>,
    /// Every name a query may use: own columns, then those of the extensions.
    pub(crate) names: IndexMap<String, Named>,
}

#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) sql: String,
    pub(crate) field: Field,
    pub(crate) storage: Storage,
}

/// A type whose rows are columns of this one.
#[derive(Clone, Debug)]
pub(crate) struct Extension {
    pub(crate) type_id: String,
    pub(crate) sql: String,
    pub(crate) has_history: bool,
}

/// A column as a query sees it.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    /// `name`, or `<plugin>:<name>`.
    pub(crate) full: String,
    /// Name in JSON objects: the bare one where it is free.
    pub(crate) bare: String,
    pub(crate) column: Column,
    /// Index into `extensions`; absent for an own column.
    pub(crate) extension: Option<usize>,
}

impl Catalog {
    /// The core's own types, as far as their tables exist.
    pub(crate) fn core(conn: &Connection) -> rusqlite::Result<Catalog> {
        let manifest = fleet::manifest();
        let mut catalog = Catalog::default();
        for (name, kind) in &manifest.types {
            let table = core_table(conn, &manifest.type_id(name), &format!("fleet_{name}"), kind)?;
            catalog.tables.extend(table.map(|t| (t.type_id.clone(), t)));
        }
        catalog.join_extensions();
        Ok(catalog)
    }

    /// Gives every extensible type the columns of those that extend it, and every table its names.
    pub(crate) fn join_extensions(&mut self) {
        let mut extending: Vec<(String, Table)> = Vec::new();
        for table in self.tables.values() {
            if let Some(extends) = &table.kind.extends {
                extending.push((extends.target.clone(), table.clone()));
            }
        }
        for table in self.tables.values_mut() {
            let joined: Vec<&Table> = extending
                .iter()
                .filter(|(target, _)| *target == table.type_id && table.kind.extend)
                .map(|(_, extension)| extension)
                .collect();
            table.extensions = joined.iter().map(|t| t.as_extension()).collect();
            table.names = table.all_names(&joined);
        }
    }

    /// Types on which the answers of a query over `table` depend.
    pub(crate) fn dependencies<'a>(&'a self, table: &'a Table) -> BTreeSet<&'a str> {
        let own = std::iter::once(table.type_id.as_str());
        let extensions = table.extensions.iter().map(|e| e.type_id.as_str());
        own.chain(extensions).chain(table.names.values().filter_map(|n| n.column.field.target.as_deref())).collect()
    }
}

impl Table {
    pub(crate) fn label(&self) -> &str {
        &self.kind.label
    }

    /// Names that come with every row: the key fields and the label.
    pub(crate) fn always(&self) -> impl Iterator<Item = &str> {
        let machine = (self.kind.scope == Scope::Machine).then_some("machine");
        machine.into_iter().chain(self.kind.key.iter().map(String::as_str)).chain([self.label()])
    }

    /// Own columns and extensions by priority, the core's first where it is equal.
    pub(crate) fn by_priority(&self) -> Vec<&Named> {
        let mut named: Vec<&Named> = self.names.values().collect();
        named.sort_by_key(|n| n.column.field.priority);
        named
    }

    /// The column a query means with `name`: its full name, or the bare one where it is free.
    pub(crate) fn named(&self, name: &str) -> Option<&Named> {
        self.names.get(name).or_else(|| self.names.values().find(|n| n.bare == name))
    }

    fn as_extension(&self) -> Extension {
        Extension {
            type_id: self.type_id.clone(),
            sql: self.sql.clone(),
            has_history: self.kind.stored.as_ref().is_some_and(|s| s.history),
        }
    }

    fn all_names(&self, extensions: &[&Table]) -> IndexMap<String, Named> {
        let mut names = IndexMap::new();
        for column in &self.columns {
            let named =
                Named { full: column.name.clone(), bare: column.name.clone(), column: column.clone(), extension: None };
            names.insert(column.name.clone(), named);
        }
        let offered: Vec<(usize, &str, &Column)> = extensions
            .iter()
            .enumerate()
            .flat_map(|(n, table)| table.offered().map(move |column| (n, table.plugin(), column)))
            .collect();
        for (n, plugin, column) in &offered {
            let bare = &column.name;
            let taken = names.contains_key(bare) || offered.iter().filter(|(_, _, c)| c.name == *bare).count() > 1;
            let full = format!("{plugin}:{bare}");
            let bare = if taken { full.clone() } else { bare.clone() };
            let named = Named { full: full.clone(), bare, column: (*column).clone(), extension: Some(*n) };
            names.insert(full, named);
        }
        names
    }

    /// Columns this type adds to the one it extends.
    fn offered(&self) -> impl Iterator<Item = &Column> {
        let wanted = self.kind.extends.as_ref().map(|e| e.fields.as_slice()).unwrap_or_default();
        let own = self.columns.iter().filter(|c| c.name != "machine");
        own.filter(move |c| wanted.is_empty() || wanted.contains(&c.name))
    }

    fn plugin(&self) -> &str {
        self.type_id.split('.').next().unwrap_or_default()
    }
}

/// A type of the core: table or view `fleet_<type>`, columns by the names of the fields. One whose table is not there, or
/// lacks the key or the label, is not offered.
fn core_table(conn: &Connection, type_id: &str, sql: &str, kind: &Type) -> rusqlite::Result<Option<Table>> {
    let mut statement = conn.prepare("SELECT name FROM pragma_table_xinfo(?1)")?;
    let present: BTreeSet<String> = statement.query_map([sql], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let columns: Vec<Column> = kind
        .fields
        .iter()
        .filter(|(name, _)| present.contains(*name))
        .filter_map(|(name, field)| Column::new(name, format!("\"{name}\""), field))
        .collect();
    let has = |name: &str| columns.iter().any(|c| c.name == name);
    let (Some(key), true) = (kind.key.first().filter(|key| has(key)), has(&kind.label)) else { return Ok(None) };
    let by_machine = kind.fields.get("machine").is_some_and(|f| f.target.as_deref() == Some(MACHINE_TYPE));
    Ok(Some(Table {
        type_id: type_id.to_owned(),
        number: 0,
        sql: sql.to_owned(),
        key: format!("\"{key}\""),
        machine: if type_id == MACHINE_TYPE { Some("id".into()) } else { by_machine.then(|| "machine".into()) },
        kind: kind.clone(),
        columns,
        has_text_index: present.contains("row") && present.contains("search"),
        has_intervals: false,
        extensions: Vec::new(),
        names: IndexMap::new(),
    }))
}

impl Column {
    /// Absent for a field that must never be stored.
    pub(crate) fn new(name: &str, sql: String, field: &Field) -> Option<Column> {
        let storage = Storage::of(field)?;
        Some(Column { name: name.to_owned(), sql, field: field.clone(), storage })
    }

    /// The machine of rows that belong to one.
    pub(crate) fn machine() -> Column {
        let mut field = Field::new("Machine", FieldType::Ref);
        field.target = Some(MACHINE_TYPE.to_owned());
        field.priority = 1;
        field.facet = true;
        Column { name: "machine".into(), sql: "machine".into(), field, storage: Storage::Text }
    }
}
