//! Files that agents fetch: the agent's own program and plugin libraries. Only what was registered, by hash; no path
//! ever comes from a request.

use super::Context;
use super::routes::Answer;
use bytes::Bytes;
use futures::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use schema::Problem;
use std::path::Path;
use tokio::fs::File;
use tokio_util::io::ReaderStream;

const CHUNK: usize = 64 * 1024;

pub(super) async fn agent(context: &Context) -> Result<Answer, Problem> {
    let path = context.config.agent_program.as_deref();
    file(path.ok_or_else(|| Problem::not_found("This administrator has no agent to give away."))?).await
}

pub(super) async fn plugin(context: &Context, hash: &str) -> Result<Answer, Problem> {
    let path = context.plugins.borrow().iter().find(|file| file.offer.blake3 == hash).map(|file| file.path.clone());
    file(&path.ok_or_else(|| Problem::not_found("There is no plugin with this hash."))?).await
}

async fn file(path: &Path) -> Result<Answer, Problem> {
    let unreadable = |error: std::io::Error| {
        tracing::warn!(path = %path.display(), %error, "a file for agents cannot be read");
        Problem::new(schema::Code::Unavailable, "The file cannot be read at the moment.")
    };
    let file = File::open(path).await.map_err(unreadable)?;
    let length = file.metadata().await.map_err(unreadable)?.len();
    let chunks = ReaderStream::with_capacity(file, CHUNK).map(|chunk: std::io::Result<Bytes>| chunk.map(Frame::data));
    let mut answer = Response::new(BodyExt::boxed(StreamBody::new(chunks)));
    *answer.status_mut() = StatusCode::OK;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Ok(answer)
}
