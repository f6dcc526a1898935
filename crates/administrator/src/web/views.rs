//! `GET /api/v1/<name>/<view>` and what belongs to it: counts, facets, exports, live updates, manifests.

use super::auth::Caller;
use super::problem::Answer;
use super::query_string::{self, ViewRequest};
use super::{live, rows};
use crate::app::App;
use axum::body::Body;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use database::Scope;
use jiff::Timestamp;
use schema::{Manifest, Object, Problem};
use serde_json::{Value, json};
use std::sync::Arc;
use surface::Shape;
use surface::cli::{self, Format, Page};

/// What a client asks for to get rows by column.
const COLUMNS: &str = "application/vnd.bailiwick.columns+json";
/// Largest frame of a live connection from a client.
const MAX_LIVE_MESSAGE: usize = 64 * 1024;

pub(super) async fn rows(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((name, view)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer<Response> {
    let mut request = query_string::read(query.as_deref(), false)?;
    if let Some(key) = &request.key {
        rows::by_key(&mut request.query, key);
    }
    if request.csv {
        return csv(app, caller, name, view, request).await;
    }
    if request.query.group.is_some() {
        return Ok(Json(groups(&app, &caller, &name, &view, request).await?).into_response());
    }
    let answered = rows::answer(&app, &caller, &name, &view, &request.query).await?;
    if headers.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes() == COLUMNS.as_bytes()) {
        let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static(COLUMNS))];
        return Ok((content_type, Json(answered)).into_response());
    }
    let next = answered.next.clone();
    let mut response = Json(answered.into_objects()).into_response();
    if let Some(next) = next {
        let link = format!("<{}>; rel=\"next\"", next_address(&name, &view, query.as_deref(), &next));
        if let Ok(link) = HeaderValue::from_str(&link) {
            response.headers_mut().insert(header::LINK, link);
        }
    }
    Ok(response)
}

fn next_address(name: &str, view: &str, query: Option<&str>, next: &str) -> String {
    let kept = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).filter(|(key, _)| key != "after");
    let mut address = url::form_urlencoded::Serializer::new(format!("/api/v1/{name}/{view}?"));
    address.extend_pairs(kept).append_pair("after", next);
    address.finish().replacen("?&", "?", 1)
}

async fn groups(
    app: &Arc<App>,
    caller: &Caller,
    name: &str,
    view: &str,
    request: ViewRequest,
) -> Result<Value, Problem> {
    let field = request.query.group.clone().unwrap_or_default();
    let counted = count_by(app, caller, name, view, request, vec![field.clone()]).await?;
    Ok(counted.get(&field).cloned().unwrap_or_default())
}

