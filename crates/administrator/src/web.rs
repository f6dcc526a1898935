//! The HTTP interface: one table of endpoints drives the router and the authorization check.
//!
//! An endpoint that is not in [`ENDPOINTS`] cannot exist, and one whose access is not granted is refused before its
//! handler runs. What a view or a command needs beyond being signed in follows from its manifest.

mod assets;
mod auth;
mod commands;
mod files;
mod jobs;
mod limits;
mod listen;
mod live;
mod problem;
mod query_string;
mod rows;
mod session;
mod streams;
mod views;

pub(crate) use listen::serve;
pub(crate) use session::hashed;

use crate::app::App;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use problem::Refusal;
use schema::{Code, Problem};
use std::sync::Arc;

/// Largest body of a request.
const MAX_BODY: usize = 1024 * 1024;

/// Who may reach an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anyone who reaches the port.
    Public,
    /// Any operator or program that is signed in. What it sees there is its own.
    SignedIn,
    /// Whoever came by the one-time link, while there is no operator with a name and password.
    SetUp,
    /// Needs the permission that the view's manifest names; `read` where it names none.
    View,
    /// Needs the permission that the command's manifest names, or the one that follows from its effect.
    Command,
    /// Needs `read`, as for the list of jobs.
    Job,
}

/// One endpoint: the only place in which it is declared.
pub(crate) struct Endpoint {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    handler: fn(MethodFilter) -> MethodRouter<Arc<App>>,
}

const fn endpoint(
    method: Method,
    path: &'static str,
    access: Access,
    handler: fn(MethodFilter) -> MethodRouter<Arc<App>>,
) -> Endpoint {
    Endpoint { method, path, access, handler }
}

/// Every endpoint there is, but for the embedded console.
pub(crate) static ENDPOINTS: &[Endpoint] = &[
    endpoint(Method::GET, "/openapi.json", Access::Public, |on_method| on(on_method, views::openapi)),
    endpoint(Method::POST, "/api/v1/session", Access::Public, |on_method| on(on_method, session::sign_in)),
    endpoint(Method::POST, "/api/v1/session/link", Access::Public, |on_method| on(on_method, session::sign_in_by_link)),
    endpoint(Method::GET, "/api/v1/session", Access::SignedIn, |on_method| on(on_method, session::show)),
    endpoint(Method::DELETE, "/api/v1/session", Access::SignedIn, |on_method| on(on_method, session::sign_out)),
    endpoint(Method::POST, "/api/v1/session/setup", Access::SetUp, |on_method| on(on_method, session::set_up)),
    endpoint(Method::POST, "/api/v1/session/password", Access::SignedIn, |on_method| {
        on(on_method, session::change_password)
    }),
    endpoint(Method::GET, "/api/v1/manifests", Access::SignedIn, |on_method| on(on_method, views::manifests)),
    endpoint(Method::GET, "/api/v1/live", Access::SignedIn, |on_method| on(on_method, views::live)),
    endpoint(Method::POST, "/api/v1/commands/{command}", Access::Command, |on_method| on(on_method, commands::submit)),
    endpoint(Method::GET, "/api/v1/jobs/{job}", Access::Job, |on_method| on(on_method, jobs::show)),
    endpoint(Method::POST, "/api/v1/jobs/{job}/cancel", Access::Job, |on_method| on(on_method, jobs::cancel)),
    endpoint(Method::GET, "/api/v1/jobs/{job}/events", Access::Job, |on_method| on(on_method, jobs::events)),
    endpoint(Method::GET, "/api/v1/jobs/{job}/streams/{stream}", Access::Job, |on_method| {
        on(on_method, streams::attach)
    }),
    endpoint(Method::GET, "/api/v1/jobs/{job}/streams/{stream}/file", Access::Job, |on_method| {
        on(on_method, files::save)
    }),
    endpoint(Method::GET, "/api/v1/{name}/{view}", Access::View, |on_method| on(on_method, views::rows)),
    endpoint(Method::GET, "/api/v1/{name}/{view}/count", Access::View, |on_method| on(on_method, views::count)),
    endpoint(Method::GET, "/api/v1/{name}/{view}/facets", Access::View, |on_method| on(on_method, views::facets)),
];

/// The whole interface, with the console behind it.
pub(crate) fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for endpoint in ENDPOINTS {
        let access = endpoint.access;
        let guard = middleware::from_fn_with_state(
            app.clone(),
            move |State(app): State<Arc<App>>, request: Request, next: Next| auth::guard(app, access, request, next),
        );
        let method = MethodFilter::try_from(endpoint.method.clone()).expect("the table names methods of HTTP");
        router = router.route(endpoint.path, (endpoint.handler)(method).route_layer(guard));
    }
    router
        .method_not_allowed_fallback(wrong_method)
        .fallback(fallback)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(limits::bounded_time))
        .layer(middleware::from_fn_with_state(app.clone(), auth::right_host))
        .layer(middleware::map_response(secure_headers))
        .with_state(app)
}

async fn wrong_method() -> Response {
    let refusal =
        Refusal(Problem::new(Code::BadRequest, "this address does not take that method.").fix("See /openapi.json."));
    (StatusCode::METHOD_NOT_ALLOWED, refusal).into_response()
}

/// The console's own addresses; anything below `/api` that is not an endpoint is a problem, not a page.
async fn fallback(request: Request) -> Response {
    let path = request.uri().path();
    if path == "/api" || path.starts_with("/api/") {
        return Refusal(Problem::not_found("there is no such endpoint.").fix("See /openapi.json.")).into_response();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return wrong_method().await;
    }
    assets::respond(path, request.headers())
}

/// Headers of every answer: nothing foreign is loaded, framed or sniffed.
async fn secure_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let policy = "default-src 'self'; img-src 'self' data:; style-src 'self'; base-uri 'none'; form-action 'self'; \
                  frame-ancestors 'none'; object-src 'none'";
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by hand: whoever adds an endpoint says here once more who may reach it.
    #[test]
    fn every_endpoint_is_reached_by_whom_it_should() {
        let expected = [
            ("GET", "/openapi.json", Access::Public),
            ("POST", "/api/v1/session", Access::Public),
            ("POST", "/api/v1/session/link", Access::Public),
            ("GET", "/api/v1/session", Access::SignedIn),
            ("DELETE", "/api/v1/session", Access::SignedIn),
            ("POST", "/api/v1/session/setup", Access::SetUp),
            ("POST", "/api/v1/session/password", Access::SignedIn),
            ("GET", "/api/v1/manifests", Access::SignedIn),
            ("GET", "/api/v1/live", Access::SignedIn),
            ("POST", "/api/v1/commands/{command}", Access::Command),
            ("GET", "/api/v1/jobs/{job}", Access::Job),
            ("POST", "/api/v1/jobs/{job}/cancel", Access::Job),
            ("GET", "/api/v1/jobs/{job}/events", Access::Job),
            ("GET", "/api/v1/jobs/{job}/streams/{stream}", Access::Job),
            ("GET", "/api/v1/jobs/{job}/streams/{stream}/file", Access::Job),
            ("GET", "/api/v1/{name}/{view}", Access::View),
            ("GET", "/api/v1/{name}/{view}/count", Access::View),
            ("GET", "/api/v1/{name}/{view}/facets", Access::View),
        ];
        let table: Vec<_> = ENDPOINTS.iter().map(|e| (e.method.as_str(), e.path, e.access)).collect();
        assert_eq!(table, expected);
    }
}
