//! The HTTP API as an OpenAPI 3.1 document: the core's own endpoints, and one path per view and command.

mod fixed;
mod schemas;

use crate::shape::Shape;
use fixed::{by_cookie_or_token, problems};
use schema::{Command, Manifest, Object, TargetKind, View};
use serde_json::{Value, json};

/// The document for a site with these manifests.
pub fn document(manifests: &[Manifest]) -> Value {
    let mut paths = fixed::paths();
    let mut components = fixed::schemas();
    for manifest in manifests {
        for view in manifest.views.iter().filter(|view| view.kind.has_rows()) {
            view_paths(&mut paths, &mut components, manifests, manifest, view);
        }
        for command in &manifest.commands {
            command_path(&mut paths, &mut components, manifest, command);
        }
    }
    let tags: Vec<Value> = manifests
        .iter()
        .map(|m| json!({"name": m.plugin.name, "description": text(&m.plugin.title, &m.plugin.description)}))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Bailiwick",
            "version": "1",
            "description": "One console for everything a network manager looks after. Errors are problem+json; what changes something becomes a job.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"}
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "security": by_cookie_or_token(),
        "paths": paths,
        "components": {"schemas": components, "responses": fixed::responses(), "securitySchemes": fixed::security_schemes()}
    })
}

fn text(title: &str, description: &str) -> String {
    if description.is_empty() { title.to_owned() } else { format!("{title}. {description}") }
}

fn view_paths(paths: &mut Object, components: &mut Object, manifests: &[Manifest], manifest: &Manifest, view: &View) {
    let Some(shape) = Shape::of(manifests, manifest, view) else { return };
    let (name, id) = (&manifest.plugin.name, &view.id);
    let row = format!("{name}.{id}.row");
    components.insert(row.clone(), schemas::row(&shape, &view.title));
    let base = format!("/api/v1/{name}/{id}");
    let paged = [fixed::paging(), fixed::selection(), view_params(view)].concat();
    let link =
        json!({"description": "The next page, `rel=\"next\"`; absent on the last", "schema": {"type": "string"}});
    let rows = json!({
        "description": "Rows, in the order asked for",
        "headers": {"Link": link},
        "content": {
            "application/json": {"schema": {"type": "array", "items": reference(&row)}},
            "application/vnd.bailiwick.columns+json": {"schema": reference("Columns")},
            "text/csv": {"schema": {"type": "string"}}
        }
    });
    paths.insert(base.clone(), get(name, &format!("{name}.{id}"), &text(&view.title, &view.description), paged, rows));
    let selected = [fixed::selection(), view_params(view)].concat();
    let count = fixed::answer(
        "How many rows there are",
        json!({"type": "object", "required": ["count"],
        "properties": {"count": {"type": "integer", "minimum": 0}}}),
    );
    let title = format!("Count: {}", view.title);
    paths.insert(format!("{base}/count"), get(name, &format!("{name}.{id}.count"), &title, selected.clone(), count));
    let facets = fixed::answer(
        "Values of each field with their counts",
        json!({"type": "object", "additionalProperties": {"type": "array", "items": reference("Facet")}}),
    );
    let fields = json!({"name": "fields", "in": "query", "required": true, "schema": {"type": "string", "minLength": 1},
        "description": "Fields to count by, with commas between them"});
    let faceted = [vec![fields], selected.into_iter().filter(|p| p["name"] != "fields").collect()].concat();
    let title = format!("Values: {}", view.title);
    paths.insert(format!("{base}/facets"), get(name, &format!("{name}.{id}.facets"), &title, faceted, facets));
}

fn get(tag: &str, id: &str, summary: &str, parameters: Vec<Value>, answer: Value) -> Value {
    let responses = with_problems(200, answer, &[400, 401, 403, 404, 429, 503, 504]);
    json!({"get": {"tags": [tag], "operationId": format!("view.{id}"), "summary": summary,
        "parameters": parameters, "responses": responses}})
}

