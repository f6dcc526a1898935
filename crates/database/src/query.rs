//! The one query form over stored types.

use crate::access::Access;
use fleet::MachineId;
use schema::{Columns, Field, Object, Problem, Query};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// Whose rows an operator may see. It is part of the statement, never a filter afterwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// A page of the rows of a type.
    ///
    /// # Errors
    /// `not_found` for an unknown type; `bad_request` naming the field, filter or cursor that is wrong.
    pub fn query(&self, type_id: &str, _query: &Query, _scope: &Scope) -> Result<Rows, Problem> {
        Err(self.unknown_type(type_id))
    }

    /// One row by its key.
    ///
    /// # Errors
    /// `not_found` for an unknown type.
    pub fn row(&self, type_id: &str, _key: &str, _scope: &Scope) -> Result<Option<Object>, Problem> {
        Err(self.unknown_type(type_id))
    }

    /// How many rows the query has without its page.
    ///
    /// # Errors
    /// Like [`Access::query`].
    pub fn count(&self, type_id: &str, _query: &Query, _scope: &Scope) -> Result<u64, Problem> {
        Err(self.unknown_type(type_id))
    }

    /// The values of a field with counts, most frequent first (a status by rank), over the rows of the query without
    /// the filters on that same field.
    ///
    /// # Errors
    /// Like [`Access::query`].
    pub fn facets(
        &self,
        type_id: &str,
        _query: &Query,
        _field: &str,
        _scope: &Scope,
    ) -> Result<Vec<FacetValue>, Problem> {
        Err(self.unknown_type(type_id))
    }

    fn unknown_type(&self, type_id: &str) -> Problem {
        let known: Vec<&str> = self.catalog.tables.keys().map(String::as_str).collect();
        Problem::not_found(format!("there is no stored type {type_id}; there are {}.", known.join(", ")))
    }
}
