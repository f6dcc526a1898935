//! The endpoints that every site has, whatever its plugins.

use schema::{Code, DEFAULT_LIMIT, JobState, MAX_LIMIT, Object, Op};
use serde_json::{Value, json};

pub(super) fn by_cookie_or_token() -> Value {
    json!([{"token": []}, {"session": []}])
}

pub(super) fn security_schemes() -> Value {
    json!({
        "token": {"type": "http", "scheme": "bearer", "description": "An API token, `bw_…`"},
        "session": {"type": "apiKey", "in": "cookie", "name": "bailiwick_session",
            "description": "A session of the console. What changes something then needs an `Origin` of this site."}
    })
}

/// Responses of these codes, and of every other, as problems.
pub(super) fn problems(codes: &[u16]) -> Object {
    let reference = |name: String| json!({"$ref": format!("#/components/responses/{name}")});
    let mut responses: Object =
        codes.iter().map(|code| (code.to_string(), reference(format!("Problem{code}")))).collect();
    responses.insert("default".into(), reference("Problem".into()));
    responses
}

pub(super) fn responses() -> Object {
    let problem = |description: &str| {
        json!({"description": description,
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}})
    };
    let mut responses = Object::new();
    responses.insert("Problem".into(), problem("It did not happen"));
    for (code, description) in [
        (400, "Something in the request does not fit; `field` says where"),
        (401, "Nobody is signed in, or the token is not valid"),
        (403, "The role does not hold the permission, or the request came from another site"),
        (404, "There is no such thing, or it is out of reach"),
        (405, "This address has other methods"),
        (409, "It does not go with the state things are in"),
        (413, "The request is too large"),
        (415, "The body is not JSON"),
        (426, "This address speaks WebSocket"),
        (429, "Too much at once; `retry_after_ms` says how long to wait"),
        (503, "Not available at the moment"),
        (504, "It took too long"),
    ] {
        responses.insert(format!("Problem{code}"), problem(description));
    }
    responses
}

pub(super) fn answer(description: &str, schema: Value) -> Value {
    json!({"description": description, "content": {"application/json": {"schema": schema}}})
}

pub(super) fn idempotency_key() -> Value {
    json!({"name": "Idempotency-Key", "in": "header", "required": false,
        "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
        "description": "A repeat with the same key is answered with the same job"})
}

pub(super) fn job_started() -> Value {
    let location = json!({"description": "Address of the job", "schema": {"type": "string"}});
    json!({"description": "The job that carries it out", "headers": {"Location": location},
        "content": {"application/json": {"schema": {"type": "object", "required": ["job"],
            "properties": {"job": {"type": "string", "format": "uuid"}}}}}})
}

fn query(name: &str, description: &str, schema: Value) -> Value {
    json!({"name": name, "in": "query", "description": description, "schema": schema})
}

