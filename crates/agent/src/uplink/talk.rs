//! One live session. Reading and writing go on side by side, and reading never waits for writing, so that neither side
//! can stall the other for good.

use super::{Over, renewed, request_renewal};
use crate::core::Core;
use crate::jobs;
use crate::journal::{Journal, Phase};
use crate::{plugins, settings};
use identity::ca::AGENT_LIFE;
use jiff::{SignedDuration, Timestamp};
use link::{LinkError, Receiver, Sender};
use parking_lot::Mutex;
use plugin_host::{CallMeta, Duplex, Method};
use protocol::{FrameError, FromAgent, JobReport, Kind, Outcome, ToAgent, Welcome};
use schema::{Code, Problem, Query};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Rows that are under way without being acknowledged.
const ROWS_UNDER_WAY_BYTES: usize = 4 * 1024 * 1024;
/// How often a result is repeated that is not acknowledged.
const REPEAT_EVERY: Duration = Duration::from_secs(20);
/// How long a job may take to open a stream that an operator waits for.
const STREAM_WAIT: Duration = Duration::from_secs(10);

struct Talk {
    core: Arc<Core>,
    heartbeat: Duration,
    /// What the administrator understands besides the version that was agreed on.
    features: Vec<String>,
    /// The administrator's time when the session began, and our own then.
    time: (Timestamp, Instant),
    /// Highest entry of the spool that was acknowledged in this session.
    stored: AtomicU64,
    /// A renewal was asked for and not answered yet.
    renewing: AtomicBool,
    /// Calls of the administrator that are being answered.
    calls: Mutex<HashMap<u64, CancellationToken>>,
    /// They end with the session.
    over: CancellationToken,
}

pub(super) async fn run(
    core: &Arc<Core>,
    welcome: Welcome,
    mut sender: Sender,
    mut receiver: Receiver,
) -> Result<(), Over> {
    let heartbeat = Duration::from_secs(u64::from(welcome.heartbeat_seconds.clamp(1, 3600)));
    let time = (welcome.time.parse().unwrap_or_else(|_| Timestamp::now()), Instant::now());
    let over = core.stop.child_token();
    let (stored, renewing) = (AtomicU64::new(0), AtomicBool::new(false));
    let (core, calls, features) = (Arc::clone(core), Mutex::default(), welcome.features);
    let talk = Talk { core: Arc::clone(&core), heartbeat, features, time, stored, renewing, calls, over: over.clone() };
    let talk = Arc::new(talk);
    core.outbox.connected();
    let sections = core.with_journal(Journal::section_hashes).await?;
    if !sections.is_empty() {
        core.outbox.say(FromAgent::Sections { sections });
    }
    let outcome = tokio::select! {
        read = talk.read(&mut receiver) => read,
        written = talk.write(&mut sender) => written,
    };
    over.cancel();
    sender.close().await;
    outcome
}

impl Talk {
    async fn write(&self, sender: &mut Sender) -> Result<(), Over> {
        let (mut heartbeat, mut repeat) = (tokio::time::interval(self.heartbeat), Instant::now());
        let (mut sent, mut under_way): (u64, Vec<(u64, usize)>) = (0, Vec::new());
        loop {
            tokio::select! {
                due = self.core.outbox.due() => {
                    for message in due.messages {
                        self.put(sender, message).await?;
                    }
                    if due.results {
                        self.send_results(sender).await?;
                    }
                }
                _ = heartbeat.tick() => {
                    let policy_hash = self.core.policy.hash();
                    sender.send(Kind::Message, &FromAgent::Heartbeat { policy_hash }).await?;
                    if self.renewal_due() && !self.renewing.swap(true, Ordering::AcqRel) {
                        sender.send(Kind::Message, &request_renewal(&self.core)?).await?;
                    }
                    if repeat.elapsed() >= REPEAT_EVERY {
                        repeat = Instant::now();
                        self.send_results(sender).await?;
                    }
                }
            }
            let stored = self.stored.load(Ordering::Acquire);
            under_way.retain(|(seq, _)| *seq > stored);
            let room = ROWS_UNDER_WAY_BYTES.saturating_sub(under_way.iter().map(|(_, bytes)| bytes).sum());
            if room == 0 {
                continue;
            }
            let rows = self.core.with_journal(move |journal| journal.outgoing(sent, room)).await?;
            for row in rows {
                (sent, _) = (row.seq, under_way.push((row.seq, row.bytes)));
                self.put(sender, FromAgent::Rows { seq: row.seq, plugin: row.plugin, publish: row.publish }).await?;
            }
        }
    }

