//! What a host offers its plugins beyond the boundary itself; implemented by administrator and agent.

use crate::Duplex;
use futures::future::BoxFuture;
use schema::{CallMeta, ChannelOpen, Problem};
use serde_json::Value;

/// The host services behind `request`, `channel.open` and `log`.
///
/// `files.dir` and the routing of streams are the plugin host's own. Every other method of [`schema::HostCall`] arrives
/// here, and any that a newer plugin knows. What a role does not offer it answers with
/// [`schema::HostCall::not_offered`].
pub trait Services: Send + Sync + 'static {
    fn request(
        &self,
        plugin: &str,
        call: &CallMeta,
        method: &str,
        payload: Value,
    ) -> BoxFuture<'static, Result<Value, Problem>>;

    /// Opens a channel to the same plugin in its other role.
    fn open_channel(
        &self,
        plugin: &str,
        call: &CallMeta,
        open: ChannelOpen,
    ) -> BoxFuture<'static, Result<Duplex, Problem>>;

    /// A record of the plugin's log: `{"message", …fields}`.
    fn log(&self, plugin: &str, level: Level, target: &str, record: Value);
}

/// How much a log record matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }

    pub(crate) fn from_wire(level: u8) -> Level {
        match level {
            0 | abi::level::ERROR => Level::Error,
            abi::level::WARN => Level::Warn,
            abi::level::INFO => Level::Info,
            abi::level::DEBUG => Level::Debug,
            _ => Level::Trace,
        }
    }
}
