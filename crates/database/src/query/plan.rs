//! A query as SQL: what it is read from, which rows, in which order, from where on.
//!
//! Missing values come last in either direction, so a page is read in two steps: rows that have the first sort value,
//! which an index on it can drive even when it is a column of an extension, and then those that lack it.

use crate::catalog::{Catalog, Named, Table};
use crate::query::cursor::Cursor;
use crate::query::filter::{self, Subject};
use crate::query::output::label_sql;
use crate::query::sql::Sql;
use crate::query::{FacetValue, Rows, Scope, is_sortable, named, search, sql_failed};
use crate::value::{Storage, micros};
use jiff::Timestamp;
use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, Row, params_from_iter};
use schema::{FieldType, Filter, Op, Problem, Query};
use serde_json::Value;
use std::collections::BTreeSet;

const MAX_SORTS: usize = 4;
const MAX_FILTERS: usize = 50;

pub(crate) struct Plan<'t> {
    table: &'t Table,
    /// Moment in microseconds for a question about the past.
    at: Option<i64>,
    conditions: Vec<Sql>,
    /// Extensions the conditions speak of.
    joined: BTreeSet<usize>,
    sorts: Vec<Sort>,
    /// Digest of everything but page and fields.
    shape: String,
}

/// The field that stands for the opaque key of a row in a filter.
const KEY: &str = "$key";

struct Sort {
    sql: Sql,
    descending: bool,
    collate: &'static str,
    extension: Option<usize>,
    /// Rows without the extension have a value too, so that it cannot be read from the extension's side.
    has_absent: bool,
}

