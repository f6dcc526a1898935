//! What becomes of everything agents say: jobs go to the dispatcher, rows to the database, channels to plugins.

use crate::agents::{AgentHello, AgentSink, Duplex, Taken};
use crate::app::App;
use crate::services;
use crate::settings;
use crate::suspicions::{Suspicions, Who};
use database::Section;
use fleet::{MachineId, PluginState, PluginStatus, Store as _, Warning};
use futures::future::{BoxFuture, FutureExt as _};
use jiff::Timestamp;
use jobs::{Event, JobId, LogLine, Lookup as _, Outcome};
use protocol::{JobReport, PluginReport, SectionHash, SectionName};
use schema::{CallMeta, Code, Object, Problem, Publish, PublishMode, Role};
use serde_json::Value;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use uuid::Uuid;

/// Longest name that an agent gives something.
const MAX_NAME: usize = 100;
/// Longest line of a log that is stored.
const MAX_LOG_LINE: usize = 4096;

/// Most lines about a plugin's sandbox.
const MAX_LINES: usize = 50;

/// The administrator behind the agents' port. Weak, since the administrator owns the port.
pub(crate) struct Sink {
    app: Weak<App>,
    suspicions: Arc<Suspicions>,
}

impl Sink {
    pub(crate) fn start(app: &Arc<App>) -> Sink {
        let suspicions = Arc::new(Suspicions::default());
        suspicions.start(app);
        Sink { app: Arc::downgrade(app), suspicions }
    }

    fn app(&self) -> Result<Arc<App>, Problem> {
        self.app.upgrade().ok_or_else(|| Problem::new(Code::Unavailable, "the administrator is stopping."))
    }
}

impl AgentSink for Sink {
    fn hello(&self, machine: MachineId, hello: AgentHello) -> BoxFuture<'_, ()> {
        async move {
            let Ok(app) = self.app() else { return };
            self.plugins(machine, hello.plugins).await;
            let known = hello.known_jobs.iter().map(|known| known.job).collect();
            if let Err(problem) = app.machine_online(*machine.as_uuid(), known).await {
                // The reconciler looks at the same jobs again within a second or ten.
                tracing::warn!(%machine, %problem, "open jobs of a machine could not be looked at");
            }
        }
        .boxed()
    }

    fn gone(&self, _machine: MachineId) -> BoxFuture<'_, ()> {
        // Presence is the port's own business, and jobs wait for the machine to come back.
        futures::future::ready(()).boxed()
    }

    fn job(&self, machine: MachineId, job: Uuid, report: JobReport) -> BoxFuture<'_, Result<(), Problem>> {
        async move { self.app()?.job_report(machine, JobId::from_uuid(job), report).await }.boxed()
    }

    fn rows(&self, machine: MachineId, plugin: String, publish: Publish) -> BoxFuture<'_, Result<Taken, Problem>> {
        async move {
            let hash = protocol::section_hash(&publish.rows).map_err(|error| Problem::internal(format!("{error}.")))?;
            let write = move |store: &mut database::Write<'_>| {
                match store.publish(Some(machine), &plugin, &publish, Timestamp::now()) {
                    // Rows of a type that this administrator does not know can never be stored: they are let go, seen.
                    Err(problem) if matches!(problem.code, Code::NotFound | Code::Quota | Code::BadRequest) => {
                        let subject = format!("{plugin}.{}", publish.type_name);
                        let at = Timestamp::now();
                        store.warn(&Warning { machine: Some(machine), plugin, subject, problem, count: 1, at })?;
                        Ok(Taken::Stored)
                    }
                    Err(problem) => Err(problem.into()),
                    Ok(outcome) if outcome.held => Ok(Taken::Held),
                    Ok(_) if publish.mode == PublishMode::Replace => {
                        let (type_name, section) = (&publish.type_name, &publish.section);
                        let section = Section { plugin: &plugin, type_name, section, hash: &hash };
                        store.stored_section(machine, &section)?;
                        Ok(Taken::Stored)
                    }
                    Ok(_) => Ok(Taken::Stored),
                }
            };
            Ok(self.app()?.database.write(write).await?)
        }
        .boxed()
    }

    fn sections(&self, machine: MachineId, sections: Vec<SectionHash>) -> BoxFuture<'_, Vec<SectionName>> {
        async move {
            // Rows are acknowledged after the commit, so what an agent holds as acknowledged is stored, unless an older
            // copy of the database was put back or a type was declared anew.
            let Ok(app) = self.app() else { return Vec::new() };
            let read = move |store: &database::Read<'_>| {
                let lacks = |known: &SectionHash| {
                    let (SectionName { plugin, type_name, section }, hash) = (&known.name, &known.hash);
                    store.lacks_section(machine, &Section { plugin, type_name, section, hash })
                };
                let mut missing = Vec::new();
                for known in sections {
                    if lacks(&known)? {
                        missing.push(known.name);
                    }
                }
                Ok(missing)
            };
            app.database.read(read).await.unwrap_or_else(|error| {
                tracing::warn!(%machine, %error, "what is stored of a machine could not be compared");
                Vec::new()
            })
        }
        .boxed()
    }

    fn request(
        &self,
        machine: MachineId,
        plugin: String,
        method: String,
        payload: Value,
    ) -> BoxFuture<'_, Result<Value, Problem>> {
        async move {
            let app = self.app()?;
            let known = app.modules.current().module(&plugin).is_some_and(|m| m.manifest.runs_in(Role::Machine));
            if !known {
                let name: String = schema::neutral_text(&plugin).chars().take(MAX_NAME).collect();
                let problem = Problem::new(Code::PermissionDenied, format!("there is no plugin {name} for machines."));
                self.suspicion(machine, problem.clone());
                return Err(problem);
            }
            let meta = CallMeta { machine: Some(machine.to_string()), ..CallMeta::default() };
            services::request(app, plugin, Role::Machine, meta, method, payload).await
        }
        .boxed()
    }

    fn channel(
        &self,
        machine: MachineId,
        plugin: String,
        key: String,
        duplex: Duplex,
    ) -> BoxFuture<'_, Result<(), Problem>> {
        async move {
            let meta = CallMeta { machine: Some(machine.to_string()), ..CallMeta::default() };
            self.app()?.host.accept_channel(&plugin, &key, meta, duplex).await
        }
        .boxed()
    }

    fn plugins(&self, machine: MachineId, plugins: Vec<PluginReport>) -> BoxFuture<'_, ()> {
        async move {
            let Ok(app) = self.app() else { return };
            let modules = app.modules.current();
            let statuses: Vec<PluginStatus> = plugins
                .into_iter()
                .map(|report| {
                    let known = modules.module(&report.name).map(|module| module.manifest.plugin.title.clone());
                    status(machine, report, known)
                })
                .collect();
            let write = move |store: &mut database::Write<'_>| {
                let names: Vec<String> = statuses.iter().map(|status| status.name.clone()).collect();
                store.keep_plugins(Some(machine), &names)?;
                for status in &statuses {
                    store.set_plugin_status(status)?;
                }
                Ok(())
            };
            if let Err(error) = app.database.write(write).await {
                tracing::warn!(%machine, %error, "the state of a machine's plugins could not be stored");
            }
        }
        .boxed()
    }

    fn settings(&self, machine: MachineId) -> BoxFuture<'_, Result<Vec<(String, Object)>, Problem>> {
        async move { settings::of_machine(&*self.app()?, machine).await }.boxed()
    }

    fn log(&self, machine: MachineId, plugin: String, level: String, text: String) {
        let (plugin, level, text) = (cut(&plugin, MAX_NAME), level_of(&level), cut(&text, MAX_LOG_LINE));
        tracing::info!(target: "machine", %machine, %plugin, %level, "{text}");
    }

    fn suspicion(&self, machine: MachineId, problem: Problem) {
        self.suspicions.note(Who::Machine(machine), problem);
    }

    fn refused_join(&self, from: IpAddr, problem: Problem) {
        self.suspicions.note(Who::Stranger(from), problem);
    }
}

