//! Manifest parts from Rust types: input schemas in the profile, commands, tables; and functions over JSON.

use crate::app::Handler;
use crate::{Ctx, Fault, Result};
use futures::future::FutureExt;
use schema::{Code, Command, Manifest, Problem, View};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::future::Future;

/// The input of a command. Made by `#[derive(Args)]`; `()` is no input.
pub trait Args: DeserializeOwned + JsonSchema + Send + 'static {
    /// Fields that a command line takes by position, in order.
    const POSITIONAL: &'static [&'static str] = &[];
}

impl Args for () {}

/// What a command may return.
pub trait Output: Serialize + JsonSchema + 'static {}

impl<T: Serialize + JsonSchema + 'static> Output for T {}

pub(crate) fn empty_manifest(id: &str) -> Manifest {
    let name = id.rsplit('.').next().unwrap_or(id);
    let plugin = json!({"id": id, "name": name, "version": "", "title": title_of(name)});
    serde_json::from_value(json!({"console": schema::CONSOLE_VERSION, "plugin": plugin}))
        .expect("only the plugin is required of a manifest")
}

fn title_of(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

pub(crate) fn command<A: Args, R: Output>(id: &str, title: &str) -> Command {
    let mut command: Command =
        serde_json::from_value(json!({"id": id, "title": title})).expect("id and title are all a command needs");
    // Any of them may tell how far it is, at any time.
    command.progress = true;
    command.input = input_schema::<A>();
    command.output = output_schema::<R>();
    if !A::POSITIONAL.is_empty() {
        let positional = A::POSITIONAL.iter().map(|name| (*name).to_owned()).collect();
        command.cli = Some(schema::CliHints { positional, ..schema::CliHints::default() });
    }
    command
}

pub(crate) fn table(title: &str, of: &str) -> View {
    let id: String = title.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    serde_json::from_value(json!({"id": id, "kind": "table", "title": title, "of": of}))
        .expect("id, kind and title are all a view needs")
}

/// The settings of a module: rows of the core, which its console shows with the control of each type.
pub(crate) fn settings(module: &str) -> View {
    serde_json::from_value(json!({
        "id": "settings", "kind": "settings", "title": "Settings", "of": "fleet.setting", "icon": "settings",
        "columns": ["title", "place", "group", "machine", "value", "default", "changed_at", "changed_by"],
        "filter": [{"field": "module", "op": "eq", "value": module}], "sort": ["title", "place"],
        "row": ["fleet.change-setting", "fleet.reset-setting"],
    }))
    .expect("a view is plain data")
}

fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|s| {
        s.inline_subschemas = true;
        s.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// The schema of an input, brought into the profile.
pub(crate) fn input_schema<A: Args>() -> Value {
    let mut schema = schema_of::<A>();
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        return json!({"type": "object", "properties": {}, "additionalProperties": false});
    }
    if let Some(root) = schema.as_object_mut() {
        root.remove("title");
    }
    into_profile(&mut schema);
    schema
}

fn output_schema<R: Output>() -> Option<Value> {
    let mut schema = schema_of::<R>();
    let root = schema.as_object_mut()?;
    root.remove("title");
    if root.is_empty() || root.get("type").and_then(Value::as_str) == Some("null") {
        return None;
    }
    Some(schema)
}

/// Rewrites what schemars says in a way the profile does not have.
fn into_profile(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    for keyword in ["anyOf", "oneOf"] {
        let alone = object.get(keyword).and_then(Value::as_array).and_then(|all| without_null(all));
        if let Some(Value::Object(inner)) = alone {
            object.remove(keyword);
            for (name, value) in inner {
                object.entry(name).or_insert(value);
            }
        }
    }
    if let Some(Value::Array(choices)) = object.get_mut("oneOf") {
        *choices = std::mem::take(choices).into_iter().flat_map(single_choices).collect();
        choices.iter_mut().for_each(choice);
    }
    let is_address = matches!(object.get("format").and_then(Value::as_str), Some("ip" | "ipv4" | "ipv6"));
    if is_address {
        object.entry("x-type").or_insert(json!("ip"));
    }
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        properties.values_mut().for_each(into_profile);
    }
    if let Some(items) = object.get_mut("items") {
        into_profile(items);
    }
}

/// The only alternative besides `null`, if that is all there is.
fn without_null(all: &[Value]) -> Option<Value> {
    let is_null = |one: &Value| one.get("type").and_then(Value::as_str) == Some("null");
    let mut rest = all.iter().filter(|one| !is_null(one));
    match (rest.next(), rest.next()) {
        (Some(only), None) if all.len() == 2 => Some(only.clone()),
        _ => None,
    }
}

/// Choices without a description come together as one `enum`.
fn single_choices(one: Value) -> Vec<Value> {
    match one.get("enum").and_then(Value::as_array) {
        Some(values) => values.iter().map(|value| json!({"type": "string", "const": value})).collect(),
        None => vec![one],
    }
}

/// Gives a choice the title the profile asks for.
fn choice(one: &mut Value) {
    let Some(object) = one.as_object_mut() else { return };
    if let Some(value) = object.get("const").and_then(Value::as_str) {
        let title = title_of(&value.replace('_', " "));
        object.entry("title").or_insert(json!(title));
    }
}

/// A typed function as one over JSON; `what` names the payload in a problem.
pub(crate) fn typed<A, R, F, Fut>(what: &'static str, function: F) -> Handler
where
    A: DeserializeOwned + Send + 'static,
    R: Serialize + 'static,
    F: Fn(Ctx, A) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R>> + Send + 'static,
{
    std::sync::Arc::new(move |ctx, payload| {
        let future = read::<A>(what, payload).map(|args| function(ctx, args));
        async move { Ok(serde_json::to_value(future?.await?)?) }.boxed()
    })
}

fn read<A: DeserializeOwned + 'static>(what: &'static str, payload: Value) -> Result<A> {
    // `()` as an input is an empty object to the caller.
    let payload = if std::any::TypeId::of::<A>() == std::any::TypeId::of::<()>() { Value::Null } else { payload };
    serde_json::from_value(payload)
        .map_err(|e| Fault(Problem::new(Code::BadRequest, format!("it cannot be read: {e}.")).at(what)))
}
