//! What both roles of a module that runs alone may ask: local rows, settings, secrets and events, and each other.

use administrator::SecretsStore;
use anyhow::{Context as _, Result};
use database::{Database, Scope};
use fleet::{Event, EventStore as _, Lookup as _, MachineId};
use futures::future::{BoxFuture, FutureExt as _};
use jiff::Timestamp;
use plugin_host::{Duplex, Host, Level, Method, Services};
use schema::{
    CallMeta, ChannelOpen, Code, EventType, EventsEmit, HostCall, HostRequest, ListedMachine, MachinesList, Manifest,
    Object, Problem, Publish, Published, Query, Role, RowPage, RowsQuery, Secret, SecretsDelete, SecretsGet,
    SecretsSet, SettingsGet,
};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, OnceLock, Weak};

/// What both roles share.
pub(super) struct LocalServices {
    database: Database,
    machine: MachineId,
    hosts: OnceLock<Hosts>,
    settings: Object,
    events: Vec<EventType>,
    secrets: SecretsStore,
}

/// The two roles, each in a host of its own.
pub(super) struct Hosts {
    pub(super) machine: Host,
    pub(super) administrator: Host,
}

impl LocalServices {
    pub(super) fn new(
        database: Database,
        machine: MachineId,
        settings: Object,
        manifest: &Manifest,
        directory: &Path,
    ) -> Result<LocalServices> {
        let secrets = directory.join("secrets");
        let failed = || format!("{} cannot be made", secrets.display());
        let secrets = SecretsStore::open(secrets.clone()).with_context(failed)?;
        let events = manifest.events.clone();
        Ok(LocalServices { database, machine, hosts: OnceLock::new(), settings, events, secrets })
    }

    /// Joins the roles. Once.
    pub(super) fn join(&self, hosts: Hosts) {
        drop(self.hosts.set(hosts));
    }

    pub(super) fn hosts(&self) -> Result<&Hosts, Problem> {
        self.hosts.get().ok_or_else(|| Problem::new(Code::Unavailable, "the module is starting."))
    }

    pub(super) fn host(&self, role: Role) -> Result<&Host, Problem> {
        self.hosts().map(|hosts| match role {
            Role::Machine => &hosts.machine,
            Role::Administrator => &hosts.administrator,
        })
    }

    /// A page of a stored type.
    pub(super) async fn query(&self, type_id: String, query: Query) -> Result<RowPage, Problem> {
        let read = move |store: &database::Read<'_>| Ok(store.query(&type_id, &query, &Scope::Everything)?);
        let rows = self.database.read(read).await?;
        Ok(RowPage { rows: rows.objects(), next: rows.next })
    }

    async fn request(&self, role: Role, plugin: String, method: &str, payload: Value) -> Result<Value, Problem> {
        match HostCall::read(method, payload)? {
            HostCall::RowsPublish(publish) => self.publish(role, plugin, publish).await,
            HostCall::RowsQuery(asked) => {
                let name = asked.type_name;
                let type_id = if name.contains('.') { name } else { format!("{plugin}.{name}") };
                RowsQuery::reply(&self.query(type_id, asked.query).await?)
            }
            HostCall::SettingsGet(asked) => {
                self.check_machine(asked.machine.as_deref()).await?;
                SettingsGet::reply(&self.settings)
            }
            // Each role has its own, as it has where the two are on different machines.
            HostCall::SecretsGet(asked) => {
                SecretsGet::reply(&Secret { value: self.secrets.get(role.as_str(), &asked.name).await? })
            }
            HostCall::SecretsSet(set) => {
                SecretsSet::reply(&self.secrets.set(role.as_str(), &set.name, Some(set.value)).await?)
            }
            HostCall::SecretsDelete(gone) => {
                SecretsDelete::reply(&self.secrets.set(role.as_str(), &gone.name, None).await?)
            }
            HostCall::PeerCall(message) => {
                self.check_machine(message.machine.as_deref()).await?;
                let operation = self.host(other(role))?.call(&plugin, Method::Peer, self.meta(), message.payload);
                operation.await?.result().await
            }
            HostCall::EventsEmit(event) => self.emit(role, plugin, event).await,
            HostCall::MachinesList(_) => MachinesList::reply(&self.listed().await?.into_iter().collect()),
            HostCall::FilesDir(_) | HostCall::ChannelOpen(_) | HostCall::JobsStart(_) | HostCall::JobsGet(_) => {
                Err(HostCall::not_offered(method))
            }
        }
    }

