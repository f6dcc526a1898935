//! Which plugins are just being exchanged for another version or taken away: calls wait for that, and a job that was cut
//! off by it can tell.

use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;

/// How long a call waits for the next version.
const PATIENCE: Duration = Duration::from_secs(30);

/// All exchanges of this life of the agent, by the plugin's name.
#[derive(Default)]
pub(crate) struct Exchanges(watch::Sender<BTreeMap<String, Exchange>>);

#[derive(Clone, Copy, Default)]
struct Exchange {
    begun: u64,
    under_way: bool,
}

/// One exchange; it is over when this is dropped.
pub(super) struct UnderWay<'a> {
    exchanges: &'a Exchanges,
    plugin: String,
}

impl Exchanges {
    pub(super) fn begin(&self, plugin: &str) -> UnderWay<'_> {
        self.0.send_modify(|all| {
            let exchange = all.entry(plugin.to_owned()).or_default();
            (exchange.begun, exchange.under_way) = (exchange.begun + 1, true);
        });
        UnderWay { exchanges: self, plugin: plugin.to_owned() }
    }

    /// How many exchanges of the plugin have begun.
    pub(crate) fn begun(&self, plugin: &str) -> u64 {
        self.0.borrow().get(plugin).map_or(0, |exchange| exchange.begun)
    }

    /// Waits, for a while, until the plugin is not being exchanged; how many exchanges of it have begun.
    pub(crate) async fn settled(&self, plugin: &str) -> u64 {
        let mut exchanges = self.0.subscribe();
        let settled = exchanges.wait_for(|all| !all.get(plugin).is_some_and(|exchange| exchange.under_way));
        // After that the host says what is the matter.
        let _ = tokio::time::timeout(PATIENCE, settled).await;
        self.begun(plugin)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.exchanges.0.send_modify(|all| all.entry(self.plugin.clone()).or_default().under_way = false);
    }
}
