//! Reads a [`Query`] from the address of a view. A parameter that is none of the reserved ones is a filter on the
//! field of that name, so that `?status=online` does what it looks like.

use schema::{Filter, Op, Page, Problem, Query};
use serde_json::Value;

/// A view's address, read.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ViewRequest {
    pub(super) query: Query,
    /// Only the row with this key.
    pub(super) key: Option<String>,
    pub(super) csv: bool,
    /// Fields of a facets request.
    pub(super) facets: Vec<String>,
}

/// Reads the part of an address after `?`.
///
/// # Errors
/// `bad_request` at the parameter that cannot be read.
pub(super) fn read(query: Option<&str>, reads_facets: bool) -> Result<ViewRequest, Problem> {
    let mut request = ViewRequest::default();
    for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if value.contains('\0') {
            return Err(Problem::bad_request("a NUL byte cannot be looked for.").at(&*name));
        }
        one(&mut request, &name, &value, reads_facets).map_err(|problem| match problem.field {
            Some(_) => problem,
            None => problem.at(&*name),
        })?;
    }
    Ok(request)
}

fn one(request: &mut ViewRequest, name: &str, value: &str, reads_facets: bool) -> Result<(), Problem> {
    let query = &mut request.query;
    match name {
        "q" => query.q = Some(value.to_owned()).filter(|q| !q.trim().is_empty()),
        "where" => query.filters.extend(json::<Vec<Filter>>(value, "a list of {field, op, value}")?),
        "sort" => query.sort = list(value),
        "limit" => query.page.limit = Some(limit(value)?),
        "after" => query.page = Page { after: Some(value.to_owned()), ..query.page.clone() },
        "fields" if reads_facets => request.facets = list(value),
        "fields" => query.fields = Some(list(value)),
        "group" => query.group = Some(value.to_owned()),
        "at" => query.at = Some(time(value)?),
        "params" => query.params = json(value, "an object")?,
        "key" => request.key = Some(value.to_owned()),
        "format" => match value {
            "csv" => request.csv = true,
            "json" => request.csv = false,
            _ => return Err(Problem::bad_request("the format is json or csv.")),
        },
        field => query.filters.push(Filter { field: field.to_owned(), op: Op::Eq, value: scalar(value) }),
    }
    Ok(())
}

fn list(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn limit(value: &str) -> Result<u32, Problem> {
    match value.parse() {
        Ok(limit) if (1..=schema::MAX_LIMIT).contains(&limit) => Ok(limit),
        _ => Err(Problem::bad_request(format!("a limit is a number from 1 to {}.", schema::MAX_LIMIT))),
    }
}

fn time(value: &str) -> Result<String, Problem> {
    let read = value.parse::<jiff::Timestamp>();
    read.map(|time| time.to_string()).map_err(|_| Problem::bad_request("a time looks like 2026-01-31T12:00:00Z."))
}

fn json<T: serde::de::DeserializeOwned>(value: &str, shape: &str) -> Result<T, Problem> {
    serde_json::from_str(value).map_err(|e| Problem::bad_request(format!("expected {shape} as JSON: {e}.")))
}

/// Numbers and booleans in an address are meant as such; texts that look like them are asked for with `where`.
fn scalar(value: &str) -> Value {
    match serde_json::from_str(value) {
        Ok(scalar @ (Value::Bool(_) | Value::Number(_) | Value::Null)) => scalar,
        _ => Value::String(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_address_becomes_a_query() {
        let request = read(Some("q=ada&sort=-status,name&limit=5&status=online&fields=name,id"), false).unwrap();
        assert_eq!(request.query.q.as_deref(), Some("ada"));
        assert_eq!(request.query.sort, ["-status", "name"]);
        assert_eq!(request.query.page.limit, Some(5));
        assert_eq!(request.query.filters, [Filter { field: "status".into(), op: Op::Eq, value: json!("online") }]);
        assert_eq!(request.query.fields, Some(vec!["name".into(), "id".into()]));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (address, field) in [
            ("limit=0", "limit"),
            ("limit=x", "limit"),
            ("where=x", "where"),
            ("at=now", "at"),
            ("q=%00", "q"),
            ("format=pdf", "format"),
        ] {
            assert_eq!(read(Some(address), false).unwrap_err().field.as_deref(), Some(field), "{address}");
        }
    }
}
