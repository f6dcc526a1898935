//! What a person typed, as the value of a field or a setting: `90%`, `8GiB` and `15m` are numbers where the field is one.

use schema::{FieldType, Problem, Setting};
use serde_json::{Number, Value};

/// A word as a value of the field. What does not fit stays a text, for whoever checks it to refuse.
pub(crate) fn typed(kind: FieldType, word: &str) -> Value {
    use FieldType::{Bool, Bytes, Duration, Percent, Rate};
    if kind == Bool {
        return match word {
            "true" | "yes" => true.into(),
            "false" | "no" => false.into(),
            other => other.into(),
        };
    }
    if !kind.is_number() {
        return word.into();
    }
    if let Some(number) = plain_number(word) {
        return number;
    }
    let digits = word.find(|c: char| !(c.is_ascii_digit() || "+-.".contains(c))).unwrap_or(word.len());
    let (number, unit) = word.split_at(digits);
    let factor = match (kind, unit.to_ascii_lowercase().as_str()) {
        (_, "") | (Percent, "%") => 1.0,
        (Bytes | Rate, unit) => match unit.trim_end_matches('b').trim_end_matches('i') {
            "" => 1.0,
            "k" => 1024.0,
            "m" => 1024.0 * 1024.0,
            "g" => 1024f64.powi(3),
            "t" => 1024f64.powi(4),
            "p" => 1024f64.powi(5),
            _ => return word.into(),
        },
        (Duration, "s") => 1.0,
        (Duration, "m" | "min") => 60.0,
        (Duration, "h") => 3600.0,
        (Duration, "d") => 86400.0,
        _ => return word.into(),
    };
    number.parse::<f64>().ok().and_then(|n| number_value(n * factor)).unwrap_or_else(|| word.into())
}

/// A word that is a number without a unit; nothing where it is none, or one beyond all bounds.
pub(crate) fn plain_number(word: &str) -> Option<Value> {
    let whole = word.parse::<i64>().map(Value::from).or_else(|_| word.parse::<u64>().map(Value::from));
    whole.ok().or_else(|| word.parse::<f64>().ok().and_then(number_value))
}

fn number_value(n: f64) -> Option<Value> {
    if n.fract() == 0.0 && n.abs() < 9_007_199_254_740_992.0 {
        return Some(Value::from(n as i64));
    }
    Number::from_f64(n).map(Value::Number)
}

/// A text as the value of a setting, as its type wants it; the elements of a list stand between commas or on lines.
///
/// # Errors
/// `bad_request` at `name`, with what is expected.
pub fn setting_value(name: &str, setting: &Setting, text: &str) -> Result<Value, Problem> {
    let text = text.trim();
    let value = if setting.kind.is_structured() {
        serde_json::from_str(text).unwrap_or_else(|_| {
            let words = text.split([',', '\n']).map(str::trim).filter(|word| !word.is_empty());
            Value::from(words.collect::<Vec<_>>())
        })
    } else {
        typed(setting.kind, text)
    };
    setting.check(name, &value)?;
    Ok(value)
}

/// The words after the option of a setting as its value: of a list each is an element.
///
/// # Errors
/// As for [`setting_value`].
pub(crate) fn setting_of_words(name: &str, setting: &Setting, words: &[String]) -> Result<Value, Problem> {
    if is_list(setting.kind) {
        let value = Value::from(words);
        setting.check(name, &value)?;
        return Ok(value);
    }
    setting_value(name, setting, words.last().map(String::as_str).unwrap_or_default())
}

/// Whether the option of a setting may be given several times.
pub(crate) fn is_list(kind: FieldType) -> bool {
    matches!(kind, FieldType::Tags | FieldType::Refs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn setting(kind: FieldType) -> Setting {
        serde_json::from_value(json!({"title": "S", "type": kind, "default": null})).unwrap()
    }

    fn value(kind: FieldType, text: &str) -> Result<Value, Problem> {
        setting_value("s", &setting(kind), text)
    }

    #[test]
    fn a_text_is_what_the_setting_is() {
        for (kind, text, expected) in [
            (FieldType::Int, "12", json!(12)),
            (FieldType::Int, "9007199254740993", json!(9_007_199_254_740_993u64)),
            (FieldType::Decimal, "1e3", json!(1000)),
            (FieldType::Bytes, "8GiB", json!(8_589_934_592u64)),
            (FieldType::Duration, "1.5h", json!(5400)),
            (FieldType::Percent, "90%", json!(90)),
            (FieldType::Bool, "yes", json!(true)),
            (FieldType::Bool, " false\n", json!(false)),
            (FieldType::Tags, "a, b\nc,", json!(["a", "b", "c"])),
            (FieldType::Tags, r#"["a,b"]"#, json!(["a,b"])),
            (FieldType::Path, "/srv/a b", json!("/srv/a b")),
            (FieldType::Text, "12", json!("12")),
        ] {
            assert_eq!(value(kind, text).unwrap(), expected, "{kind:?} {text}");
        }
    }

    #[test]
    fn what_does_not_fit_says_what_was_expected() {
        let message = |kind, text| value(kind, text).unwrap_err().to_string();
        assert_eq!(message(FieldType::Int, "many"), r#"s: expected a whole number, not "many"."#);
        assert_eq!(message(FieldType::Bool, "maybe"), r#"s: expected true or false, not "maybe"."#);
        assert_eq!(message(FieldType::Bytes, "8 elephants"), r#"s: expected a number from 0 up, not "8 elephants"."#);
    }

    #[test]
    fn each_word_after_the_option_of_a_list_is_an_element() {
        let words = ["a,b".to_owned(), "c".to_owned()];
        let of = |kind| setting_of_words("s", &setting(kind), &words);
        assert_eq!(of(FieldType::Tags).unwrap(), json!(["a,b", "c"]));
        assert_eq!(of(FieldType::Text).unwrap(), json!("c"));
    }

    #[test]
    fn a_number_beyond_all_bounds_is_none() {
        for text in ["inf", "NaN", "1e999", "9e307PiB"] {
            assert!(value(FieldType::Bytes, text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_number_comes_back_as_it_was_written(n in any::<i64>(), f in -1e300..1e300f64) {
            prop_assert_eq!(value(FieldType::Int, &n.to_string()).unwrap(), json!(n));
            prop_assert_eq!(value(FieldType::Decimal, &f.to_string()).unwrap().as_f64(), Some(f));
        }
    }
}
