//! Machines of their own: a network namespace with an address on a bridge, a host name, and an agent.

use crate::process::{Running, program, run};
use anyhow::{Context, Result, ensure};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tempfile::TempDir;

static NETWORKS: AtomicU8 = AtomicU8::new(1);

/// A bridge that machines are plugged into.
pub struct Network {
    bridge: String,
    number: u8,
    next: AtomicU8,
}

impl Network {
    pub fn new() -> Result<Network> {
        let number = NETWORKS.fetch_add(1, Ordering::Relaxed);
        let network =
            Network { bridge: format!("bw{:06x}", rand::random::<u32>() >> 8), number, next: AtomicU8::new(2) };
        ip(&["link", "add", &network.bridge, "type", "bridge"])?;
        ip(&["addr", "add", &format!("{}/24", network.gateway()), "dev", &network.bridge])?;
        ip(&["link", "set", &network.bridge, "up"])?;
        Ok(network)
    }

    /// The address on which machines of this network reach the administrator.
    pub fn gateway(&self) -> Ipv4Addr {
        self.address(1)
    }

    fn address(&self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.number, last)
    }

    /// Plugs in a new machine.
    pub fn machine(&self, name: &str) -> Result<Machine> {
        let address = self.address(self.next.fetch_add(1, Ordering::Relaxed));
        let suffix = rand::random::<u32>() >> 8;
        let namespace = format!("bwn{suffix:06x}");
        let cable = format!("bwv{suffix:06x}");
        ip(&["netns", "add", &namespace])?;
        ip(&["link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns", &namespace])?;
        ip(&["link", "set", &cable, "master", &self.bridge, "up"])?;
        for arguments in [
            vec!["link", "set", "lo", "up"],
            vec!["addr", "add", &format!("{address}/24"), "dev", "eth0"],
            vec!["link", "set", "eth0", "up"],
        ] {
            let mut command = Command::new("ip");
            run(command.args(["-n", &namespace]).args(arguments))?;
        }
        let state = TempDir::new()?;
        Ok(Machine { name: name.to_owned(), address, namespace, cable, state, agent: None, wrapper: Vec::new() })
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        ip(&["link", "del", &self.bridge]).ok();
    }
}

/// A machine with a host name and an address of its own.
pub struct Machine {
    pub name: String,
    pub address: Ipv4Addr,
    namespace: String,
    cable: String,
    state: TempDir,
    agent: Option<Running>,
    wrapper: Vec<String>,
}

impl Machine {
    /// Folder of the agent's state.
    pub fn state(&self) -> PathBuf {
        self.state.path().join("agent")
    }

    /// Agents started from now on run below this program, as in `strace -f`.
    pub fn wrap(&mut self, wrapper: &[&str]) {
        self.wrapper = wrapper.iter().map(|word| (*word).to_owned()).collect();
    }

    /// A program that will run on this machine.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, "unshare", "--uts", "sh", "-c"]);
        command.args(["hostname \"$0\"; exec \"$@\"", &self.name]).args(&self.wrapper).arg(program);
        command
    }

    /// Enrols with a join token and starts the agent.
    pub fn join(&mut self, token: &str) -> Result<()> {
        self.launch(&["--join", token])
    }

    /// Starts the agent of a machine that enrolled before.
    pub fn start(&mut self) -> Result<()> {
        self.launch(&[])
    }

    fn launch(&mut self, more: &[&str]) -> Result<()> {
        ensure!(self.agent.is_none(), "{} has an agent already", self.name);
        let mut command = self.command(&program("bailiwick-agent"));
        command.args(["run", "--state"]).arg(self.state()).args(more);
        self.agent = Some(Running::start(&format!("the agent of {}", self.name), &mut command)?);
        Ok(())
    }

    pub fn agent(&mut self) -> Result<&mut Running> {
        self.agent.as_mut().context("no agent was started")
    }

    /// Ends the agent as its service manager would.
    pub fn stop(&mut self) -> Result<()> {
        let mut agent = self.agent.take().context("no agent was started")?;
        agent.signal("TERM")?;
        let status = agent.wait(Duration::from_secs(15))?;
        ensure!(status.success(), "the agent ended with {status}\n{}", agent.tail());
        Ok(())
    }

    /// Ends the agent as a power cut would.
    pub fn kill(&mut self) -> Result<()> {
        self.agent.take().context("no agent was started")?.kill();
        Ok(())
    }

    /// Bytes that came from it over its cable so far, with everything that goes with them.
    pub fn sent_bytes(&self) -> Result<u64> {
        let told = run(Command::new("ip").args(["-s", "-j", "link", "show", "dev", &self.cable]))?;
        let told: serde_json::Value = serde_json::from_str(&told)?;
        told[0]["stats64"]["rx"]["bytes"].as_u64().with_context(|| format!("no count in {told}"))
    }

    /// Pulls the network cable.
    pub fn cut(&self) -> Result<()> {
        ip(&["link", "set", &self.cable, "down"])
    }

    /// Plugs it in again.
    pub fn heal(&self) -> Result<()> {
        ip(&["link", "set", &self.cable, "up"])
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.agent.take());
        ip(&["netns", "del", &self.namespace]).ok();
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    run(Command::new("ip").args(arguments)).map(|_| ())
}
