//! References get the labels of what they refer to.

use crate::catalog::{Catalog, Named, Table};
use crate::query::{FacetValue, Rows, sql_failed};
use rusqlite::Connection;
use schema::{Field, FieldType, Problem};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};

/// A page without rows yet.
pub(crate) fn headed(shown: &[&Named]) -> Rows {
    Rows {
        columns: shown.iter().map(|n| n.full.clone()).collect(),
        fields: shown.iter().map(|n| n.column.field.clone()).collect(),
        object_names: shown.iter().map(|n| n.bare.clone()).collect(),
        ..Rows::default()
    }
}

/// Makes `{"id", "label"}` of every reference in `rows`.
pub(crate) fn resolve_references(conn: &Connection, catalog: &Catalog, rows: &mut Rows) -> Result<(), Problem> {
    for (n, field) in rows.fields.iter().enumerate() {
        let Some(target) = target_of(catalog, field) else { continue };
        let mut ids = BTreeSet::new();
        rows.rows.iter().for_each(|row| collect_ids(&row[n], &mut ids));
        let labels = labels(conn, target, &ids)?;
        rows.rows.iter_mut().for_each(|row| label(&mut row[n], &labels));
    }
    Ok(())
}

pub(crate) fn resolve_facets(
    conn: &Connection,
    catalog: &Catalog,
    field: &Field,
    values: &mut [FacetValue],
) -> Result<(), Problem> {
    let Some(target) = target_of(catalog, field) else { return Ok(()) };
    let mut ids = BTreeSet::new();
    values.iter().for_each(|facet| collect_ids(&facet.value, &mut ids));
    let labels = labels(conn, target, &ids)?;
    values.iter_mut().for_each(|facet| label(&mut facet.value, &labels));
    Ok(())
}

/// SQL of what a reference shows: the label of its target, or the id where that is gone.
pub(crate) fn label_sql(catalog: &Catalog, field: &Field, id: &str) -> Option<String> {
    if field.many || field.kind != FieldType::Ref {
        return None;
    }
    let target = target_of(catalog, field)?;
    let label = label_column(target)?;
    let now = if target.has_intervals { " AND l.observed_to IS NULL" } else { "" };
    Some(format!("coalesce((SELECT l.{label} FROM {} l WHERE l.{} = {id}{now}), {id})", target.sql, target.key))
}

fn target_of<'c>(catalog: &'c Catalog, field: &Field) -> Option<&'c Table> {
    let refers = matches!(field.kind, FieldType::Ref | FieldType::Refs);
    field.target.as_deref().filter(|_| refers).and_then(|target| catalog.tables.get(target))
}

fn label_column(target: &Table) -> Option<&str> {
    target.names.get(target.label()).filter(|n| n.extension.is_none()).map(|n| n.column.sql.as_str())
}

fn collect_ids(value: &Value, ids: &mut BTreeSet<String>) {
    match value {
        Value::String(id) => {
            ids.insert(id.clone());
        }
        Value::Array(list) => list.iter().for_each(|one| collect_ids(one, ids)),
        _ => {}
    }
}

fn labels(conn: &Connection, target: &Table, ids: &BTreeSet<String>) -> Result<HashMap<String, String>, Problem> {
    let Some(label) = label_column(target).filter(|_| !ids.is_empty()) else { return Ok(HashMap::new()) };
    let now = if target.has_intervals { " AND observed_to IS NULL" } else { "" };
    let select = format!(
        "SELECT CAST({0} AS TEXT), CAST({label} AS TEXT) FROM {1} WHERE {0} IN (SELECT value FROM json_each(?1)){now}",
        target.key, target.sql
    );
    let wanted = json!(ids).to_string();
    let mut statement = conn.prepare_cached(&select).map_err(sql_failed)?;
    let pair = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, Option<String>>(1)?.unwrap_or_default()));
    statement.query_map([wanted], pair).and_then(Iterator::collect).map_err(sql_failed)
}

fn label(value: &mut Value, labels: &HashMap<String, String>) {
    match value {
        Value::String(id) => {
            let label = labels.get(id).unwrap_or(id);
            *value = json!({"id": id, "label": label});
        }
        Value::Array(list) => list.iter_mut().for_each(|one| label(one, labels)),
        _ => {}
    }
}
