//! Starts a whole administrator on a state directory, and ends it again.

use crate::agents::{Agents, AgentsConfig, AgentsDeps};
use crate::app::{App, Parts};
use crate::checkpoints::{self, Checkpoints};
use crate::modules::Modules;
use crate::reach::Reach;
use crate::runtime::Runtime;
use crate::secrets::SecretsStore;
use crate::services::PluginServices;
use crate::sink::Sink;
use crate::{dispatcher, local_agent, plugins, records, settings, web};
use anyhow::{Context as _, Result, anyhow, bail};
use database::{Database, StateLock};
use identity::{Outcome, SiteCa, audit};
use jiff::Timestamp;
use plugin_host::{Host, HostConfig};
use schema::{Needs, Object, Role};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Port of the agents where neither the command line nor the state directory names one.
const AGENTS_PORT: u16 = 8641;
/// How often an agent says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Longest time for a call between the two roles of a plugin.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How long plugins get to end.
const PLUGINS_STOP: Duration = Duration::from_secs(3);

/// Each of these shows that a directory is the state of an administrator.
const OWN: &[&str] = &["bailiwick.db", "authority", "administrator.lock"];

/// What `bailiwick serve` was told.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    pub state: PathBuf,
    /// Where the console and the API are served: plain HTTP on loopback, TLS elsewhere.
    pub listen: SocketAddr,
    /// Where agents connect; the port of the last start, or the usual one, where absent.
    pub agents_listen: Option<SocketAddr>,
    pub plugins: Plugins,
    /// Whether the agent beside this program is started for this machine.
    pub local_agent: bool,
}

/// Which plugins an administrator has.
#[derive(Clone, Debug)]
pub enum Plugins {
    /// Those in `plugins` beside this program.
    Beside,
    Folder(PathBuf),
    /// One alone, for who trusts it as they would without an administrator.
    Only(Only),
}

/// The one plugin of an administrator.
#[derive(Clone, Debug)]
pub struct Only {
    pub library: PathBuf,
    pub module: String,
    /// What each of its roles is granted on this machine.
    pub grants: BTreeMap<Role, Needs>,
    /// Settings that are put in force for the whole site.
    pub settings: Object,
}

/// A running administrator.
pub struct Administrator {
    app: Arc<App>,
    console: String,
    link: Option<String>,
    agent: Option<local_agent::LocalAgent>,
    _lock: StateLock,
}

impl Administrator {
    /// Starts everything. When this returns, requests are answered.
    ///
    /// # Errors
    /// A sentence that says what is wrong and the way out.
    pub async fn start(config: ServeConfig) -> Result<Administrator> {
        let state = prepare_state(&config.state)?;
        let lock = StateLock::acquire(&state)?;
        let database = open_database(&state).await?;
        let authority = Arc::new(SiteCa::open(&state.join("authority"), Timestamp::now())?);
        let console = bind(config.listen, "--listen").await?;
        let console_address = console.local_addr()?;
        let secure = !console_address.ip().is_loopback();

        let services = Arc::new(PluginServices::default());
        let host_config = HostConfig::runner(Role::Administrator, state.join("plugins"))?;
        let host = Host::start(host_config, services.clone()).await?;
        let shipped = plugins::load(&host, libraries(&config.plugins, &state)?).await;
        let modules = plugins::modules(&host.plugins());
        let stored = modules.iter().skip(1).map(|m| (m.manifest.plugin.name.clone(), m.manifest.clone()));
        database.declare(&stored.collect::<Vec<_>>()).await?;

        let agents_address = agents_address(&config, &state).await?;
        let checkpoints = Checkpoints::open(&state, &authority)?;
        let app = Arc::new(App::new(Parts {
            runtime: Runtime::default(),
            database,
            authority,
            modules: Modules::new(modules),
            reach: Reach::new(agents_address, own_addresses()),
            secrets: SecretsStore::open(state.join("secrets")).context("the directory of secrets cannot be made")?,
            checkpoints,
            host,
            secure,
        }));
        app.keep_checkpoint().await;
        checkpoints::start(&app);
        drop(services.0.set(Arc::downgrade(&app)));
        let offers = plugins::offers(&app.host, &shipped, &state.join("offers"))?;
        start_agents_port(&app, agents_address, offers).await?;
        settings::declare(&app).await?;
        if let Plugins::Only(only) = &config.plugins {
            settings::put_in_force(&app, &only.module, only.settings.clone()).await?;
        }
        settings::follow(&app);
        plugins::follow(&app);
        dispatcher::start(&app);
        let tls = if secure { Some(console_tls(&app, console_address)?) } else { None };
        web::serve(&app.runtime, console, tls, web::router(app.clone()));
        let (console, link) = sign_in(&app, console_address).await?;
        let agent = if config.local_agent { local_agent::start(&app, &state).await? } else { None };
        Ok(Administrator { app, console, link, agent, _lock: lock })
    }