/// Values that a view needs before it can be shown, as one JSON parameter.
fn view_params(view: &View) -> Vec<Value> {
    if view.params.is_empty() {
        return Vec::new();
    }
    let properties: Object = view.params.iter().map(|(name, field)| (name.clone(), schemas::field(field))).collect();
    let schema = json!({"type": "object", "properties": properties});
    vec![json!({"name": "params", "in": "query", "description": "What the view needs to know, as JSON",
        "content": {"application/json": {"schema": schema}}})]
}

fn command_path(paths: &mut Object, components: &mut Object, manifest: &Manifest, command: &Command) {
    let id = manifest.command_id(&command.id);
    let input = format!("{id}.input");
    // Exactly the manifest's schema: programs that read it here, in the manifest or elsewhere see the same bytes.
    components.insert(input.clone(), command.input.clone());
    if let Some(output) = &command.output {
        components.insert(format!("{id}.output"), output.clone());
    }
    let body = match command.target.on {
        TargetKind::Machine => with_target(command, &input),
        TargetKind::Group => with_group(command, &input),
        TargetKind::Administrator | TargetKind::None => reference(&input),
    };
    let examples = |n: usize, example: &Object| (format!("example{}", n + 1), json!({"value": example}));
    let mut content = json!({"schema": body});
    if !command.examples.is_empty() && matches!(command.target.on, TargetKind::Administrator | TargetKind::None) {
        content["examples"] =
            command.examples.iter().enumerate().map(|(n, e)| examples(n, e)).collect::<Object>().into();
    }
    let responses = with_problems(202, fixed::job_started(), &[400, 401, 403, 404, 409, 413, 415, 429, 503]);
    let mut operation = json!({
        "tags": [manifest.plugin.name], "operationId": format!("command.{id}"),
        "summary": command.title, "parameters": [fixed::idempotency_key()],
        "requestBody": {"required": true, "content": {"application/json": content}},
        "responses": responses,
        "x-effect": command.effect, "x-cancel": command.cancel, "x-on-interrupt": command.on_interrupt
    });
    if !command.description.is_empty() {
        operation["description"] = command.description.clone().into();
    }
    if command.output.is_some() {
        operation["x-result"] = reference(&format!("{id}.output"));
    }
    paths.insert(format!("/api/v1/commands/{id}"), json!({"post": operation}));
}

fn with_target(command: &Command, input: &str) -> Value {
    let one = json!({"type": "string", "minLength": 1, "description": "Name or id of the machine to run it on"});
    let many = json!({"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1},
        "description": "Names or ids of the machines to run it on"});
    let group =
        json!({"type": "string", "minLength": 1, "description": "Name or id of a group of machines to run it on"});
    let mut body = merged(command, input, vec![("machine", one), ("machines", many), ("group", group)]);
    let ways = ["machine", "machines", "group"].map(|name| json!({"required": [name]}));
    body["oneOf"] = json!(ways);
    body
}

fn with_group(command: &Command, input: &str) -> Value {
    let group = json!({"type": "string", "minLength": 1, "description": "Name or id of the group"});
    merged(command, input, vec![("group", group)])
}

/// The input's schema with the target beside its properties, as the body carries them.
fn merged(command: &Command, input: &str, target: Vec<(&str, Value)>) -> Value {
    let mut body = command.input.clone();
    let properties = body.as_object_mut().map(|b| b.entry("properties").or_insert_with(|| json!({})));
    if let Some(Value::Object(properties)) = properties {
        for (name, schema) in target {
            properties.entry(name).or_insert(schema);
        }
    }
    body["x-input"] = reference(input);
    body
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn with_problems(status: u16, answer: Value, codes: &[u16]) -> Value {
    let mut responses = Object::new();
    responses.insert(status.to_string(), answer);
    responses.extend(problems(codes));
    responses.into()
}

#[cfg(test)]
mod tests;