impl<'t> Plan<'t> {
    pub(crate) fn new(
        catalog: &'t Catalog,
        table: &'t Table,
        query: &Query,
        scope: &Scope,
    ) -> Result<Plan<'t>, Problem> {
        let at = moment(table, query)?;
        let shape = shape(table, query, scope);
        let mut plan = Plan { table, at, conditions: Vec::new(), joined: BTreeSet::new(), sorts: Vec::new(), shape };
        plan.conditions.extend(plan.now(
            "b",
            table.has_intervals,
            table.kind.stored.as_ref().is_some_and(|s| s.history),
        ));
        plan.conditions.extend(in_scope(table, scope));
        if query.filters.len() > MAX_FILTERS {
            return Err(Problem::bad_request("a query has at most 50 filters.").at("where"));
        }
        for filter in &query.filters {
            if filter.field == KEY {
                plan.only_keys(&keys(filter)?);
                continue;
            }
            let named = named(table, &filter.field)?;
            plan.joined.extend(named.extension);
            let sql = column_sql(named);
            let label = label_sql(catalog, &named.column.field, &sql);
            let subject = Subject { sql: &sql, field: &named.column.field, storage: named.column.storage, label };
            plan.conditions.push(filter::condition(&subject, filter)?);
        }
        if let Some(q) = &query.q {
            let extension = |e: &crate::catalog::Extension, alias: &str| Sql::all(plan.now(alias, true, e.has_history));
            let words = search::condition(table, q, at.is_some(), extension)?;
            plan.conditions.extend(words);
        }
        if query.sort.len() > MAX_SORTS {
            return Err(Problem::bad_request("rows are ordered by at most 4 fields.").at("sort"));
        }
        for name in &query.sort {
            plan.sorts.push(sort(catalog, table, name)?);
        }
        Ok(plan)
    }

    pub(crate) fn only_keys(&mut self, keys: &[String]) {
        let list = SqlValue::Text(Value::from(keys.to_vec()).to_string());
        let one_of = format!("b.{} IN (SELECT value FROM json_each(?))", self.table.key);
        self.conditions.push(Sql::with(one_of, list));
    }

    pub(crate) fn count(&self, conn: &Connection) -> Result<u64, Problem> {
        let mut statement = Sql::new("SELECT count(*) FROM ");
        statement.push(self.from(&self.joined, None));
        statement.push_text(" WHERE ");
        statement.push(Sql::all(self.conditions.clone()));
        let mut prepared = conn.prepare_cached(&statement.text).map_err(sql_failed)?;
        prepared.query_row(params_from_iter(statement.values), |row| row.get(0)).map_err(sql_failed)
    }

    pub(crate) fn facets(&self, conn: &Connection, named: &Named, limit: u32) -> Result<Vec<FacetValue>, Problem> {
        let mut joined = self.joined.clone();
        joined.extend(named.extension);
        let column = column_sql(named);
        let field = &named.column.field;
        let is_list = named.column.storage == Storage::Json;
        if is_list && !field.many && !matches!(field.kind, FieldType::Tags | FieldType::Refs) {
            return Err(Problem::bad_request("rows cannot be counted by the values of this field.").at(&named.full));
        }
        let value = if is_list { "j.value" } else { column.as_str() };
        let mut statement = Sql::new(format!("SELECT {value} AS v, count(*) AS n FROM "));
        statement.push(self.from(&joined, None));
        if is_list {
            statement.push_text(&format!(", json_each({column}) j"));
        }
        statement.push_text(" WHERE ");
        statement.push(Sql::all(self.conditions.clone()));
        statement.push_text(" GROUP BY v ORDER BY n DESC, v LIMIT ?");
        statement.values.push(SqlValue::Integer(i64::from(limit)));
        let mut prepared = conn.prepare_cached(&statement.text).map_err(sql_failed)?;
        let storage = if is_list { Storage::Text } else { named.column.storage };
        let facet = |row: &Row<'_>| Ok(FacetValue { value: storage.to_json(row.get_ref(0)?), count: row.get(1)? });
        let found = prepared.query_map(params_from_iter(statement.values), facet);
        let mut values: Vec<FacetValue> = found.and_then(Iterator::collect).map_err(sql_failed)?;
        if !field.values.is_empty() {
            values.sort_by_key(|f| f.value.as_str().and_then(|v| field.values.get(v)).map_or(u16::MAX, |v| v.rank));
        }
        Ok(values)
    }

    /// Reads a page into `rows` and says where the next one begins.
    pub(crate) fn page(
        &self,
        conn: &Connection,
        shown: &[&Named],
        after: Option<&str>,
        limit: usize,
        rows: &mut Rows,
    ) -> Result<Option<String>, Problem> {
        let cursor = after.map(|text| Cursor::decode(text, &self.shape, self.sorts.len())).transpose()?;
        let steps: &[bool] = match &cursor {
            _ if self.sorts.is_empty() => &[false],
            Some(cursor) if cursor.in_nulls => &[true],
            _ => &[false, true],
        };
        let mut last = None;
        for in_nulls in steps {
            let cursor = cursor.as_ref().filter(|c| c.in_nulls == *in_nulls);
            let left = limit - rows.rows.len();
            // One more than the page tells whether there is a next one.
            let statement = self.select(shown, cursor, *in_nulls, left + 1);
            let mut prepared = conn.prepare_cached(&statement.text).map_err(sql_failed)?;
            let mut found = prepared.query(params_from_iter(statement.values)).map_err(sql_failed)?;
            while let Some(row) = found.next().map_err(sql_failed)? {
                if rows.rows.len() == limit {
                    return Ok(last);
                }
                let (values, key, place) = self.read(shown, *in_nulls, row).map_err(sql_failed)?;
                rows.rows.push(values);
                rows.keys.push(key);
                last = Some(place.encode());
            }
        }
        Ok(None)
    }

    fn read(&self, shown: &[&Named], in_nulls: bool, row: &Row<'_>) -> rusqlite::Result<(Vec<Value>, String, Cursor)> {
        let value = |(n, named): (usize, &&Named)| Ok(named.column.storage.to_json(row.get_ref(n)?));
        let values = shown.iter().enumerate().map(value).collect::<rusqlite::Result<Vec<Value>>>()?;
        let key: SqlValue = row.get(shown.len())?;
        let first_sort = shown.len() + 1;
        let sorts =
            (0..self.sorts.len()).map(|n| row.get(first_sort + n)).collect::<rusqlite::Result<Vec<SqlValue>>>()?;
        let text = match &key {
            SqlValue::Text(text) => text.clone(),
            SqlValue::Integer(number) => number.to_string(),
            _ => String::new(),
        };
        Ok((values, text, Cursor::new(&self.shape, in_nulls, &sorts, &key)))
    }

    fn select(&self, shown: &[&Named], cursor: Option<&Cursor>, in_nulls: bool, limit: usize) -> Sql {
        let mut joined = self.joined.clone();
        joined.extend(shown.iter().filter_map(|n| n.extension));
        joined.extend(self.sorts.iter().filter_map(|s| s.extension));
        let driver = self.sorts.first().filter(|sort| !in_nulls && !sort.has_absent).and_then(|sort| sort.extension);
        let key = match driver {
            Some(n) => format!("e{n}.key"),
            None => format!("b.{}", self.table.key),
        };
        let mut statement = Sql::new("SELECT * FROM (SELECT ");
        for (n, named) in shown.iter().enumerate() {
            statement.push_text(&format!("{} AS v{n}, ", column_sql(named)));
        }
        statement.push_text(&format!("{key} AS k"));
        for (n, sort) in self.sorts.iter().enumerate() {
            statement.push_text(", ");
            statement.push(sort.sql.clone());
            statement.push_text(&format!(" AS s{n}"));
        }
        statement.push_text(" FROM ");
        statement.push(self.from(&joined, driver));
        statement.push_text(" WHERE ");
        statement.push(Sql::all(self.conditions.clone()));
        statement.push_text(") WHERE ");
        statement.push(self.beginning_at(cursor, in_nulls));
        statement.push_text(" ORDER BY ");
        statement.push_text(&self.order(in_nulls));
        statement.push_text(" LIMIT ?");
        statement.values.push(SqlValue::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
        statement
    }

    fn order(&self, in_nulls: bool) -> String {
        let mut terms = Vec::new();
        for (n, sort) in self.sorts.iter().enumerate().skip(usize::from(in_nulls)) {
            if n > 0 {
                terms.push(format!("s{n} IS NULL"));
            }
            terms.push(format!("s{n}{}{}", sort.collate, if sort.descending { " DESC" } else { "" }));
        }
        terms.push(if self.key_descends() { "k DESC".into() } else { "k".into() });
        terms.join(", ")
    }

    /// The key goes the way of the last field, so that one index serves both.
    fn key_descends(&self) -> bool {
        self.sorts.last().is_some_and(|s| s.descending)
    }

    /// Rows of this step that come after the cursor.
    fn beginning_at(&self, cursor: Option<&Cursor>, in_nulls: bool) -> Sql {
        let mut all = Vec::new();
        if !self.sorts.is_empty() {
            all.push(Sql::new(if in_nulls { "s0 IS NULL" } else { "s0 IS NOT NULL" }));
        }
        if let Some(cursor) = cursor {
            let skip = usize::from(in_nulls);
            if let (Some(first), false) = (self.sorts.first(), in_nulls) {
                // Redundant with what follows, but a range that an index can begin at.
                let from = if first.descending { "<=" } else { ">=" };
                all.push(Sql::with(format!("s0{} {from} ?", first.collate), cursor.sort(0)));
            }
            all.push(self.after(cursor, skip));
        }
        Sql::all(all)
    }

    /// `(s_n, s_n+1, …, k)` after the cursor's, missing values last.
    fn after(&self, cursor: &Cursor, n: usize) -> Sql {
        let Some(sort) = self.sorts.get(n) else {
            let beyond = if self.key_descends() { "k < ?" } else { "k > ?" };
            return Sql::with(beyond, cursor.key());
        };
        let rest = self.after(cursor, n + 1);
        let value = cursor.sort(n);
        if value == SqlValue::Null {
            return Sql::all(vec![Sql::new(format!("s{n} IS NULL")), rest]);
        }
        let beyond = if sort.descending { "<" } else { ">" };
        let same = Sql::with(format!("s{n}{} = ?", sort.collate), value.clone());
        let mut any = vec![Sql::with(format!("s{n}{} {beyond} ?", sort.collate), value)];
        if n > 0 {
            any.push(Sql::new(format!("s{n} IS NULL")));
        }
        any.push(Sql::all(vec![same, rest]));
        Sql::any(any)
    }

    /// The base table `b` and extensions `e<n>`; with a driver, read from that extension's side.
    fn from(&self, joined: &BTreeSet<usize>, driver: Option<usize>) -> Sql {
        let base = &self.table.sql;
        let mut from = Sql::default();
        match driver {
            Some(n) => {
                from.push_text(&format!(
                    "{} e{n} CROSS JOIN {base} b ON b.{} = e{n}.key",
                    self.table.extensions[n].sql, self.table.key
                ));
                from.push(self.and_now(n));
            }
            None => from.push_text(&format!("{base} b")),
        }
        for n in joined.iter().filter(|n| Some(**n) != driver) {
            let name = &self.table.extensions[*n].sql;
            from.push_text(&format!(" LEFT JOIN {name} e{n} ON e{n}.key = b.{}", self.table.key));
            from.push(self.and_now(*n));
        }
        from
    }

    fn and_now(&self, extension: usize) -> Sql {
        let mut and = Sql::new(" AND ");
        let has_history = self.table.extensions[extension].has_history;
        and.push(Sql::all(self.now(&format!("e{extension}"), true, has_history)));
        and
    }

    /// Which rows of a table with intervals are meant: those of now, or of then where there is history.
    fn now(&self, alias: &str, has_intervals: bool, has_history: bool) -> Vec<Sql> {
        match self.at {
            _ if !has_intervals => Vec::new(),
            Some(at) if has_history => {
                let then =
                    format!("{alias}.observed_from <= ? AND ({alias}.observed_to IS NULL OR {alias}.observed_to > ?)");
                vec![Sql { text: then, values: vec![SqlValue::Integer(at), SqlValue::Integer(at)] }]
            }
            _ => vec![Sql::new(format!("{alias}.observed_to IS NULL"))],
        }
    }
}

