//! One module without an administrator: both of its roles in this process, the channel between them in memory, its rows
//! in a local database, its words from its manifest.

use crate::{remote, watch};
use anyhow::{Context as _, Result, bail};
use database::Database;
use fleet::{Facts, Lookup as _, MachineId, NewMachine, Store as _};
use futures::future::{BoxFuture, FutureExt as _};
use jiff::Timestamp;
use plugin_host::{Duplex, Host, HostConfig, Level, Method, OpEvent, Services};
use schema::{
    CallMeta, ChannelOpen, Code, EventsEmit, HostCall, HostRequest, JobState, ListedMachine, MachinesList, Manifest,
    Object, Problem, Publish, Published, Query, Role, RowPage, RowsQuery, SettingsGet,
};
use serde_json::{Value, json};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use surface::Shape;
use surface::cli::{self, CommandCall, Format, Invocation, ViewCall};

/// How long a module gets to end.
const STOP: Duration = Duration::from_secs(2);

/// Runs `module` by itself, from `library` or from the folder of plugins beside this program.
pub(crate) fn run(module: &str, library: Option<&Path>, arguments: &[String]) -> Result<ExitCode> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime cannot start")?;
    runtime.block_on(async {
        let found = find(module, library).await?;
        let name = found.manifest.plugin.name.clone();
        let words = [vec!["bailiwick".to_owned(), name], arguments.get(1..).unwrap_or_default().to_vec()].concat();
        let manifests = [found.manifest.clone()];
        let matches = cli::build(&manifests).get_matches_from(words);
        let alone = Alone::start(found).await?;
        let ended = match cli::parse(&manifests, &matches)? {
            Some(Invocation::View(call)) => alone.view(&call).await,
            Some(Invocation::Command(call)) => alone.command(call).await,
            None => bail!("there is nothing to do"),
        };
        alone.stop().await;
        ended
    })
}

/// `bailiwick module name`: the name that a library says it goes by.
pub(crate) fn print_name(library: &Path) -> Result<ExitCode> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime cannot start")?;
    println!("{}", runtime.block_on(find("", Some(library)))?.manifest.plugin.name);
    Ok(ExitCode::SUCCESS)
}

struct Found {
    manifest: Manifest,
    library: PathBuf,
    directory: PathBuf,
}

/// Looks for the library whose manifest has the name; a library is loaded to be asked, in a host that offers nothing.
async fn find(module: &str, library: Option<&Path>) -> Result<Found> {
    let home = state_directory()?;
    let host = Host::start(HostConfig::in_process(Role::Machine, home.join("manifests")), Arc::new(Nothing)).await?;
    let candidates = match library {
        Some(library) => {
            vec![std::fs::canonicalize(library).with_context(|| format!("{} cannot be read", library.display()))?]
        }
        None => candidates(module)?,
    };
    let mut known = Vec::new();
    let mut found = None;
    for candidate in candidates {
        match host.load(&candidate).await {
            Ok(manifest) if library.is_some() || manifest.plugin.name == module => {
                let directory = home.join(&manifest.plugin.name);
                found = Some(Found { manifest, library: candidate, directory });
                break;
            }
            Ok(manifest) => known.push(manifest.plugin.name),
            Err(problem) if library.is_some() => return Err(problem.into()),
            Err(_) => {}
        }
    }
    host.shutdown(STOP).await;
    found.ok_or_else(|| {
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Problem::not_found(format!("there is no module {module}."))
            .fix(format!("The plugins beside this program are: {known}."))
            .into()
    })
}

fn candidates(module: &str) -> Result<Vec<PathBuf>> {
    let program = std::env::current_exe().context("the path of this program cannot be told")?;
    let folder = program.parent().unwrap_or(Path::new("/")).join("plugins");
    let entries = std::fs::read_dir(&folder)
        .with_context(|| format!("the folder of plugins {} cannot be read", folder.display()))?;
    let mut libraries: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "so"))
        .collect();
    // The one that is most likely meant comes first, so that the others need not be loaded.
    libraries.sort_by_key(|path| {
        (!path.file_stem().is_some_and(|stem| stem.to_string_lossy().contains(module)), path.clone())
    });
    Ok(libraries)
}