    async fn send_results(&self, sender: &mut Sender) -> Result<(), Over> {
        for job in self.core.with_journal(Journal::open_jobs).await? {
            let Some(record) = self.core.with_journal(move |journal| journal.job(job)).await? else { continue };
            let report = match record.phase {
                Phase::Accepted | Phase::Running if self.core.running.get(job).is_none() => continue,
                phase => jobs::report(&phase),
            };
            self.put(sender, FromAgent::Job { job, report }).await?;
        }
        Ok(())
    }

    /// Sends a message. One that does not fit into a frame never will, and must not end every session.
    async fn put(&self, sender: &mut Sender, message: FromAgent) -> Result<(), Over> {
        let message = message.for_features(&self.features);
        match sender.send(Kind::Message, &message).await {
            Err(LinkError::Frame(error)) => self.give_up(message, &error).await,
            sent => Ok(sent?),
        }
    }

    /// Lets a message go that cannot be sent; whoever waits for it is told instead, and the operator.
    async fn give_up(&self, message: FromAgent, error: &FrameError) -> Result<(), Over> {
        let (core, refused) = (&self.core, |what| jobs::does_not_fit(what, error));
        let problem = match message {
            FromAgent::Job { job, report: JobReport::Finished { .. } } => {
                let problem = refused("What the command ended with");
                jobs::replace_end(core, job, problem.clone());
                problem
            }
            FromAgent::Rows { seq, plugin, publish } => {
                core.with_journal(move |journal| journal.give_up(seq)).await?;
                refused(&format!("Rows of {plugin}.{}", publish.type_name))
            }
            FromAgent::PeerReply { call, .. } => {
                let problem = refused("The answer of the machine");
                core.outbox.say(FromAgent::PeerReply { call, outcome: Outcome::Problem(problem.clone()) });
                problem
            }
            FromAgent::QueryReply { call, .. } => {
                let problem = refused("The answer of the machine");
                core.outbox.say(FromAgent::QueryReply { call, outcome: Outcome::Problem(problem.clone()) });
                problem
            }
            FromAgent::Request { call, plugin, method, .. } => {
                let problem = refused(&format!("{method} of {plugin}"));
                core.outbox.answer(call, Outcome::Problem(problem.clone()));
                problem
            }
            _ => refused("A message of the agent"),
        };
        tracing::warn!(%problem, "a message is given up");
        let (plugin, level) = ("agent".to_owned(), "warn".to_owned());
        core.outbox.say(FromAgent::Log { plugin, level, text: problem.to_string() });
        Ok(())
    }

    /// By the administrator's clock: the machine's own may be anything.
    fn renewal_due(&self) -> bool {
        let (begun, since) = self.time;
        let Ok(passed) = SignedDuration::try_from(since.elapsed()) else { return true };
        let now = begun.saturating_add(passed).unwrap_or(Timestamp::MAX);
        let identity = self.core.enrolment.read().identity();
        identity.is_some_and(|identity| identity.not_after.duration_since(now) < AGENT_LIFE / 3)
    }