/// A column as it is shown: that of an extension may have a value for rows without one.
fn column_sql(named: &Named) -> String {
    let column = &named.column;
    match (named.extension, &column.field.absent) {
        (Some(n), Some(absent)) => format!("COALESCE(e{n}.{}, '{}')", column.sql, absent.replace('\'', "''")),
        (Some(n), None) => format!("e{n}.{}", column.sql),
        (None, _) => format!("b.{}", column.sql),
    }
}

fn in_scope(table: &Table, scope: &Scope) -> Option<Sql> {
    let (Scope::Machines(machines), Some(column)) = (scope, &table.machine) else { return None };
    let list = Value::from(machines.iter().map(ToString::to_string).collect::<Vec<_>>()).to_string();
    let condition = format!("b.{column} IS NULL OR b.{column} IN (SELECT value FROM json_each(?))");
    Some(Sql::with(condition, SqlValue::Text(list)))
}

fn moment(table: &Table, query: &Query) -> Result<Option<i64>, Problem> {
    let Some(at) = &query.at else { return Ok(None) };
    if !table.kind.stored.as_ref().is_some_and(|s| s.history) {
        let message = format!("{} keeps no history.", table.type_id);
        return Err(Problem::bad_request(message).at("at").fix("Leave out `at`."));
    }
    let wrong = || Problem::bad_request("expected a time as in 2026-01-31T12:00:00Z.").at("at");
    Ok(Some(micros(at.parse::<Timestamp>().map_err(|_| wrong())?)))
}

