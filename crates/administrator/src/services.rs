//! What the administrator offers plugins: their rows, settings, secrets and messages to their machine role.

use crate::app::App;
use crate::settings;
use database::Scope;
use fleet::{EventStore as _, Lookup as _, MachineId};
use futures::future::{BoxFuture, FutureExt as _};
use jiff::Timestamp;
use plugin_host::{Duplex, Level, Method, Services};
use protocol::ToAgent;
use schema::{
    CallMeta, ChannelOpen, Code, EventsEmit, HostCall, HostRequest, JobsGet, JobsStart, ListedMachine, MachinesList,
    Object, PeerCall, Problem, Publish, Published, Role, RowPage, RowsQuery, Secret, SecretsDelete, SecretsGet,
    SecretsSet, SettingsGet,
};
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock, Weak};

/// The services behind the administrator's own plugins; empty until the administrator stands.
#[derive(Default)]
pub(crate) struct PluginServices(pub(crate) OnceLock<Weak<App>>);

impl PluginServices {
    fn app(&self) -> Result<Arc<App>, Problem> {
        let app = self.0.get().and_then(Weak::upgrade);
        app.ok_or_else(|| Problem::new(Code::Unavailable, "the administrator is starting or stopping."))
    }
}

impl Services for PluginServices {
    fn request(
        &self,
        plugin: &str,
        call: &CallMeta,
        method: &str,
        payload: Value,
    ) -> BoxFuture<'static, Result<Value, Problem>> {
        let (app, plugin, call, method) = (self.app(), plugin.to_owned(), call.clone(), method.to_owned());
        async move { request(app?, plugin, Role::Administrator, call, method, payload).await }.boxed()
    }

    fn open_channel(
        &self,
        plugin: &str,
        _call: &CallMeta,
        open: ChannelOpen,
    ) -> BoxFuture<'static, Result<Duplex, Problem>> {
        let (app, plugin) = (self.app(), plugin.to_owned());
        async move {
            let (app, machine) = (app?, open.machine);
            let machine =
                machine.ok_or_else(|| Problem::bad_request("say to which machine the channel goes.").at("machine"))?;
            let machine: MachineId = app.machine_id(machine).await?;
            app.agents().open_channel(machine, &plugin, &open.key).await
        }
        .boxed()
    }

    fn log(&self, plugin: &str, level: Level, target: &str, record: Value) {
        let text = record.get("message").and_then(Value::as_str).map_or_else(|| record.to_string(), str::to_owned);
        let text = schema::neutral_text(&text);
        match level {
            Level::Error => tracing::error!(target: "plugin", %plugin, from = %target, "{text}"),
            Level::Warn => tracing::warn!(target: "plugin", %plugin, from = %target, "{text}"),
            Level::Info => tracing::info!(target: "plugin", %plugin, from = %target, "{text}"),
            Level::Debug | Level::Trace => tracing::debug!(target: "plugin", %plugin, from = %target, "{text}"),
        }
    }
}

/// One request of a plugin in either role; that of a machine comes with the machine it runs on.
pub(crate) async fn request(
    app: Arc<App>,
    plugin: String,
    role: Role,
    call: CallMeta,
    method: String,
    payload: Value,
) -> Result<Value, Problem> {
    match HostCall::read(&method, payload)? {
        HostCall::RowsPublish(rows) if role == Role::Administrator => publish(&app, plugin, rows).await,
        HostCall::RowsQuery(asked) => query(&app, &plugin, role, &call, asked).await,
        HostCall::SettingsGet(asked) => settings(&app, &plugin, role, asked).await,
        HostCall::SecretsGet(asked) => {
            let value = app.secrets_store.get(&owner(plugin, role, &call)?, &asked.name).await?;
            SecretsGet::reply(&Secret { value })
        }
        HostCall::SecretsSet(set) => {
            app.secrets_store.set(&owner(plugin, role, &call)?, &set.name, Some(set.value)).await?;
            SecretsSet::reply(&())
        }
        HostCall::SecretsDelete(gone) => {
            app.secrets_store.set(&owner(plugin, role, &call)?, &gone.name, None).await?;
            SecretsDelete::reply(&())
        }
        HostCall::PeerCall(message) => peer(&app, &plugin, role, &call, message).await,
        HostCall::EventsEmit(event) => emit(&app, plugin, role, &call, event).await,
        HostCall::JobsStart(asked) => {
            JobsStart::reply(&crate::submission::start(&app, &plugin, role, &call, asked).await?)
        }
        HostCall::JobsGet(asked) if role == Role::Administrator => {
            JobsGet::reply(&crate::submission::seen(&app, &plugin, asked).await?)
        }
        HostCall::MachinesList(_) if role == Role::Administrator => machines(&app).await,
        HostCall::RowsPublish(_)
        | HostCall::MachinesList(_)
        | HostCall::JobsGet(_)
        | HostCall::FilesDir(_)
        | HostCall::ChannelOpen(_) => Err(HostCall::not_offered(&method)),
    }
}

async fn publish(app: &App, plugin: String, publish: Publish) -> Result<Value, Problem> {
    let write = move |store: &mut database::Write<'_>| Ok(store.publish(None, &plugin, &publish, Timestamp::now())?);
    let outcome = app.database.write(write).await?;
    Publish::reply(&Published { accepted: outcome.accepted as u64, rejected: outcome.rejected, held: outcome.held })
}

