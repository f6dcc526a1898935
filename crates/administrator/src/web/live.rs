//! Live views over one WebSocket a client: rows once, then keyed patches, at most four times a second a view.
//!
//! A view that may have changed is asked again and compared with what the client shows; so a patch is right whatever
//! changed (filters, order, columns of other plugins), and a client that is slow gets fewer, larger patches.

use super::App;
use super::auth::Caller;
use super::rows::{Answered, answer};
use axum::extract::ws::{Message, WebSocket};
use schema::{Object, Patch, Problem, Query};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

/// Shortest time between two patches of one view.
const PACE: Duration = Duration::from_millis(250);
/// Most views one connection may watch.
const MAX_SUBSCRIPTIONS: usize = 32;
/// How often the right to watch is checked again without being told to.
pub(super) const RECHECK: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Request {
    Subscribe {
        subscribe: u64,
        name: String,
        view: String,
        #[serde(default)]
        query: Box<Query>,
    },
    Unsubscribe {
        unsubscribe: u64,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Reply<'a> {
    Rows {
        id: u64,
        rows: &'a Answered,
    },
    Patches {
        id: u64,
        patches: Vec<Patch>,
        #[serde(skip_serializing_if = "Option::is_none")]
        order: Option<Vec<&'a str>>,
    },
    Problem {
        id: u64,
        problem: Problem,
    },
    Manifests {
        manifests: &'a str,
    },
}

struct Subscription {
    name: String,
    view: String,
    query: Query,
    shown: Answered,
    due: Option<Instant>,
    last: Instant,
}

struct Connection {
    app: Arc<App>,
    caller: Caller,
    socket: WebSocket,
    views: BTreeMap<u64, Subscription>,
}

/// Serves one client until it leaves or may no longer watch.
pub(super) async fn serve(app: Arc<App>, caller: Caller, socket: WebSocket) {
    let mut connection = Connection { app, caller, socket, views: BTreeMap::new() };
    if let Err(axum_error) = connection.run().await {
        tracing::debug!(error = %axum_error, "a live connection ended");
    }
}

impl Connection {
    async fn run(&mut self) -> Result<(), axum::Error> {
        let mut changes = self.app.database.changes();
        let mut modules = self.app.modules.watch();
        let mut grants = self.app.grants_changed.subscribe();
        let mut recheck = tokio::time::interval(RECHECK);
        let stopping = self.app.runtime.stopping();
        loop {
            let due = self.views.values().filter_map(|view| view.due).min();
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                message = self.socket.recv() => match message {
                    None => return Ok(()),
                    Some(message) => {
                        if let Some(text) = text_of(message?) {
                            self.request(&text).await?;
                        }
                    }
                },
                change = changes.recv() => match change {
                    Ok(change) => self.touched(|types| types.iter().any(|t| change.types.contains_key(t))),
                    Err(RecvError::Lagged(_)) => self.touched(|_| true),
                    Err(RecvError::Closed) => return Ok(()),
                },
                _ = modules.changed() => {
                    let snapshot = self.app.modules.current();
                    self.send(&Reply::Manifests { manifests: &snapshot.etag }).await?;
                    self.touched(|_| true);
                }
                _ = grants.changed() => if !self.still_allowed().await { return Ok(()) },
                _ = recheck.tick() => if !self.still_allowed().await { return Ok(()) },
                () = sleep_until(due) => self.patch().await?,
            }
        }
    }

    async fn still_allowed(&mut self) -> bool {
        // What each view needs is checked whenever it is asked again.
        self.app.recheck(&mut self.caller, |_| Ok(())).await
    }

    fn touched(&mut self, concerns: impl Fn(&[String]) -> bool) {
        for view in self.views.values_mut() {
            if view.due.is_none() && concerns(&view.shown.types) {
                view.due = Some(Instant::now().max(view.last + PACE));
            }
        }
    }

    async fn request(&mut self, text: &str) -> Result<(), axum::Error> {
        match serde_json::from_str(text) {
            Ok(Request::Subscribe { subscribe: id, name, view, query }) => self.subscribe(id, name, view, *query).await,
            Ok(Request::Unsubscribe { unsubscribe: id }) => {
                self.views.remove(&id);
                Ok(())
            }
            Err(error) => {
                let problem = Problem::bad_request(format!("this is no live request: {error}."));
                self.send(&Reply::Problem { id: 0, problem }).await
            }
        }
    }

    async fn subscribe(&mut self, id: u64, name: String, view: String, query: Query) -> Result<(), axum::Error> {
        if self.views.len() >= MAX_SUBSCRIPTIONS && !self.views.contains_key(&id) {
            let problem =
                Problem::new(schema::Code::Quota, format!("a connection watches at most {MAX_SUBSCRIPTIONS} views."));
            return self.send(&Reply::Problem { id, problem }).await;
        }
        match answer(&self.app, &self.caller, &name, &view, &query).await {
            Ok(shown) => {
                self.send(&Reply::Rows { id, rows: &shown }).await?;
                self.views.insert(id, Subscription { name, view, query, shown, due: None, last: Instant::now() });
                Ok(())
            }
            Err(problem) => self.send(&Reply::Problem { id, problem }).await,
        }
    }

    async fn patch(&mut self) -> Result<(), axum::Error> {
        let now = Instant::now();
        let ready: Vec<u64> =
            self.views.iter().filter(|(_, v)| v.due.is_some_and(|due| due <= now)).map(|(id, _)| *id).collect();
        for id in ready {
            let Some(mut view) = self.views.remove(&id) else { continue };
            view.due = None;
            view.last = now;
            match answer(&self.app, &self.caller, &view.name, &view.view, &view.query).await {
                Ok(next) if next.columns != view.shown.columns => {
                    view.shown = next;
                    self.send(&Reply::Rows { id, rows: &view.shown }).await?;
                }
                Ok(next) => {
                    let patches = difference(&view.shown, &next);
                    let order = (view.shown.keys != next.keys).then(|| next.keys.iter().map(String::as_str).collect());
                    if !patches.is_empty() || order.is_some() {
                        self.send(&Reply::Patches { id, patches, order }).await?;
                    }
                    view.shown = next;
                }
                Err(problem) => self.send(&Reply::Problem { id, problem }).await?,
            }
            self.views.insert(id, view);
        }
        Ok(())
    }

    async fn send(&mut self, reply: &Reply<'_>) -> Result<(), axum::Error> {
        let text = serde_json::to_string(reply).map_err(axum::Error::new)?;
        self.socket.send(Message::text(text)).await
    }
}

