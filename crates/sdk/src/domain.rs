//! Values with a domain type: a field or an argument of such a Rust type is shown, checked and completed as that.

use crate::FieldValue;
use schema::{Field, FieldType};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use std::borrow::Cow;
use std::fmt;

fn checked<E: Error>(kind: FieldType, value: serde_json::Value) -> Result<serde_json::Value, E> {
    schema::check_value("value", &Field::new("", kind), &value).map_err(|p| E::custom(p.message))?;
    Ok(value)
}

macro_rules! domain {
    ($(#[$doc:meta])* $name:ident($inner:ty), $kind:ident, $json:tt) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, PartialOrd, Serialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl FieldValue for $name {
            const KIND: FieldType = FieldType::$kind;
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<$name, D::Error> {
                let value = checked::<D::Error>(FieldType::$kind, serde_json::Value::deserialize(from)?)?;
                serde_json::from_value(value).map($name).map_err(D::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($json)
            }
        }

        impl From<$inner> for $name {
            fn from(inner: $inner) -> $name {
                $name(inner)
            }
        }
    };
}

domain!(
    /// 0 to 100.
    Percent(f64), Percent,
    {"type": "number", "minimum": 0, "maximum": 100, "x-type": "percent"}
);
domain!(
    /// A count of bytes.
    Bytes(u64), Bytes,
    {"type": "integer", "minimum": 0, "x-type": "bytes"}
);
domain!(
    /// A length of time.
    Seconds(f64), Duration,
    {"type": "number", "minimum": 0, "x-type": "duration"}
);
domain!(
    /// A network, as in `10.0.0.0/24`.
    Cidr(String), Cidr,
    {"type": "string", "x-type": "cidr"}
);
domain!(
    /// As in `00:1b:44:11:3a:b7`.
    Mac(String), Mac,
    {"type": "string", "x-type": "mac"}
);
domain!(
    /// Never shown, never exported. Delivered once to whoever asked for it.
    Secret(String), Secret,
    {"type": "string", "x-type": "secret"}
);

/// A row of another type, in rows that a plugin computes: the key of that row, and what names it to a person.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Reference {
    pub id: String,
    pub label: String,
}

impl FieldValue for Reference {
    const KIND: FieldType = FieldType::Ref;
}

/// A moment, RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub jiff::Timestamp);

impl Time {
    pub fn now() -> Time {
        Time(jiff::Timestamp::now())
    }
}

impl FieldValue for Time {
    const KIND: FieldType = FieldType::Time;
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time", "x-type": "time"})
    }
}
