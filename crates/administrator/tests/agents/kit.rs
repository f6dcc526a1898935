//! An agents' port with a directory and a sink that tests can look into, and agents that do as they are told.

use administrator::agents::{
    AgentHello, AgentSink, Agents, AgentsConfig, AgentsDeps, Directory, Duplex, Enrolled, PluginFile, Standing, Taken,
};
use administrator::runtime::Runtime;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use database::{Database, Write};
use fleet::{Facts, Lookup, MachineId, Presence, Status, Store};
use futures::future::BoxFuture;
use identity::tls::{Trust, agent_config};
use identity::{AgentIdentity, DeviceKey, Fingerprint, JoinSecret, JoinToken, SiteCa, StoredJoin};
use jiff::{SignedDuration, Timestamp};
use link::{Dialer, Receiver, Sender, Socket};
use parking_lot::Mutex;
use protocol::{EnrolReply, EnrolRequest, Evidence, FromAgent, Hello, JobReport, Kind, ToAgent, Welcome};
use protocol::{PluginReport, SectionHash, SectionName};
use schema::{Object, Problem, Publish};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

/// Stands for the agent where it is installed: notes what it is told, and holds its state while it runs.
const AGENT: &str = r#"#!/bin/sh
[ "$1" != run ] || echo $$ >"$3/agent.pid"
echo "$1 ${BAILIWICK_JOIN:-}" >>"$HOME/ran"
case $1 in
enrol)
    [ "${BAILIWICK_JOIN}" != refused ] || exit 1
    kill -0 "$(cat "$3/agent.pid")" 2>/dev/null && exit 1
    mkdir -p "$3" && echo {} >"$3/enrolment.json" ;;
run)
    trap exit TERM
    while :; do sleep 0.1; done ;;
esac
"#;

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
    RefusedJoin(std::net::IpAddr, Problem),
}

pub(crate) struct Sink {
    events: mpsc::UnboundedSender<Event>,
    /// Answer to rows and job reports.
    pub(crate) refuse: Mutex<Option<Problem>>,
    pub(crate) channels: mpsc::UnboundedSender<(MachineId, String, String, Duplex)>,
    /// What operators set for every machine.
    pub(crate) settings: Mutex<Vec<(String, Object)>>,
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
    fn rows(&self, machine: MachineId, plugin: String, publish: Publish) -> BoxFuture<'_, Result<Taken, Problem>> {
        self.tell(Event::Rows(machine, plugin, publish));
        Box::pin(async { self.stored().map(|()| Taken::Stored) })
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
        let hangs = method == "hang";
        self.tell(Event::Request(machine, method));
        Box::pin(async move { if hangs { futures::future::pending().await } else { Ok(payload) } })
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
    fn settings(&self, _: MachineId) -> BoxFuture<'_, Result<Vec<(String, Object)>, Problem>> {
        Box::pin(async { Ok(self.settings.lock().clone()) })
    }
    fn log(&self, _: MachineId, _: String, _: String, _: String) {}
    fn suspicion(&self, machine: MachineId, problem: Problem) {
        self.tell(Event::Suspicion(machine, problem));
    }
    fn refused_join(&self, from: std::net::IpAddr, problem: Problem) {
        self.tell(Event::RefusedJoin(from, problem));
    }
}

/// The real database, and word of every change of presence.
pub(crate) struct Watched {
    database: Database,
    presence: watch::Sender<HashMap<MachineId, Status>>,
}

