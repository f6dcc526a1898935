//! An agents' port with a directory and a sink that tests can look into, and agents that do as they are told.

use administrator::agents::{
    AgentHello, AgentSink, Agents, AgentsConfig, AgentsDeps, Directory, Duplex, PluginFile, Standing,
};
use administrator::runtime::Runtime;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use database::{Database, Write};
use fleet::{Facts, Lookup, MachineId, NewMachine, Presence, Status, Store};
use futures::future::BoxFuture;
use identity::tls::{Trust, agent_config};
use identity::{DeviceKey, JoinSecret, JoinToken, SiteCa, StoredJoin};
use jiff::{SignedDuration, Timestamp};
use link::{Dialer, Receiver, Sender, Socket};
use parking_lot::Mutex;
use protocol::{EnrolReply, EnrolRequest, Evidence, FromAgent, Hello, JobReport, Kind, ToAgent, Welcome};
use protocol::{PluginReport, SectionHash, SectionName};
use schema::{Problem, Publish};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

pub(crate) const SOON: Duration = Duration::from_secs(10);

/// What came to the sink, in order.
#[derive(Debug)]
pub(crate) enum Event {
    Hello(MachineId, Box<AgentHello>),
    Gone(MachineId),
    Job(MachineId, Uuid, JobReport),
    Rows(MachineId, String, Publish),
    Request(MachineId, String),
    Suspicion(MachineId, Problem),
}

pub(crate) struct Sink {
    events: mpsc::UnboundedSender<Event>,
    /// Answer to rows and job reports.
    pub(crate) refuse: Mutex<Option<Problem>>,
    pub(crate) channels: mpsc::UnboundedSender<(MachineId, String, String, Duplex)>,
}

impl Sink {
    fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }

    fn stored(&self) -> Result<(), Problem> {
        self.refuse.lock().clone().map_or(Ok(()), Err)
    }
}

impl AgentSink for Sink {
    fn hello(&self, machine: MachineId, hello: AgentHello) -> BoxFuture<'_, ()> {
        self.tell(Event::Hello(machine, Box::new(hello)));
        Box::pin(async {})
    }
    fn gone(&self, machine: MachineId) -> BoxFuture<'_, ()> {
        self.tell(Event::Gone(machine));
        Box::pin(async {})
    }
    fn job(&self, machine: MachineId, job: Uuid, report: JobReport) -> BoxFuture<'_, Result<(), Problem>> {
        self.tell(Event::Job(machine, job, report));
        Box::pin(async { self.stored() })
    }
    fn rows(&self, machine: MachineId, plugin: String, publish: Publish) -> BoxFuture<'_, Result<(), Problem>> {
        self.tell(Event::Rows(machine, plugin, publish));
        Box::pin(async { self.stored() })
    }
    fn sections(&self, _: MachineId, _: Vec<SectionHash>) -> BoxFuture<'_, Vec<SectionName>> {
        Box::pin(async { Vec::new() })
    }
    fn request(
        &self,
        machine: MachineId,
        _plugin: String,
        method: String,
        payload: Value,
    ) -> BoxFuture<'_, Result<Value, Problem>> {
        self.tell(Event::Request(machine, method));
        Box::pin(async { Ok(payload) })
    }
    fn channel(
        &self,
        machine: MachineId,
        plugin: String,
        key: String,
        duplex: Duplex,
    ) -> BoxFuture<'_, Result<(), Problem>> {
        let _ = self.channels.send((machine, plugin, key, duplex));
        Box::pin(async { Ok(()) })
    }
    fn plugins(&self, _: MachineId, _: Vec<PluginReport>) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
    fn log(&self, _: MachineId, _: String, _: String, _: String) {}
    fn suspicion(&self, machine: MachineId, problem: Problem) {
        self.tell(Event::Suspicion(machine, problem));
    }
}

/// The real database, and word of every change of presence.
pub(crate) struct Watched {
    database: Database,
    presence: watch::Sender<HashMap<MachineId, Status>>,
}

