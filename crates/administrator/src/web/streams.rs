//! `/api/v1/jobs/<id>/streams/<stream>`: joins an operator's client to a byte stream of a running command.
//!
//! Binary messages are bytes. Text messages steer: `{"credit": n}` from the client lets n more bytes come,
//! `{"end": true}` ends a direction, `{"error": problem}` ends it with what went wrong. Nothing is read from the command
//! that the client has no room for, so a slow client slows the command down and not the administrator; the client for
//! its part begins with the same credit and is granted more as the command takes what it sent.

use super::auth::Caller;
use super::jobs::{find, parse};
use super::live::{RECHECK, text_of};
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
use tokio::sync::mpsc;

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
            Ok(duplex) => bridge(&app, caller, &job.command, duplex, &mut socket).await,
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
    Err(Problem::not_found(format!("{} has no stream of that name.", job.command))
        .fix(format!("It has: {}.", known.join(", "))))
}

async fn open(app: &App, job: &Job, stream: &str) -> Result<Duplex, Problem> {
    match job.machine {
        Some(machine) => app.agents().open_stream(MachineId::from_uuid(machine), *job.id.as_uuid(), stream).await,
        None => local::take_stream(app, job.id, stream).await,
    }
}

async fn bridge(
    app: &Arc<App>,
    mut caller: Caller,
    command: &str,
    duplex: Duplex,
    socket: &mut WebSocket,
) -> Result<(), axum::Error> {
    let (sender, mut receiver) = duplex.split();
    let (input, queue) = mpsc::unbounded_channel();
    let (taken, mut taken_by_command) = mpsc::unbounded_channel();
    let pump = pump(sender, queue, taken);
    tokio::pin!(pump);
    let mut grants = app.grants_changed.subscribe();
    let mut recheck = tokio::time::interval(RECHECK);
    let mut input = Some(input);
    let stopping = app.runtime.stopping();
    let (mut credit, mut room, mut pumping) = (FIRST_CREDIT, FIRST_CREDIT, true);
    loop {
        let answer = tokio::select! {
            () = stopping.cancelled() => return Ok(()),
            () = &mut pump, if pumping => {
                pumping = false;
                continue;
            }
            _ = grants.changed() => {
                if app.recheck(&mut caller, |caller| app.may_command(caller, command)).await { continue }
                return Ok(());
            }
            _ = recheck.tick() => {
                if app.recheck(&mut caller, |caller| app.may_command(caller, command)).await { continue }
                return Ok(());
            }
            Some(bytes) = taken_by_command.recv() => {
                room += bytes;
                json!({"credit": bytes})
            }
            frame = receiver.recv(), if credit > 0 => match frame {
                Some(Ok(bytes)) => {
                    credit = credit.saturating_sub(bytes.len() as u64);
                    socket.send(Message::Binary(bytes)).await?;
                    continue;
                }
                Some(Err(problem)) => json!({"error": problem}),
                None => json!({"end": true}),
            },
            message = socket.recv() => {
                let Some(message) = message else { return Ok(()) };
                match from_client(message?, room) {
                    FromClient::Bytes(bytes) => {
                        room -= bytes.len() as u64;
                        // A command that takes no more input is no reason to stop reading what it says.
                        drop(input.as_ref().map(|input| input.send(bytes)));
                        continue;
                    }
                    FromClient::Credit(more) => {
                        credit = credit.saturating_add(more).min(MAX_CREDIT);
                        continue;
                    }
                    FromClient::End => {
                        input = None;
                        continue;
                    }
                    FromClient::Nothing => continue,
                    FromClient::Wrong(problem) => json!({"error": problem}),
                }
            }
        };
        let over = answer.get("credit").is_none();
        socket.send(Message::text(answer.to_string())).await?;
        if over {
            return Ok(());
        }
    }
}

/// Hands the client's bytes to the command at the command's pace, and says what it took.
async fn pump(
    mut sender: plugin_host::Sender,
    mut queue: mpsc::UnboundedReceiver<Bytes>,
    taken: mpsc::UnboundedSender<u64>,
) {
    while let Some(bytes) = queue.recv().await {
        let length = bytes.len() as u64;
        if sender.send(bytes).await.is_err() || taken.send(length).is_err() {
            return;
        }
    }
    sender.finish();
}

enum FromClient {
    Bytes(Bytes),
    Credit(u64),
    End,
    Nothing,
    Wrong(Problem),
}

fn from_client(message: Message, room: u64) -> FromClient {
    if let Message::Binary(bytes) = message {
        if bytes.len() as u64 > room {
            return FromClient::Wrong(Problem::new(Code::Quota, "more bytes came than there was credit for."));
        }
        // What takes no room must not wait either.
        return if bytes.is_empty() { FromClient::Nothing } else { FromClient::Bytes(bytes) };
    }
    let Some(text) = text_of(message) else { return FromClient::Nothing };
    match serde_json::from_str::<Steer>(&text) {
        Ok(Steer { end: true, .. }) => FromClient::End,
        Ok(Steer { credit, .. }) => FromClient::Credit(credit),
        Err(error) => FromClient::Wrong(Problem::bad_request(format!("this steers nothing: {error}."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_takes_no_room_is_not_kept() {
        assert!(matches!(from_client(Message::Binary(Bytes::new()), 10), FromClient::Nothing));
        assert!(matches!(from_client(Message::Binary(Bytes::from_static(b"x")), 10), FromClient::Bytes(_)));
        assert!(matches!(from_client(Message::Binary(Bytes::from_static(b"xy")), 1), FromClient::Wrong(_)));
        assert!(matches!(from_client(Message::text(r#"{"end": true}"#), 0), FromClient::End));
    }
}
