//! The agents' port: enrolment, the control channels of all connected agents, their streams and channels.
//!
//! Who an agent is comes from its certificate and from nothing it says. This module moves messages and knows who is
//! connected; what a job, a row or a plugin is, is decided by the [`AgentSink`] it hands them to, and an agent is told
//! that something is stored only after the sink says so.

use crate::runtime::Runtime;
use fleet::MachineId;
use futures::future::BoxFuture;
use identity::SiteCa;
use jiff::Timestamp;
use parking_lot::Mutex;
use protocol::{Evidence, Facts, JobReport, KnownJob, PluginOffer, PluginReport, SectionHash, SectionName, ToAgent};
use schema::{Code, Object, Problem, Publish, Query, RowPage};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use uuid::Uuid;

mod calls;
mod channel;
mod clones;
mod control;
mod conversions;
mod directory;
mod download;
mod enrolment;
mod install;
mod port;
mod presence;
mod registry;
mod routes;
mod strangers;

use clones::Clones;
pub use directory::{Directory, Enrolled, Standing};
use presence::PresenceBook;
use registry::Registry;

/// What the agents' port is started with.
#[derive(Clone, Debug)]
pub struct AgentsConfig {
    pub listen: SocketAddr,
    /// `HOST:PORT` of the agents' port as machines reach it, best first.
    pub addresses: Vec<String>,
    pub heartbeat: Duration,
    /// Longest time for the answer to a call, either way.
    pub answer_within: Duration,
    /// The agent's own program, for machines that have none yet.
    pub agent_program: Option<PathBuf>,
    /// Id of the database. Agents send everything again to a new one.
    pub store: String,
}

/// What it works with.
pub struct AgentsDeps {
    pub directory: Arc<dyn Directory>,
    pub ca: Arc<SiteCa>,
    /// Plugins that machines are to have; a change is told to all.
    pub plugins: watch::Receiver<Arc<Vec<PluginFile>>>,
    /// Something that machines are told of their plugins' settings may have changed.
    pub settings: watch::Receiver<()>,
    pub sink: Arc<dyn AgentSink>,
    pub runtime: Runtime,
    pub clock: Clock,
}

/// What time it is.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A plugin library as agents fetch it.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginFile {
    pub offer: PluginOffer,
    pub path: PathBuf,
}

/// A job's stream, or a channel between the two roles of a plugin.
pub type Duplex = plugin_host::Duplex;

/// Where everything goes that agents say. Answers of `Ok` are passed on as acknowledgements, so they must be given
/// after the commit; on an error the agent repeats later.
pub trait AgentSink: Send + Sync + 'static {
    /// An agent is connected. What it answers is asked for in full: sections whose hash is not the known one.
    fn hello(&self, machine: MachineId, hello: AgentHello) -> BoxFuture<'_, ()>;
    /// The connection is over.
    fn gone(&self, machine: MachineId) -> BoxFuture<'_, ()>;
    fn job(&self, machine: MachineId, job: Uuid, report: JobReport) -> BoxFuture<'_, Result<(), Problem>>;
    fn rows(&self, machine: MachineId, plugin: String, publish: Publish) -> BoxFuture<'_, Result<Taken, Problem>>;
    /// What the agent believes to be stored; the answer names what it must send again.
    fn sections(&self, machine: MachineId, sections: Vec<SectionHash>) -> BoxFuture<'_, Vec<SectionName>>;
    /// A host service that a plugin's machine role asks of the administrator (`peer.call`, `events.emit`, …).
    fn request(
        &self,
        machine: MachineId,
        plugin: String,
        method: String,
        payload: Value,
    ) -> BoxFuture<'_, Result<Value, Problem>>;
    /// The machine role of `plugin` opens a channel to its administrator role. Returns when the channel is accepted.
    fn channel(
        &self,
        machine: MachineId,
        plugin: String,
        key: String,
        duplex: Duplex,
    ) -> BoxFuture<'_, Result<(), Problem>>;
    fn plugins(&self, machine: MachineId, plugins: Vec<PluginReport>) -> BoxFuture<'_, ()>;
    /// What operators set for each plugin with settings on this machine.
    fn settings(&self, machine: MachineId) -> BoxFuture<'_, Result<Vec<(String, Object)>, Problem>>;
    fn log(&self, machine: MachineId, plugin: String, level: String, text: String);
    /// Something about this identity is wrong: a clone, a report that it may not make.
    fn suspicion(&self, machine: MachineId, problem: Problem);
    /// Somebody without an identity, at this address, was not enrolled.
    fn refused_join(&self, from: IpAddr, problem: Problem);
}

/// What became of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Stored,
    /// They would erase most of a section: held back until a second collection agrees.
    Held,
}

/// What an agent told when it connected.
#[derive(Clone, Debug)]
pub struct AgentHello {
    pub boot_id: String,
    pub agent_version: String,
    pub known_jobs: Vec<KnownJob>,
    pub policy_hash: String,
    pub plugins: Vec<PluginReport>,
    pub evidence: Evidence,
}

impl AgentHello {
    pub fn facts(&self) -> &Facts {
        &self.evidence.facts
    }
}

/// Why something could not be sent. The database has it; it is sent when the agent is back, or at the next round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Offline {
    #[error("the machine is not connected")]
    NotConnected,
    #[error("the machine is slower than what it is sent")]
    QueueFull,
}