    /// Address of the console, with a one-time link while there is no operator with a name and password.
    pub fn sign_in(&self) -> String {
        match &self.link {
            Some(link) => format!("{}/sign-in/{link}", self.console),
            None => format!("{}/", self.console),
        }
    }

    /// Ends everything: first what comes in, then plugins, then the agent of this machine.
    pub async fn stop(mut self) {
        if let Some(agent) = self.agent.take() {
            agent.stop().await;
        }
        self.app.runtime.stop().await;
        self.app.host.shutdown(PLUGINS_STOP).await;
        self.app.keep_checkpoint().await;
    }
}

fn prepare_state(state: &Path) -> Result<PathBuf> {
    let way_out = || {
        let state = state.display();
        format!(
            "the state directory {state} cannot be made or written. Give this account write permission there, or name another one with --state"
        )
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(state).with_context(way_out)?;
    let state = fs::canonicalize(state).with_context(way_out)?;
    let mut entries = fs::read_dir(&state).with_context(way_out)?;
    if entries.next().is_some() && !OWN.iter().any(|own| state.join(own).exists()) {
        bail!(
            "the directory {} holds something else already, so it is left alone. Name an empty or a new directory with --state.",
            state.display()
        );
    }
    // What is in it is nobody else's to list, also where somebody else made it.
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).with_context(way_out)?;
    Ok(state)
}

async fn open_database(state: &Path) -> Result<Database> {
    let path = state.join("bailiwick.db");
    let database = tokio::task::spawn_blocking(move || Database::open(&path)).await??;
    let entry =
        records::system("administrator.start", None, Outcome::Done, json!({"version": env!("CARGO_PKG_VERSION")}));
    database.write(move |store| Ok(audit::append(store, entry, Timestamp::now())?)).await?;
    Ok(database)
}

async fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => bail!(
            "the address {address} is in use by another program. Stop that program, or choose another port with {flag}."
        ),
        Err(error) => {
            Err(error).with_context(|| format!("cannot listen on {address}. Choose another address with {flag}"))
        }
    }
}

/// The libraries of the plugins that there are to be.
fn libraries(plugins: &Plugins, state: &Path) -> Result<Vec<PathBuf>> {
    match plugins {
        Plugins::Beside => {
            let program = std::env::current_exe().context("the path of this program cannot be told")?;
            let folder = program.parent().unwrap_or(Path::new("/")).join("plugins");
            if !folder.exists() {
                tracing::warn!(folder = %folder.display(), "there is no folder of plugins");
                return Ok(Vec::new());
            }
            plugins::in_folder(&folder)
        }
        Plugins::Folder(folder) if !folder.is_dir() => {
            bail!("there is no folder of plugins {}. Make it, or name another one with --plugins.", folder.display())
        }
        Plugins::Folder(folder) => plugins::in_folder(folder),
        Plugins::Only(only) => {
            for (role, needs) in &only.grants {
                let hosts = match role {
                    Role::Administrator => state.join("plugins"),
                    Role::Machine => local_agent::host_state(state),
                };
                plugin_host::grant(&hosts, &only.module, needs)?;
            }
            Ok(vec![only.library.clone()])
        }
    }
}

fn own_addresses() -> Vec<IpAddr> {
    let interfaces = netdev::get_interfaces();
    let v4 = interfaces.iter().flat_map(|i| i.ipv4.iter().map(|net| IpAddr::V4(net.addr())));
    let v6 = interfaces.iter().flat_map(|i| i.ipv6.iter().map(|net| IpAddr::V6(net.addr())));
    v4.chain(v6).collect()
}

