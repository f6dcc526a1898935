//! `/api/v1/jobs/<id>/streams/<stream>`: joins an operator's client to a byte stream of a running command.
//!
//! Binary messages are bytes. Text messages steer: `{"credit": n}` from the client lets n more bytes come,
//! `{"end": true}` ends a direction, `{"error": problem}` ends it with what went wrong. Nothing is read from the command
//! that the client has no room for, so a slow client slows the command down and not the administrator.

use super::auth::Caller;
use super::jobs::{find, parse};
use super::live::text_of;
use super::problem::Answer;
use crate::app::App;
use crate::local;
use axum::Extension;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use fleet::MachineId;
use jobs::Job;
use plugin_host::Duplex;
use schema::{Code, Problem};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// Bytes that may come before the client grants more.
const FIRST_CREDIT: u64 = 256 * 1024;
/// Largest message from a client.
const MAX_MESSAGE: usize = 1024 * 1024;
/// Most credit a client may pile up.
const MAX_CREDIT: u64 = 64 * 1024 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Steer {
    #[serde(default)]
    credit: u64,
    #[serde(default)]
    end: bool,
}

pub(super) async fn attach(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((id, stream)): Path<(String, String)>,
    upgrade: WebSocketUpgrade,
) -> Answer<Response> {
    let job = find(&app, parse(&id)?).await?;
    app.may_command(&caller, &job.command)?;
    check(&app, &job, &stream)?;
    Ok(upgrade.max_message_size(MAX_MESSAGE).on_upgrade(move |mut socket| async move {
        let served = match open(&app, &job, &stream).await {
            Ok(duplex) => bridge(&app, caller, duplex, &mut socket).await,
            Err(problem) => socket.send(Message::text(json!({"error": problem}).to_string())).await,
        };
        if let Err(error) = served {
            tracing::debug!(job = %job.id, %stream, %error, "a client left a stream");
        }
    }))
}

fn check(app: &App, job: &Job, stream: &str) -> Result<(), Problem> {
    if job.state.is_final() {
        return Err(Problem::new(Code::Conflict, format!("the job has ended: {}.", job.state.as_str())));
    }
    if job.is_parent {
        return Err(Problem::bad_request("this job runs on several machines: attach to the job of one of them."));
    }
    let modules = app.modules.current();
    let (_, command) = modules.command(&job.command)?;
    if command.streams.iter().any(|known| known.name == stream) {
        return Ok(());
    }
    let known: Vec<&str> = command.streams.iter().map(|known| known.name.as_str()).collect();
    Err(Problem::not_found(format!("{} has no stream of that name.", job.command)).fix(format!("It has: {}.", known.join(", "))))
}

async fn open(app: &App, job: &Job, stream: &str) -> Result<Duplex, Problem> {
    match job.machine {
        Some(machine) => app.agents().open_stream(MachineId::from_uuid(machine), *job.id.as_uuid(), stream).await,
        None => local::take_stream(app, job.id, stream).await,
    }
}

async fn bridge(app: &Arc<App>, mut caller: Caller, duplex: Duplex, socket: &mut WebSocket) -> Result<(), axum::Error> {
    let (mut sender, mut receiver) = duplex.split();
    let mut grants = app.grants_changed.subscribe();
    let stopping = app.runtime.stopping();
    let mut credit = FIRST_CREDIT;
    let (mut reading, mut writing) = (true, true);
    while reading || writing {
        tokio::select! {
            () = stopping.cancelled() => return Ok(()),
            _ = grants.changed() => if !app.recheck(&mut caller).await { return Ok(()) },
            frame = receiver.recv(), if reading && credit > 0 => match frame {
                Some(Ok(bytes)) => {
                    credit = credit.saturating_sub(bytes.len() as u64);
                    socket.send(Message::Binary(bytes)).await?;
                }
                Some(Err(problem)) => {
                    reading = false;
                    socket.send(Message::text(json!({"error": problem}).to_string())).await?;
                }
                None => {
                    reading = false;
                    socket.send(Message::text(json!({"end": true}).to_string())).await?;
                }
            },
            message = socket.recv() => {
                let Some(message) = message else { return Ok(()) };
                match from_client(message?) {
                    FromClient::Bytes(bytes) => writing = writing && sender.send(bytes).await.is_ok(),
                    FromClient::Credit(more) => credit = credit.saturating_add(more).min(MAX_CREDIT),
                    FromClient::End => {
                        sender.finish();
                        writing = false;
                    }
                    FromClient::Nothing => {}
                    FromClient::Wrong(problem) => {
                        socket.send(Message::text(json!({"error": problem}).to_string())).await?;
                        return Ok(());
                    }
                }
            }
        }
        if !reading {
            // The command has nothing more to say; what the client still sends has no reader worth waiting for.
            return Ok(());
        }
    }
    Ok(())
}

enum FromClient {
    Bytes(Bytes),
    Credit(u64),
    End,
    Nothing,
    Wrong(Problem),
}

fn from_client(message: Message) -> FromClient {
    if let Message::Binary(bytes) = message {
        return FromClient::Bytes(bytes);
    }
    let Some(text) = text_of(message) else { return FromClient::Nothing };
    match serde_json::from_str::<Steer>(&text) {
        Ok(Steer { end: true, .. }) => FromClient::End,
        Ok(Steer { credit, .. }) => FromClient::Credit(credit),
        Err(error) => FromClient::Wrong(Problem::bad_request(format!("this steers nothing: {error}."))),
    }
}