impl From<Offline> for Problem {
    fn from(offline: Offline) -> Problem {
        Problem::new(Code::Unavailable, format!("{offline}."))
    }
}

/// What all connections share.
struct Context {
    config: AgentsConfig,
    directory: Arc<dyn Directory>,
    ca: Arc<SiteCa>,
    plugins: watch::Receiver<Arc<Vec<PluginFile>>>,
    settings: watch::Receiver<()>,
    sink: Arc<dyn AgentSink>,
    runtime: Runtime,
    clock: Clock,
    registry: Arc<Registry>,
    presence: PresenceBook,
    clones: Mutex<Clones>,
    program_hash: install::ProgramHash,
}

/// The agents of the site, as the rest of the administrator sees them. Cheap to clone.
#[derive(Clone)]
pub struct Agents {
    context: Arc<Context>,
    local: SocketAddr,
}

impl Agents {
    /// Opens the port and serves it until the runtime stops.
    ///
    /// # Errors
    /// The port is taken, or the certificates cannot be used.
    pub async fn start(config: AgentsConfig, deps: AgentsDeps) -> Result<Agents, Problem> {
        let acceptor = acceptor(&config, &deps.ca)?;
        let listener = port::bind(config.listen).map_err(|error| cannot_listen(config.listen, &error))?;
        let local = listener.local_addr().map_err(|error| cannot_listen(config.listen, &error))?;
        deps.directory.all_offline().await?;
        let AgentsDeps { directory, ca, plugins, settings, sink, runtime, clock } = deps;
        let (registry, presence, clones, program_hash) = Default::default();
        let context = Arc::new(Context {
            config,
            directory,
            ca,
            plugins,
            settings,
            sink,
            runtime,
            clock,
            registry,
            presence,
            clones,
            program_hash,
        });
        context.runtime.spawn(port::serve(Arc::clone(&context), listener, acceptor));
        let flushing = Arc::clone(&context);
        context.runtime.spawn(async move { presence::flush(&flushing).await });
        let watching = Arc::clone(&context);
        context.runtime.spawn(async move {
            loop {
                tokio::time::sleep(watching.config.heartbeat).await;
                watching.registry.end_expired((watching.clock)());
            }
        });
        Ok(Agents { context, local })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    pub fn connected(&self, machine: MachineId) -> bool {
        self.context.registry.connected(machine)
    }

    pub fn all_connected(&self) -> Vec<MachineId> {
        self.context.registry.all()
    }

    /// Queues a message; never waits.
    pub fn send(&self, machine: MachineId, message: ToAgent) -> Result<(), Offline> {
        self.context.registry.send(machine, message)
    }

    /// Ends every connection of a machine whose identity was revoked or removed. Its certificate is refused by the
    /// directory from then on.
    pub fn revoke(&self, machine: MachineId, reason: &str) {
        self.context.registry.end(machine, ToAgent::Revoked { reason: reason.to_owned() });
    }

    /// Has the agent dial back and join the connection to a stream of a running job.
    ///
    /// # Errors
    /// The machine is offline, does not dial back within 10 s, or does not run the job.
    pub async fn open_stream(&self, machine: MachineId, job: Uuid, stream: &str) -> Result<Duplex, Problem> {
        self.context.registry.open_stream(machine, job, stream).await
    }

    /// Opens a channel to the machine role of a plugin.
    ///
    /// # Errors
    /// The machine is offline, or does not dial back within 10 s.
    pub async fn open_channel(&self, machine: MachineId, plugin: &str, key: &str) -> Result<Duplex, Problem> {
        self.context.registry.open_channel(machine, plugin, key).await
    }

    /// A small message from the administrator role of a plugin to its machine role, and the answer.
    pub async fn peer_call(&self, machine: MachineId, plugin: &str, payload: Value) -> Result<Value, Problem> {
        self.context.registry.peer_call(machine, plugin, payload, self.context.config.answer_within).await
    }

    /// A page of a computed type that the machine answers.
    pub async fn query(
        &self,
        machine: MachineId,
        plugin: &str,
        type_name: &str,
        query: Query,
    ) -> Result<RowPage, Problem> {
        self.context.registry.query(machine, plugin, type_name, query, self.context.config.answer_within).await
    }
}

fn acceptor(config: &AgentsConfig, ca: &SiteCa) -> Result<TlsAcceptor, Problem> {
    let names = config.addresses.iter().filter_map(|address| address.rsplit_once(':').map(|(host, _)| host));
    let names: Vec<String> = names.map(|host| host.trim_matches(['[', ']']).to_owned()).collect();
    let credentials = ca.server_credentials(&names, Timestamp::now()).map_err(enrolment::problem)?;
    let mut tls = identity::tls::agents_port_config(ca, credentials)
        .map_err(|error| Problem::internal(format!("The agents' port has no usable certificate: {error}.")))?;
    // A resumed session would skip the look at the certificate, and costs memory for every agent.
    tls.send_tls13_tickets = 0;
    tls.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(TlsAcceptor::from(Arc::new(tls)))
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Problem {
    Problem::new(Code::Unavailable, format!("The agents' port {address} cannot be opened: {error}."))
        .fix("End what uses it, or choose another with --agents-listen.")
}