    async fn publish(&self, role: Role, plugin: String, publish: Publish) -> Result<Value, Problem> {
        let machine = (role == Role::Machine).then_some(self.machine);
        let write =
            move |store: &mut database::Write<'_>| Ok(store.publish(machine, &plugin, &publish, Timestamp::now())?);
        let outcome = self.database.write(write).await?;
        let (accepted, rejected, held) = (outcome.accepted as u64, outcome.rejected, outcome.held);
        Publish::reply(&Published { accepted, rejected, held })
    }

    /// Keeps an event with the rows, and tells the other role, as an administrator does.
    async fn emit(&self, role: Role, plugin: String, emitted: EventsEmit) -> Result<Value, Problem> {
        let EventsEmit { event: id, data, machine } = emitted;
        let Some(declared) = self.events.iter().find(|event| event.id == id) else {
            let message = format!("{plugin} declares no event {}.", schema::neutral_text(&id));
            return Err(Problem::bad_request(message).at("event"));
        };
        self.check_machine(machine.as_deref()).await?;
        let of_machine = (role == Role::Machine || machine.is_some()).then_some(self.machine);
        let at = Timestamp::now();
        let told = json!({"event": format!("{plugin}.{id}"), "machine": of_machine, "data": data, "at": at});
        let data = match data {
            Value::Object(data) => data,
            Value::Null => Object::new(),
            other => Object::from_iter([("value".to_owned(), other)]),
        };
        let (title, tone) = (declared.title.clone(), declared.tone);
        let event = Event { at, module: plugin.clone(), event: id.clone(), title, tone, machine: of_machine, data };
        self.database.write(move |store| Ok(store.add_event(&event)?)).await?;
        let host = self.host(other(role))?;
        if of_machine.is_some() && host.plugins().iter().any(|status| status.name == plugin) {
            host.call(&plugin, Method::Event(id), self.meta(), told).await?.result().await?;
        }
        EventsEmit::reply(&())
    }

    fn meta(&self) -> CallMeta {
        CallMeta { machine: Some(self.machine.to_string()), ..CallMeta::default() }
    }

    /// There is this machine and no other.
    async fn check_machine(&self, named: Option<&str>) -> Result<(), Problem> {
        let Some(named) = named else { return Ok(()) };
        match self.listed().await? {
            Some(here) if here.id == named || here.name == named => Ok(()),
            _ => Err(Problem::not_found(format!("there is no machine {}.", schema::neutral_text(named))).at("machine")),
        }
    }

    async fn listed(&self) -> Result<Option<ListedMachine>, Problem> {
        let id = self.machine;
        let machine = self.database.read(move |store| Ok(store.machine(id)?)).await?;
        Ok(machine.map(|machine| ListedMachine {
            id: id.to_string(),
            name: machine.name,
            status: machine.status.as_str().to_owned(),
        }))
    }
}

fn other(role: Role) -> Role {
    match role {
        Role::Machine => Role::Administrator,
        Role::Administrator => Role::Machine,
    }
}

/// Host services of one role.
pub(super) struct RoleServices {
    role: Role,
    services: Weak<LocalServices>,
}

impl RoleServices {
    pub(super) fn new(role: Role, services: &Arc<LocalServices>) -> RoleServices {
        RoleServices { role, services: Arc::downgrade(services) }
    }

    fn services(&self) -> Result<Arc<LocalServices>, Problem> {
        self.services.upgrade().ok_or_else(|| Problem::new(Code::Unavailable, "the module is stopping."))
    }
}

impl Services for RoleServices {
    fn request(
        &self,
        plugin: &str,
        _call: &CallMeta,
        method: &str,
        payload: Value,
    ) -> BoxFuture<'static, Result<Value, Problem>> {
        let (role, services) = (self.role, self.services());
        let (plugin, method) = (plugin.to_owned(), method.to_owned());
        async move { services?.request(role, plugin, &method, payload).await }.boxed()
    }

    fn open_channel(
        &self,
        plugin: &str,
        call: &CallMeta,
        open: ChannelOpen,
    ) -> BoxFuture<'static, Result<Duplex, Problem>> {
        let (role, services) = (self.role, self.services());
        let (plugin, call) = (plugin.to_owned(), call.clone());
        async move {
            let services = services?;
            services.check_machine(open.machine.as_deref()).await?;
            let (near, far) = Duplex::pair();
            services.host(other(role))?.accept_channel(&plugin, &open.key, call, far).await?;
            Ok(near)
        }
        .boxed()
    }

    /// The one place where log lines are shown, whether or not they belong to the command that is followed.
    fn log(&self, _plugin: &str, level: Level, _target: &str, record: Value) {
        if level <= Level::Warn {
            let text = record.get("message").and_then(Value::as_str).unwrap_or_default();
            crate::display::say(&format!("{}: {}", level.as_str(), schema::neutral_text(text)));
        }
    }
}