/// Where the agents' port is: agents remember it, so it stays the same from start to start.
async fn agents_address(config: &ServeConfig, state: &Path) -> Result<SocketAddr> {
    let remembered = state.join("agents-port");
    let port = fs::read_to_string(&remembered).ok().and_then(|port| port.trim().parse::<u16>().ok());
    let ip = IpAddr::from([0, 0, 0, 0]);
    let (wanted, may_move) = match (config.agents_listen, port) {
        (Some(listen), Some(port)) if listen.port() == 0 => (SocketAddr::new(listen.ip(), port), true),
        (Some(listen), _) => (listen, listen.port() == 0),
        (None, Some(port)) => (SocketAddr::new(ip, port), false),
        (None, None) => (SocketAddr::new(ip, AGENTS_PORT), true),
    };
    let free = match TcpListener::bind(wanted).await {
        Ok(listener) => listener,
        Err(_) if may_move => bind(SocketAddr::new(wanted.ip(), 0), "--agents-listen").await?,
        Err(_) => bind(wanted, "--agents-listen").await?,
    };
    let address = free.local_addr()?;
    fs::write(&remembered, format!("{}\n", address.port())).context("the port of the agents cannot be remembered")?;
    Ok(address)
}

async fn start_agents_port(app: &Arc<App>, listen: SocketAddr, offers: Vec<crate::agents::PluginFile>) -> Result<()> {
    let sink = Arc::new(Sink::start(app));
    let mut addresses: Vec<String> = app.reach.for_others().iter().map(ToString::to_string).collect();
    let here = app.reach.for_this_machine().to_string();
    if !addresses.contains(&here) {
        addresses.push(here);
    }
    let store = app.database.write(|store| store.store_id()).await?;
    let agent_program = local_agent::program();
    let config =
        AgentsConfig { listen, addresses, heartbeat: HEARTBEAT, answer_within: ANSWER_WITHIN, agent_program, store };
    app.offers.send_replace(Arc::new(offers));
    let deps = AgentsDeps {
        directory: Arc::new(app.database.clone()),
        ca: app.authority.clone(),
        plugins: app.offers.subscribe(),
        settings: app.settings_changed.subscribe(),
        sink,
        runtime: app.runtime.clone(),
        clock: Arc::new(Timestamp::now),
    };
    let agents = Agents::start(config, deps).await?;
    app.agents.set(agents).map_err(|_| anyhow!("the agents' port was started twice"))
}

fn console_tls(app: &App, address: SocketAddr) -> Result<tokio_rustls::TlsAcceptor> {
    let mut names: Vec<String> = own_addresses().iter().map(ToString::to_string).collect();
    names.push(address.ip().to_string());
    let credentials = app.authority.server_credentials(&names, Timestamp::now())?;
    let builder = rustls::ServerConfig::builder_with_provider(identity::tls::provider());
    let config = builder
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(credentials.chain, credentials.key)?;
    Ok(tokio_rustls::TlsAcceptor::from(Arc::new(config)))
}

/// The console's address, and a one-time link where the first operator still has no name and password.
async fn sign_in(app: &App, address: SocketAddr) -> Result<(String, Option<String>)> {
    let write = |store: &mut database::Write<'_>| {
        let now = Timestamp::now();
        match identity::first_operator(store, now)? {
            Some(first) => Ok(Some(identity::sign_in_link(store, first.id, now)?)),
            None => Ok(None),
        }
    };
    let link = app.database.write(write).await?;
    let shown = if address.ip().is_unspecified() {
        app.reach.for_others().first().map_or(address.ip().to_string(), |a| {
            a.to_string().rsplit_once(':').map_or_else(String::new, |(ip, _)| ip.to_owned())
        })
    } else {
        SocketAddr::new(address.ip(), 0).to_string().trim_end_matches(":0").to_owned()
    };
    let scheme = if app.secure { "https" } else { "http" };
    let console = format!("{scheme}://{shown}:{}", address.port());
    Ok((console, link.map(|secret| secret.reveal().to_owned())))
}
