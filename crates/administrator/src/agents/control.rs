//! One agent's control channel, from its `Hello` to its end.

use super::registry::Session;
use super::routes::Caller;
use super::{AgentHello, Context, Taken, conversions, enrolment};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fleet::Status;
use identity::AgentCertificate;
use link::{LinkError, Receiver, Sender, Socket};
use protocol::{FromAgent, Hello, JobReport, Kind, Refused, ToAgent, Welcome};
use schema::{Code, Object, Problem};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests of one agent's plugins that wait for an answer at a time.
const REQUESTS: usize = 32;
/// Longest time for the last words to an agent that may not read them.
const FAREWELL: Duration = Duration::from_secs(1);
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
        return farewell(sender, Kind::Refused, &refused).await;
    }
    receiver.established();
    let outcome = if caller.expired {
        renew_only(&context, &caller, &mut sender, &mut receiver).await
    } else {
        connected(&context, &caller, hello, &mut sender, &mut receiver).await
    };
    match outcome {
        Ok(()) => sender.close().await,
        Err(End::Link(error)) => {
            tracing::debug!(%machine, %error, "an agent's connection ended");
            if matches!(error, LinkError::Stalled) && !context.registry.connected(machine) {
                // The machine is gone, and its other connections with it.
                context.registry.end(machine, stalled());
            }
            sender.close().await;
        }
        Err(End::Said(message)) => farewell(sender, Kind::Message, &message).await,
    }
}

fn stalled() -> ToAgent {
    let problem = Problem::new(Code::Unavailable, format!("{}.", LinkError::Stalled));
    ToAgent::Goodbye(Refused { problem, retry_after_seconds: None })
}

/// The connection is over whether this arrives or not.
async fn farewell<T: serde::Serialize>(mut sender: Sender, kind: Kind, message: &T) {
    if tokio::time::timeout(FAREWELL, sender.send(kind, message)).await.is_ok() {
        sender.close().await;
    }
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
    let looked = context.clones.lock().look(caller.machine, hello);
    if let Err(reason) = looked {
        let problem = Problem::new(Code::Conflict, reason).fix(super::directory::way_back(caller.machine));
        context.registry.end(caller.machine, ToAgent::Revoked { reason: problem.to_string() });
        context.sink.suspicion(caller.machine, problem.clone());
        if let Err(unstored) = context.directory.hold(caller.machine, problem.message.clone()).await {
            tracing::error!(machine = %caller.machine, %unstored, "that a machine is held could not be stored");
        }
        return Err(problem);
    }
    let plugins = context.plugins.borrow().iter().map(|file| file.offer.clone()).collect();
    let welcome = Welcome {
        version,
        features,
        time: (context.clock)().to_string(),
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
    caller: &Caller,
    sender: &mut Sender,
    receiver: &mut Receiver,
) -> Result<(), End> {
    let frame = tokio::time::timeout(HELLO_TIMEOUT, receiver.next()).await.map_err(|_| LinkError::Stalled)??;
    match frame.message()? {
        FromAgent::Renew { csr } => {
            let renewed = renew(context, caller, &csr)?;
            sender.send(Kind::Message, &renewed).await?;
            Ok(())
        }
        _ => {
            let problem = Problem::new(Code::Unauthenticated, "An expired certificate may only be renewed.");
            Err(End::Said(ToAgent::Goodbye(Refused { problem, retry_after_seconds: None })))
        }
    }
}

fn renew(context: &Context, caller: &Caller, csr: &str) -> Result<ToAgent, End> {
    match renewal(context, caller, csr) {
        Ok(fresh) => {
            context.registry.renewed(caller.machine, fresh.not_after);
            Ok(ToAgent::Renewed { certificate: STANDARD.encode(&fresh.der) })
        }
        Err(problem) => Err(End::Said(ToAgent::Goodbye(Refused { problem, retry_after_seconds: Some(60) }))),
    }
}

/// A fresh certificate for the key that the caller has shown it holds: whoever got hold of a connection for a moment
/// gets no certificate for a key of its own.
fn renewal(context: &Context, caller: &Caller, csr: &str) -> Result<AgentCertificate, Problem> {
    let csr = enrolment::decoded(csr)?;
    if identity::ca::key_of_request(&csr).map_err(enrolment::problem)? != caller.identity.key {
        let problem = Problem::new(Code::PermissionDenied, "A certificate is renewed for the same key only.");
        context.sink.suspicion(caller.machine, problem.clone());
        return Err(problem);
    }
    context.ca.issue_agent(*caller.machine.as_uuid(), &csr, (context.clock)()).map_err(enrolment::problem)
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
    let (session, queue, replaced) = context.registry.join(&caller.place);
    if let Some(replaced) = replaced {
        let problem = Problem::new(Code::Conflict, "The agent has connected again.");
        replaced.end(ToAgent::Goodbye(Refused { problem, retry_after_seconds: None }));
    }
    let _leave = Leave { context, session: &session };
    context.presence.changed(machine, Status::Online, (context.clock)());
    // A machine that was revoked between the look at its certificate and the entry into the registry.
    if let Ok(super::Standing::Refused(problem)) = context.directory.standing(&caller.identity).await {
        return Err(End::Said(ToAgent::Revoked { reason: problem.to_string() }));
    }
    if let Err(problem) = context.directory.facts(machine, conversions::facts(hello.evidence.facts.clone())).await {
        tracing::warn!(%machine, %problem, "a machine's name and addresses cannot be stored");
    }
    context.sink.hello(machine, introduce(hello)).await;
    let talk = Talk { context, caller, session: &session, requests: Arc::new(Semaphore::new(REQUESTS)) };
    // Also while something is on its way to an agent that does not read.
    let outcome = tokio::select! {
        outcome = talk.until_lost(queue, sender, receiver) => outcome,
        () = session.over.cancelled() => session.farewell().map_or(Ok(()), |message| Err(End::Said(message))),
    };
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
            self.context.presence.changed(machine, Status::Offline, (self.context.clock)());
        }
    }
}

