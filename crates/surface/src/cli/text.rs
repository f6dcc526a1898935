//! One value as text for a person, by its domain type.

use jiff::Timestamp;
use schema::{Field, FieldType, neutral_text};
use serde_json::Value;

/// What stands for an absent value.
pub(super) const ABSENT: &str = "–";

/// `value` as a person reads it in a table, without anything that could steer the terminal. Times are told from `now`.
pub fn cell(field: &Field, value: &Value, now: Timestamp) -> String {
    match value {
        Value::Null => ABSENT.to_owned(),
        _ if field.kind == FieldType::Secret => "•••".to_owned(),
        Value::Array(list) if list.is_empty() => ABSENT.to_owned(),
        Value::Array(list) if field.kind == FieldType::Series => format!("{} values", list.len()),
        Value::Array(list) if field.many || matches!(field.kind, FieldType::Tags | FieldType::Refs) => {
            list.iter().map(|one| scalar(field, one, now)).collect::<Vec<_>>().join(", ")
        }
        value => scalar(field, value, now),
    }
}

fn scalar(field: &Field, value: &Value, now: Timestamp) -> String {
    let number = value.as_f64();
    let text = match (field.kind, number, value) {
        (FieldType::Bytes, Some(n), _) => bytes(n),
        (FieldType::Rate, Some(n), _) => format!("{}/s", bytes(n)),
        (FieldType::Percent, Some(n), _) => format!("{} %", rounded(n)),
        (FieldType::Duration, Some(n), _) => duration(n),
        (FieldType::Time, _, Value::String(text)) => time(text, now),
        (FieldType::Period, _, Value::Object(period)) => {
            let side = |name: &str| period.get(name).and_then(Value::as_str).map_or_else(String::new, |t| time(t, now));
            format!("{} – {}", side("from"), side("to"))
        }
        (FieldType::Progress, _, Value::Object(progress)) => {
            let percent = progress.get("fraction").and_then(Value::as_f64).map(|f| format!("{} %", rounded(f * 100.0)));
            let text = progress.get("text").and_then(Value::as_str).map(str::to_owned);
            percent.into_iter().chain(text).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
        }
        (FieldType::Money, _, Value::Object(money)) => {
            let part = |name: &str| money.get(name).and_then(Value::as_str).unwrap_or_default();
            format!("{} {}", part("amount"), part("currency"))
        }
        (FieldType::Bool, _, Value::Bool(on)) => if *on { "yes" } else { "no" }.to_owned(),
        (FieldType::Status | FieldType::Enum, _, Value::String(text)) => {
            field.values.get(text).map_or_else(|| text.clone(), |meaning| meaning.title.clone())
        }
        _ => plain(value),
    };
    neutral_text(&text)
}

/// The value itself: a reference as its label, a structure as JSON.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(map) => match map.get("label").or_else(|| map.get("id")) {
            Some(Value::String(label)) if map.contains_key("id") => label.clone(),
            _ => value.to_string(),
        },
        other => other.to_string(),
    }
}

fn rounded(n: f64) -> String {
    if n.fract() == 0.0 || n.abs() >= 100.0 { format!("{n:.0}") } else { format!("{n:.1}") }
}

pub(super) fn bytes(n: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let (mut value, mut unit) = (n, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{} {}", rounded(value), units[unit])
}

pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.abs() as u64;
    let (days, hours, minutes) = (whole / 86400, whole / 3600 % 24, whole / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if whole < 10 => format!("{} s", rounded(seconds)),
        (0, 0, 0) => format!("{whole} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, 0, _) => format!("{days} d"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// Near times as a distance, others as a date.
fn time(text: &str, now: Timestamp) -> String {
    let Ok(at) = text.parse::<Timestamp>() else { return text.to_owned() };
    let seconds = now.duration_since(at).as_secs();
    match seconds {
        0..60 => "just now".to_owned(),
        60..86400 => format!("{} ago", duration(seconds as f64)),
        -86399..0 => format!("in {}", duration(-seconds as f64)),
        _ => at.strftime("%Y-%m-%d %H:%M").to_string(),
    }
}
