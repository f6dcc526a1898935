//! One agent's control channel, from its `Hello` to its end.

use super::registry::Session;
use super::routes::Caller;
use super::{AgentHello, Context, conversions, enrolment};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fleet::{MachineId, Status};
use jiff::Timestamp;
use link::{LinkError, Receiver, Sender, Socket};
use parking_lot::Mutex;
use protocol::{FromAgent, Hello, JobReport, Kind, Refused, ToAgent, Welcome};
use schema::{Code, Problem};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests of one agent's plugins that wait for an answer at a time.
const REQUESTS: usize = 32;
/// When an agent is to come again whose rows or results could not be stored.
const STORE_RETRY_SECONDS: u32 = 5;

/// Why a session ends from this side.
enum End {
    Link(LinkError),
    /// The agent is told, then the connection closes.
    Said(ToAgent),
}

impl From<LinkError> for End {
    fn from(error: LinkError) -> End {
        End::Link(error)
    }
}

impl From<protocol::FrameError> for End {
    fn from(error: protocol::FrameError) -> End {
        End::Link(error.into())
    }
}

pub(super) async fn run(context: Arc<Context>, caller: Caller, socket: Socket) {
    let (mut sender, mut receiver) = link::session(socket, None);
    let machine = caller.machine;
    let hello = match tokio::time::timeout(HELLO_TIMEOUT, hello(&mut sender, &mut receiver)).await {
        Ok(Ok(hello)) => hello,
        Ok(Err(error)) => return tracing::debug!(%machine, %error, "an agent did not say hello"),
        Err(_) => return tracing::debug!(%machine, "an agent did not say hello in time"),
    };
    if let Err(problem) = greet(&context, &caller, &hello, &mut sender).await {
        let refused = Refused { problem, retry_after_seconds: Some(60) };
        // The connection is over either way.
        let _ = sender.send(Kind::Refused, &refused).await;
        return sender.close().await;
    }
    receiver.established();
    let outcome = if caller.expired {
        renew_only(&context, machine, &mut sender, &mut receiver).await
    } else {
        connected(&context, &caller, hello, &mut sender, &mut receiver).await
    };
    match outcome {
        Ok(()) => {}
        Err(End::Link(error)) => tracing::debug!(%machine, %error, "an agent's connection ended"),
        Err(End::Said(message)) => {
            // The connection is over either way.
            let _ = sender.send(Kind::Message, &message).await;
        }
    }
    sender.close().await;
}

async fn hello(sender: &mut Sender, receiver: &mut Receiver) -> Result<Hello, LinkError> {
    let frame = receiver.next().await?;
    if frame.header.kind != Kind::Hello {
        return Err(LinkError::Unexpected);
    }
    let hello: Hello = frame.message()?;
    if hello.epoch != frame.header.epoch {
        return Err(LinkError::Epoch { expected: hello.epoch, got: frame.header.epoch });
    }
    sender.set_epoch(hello.epoch);
    Ok(hello)
}

async fn greet(context: &Context, caller: &Caller, hello: &Hello, sender: &mut Sender) -> Result<(), Problem> {
    let (version, features) = protocol::negotiate(hello)?;
    if let Err(reason) = context.clones.lock().look(caller.machine, hello) {
        let problem = Problem::new(Code::Conflict, reason);
        context.registry.revoke(caller.machine, &problem.message);
        context.sink.suspicion(caller.machine, problem.clone());
        return Err(problem);
    }
    let plugins = context.plugins.borrow().iter().map(|file| file.offer.clone()).collect();
    let welcome = Welcome {
        version,
        features,
        time: Timestamp::now().to_string(),
        heartbeat_seconds: u32::try_from(context.config.heartbeat.as_secs()).unwrap_or(15).max(1),
        store: context.config.store.clone(),
        plugins: if caller.expired { Vec::new() } else { plugins },
        addresses: context.config.addresses.clone(),
        renew_only: caller.expired,
    };
    sender.send(Kind::Welcome, &welcome).await.map_err(|error| Problem::new(Code::Unavailable, error.to_string()))
}

