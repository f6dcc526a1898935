//! JSON Schemas of rows and their fields.

use crate::shape::Shape;
use schema::{Field, FieldType, Object};
use serde_json::{Value, json};

/// A row of a view. Every field may be absent: an operator may not ask for all, and a machine may not know all.
pub(super) fn row(shape: &Shape, title: &str) -> Value {
    let properties: Object = shape.columns.iter().map(|c| (c.name.clone(), nullable(field(&c.field)))).collect();
    json!({"type": "object", "title": title, "properties": properties})
}

fn nullable(schema: Value) -> Value {
    json!({"oneOf": [schema, {"type": "null"}]})
}

/// A value of a field.
pub(super) fn field(field: &Field) -> Value {
    let mut schema = one(field);
    if field.many {
        schema = json!({"type": "array", "items": schema});
    }
    schema["title"] = field.title.clone().into();
    schema["x-type"] = serde_json::to_value(field.kind).expect("a domain type is a word");
    if !field.description.is_empty() {
        schema["description"] = field.description.clone().into();
    }
    schema
}

fn one(field: &Field) -> Value {
    use FieldType::*;
    match field.kind {
        Int => json!({"type": "integer"}),
        Bytes | Rate | Duration => json!({"type": "number", "minimum": 0}),
        Port => json!({"type": "integer", "minimum": 0, "maximum": 65535}),
        Decimal => json!({"type": "number"}),
        Percent => json!({"type": "number", "minimum": 0, "maximum": 100}),
        Bool => json!({"type": "boolean"}),
        Time => json!({"type": "string", "format": "date-time"}),
        Url => json!({"type": "string", "format": "uri-reference"}),
        Enum | Status if !field.values.is_empty() => {
            json!({"type": "string", "enum": field.values.keys().collect::<Vec<_>>()})
        }
        Ref => json!({"$ref": "#/components/schemas/Reference"}),
        Refs => json!({"type": "array", "items": {"$ref": "#/components/schemas/Reference"}}),
        Tags => json!({"type": "array", "items": {"type": "string"}}),
        Series => json!({"type": "array", "items": {"type": ["number", "null"]}}),
        Period => json!({"type": "object", "properties": {"from": {"type": "string", "format": "date-time"},
            "to": {"type": ["string", "null"], "format": "date-time"}}}),
        Progress => json!({"$ref": "#/components/schemas/Progress"}),
        Money => {
            json!({"type": "object", "properties": {"amount": {"type": "string"}, "currency": {"type": "string"}}})
        }
        Json => json!({}),
        _ => json!({"type": "string"}),
    }
}
