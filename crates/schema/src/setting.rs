//! Settings: what a value must be, how those of several groups become one, and which of two is stricter. Who gave a
//! value, and where it is kept, is not known here.

use crate::{Field, FieldType, Hours, Object, Problem, check_value};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One setting that an operator may give the site, a group or a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    pub title: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(rename = "type")]
    pub kind: FieldType,
    pub default: Value,
    /// How the values of several groups become one.
    #[serde(default)]
    pub merge: SettingMerge,
    /// Which way is stricter; without it a machine's own file has no say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stricter: Option<Stricter>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettingMerge {
    #[default]
    Priority,
    Union,
    Min,
    Max,
    All,
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stricter {
    Lower,
    Higher,
    Fewer,
    More,
    /// Of paths: each is one of those, or below one.
    Beneath,
    #[serde(rename = "true")]
    On,
    #[serde(rename = "false")]
    Off,
}

impl Setting {
    /// Whether `value` may be given to the setting; null stands for none.
    ///
    /// # Errors
    /// A `bad_request` problem that says what was expected, at `name`.
    pub fn check(&self, name: &str, value: &Value) -> Result<(), Problem> {
        check_value(name, &Field::new(&self.title, self.kind), value)
    }

    /// The one value that several come to, the most important first; `None` where none is given.
    pub fn merged<'a>(&self, values: impl IntoIterator<Item = &'a Value>) -> Option<Value> {
        let values = values.into_iter().filter(|value| !value.is_null());
        values.cloned().reduce(|one, other| self.merge.of_two(one, &other))
    }

    /// Whether `value` limits at least as much as `than`; never without a direction. Null limits nothing.
    pub fn is_as_strict(&self, value: &Value, than: &Value) -> bool {
        match self.stricter {
            Some(_) if than.is_null() => true,
            Some(_) if value.is_null() => false,
            Some(stricter) => stricter.holds(value, than),
            None => false,
        }
    }

    /// What is wrong with the declaration itself.
    pub(crate) fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        if let Err(problem) = self.check("default", &self.default) {
            faults.push(("default", problem.message));
        }
        if !self.merge.fits(self.kind) {
            faults.push(("merge", "the rule does not fit the type of the setting".to_owned()));
        }
        if self.stricter.is_some_and(|stricter| !stricter.fits(self.kind)) {
            faults.push(("stricter", "the direction does not fit the type of the setting".to_owned()));
        }
        faults
    }
}

impl SettingMerge {
    fn fits(self, kind: FieldType) -> bool {
        match self {
            SettingMerge::Priority => true,
            SettingMerge::Union => is_list(kind),
            SettingMerge::Min | SettingMerge::Max => kind.is_number(),
            SettingMerge::All | SettingMerge::Any => kind == FieldType::Bool,
        }
    }

    /// Of values the rule does not fit, the more important one counts.
    fn of_two(self, one: Value, other: &Value) -> Value {
        let replaced = match self {
            SettingMerge::Priority => false,
            SettingMerge::Min => less(other, &one),
            SettingMerge::Max => less(&one, other),
            SettingMerge::All => *other == Value::Bool(false),
            SettingMerge::Any => *other == Value::Bool(true),
            SettingMerge::Union => return union(one, other),
        };
        if replaced { other.clone() } else { one }
    }
}

impl Stricter {
    fn fits(self, kind: FieldType) -> bool {
        match self {
            Stricter::Lower | Stricter::Higher => kind.is_number(),
            Stricter::Fewer | Stricter::More => is_list(kind) || kind == FieldType::Hours,
            Stricter::Beneath => is_list(kind),
            Stricter::On | Stricter::Off => kind == FieldType::Bool,
        }
    }

    fn holds(self, value: &Value, than: &Value) -> bool {
        match self {
            Stricter::Lower => value == than || at_most(value, than),
            Stricter::Higher => value == than || at_most(than, value),
            Stricter::Fewer => within(value, than),
            Stricter::More => within(than, value),
            Stricter::Beneath => beneath(value, than),
            Stricter::On => value == than || *value == Value::Bool(true),
            Stricter::Off => value == than || *value == Value::Bool(false),
        }
    }
}