/// The text of a message; pings and the like have none.
pub(super) fn text_of(message: Message) -> Option<String> {
    match message {
        Message::Text(text) => Some(text.to_string()),
        _ => None,
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// What turns the rows of `old` into those of `new`, but for their order.
fn difference(old: &Answered, new: &Answered) -> Vec<Patch> {
    let before: HashMap<&str, &Vec<Value>> = old.keys.iter().map(String::as_str).zip(&old.rows).collect();
    let mut patches = Vec::new();
    let mut left = before.clone();
    for (key, row) in new.keys.iter().zip(&new.rows) {
        let was = left.remove(key.as_str());
        let changed = |n: usize| was.is_none_or(|was| was.get(n) != row.get(n));
        let named = new.columns.iter().zip(row).enumerate().filter(|(n, _)| changed(*n));
        let set: Object = named.map(|(_, (name, value))| (name.clone(), value.clone())).collect();
        if !set.is_empty() {
            patches.push(Patch::Set { key: key.clone(), set });
        }
    }
    patches.extend(left.into_keys().map(|key| Patch::Gone { key: key.to_owned(), gone: true }));
    patches
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rows(rows: &[(&str, i64)]) -> Answered {
        Answered {
            columns: vec!["n".into(), "same".into()],
            rows: rows.iter().map(|(_, n)| vec![json!(n), json!("x")]).collect(),
            keys: rows.iter().map(|(key, _)| (*key).to_owned()).collect(),
            ..Answered::default()
        }
    }

    #[test]
    fn a_patch_holds_only_what_changed() {
        let patches = difference(&rows(&[("a", 1), ("b", 2)]), &rows(&[("b", 3), ("c", 4)]));
        assert_eq!(
            serde_json::to_value(patches).unwrap(),
            json!([
                {"key": "b", "set": {"n": 3}},
                {"key": "c", "set": {"n": 4, "same": "x"}},
                {"key": "a", "gone": true},
            ])
        );
        assert_eq!(difference(&rows(&[("a", 1)]), &rows(&[("a", 1)])), Vec::new());
    }
}