fn status(machine: MachineId, report: PluginReport, title: Option<String>) -> PluginStatus {
    let state = match report.state {
        protocol::PluginState::Ok => PluginState::Ok,
        protocol::PluginState::Failed => PluginState::Failed,
        protocol::PluginState::Restarting => PluginState::Restarting,
        protocol::PluginState::Quarantined => PluginState::Quarantined,
        protocol::PluginState::Disabled => PluginState::Disabled,
    };
    PluginStatus {
        title: title.unwrap_or_else(|| report.name.clone()),
        name: report.name,
        version: cut(&report.version, MAX_NAME),
        state,
        cause: cut(&report.cause, MAX_LOG_LINE),
        remedy: cut(&report.remedy, MAX_LOG_LINE),
        sandbox: report.sandbox.iter().take(MAX_LINES).map(|line| cut(line, MAX_LOG_LINE)).collect(),
        machine: Some(machine),
    }
}

/// At most so many bytes of what an agent says, without what a terminal would act on.
fn cut(text: &str, most: usize) -> String {
    let text = schema::neutral_text(text);
    text[..text.floor_char_boundary(text.len().min(most))].to_owned()
}

/// One of the words there are for how grave a line is.
fn level_of(level: &str) -> &'static str {
    ["error", "warn", "debug", "trace"].into_iter().find(|known| *known == level).unwrap_or("info")
}

impl App {
    /// One thing that happened to a job on its machine. A job of another machine is refused, and noted.
    async fn job_report(self: &Arc<App>, machine: MachineId, id: JobId, report: JobReport) -> Result<(), Problem> {
        let stored = self.database.read(move |store| Ok(store.job(id)?)).await?;
        let Some(job) = stored.filter(|job| job.machine == Some(*machine.as_uuid())) else {
            return Err(Problem::new(Code::PermissionDenied, format!("the job {id} is none of this machine's.")));
        };
        let event = match report {
            JobReport::Accepted => Event::Accepted,
            JobReport::Running => Event::Started,
            JobReport::Waiting { text } => Event::Waiting { reason: cut(&text, MAX_LOG_LINE) },
            JobReport::Progress { progress } => Event::Progress(progress),
            JobReport::Log { level, text, .. } => {
                let (level, text) = (level_of(&level).to_owned(), cut(&text, MAX_LOG_LINE));
                let line = LogLine { at: Timestamp::now(), level, text };
                return self.job_log(id, line).await;
            }
            JobReport::Finished { state, result, problem, .. } => {
                let outcome = Outcome { state, result, problem };
                return self.job_finished(id, &job.command, outcome).await;
            }
        };
        self.job_events(vec![(id, event)]).await
    }
}

#[cfg(test)]
mod tests;
