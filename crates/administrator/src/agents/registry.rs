//! What every machine has open, and the ways to it.

use super::calls::Calls;
use super::{Duplex, Offline};
use fleet::MachineId;
use jiff::Timestamp;
use parking_lot::Mutex;
use protocol::{Outcome, Refused, ToAgent};
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

/// Most connections of one machine: its control channel, streams, channels and requests.
const CONNECTIONS: usize = 64;

/// All connections of machines and open tickets.
#[derive(Default)]
pub(super) struct Registry {
    machines: Mutex<HashMap<MachineId, Open>>,
    tickets: Mutex<HashMap<String, Ticket>>,
}

/// What one machine has open. It is forgotten with its last connection.
struct Open {
    /// Ends all of it.
    over: CancellationToken,
    /// End of the newest certificate that the machine was seen with or given.
    good_until: Timestamp,
    connections: usize,
    session: Option<Arc<Session>>,
}

/// One connection of a machine. Whatever runs on the connection keeps it, and ends when `over` fires.
pub(super) struct Place {
    registry: Arc<Registry>,
    machine: MachineId,
    pub(super) over: CancellationToken,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut machines = self.registry.machines.lock();
        if let Some(open) = machines.get_mut(&self.machine) {
            open.connections -= 1;
            if open.connections == 0 {
                machines.remove(&self.machine);
            }
        }
    }
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
    fn new(machine: MachineId, over: CancellationToken) -> (Arc<Session>, mpsc::Receiver<ToAgent>) {
        let (queue, receiver) = mpsc::channel(QUEUE);
        let (calls, farewell) = Default::default();
        (Arc::new(Session { machine, queue, calls, over, farewell }), receiver)
    }

    pub(super) fn end(&self, farewell: ToAgent) {
        self.farewell.lock().get_or_insert(farewell);
        self.over.cancel();
    }

    pub(super) fn farewell(&self) -> Option<ToAgent> {
        self.farewell.lock().take()
    }

    /// False where this machine was never asked; an answer that nobody waits for any more is just late.
    pub(super) fn answer(&self, call: u64, outcome: Outcome) -> bool {
        let mut calls = self.calls.lock();
        let was_asked = calls.was_made(call);
        if !calls.answer(call, outcome) {
            tracing::debug!(machine = %self.machine, call, "an answer came that nobody waits for");
        }
        was_asked
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

impl Open {
    fn end(&mut self, farewell: ToAgent) {
        if let Some(session) = &self.session {
            session.end(farewell);
        }
        // What comes after it is not ended by it.
        std::mem::take(&mut self.over).cancel();
    }
}

impl Registry {
    /// Counts a connection of a machine in; nothing where it has too many. Whether the machine is let in is looked at
    /// afterwards, so that what is cut off in between ends it.
    pub(super) fn admit(self: &Arc<Self>, machine: MachineId, good_until: Timestamp) -> Option<Place> {
        let mut machines = self.machines.lock();
        let open = machines.entry(machine).or_insert_with(|| Open {
            over: CancellationToken::new(),
            good_until,
            connections: 0,
            session: None,
        });
        if open.connections == CONNECTIONS {
            return None;
        }
        open.connections += 1;
        open.good_until = open.good_until.max(good_until);
        Some(Place { registry: Arc::clone(self), machine, over: open.over.clone() })
    }

    /// The machine was given a newer certificate.
    pub(super) fn renewed(&self, machine: MachineId, good_until: Timestamp) {
        if let Some(open) = self.machines.lock().get_mut(&machine) {
            open.good_until = open.good_until.max(good_until);
        }
    }

    /// Ends everything that a machine has open; `farewell` is the last word on its control channel.
    pub(super) fn end(&self, machine: MachineId, farewell: ToAgent) {
        if let Some(open) = self.machines.lock().get_mut(&machine) {
            open.end(farewell);
        }
    }

    /// Ends everything of machines whose certificates have all expired.
    pub(super) fn end_expired(&self, now: Timestamp) {
        for open in self.machines.lock().values_mut().filter(|open| open.good_until < now) {
            let problem = Problem::new(Code::Unauthenticated, "The certificate has expired. Renew it.");
            open.end(ToAgent::Goodbye(Refused { problem, retry_after_seconds: Some(0) }));
        }
    }

    /// Makes the session of a machine that has a connection; what else it returns is the one whose place it takes.
    pub(super) fn join(&self, place: &Place) -> (Arc<Session>, mpsc::Receiver<ToAgent>, Option<Arc<Session>>) {
        let (session, queue) = Session::new(place.machine, place.over.child_token());
        let mut machines = self.machines.lock();
        let replaced = machines.get_mut(&place.machine).and_then(|open| open.session.replace(Arc::clone(&session)));
        (session, queue, replaced)
    }

    /// Takes a session out; false where another has taken its place.
    pub(super) fn leave(&self, session: &Arc<Session>) -> bool {
        let mut machines = self.machines.lock();
        let Some(open) = machines.get_mut(&session.machine) else { return false };
        open.session.take_if(|current| Arc::ptr_eq(current, session)).is_some()
    }

    pub(super) fn connected(&self, machine: MachineId) -> bool {
        self.session(machine).is_ok()
    }

    pub(super) fn all(&self) -> Vec<MachineId> {
        let machines = self.machines.lock();
        machines.iter().filter(|(_, open)| open.session.is_some()).map(|(machine, _)| *machine).collect()
    }

    pub(super) fn send(&self, machine: MachineId, message: ToAgent) -> Result<(), Offline> {
        self.session(machine)?.send(message)
    }

    fn session(&self, machine: MachineId) -> Result<Arc<Session>, Offline> {
        self.machines.lock().get(&machine).and_then(|open| open.session.clone()).ok_or(Offline::NotConnected)
    }

    pub(super) async fn open_stream(&self, machine: MachineId, job: Uuid, stream: &str) -> Result<Duplex, Problem> {
        let stream = stream.to_owned();
        let opened = self.dial_back(machine, |ticket| ToAgent::OpenStream { ticket, job, stream }).await?;
        opened.ok_or_else(|| {
            Problem::new(Code::Unavailable, "The machine did not open the stream in time.")
                .fix("Look whether the job still runs, and try again.")
        })
    }

    pub(super) async fn open_channel(&self, machine: MachineId, plugin: &str, key: &str) -> Result<Duplex, Problem> {
        let (plugin, key) = (plugin.to_owned(), key.to_owned());
        let opened = self.dial_back(machine, |ticket| ToAgent::OpenChannel { ticket, plugin, key }).await?;
        opened.ok_or_else(|| {
            Problem::new(Code::Unavailable, "The machine did not open the channel in time.")
                .fix("Look whether the plugin runs there, and try again.")
        })
    }

    /// Has the machine dial back with a ticket; nothing where it does not in time.
    async fn dial_back(
        &self,
        machine: MachineId,
        message: impl FnOnce(String) -> ToAgent,
    ) -> Result<Option<Duplex>, Problem> {
        let session = self.session(machine)?;
        let ticket = new_ticket();
        let (taken, taken_by) = oneshot::channel();
        self.tickets.lock().insert(ticket.clone(), Ticket { machine, taken });
        let sent = session.send(message(ticket.clone()));
        let outcome = match sent {
            Ok(()) => tokio::select! {
                taken = tokio::time::timeout(TICKET_LIFE, taken_by) => Ok(taken.ok().and_then(Result::ok)),
                () = session.over.cancelled() => Err(Offline::NotConnected.into()),
            },
            Err(offline) => Err(offline.into()),
        };
        self.tickets.lock().remove(&ticket);
        outcome
    }

    /// Uses up a ticket. Only the machine it was made for gets through, and nobody a second time.
    pub(super) fn redeem(&self, ticket: &str, machine: MachineId) -> Option<oneshot::Sender<Duplex>> {
        let mut tickets = self.tickets.lock();
        if tickets.get(ticket)?.machine != machine {
            return None;
        }
        tickets.remove(ticket).map(|ticket| ticket.taken)
    }

    pub(super) async fn peer_call(
        &self,
        machine: MachineId,
        plugin: &str,
        payload: Value,
        within: Duration,
    ) -> Result<Value, Problem> {
        let plugin = plugin.to_owned();
        self.call(machine, within, |call| ToAgent::PeerCall { call, plugin, payload }).await
    }

    pub(super) async fn query(
        &self,
        machine: MachineId,
        plugin: &str,
        type_name: &str,
        query: Query,
        within: Duration,
    ) -> Result<RowPage, Problem> {
        let (plugin, type_name, query) = (plugin.to_owned(), type_name.to_owned(), Box::new(query));
        let answer = self.call(machine, within, |call| ToAgent::Query { call, plugin, type_name, query }).await?;
        serde_json::from_value(answer).map_err(|_| Problem::internal("The machine answered something else than rows."))
    }

    async fn call(
        &self,
        machine: MachineId,
        within: Duration,
        message: impl FnOnce(u64) -> ToAgent,
    ) -> Result<Value, Problem> {
        let session = self.session(machine)?;
        let (call, answer) = session.calls.lock().open();
        session.send(message(call))?;
        tokio::select! {
            answer = tokio::time::timeout(within, answer) => match answer {
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