impl Directory for Watched {
    fn enrol(&self, secret: JoinSecret, machine: NewMachine, from: String) -> BoxFuture<'_, Result<(), Problem>> {
        self.database.enrol(secret, machine, from)
    }
    fn standing(&self, machine: MachineId) -> BoxFuture<'_, Result<Standing, Problem>> {
        self.database.standing(machine)
    }
    fn presence(&self, batch: Vec<Presence>) -> BoxFuture<'_, Result<(), Problem>> {
        Box::pin(async move {
            self.database.presence(batch.clone()).await?;
            self.presence.send_modify(|known| known.extend(batch.iter().map(|one| (one.machine, one.status))));
            Ok(())
        })
    }
    fn facts(&self, machine: MachineId, facts: Facts) -> BoxFuture<'_, Result<(), Problem>> {
        self.database.facts(machine, facts)
    }
    fn all_offline(&self) -> BoxFuture<'_, Result<(), Problem>> {
        self.database.all_offline()
    }
}

/// A port and everything behind it.
pub(crate) struct Kit {
    pub(crate) agents: Agents,
    pub(crate) ca: Arc<SiteCa>,
    pub(crate) directory: Arc<Watched>,
    pub(crate) sink: Arc<Sink>,
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
    pub(crate) channels: mpsc::UnboundedReceiver<(MachineId, String, String, Duplex)>,
    /// Held so that they live as long as the port.
    pub(crate) plugins: watch::Sender<Arc<Vec<PluginFile>>>,
    _runtime: Runtime,
    _dir: tempfile::TempDir,
}

/// A machine as a test plays it.
pub(crate) struct Machine {
    pub(crate) id: MachineId,
    pub(crate) key: DeviceKey,
    pub(crate) certificate: Vec<u8>,
    pub(crate) epoch: u64,
}

pub(crate) struct Session {
    pub(crate) sender: Sender,
    pub(crate) receiver: Receiver,
    pub(crate) welcome: Welcome,
}

impl Kit {
    pub(crate) async fn start() -> Kit {
        Kit::with_heartbeat(Duration::from_secs(15)).await
    }

    pub(crate) async fn with_heartbeat(heartbeat: Duration) -> Kit {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        // Only the first test of a process gets to set it.
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        let dir = tempfile::tempdir().unwrap();
        let ca = Arc::new(SiteCa::open(&dir.path().join("ca"), Timestamp::now()).unwrap());
        let (events_sender, events) = mpsc::unbounded_channel();
        let (channels_sender, channels) = mpsc::unbounded_channel();
        let sink = Arc::new(Sink { events: events_sender, refuse: Mutex::new(None), channels: channels_sender });
        let database = Database::open(&dir.path().join("bailiwick.db")).unwrap();
        let directory = Arc::new(Watched { database, presence: watch::Sender::new(HashMap::new()) });
        let runtime = Runtime::default();
        let plugins = watch::Sender::new(Arc::new(Vec::new()));
        let program = dir.path().join("bailiwick-agent");
        std::fs::write(&program, "#!/bin/sh\necho \"$@\" >>\"$0.ran\"\n").unwrap();
        let config = AgentsConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            addresses: Vec::new(),
            heartbeat,
            agent_program: Some(program),
            store: "store-1".into(),
        };
        let deps = AgentsDeps {
            directory: directory.clone(),
            ca: ca.clone(),
            plugins: plugins.subscribe(),
            sink: sink.clone(),
            runtime: runtime.clone(),
        };
        let agents = Agents::start(config, deps).await.unwrap();
        Kit { agents, ca, directory, sink, events, channels, plugins, _runtime: runtime, _dir: dir }
    }

    pub(crate) fn address(&self) -> String {
        self.agents.local_addr().to_string()
    }

    /// A join token good for `life`.
    pub(crate) fn token(&self, life: SignedDuration) -> JoinToken {
        let secret = JoinSecret::generate();
        let now = Timestamp::now();
        let stored = StoredJoin {
            id: Uuid::now_v7(),
            secret: secret.hash(),
            created_by: "ada".into(),
            created_at: now,
            expires_at: now.saturating_add(life).unwrap(),
            used: None,
        };
        let insert = move |write: &mut Write<'_>| Ok(identity::Store::insert_join(write, &stored)?);
        self.directory.database.write_blocking(insert).unwrap();
        let address = self.address().parse().unwrap();
        JoinToken { addresses: vec![address], secret, authority: self.ca.fingerprint() }
    }

    pub(crate) fn stored(&self, machine: MachineId) -> fleet::Machine {
        self.directory.database.read_blocking(move |read| Ok(read.machine(machine)?)).unwrap().unwrap()
    }

    pub(crate) fn stored_as_revoked(&self, machine: MachineId) {
        let revoke = move |write: &mut Write<'_>| Ok(write.revoke_machine(machine, Timestamp::now())?);
        self.directory.database.write_blocking(revoke).unwrap();
    }

    pub(crate) async fn status(&self, machine: MachineId, wanted: Status) {
        let mut presence = self.directory.presence.subscribe();
        let reached = presence.wait_for(|known| known.get(&machine) == Some(&wanted));
        tokio::time::timeout(SOON, reached).await.expect("the status comes soon").unwrap();
    }

    pub(crate) async fn event(&mut self) -> Event {
        tokio::time::timeout(SOON, self.events.recv()).await.expect("something comes soon").unwrap()
    }

    /// A dialer without a certificate.
    pub(crate) fn stranger(&self) -> Dialer {
        let tls = agent_config(Trust::Fingerprint(self.ca.fingerprint()), None).unwrap();
        Dialer { address: self.address(), tls: Arc::new(tls) }
    }

    pub(crate) async fn enrol_with(&self, token: &JoinToken, key: &DeviceKey) -> Result<EnrolReply, Problem> {
        let request = EnrolRequest {
            secret: token.secret.to_string(),
            csr: STANDARD.encode(key.request().unwrap()),
            evidence: Evidence::default(),
        };
        let body = serde_json::to_vec(&request).unwrap().into();
        let reply = self.stranger().fetch(hyper::Method::POST, "/enrol", body, 100_000).await.unwrap();
        if reply.status.is_success() {
            return Ok(serde_json::from_slice(&reply.body).unwrap());
        }
        Err(serde_json::from_slice(&reply.body).unwrap())
    }

    pub(crate) async fn machine(&self) -> Machine {
        let (token, key) = (self.token(SignedDuration::from_hours(1)), DeviceKey::generate().unwrap());
        let reply = self.enrol_with(&token, &key).await.unwrap();
        let certificate = STANDARD.decode(&reply.certificate).unwrap();
        Machine { id: MachineId::from_uuid(reply.machine), key, certificate, epoch: 0 }
    }

    pub(crate) fn dialer(&self, machine: &Machine) -> Dialer {
        self.dialer_with(machine.certificate.clone(), &machine.key)
    }

    pub(crate) fn dialer_with(&self, certificate: Vec<u8>, key: &DeviceKey) -> Dialer {
        let client = (certificate.into(), key.private_key());
        let tls = agent_config(Trust::Authority(self.ca.certificate().clone()), Some(client)).unwrap();
        Dialer { address: self.address(), tls: Arc::new(tls) }
    }

    pub(crate) async fn connect(&self, machine: &mut Machine) -> Session {
        machine.epoch += 1;
        let socket = self.dialer(machine).websocket("/link").await.unwrap();
        greet(socket, machine.epoch).await.unwrap()
    }
}