fn state_directory() -> Result<PathBuf> {
    if let Some(directory) = std::env::var_os("BAILIWICK_STATE") {
        return Ok(PathBuf::from(directory));
    }
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/bailiwick/standalone"));
    }
    let home = std::env::var_os("HOME").context("there is no HOME: name a state directory in BAILIWICK_STATE")?;
    Ok(PathBuf::from(home).join(".local/share/bailiwick"))
}

/// A module that runs by itself.
struct Alone {
    manifest: Manifest,
    machine: MachineId,
    services: Arc<LocalServices>,
}

/// What both roles share: the local rows, and each other.
struct LocalServices {
    database: Database,
    machine: MachineId,
    hosts: OnceLock<Hosts>,
    defaults: Object,
}

struct Hosts {
    machine: Host,
    administrator: Host,
}

impl Hosts {
    fn of(&self, role: Role) -> &Host {
        match role {
            Role::Machine => &self.machine,
            Role::Administrator => &self.administrator,
        }
    }
}

impl Alone {
    async fn start(found: Found) -> Result<Alone> {
        let Found { manifest, library, directory } = found;
        std::fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
        let path = directory.join("rows.db");
        let database = tokio::task::spawn_blocking(move || Database::open(&path)).await??;
        database.declare(&[(manifest.plugin.name.clone(), manifest.clone())]).await?;
        let machine = this_machine(&database, &directory).await?;
        let defaults =
            manifest.settings.iter().map(|(name, setting)| (name.clone(), setting.default.clone())).collect();
        let services = Arc::new(LocalServices { database, machine, hosts: OnceLock::new(), defaults });
        let start = |role: Role| {
            let behind = Arc::new(RoleServices { role, services: Arc::downgrade(&services) });
            Host::start(HostConfig::in_process(role, directory.join(role.as_str())), behind)
        };
        let hosts = Hosts { machine: start(Role::Machine).await?, administrator: start(Role::Administrator).await? };
        hosts.administrator.load(&library).await?;
        hosts.machine.load(&library).await?;
        drop(services.hosts.set(hosts));
        Ok(Alone { manifest, machine, services })
    }

    fn hosts(&self) -> Result<&Hosts> {
        self.services.hosts.get().context("the module is not started")
    }

    async fn view(&self, call: &ViewCall) -> Result<ExitCode> {
        let view = self.manifest.view(&call.view).context("the view is gone")?;
        let shape =
            Shape::of(std::slice::from_ref(&self.manifest), &self.manifest, view).context("the view has no rows")?;
        let type_id = self.manifest.type_id(view.of.as_deref().unwrap_or_default());
        let mut query = call.query.clone();
        query.filters.extend(view.filter.iter().cloned());
        if query.sort.is_empty() {
            query.sort.clone_from(&view.sort);
        }
        let computed = self.manifest.type_of(&type_id).and_then(|kind| kind.computed.as_ref());
        let rows = match computed {
            None => self.stored(type_id, query, call.all).await?,
            Some(computed) => {
                let role = match computed.answered_by {
                    schema::AnsweredBy::Administrator => Role::Administrator,
                    schema::AnsweredBy::Machine => Role::Machine,
                };
                let meta = self.meta();
                let name = &self.manifest.plugin.name;
                let operation = self.hosts()?.of(role).call(name, Method::Query(type_id), meta, json!(query)).await?;
                operation.page().await?.rows
            }
        };
        remote::print(&rows, &shape, call.output, call.key.is_some())?;
        Ok(ExitCode::SUCCESS)
    }

    async fn stored(&self, type_id: String, mut query: Query, all: bool) -> Result<Vec<Object>> {
        let mut rows = Vec::new();
        loop {
            let (asked, id) = (query.clone(), type_id.clone());
            let read = move |store: &database::Read<'_>| Ok(store.query(&id, &asked, &database::Scope::Everything)?);
            let page = self.services.database.read(read).await?;
            rows.extend(page.objects());
            match page.next {
                Some(next) if all => query.page.after = Some(next),
                _ => return Ok(rows),
            }
        }
    }

    fn meta(&self) -> CallMeta {
        CallMeta { machine: Some(self.machine.to_string()), ..CallMeta::default() }
    }

