//! One filter as SQL. It holds where `schema::Op::holds` does, on what the row shows; beyond it, a single value `eq` or
//! `ne` a list asks whether the list has it, and a reference `contains` what its label does.

use crate::query::sql::Sql;
use crate::value::Storage;
use rusqlite::types::Value as SqlValue;
use schema::{Field, FieldType, Filter, Op, Problem};
use serde_json::Value;

/// The column a filter speaks of, as SQL.
pub(crate) struct Subject<'a> {
    pub(crate) sql: &'a str,
    pub(crate) field: &'a Field,
    pub(crate) storage: Storage,
    /// What a reference shows instead of its id.
    pub(crate) label: Option<String>,
}

/// The condition of `filter`, never NULL where it matters: a missing value fulfils only `ne` and `empty`.
pub(crate) fn condition(subject: &Subject<'_>, filter: &Filter) -> Result<Sql, Problem> {
    match filter.op {
        Op::Empty => Ok(empty(subject)),
        Op::Contains | Op::Prefix => contains(subject, filter),
        Op::In => one_of(subject, filter),
        Op::Eq | Op::Ne if filter.value.is_null() => {
            let is = if filter.op == Op::Eq { "IS NULL" } else { "IS NOT NULL" };
            Ok(Sql::new(format!("{} {is}", subject.sql)))
        }
        Op::Eq => equal(subject, filter),
        Op::Ne => {
            let mut not = Sql::new("NOT coalesce((");
            not.push(equal(subject, filter)?);
            not.push_text("), 0)");
            Ok(not)
        }
        Op::Lt => ordered(subject, filter, "<"),
        Op::Le => ordered(subject, filter, "<="),
        Op::Gt => ordered(subject, filter, ">"),
        Op::Ge => ordered(subject, filter, ">="),
    }
}

fn empty(subject: &Subject<'_>) -> Sql {
    let x = subject.sql;
    Sql::new(match subject.storage {
        Storage::Text => format!("{x} IS NULL OR {x} = ''"),
        Storage::Json => format!("{x} IS NULL OR {x} IN ('[]', '\"\"')"),
        _ => format!("{x} IS NULL"),
    })
}

fn equal(subject: &Subject<'_>, filter: &Filter) -> Result<Sql, Problem> {
    let x = subject.sql;
    if subject.storage == Storage::Json {
        let is_list = subject.field.many || matches!(subject.field.kind, FieldType::Tags | FieldType::Refs);
        if is_list && !filter.value.is_array() {
            let one = scalar(&filter.value).ok_or_else(|| unfit(filter, "a single value"))?;
            return Ok(Sql::with(format!("EXISTS (SELECT 1 FROM json_each({x}) WHERE value = ?)"), one));
        }
        return Ok(Sql::with(format!("{x} = ?"), SqlValue::Text(filter.value.to_string())));
    }
    Ok(Sql::with(format!("{x} = ? COLLATE BINARY"), fitting(subject, filter, &filter.value)?))
}

fn ordered(subject: &Subject<'_>, filter: &Filter, op: &str) -> Result<Sql, Problem> {
    match subject.storage {
        Storage::Json | Storage::Bool => Err(unfit(filter, "a field that has an order")),
        _ => {
            let value = fitting(subject, filter, &filter.value)?;
            Ok(Sql::with(format!("{} {op} ? COLLATE BINARY", subject.sql), value))
        }
    }
}

fn one_of(subject: &Subject<'_>, filter: &Filter) -> Result<Sql, Problem> {
    let list = filter.value.as_array().ok_or_else(|| unfit(filter, "a list of values"))?;
    let x = subject.sql;
    let mut wanted = Vec::with_capacity(list.len());
    for value in list.iter().filter(|v| !v.is_null()) {
        let value =
            if subject.storage == Storage::Json { scalar(value) } else { Some(fitting(subject, filter, value)?) };
        wanted.extend(value.and_then(|v| plain(&v)));
    }
    let values = SqlValue::Text(Value::from(wanted).to_string());
    let mut any = vec![match subject.storage {
        Storage::Json => {
            let found = format!(
                "EXISTS (SELECT 1 FROM json_each({x}) WHERE json_type({x}) <> 'object'
                 AND value IN (SELECT value FROM json_each(?)))"
            );
            Sql::with(found, values)
        }
        _ => Sql::with(format!("{x} IN (SELECT value FROM json_each(?))"), values),
    }];
    if list.iter().any(Value::is_null) {
        any.push(Sql::new(format!("{x} IS NULL")));
    }
    Ok(Sql::any(any))
}

fn contains(subject: &Subject<'_>, filter: &Filter) -> Result<Sql, Problem> {
    let part = filter.value.as_str().ok_or_else(|| unfit(filter, "a text"))?.to_lowercase();
    let test = if filter.op == Op::Prefix { "= 1" } else { "> 0" };
    let x = subject.label.as_deref().unwrap_or(subject.sql);
    let part = SqlValue::Text(part);
    match subject.storage {
        Storage::Text => Ok(Sql::with(format!("instr(fold({x}), ?) {test}"), part)),
        Storage::Json => Ok(Sql::with(
            format!(
                "EXISTS (SELECT 1 FROM json_each({x}) WHERE json_type({x}) <> 'object' AND type = 'text'
                 AND instr(fold(value), ?) {test})"
            ),
            part,
        )),
        _ => Err(unfit(filter, "a field of texts")),
    }
}

/// The value as the column keeps it. Numbers, times and truths may come as text, as they do from a command line.
fn fitting(subject: &Subject<'_>, filter: &Filter, value: &Value) -> Result<SqlValue, Problem> {
    let read = match (subject.storage, value) {
        (Storage::Number, Value::String(text)) => text.trim().parse::<serde_json::Number>().ok().map(Value::Number),
        (Storage::Bool, Value::String(text)) => text.trim().parse().ok().map(Value::Bool),
        _ => Some(value.clone()),
    };
    let stored = read.map_or(SqlValue::Null, |value| subject.storage.to_sql(&value));
    let expected = match subject.storage {
        Storage::Number => "a number",
        Storage::Bool => "true or false",
        Storage::Time => "a time as in 2026-01-31T12:00:00Z",
        Storage::Text | Storage::Json => "a text",
    };
    if stored == SqlValue::Null { Err(unfit(filter, expected)) } else { Ok(stored) }
}

fn scalar(value: &Value) -> Option<SqlValue> {
    match value {
        Value::String(text) => Some(SqlValue::Text(text.clone())),
        Value::Bool(truth) => Some(SqlValue::Integer(i64::from(*truth))),
        Value::Number(_) => Some(Storage::Number.to_sql(value)),
        _ => None,
    }
}

fn plain(value: &SqlValue) -> Option<Value> {
    match value {
        SqlValue::Integer(n) => Some(Value::from(*n)),
        SqlValue::Real(n) => Some(Value::from(*n)),
        SqlValue::Text(text) => Some(Value::from(text.as_str())),
        _ => None,
    }
}

fn unfit(filter: &Filter, expected: &str) -> Problem {
    let op = serde_json::to_value(filter.op).unwrap_or_default();
    let op = op.as_str().unwrap_or_default();
    let shown: String = schema::neutral_text(&filter.value.to_string()).chars().take(60).collect();
    Problem::bad_request(format!("{op} needs {expected} here, not {shown}.")).at(filter.field.clone())
}
