//! One module without an administrator: both of its roles in this process, the channel between them in memory, its rows
//! in a local database, its words from its manifest, its settings from options, environment and a file.

mod find;
mod follow;
mod paths;
mod serve;
mod services;
mod settings;
mod view;

use crate::streams::Streams;
use crate::watch;
use anyhow::{Context as _, Result, bail};
use database::Database;
use find::{Found, find};
use fleet::{Facts, Lookup as _, MachineId, NewMachine, Store as _};
use jiff::Timestamp;
use plugin_host::{Host, HostConfig, Method};
use schema::{CallMeta, JobState, Manifest, Object, Role};
use serde_json::Value;
use services::{Hosts, LocalServices, RoleServices};
use settings::InForce;
use std::fs::Permissions;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use surface::cli::{self, CommandCall, GivenSettings, Invocation};

/// How long a module gets to end.
const STOP: Duration = Duration::from_secs(2);

/// Runs `module` by itself, from `library` or from the folder of plugins beside this program.
pub(crate) fn run(module: &str, library: Option<&Path>, arguments: &[String]) -> Result<ExitCode> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime cannot start")?;
    let found = runtime.block_on(find(module, library))?;
    let command = cli::alone(&found.manifest);
    let serve = serve::Word::beside(&command);
    let command = serve.add(command, &found.manifest);
    let name = command.get_name().to_owned();
    let words = std::iter::once(&name).chain(arguments.iter().skip(1));
    let matches = command.get_matches_from(words);
    if let Some(given) = serve.given(&matches) {
        // It has a runtime of its own, which ends as that of any other administrator does.
        drop(runtime);
        return serve::run(found, given);
    }
    let ended = runtime.block_on(async {
        let Some((asked, given)) = cli::parse_alone(&found.manifest, &matches)? else {
            bail!("there is nothing to do")
        };
        let in_force = gather(&found, given)?;
        let alone = Alone::start(found, in_force.values()).await?;
        let ended = match asked {
            Invocation::View(call) => alone.view(&call).await,
            Invocation::Command(call) => alone.command(call).await,
        };
        alone.stop().await;
        ended
    });
    // A read of stdin that nobody waits for any more must not hold the program.
    runtime.shutdown_background();
    ended
}

/// `bailiwick module name`: the name that a library says it goes by.
pub(crate) fn print_name(library: &Path) -> Result<ExitCode> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime cannot start")?;
    println!("{}", runtime.block_on(find("", Some(library)))?.manifest.plugin.name);
    Ok(ExitCode::SUCCESS)
}

/// The settings in force; secret ones that were given as `-` are asked for.
fn gather(found: &Found, given: GivenSettings) -> Result<InForce> {
    let GivenSettings { mut values, prompts } = given;
    watch::ask_for_secrets(prompts, &mut values)?;
    let here = std::env::current_dir().context("the current directory cannot be told")?;
    let variable = |name: &str| std::env::var_os(name);
    Ok(settings::in_force(&found.manifest, values, &found.directory, &here, variable)?)
}

/// Makes the directory of a module, which may hold secrets: nobody else may look into it, whoever made it.
fn make_private(directory: &Path) -> Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    let private = made.and_then(|()| std::fs::set_permissions(directory, Permissions::from_mode(0o700)));
    private.with_context(|| {
        let directory = directory.display();
        format!("{directory} cannot be made this account's own. Name another state directory in BAILIWICK_STATE")
    })
}

/// A module that runs by itself.
struct Alone {
    manifest: Manifest,
    machine: MachineId,
    services: Arc<LocalServices>,
}

