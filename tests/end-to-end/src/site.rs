//! An administrator under test.

use crate::process::{Running, program, run};
use crate::{Client, plugins};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// The plugins that are part of the product.
pub const SHIPPED: &[&str] = &["hello", "inventory"];

/// Longer than an agent pauses between attempts after it has failed a few times, which is a minute at most.
pub const BACK: Duration = Duration::from_secs(90);

/// How an administrator is to be started.
pub struct Start {
    pub plugins: Vec<&'static str>,
    /// Where agents connect; loopback where absent.
    pub agents: Option<Ipv4Addr>,
    /// With the agent of this very machine.
    pub local_agent: bool,
    pub wrapper: Vec<String>,
    /// Below which it keeps everything; where such things go on this machine, where absent.
    pub folder: Option<PathBuf>,
}

impl Default for Start {
    fn default() -> Start {
        Start { plugins: SHIPPED.to_vec(), agents: None, local_agent: false, wrapper: Vec::new(), folder: None }
    }
}

/// A running administrator with a state of its own.
pub struct Site {
    pub running: Option<Running>,
    pub url: String,
    /// What stands behind `Sign in:`.
    pub sign_in: String,
    pub agents: SocketAddr,
    plugins: TempDir,
    state: TempDir,
    listen: SocketAddr,
    start: Start,
}

impl Site {
    /// An administrator without agents, with the shipped plugins.
    pub fn new() -> Result<Site> {
        Site::with(Start::default())
    }

    /// An administrator with the agent of this machine.
    pub fn with_local_agent() -> Result<Site> {
        Site::with(Start { local_agent: true, ..Start::default() })
    }

    pub fn with(start: Start) -> Result<Site> {
        let plugins = plugins::folder(&start.plugins)?;
        Site::with_folder(start, plugins)
    }

    /// An administrator with exactly this folder of plugins.
    pub fn with_folder(start: Start, plugins: TempDir) -> Result<Site> {
        let state = start.folder.as_ref().map_or_else(TempDir::new, TempDir::new_in)?;
        let listen = free_port(Ipv4Addr::LOCALHOST)?;
        let agents = free_port(start.agents.unwrap_or(Ipv4Addr::LOCALHOST))?;
        let mut site =
            Site { running: None, url: String::new(), sign_in: String::new(), agents, plugins, state, listen, start };
        site.start()?;
        Ok(site)
    }

    /// Folder of the administrator's state.
    pub fn state(&self) -> PathBuf {
        self.state.path().join("administrator")
    }

    /// Folder of the plugins it loads.
    pub fn plugins(&self) -> &Path {
        self.plugins.path()
    }

    /// The command that starts it.
    pub fn command(&self) -> Command {
        let program = program("bailiwick");
        let mut command = match self.start.wrapper.split_first() {
            Some((first, more)) => {
                let mut command = Command::new(first);
                command.args(more).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.arg("serve").arg("--state").arg(self.state());
        command.args(["--listen", &self.listen.to_string(), "--agents-listen", &self.agents.to_string()]);
        command.arg("--plugins").arg(self.plugins());
        if !self.start.local_agent {
            command.arg("--no-local-agent");
        }
        command
    }

    /// Starts it and waits until it is ready.
    pub fn start(&mut self) -> Result<()> {
        let mut running = Running::start("the administrator", &mut self.command())?;
        let line = running.line(Duration::from_secs(60), |line| line.starts_with("Sign in:"))?;
        self.sign_in = line.trim_start_matches("Sign in:").trim().to_owned();
        self.url = format!("http://{}", self.listen);
        self.running = Some(running);
        Ok(())
    }

    pub fn running(&mut self) -> Result<&mut Running> {
        self.running.as_mut().context("the administrator was not started")
    }

    /// Ends it as Ctrl-C does; it must say so with success.
    pub fn stop(&mut self) -> Result<()> {
        let mut running = self.running.take().context("the administrator was not started")?;
        running.signal("INT")?;
        let status = running.wait(Duration::from_secs(20))?;
        ensure!(status.success(), "the administrator ended with {status}\n{}", running.tail());
        Ok(())
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) -> Result<()> {
        self.running.take().context("the administrator was not started")?.kill();
        Ok(())
    }

    /// Makes an API token on the command line.
    pub fn token(&self, role: &str) -> Result<String> {
        let name = format!("test-{:08x}", rand::random::<u32>());
        let mut command = Command::new(program("bailiwick"));
        command.args(["token", "create", &name, "--role", role, "--state"]).arg(self.state());
        let printed = run(&mut command)?;
        let token = printed.trim().lines().last().unwrap_or_default().trim();
        ensure!(token.starts_with("bw_"), "no token: {printed}");
        Ok(token.to_owned())
    }

    /// Nobody in particular.
    pub fn stranger(&self) -> Client {
        Client::new(&self.url)
    }

    /// A program with a token of this role.
    pub fn client(&self, role: &str) -> Result<Client> {
        Ok(self.stranger().bearer(&self.token(role)?))
    }

    pub fn manager(&self) -> Result<Client> {
        self.client("manager")
    }

    /// The command line, acting with this token.
    pub fn cli(&self, token: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("bailiwick"));
        command.args(arguments).env("BAILIWICK_URL", &self.url).env("BAILIWICK_TOKEN", token);
        command
    }

    /// A session of a person who clicked the printed link: the client with its cookie and own origin.
    pub fn signed_in(&self) -> Result<Client> {
        let token = self.sign_in.rsplit('/').next().context("no token in the link")?;
        self.session("/api/v1/session/link", &serde_json::json!({"token": token}))
    }

    /// A session from a posted proof.
    pub fn session(&self, path: &str, proof: &Value) -> Result<Client> {
        let client = self.stranger().with("origin", &self.url);
        let reply = client.post(path, proof)?;
        ensure!(reply.status < 300, "{path}: {} {}", reply.status, reply.text);
        Ok(client.with("cookie", &reply.cookie()?))
    }

    /// A fresh join token, as an operator gets one.
    pub fn join_token(&self, client: &Client) -> Result<String> {
        let id = client.submit("fleet.join-token", &serde_json::json!({}))?;
        let job = client.job_in(&id, crate::client::FINAL)?;
        let token = job["result"]["token"].as_str();
        Ok(token.with_context(|| format!("no token in {job}"))?.to_owned())
    }

    /// Waits until a machine is online again, however often its agent has tried in vain.
    pub fn back(&self, client: &Client, name: &str) -> Result<Value> {
        self.machine(client, name, "online", BACK)
    }

    /// Waits until a machine of this name has this status, and returns its row.
    pub fn machine(&self, client: &Client, name: &str, status: &str, limit: Duration) -> Result<Value> {
        crate::until(&format!("{name} is {status}"), limit, || {
            let row = client.row("fleet/machines", "name", name)?;
            Ok(row.filter(|row| row["status"] == status))
        })
    }
}

/// A port that nothing listens on at this moment.
pub fn free_port(address: Ipv4Addr) -> Result<SocketAddr> {
    Ok(TcpListener::bind((address, 0))?.local_addr()?)
}
