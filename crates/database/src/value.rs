//! Values between JSON and columns.

use jiff::Timestamp;
use rusqlite::types::{Value as Sql, ValueRef};
use schema::{Field, FieldType};
use serde_json::Value;

/// How the values of a field are kept in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    /// INTEGER or REAL, as it came.
    Number,
    /// 0 or 1.
    Bool,
    /// Microseconds since 1970.
    Time,
    Text,
    /// JSON text of a list or object.
    Json,
}

impl Storage {
    /// How `field` is kept; absent where it must never be stored.
    pub(crate) fn of(field: &Field) -> Option<Storage> {
        match field.kind {
            FieldType::Secret => None,
            _ if field.many => Some(Storage::Json),
            kind if kind.is_structured() => Some(Storage::Json),
            kind if kind.is_number() => Some(Storage::Number),
            FieldType::Bool => Some(Storage::Bool),
            FieldType::Time => Some(Storage::Time),
            _ => Some(Storage::Text),
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Storage::Number => "number",
            Storage::Bool => "bool",
            Storage::Time => "time",
            Storage::Text => "text",
            Storage::Json => "json",
        }
    }

    /// A JSON value as it is stored; null where it does not fit, which checked values do.
    pub(crate) fn to_sql(self, value: &Value) -> Sql {
        match (self, value) {
            (_, Value::Null) => Sql::Null,
            (Storage::Number, Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Sql::Integer(whole),
                (None, Some(real)) => Sql::Real(real),
                (None, None) => Sql::Null,
            },
            (Storage::Bool, Value::Bool(truth)) => Sql::Integer(i64::from(*truth)),
            (Storage::Time, Value::String(text)) => text.parse().map_or(Sql::Null, |time| Sql::Integer(micros(time))),
            (Storage::Text, Value::String(text)) => Sql::Text(text.clone()),
            (Storage::Json, Value::Array(_) | Value::Object(_)) => Sql::Text(value.to_string()),
            // A `json` field may hold a scalar.
            (Storage::Json, _) => Sql::Text(value.to_string()),
            _ => Sql::Null,
        }
    }

    pub(crate) fn to_json(self, value: ValueRef<'_>) -> Value {
        match (self, value) {
            (Storage::Bool, ValueRef::Integer(n)) => Value::Bool(n != 0),
            (Storage::Time, ValueRef::Integer(n)) => time_json(n),
            (_, ValueRef::Integer(n)) => Value::from(n),
            (_, ValueRef::Real(n)) => Value::from(n),
            (Storage::Json, ValueRef::Text(text)) => serde_json::from_slice(text).unwrap_or(Value::Null),
            (_, ValueRef::Text(text)) => Value::String(String::from_utf8_lossy(text).into_owned()),
            _ => Value::Null,
        }
    }
}

pub(crate) fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

/// Only what this crate wrote is read back, so a time is in range.
pub(crate) fn time(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn time_json(micros: i64) -> Value {
    Value::String(time(micros).to_string())
}

/// What the text index holds of a row: its searchable texts, lower case, a line each.
pub(crate) fn search_text<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    texts.into_iter().filter(|t| !t.is_empty()).map(str::to_lowercase).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_stored_comes_back() {
        for (kind, value) in [
            (FieldType::Int, json!(-3)),
            (FieldType::Decimal, json!(2.5)),
            (FieldType::Bool, json!(true)),
            (FieldType::Time, json!("2026-01-31T12:00:00.25Z")),
            (FieldType::Text, json!("a")),
            (FieldType::Json, json!({"a": [1, null]})),
            (FieldType::Tags, json!(["a"])),
        ] {
            let storage = Storage::of(&Field::new("F", kind)).unwrap();
            let sql = storage.to_sql(&value);
            assert_eq!(storage.to_json(ValueRef::from(&sql)), value, "{kind:?}");
        }
        assert_eq!(Storage::of(&Field::new("F", FieldType::Secret)), None);
    }
}
