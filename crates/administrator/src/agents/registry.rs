//! Who is connected, and the ways to them.

use super::calls::Calls;
use super::{Duplex, Offline};
use fleet::MachineId;
use parking_lot::Mutex;
use protocol::{Outcome, ToAgent};
use rand::RngCore;
use schema::{Code, Problem, Query, RowPage};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Messages that wait for one slow agent; more stay in the database.
const QUEUE: usize = 64;
/// How long a ticket is good for.
const TICKET_LIFE: Duration = Duration::from_secs(10);
/// Longest time an agent may take to answer a call.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// All live sessions and open tickets.
#[derive(Default)]
pub(super) struct Registry {
    sessions: Mutex<HashMap<MachineId, Arc<Session>>>,
    tickets: Mutex<HashMap<String, Ticket>>,
}

/// One live control channel.
pub(super) struct Session {
    pub(super) machine: MachineId,
    queue: mpsc::Sender<ToAgent>,
    calls: Mutex<Calls>,
    /// Fires when the session must end.
    pub(super) over: CancellationToken,
    /// Why, for the agent; told before the connection closes.
    farewell: Mutex<Option<ToAgent>>,
}

struct Ticket {
    machine: MachineId,
    taken: oneshot::Sender<Duplex>,
}

impl Session {
    pub(super) fn new(machine: MachineId) -> (Arc<Session>, mpsc::Receiver<ToAgent>) {
        let (queue, receiver) = mpsc::channel(QUEUE);
        let (calls, over, farewell) = Default::default();
        (Arc::new(Session { machine, queue, calls, over, farewell }), receiver)
    }

    pub(super) fn end(&self, farewell: ToAgent) {
        self.farewell.lock().get_or_insert(farewell);
        self.over.cancel();
    }

    pub(super) fn farewell(&self) -> Option<ToAgent> {
        self.farewell.lock().take()
    }

    pub(super) fn answer(&self, call: u64, outcome: Outcome) {
        if !self.calls.lock().answer(call, outcome) {
            tracing::debug!(machine = %self.machine, call, "an answer came that nobody waits for");
        }
    }

    /// Waits for room in the queue; the session may be over before.
    pub(super) async fn send_when_possible(&self, message: ToAgent) {
        tokio::select! {
            // Nobody is left to be told where this fails.
            _ = self.queue.send(message) => {}
            () = self.over.cancelled() => {}
        }
    }

    pub(super) fn send(&self, message: ToAgent) -> Result<(), Offline> {
        self.queue.try_send(message).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Offline::QueueFull,
            mpsc::error::TrySendError::Closed(_) => Offline::NotConnected,
        })
    }
}

impl Registry {
    /// Puts a session in; what it returns is the one it takes the place of.
    pub(super) fn join(&self, session: &Arc<Session>) -> Option<Arc<Session>> {
        self.sessions.lock().insert(session.machine, Arc::clone(session))
    }

    /// Takes a session out; false where another has taken its place.
    pub(super) fn leave(&self, session: &Arc<Session>) -> bool {
        let mut sessions = self.sessions.lock();
        let current = sessions.get(&session.machine).is_some_and(|current| Arc::ptr_eq(current, session));
        if current {
            sessions.remove(&session.machine);
        }
        current
    }

    pub(super) fn connected(&self, machine: MachineId) -> bool {
        self.sessions.lock().contains_key(&machine)
    }

    pub(super) fn all(&self) -> Vec<MachineId> {
        self.sessions.lock().keys().copied().collect()
    }

    pub(super) fn send(&self, machine: MachineId, message: ToAgent) -> Result<(), Offline> {
        self.session(machine)?.send(message)
    }

    pub(super) fn revoke(&self, machine: MachineId, reason: &str) {
        if let Ok(session) = self.session(machine) {
            session.end(ToAgent::Revoked { reason: reason.to_owned() });
        }
    }

    fn session(&self, machine: MachineId) -> Result<Arc<Session>, Offline> {
        self.sessions.lock().get(&machine).cloned().ok_or(Offline::NotConnected)
    }

    pub(super) async fn open_stream(&self, machine: MachineId, job: Uuid, stream: &str) -> Result<Duplex, Problem> {
        let session = self.session(machine)?;
        let ticket = new_ticket();
        let (taken, taken_by) = oneshot::channel();
        self.tickets.lock().insert(ticket.clone(), Ticket { machine, taken });
        let outcome = self.dialled_back(&session, &ticket, job, stream, taken_by).await;
        self.tickets.lock().remove(&ticket);
        outcome
    }

    async fn dialled_back(
        &self,
        session: &Session,
        ticket: &str,
        job: Uuid,
        stream: &str,
        taken_by: oneshot::Receiver<Duplex>,
    ) -> Result<Duplex, Problem> {
        session.send(ToAgent::OpenStream { ticket: ticket.to_owned(), job, stream: stream.to_owned() })?;
        tokio::select! {
            taken = tokio::time::timeout(TICKET_LIFE, taken_by) => match taken {
                Ok(Ok(duplex)) => Ok(duplex),
                Ok(Err(_)) | Err(_) => Err(Problem::new(
                    Code::Unavailable,
                    "The machine did not open the stream in time.",
                )
                .fix("Look whether the job still runs, and try again.")),
            },
            () = session.over.cancelled() => Err(Offline::NotConnected.into()),
        }
    }

    /// Uses up a ticket. Only the machine it was made for gets through, and nobody a second time.
    pub(super) fn redeem(&self, ticket: &str, machine: MachineId) -> Option<oneshot::Sender<Duplex>> {
        let mut tickets = self.tickets.lock();
        if tickets.get(ticket)?.machine != machine {
            return None;
        }
        tickets.remove(ticket).map(|ticket| ticket.taken)
    }

    pub(super) async fn peer_call(&self, machine: MachineId, plugin: &str, payload: Value) -> Result<Value, Problem> {
        let plugin = plugin.to_owned();
        self.call(machine, |call| ToAgent::PeerCall { call, plugin, payload }).await
    }

    pub(super) async fn query(
        &self,
        machine: MachineId,
        plugin: &str,
        type_name: &str,
        query: Query,
    ) -> Result<RowPage, Problem> {
        let (plugin, type_name, query) = (plugin.to_owned(), type_name.to_owned(), Box::new(query));
        let answer = self.call(machine, |call| ToAgent::Query { call, plugin, type_name, query }).await?;
        serde_json::from_value(answer).map_err(|_| Problem::internal("The machine answered something else than rows."))
    }

    async fn call(&self, machine: MachineId, message: impl FnOnce(u64) -> ToAgent) -> Result<Value, Problem> {
        let session = self.session(machine)?;
        let (call, answer) = session.calls.lock().open();
        session.send(message(call))?;
        tokio::select! {
            answer = tokio::time::timeout(CALL_TIMEOUT, answer) => match answer {
                Ok(Ok(outcome)) => outcome.into(),
                Ok(Err(_)) => Err(Offline::NotConnected.into()),
                Err(_) => {
                    // The agent stops by itself where this does not reach it.
                    let _ = session.send(ToAgent::CallCancelled { call });
                    Err(Problem::new(Code::Deadline, "The machine did not answer in time."))
                }
            },
            () = session.over.cancelled() => Err(Offline::NotConnected.into()),
        }
    }
}

fn new_ticket() -> String {
    let mut bytes = [0u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}
