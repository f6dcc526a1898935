//! The one query form over stored types: each query becomes one or two SQL statements with bound parameters.

mod cursor;
mod filter;
mod output;
mod plan;
mod search;
mod sql;

use crate::access::Access;
use crate::cache::Key;
use crate::catalog::{Catalog, Named, Table};
use crate::error;
use crate::value::Storage;
use fleet::MachineId;
use plan::Plan;
use schema::{Columns, Field, MAX_LIMIT, Object, Problem, Query};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Most values of one facet.
const MAX_FACET_VALUES: u32 = 200;

/// Whose rows an operator may see. It is part of the statement, never a filter afterwards.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Scope {
    #[default]
    Everything,
    /// Rows of these machines, and rows of the site.
    Machines(BTreeSet<MachineId>),
}

/// A page of rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Own fields by name, those of extensions as `<plugin>:<field>`.
    pub columns: Vec<String>,
    /// What each column is.
    pub fields: Vec<Field>,
    /// Names of the columns in objects: an extension's bare name where it is free.
    pub object_names: Vec<String>,
    pub rows: Vec<Vec<Value>>,
    /// Opaque key of each row, as in `Query::page`, addresses and patches.
    pub keys: Vec<String>,
    /// Cursor of the next page.
    pub next: Option<String>,
}

/// How many rows have one value of a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FacetValue {
    /// As in rows: a reference has an id and a label.
    pub value: Value,
    pub count: u64,
}

impl Rows {
    /// The rows as objects.
    pub fn objects(&self) -> Vec<Object> {
        let object = |row: &Vec<Value>| self.object_names.iter().cloned().zip(row.iter().cloned()).collect();
        self.rows.iter().map(object).collect()
    }

    pub fn into_columns(self) -> Columns {
        Columns { columns: self.columns, rows: self.rows, next: self.next }
    }
}

impl<Mode> Access<'_, Mode> {
    /// A page of the rows of a type; with `group`, its values and how many rows have each.
    ///
    /// # Errors
    /// `not_found` for an unknown type; `bad_request` naming the field, filter or cursor that is wrong.
    pub fn query(&self, type_id: &str, query: &Query, scope: &Scope) -> Result<Rows, Problem> {
        let catalog = self.catalog.clone();
        let table = catalog.table(type_id)?;
        if let Some(field) = &query.group {
            return self.groups(&catalog, table, query, field, scope);
        }
        let plan = Plan::new(&catalog, table, query, scope)?;
        let shown = shown(table, query)?;
        let mut rows = output::headed(&shown);
        let limit = query.page.limit.unwrap_or(schema::DEFAULT_LIMIT).clamp(1, MAX_LIMIT) as usize;
        rows.next = plan.page(self.conn, &shown, query.page.after.as_deref(), limit, &mut rows)?;
        output::resolve_references(self.conn, &catalog, &mut rows)?;
        Ok(rows)
    }

    /// One row by its key, with every field.
    ///
    /// # Errors
    /// `not_found` for an unknown type.
    pub fn row(&self, type_id: &str, key: &str, scope: &Scope) -> Result<Option<Object>, Problem> {
        let catalog = self.catalog.clone();
        let table = catalog.table(type_id)?;
        Ok(self.rows_by_key(type_id, &[key.to_owned()], &table.all_fields(), scope)?.objects().pop())
    }

    /// The rows with these keys (at most [`MAX_LIMIT`]), with these fields; those that are gone are left out.
    ///
    /// # Errors
    /// `not_found` for an unknown type, `bad_request` for an unknown field.
    pub fn rows_by_key(
        &self,
        type_id: &str,
        keys: &[String],
        fields: &[String],
        scope: &Scope,
    ) -> Result<Rows, Problem> {
        let catalog = self.catalog.clone();
        let table = catalog.table(type_id)?;
        let query = Query { fields: Some(fields.to_vec()), ..Query::default() };
        let mut plan = Plan::new(&catalog, table, &query, scope)?;
        plan.only_keys(keys);
        let shown = shown(table, &query)?;
        let mut rows = output::headed(&shown);
        plan.page(self.conn, &shown, None, MAX_LIMIT as usize, &mut rows)?;
        output::resolve_references(self.conn, &catalog, &mut rows)?;
        Ok(rows)
    }

    /// How many rows the query has without its page.
    ///
    /// # Errors
    /// Like [`Access::query`].
    pub fn count(&self, type_id: &str, query: &Query, scope: &Scope) -> Result<u64, Problem> {
        let catalog = self.catalog.clone();
        let table = catalog.table(type_id)?;
        let key = Key::new("count", type_id, query, scope);
        let counted = self.cached(&catalog, table, key, || {
            let plan = Plan::new(&catalog, table, query, scope)?;
            Ok(Value::from(plan.count(self.conn)?))
        })?;
        Ok(counted.as_u64().unwrap_or(0))
    }

    /// The values of a field with counts over the rows of the query, without the filters on that same field. A status
    /// or enum comes in the order of its meaning, everything else the most frequent first.
    ///
    /// # Errors
    /// Like [`Access::query`].
    pub fn facets(&self, type_id: &str, query: &Query, field: &str, scope: &Scope) -> Result<Vec<FacetValue>, Problem> {
        let catalog = self.catalog.clone();
        let table = catalog.table(type_id)?;
        let named = named(table, field)?;
        let mut others = query.clone();
        others.filters.retain(|filter| table.named(&filter.field).is_none_or(|n| n.full != named.full));
        self.facet_values(&catalog, table, &others, named, scope)
    }

    fn facet_values(
        &self,
        catalog: &Catalog,
        table: &Table,
        query: &Query,
        named: &Named,
        scope: &Scope,
    ) -> Result<Vec<FacetValue>, Problem> {
        let key = Key::new(&format!("facet {}", named.full), &table.type_id, query, scope);
        let values = self.cached(catalog, table, key, || {
            let plan = Plan::new(catalog, table, query, scope)?;
            let mut values = plan.facets(self.conn, named, MAX_FACET_VALUES)?;
            output::resolve_facets(self.conn, catalog, &named.column.field, &mut values)?;
            serde_json::to_value(values).map_err(|e| Problem::internal(e.to_string()))
        })?;
        serde_json::from_value(values).map_err(|e| Problem::internal(e.to_string()))
    }

    fn groups(
        &self,
        catalog: &Catalog,
        table: &Table,
        query: &Query,
        field: &str,
        scope: &Scope,
    ) -> Result<Rows, Problem> {
        let named = named(table, field)?;
        let values = self.facet_values(catalog, table, query, named, scope)?;
        let mut rows = output::headed(&[named]);
        rows.columns.push("count".into());
        rows.object_names.push("count".into());
        rows.fields.push(Field::new("Count", schema::FieldType::Int));
        for facet in values {
            let id = facet.value.get("id").unwrap_or(&facet.value);
            rows.keys.push(id.as_str().map_or_else(|| id.to_string(), str::to_owned));
            rows.rows.push(vec![facet.value, Value::from(facet.count)]);
        }
        Ok(rows)
    }

    /// An answer that holds until one of the types it depends on changes. Inside a transaction nothing is remembered.
    fn cached(
        &self,
        catalog: &Catalog,
        table: &Table,
        key: Key,
        compute: impl FnOnce() -> Result<Value, Problem>,
    ) -> Result<Value, Problem> {
        match &self.cache {
            Some(cache) if table.is_counted_here() => {
                let version = cache.version(catalog.dependencies(table));
                cache.get_or_compute(key, version, compute)
            }
            _ => compute(),
        }
    }
}