    async fn read(self: &Arc<Talk>, receiver: &mut Receiver) -> Result<(), Over> {
        // The administrator answers every heartbeat.
        let silence = self.heartbeat * 2 + Duration::from_secs(5);
        loop {
            let frame = tokio::time::timeout(silence, receiver.next()).await.map_err(|_| LinkError::Stalled)??;
            if frame.header.kind != Kind::Message {
                return Err(LinkError::Unexpected.into());
            }
            self.hear(frame.message()?).await?;
        }
    }

    /// Deals with a message to its end, even where the link dies over it: what was journalled is also begun or told.
    async fn hear(self: &Arc<Talk>, message: ToAgent) -> Result<(), Over> {
        let talk = Arc::clone(self);
        // Where the agent stops there is no one to tell.
        self.core.to_its_end(async move { talk.heard(message).await }).await.unwrap_or(Ok(()))
    }

    async fn heard(self: &Arc<Talk>, message: ToAgent) -> Result<(), Over> {
        let core = &self.core;
        match message {
            ToAgent::Assign(assign) => {
                let job = assign.job;
                if let Err(error) = jobs::assign(core, *assign).await {
                    tracing::error!(%job, %error, "a job cannot be taken over");
                    self.job_log(job, &error);
                }
            }
            ToAgent::Cancel { job } => jobs::cancel(core, job).await?,
            ToAgent::AckResult { job } => {
                core.with_journal(move |journal| journal.acknowledge(job, Timestamp::now())).await?
            }
            ToAgent::AckRows { seq, held } => {
                core.with_journal(move |journal| journal.stored_up_to(seq, held)).await?;
                self.stored.fetch_max(seq, Ordering::AcqRel);
                core.outbox.spool_changed();
            }
            ToAgent::SendSections { sections } => {
                core.with_journal(move |journal| journal.send_again(Some(&sections))).await?;
                core.outbox.spool_changed();
            }
            ToAgent::OpenStream { ticket, job, stream } => self.open_stream(ticket, job, stream),
            ToAgent::OpenChannel { ticket, plugin, key } => self.open_channel(ticket, plugin, key),
            ToAgent::PeerCall { call, plugin, payload } => self.peer_call(call, plugin, payload),
            ToAgent::Query { call, plugin, type_name, query } => self.query(call, plugin, type_name, *query),
            ToAgent::CallCancelled { call } => {
                if let Some(answering) = self.calls.lock().remove(&call) {
                    answering.cancel();
                }
            }
            ToAgent::Heartbeat { .. } => {}
            ToAgent::Response { call, outcome } => core.outbox.answer(call, outcome),
            ToAgent::Settings { plugin, values } => {
                settings::store(core, &plugin, values).await?;
                match settings::in_force(core, &plugin).await {
                    Ok(values) => self.tell(plugin, Method::Configure, Value::Object(values)),
                    Err(problem) => tracing::warn!(%plugin, %problem, "a plugin is not told of its settings"),
                }
            }
            ToAgent::Event { plugin, event } => {
                let full = event.get("event").and_then(Value::as_str).unwrap_or_default();
                let id = full.rsplit_once('.').map_or(full, |(_, short)| short).to_owned();
                self.tell(plugin, Method::Event(id), event);
            }
            ToAgent::Renewed { certificate } => {
                renewed(core, certificate)?;
                self.renewing.store(false, Ordering::Release);
            }
            ToAgent::Plugins { plugins } => plugins::want(core, plugins).await,
            ToAgent::Revoked { reason } => return Err(Over::Revoked(reason)),
            ToAgent::Goodbye(refused) => return Err(Over::Refused(refused)),
        }
        Ok(())
    }

    fn job_log(&self, job: Uuid, error: &jobs::NotTaken) {
        let (at, text) = (Timestamp::now().to_string(), format!("The machine cannot take it over: {error}."));
        self.core.outbox.job(job, JobReport::Log { at, level: "error".to_owned(), text });
    }

    fn meta(&self) -> CallMeta {
        CallMeta { machine: Some(self.core.enrolment.read().machine.to_string()), ..CallMeta::default() }
    }