    async fn command(&self, mut call: CommandCall) -> Result<ExitCode> {
        watch::ask_for_secrets(&mut call)?;
        let command = self.manifest.command(&call.command).context("the command is gone")?;
        if !watch::agreed(command, &call)? {
            return Ok(ExitCode::from(JobState::Cancelled.exit_code()));
        }
        let input = surface::validate_input(command, &call.input)?;
        let meta = CallMeta { timeout_ms: command.timeout_seconds.map(|s| s.saturating_mul(1000)), ..self.meta() };
        let host = self.hosts()?.of(command.target.on.role());
        let method = Method::Command(self.manifest.command_id(&command.id));
        let mut operation = host.call(&self.manifest.plugin.name, method, meta, Value::Object(input)).await?;
        let canceller = operation.canceller();
        loop {
            let event = tokio::select! {
                event = operation.next() => event,
                _ = tokio::signal::ctrl_c() => {
                    canceller.cancel();
                    continue;
                }
            };
            match event {
                Some(OpEvent::Done(result)) => {
                    let job = json!({"state": "succeeded", "result": result});
                    return watch::print_end(command, &job, call.output);
                }
                Some(OpEvent::Fault(problem)) => return Err(problem.into()),
                None => bail!("the command ended without a result"),
                Some(event) => show(event, call.output).await,
            }
        }
    }

    async fn stop(self) {
        if let Some(hosts) = self.services.hosts.get() {
            tokio::join!(hosts.machine.shutdown(STOP), hosts.administrator.shutdown(STOP));
        }
    }
}

/// Progress, warnings and log lines go to stderr; a stream that a command opens goes to stdout.
async fn show(event: OpEvent, format: Format) {
    match event {
        OpEvent::Progress(progress) => {
            let percent = progress.fraction.map(|f| format!("{:.0} % ", f * 100.0)).unwrap_or_default();
            let line = format!("{percent}{}", schema::neutral_text(&progress.text));
            if std::io::stderr().is_terminal() { eprint!("\r\x1b[K{line}\r") } else { eprintln!("{line}") }
        }
        OpEvent::Warn(problem) => eprintln!("{}", schema::neutral_text(&problem.to_string())),
        OpEvent::Log { level, record, .. } if level <= Level::Warn => {
            let text = record.get("message").and_then(Value::as_str).unwrap_or_default();
            eprintln!("{}: {}", level.as_str(), schema::neutral_text(text));
        }
        OpEvent::Open { duplex, .. } if format == Format::Table => {
            use tokio::io::AsyncWriteExt as _;
            let (_sender, mut receiver) = duplex.split();
            let mut out = tokio::io::stdout();
            while let Some(Ok(bytes)) = receiver.recv().await {
                if out.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            if let Err(error) = out.flush().await {
                eprintln!("the output cannot be written: {error}");
            }
        }
        _ => {}
    }
}

/// The one machine of the local database.
async fn this_machine(database: &Database, directory: &Path) -> Result<MachineId> {
    let file = directory.join("machine");
    let id: MachineId = match std::fs::read_to_string(&file) {
        Ok(text) => text.trim().parse().with_context(|| format!("{} is damaged", file.display()))?,
        Err(_) => {
            let id = MachineId::new();
            std::fs::write(&file, format!("{id}\n"))
                .with_context(|| format!("{} cannot be written", file.display()))?;
            id
        }
    };
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let facts = Facts { name, ..Facts::default() };
    database
        .write(move |store| Ok(store.enrol(&NewMachine { id, device_key: String::new(), facts }, Timestamp::now())?))
        .await?;
    Ok(id)
}

/// Host services of one role.
struct RoleServices {
    role: Role,
    services: Weak<LocalServices>,
}

impl Services for RoleServices {
    fn request(
        &self,
        plugin: &str,
        _call: &CallMeta,
        method: &str,
        payload: Value,
    ) -> BoxFuture<'static, Result<Value, Problem>> {
        let (role, services) = (self.role, self.services.upgrade());
        let (plugin, method) = (plugin.to_owned(), method.to_owned());
        async move {
            let services = services.ok_or_else(|| Problem::new(Code::Unavailable, "the module is stopping."))?;
            services.request(role, plugin, &method, payload).await
        }
        .boxed()
    }

    fn open_channel(
        &self,
        plugin: &str,
        call: &CallMeta,
        open: ChannelOpen,
    ) -> BoxFuture<'static, Result<Duplex, Problem>> {
        let (role, services) = (self.role, self.services.upgrade());
        let (plugin, call) = (plugin.to_owned(), call.clone());
        async move {
            let services = services.ok_or_else(|| Problem::new(Code::Unavailable, "the module is stopping."))?;
            let hosts =
                services.hosts.get().ok_or_else(|| Problem::new(Code::Unavailable, "the module is starting."))?;
            let other = if role == Role::Machine { &hosts.administrator } else { &hosts.machine };
            let (near, far) = Duplex::pair();
            other.accept_channel(&plugin, &open.key, call, far).await?;
            Ok(near)
        }
        .boxed()
    }

    fn log(&self, _plugin: &str, level: Level, _target: &str, record: Value) {
        if level <= Level::Warn {
            let text = record.get("message").and_then(Value::as_str).unwrap_or_default();
            eprintln!("{}: {}", level.as_str(), schema::neutral_text(text));
        }
    }
}

