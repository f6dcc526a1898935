//! Bounds on the time a request may take, so that a slow client holds a connection but never a handler.

use super::problem::Refusal;
use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use schema::{Code, Problem};
use std::time::Duration;

/// Longest time from the head of a request to the head of its answer; a body must have arrived within it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Ends a request that takes too long. WebSockets answer at once and are bounded by themselves.
pub(super) async fn bounded_time(request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::UPGRADE) {
        return next.run(request).await;
    }
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let message = format!("the request took longer than {} s.", REQUEST_TIMEOUT.as_secs());
            Refusal(Problem::new(Code::Deadline, message)).into_response()
        }
    }
}