/// An expired certificate: the agent may ask for a fresh one and nothing else.
async fn renew_only(
    context: &Context,
    machine: MachineId,
    sender: &mut Sender,
    receiver: &mut Receiver,
) -> Result<(), End> {
    let frame = tokio::time::timeout(HELLO_TIMEOUT, receiver.next()).await.map_err(|_| LinkError::Stalled)??;
    match frame.message()? {
        FromAgent::Renew { csr } => {
            let (renewed, _) = renew(context, machine, &csr)?;
            sender.send(Kind::Message, &renewed).await?;
            Ok(())
        }
        _ => {
            let problem = Problem::new(Code::Unauthenticated, "An expired certificate may only be renewed.");
            Err(End::Said(ToAgent::Goodbye(Refused { problem, retry_after_seconds: None })))
        }
    }
}

fn renew(context: &Context, machine: MachineId, csr: &str) -> Result<(ToAgent, Timestamp), End> {
    let certificate = STANDARD
        .decode(csr)
        .map_err(|_| Problem::bad_request("The certificate request is not base64."))
        .and_then(|csr| context.ca.issue_agent(*machine.as_uuid(), &csr, Timestamp::now()).map_err(enrolment::problem));
    match certificate {
        Ok(fresh) => Ok((ToAgent::Renewed { certificate: STANDARD.encode(&fresh.der) }, fresh.not_after)),
        Err(problem) => Err(End::Said(ToAgent::Goodbye(Refused { problem, retry_after_seconds: Some(60) }))),
    }
}

/// The session proper: in the registry from here on.
async fn connected(
    context: &Arc<Context>,
    caller: &Caller,
    hello: Hello,
    sender: &mut Sender,
    receiver: &mut Receiver,
) -> Result<(), End> {
    let machine = caller.machine;
    let (session, queue) = Session::new(machine);
    if let Some(replaced) = context.registry.join(&session) {
        let problem = Problem::new(Code::Conflict, "The agent has connected again.");
        replaced.end(ToAgent::Goodbye(Refused { problem, retry_after_seconds: None }));
    }
    let _leave = Leave { context, session: &session };
    context.presence.changed(machine, Status::Online, Timestamp::now());
    // A machine that was revoked between the look at its certificate and the entry into the registry.
    if let Ok(super::Standing::Refused(reason)) = context.directory.standing(machine).await {
        return Err(End::Said(ToAgent::Revoked { reason }));
    }
    if let Err(problem) = context.directory.facts(machine, conversions::facts(hello.evidence.facts.clone())).await {
        tracing::warn!(%machine, %problem, "a machine's name and addresses cannot be stored");
    }
    context.sink.hello(machine, introduce(hello)).await;
    let (requests, not_after) = (Arc::new(Semaphore::new(REQUESTS)), Mutex::new(caller.not_after));
    let talk = Talk { context, session: &session, requests, not_after };
    let outcome = talk.until_over(queue, sender, receiver).await;
    if context.registry.leave(&session) {
        context.sink.gone(machine).await;
    }
    outcome
}

fn introduce(hello: Hello) -> AgentHello {
    let Hello { boot_id, agent_version, known_jobs, policy_hash, plugins, evidence, .. } = hello;
    AgentHello { boot_id, agent_version, known_jobs, policy_hash, plugins, evidence }
}

/// Takes the session out of the registry however it ends, also by being dropped.
struct Leave<'a> {
    context: &'a Context,
    session: &'a Arc<Session>,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let (registry, machine) = (&self.context.registry, self.session.machine);
        self.session.over.cancel();
        registry.leave(self.session);
        if !registry.connected(machine) {
            self.context.presence.changed(machine, Status::Offline, Timestamp::now());
        }
    }
}

/// Whether it is wrong in itself, so that no later time is better. A disk that failed is not.
fn can_never_be_stored(code: Code) -> bool {
    matches!(code, Code::PermissionDenied | Code::NotFound | Code::BadRequest | Code::Quota)
}

struct Talk<'a> {
    context: &'a Arc<Context>,
    session: &'a Arc<Session>,
    requests: Arc<Semaphore>,
    /// When the certificate ends that the machine holds now. A session does not outlive it.
    not_after: Mutex<Timestamp>,
}