pub(super) async fn count(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((name, view)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Answer<Json<Value>> {
    let request = query_string::read(query.as_deref(), false)?;
    let (_, asked) = rows::prepare(&app, &caller, &name, &view, &request.query)?;
    let count =
        app.database.read(move |store| Ok(store.count(&asked.type_id, &asked.query, &Scope::Everything)?)).await?;
    Ok(Json(json!({"count": count})))
}

pub(super) async fn facets(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((name, view)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Answer<Json<Object>> {
    let request = query_string::read(query.as_deref(), true)?;
    let fields = request.facets.clone();
    if fields.is_empty() || fields.len() > 20 {
        return Err(Problem::bad_request("say which fields to count by: fields=a,b, at most 20.").at("fields").into());
    }
    Ok(Json(count_by(&app, &caller, &name, &view, request, fields).await?))
}

/// Counts by the values of each field, each without the filters on that field itself, so that a choice can be widened.
async fn count_by(
    app: &Arc<App>,
    caller: &Caller,
    name: &str,
    view: &str,
    request: ViewRequest,
    fields: Vec<String>,
) -> Result<Object, Problem> {
    let (_, asked) = rows::prepare(app, caller, name, view, &request.query)?;
    let read = move |store: &database::Read<'_>| {
        let mut counted = Object::new();
        for field in fields {
            let values = store.facets(&asked.type_id, &asked.query, &field, &Scope::Everything)?;
            let values = values.into_iter().map(|facet| json!({"value": facet.value, "count": facet.count}));
            counted.insert(field, values.collect());
        }
        Ok(counted)
    };
    Ok(app.database.read(read).await?)
}

/// The whole view as CSV, page by page, so that an export of any length needs the memory of one page.
async fn csv(app: Arc<App>, caller: Caller, name: String, view: String, request: ViewRequest) -> Answer<Response> {
    let mut query = request.query;
    query.page.limit = Some(schema::MAX_LIMIT);
    let first = rows::answer(&app, &caller, &name, &view, &query).await?;
    let mut shape = shape(&app, &name, &view)?;
    if let Some(fields) = &query.fields {
        shape = shape.only(fields);
    }
    let file = format!("attachment; filename=\"{name}-{view}.csv\"");
    let state = (Some(first), true, query);
    let pages = futures::stream::unfold(state, move |(page, with_head, mut query)| {
        let (app, caller, name, view) = (app.clone(), caller.clone(), name.clone(), view.clone());
        let shape = shape.clone();
        async move {
            let page = page?;
            let next = page.next.clone();
            let text = sheet(&shape, page, with_head);
            let following = match next {
                None => None,
                Some(after) => {
                    query.page.after = Some(after);
                    match rows::answer(&app, &caller, &name, &view, &query).await {
                        Ok(page) => Some(page),
                        // A cut-off body is how the client learns that the export is not whole.
                        Err(problem) => return Some((Err(problem), (None, false, query))),
                    }
                }
            };
            Some((Ok(text), (following, false, query)))
        }
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_str(&file).unwrap_or(HeaderValue::from_static("attachment"))),
    ];
    Ok((headers, Body::from_stream(pages)).into_response())
}

fn shape(app: &App, name: &str, view: &str) -> Result<Shape, Problem> {
    let modules = app.modules.current();
    let manifests: Vec<Manifest> = modules.manifests().cloned().collect();
    let (manifest, view) = modules.view(name, view)?;
    Shape::of(&manifests, manifest, view).ok_or_else(|| Problem::not_found("the view has no rows."))
}

/// A page as CSV; only the first one has a heading.
fn sheet(shape: &Shape, page: rows::Answered, with_head: bool) -> String {
    let layout = Page { width: None, now: Timestamp::now(), detail: false };
    let text = cli::render(&page.into_objects(), shape, Format::Csv, layout);
    if with_head {
        return text;
    }
    text.split_once("\r\n").map(|(_, rows)| rows.to_owned()).unwrap_or_default()
}

pub(super) async fn manifests(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let snapshot = app.modules.current();
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == snapshot.etag.as_bytes());
    let headers: [(HeaderName, HeaderValue); 2] = [
        (header::ETAG, HeaderValue::from_str(&snapshot.etag).unwrap_or(HeaderValue::from_static("\"\""))),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
    ];
    if known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (headers, json, snapshot.json.clone()).into_response()
}

pub(super) async fn openapi(State(app): State<Arc<App>>) -> Json<Value> {
    let snapshot = app.modules.current();
    let manifests: Vec<_> = snapshot.manifests().cloned().collect();
    Json(surface::openapi::document(&manifests))
}

pub(super) async fn live(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade.max_message_size(MAX_LIVE_MESSAGE).on_upgrade(move |socket| live::serve(app, caller, socket))
}

#[cfg(test)]
mod tests {
    use super::next_address;

    #[test]
    fn the_next_page_keeps_everything_but_the_cursor() {
        let address = next_address("a", "b", Some("q=x%20y&after=old&limit=2"), "n/+=");
        assert_eq!(address, "/api/v1/a/b?q=x+y&limit=2&after=n%2F%2B%3D");
        assert_eq!(next_address("a", "b", None, "n"), "/api/v1/a/b?after=n");
    }
}