fn sort(catalog: &Catalog, table: &Table, name: &str) -> Result<Sort, Problem> {
    let (name, descending) = name.strip_prefix('-').map_or((name, false), |name| (name, true));
    let named = named(table, name)?;
    if !is_sortable(named) {
        return Err(Problem::bad_request("rows cannot be ordered by this field.").at(name));
    }
    let column = column_sql(named);
    let field = &named.column.field;
    let collate = if named.column.storage == Storage::Text { " COLLATE NOCASE" } else { "" };
    let ranked = !field.values.is_empty() && matches!(field.kind, FieldType::Status | FieldType::Enum);
    let (sql, collate) = if ranked {
        (rank(&column, field), "")
    } else {
        (Sql::new(label_sql(catalog, field, &column).unwrap_or(column)), collate)
    };
    let has_absent = field.absent.is_some();
    Ok(Sort { sql, descending, collate, extension: named.extension, has_absent })
}

/// The rank of a status; unknown values come after the known ones.
fn rank(column: &str, field: &schema::Field) -> Sql {
    let mut case = Sql::new(format!("CASE WHEN {column} IS NULL THEN NULL"));
    for (value, meaning) in &field.values {
        case.push(Sql::with(format!(" WHEN {column} = ? THEN {}", meaning.rank), SqlValue::Text(value.clone())));
    }
    case.push_text(" ELSE 65536 END");
    case
}

fn shape(table: &Table, query: &Query, scope: &Scope) -> String {
    let parts = serde_json::json!([table.type_id, query.q, query.filters, query.sort, query.at, scope]);
    blake3::hash(parts.to_string().as_bytes()).to_hex()[..16].to_owned()
}

/// The keys a filter on [`KEY`] wants: one, or a list of them.
fn keys(filter: &Filter) -> Result<Vec<String>, Problem> {
    let wanted = match (filter.op, &filter.value) {
        (Op::Eq, Value::String(key)) => Some(vec![key.clone()]),
        (Op::In, Value::Array(list)) => list.iter().map(|key| key.as_str().map(str::to_owned)).collect(),
        _ => None,
    };
    wanted
        .ok_or_else(|| Problem::bad_request("a key is compared with eq and a text, or in and a list of texts.").at(KEY))
}
