//! Whether one value fits its field. Everything that comes from a machine or a plugin passes through here.

use crate::{Field, FieldType, Problem};
use jiff::Timestamp;
use serde_json::Value;
use std::net::IpAddr;

/// Longest text of a value in bytes; `json`, `markdown` and `code` may be 16 times as long.
const MAX_TEXT: usize = 4096;
/// Most elements of a list.
const MAX_LIST: usize = 1024;
/// Deepest nesting of a `json` value.
const MAX_DEPTH: usize = 16;

/// Checks `value` against `field`. Null stands for an absent value and always fits.
///
/// # Errors
/// A `bad_request` problem that says what was expected, at `name`.
pub fn check_value(name: &str, field: &Field, value: &Value) -> Result<(), Problem> {
    if value.is_null() {
        return Ok(());
    }
    if !field.many {
        return check_one(name, field, value);
    }
    let Some(list) = value.as_array() else { return Err(expected(name, "a list", value)) };
    if list.len() > MAX_LIST {
        return Err(Problem::bad_request(format!("a list of {} values is longer than {MAX_LIST}", list.len())).at(name));
    }
    list.iter().try_for_each(|one| check_one(name, field, one))
}

fn check_one(name: &str, field: &Field, value: &Value) -> Result<(), Problem> {
    use FieldType::*;
    match field.kind {
        Int => require(name, value.is_i64() || value.is_u64(), "a whole number", value),
        Bytes | Rate | Duration => require(name, value.as_f64().is_some_and(|n| n >= 0.0), "a number from 0 up", value),
        Port => require(name, value.as_u64().is_some_and(|n| n <= 65535), "a port, 0 to 65535", value),
        Decimal => require(name, value.is_number(), "a number", value),
        Percent => {
            require(name, value.as_f64().is_some_and(|n| (0.0..=100.0).contains(&n)), "a number from 0 to 100", value)
        }
        Bool => require(name, value.is_boolean(), "true or false", value),
        Time => require(
            name,
            value.as_str().is_some_and(|t| t.parse::<Timestamp>().is_ok()),
            "a time as in 2026-01-31T12:00:00Z",
            value,
        ),
        Hours => require(
            name,
            value.as_str().is_some_and(|t| t.is_empty() || t.parse::<crate::Hours>().is_ok()),
            "hours as in 21:00-05:00",
            value,
        ),
        Ip => require(name, value.as_str().is_some_and(|t| t.parse::<IpAddr>().is_ok()), "an IP address", value),
        Mac => require(name, value.as_str().is_some_and(is_mac), "a MAC address as in 00:1b:44:11:3a:b7", value),
        Cidr => require(name, value.as_str().is_some_and(is_cidr), "a network as in 10.0.0.0/24", value),
        Status | Enum if !field.values.is_empty() => {
            let known = value.as_str().is_some_and(|v| field.values.contains_key(v));
            require(
                name,
                known,
                &format!("one of {}", field.values.keys().cloned().collect::<Vec<_>>().join(", ")),
                value,
            )
        }
        Tags | Refs => check_texts(name, value),
        Series => require(
            name,
            value.as_array().is_some_and(|l| l.len() <= MAX_LIST && l.iter().all(|v| v.is_number() || v.is_null())),
            "a list of numbers",
            value,
        ),
        Period | Progress | Money => require(name, value.is_object() && depth(value) <= 2, "an object", value),
        Json => require(
            name,
            depth(value) <= MAX_DEPTH && value.to_string().len() <= MAX_TEXT * 16,
            "a JSON value of reasonable size",
            value,
        ),
        Markdown | Code => check_text(name, value, MAX_TEXT * 16),
        _ => check_text(name, value, MAX_TEXT),
    }
}

fn check_text(name: &str, value: &Value, longest: usize) -> Result<(), Problem> {
    let Some(text) = value.as_str() else { return Err(expected(name, "a text", value)) };
    if text.len() > longest {
        return Err(Problem::bad_request(format!("a text of {} bytes is longer than {longest}", text.len())).at(name));
    }
    Ok(())
}

fn check_texts(name: &str, value: &Value) -> Result<(), Problem> {
    match value.as_array() {
        Some(list) if list.len() <= MAX_LIST => list.iter().try_for_each(|one| check_text(name, one, MAX_TEXT)),
        _ => Err(expected(name, &format!("a list of at most {MAX_LIST} texts"), value)),
    }
}

fn require(name: &str, fits: bool, what: &str, value: &Value) -> Result<(), Problem> {
    if fits { Ok(()) } else { Err(expected(name, what, value)) }
}

fn expected(name: &str, what: &str, value: &Value) -> Problem {
    let mut shown = neutral_text(&value.to_string());
    if shown.chars().count() > 60 {
        shown = shown.chars().take(60).collect::<String>() + "…";
    }
    Problem::bad_request(format!("expected {what}, not {shown}.")).at(name)
}

fn is_mac(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    (parts.len() == 6 || parts.len() == 8 || parts.len() == 20)
        && parts.iter().all(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    match (address.parse::<IpAddr>(), bits.parse::<u8>()) {
        (Ok(IpAddr::V4(_)), Ok(bits)) => bits <= 32,
        (Ok(IpAddr::V6(_)), Ok(bits)) => bits <= 128,
        _ => false,
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// `text` with every character that could steer a terminal or hide what follows replaced by a visible one.
pub fn neutral_text(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'),
            '\u{7f}' => '\u{2421}',
            '\u{80}'..='\u{9f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}' => '\u{fffd}',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fits(kind: FieldType, value: Value) -> bool {
        check_value("f", &Field::new("F", kind), &value).is_ok()
    }

    #[test]
    fn values_fit_their_domain_type_or_are_named() {
        for (kind, good, bad) in [
            (FieldType::Ip, json!("fe80::1"), json!("10.0.0")),
            (FieldType::Mac, json!("00:1b:44:11:3a:b7"), json!("00:1b:44:11:3a")),
            (FieldType::Hours, json!("21:00-05:00"), json!("9 to 5")),
            (FieldType::Cidr, json!("10.0.0.0/8"), json!("10.0.0.0/33")),
            (FieldType::Port, json!(65535), json!(65536)),
            (FieldType::Percent, json!(12.5), json!(101)),
            (FieldType::Bytes, json!(0), json!(-1)),
            (FieldType::Time, json!("2026-01-31T12:00:00Z"), json!("yesterday")),
            (FieldType::Int, json!(3), json!(3.5)),
            (FieldType::Text, json!("x"), json!({"x": 1})),
            (FieldType::Tags, json!(["a"]), json!([1])),
            (FieldType::Series, json!([1, null, 2.5]), json!(["1"])),
        ] {
            assert!(fits(kind, good.clone()), "{kind:?} {good}");
            assert!(!fits(kind, bad.clone()), "{kind:?} {bad}");
        }
        assert!(!fits(FieldType::Text, json!("x".repeat(5000))));
    }

    #[test]
    fn a_terminal_cannot_be_steered_by_neutral_text() {
        assert_eq!(neutral_text("a\u{1b}[31mb\r\n\u{202e}"), "a␛[31mb␍␊\u{fffd}");
    }
}
