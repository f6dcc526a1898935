//! Whether an input fits its command, with the defaults filled in and every fault at its exact path.

mod property;

use crate::shape::nearest;
use indexmap::IndexMap;
use property::Check;
use schema::{Command, InputProperty, InputSchema, Object, Problem};
use serde_json::Value;

/// Most faults that are told at once.
const MOST_FAULTS: usize = 20;

/// Checks `input` against the command's schema and fills in the defaults.
///
/// A property whose `x-when` does not hold is neither required nor given its default.
///
/// # Errors
/// A `bad_request` problem at the path of what does not fit (`subnet`, `login.user`, `ports[2]`). Where several things
/// do not fit, each is a cause.
pub fn validate_input(command: &Command, input: &Object) -> Result<Object, Problem> {
    let schema = InputSchema::read(&command.input)?;
    let mut check = Check::default();
    let filled = object(&mut check, "", &schema.properties, &schema.required, schema.additional, input);
    let mut faults = check.faults;
    match faults.len() {
        0 => Ok(filled),
        1 => Err(faults.remove(0)),
        count => {
            faults.truncate(MOST_FAULTS);
            let mut problem = Problem::bad_request(format!("{count} values do not fit."));
            problem.field = faults.iter().find_map(|f| f.field.clone());
            problem.causes = faults;
            Err(problem)
        }
    }
}

/// Checks one object, the input itself or one nested in it.
fn object(
    check: &mut Check,
    path: &str,
    properties: &IndexMap<String, InputProperty>,
    required: &[String],
    additional: Option<bool>,
    given: &Object,
) -> Object {
    for name in given.keys().filter(|name| !properties.contains_key(*name) && additional != Some(true)) {
        let shown = schema::neutral_text(name);
        let problem = Problem::bad_request(format!("there is no {shown} here.")).at(join(path, &shown));
        check.faults.push(match nearest(name, properties.keys().map(String::as_str)) {
            Some(near) => problem.fix(format!("Did you mean {near}?")),
            None if properties.is_empty() => problem.fix("This takes no values at all."),
            None => {
                let names: Vec<&str> = properties.keys().map(String::as_str).collect();
                problem.fix(format!("There are: {}.", names.join(", ")))
            }
        });
    }
    let mut filled = with_defaults(properties, given);
    for (name, property) in properties {
        let at = join(path, name);
        let needed = required.contains(name) && asked_for(property, &filled);
        match filled.get_mut(name) {
            Some(value) => check.property(&at, property, value),
            None if needed => {
                check.faults.push(Problem::bad_request(format!("{} is needed.", title(name, property))).at(at));
            }
            None => {}
        }
    }
    filled
}

/// `given` in the order of the schema, with defaults where nothing was given.
fn with_defaults(properties: &IndexMap<String, InputProperty>, given: &Object) -> Object {
    let mut filled = given.clone();
    for (name, property) in properties {
        if !filled.contains_key(name) && !property.default.is_null() {
            filled.insert(name.clone(), property.default.clone());
        }
    }
    // A default may bring about what another property waits for, so conditions are judged with all of them in place.
    let idle: Vec<&String> = properties
        .iter()
        .filter(|(name, property)| !given.contains_key(*name) && !asked_for(property, &filled))
        .map(|(name, _)| name)
        .collect();
    let mut ordered: Object = Object::new();
    for name in properties.keys().filter(|name| !idle.contains(name)) {
        if let Some(value) = filled.get(name) {
            ordered.insert(name.clone(), value.clone());
        }
    }
    ordered.extend(filled.into_iter().filter(|(name, _)| !properties.contains_key(name)));
    ordered
}

fn asked_for(property: &InputProperty, input: &Object) -> bool {
    property.when.as_ref().is_none_or(|when| when.holds(input))
}

fn title<'a>(name: &'a str, property: &'a InputProperty) -> &'a str {
    property.title.as_deref().unwrap_or(name)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// What a value is called in a sentence.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(n) if n.is_i64() || n.is_u64() => "a whole number",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests;
