//! Relative paths as they were meant where they were typed: made absolute, since whoever opens them may be elsewhere.

use schema::{FieldType, InputProperty, InputSchema, Object};
use serde_json::Value;
use std::path::Path;

/// Makes every path in the input of a command absolute.
pub(super) fn make_absolute(schema: &Value, input: &mut Object, here: &Path) {
    let Ok(schema) = InputSchema::read(schema) else { return };
    for (name, property) in &schema.properties {
        if let Some(value) = input.get_mut(name) {
            of_property(property, value, here);
        }
    }
}

fn of_property(property: &InputProperty, value: &mut Value, here: &Path) {
    match value {
        Value::Object(inner) => {
            for (name, property) in &property.properties {
                if let Some(value) = inner.get_mut(name) {
                    of_property(property, value, here);
                }
            }
        }
        Value::Array(list) => {
            let items = property.items.as_ref().and_then(|items| items.domain);
            if items.or(property.domain) == Some(FieldType::Path) {
                list.iter_mut().for_each(|one| absolute(one, here));
            }
        }
        one if property.domain == Some(FieldType::Path) => absolute(one, here),
        _ => {}
    }
}

/// A relative path beneath `here`. `-` stands for standard input wherever it is a path at all.
pub(super) fn absolute(value: &mut Value, here: &Path) {
    let Value::String(text) = value else { return };
    if text.is_empty() || text == "-" {
        return;
    }
    // `here` is absolute, so this only takes the `.` out; it asks for no directory and cannot fail.
    if let Ok(path) = std::path::absolute(here.join(&*text)) {
        *text = path.to_string_lossy().into_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_are_absolute_wherever_they_are_and_nothing_else_is_touched() {
        let schema = json!({"type": "object", "properties": {
            "to": {"type": "string", "x-type": "path"},
            "from": {"type": "array", "items": {"type": "string", "x-type": "path"}},
            "also": {"type": "array", "items": {"type": "string"}, "x-type": "path"},
            "name": {"type": "string"},
            "key": {"type": "object", "properties": {"file": {"type": ["string", "null"], "x-type": "path"}}}}});
        let input = json!({"to": "a", "from": ["./b/../c", "/d", "-"], "also": ["e/"], "name": "f",
            "key": {"file": "g"}, "unknown": "h"});
        let Value::Object(mut input) = input else { unreachable!() };
        make_absolute(&schema, &mut input, Path::new("/here"));
        let expected = json!({"to": "/here/a", "from": ["/here/b/../c", "/d", "-"], "also": ["/here/e/"],
            "name": "f", "key": {"file": "/here/g"}, "unknown": "h"});
        assert_eq!(Value::Object(input), expected);
    }
}