/// The settings in force: each one's value merged from `given`, the most important first, or its default. Values that
/// no longer fit the manifest count as not given.
pub fn effective_settings(settings: &IndexMap<String, Setting>, given: &[&Object]) -> Object {
    let one = |(name, setting): (&String, &Setting)| {
        let values = given.iter().filter_map(|values| values.get(name));
        let merged = setting.merged(values.filter(|value| setting.check(name, value).is_ok()));
        (name.clone(), merged.unwrap_or_else(|| setting.default.clone()))
    };
    settings.iter().map(one).collect()
}

/// Puts a machine's own values over those in force where they are at least as strict; a problem for each that is left
/// out.
pub fn tighten_settings(settings: &IndexMap<String, Setting>, in_force: &mut Object, own: &Object) -> Vec<Problem> {
    let mut ignored = Vec::new();
    for (name, value) in own {
        match tightened(settings.get(name), name, in_force.get(name).unwrap_or(&Value::Null), value) {
            Ok(()) => drop(in_force.insert(name.clone(), value.clone())),
            Err(problem) => ignored.push(problem),
        }
    }
    ignored
}

fn tightened(setting: Option<&Setting>, name: &str, in_force: &Value, own: &Value) -> Result<(), Problem> {
    let refused = |reason: &str| Err(Problem::bad_request(format!("The setting {name} {reason}.")).at(name));
    let Some(setting) = setting else { return refused("does not exist") };
    setting.check(name, own)?;
    if setting.stricter.is_none() {
        return refused("limits nothing, so a machine's own file has no say in it");
    }
    if !setting.is_as_strict(own, in_force) {
        return refused(&format!("is {own} here, which is not as strict as {in_force}"));
    }
    Ok(())
}

/// The variable of the environment that gives a setting to a module that runs alone.
pub fn setting_variable(module: &str, setting: &str) -> String {
    format!("BAILIWICK_{}_{}", module.replace('-', "_"), setting).to_uppercase()
}

fn is_list(kind: FieldType) -> bool {
    matches!(kind, FieldType::Tags | FieldType::Refs)
}

fn less(value: &Value, than: &Value) -> bool {
    matches!((value.as_f64(), than.as_f64()), (Some(value), Some(than)) if value < than)
}

fn at_most(value: &Value, than: &Value) -> bool {
    matches!((value.as_f64(), than.as_f64()), (Some(value), Some(than)) if value <= than)
}

/// Whether every element of the one list, or every minute of the one's hours, is in the other too.
fn within(inner: &Value, outer: &Value) -> bool {
    match (inner, outer) {
        (Value::Array(inner), Value::Array(outer)) => inner.iter().all(|one| outer.contains(one)),
        (Value::String(inner), Value::String(outer)) => match (inner.parse::<Hours>(), outer.parse::<Hours>()) {
            (Ok(inner), Ok(outer)) => inner.within(outer),
            _ => inner.is_empty() || inner == outer,
        },
        _ => inner == outer,
    }
}

/// Whether every path of the one list is in the other or below a path of it.
fn beneath(inner: &Value, outer: &Value) -> bool {
    let (Value::Array(inner), Value::Array(outer)) = (inner, outer) else { return inner == outer };
    let is_beneath = |path: &str, above: &str| {
        let is_plain = path.split('/').all(|name| name != "..");
        let rest = path.strip_prefix(above.trim_end_matches('/'));
        path == above || is_plain && rest.is_some_and(|rest| rest.starts_with('/'))
    };
    let beneath_any = |path: &Value| {
        outer.iter().any(|above| match (path.as_str(), above.as_str()) {
            (Some(path), Some(above)) => is_beneath(path, above),
            _ => path == above,
        })
    };
    inner.iter().all(beneath_any)
}

fn union(one: Value, other: &Value) -> Value {
    match (one, other.as_array()) {
        (Value::Array(mut all), Some(more)) => {
            for value in more {
                if !all.contains(value) {
                    all.push(value.clone());
                }
            }
            Value::Array(all)
        }
        (one, _) => one,
    }
}

#[cfg(test)]
mod tests;
