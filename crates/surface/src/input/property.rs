//! One value against one property of an input schema.

use super::{kind_of, object};
use regex::RegexBuilder;
use schema::{Field, InputProperty, Problem, check_value};
use serde_json::{Number, Value};

/// Collects everything that does not fit.
#[derive(Default)]
pub(super) struct Check {
    pub(super) faults: Vec<Problem>,
}

impl Check {
    fn fault(&mut self, path: &str, message: impl Into<String>) {
        self.faults.push(Problem::bad_request(message).at(path));
    }

    /// Checks `value`; a number that is whole becomes an integer where one is asked for.
    pub(super) fn property(&mut self, path: &str, property: &InputProperty, value: &mut Value) {
        let before = self.faults.len();
        if value.is_null() && allows_null(property) {
            return;
        }
        if !self.kind(path, property, value) {
            return;
        }
        self.choice(path, property, value);
        match value {
            Value::String(text) => self.text(path, property, text),
            Value::Number(number) => self.number(path, property, number),
            Value::Array(list) => self.list(path, property, list),
            Value::Object(map) if !property.properties.is_empty() => {
                *map = object(self, path, &property.properties, &property.required, property.additional, map);
            }
            _ => {}
        }
        if self.faults.len() == before {
            self.domain(path, property, value);
        }
    }

    fn kind(&mut self, path: &str, property: &InputProperty, value: &mut Value) -> bool {
        if property.kind.is_null() {
            return true;
        }
        let kind = property.base_kind();
        if kind == "integer"
            && let Some(whole) = value.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 9_007_199_254_740_992.0)
            && value.is_f64()
        {
            *value = Value::from(whole as i64);
        }
        let (fits, wanted) = match kind {
            "string" => (value.is_string(), "a text"),
            "integer" => (value.is_i64() || value.is_u64(), "a whole number"),
            "number" => (value.is_number(), "a number"),
            "boolean" => (value.is_boolean(), "true or false"),
            "array" => (value.is_array(), "a list"),
            "object" => (value.is_object(), "an object"),
            _ => (value.is_null(), "null"),
        };
        if !fits {
            self.fault(path, format!("expected {wanted}, not {}.", kind_of(value)));
        }
        fits
    }

    fn choice(&mut self, path: &str, property: &InputProperty, value: &Value) {
        let consts = property.one_of.iter().map(|choice| &choice.constant);
        let mut allowed: Vec<&Value> = property.choices.iter().chain(consts).collect();
        if !property.constant.is_null() {
            allowed.push(&property.constant);
        }
        if allowed.is_empty() || allowed.iter().any(|one| same(one, value)) {
            return;
        }
        let names: Vec<String> = allowed.iter().map(|v| shown(v)).collect();
        let problem =
            Problem::bad_request(format!("expected one of {}, not {}.", names.join(", "), shown(value))).at(path);
        let near = value.as_str().and_then(|v| crate::shape::nearest(v, allowed.iter().filter_map(|a| a.as_str())));
        self.faults.push(match near {
            Some(near) => problem.fix(format!("Did you mean {near}?")),
            None => problem,
        });
    }

    fn text(&mut self, path: &str, property: &InputProperty, text: &str) {
        let length = text.chars().count() as u64;
        if property.min_length.is_some_and(|least| length < least) {
            let least = property.min_length.unwrap_or_default();
            let message = if length == 0 {
                "this may not be empty.".to_owned()
            } else {
                format!("{length} characters are fewer than the {least} it needs.")
            };
            self.fault(path, message);
        }
        if let Some(most) = property.max_length.filter(|most| length > *most) {
            self.fault(path, format!("{length} characters are more than the {most} it may have."));
        }
        if let Some(pattern) = &property.pattern {
            match RegexBuilder::new(pattern).size_limit(1 << 20).build() {
                Ok(regex) if regex.is_match(text) => {}
                Ok(_) => self.fault(path, format!("this does not have the form {pattern}.")),
                Err(_) => {
                    let message = format!("the plugin's pattern {pattern} cannot be used here.");
                    self.faults.push(Problem::internal(message).at(path).fix("Tell the plugin's maker."));
                }
            }
        }
    }

    fn number(&mut self, path: &str, property: &InputProperty, number: &Number) {
        let (lowest, highest) = width(property.format.as_deref());
        let value = number.as_f64().unwrap_or(f64::NAN);
        let least = property.minimum.into_iter().chain(lowest).reduce(f64::max);
        let most = property.maximum.into_iter().chain(highest).reduce(f64::min);
        match (least, most) {
            (Some(least), Some(most)) if value < least || value > most => {
                self.fault(path, format!("{number} is not between {least} and {most}."));
            }
            (Some(least), _) if value < least => self.fault(path, format!("{number} is less than {least}.")),
            (_, Some(most)) if value > most => self.fault(path, format!("{number} is more than {most}.")),
            _ => {}
        }
    }

    fn list(&mut self, path: &str, property: &InputProperty, list: &mut [Value]) {
        let length = list.len() as u64;
        if let Some(least) = property.min_items.filter(|least| length < *least) {
            self.fault(path, format!("it needs {least} values or more, not {length}."));
        }
        if let Some(most) = property.max_items.filter(|most| length > *most) {
            self.fault(path, format!("it may have {most} values at most, not {length}."));
        }
        if let Some(items) = &property.items {
            for (n, one) in list.iter_mut().enumerate().take(10_000) {
                self.property(&format!("{path}[{n}]"), items, one);
            }
        }
        if property.unique_items == Some(true)
            && let Some(n) = (1..list.len()).find(|n| list[..*n].contains(&list[*n]))
        {
            self.fault(&format!("{path}[{n}]"), "this value occurs twice.");
        }
    }

    fn domain(&mut self, path: &str, property: &InputProperty, value: &Value) {
        let Some(domain) = property.domain else { return };
        let mut field = Field::new(path, domain);
        field.many = value.is_array() && !domain.is_structured();
        if let Err(problem) = check_value(path, &field, value) {
            self.faults.push(problem);
        }
    }
}

fn allows_null(property: &InputProperty) -> bool {
    match &property.kind {
        Value::Array(kinds) => kinds.iter().any(|kind| kind == "null"),
        kind => kind == "null",
    }
}

/// What a number of this schemars format can be at all.
fn width(format: Option<&str>) -> (Option<f64>, Option<f64>) {
    let signed = |bits: i32| (Some(-(2f64.powi(bits - 1))), Some(2f64.powi(bits - 1) - 1.0));
    let unsigned = |bits: i32| (Some(0.0), Some(2f64.powi(bits) - 1.0));
    match format {
        Some("int8") => signed(8),
        Some("int16") => signed(16),
        Some("int32") => signed(32),
        Some("uint8") => unsigned(8),
        Some("uint16") => unsigned(16),
        Some("uint32") => unsigned(32),
        Some("uint64" | "uint") => (Some(0.0), None),
        _ => (None, None),
    }
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => schema::neutral_text(text),
        other => schema::neutral_text(&other.to_string()),
    };
    if text.chars().count() > 60 { text.chars().take(60).collect::<String>() + "…" } else { text }
}

/// Equal as JSON Schema has it: numbers by their value, so that 1.0 is 1.
fn same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one.total_cmp(&other).is_eq(),
        _ => one == other,
    }
}
