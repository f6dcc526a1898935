//! The one query form of every face, and what comes back.

use crate::{Object, Problem};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::cmp::Ordering;

/// Rows of a page when the query does not say.
pub const DEFAULT_LIMIT: u32 = 100;
/// Most rows of one page.
pub const MAX_LIMIT: u32 = 1000;

/// Which rows of a type, in which order, as of when.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Text looked for in the fields marked `search`; every word must occur.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// All must hold.
    #[serde(default, rename = "where", skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
    /// Field names, `-` in front for descending. The key always comes last by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sort: Vec<String>,
    #[serde(default)]
    pub page: Page,
    /// Fields to return; the view's where absent. The key and the label always come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Vec<String>>,
    /// Count by the values of this field instead of returning rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// As of this time (RFC 3339), for types with history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Values of the view's params, for computed types.
    #[serde(default, skip_serializing_if = "Object::is_empty")]
    pub params: Object,
}

impl Query {
    /// The value of a param of the view; nothing where it was not given.
    ///
    /// # Errors
    /// A `bad_request` problem at the param, where it is of another kind.
    pub fn param<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Problem> {
        let value = self.params.get(name).filter(|value| !value.is_null());
        let read = value.map(|value| serde_json::from_value(value.clone())).transpose();
        read.map_err(|e| Problem::bad_request(format!("{e}.")).at(format!("params.{name}")))
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// Opaque cursor: `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// `name`, or `<plugin>:<name>` for a column another plugin added.
    pub field: String,
    #[serde(default)]
    pub op: Op,
    #[serde(default)]
    pub value: Value,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    #[default]
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// The value is a list that has it.
    In,
    /// Substring without regard to case, or an element of a list that has it.
    Contains,
    /// Beginning, without regard to case.
    Prefix,
    /// Absent, null, an empty text or an empty list.
    Empty,
}

impl Op {
    /// Whether `left op right` holds for two JSON values.
    pub fn holds(self, left: &Value, right: &Value) -> bool {
        match self {
            Op::Eq => equal(left, right),
            Op::Ne => !equal(left, right),
            Op::Lt => compare(left, right) == Some(Ordering::Less),
            Op::Le => matches!(compare(left, right), Some(Ordering::Less | Ordering::Equal)),
            Op::Gt => compare(left, right) == Some(Ordering::Greater),
            Op::Ge => matches!(compare(left, right), Some(Ordering::Greater | Ordering::Equal)),
            Op::In => right.as_array().is_some_and(|list| {
                list.iter().any(|one| match left {
                    Value::Array(values) => values.iter().any(|value| equal(value, one)),
                    value => equal(value, one),
                })
            }),
            Op::Contains => texts(left, right, |text, part| text.contains(part)),
            Op::Prefix => texts(left, right, |text, part| text.starts_with(part)),
            Op::Empty => match left {
                Value::Null => true,
                Value::String(text) => text.is_empty(),
                Value::Array(list) => list.is_empty(),
                _ => false,
            },
        }
    }
}

fn equal(left: &Value, right: &Value) -> bool {
    match (left.as_f64(), right.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => left == right,
    }
}

fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn texts(left: &Value, right: &Value, test: fn(&str, &str) -> bool) -> bool {
    let Some(part) = right.as_str().map(str::to_lowercase) else { return false };
    match left {
        Value::String(text) => test(&text.to_lowercase(), &part),
        Value::Array(list) => list.iter().filter_map(Value::as_str).any(|text| test(&text.to_lowercase(), &part)),
        _ => false,
    }
}

/// A page of rows by column, for clients that ask for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Columns {
    pub columns: Vec<String>,
    /// One list of values a row, in the order of `columns`.
    pub rows: Vec<Vec<Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One change of a shown row: new values of some fields, or its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Patch {
    Set { key: String, set: Object },
    Gone { key: String, gone: bool },
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_param_is_read_or_named() {
        let query: Query = serde_json::from_value(json!({"params": {"depth": 3, "from": null}})).unwrap();
        assert_eq!(query.param::<u32>("depth"), Ok(Some(3)));
        assert_eq!(query.param::<String>("from"), Ok(None));
        assert_eq!(query.param::<String>("folder"), Ok(None));
        let problem = query.param::<String>("depth").unwrap_err();
        assert_eq!((problem.code, problem.field.as_deref()), (crate::Code::BadRequest, Some("params.depth")));
    }
}