pub(super) fn paging() -> Vec<Value> {
    let limit = json!({"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT});
    vec![
        query(
            "sort",
            "Fields to order by, with commas between them; `-` in front for the other way round",
            json!({"type": "string"}),
        ),
        query("limit", "Most rows of the page", limit),
        query("after", "Cursor of the page before, from its `Link`", json!({"type": "string"})),
        query("format", "`csv` streams an export", json!({"type": "string", "enum": ["json", "csv"]})),
        query("group", "Count by the values of this field instead", json!({"type": "string"})),
    ]
}

/// What narrows a list.
pub(super) fn selection() -> Vec<Value> {
    let filters = json!({"type": "array", "items": {"$ref": "#/components/schemas/Filter"}});
    vec![
        query("q", "Every word must occur", json!({"type": "string", "maxLength": 1000})),
        json!({"name": "where", "in": "query", "description": "All must hold",
            "content": {"application/json": {"schema": filters}}}),
        query("fields", "Fields to return, with commas between them", json!({"type": "string"})),
        query("at", "As of this time, where history is kept", json!({"type": "string", "format": "date-time"})),
        query("key", "Only the row with this key", json!({"type": "string"})),
    ]
}

struct Endpoint {
    method: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    status: u16,
    answer: Value,
    problems: &'static [u16],
    public: bool,
}

impl Endpoint {
    fn get(path: &'static str, id: &'static str, summary: &'static str, answer: Value) -> Endpoint {
        let problems = &[400, 401, 403, 404, 429, 503];
        Endpoint {
            method: "get",
            path,
            id,
            summary,
            parameters: Vec::new(),
            body: None,
            status: 200,
            answer,
            problems,
            public: false,
        }
    }

    fn post(
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        body: Option<Value>,
        answer: Value,
    ) -> Endpoint {
        let problems = &[400, 401, 403, 404, 409, 413, 415, 429, 503];
        Endpoint { method: "post", body, problems, ..Endpoint::get(path, id, summary, answer) }
    }

    fn socket(path: &'static str, id: &'static str, summary: &'static str) -> Endpoint {
        let upgraded = json!({"description": "The connection speaks WebSocket from here on"});
        let problems = &[400, 401, 403, 404, 426, 429, 503];
        Endpoint { status: 101, problems, ..Endpoint::get(path, id, summary, upgraded) }
    }

    fn public(mut self) -> Endpoint {
        self.public = true;
        self
    }

    fn status(mut self, status: u16) -> Endpoint {
        self.status = status;
        self
    }

    fn with(mut self, parameters: Vec<Value>) -> Endpoint {
        self.parameters = parameters;
        self
    }

    fn operation(self) -> Value {
        let mut responses = Object::new();
        responses.insert(self.status.to_string(), self.answer);
        responses.extend(problems(self.problems));
        let mut operation = json!({"tags": ["core"], "operationId": self.id, "summary": self.summary,
            "parameters": self.parameters, "responses": responses});
        if let Some(body) = self.body {
            operation["requestBody"] = json!({"required": true, "content": {"application/json": {"schema": body}}});
        }
        if self.public {
            operation["security"] = json!([]);
        }
        operation
    }
}

fn job_id() -> Value {
    json!({"name": "id", "in": "path", "required": true, "schema": {"type": "string", "format": "uuid"}})
}

fn closed(properties: Value) -> Value {
    let required: Vec<&String> = properties.as_object().map(|p| p.keys().collect()).unwrap_or_default();
    json!({"type": "object", "required": required, "additionalProperties": false, "properties": properties})
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn endpoints() -> Vec<Endpoint> {
    let word = json!({"type": "string", "minLength": 1, "maxLength": 1024});
    let session = || answer("Who is signed in", reference("Session"));
    let done = || json!({"description": "Done"});
    let sign_in = closed(json!({"name": word, "password": word}));
    let change = closed(json!({"old": word, "new": word}));
    let stream = json!({"name": "stream", "in": "path", "required": true, "schema": {"type": "string", "pattern": "^[a-z][a-z0-9-]{0,31}$"}});
    vec![
        Endpoint::get("/api/v1/session", "session.show", "Who is signed in, and what they may do", session()),
        Endpoint::post("/api/v1/session", "session.open", "Sign in", Some(sign_in.clone()), session()).public(),
        Endpoint {
            method: "delete",
            ..Endpoint::post("/api/v1/session", "session.close", "Sign out", None, done()).status(204)
        },
        Endpoint::post(
            "/api/v1/session/link",
            "session.link",
            "Sign in with a one-time link",
            Some(closed(json!({"token": word}))),
            session(),
        )
        .public(),
        Endpoint::post(
            "/api/v1/session/setup",
            "session.setup",
            "Give the first operator a name and password, once",
            Some(sign_in),
            session(),
        ),
        Endpoint::post(
            "/api/v1/session/password",
            "session.password",
            "Change one's own password; other sessions end",
            Some(change),
            done(),
        )
        .status(204),
        Endpoint::get(
            "/api/v1/manifests",
            "manifests",
            "What every module stores, shows and can do",
            answer(
                "One manifest a module, the core's own first",
                json!({"type": "array", "items": {"type": "object"}}),
            ),
        ),
        Endpoint::get("/api/v1/jobs/{id}", "jobs.show", "A job", answer("The job as it is now", reference("Job")))
            .with(vec![job_id()]),
        Endpoint::post("/api/v1/jobs/{id}/cancel", "jobs.cancel", "Cancel a job", None, done())
            .status(202)
            .with(vec![job_id()]),
        Endpoint::socket(
            "/api/v1/jobs/{id}/events",
            "jobs.events",
            "Follow a job (WebSocket; text messages, the whole job first)",
        )
        .with(vec![job_id()]),
        Endpoint::socket(
            "/api/v1/jobs/{id}/streams/{stream}",
            "jobs.stream",
            "A byte stream of a job (WebSocket; binary messages, credits as text)",
        )
        .with(vec![job_id(), stream.clone()]),
        Endpoint::get(
            "/api/v1/jobs/{id}/streams/{stream}/file",
            "jobs.file",
            "Save a byte stream of a job, where its command declares it as a file",
            json!({"description": "The bytes, as they come", "content": {"application/octet-stream": {}}}),
        )
        .with(vec![job_id(), stream]),
        Endpoint::socket("/api/v1/live", "live", "Rows and their changes as they happen (WebSocket)"),
        Endpoint::get(
            "/openapi.json",
            "openapi",
            "This document",
            answer("An OpenAPI 3.1 document", json!({"type": "object"})),
        )
        .public(),
    ]
}

pub(super) fn paths() -> Object {
    let mut paths = Object::new();
    for endpoint in endpoints() {
        let entry = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        let method = endpoint.method;
        entry[method] = endpoint.operation();
    }
    paths
}

pub(super) fn schemas() -> Object {
    let words = |list: Vec<&str>| json!({"type": "string", "enum": list});
    let time = json!({"type": ["string", "null"], "format": "date-time"});
    let states = words(JobState::ALL.map(JobState::as_str).to_vec());
    let labelled = json!({"oneOf": [{"$ref": "#/components/schemas/Reference"}, {"type": "null"}]});
    let ops = [Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge, Op::In, Op::Contains, Op::Prefix, Op::Empty];
    let list = |item: Value| json!({"type": "array", "items": item});
    let schemas = json!({
        "Problem": {"type": "object", "required": ["code", "message"], "properties": {
            "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
            "code": words(Code::ALL.map(Code::as_str).to_vec()),
            "message": {"type": "string"}, "field": {"type": "string"}, "fix": {"type": "string"},
            "retryable": {"type": "boolean"}, "retry_after_ms": {"type": "integer", "minimum": 0},
            "causes": list(reference("Problem")), "trace_id": {"type": "string"}}},
        "Reference": {"type": "object", "required": ["id", "label"], "properties": {
            "id": {"type": "string"}, "label": {"type": ["string", "null"]}}},
        "Filter": {"type": "object", "required": ["field"], "additionalProperties": false, "properties": {
            "field": {"type": "string", "minLength": 1}, "op": {"enum": ops, "default": "eq"}, "value": {}}},
        "Facet": {"type": "object", "required": ["value", "count"], "properties": {
            "value": {}, "count": {"type": "integer", "minimum": 0}}},
        "Columns": {"type": "object", "required": ["columns", "rows", "keys"], "properties": {
            "columns": list(json!({"type": "string"})), "rows": list(json!({"type": "array"})),
            "keys": list(json!({"type": "string"})), "next": {"type": ["string", "null"]}}},
        "Progress": {"type": "object", "properties": {
            "fraction": {"type": ["number", "null"], "minimum": 0, "maximum": 1}, "text": {"type": "string"},
            "amount": {"type": ["object", "null"], "required": ["done", "unit"], "properties": {
                "done": {"type": "integer", "minimum": 0}, "total": {"type": ["integer", "null"], "minimum": 0},
                "unit": words(vec!["bytes", "items"])}}}},
        "Session": {"type": "object", "required": ["operator", "permissions"], "properties": {
            "operator": {"type": "object", "required": ["id", "name", "role"], "properties": {
                "id": {"type": "string"}, "name": {"type": "string"}, "role": words(vec!["manager", "operator", "auditor"]),
                "setup": {"type": "boolean", "description": "Still without a name and password"}}},
            "permissions": list(json!({"type": "string"})), "version": {"type": "string"}, "site": {"type": "string"},
            "secure": {"type": "boolean"}}},
        "Job": {"type": "object", "required": ["id", "command", "state"], "properties": {
            "id": {"type": "string", "format": "uuid"}, "parent": {"type": ["string", "null"]},
            "command": {"type": "string"}, "title": {"type": "string"}, "state": states, "target": {},
            "machine": labelled, "progress": {"oneOf": [reference("Progress"), {"type": "null"}]},
            "created_at": time, "started_at": time, "ended_at": time, "operator": {"type": ["string", "null"]},
            "input": {"type": "object"}, "result": {}, "problem": {"oneOf": [reference("Problem"), {"type": "null"}]},
            "streams": {"type": "array"}, "children": list(json!({"type": "object", "properties": {
                "id": {"type": "string"}, "machine": labelled, "state": states}})),
            "log": list(json!({"type": "object", "properties": {
                "at": time, "level": {"type": "string"}, "text": {"type": "string"}}}))}},
    });
    match schemas {
        Value::Object(map) => map,
        _ => Object::new(),
    }
}