/// Whether it is wrong in itself, so that no later time is better. A disk that failed is not.
fn can_never_be_stored(code: Code) -> bool {
    matches!(code, Code::PermissionDenied | Code::NotFound | Code::BadRequest | Code::Quota)
}

struct Talk<'a> {
    context: &'a Arc<Context>,
    caller: &'a Caller,
    session: &'a Arc<Session>,
    requests: Arc<Semaphore>,
}

impl Talk<'_> {
    async fn until_lost(
        &self,
        mut queue: mpsc::Receiver<ToAgent>,
        sender: &mut Sender,
        receiver: &mut Receiver,
    ) -> Result<(), End> {
        let mut plugins = self.context.plugins.clone();
        plugins.mark_unchanged();
        let mut settings = self.context.settings.clone();
        settings.mark_changed();
        let mut told = BTreeMap::new();
        // Two missed heartbeats and some time on the way.
        let silence = self.context.config.heartbeat * 2 + Duration::from_secs(5);
        loop {
            let reply = tokio::select! {
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
                changed = settings.changed() => {
                    changed.map_err(|_| LinkError::Closed)?;
                    self.tell_settings(&mut told, sender).await?;
                    None
                }
            };
            if let Some(reply) = reply {
                sender.send(Kind::Message, &reply).await?;
            }
        }
    }

    /// Sends what operators set for this machine, as far as it differs from what it was told.
    async fn tell_settings(&self, told: &mut BTreeMap<String, Object>, sender: &mut Sender) -> Result<(), End> {
        let machine = self.session.machine;
        let settings = match self.context.sink.settings(machine).await {
            Ok(settings) => settings,
            Err(problem) => {
                tracing::warn!(%machine, %problem, "the settings of a machine cannot be read");
                return Ok(());
            }
        };
        for (plugin, values) in settings {
            if told.get(&plugin) != Some(&values) {
                let message = ToAgent::Settings { plugin: plugin.clone(), values: values.clone() };
                sender.send(Kind::Message, &message).await?;
                told.insert(plugin, values);
            }
        }
        Ok(())
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
                let outcome = sink.rows(machine, plugin, publish).await;
                let held = matches!(outcome, Ok(Taken::Held));
                self.stored(outcome.map(|_| ()))?;
                Ok(Some(ToAgent::AckRows { seq, held }))
            }
            FromAgent::Sections { sections } => {
                let sections = sink.sections(machine, sections).await;
                Ok((!sections.is_empty()).then_some(ToAgent::SendSections { sections }))
            }
            FromAgent::Renew { csr } => renew(context, self.caller, &csr).map(Some),
            FromAgent::Heartbeat { .. } => {
                let now = (context.clock)();
                context.presence.seen(machine, now);
                Ok(Some(ToAgent::Heartbeat { time: now.to_string() }))
            }
            FromAgent::PeerReply { call, outcome } | FromAgent::QueryReply { call, outcome } => {
                if !self.session.answer(call, outcome) {
                    let problem = Problem::bad_request("It answered a call that was never made to it.");
                    sink.suspicion(machine, problem);
                }
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
                    outcome = tokio::time::timeout(
                        context.config.answer_within,
                        context.sink.request(session.machine, plugin, method, payload),
                    ) => outcome.unwrap_or_else(|_| Err(Problem::new(Code::Deadline, "It took too long."))),
                    () = session.over.cancelled() => return,
                },
                Err(_) => Err(Problem::new(Code::Busy, "Too many requests of this machine are under way.")),
            };
            session.send_when_possible(ToAgent::Response { call, outcome: outcome.into() }).await;
        });
    }
}
