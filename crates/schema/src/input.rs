//! The small profile of JSON Schema that command inputs keep to, so that a form, a command line and a tool description
//! can be made from every one of them: an object of scalars, arrays, enums, `oneOf` of consts and one level of nesting.

use crate::{Predicate, Problem};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The input of a command, read in the profile. Unknown keywords are refused by [`check_profile`], not ignored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputSchema {
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<String>,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default)]
    pub properties: IndexMap<String, InputProperty>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<String>,
    #[serde(rename = "additionalProperties", default, skip_serializing_if = "Option::is_none")]
    pub additional: Option<bool>,
}

/// One property of an input.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputProperty {
    /// `string`, `integer`, `number`, `boolean`, `array` or `object`; with `null` beside it where it may be absent.
    #[serde(rename = "type", default, skip_serializing_if = "Value::is_null")]
    pub kind: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub default: Value,
    #[serde(rename = "const", default, skip_serializing_if = "Value::is_null")]
    pub constant: Value,
    #[serde(rename = "enum", default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Value>,
    /// Choices with titles: each has `const` and `title`.
    #[serde(rename = "oneOf", default, skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<InputProperty>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<f64>,
    #[serde(rename = "minLength", default, skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u64>,
    #[serde(rename = "maxLength", default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Width of a number, as schemars writes it (`uint32`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Box<InputProperty>>,
    #[serde(rename = "minItems", default, skip_serializing_if = "Option::is_none")]
    pub min_items: Option<u64>,
    #[serde(rename = "maxItems", default, skip_serializing_if = "Option::is_none")]
    pub max_items: Option<u64>,
    #[serde(rename = "uniqueItems", default, skip_serializing_if = "Option::is_none")]
    pub unique_items: Option<bool>,
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub properties: IndexMap<String, InputProperty>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<String>,
    #[serde(rename = "additionalProperties", default, skip_serializing_if = "Option::is_none")]
    pub additional: Option<bool>,
    /// Domain type of the value ([`crate::FieldType`] by its wire name).
    #[serde(rename = "x-type", default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<crate::FieldType>,
    /// View whose rows are the choices: `{"view": "fleet.machines", "value": "id", "label": "name"}`.
    #[serde(rename = "x-options", default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Options>,
    /// Asked for only then.
    #[serde(rename = "x-when", default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Predicate>,
    #[serde(rename = "x-ui", default, skip_serializing_if = "Option::is_none")]
    pub ui: Option<UiHints>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Id of a view, as in `fleet.machines`.
    pub view: String,
    /// Field whose value is put in; the key where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Field shown; the type's label where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UiHints {
    /// `advanced` puts it behind "More options".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// A text of several lines.
    #[serde(default, skip_serializing_if = "crate::field::is_false")]
    pub multiline: bool,
}

impl InputProperty {
    /// The kind without `null`: `string`, `integer`, …; that of the consts where only `oneOf` or `enum` is given.
    pub fn base_kind(&self) -> &str {
        match &self.kind {
            Value::String(kind) => kind,
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|k| *k != "null").unwrap_or("null"),
            _ => {
                let sample =
                    self.one_of.first().map(|p| &p.constant).or(self.choices.first()).unwrap_or(&self.constant);
                match sample {
                    Value::Bool(_) => "boolean",
                    Value::Number(n) if n.is_i64() || n.is_u64() => "integer",
                    Value::Number(_) => "number",
                    _ => "string",
                }
            }
        }
    }
}

impl InputSchema {
    /// Reads an input schema.
    ///
    /// # Errors
    /// A `bad_request` problem when it is not in the profile.
    pub fn read(schema: &Value) -> Result<InputSchema, Problem> {
        let read: InputSchema = serde_json::from_value(schema.clone())
            .map_err(|e| Problem::bad_request(format!("the input schema is outside the profile: {e}.")).fix(PROFILE))?;
        check_read(&read)?;
        Ok(read)
    }
}

const PROFILE: &str =
    "Use an object of scalars, arrays, enums, oneOf of consts and one level of nesting; no $ref, allOf or if.";

/// Checks that an input schema keeps to the profile.
///
/// # Errors
/// A `bad_request` problem that names the first property outside it.
pub fn check_profile(schema: &Value) -> Result<(), Problem> {
    InputSchema::read(schema).map(|_| ())
}

fn check_read(schema: &InputSchema) -> Result<(), Problem> {
    if schema.kind != "object" {
        return Err(Problem::bad_request(format!("an input is an object, not {}.", schema.kind))
            .at("type")
            .fix(PROFILE));
    }
    for name in &schema.required {
        if !schema.properties.contains_key(name) {
            return Err(Problem::bad_request("a required property is not declared.").at(format!("properties.{name}")));
        }
    }
    schema.properties.iter().try_for_each(|(name, p)| check_property(&format!("properties.{name}"), p, 0))
}

fn check_property(path: &str, property: &InputProperty, level: usize) -> Result<(), Problem> {
    let kind = property.base_kind();
    match kind {
        "string" | "integer" | "number" | "boolean" => {}
        "array" => {
            let Some(items) = &property.items else {
                return Err(Problem::bad_request("an array says what its items are.").at(path));
            };
            check_property(&format!("{path}.items"), items, level + 1)?;
        }
        "object" if level == 0 || !property.properties.is_empty() && level == 1 => {
            for (name, inner) in &property.properties {
                check_property(&format!("{path}.properties.{name}"), inner, level + 1)?;
            }
        }
        other => {
            return Err(Problem::bad_request(format!("{other} is outside the profile here.")).at(path).fix(PROFILE));
        }
    }
    for choice in &property.one_of {
        if choice.constant.is_null() {
            return Err(Problem::bad_request("each choice of oneOf has a const and a title.").at(path));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_profile_is_kept_or_the_place_is_named() {
        let good = json!({"type": "object", "required": ["a"], "properties": {
            "a": {"type": "string", "x-type": "cidr"},
            "b": {"type": ["integer", "null"], "minimum": 1},
            "c": {"type": "array", "items": {"type": "string"}},
            "d": {"oneOf": [{"const": "x", "title": "X"}]},
            "e": {"type": "object", "properties": {"f": {"type": "boolean"}}}}});
        check_profile(&good).unwrap();
        let bad = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}});
        assert!(check_profile(&bad).unwrap_err().message.contains("$ref"));
        let deep = json!({"type": "object", "properties": {"a": {"type": "object", "properties":
            {"b": {"type": "object", "properties": {"c": {"type": "object", "properties": {}}}}}}}});
        assert_eq!(check_profile(&deep).unwrap_err().field.unwrap(), "properties.a.properties.b.properties.c");
    }
}
