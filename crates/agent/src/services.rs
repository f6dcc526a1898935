//! What plugins of this machine may ask of their host: rows go into the spool, the rest to the administrator.

use crate::core::Core;
use crate::enrol::explain;
use crate::journal::JournalError;
use crate::settings;
use futures::future::BoxFuture;
use plugin_host::{CallMeta, Duplex, Level, Services};
use protocol::{Frame, FromAgent};
use schema::{ChannelOpen, Code, HostRequest, Problem, Publish, Published, SettingsGet};
use serde_json::Value;
use std::sync::{Arc, Weak};

/// Longest line of a plugin's log that is passed on.
const MAX_LOG_CHARS: usize = 2000;

/// The host services of the machine role.
pub(crate) struct MachineServices(pub(crate) Weak<Core>);

impl MachineServices {
    fn core(&self) -> Result<Arc<Core>, Problem> {
        self.0.upgrade().ok_or_else(|| Problem::new(Code::Unavailable, "The agent is stopping."))
    }
}

impl Services for MachineServices {
    fn request(
        &self,
        plugin: &str,
        _call: &CallMeta,
        method: &str,
        payload: Value,
    ) -> BoxFuture<'static, Result<Value, Problem>> {
        let (core, plugin, method) = (self.core(), plugin.to_owned(), method.to_owned());
        Box::pin(async move {
            let core = core?;
            match method.as_str() {
                Publish::METHOD => publish(&core, plugin, Publish::read(payload)?).await,
                SettingsGet::METHOD => {
                    SettingsGet::read(payload)?;
                    SettingsGet::reply(&settings::in_force(&core, &plugin).await?)
                }
                _ => core.outbox.request(&plugin, &method, payload).await,
            }
        })
    }

    fn open_channel(
        &self,
        plugin: &str,
        _call: &CallMeta,
        open: ChannelOpen,
    ) -> BoxFuture<'static, Result<Duplex, Problem>> {
        let (core, path) = (self.core(), format!("/channel/{plugin}?key={}", hex::encode(open.key)));
        Box::pin(async move {
            let core = core?;
            let socket = core.dialer()?.websocket(&path).await.map_err(|error| match error {
                link::DialError::Refused(problem) => problem,
                other => Problem::new(Code::Unavailable, format!("{}.", explain(&other))),
            })?;
            let (near, far) = Duplex::pair();
            core.spawn(link::carry(socket, far));
            Ok(near)
        })
    }

    fn log(&self, plugin: &str, level: Level, target: &str, record: Value) {
        let text = record.get("message").and_then(Value::as_str).map_or_else(|| record.to_string(), str::to_owned);
        let text: String = text.chars().take(MAX_LOG_CHARS).collect();
        tracing::info!(plugin, level = level.as_str(), target, "{text}");
        if level <= Level::Warn
            && let Ok(core) = self.core()
        {
            core.outbox.say(FromAgent::Log { plugin: plugin.to_owned(), level: level.as_str().to_owned(), text });
        }
    }
}

async fn publish(core: &Arc<Core>, plugin: String, mut publish: Publish) -> Result<Value, Problem> {
    publish.observed_at.get_or_insert_with(|| jiff::Timestamp::now().to_string());
    let accepted = publish.rows.len() as u64;
    let message = FromAgent::Rows { seq: u64::MAX, plugin, publish };
    if let Err(error) = Frame::check(&message) {
        let problem = Problem::new(Code::Quota, format!("These rows cannot be sent: {error}."));
        return Err(problem.fix("Publish them in several sections, and nest them less."));
    }
    let FromAgent::Rows { plugin, publish, .. } = message else { return Err(Problem::internal("rows are rows.")) };
    let taken = core.with_journal(move |journal| journal.publish(&plugin, publish)).await;
    match taken {
        Ok(changed) => {
            if changed {
                core.outbox.spool_changed();
            }
            Publish::reply(&Published { accepted, ..Published::default() })
        }
        Err(JournalError::Full) => Err(Problem::new(Code::Quota, format!("{}.", JournalError::Full))),
        Err(error) => Err(Problem::new(Code::Unavailable, format!("{error}."))),
    }
}
