//! One running operation of a plugin, as its caller holds it.

use crate::switchboard::{Op, Switchboard};
use crate::{Duplex, Level};
use schema::{Problem, Progress, RowPage};
use serde_json::Value;
use std::sync::Arc;

/// What is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// A command by its short name or full id; the payload is its input.
    Command(String),
    /// The rows of a computed type by its short name or full id; the payload is a [`schema::Query`].
    Query(String),
    /// The long-lived service of this role. The host calls it by itself.
    Service,
    /// A channel that the other role opened with this key; open a stream on the operation to carry it, or use
    /// [`crate::Host::accept_channel`].
    Channel { key: String },
    /// Settings changed; the payload is the object of all settings in force.
    Configure,
    /// Something happened that the plugin may want to know of; the payload says what.
    Event(String),
    /// A small message from the other role; the payload is the message.
    Peer,
}

impl Method {
    pub(crate) fn wire(&self) -> (&'static str, &str) {
        match self {
            Method::Command(id) => ("command.invoke", short(id)),
            Method::Query(id) => ("query", short(id)),
            Method::Service => ("service.run", ""),
            Method::Channel { key } => ("channel.accept", key),
            Method::Configure => ("configure", ""),
            Method::Event(id) => ("event", id),
            Method::Peer => ("peer.call", ""),
        }
    }
}

fn short(id: &str) -> &str {
    id.rsplit_once('.').map_or(id, |(_, short)| short)
}

/// What an operation tells its caller. `Done`, `Part` or `Fault` comes last, exactly once.
#[derive(Debug)]
pub enum OpEvent {
    /// Only the latest, where the caller is slower than the plugin.
    Progress(Progress),
    /// Rows that answer a query, a part of the page.
    Rows(Vec<schema::Object>),
    /// The plugin opened an operator's stream of this name.
    Open {
        name: String,
        /// What a client that saves it is to call it.
        file: Option<String>,
        duplex: Duplex,
    },
    /// Something went wrong that does not end the operation.
    Warn(Problem),
    /// What the plugin wants to get back if the command is interrupted and resumed.
    Checkpoint(Value),
    Log {
        level: Level,
        target: String,
        record: Value,
    },
    Done(Value),
    /// It is done, but for what the problem says.
    Part(Value, Problem),
    Fault(Problem),
}

/// A running operation. Dropping it cancels it.
pub struct Operation {
    pub(crate) op: Arc<Op>,
    pub(crate) board: Arc<Switchboard>,
    pub(crate) ended: bool,
}

impl Operation {
    /// The next event; `None` after the last one.
    pub async fn next(&mut self) -> Option<OpEvent> {
        if self.ended {
            return None;
        }
        let event = self.board.next_event(&self.op).await;
        self.ended = matches!(event, OpEvent::Done(_) | OpEvent::Part(..) | OpEvent::Fault(_));
        Some(event)
    }

    /// Asks it to stop. It then ends with a fault `cancelled`, by force where it takes longer than the grace.
    pub fn cancel(&self) {
        self.board.cancel(&self.op, schema::Code::Cancelled);
    }

    /// Asks it to stop from elsewhere than where its events are read.
    pub fn canceller(&self) -> Canceller {
        Canceller { op: self.op.clone(), board: self.board.clone() }
    }

    /// Opens a stream to the running operation, as for a channel.
    ///
    /// # Errors
    /// The operation has ended, or has too many streams.
    pub fn open_stream(&self, name: &str) -> Result<Duplex, Problem> {
        self.board.open_stream(&self.op, name)
    }

    /// Waits for the result; progress, warnings and streams are let go.
    ///
    /// # Errors
    /// The fault it ended with, or why its result is not whole.
    pub async fn result(mut self) -> Result<Value, Problem> {
        while let Some(event) = self.next().await {
            match event {
                OpEvent::Done(value) => return Ok(value),
                OpEvent::Part(_, problem) | OpEvent::Fault(problem) => return Err(problem),
                _ => {}
            }
        }
        Err(Problem::internal("the operation had already ended."))
    }

    /// Waits for the whole answer of a query.
    ///
    /// # Errors
    /// The fault it ended with.
    pub async fn page(mut self) -> Result<RowPage, Problem> {
        let mut page = RowPage::default();
        while let Some(event) = self.next().await {
            match event {
                OpEvent::Rows(rows) => page.rows.extend(rows),
                OpEvent::Done(value) => {
                    page.next = value.get("next").and_then(Value::as_str).map(str::to_owned);
                    return Ok(page);
                }
                OpEvent::Part(_, problem) | OpEvent::Fault(problem) => return Err(problem),
                _ => {}
            }
        }
        Err(Problem::internal("the operation had already ended."))
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if !self.ended {
            self.cancel();
        }
    }
}

/// Stops an operation.
#[derive(Clone)]
pub struct Canceller {
    op: Arc<Op>,
    board: Arc<Switchboard>,
}

impl Canceller {
    pub fn cancel(&self) {
        self.board.cancel(&self.op, schema::Code::Cancelled);
    }
}