impl Catalog {
    fn table(&self, type_id: &str) -> Result<&Table, Problem> {
        self.tables.get(type_id).ok_or_else(|| {
            let known: Vec<&str> = self.tables.keys().map(String::as_str).collect();
            let shown: String = schema::neutral_text(type_id).chars().take(80).collect();
            Problem::not_found(format!("there is no stored type {shown}; there are {}.", known.join(", ")))
        })
    }
}

impl Table {
    fn all_fields(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    /// Rows that only this process changes, so that counting its own commits is enough.
    fn is_counted_here(&self) -> bool {
        self.has_intervals || self.has_text_index
    }
}

/// The columns a query asks for: the key and the label always, then what it names, or everything by priority.
fn shown<'t>(table: &'t Table, query: &Query) -> Result<Vec<&'t Named>, Problem> {
    let mut shown: Vec<&Named> = Vec::new();
    let mut add = |named: &'t Named| {
        if !shown.iter().any(|s| s.full == named.full) {
            shown.push(named);
        }
    };
    match &query.fields {
        Some(fields) => {
            let wanted: Vec<&Named> = fields.iter().map(|f| named(table, f)).collect::<Result<_, _>>()?;
            let missing = table.always().filter_map(|name| table.names.get(name));
            missing.filter(|m| !wanted.iter().any(|w| w.full == m.full)).for_each(&mut add);
            wanted.into_iter().for_each(&mut add);
        }
        None => table.by_priority().into_iter().for_each(&mut add),
    }
    Ok(shown)
}

fn named<'t>(table: &'t Table, name: &str) -> Result<&'t Named, Problem> {
    table.named(name).ok_or_else(|| {
        let known: Vec<&str> = table.names.values().map(|n| n.bare.as_str()).collect();
        let shown: String = schema::neutral_text(name).chars().take(80).collect();
        Problem::bad_request(format!("{} has no field {shown}.", table.type_id))
            .at(shown)
            .fix(format!("Use one of {}.", known.join(", ")))
    })
}

/// Whether rows may be ordered by a column.
fn is_sortable(named: &Named) -> bool {
    named.column.storage != Storage::Json && named.column.field.kind.is_sortable()
}

fn sql_failed(error: rusqlite::Error) -> Problem {
    error::sql(error)
}

/// Shared by readers: answers that stay true until a commit.
pub(crate) type SharedCache = Arc<crate::cache::Cache>;