/// A plugin sees the rows of its own types only, and its machine role those of its own machine.
async fn query(app: &App, plugin: &str, role: Role, call: &CallMeta, asked: RowsQuery) -> Result<Value, Problem> {
    let type_id = match asked.type_name.split_once('.') {
        None => format!("{plugin}.{}", asked.type_name),
        Some((owner, _)) if owner == plugin => asked.type_name,
        Some(_) => {
            return Err(Problem::new(Code::PermissionDenied, "a plugin sees the rows of its own types.").at("type"));
        }
    };
    let scope = match role {
        Role::Administrator => Scope::Everything,
        Role::Machine => {
            let modules = app.modules.current();
            let of_machines = modules.type_of(&type_id).is_some_and(|kind| kind.scope == schema::Scope::Machine);
            let machine = call.machine.as_ref().and_then(|id| id.parse::<MachineId>().ok()).filter(|_| of_machines);
            let machine = machine.ok_or_else(|| {
                Problem::new(Code::PermissionDenied, "a machine sees the rows of its own machine only.").at("type")
            })?;
            Scope::Machines([machine].into())
        }
    };
    let read = move |store: &database::Read<'_>| Ok(store.query(&type_id, &asked.query, &scope)?);
    let rows = app.database.read(read).await?;
    RowsQuery::reply(&RowPage { rows: rows.objects(), next: rows.next })
}

/// The settings of a plugin as they hold for itself; for its administrator role also as they hold for a machine.
async fn settings(app: &App, plugin: &str, role: Role, asked: SettingsGet) -> Result<Value, Problem> {
    let machine = match asked.machine {
        Some(machine) if role == Role::Administrator => Some(app.machine_id(machine).await?),
        Some(_) => return Err(Problem::new(Code::PermissionDenied, "a machine sees its own settings only.")),
        None => None,
    };
    SettingsGet::reply(&settings::in_force(app, plugin, machine).await?)
}

/// Whose secrets a call is about: the machine role of a plugin has those of its own machine and no others.
fn owner(plugin: String, role: Role, call: &CallMeta) -> Result<String, Problem> {
    match (role, &call.machine) {
        (Role::Machine, Some(machine)) => Ok(format!("{plugin}@{machine}")),
        (Role::Machine, None) => Err(Problem::new(Code::PermissionDenied, "no machine is known for this call.")),
        (Role::Administrator, _) => Ok(plugin),
    }
}

async fn peer(app: &App, plugin: &str, role: Role, call: &CallMeta, message: PeerCall) -> Result<Value, Problem> {
    if role == Role::Machine {
        let meta = CallMeta { machine: call.machine.clone(), ..CallMeta::default() };
        return app.host.call(plugin, Method::Peer, meta, message.payload).await?.result().await;
    }
    let Some(machine) = message.machine else {
        return Err(Problem::bad_request("say to which machine the message goes.").at("machine"));
    };
    let machine: MachineId = app.machine_id(machine).await?;
    app.agents().peer_call(machine, plugin, message.payload).await
}

/// Keeps what a plugin tells for operators to read, and tells the plugin in its other role: the administrator's what a
/// machine tells, a machine's what the administrator says of it, if it is connected.
async fn emit(app: &App, plugin: String, role: Role, call: &CallMeta, emitted: EventsEmit) -> Result<Value, Problem> {
    let EventsEmit { event: id, data, machine } = emitted;
    let modules = app.modules.current();
    let declared = modules.module(&plugin).and_then(|m| m.manifest.events.iter().find(|event| event.id == id).cloned());
    let Some(declared) = declared else {
        let message = format!("{plugin} declares no event {}.", schema::neutral_text(&id));
        return Err(Problem::bad_request(message).at("event"));
    };
    let machine: Option<MachineId> = match (role, machine) {
        (Role::Machine, _) => call.machine.as_ref().and_then(|id| id.parse().ok()),
        (Role::Administrator, Some(machine)) => Some(app.machine_id(machine).await?),
        (Role::Administrator, None) => None,
    };
    let at = Timestamp::now();
    let told = json!({"event": format!("{plugin}.{id}"), "machine": machine, "data": data, "at": at});
    let data = match data {
        Value::Object(data) => data,
        Value::Null => Object::new(),
        other => Object::from_iter([("value".to_owned(), other)]),
    };
    let (module, title, tone) = (plugin.clone(), declared.title, declared.tone);
    let event = fleet::Event { at, module, event: id.clone(), title, tone, machine, data };
    app.database.write(move |store| Ok(store.add_event(&event)?)).await?;
    match (role, machine) {
        (Role::Machine, Some(machine)) if app.host.plugins().iter().any(|status| status.name == plugin) => {
            let meta = CallMeta { machine: Some(machine.to_string()), ..CallMeta::default() };
            app.host.call(&plugin, Method::Event(id), meta, told).await?.result().await?;
        }
        // One that is away has missed it, as one that sleeps does: an event is no state.
        (Role::Administrator, Some(machine)) => {
            let _ = app.agents().send(machine, ToAgent::Event { plugin, event: told });
        }
        _ => {}
    }
    EventsEmit::reply(&())
}

async fn machines(app: &App) -> Result<Value, Problem> {
    let read = |store: &database::Read<'_>| {
        let mut machines = Vec::new();
        for id in store.machine_ids()? {
            if let Some(machine) = store.machine(id)? {
                let (id, status) = (machine.id.to_string(), machine.status.as_str().to_owned());
                machines.push(ListedMachine { id, name: machine.name, status });
            }
        }
        Ok(machines)
    };
    MachinesList::reply(&app.database.read(read).await?)
}
