//! The built console, embedded in the program. Hashed files never change; the page itself is always asked for again.

use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode, header};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::LazyLock;

include!(concat!(env!("OUT_DIR"), "/files.rs"));

const NOT_BUILT: &str = "<!doctype html><html lang=en><title>Bailiwick</title><h1>The console is not built</h1>\
<p>Run <code>cargo xtask build</code> and start again. The API works without it.</p>";

/// The file at `path`, or the page itself for every address that the console routes by itself.
pub(super) fn respond(path: &str, headers: &HeaderMap) -> Response<Body> {
    let path = path.trim_start_matches('/');
    if path.starts_with("assets/") || path.rsplit('/').next().is_some_and(|name| name.contains('.')) {
        return match find(path) {
            Some(bytes) => file(path, bytes, headers),
            None => plain(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "There is no such file.\n".into()),
        };
    }
    match find("index.html") {
        Some(bytes) => file("index.html", bytes, headers),
        None => plain(StatusCode::OK, "text/html; charset=utf-8", NOT_BUILT.into()),
    }
}

fn find(name: &str) -> Option<&'static [u8]> {
    let at = FILES.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
    Some(FILES[at].1)
}

fn file(name: &str, bytes: &'static [u8], headers: &HeaderMap) -> Response<Body> {
    let takes_brotli =
        headers.get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).is_some_and(|v| v.contains("br"));
    let packed = if takes_brotli { packed(name, bytes) } else { None };
    let mut response = plain(StatusCode::OK, content_type(name), packed.unwrap_or(bytes).into());
    let hashed = name.starts_with("assets/");
    let caching = if hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static(caching));
    headers.insert(header::VARY, header::HeaderValue::from_static("accept-encoding"));
    if packed.is_some() {
        headers.insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("br"));
    }
    response
}

/// The file packed with brotli, once for as long as the program runs; `None` for what is packed already.
fn packed(name: &str, bytes: &'static [u8]) -> Option<&'static [u8]> {
    static PACKED: LazyLock<Mutex<HashMap<String, &'static [u8]>>> = LazyLock::new(Mutex::default);
    if matches!(content_type(name), "image/png" | "font/woff2") || bytes.len() < 1024 {
        return None;
    }
    let mut all = PACKED.lock();
    if let Some(done) = all.get(name) {
        return Some(done);
    }
    let mut packed = Vec::new();
    let parameters = brotli::enc::BrotliEncoderParams { quality: 9, lgwin: 22, ..Default::default() };
    brotli::BrotliCompress(&mut &*bytes, &mut packed, &parameters).ok()?;
    let done: &'static [u8] = packed.leak();
    all.insert(name.to_owned(), done);
    Some(done)
}

fn plain(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "json" | "webmanifest" => "application/json",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}