impl Talk<'_> {
    async fn until_over(
        &self,
        mut queue: mpsc::Receiver<ToAgent>,
        sender: &mut Sender,
        receiver: &mut Receiver,
    ) -> Result<(), End> {
        let mut plugins = self.context.plugins.clone();
        plugins.mark_unchanged();
        // Two missed heartbeats and some time on the way.
        let silence = self.context.config.heartbeat * 2 + Duration::from_secs(5);
        loop {
            let reply = tokio::select! {
                () = self.session.over.cancelled() => {
                    return self.session.farewell().map_or(Ok(()), |message| Err(End::Said(message)));
                }
                frame = tokio::time::timeout(silence, receiver.next()) => {
                    let frame = frame.map_err(|_| LinkError::Stalled)??;
                    if frame.header.kind != Kind::Message {
                        return Err(LinkError::Unexpected.into());
                    }
                    self.heard(frame.message()?).await?
                }
                message = queue.recv() => message,
                changed = plugins.changed() => match changed {
                    Ok(()) => {
                        let plugins = plugins.borrow_and_update().iter().map(|file| file.offer.clone()).collect();
                        Some(ToAgent::Plugins { plugins })
                    }
                    Err(_) => return Ok(()),
                },
            };
            if let Some(reply) = reply {
                sender.send(Kind::Message, &reply).await?;
            }
        }
    }

    /// Does what a message asks for; the answer is sent after it.
    async fn heard(&self, message: FromAgent) -> Result<Option<ToAgent>, End> {
        let (context, machine) = (self.context, self.session.machine);
        let sink = &context.sink;
        match message {
            FromAgent::Job { job, report } => {
                let finished = matches!(report, JobReport::Finished { .. });
                self.stored(sink.job(machine, job, report).await)?;
                Ok(finished.then_some(ToAgent::AckResult { job }))
            }
            FromAgent::Rows { seq, plugin, publish } => {
                self.stored(sink.rows(machine, plugin, publish).await)?;
                Ok(Some(ToAgent::AckRows { seq }))
            }
            FromAgent::Sections { sections } => {
                let sections = sink.sections(machine, sections).await;
                Ok((!sections.is_empty()).then_some(ToAgent::SendSections { sections }))
            }
            FromAgent::Renew { csr } => {
                let (renewed, not_after) = renew(context, machine, &csr)?;
                *self.not_after.lock() = not_after;
                Ok(Some(renewed))
            }
            FromAgent::Heartbeat { .. } => {
                let now = Timestamp::now();
                if now > *self.not_after.lock() {
                    let problem = Problem::new(Code::Unauthenticated, "The certificate has expired. Renew it.");
                    return Err(End::Said(ToAgent::Goodbye(Refused { problem, retry_after_seconds: Some(0) })));
                }
                context.presence.seen(machine, now);
                Ok(Some(ToAgent::Heartbeat { time: now.to_string() }))
            }
            FromAgent::PeerReply { call, outcome } | FromAgent::QueryReply { call, outcome } => {
                self.session.answer(call, outcome);
                Ok(None)
            }
            FromAgent::Request { call, plugin, method, payload } => {
                self.request(call, plugin, method, payload);
                Ok(None)
            }
            FromAgent::PluginStatus { plugins } => {
                sink.plugins(machine, plugins).await;
                Ok(None)
            }
            FromAgent::Facts(facts) => {
                let stored = context.directory.facts(machine, conversions::facts(facts)).await;
                self.stored(stored)?;
                Ok(None)
            }
            FromAgent::Log { plugin, level, text } => {
                sink.log(machine, plugin, level, schema::neutral_text(&text));
                Ok(None)
            }
        }
    }

    /// What was not stored is not acknowledged and comes again, whatever went wrong; only what can never be stored is
    /// dropped and told to an operator.
    fn stored(&self, outcome: Result<(), Problem>) -> Result<(), End> {
        match outcome {
            Ok(()) => Ok(()),
            Err(problem) if can_never_be_stored(problem.code) => {
                self.context.sink.suspicion(self.session.machine, problem);
                Ok(())
            }
            Err(problem) => {
                tracing::warn!(machine = %self.session.machine, %problem, "not stored; the agent says it again");
                let refused = Refused { problem, retry_after_seconds: Some(STORE_RETRY_SECONDS) };
                Err(End::Said(ToAgent::Goodbye(refused)))
            }
        }
    }

    fn request(&self, call: u64, plugin: String, method: String, payload: serde_json::Value) {
        let (context, session) = (Arc::clone(self.context), Arc::clone(self.session));
        let turn = Arc::clone(&self.requests).try_acquire_owned();
        context.clone().runtime.spawn(async move {
            let outcome = match turn {
                Ok(_turn) => tokio::select! {
                    outcome = context.sink.request(session.machine, plugin, method, payload) => outcome,
                    () = session.over.cancelled() => return,
                },
                Err(_) => Err(Problem::new(Code::Busy, "Too many requests of this machine are under way.")),
            };
            session.send_when_possible(ToAgent::Response { call, outcome: outcome.into() }).await;
        });
    }
}