impl Directory for Watched {
    fn enrol(
        &self,
        secret: JoinSecret,
        key: Fingerprint,
        facts: Facts,
        from: String,
    ) -> BoxFuture<'_, Result<Enrolled, Problem>> {
        self.database.enrol(secret, key, facts, from)
    }
    fn standing(&self, identity: &AgentIdentity) -> BoxFuture<'_, Result<Standing, Problem>> {
        self.database.standing(identity)
    }
    fn hold(&self, machine: MachineId, reason: String) -> BoxFuture<'_, Result<(), Problem>> {
        self.database.hold(machine, reason)
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
    pub(crate) settings: watch::Sender<()>,
    /// How far the port's clock is ahead, in seconds.
    ahead: Arc<AtomicI64>,
    config: AgentsConfig,
    runtime: Runtime,
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
        let (refuse, settings) = Default::default();
        let sink = Arc::new(Sink { events: events_sender, refuse, channels: channels_sender, settings });
        let database = Database::open(&dir.path().join("bailiwick.db")).unwrap();
        let directory = Arc::new(Watched { database, presence: watch::Sender::new(HashMap::new()) });
        let (runtime, ahead) = (Runtime::default(), Arc::<AtomicI64>::default());
        let plugins = watch::Sender::new(Arc::new(Vec::new()));
        let settings = watch::Sender::new(());
        let program = dir.path().join("bailiwick-agent");
        std::fs::write(&program, AGENT).unwrap();
        let config = AgentsConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            addresses: Vec::new(),
            heartbeat,
            answer_within: Duration::from_secs(2),
            agent_program: Some(program),
            store: "store-1".into(),
        };
        let deps = AgentsDeps {
            directory: directory.clone(),
            ca: ca.clone(),
            plugins: plugins.subscribe(),
            settings: settings.subscribe(),
            sink: sink.clone(),
            runtime: runtime.clone(),
            clock: clock(&ahead),
        };
        let agents = Agents::start(config.clone(), deps).await.unwrap();
        Kit { agents, ca, directory, sink, events, channels, plugins, settings, ahead, config, runtime, _dir: dir }
    }

    /// The administrator is ended and started again on what it has stored.
    pub(crate) async fn restart(&mut self) {
        self.runtime.stop().await;
        self.runtime = Runtime::default();
        let deps = AgentsDeps {
            directory: self.directory.clone(),
            ca: self.ca.clone(),
            plugins: self.plugins.subscribe(),
            settings: self.settings.subscribe(),
            sink: self.sink.clone(),
            runtime: self.runtime.clone(),
            clock: clock(&self.ahead),
        };
        self.agents = Agents::start(self.config.clone(), deps).await.unwrap();
    }

    /// Puts the port's clock forward.
    pub(crate) fn later(&self, by: SignedDuration) {
        self.ahead.fetch_add(by.as_secs(), Ordering::SeqCst);
    }

    pub(crate) fn address(&self) -> String {
        self.agents.local_addr().to_string()
    }

    /// A join token good for `life`.
    pub(crate) fn token(&self, life: SignedDuration) -> JoinToken {
        self.token_for(None, life)
    }

    /// A join token with which a device takes the place of `machine`.
    pub(crate) fn token_for(&self, machine: Option<MachineId>, life: SignedDuration) -> JoinToken {
        let secret = JoinSecret::generate();
        let now = Timestamp::now();
        let stored = StoredJoin {
            id: Uuid::now_v7(),
            machine: machine.map(Uuid::from),
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

    pub(crate) fn removed(&self, machine: MachineId) {
        let remove = move |write: &mut Write<'_>| Ok(write.remove_machine(machine)?);
        self.directory.database.write_blocking(remove).unwrap();
    }

    pub(crate) fn is_known(&self, machine: MachineId) -> bool {
        self.directory.database.read_blocking(move |read| Ok(read.machine(machine)?)).unwrap().is_some()
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
        self.arrive_with(&self.token(SignedDuration::from_hours(1))).await
    }

    /// A device with a key of its own comes with `token`.
    pub(crate) async fn arrive_with(&self, token: &JoinToken) -> Machine {
        let key = DeviceKey::generate().unwrap();
        let reply = self.enrol_with(token, &key).await.unwrap();
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

fn clock(ahead: &Arc<AtomicI64>) -> administrator::agents::Clock {
    let ahead = Arc::clone(ahead);
    Arc::new(move || Timestamp::now() + SignedDuration::from_secs(ahead.load(Ordering::SeqCst)))
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