impl Alone {
    async fn start(found: Found, settings: Object) -> Result<Alone> {
        let Found { manifest, library, directory } = found;
        make_private(&directory)?;
        let path = directory.join("rows.db");
        let database = tokio::task::spawn_blocking(move || Database::open(&path)).await??;
        database.declare(&[(manifest.plugin.name.clone(), manifest.clone())]).await?;
        let machine = this_machine(&database, &directory).await?;
        let services = Arc::new(LocalServices::new(database, machine, settings, &manifest, &directory)?);
        let start = |role: Role| {
            let behind = Arc::new(RoleServices::new(role, &services));
            Host::start(HostConfig::standalone(role, directory.join(role.as_str())), behind)
        };
        let hosts = Hosts { machine: start(Role::Machine).await?, administrator: start(Role::Administrator).await? };
        hosts.administrator.load(&library).await?;
        hosts.machine.load(&library).await?;
        services.join(hosts);
        Ok(Alone { manifest, machine, services })
    }

    fn meta(&self) -> CallMeta {
        CallMeta { machine: Some(self.machine.to_string()), ..CallMeta::default() }
    }

    /// The role that carries something out: the one that is meant, where the module has it.
    fn role_for(&self, meant: Role) -> Role {
        let other = if meant == Role::Machine { Role::Administrator } else { Role::Machine };
        if self.manifest.runs_in(meant) || !self.manifest.runs_in(other) { meant } else { other }
    }

    async fn command(&self, mut call: CommandCall) -> Result<ExitCode> {
        watch::ask_for_secrets(std::mem::take(&mut call.prompts), &mut call.input)?;
        let command = self.manifest.command(&call.command).context("the command is gone")?;
        if !watch::agreed(command, &call)? {
            return Ok(ExitCode::from(JobState::Cancelled.exit_code()));
        }
        let here = std::env::current_dir().context("the current directory cannot be told")?;
        paths::make_absolute(&command.input, &mut call.input, &here);
        let input = surface::validate_input(command, &call.input)?;
        let streams = Streams::bind(command, &call.streams)?;
        let meta = CallMeta { timeout_ms: command.timeout_seconds.map(|s| s.saturating_mul(1000)), ..self.meta() };
        let host = self.services.host(self.role_for(command.target.on.role()))?;
        let method = Method::Command(self.manifest.command_id(&command.id));
        let operation = host.call(&self.manifest.plugin.name, method, meta, Value::Object(input)).await?;
        let quiet = streams.takes_stdout;
        let ended = follow::follow(operation, streams).await?;
        ended.print(command, call.output, quiet)
    }

    async fn stop(self) {
        if let Ok(hosts) = self.services.hosts() {
            tokio::join!(hosts.machine.shutdown(STOP), hosts.administrator.shutdown(STOP));
        }
    }
}

/// The one machine of the local database.
async fn this_machine(database: &Database, directory: &Path) -> Result<MachineId> {
    let file = directory.join("machine-id");
    let id: MachineId = match std::fs::read_to_string(&file) {
        Ok(text) => text.trim().parse().with_context(|| format!("{} is damaged", file.display()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => first_id(&file)?,
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", file.display())),
    };
    let known = database.read(move |store| Ok(store.machine(id)?)).await?;
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if known.is_some_and(|machine| machine.name == name) {
        return Ok(id);
    }
    let facts = Facts { name, ..Facts::default() };
    database
        .write(move |store| Ok(store.enrol(&NewMachine { id, device_key: String::new(), facts }, Timestamp::now())?))
        .await?;
    Ok(id)
}

/// Of two that start at once, both get what the first one chose.
fn first_id(file: &PathBuf) -> Result<MachineId> {
    let id = MachineId::new();
    let failed = || format!("{} cannot be written", file.display());
    let new = file.with_extension(format!("{}.new", std::process::id()));
    std::fs::write(&new, format!("{id}\n")).with_context(failed)?;
    let linked = std::fs::hard_link(&new, file);
    std::fs::remove_file(&new).with_context(failed)?;
    match linked {
        Ok(()) => Ok(id),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
            text.trim().parse().with_context(|| format!("{} is damaged", file.display()))
        }
        Err(error) => Err(error).with_context(failed),
    }
}
