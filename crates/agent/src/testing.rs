//! An agent for tests: without an administrator, and with a host that has no plugins.

use crate::core::Core;
use crate::journal::Journal;
use crate::services::MachineServices;
use crate::state::{Enrolment, State};
use plugin_host::{Host, HostConfig};
use protocol::Assign;
use schema::{OnInterrupt, Role};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) async fn core(dir: &Path) -> Arc<Core> {
    core_with(dir, Journal::open(&dir.join("journal.redb")).unwrap()).await
}

pub(crate) async fn core_with(dir: &Path, journal: Journal) -> Arc<Core> {
    let enrolment = Enrolment {
        machine: Uuid::from_u128(1),
        site: Uuid::from_u128(2),
        authority: String::new(),
        certificate: String::new(),
        addresses: Vec::new(),
        token: None,
    };
    let core = Core::new(State::open(dir).unwrap(), journal, enrolment, CancellationToken::new());
    let services = Arc::new(MachineServices(Arc::downgrade(&core)));
    let host = Host::start(HostConfig::in_process(Role::Machine, dir.join("host")), services).await.unwrap();
    core.host.set(host).ok().unwrap();
    core
}

/// A job of a plugin that this machine does not have; it runs as long as an agent waits for the plugin.
pub(crate) fn assign(job: Uuid) -> Assign {
    Assign {
        job,
        command: "sample.run".into(),
        input: Default::default(),
        operator: "ada".into(),
        timeout_seconds: None,
        on_interrupt: OnInterrupt::Rerun,
        effect: Default::default(),
    }
}

/// Lets `future` go on this many times and drops it then; whether it came to its end.
pub(crate) async fn dropped_after(times: u32, future: impl Future<Output: Sized>) -> bool {
    let mut future = pin!(future);
    let mut left = times;
    std::future::poll_fn(|context| {
        if left == 0 {
            return std::task::Poll::Ready(false);
        }
        left -= 1;
        let ended = future.as_mut().poll(context).is_ready();
        if ended || left == 0 { std::task::Poll::Ready(ended) } else { std::task::Poll::Pending }
    })
    .await
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let reached = async {
        while !so().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, reached).await.unwrap_or_else(|_| panic!("never: {what}"));
}