impl LocalServices {
    async fn request(&self, role: Role, plugin: String, method: &str, payload: Value) -> Result<Value, Problem> {
        match HostCall::read(method, payload)? {
            HostCall::RowsPublish(publish) => {
                let machine = (role == Role::Machine).then_some(self.machine);
                let write = move |store: &mut database::Write<'_>| {
                    Ok(store.publish(machine, &plugin, &publish, Timestamp::now())?)
                };
                let outcome = self.database.write(write).await?;
                Publish::reply(&Published {
                    accepted: outcome.accepted as u64,
                    rejected: outcome.rejected,
                    held: outcome.held,
                })
            }
            HostCall::RowsQuery(asked) => {
                let RowsQuery { type_name: name, query } = asked;
                let type_id = if name.contains('.') { name } else { format!("{plugin}.{name}") };
                let read = move |store: &database::Read<'_>| {
                    Ok(store.query(&type_id, &query, &database::Scope::Everything)?)
                };
                let rows = self.database.read(read).await?;
                RowsQuery::reply(&RowPage { rows: rows.objects(), next: rows.next })
            }
            HostCall::SettingsGet(_) => SettingsGet::reply(&self.defaults),
            HostCall::PeerCall(message) => {
                let hosts =
                    self.hosts.get().ok_or_else(|| Problem::new(Code::Unavailable, "the module is starting."))?;
                let other = if role == Role::Machine { Role::Administrator } else { Role::Machine };
                let meta = CallMeta { machine: Some(self.machine.to_string()), ..CallMeta::default() };
                hosts.of(other).call(&plugin, Method::Peer, meta, message.payload).await?.result().await
            }
            HostCall::EventsEmit(_) => EventsEmit::reply(&()),
            HostCall::MachinesList(_) => MachinesList::reply(&self.machines().await?),
            HostCall::SecretsGet(_)
            | HostCall::SecretsSet(_)
            | HostCall::SecretsDelete(_)
            | HostCall::FilesDir(_)
            | HostCall::ChannelOpen(_) => Err(HostCall::not_offered(method)),
        }
    }

    async fn machines(&self) -> Result<Vec<ListedMachine>, Problem> {
        let id = self.machine;
        let machine = self.database.read(move |store| Ok(store.machine(id)?)).await?;
        let listed = |machine: fleet::Machine| ListedMachine {
            id: id.to_string(),
            name: machine.name,
            status: machine.status.as_str().to_owned(),
        };
        Ok(machine.map(listed).into_iter().collect())
    }
}

/// A host that only reads manifests offers nothing.
struct Nothing;

impl Services for Nothing {
    fn request(&self, _: &str, _: &CallMeta, _: &str, _: Value) -> BoxFuture<'static, Result<Value, Problem>> {
        futures::future::ready(Err(Problem::new(Code::UnsupportedByHost, "only the manifest is read."))).boxed()
    }

    fn open_channel(&self, _: &str, _: &CallMeta, _: ChannelOpen) -> BoxFuture<'static, Result<Duplex, Problem>> {
        futures::future::ready(Err(Problem::new(Code::UnsupportedByHost, "only the manifest is read."))).boxed()
    }

    fn log(&self, _: &str, _: Level, _: &str, _: Value) {}
}
