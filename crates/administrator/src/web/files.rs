//! `/api/v1/jobs/<id>/streams/<stream>/file`: a byte stream of a running command as a file that a browser saves.
//!
//! Nothing is kept here: what the client does not take yet, the command does not send yet.

use super::auth::Caller;
use super::jobs::{find, parse};
use super::live::RECHECK;
use super::problem::Answer;
use super::streams;
use crate::app::App;
use crate::local::Opened;
use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use plugin_host::Receiver;
use schema::{Code, Problem};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Interval;

/// Longest name of a file, in bytes of its address form.
const MAX_NAME: usize = 180;
const UNNAMED: &str = "download";

pub(super) async fn save(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    method: Method,
    Path((id, stream)): Path<(String, String)>,
) -> Answer<Response> {
    // Whoever only asks about it must not take it away.
    if method == Method::HEAD {
        return Err(Problem::bad_request("a stream is not known before it is taken.").fix("Ask with GET.").into());
    }
    let job = find(&app, parse(&id)?).await?;
    app.may_command(&caller, &job.command)?;
    let declared = streams::check(&app, &job, &stream)?;
    if declared.taken_as.is_none() {
        let problem = Problem::bad_request(format!("the stream {} is not a file.", declared.name));
        return Err(problem.fix("Attach to it: its address without /file is a WebSocket.").into());
    }
    let Opened { duplex, file } = streams::open(&app, &job, &stream).await?;
    let (mut sender, receiver) = duplex.split();
    sender.finish();
    let grants = app.grants_changed.subscribe();
    let serving =
        Serving { app, caller, command: job.command, receiver, grants, recheck: tokio::time::interval(RECHECK) };
    let body = futures::stream::unfold(Some(serving), |serving| async move {
        let mut serving = serving?;
        match serving.next().await? {
            Ok(bytes) => Some((Ok(bytes), Some(serving))),
            // A body that is cut off is how the client learns that the file is not whole.
            Err(problem) => Some((Err(problem), None)),
        }
    });
    let name = file.filter(|file| !file.is_empty()).unwrap_or(declared.file);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_DISPOSITION, disposition(&name)),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// One client that saves a stream.
struct Serving {
    app: Arc<App>,
    caller: Caller,
    command: String,
    receiver: Receiver,
    grants: watch::Receiver<()>,
    recheck: Interval,
}

impl Serving {
    /// What comes next; nothing at the end.
    async fn next(&mut self) -> Option<Result<Bytes, Problem>> {
        let stopping = self.app.runtime.stopping();
        loop {
            tokio::select! {
                // Who may not have it any more gets nothing of what is there already.
                biased;
                () = stopping.cancelled() => {
                    return Some(Err(Problem::new(Code::Unavailable, "the administrator is stopping.")));
                }
                _ = self.grants.changed() => if let Err(problem) = self.may().await { return Some(Err(problem)) },
                _ = self.recheck.tick() => if let Err(problem) = self.may().await { return Some(Err(problem)) },
                frame = self.receiver.recv() => return frame,
            }
        }
    }

    /// Whether the client may still have it.
    async fn may(&mut self) -> Result<(), Problem> {
        let (app, command) = (self.app.clone(), self.command.clone());
        match app.recheck(&mut self.caller, |caller| app.may_command(caller, &command)).await {
            true => Ok(()),
            false => Err(Problem::new(Code::PermissionDenied, "whoever asked may not have it any more.")),
        }
    }
}

/// To be saved under this name: in plain letters for old clients, and as it is for all others.
fn disposition(name: &str) -> HeaderValue {
    let name = one_name(name);
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || " ._-".contains(c) { c } else { '_' }).collect();
    let exact: String = name.bytes().map(escaped).collect();
    HeaderValue::from_str(&format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}"))
        .unwrap_or(HeaderValue::from_static("attachment"))
}

/// The last part of a path, without anything that steers a terminal or turns letters around.
fn one_name(name: &str) -> String {
    let name = schema::neutral_text(name);
    let last = name.rsplit(['/', '\\']).find(|part| !part.trim_matches(['.', ' ']).is_empty()).unwrap_or(UNNAMED);
    let mut length = 0;
    last.chars()
        .take_while(|c| {
            length += c.len_utf8();
            length <= MAX_NAME
        })
        .collect()
}

fn escaped(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_name_and_nothing_but_a_name() {
        let said = |name: &str| disposition(name).to_str().unwrap().to_owned();
        assert_eq!(said("notes.txt"), "attachment; filename=\"notes.txt\"; filename*=UTF-8''notes.txt");
        assert_eq!(said("größe 1"), "attachment; filename=\"gr__e 1\"; filename*=UTF-8''gr%C3%B6%C3%9Fe%201");
        for evil in ["../../etc/x\"; a=\"b", "x\r\nSet-Cookie: a=b", "/", "..", "", "a\u{202e}gpj.exe"] {
            let said = said(evil);
            assert_eq!(said.matches('"').count(), 2, "{said}");
            assert!(!said.contains("..%2F") && !said.contains('/') && said.is_ascii() && said.len() > 40, "{said}");
        }
        assert!(said(&"ü".repeat(500)).len() < 900);
    }
}