    /// Works out the answer to a call, as long as somebody waits for it.
    fn answer(self: &Arc<Talk>, call: u64, work: impl Future<Output = FromAgent> + Send + 'static) {
        let (talk, unwanted) = (Arc::clone(self), self.over.child_token());
        self.calls.lock().insert(call, unwanted.clone());
        self.core.spawn(async move {
            tokio::select! {
                () = unwanted.cancelled() => {}
                answer = work => talk.core.outbox.say(answer),
            }
            talk.calls.lock().remove(&call);
        });
    }

    fn peer_call(self: &Arc<Talk>, call: u64, plugin: String, payload: Value) {
        let talk = Arc::clone(self);
        self.answer(call, async move {
            let outcome = talk.call(&plugin, Method::Peer, payload).await;
            FromAgent::PeerReply { call, outcome }
        });
    }

    async fn call(&self, plugin: &str, method: Method, payload: Value) -> Outcome {
        let operation = self.core.call(plugin, method, self.meta(), payload).await;
        let result: Result<Value, Problem> = match operation {
            Ok(operation) => operation.result().await,
            Err(problem) => Err(problem),
        };
        result.into()
    }

    fn query(self: &Arc<Talk>, call: u64, plugin: String, type_name: String, query: Query) {
        let talk = Arc::clone(self);
        self.answer(call, async move {
            let payload = serde_json::to_value(query).expect("a query is plain data");
            let page = match talk.core.call(&plugin, Method::Query(type_name), talk.meta(), payload).await {
                Ok(operation) => operation.page().await,
                Err(problem) => Err(problem),
            };
            let value = page.map(|page| serde_json::to_value(page).expect("a page is plain data"));
            FromAgent::QueryReply { call, outcome: value.into() }
        });
    }

    /// Tells a plugin something that has no answer, also where the link dies meanwhile.
    fn tell(self: &Arc<Talk>, plugin: String, method: Method, payload: Value) {
        let talk = Arc::clone(self);
        self.core.spawn(async move {
            if let Outcome::Problem(problem) = talk.call(&plugin, method, payload).await
                && problem.code != Code::UnsupportedByHost
            {
                tracing::debug!(plugin, %problem, "a plugin did not take something in");
            }
        });
    }

    /// Dials back for the administrator role of a plugin, once the plugin here takes the channel.
    fn open_channel(self: &Arc<Talk>, ticket: String, plugin: String, key: String) {
        let core = Arc::clone(&self.core);
        self.core.spawn(async move {
            let (near, far) = Duplex::pair();
            if let Err(problem) = core.host().accept_channel(&plugin, &key, CallMeta::default(), far).await {
                return tracing::warn!(%plugin, %problem, "a channel is not taken");
            }
            let Ok(dialer) = core.dialer() else { return };
            match dialer.websocket(&format!("/stream/{ticket}")).await {
                Ok(socket) => link::carry(socket, near).await,
                Err(error) => tracing::debug!(%plugin, %error, "a channel cannot be opened"),
            }
        });
    }

    /// Dials back for an operator who watches a job. The stream outlives this session: it has a connection of its own.
    fn open_stream(self: &Arc<Talk>, ticket: String, job: Uuid, stream: String) {
        let core = Arc::clone(&self.core);
        self.core.spawn(async move {
            let Some(live) = core.running.get(job) else { return };
            let taken = tokio::time::timeout(STREAM_WAIT, live.streams.take(&stream)).await;
            let (Ok(Some(local)), Ok(dialer)) = (taken, core.dialer()) else { return };
            match dialer.websocket(&format!("/stream/{ticket}")).await {
                Ok(socket) => link::carry(socket, local).await,
                Err(error) => {
                    tracing::debug!(%job, stream, %error, "a stream cannot be opened");
                    live.streams.offer(stream, local);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests;
