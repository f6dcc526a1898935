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
use crate::local::{self, Opened};
use axum::Extension;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use fleet::MachineId;
use jobs::{Job, JobId};
use plugin_host::Duplex;
use schema::{Code, JobState, Problem, Stream, StreamDirection};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

/// Bytes that may come before the client grants more.
const FIRST_CREDIT: u64 = 256 * 1024;
/// Longest time a client may take to close its end.
const CLOSING: Duration = Duration::from_secs(5);
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
    let direction = check(&app, &job, &stream)?.direction;
    Ok(upgrade.max_message_size(MAX_MESSAGE).on_upgrade(move |mut socket| async move {
        let served = match open(&app, &job, &stream).await {
            Ok(Opened { duplex, .. }) => {
                let both = direction != StreamDirection::Out;
                Bridge { app: &app, caller, command: &job.command, both }.carry(duplex, &mut socket).await
            }
            Err(problem) => socket.send(Message::text(json!({"error": problem}).to_string())).await,
        };
        if let Err(error) = served {
            tracing::debug!(job = %job.id, %stream, %error, "a client left a stream");
        }
    }))
}

/// The stream of this name of a job, as its command declares it.
pub(super) fn check(app: &App, job: &Job, stream: &str) -> Result<Stream, Problem> {
    if job.state.is_final() {
        return Err(Problem::new(Code::Conflict, format!("the job has ended: {}.", job.state.as_str())));
    }
    if job.is_parent {
        return Err(Problem::bad_request("this job runs on several machines: attach to the job of one of them."));
    }
    let modules = app.modules.current();
    let (_, command) = modules.command(&job.command)?;
    if let Some(known) = command.streams.iter().find(|known| known.name == stream) {
        return Ok(known.clone());
    }
    let known: Vec<&str> = command.streams.iter().map(|known| known.name.as_str()).collect();
    Err(Problem::not_found(format!("{} has no stream of that name.", job.command))
        .fix(format!("It has: {}.", known.join(", "))))
}

/// Takes a stream of a job, once the job runs and has opened it.
pub(super) async fn open(app: &App, job: &Job, stream: &str) -> Result<Opened, Problem> {
    begun(app, job.id).await?;
    match job.machine {
        Some(machine) => {
            let duplex = app.agents().open_stream(MachineId::from_uuid(machine), *job.id.as_uuid(), stream).await?;
            Ok(Opened { duplex, file: None })
        }
        None => local::take_stream(app, job.id, stream).await,
    }
}

/// Waits until the job runs; a client may come before it was given out.
async fn begun(app: &App, id: JobId) -> Result<(), Problem> {
    let mut told = app.told.subscribe();
    loop {
        match find(app, id).await?.state {
            state if state.is_final() => {
                return Err(Problem::new(Code::Conflict, format!("the job has ended: {}.", state.as_str())));
            }
            JobState::Running | JobState::Waiting => return Ok(()),
            _ => {}
        }
        loop {
            match told.recv().await {
                Ok((of, _)) if of != id => {}
                Ok(_) | Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return Err(Problem::internal("the administrator is stopping.")),
            }
        }
    }
}

/// One client at one stream of a command.
struct Bridge<'a> {
    app: &'a Arc<App>,
    caller: Caller,
    command: &'a str,
    /// Whether the command takes input: then it is over only when it has taken it all, or takes no more.
    both: bool,
}

impl Bridge<'_> {
    async fn carry(mut self, duplex: Duplex, socket: &mut WebSocket) -> Result<(), axum::Error> {
        let (sender, mut receiver) = duplex.split();
        let (input, queue) = mpsc::unbounded_channel();
        let (taken, mut taken_by_command) = mpsc::unbounded_channel();
        let pump = pump(sender, queue, taken);
        tokio::pin!(pump);
        let mut input = Some(input);
        let mut grants = self.app.grants_changed.subscribe();
        let mut recheck = tokio::time::interval(RECHECK);
        let stopping = self.app.runtime.stopping();
        let (mut credit, mut room) = (FIRST_CREDIT, FIRST_CREDIT);
        let (mut pumping, mut says) = (true, true);
        while says || (self.both && pumping) {
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                () = &mut pump, if pumping => pumping = false,
                _ = grants.changed() => if !self.may().await { return Ok(()) },
                _ = recheck.tick() => if !self.may().await { return Ok(()) },
                Some(bytes) = taken_by_command.recv() => {
                    room += bytes;
                    say(socket, &json!({"credit": bytes})).await?;
                }
                frame = receiver.recv(), if says && credit > 0 => match frame {
                    Some(Ok(bytes)) => {
                        credit = credit.saturating_sub(bytes.len() as u64);
                        socket.send(Message::Binary(bytes)).await?;
                    }
                    Some(Err(problem)) => return say(socket, &json!({"error": problem})).await,
                    None => {
                        says = false;
                        say(socket, &json!({"end": true})).await?;
                    }
                },
                message = socket.recv() => {
                    let Some(message) = message else { return Ok(()) };
                    match from_client(message?, room) {
                        FromClient::Bytes(bytes) => {
                            room -= bytes.len() as u64;
                            // A command that takes no more input is no reason to stop reading what it says.
                            drop(input.as_ref().map(|input| input.send(bytes)));
                        }
                        FromClient::Credit(more) => credit = credit.saturating_add(more).min(MAX_CREDIT),
                        FromClient::End => input = None,
                        FromClient::Nothing => {}
                        FromClient::Wrong(problem) => return say(socket, &json!({"error": problem})).await,
                    }
                }
            }
        }
        close(socket).await
    }

    /// Whether the client may still have the stream.
    async fn may(&mut self) -> bool {
        let (app, command) = (self.app, self.command);
        app.recheck(&mut self.caller, |caller| app.may_command(caller, command)).await
    }
}

/// Lets the client read to the end: a socket that is dropped with something unread in it takes back what it sent.
async fn close(socket: &mut WebSocket) -> Result<(), axum::Error> {
    socket.send(Message::Close(None)).await?;
    let drained = async { while let Some(Ok(_)) = socket.recv().await {} };
    // One that does not close its end is not waited for.
    drop(tokio::time::timeout(CLOSING, drained).await);
    Ok(())
}

async fn say(socket: &mut WebSocket, what: &serde_json::Value) -> Result<(), axum::Error> {
    socket.send(Message::text(what.to_string())).await
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