pub(crate) fn hello(epoch: u64) -> Hello {
    Hello {
        version: protocol::VERSION,
        oldest_version: protocol::OLDEST_VERSION,
        features: vec!["streams".into(), "from the future".into()],
        agent_version: "test".into(),
        boot_id: "boot".into(),
        epoch,
        known_jobs: Vec::new(),
        evidence: Evidence::default(),
        policy_hash: String::new(),
        plugins: Vec::new(),
    }
}

/// Says hello; the problem where the other side refuses.
pub(crate) async fn greet(socket: Socket, epoch: u64) -> Result<Session, Problem> {
    let (mut sender, mut receiver) = link::session(socket, Some(epoch));
    sender.send(Kind::Hello, &hello(epoch)).await.unwrap();
    let frame = receiver.next().await.unwrap();
    if frame.header.kind == Kind::Refused {
        return Err(frame.message::<protocol::Refused>().unwrap().problem);
    }
    assert_eq!(frame.header.kind, Kind::Welcome);
    receiver.established();
    Ok(Session { sender, receiver, welcome: frame.message().unwrap() })
}

impl Session {
    pub(crate) async fn say(&mut self, message: &FromAgent) {
        self.sender.send(Kind::Message, message).await.unwrap();
    }

    /// The next message; `None` when the connection is over.
    pub(crate) async fn next(&mut self) -> Option<ToAgent> {
        let frame = tokio::time::timeout(SOON, self.receiver.next()).await.expect("something comes soon");
        frame.ok().map(|frame| frame.message().unwrap())
    }
}

pub(crate) fn rows(seq: u64) -> FromAgent {
    let publish = serde_json::json!({"type": "thing", "mode": "replace", "rows": [{"id": "1"}]});
    FromAgent::Rows { seq, plugin: "sample".into(), publish: serde_json::from_value(publish).unwrap() }
}
