//! What the core itself tells of a machine: its name, addresses and hardware addresses, as the agent's own namespaces
//! have them.

mod netlink;

use protocol::{Evidence, Facts};
use std::fs;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

pub use netlink::NetworkWatch;

/// How often a change of the name is looked for; changes of the network tell themselves.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The facts at this moment.
pub fn facts() -> Facts {
    let network = netlink::snapshot().unwrap_or_else(|error| {
        tracing::warn!(%error, "the network's addresses cannot be read");
        netlink::Network::default()
    });
    Facts {
        name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        addresses: network.addresses,
        macs: network.macs,
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// What tells this machine from another.
pub fn evidence() -> Evidence {
    Evidence { machine_id: first_line("/etc/machine-id"), facts: facts() }
}

/// Changes with every start of the machine.
pub fn boot_id() -> String {
    first_line("/proc/sys/kernel/random/boot_id")
}

fn first_line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().chars().take(64).collect()
}

/// Tells the facts whenever they changed, until `stop`.
pub async fn watch(stop: CancellationToken, mut tell: impl FnMut(Facts)) {
    let mut known = facts();
    let mut changes = NetworkWatch::open()
        .inspect_err(|error| tracing::warn!(%error, "network changes do not tell themselves; they are polled"))
        .ok();
    loop {
        let changed = async {
            match &mut changes {
                Some(changes) => changes.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            // Changes come in bursts.
            () = changed => tokio::time::sleep(Duration::from_millis(300)).await,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let now = facts();
        if now != known {
            known = now.clone();
            tell(now);
        }
    }
}
