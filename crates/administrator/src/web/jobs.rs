//! `/api/v1/jobs/<id>`: one job, its cancellation and its events.

use super::auth::Caller;
use super::live::{RECHECK, text_of};
use super::problem::Answer;
use crate::app::App;
use crate::records;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Json};
use identity::audit;
use jiff::Timestamp;
use jobs::{Event, Job, JobId, Lookup as _};
use schema::{JobEvent, Problem};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;

/// Most children shown with a job; all are rows of the view of jobs.
const MAX_CHILDREN: usize = 1000;

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer<Json<Value>> {
    Ok(Json(whole(&app, &caller, parse(&id)?).await?))
}

pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer<(StatusCode, Json<Value>)> {
    let id = parse(&id)?;
    let job = find(&app, id).await?;
    app.may_command(&caller, &job.command)?;
    jobs::check_cancel(&job)?;
    let (actor, peer) = (caller.actor.clone(), caller.peer);
    let write = move |store: &mut database::Write<'_>| {
        let detail = json!({"job": id, "command": job.command});
        audit::append(
            store,
            records::entry(&actor, peer, "fleet.cancel-job", Some(id.to_string()), detail),
            Timestamp::now(),
        )?;
        Ok(())
    };
    app.database.write(write).await?;
    app.job_events(vec![(id, Event::CancelRequested { by: caller.actor.name })]).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"job": id}))))
}

pub(super) async fn events(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    upgrade: WebSocketUpgrade,
) -> Answer<Response> {
    let id = parse(&id)?;
    find(&app, id).await?;
    Ok(upgrade.max_message_size(1024).on_upgrade(move |socket| async move {
        if let Err(error) = follow(&app, caller, id, socket).await {
            tracing::debug!(job = %id, %error, "a watcher of a job left");
        }
    }))
}

/// The whole job first, then every event; the whole again where the watcher was too slow for some.
async fn follow(app: &Arc<App>, mut caller: Caller, id: JobId, mut socket: WebSocket) -> Result<(), axum::Error> {
    let mut told = app.told.subscribe();
    let mut grants = app.grants_changed.subscribe();
    let mut recheck = tokio::time::interval(RECHECK);
    let stopping = app.runtime.stopping();
    if send_whole(app, &caller, id, &mut socket).await? {
        return Ok(());
    }
    loop {
        tokio::select! {
            () = stopping.cancelled() => return Ok(()),
            message = socket.recv() => match message {
                None => return Ok(()),
                Some(message) => drop(text_of(message?)),
            },
            _ = grants.changed() => if !app.recheck(&mut caller, |caller| caller.may("read")).await { return Ok(()) },
            _ = recheck.tick() => if !app.recheck(&mut caller, |caller| caller.may("read")).await { return Ok(()) },
            event = told.recv() => match event {
                Ok((of, event)) if of == id => {
                    let ended = matches!(&event, JobEvent::State { state } if state.is_final());
                    if ended {
                        send_whole(app, &caller, id, &mut socket).await?;
                        return Ok(());
                    }
                    socket.send(Message::text(json!(event).to_string())).await?;
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => if send_whole(app, &caller, id, &mut socket).await? { return Ok(()) },
                Err(RecvError::Closed) => return Ok(()),
            },
        }
    }
}

/// Sends the whole job; true where it has ended and nothing more will come.
async fn send_whole(app: &Arc<App>, caller: &Caller, id: JobId, socket: &mut WebSocket) -> Result<bool, axum::Error> {
    match whole(app, caller, id).await {
        Ok(job) => {
            let ended = job.get("ended_at").is_some_and(|at| !at.is_null());
            socket.send(Message::text(job.to_string())).await?;
            Ok(ended)
        }
        Err(problem) => {
            socket.send(Message::text(json!({"problem": problem}).to_string())).await?;
            Ok(true)
        }
    }
}

pub(super) fn parse(id: &str) -> Result<JobId, Problem> {
    id.parse().map_err(|_| Problem::not_found(format!("there is no job {}.", schema::neutral_text(id))))
}

pub(super) async fn find(app: &App, id: JobId) -> Result<Job, Problem> {
    let job = app.database.read(move |store| Ok(store.job(id)?)).await?;
    job.ok_or_else(|| Problem::not_found(format!("there is no job {id}.")))
}

async fn whole(app: &App, caller: &Caller, id: JobId) -> Result<Value, Problem> {
    let read = move |store: &database::Read<'_>| Ok((store.job(id)?, store.children(id)?, store.log(id)?));
    let (job, children, log) = app.database.read(read).await?;
    let job = job.ok_or_else(|| Problem::not_found(format!("there is no job {id}.")))?;
    let mut result = job.result.clone().unwrap_or_default();
    // A secret waits for the stored result it belongs to: before that there is nothing to put it into.
    if job.ended_at.is_some() && job.operator.id == caller.actor.id.to_string() {
        app.once.hand_out(id, &mut result);
    }
    let modules = app.modules.current();
    let streams = modules.command(&job.command).map(|(_, command)| command.streams.clone()).unwrap_or_default();
    let child = |job: &Job| json!({"id": job.id, "machine": machine(job), "state": job.state, "progress": job.progress, "problem": job.problem});
    Ok(json!({
        "id": job.id,
        "parent": job.parent,
        "command": job.command,
        "title": job.title,
        "state": job.state,
        "target": job.target_label,
        "machine": machine(&job),
        "progress": job.progress,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
        "expires_at": job.expires_at,
        "operator": job.operator,
        "cancel": job.cancel,
        "input": job.input,
        "result": result,
        "problem": job.problem,
        "streams": streams,
        "children": children.iter().take(MAX_CHILDREN).map(child).collect::<Vec<_>>(),
        "log": log,
    }))
}

fn machine(job: &Job) -> Option<Value> {
    job.machine.map(|id| json!({"id": id, "label": job.target_label}))
}

impl App {
    /// Whether the caller may run, and so cancel or attach to, a command.
    ///
    /// # Errors
    /// `permission_denied`; a command that is gone needs what the most dangerous ones need.
    pub(crate) fn may_command(&self, caller: &Caller, id: &str) -> Result<(), Problem> {
        let modules = self.modules.current();
        match modules.command(id) {
            Ok((manifest, command)) => caller.may(&identity::command_permission(manifest, command)),
            Err(_) => caller.may("destroy"),
        }
    }
}
