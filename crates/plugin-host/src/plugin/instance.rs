//! One life of a plugin: from its opening on either transport to its end, with its service beside.

use super::{Desired, End, Supervisor, aborts};
use crate::child::{NotStarted, Runner};
use crate::grants;
use crate::in_process::{InProcess, NoAnswer, apart};
use crate::runner::not_loaded;
use crate::switchboard::{Note, Parts, Switchboard};
use crate::wire::{Failed, Setup};
use crate::{Level, Method, OpEvent, PluginState};
use abi::Library;
use schema::{CallMeta, Code, OpenConfig, Problem, Role};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// What a plugin has to end in when it is asked to; longer than the SDK gives its operations.
const STOP: Duration = Duration::from_secs(1);

impl Supervisor {
    pub(super) async fn instance(&mut self) -> End {
        let files = self.files();
        if let Err(e) = std::fs::create_dir_all(&files) {
            let cause = format!("The plugin's directory {} cannot be made: {e}.", files.display());
            return End::Failed(Failed { cause, remedy: "Look at the file system.".to_owned(), details: None });
        }
        let in_runner = self.needs_runner();
        // A runner is in the directory, whatever its account may reach on the way to it.
        let path = if in_runner { PathBuf::from(".") } else { files.clone() };
        let (notes, mut noted) = mpsc::unbounded_channel();
        let board = Switchboard::new(Parts {
            plugin: self.name().to_owned(),
            services: self.shared.services.clone(),
            limits: self.shared.config.limits.clone(),
            files: path.display().to_string(),
            tasks: self.shared.tasks.clone(),
            notes,
            force_ends_all: in_runner,
        });
        let open = self.open_config(&path);
        let end = if in_runner {
            self.in_runner(&board, &mut noted, open, files).await
        } else {
            self.in_process(&board, &mut noted, open).await
        };
        // Said before the instance is taken away, so that a call in between waits for the next one.
        match &end {
            End::Crashed(cause) => self.say(PluginState::Restarting, Some(cause), None),
            End::Stopped => self.say(PluginState::Starting, None, None),
            End::Failed(_) => {}
        }
        self.boards.send_replace(None);
        board.close(&problem_of(&end));
        end
    }

    fn files(&self) -> PathBuf {
        self.shared.config.state_dir.join("plugins").join(self.name()).join("files")
    }

    fn open_config(&self, files: &std::path::Path) -> OpenConfig {
        OpenConfig {
            role: self.role(),
            host: self.shared.config.version.clone(),
            features: schema::FEATURES.iter().map(|feature| (*feature).to_owned()).collect(),
            settings: schema::Object::new(),
            files: files.display().to_string(),
            standalone: self.shared.config.standalone,
        }
    }

    fn role(&self) -> Role {
        self.shared.config.role
    }

    async fn in_runner(
        &mut self,
        board: &Arc<Switchboard>,
        noted: &mut mpsc::UnboundedReceiver<Note>,
        open: OpenConfig,
        files: PathBuf,
    ) -> End {
        let mut runner = match self.start_runner(open, files).await {
            Ok(runner) => runner,
            Err(end) => return end,
        };
        board.join(runner.link());
        self.opened(board);
        let hang = self.shared.config.limits.hang;
        let (stop, stopped) = watch::channel(None);
        let served = runner.serve(board, hang, stopped);
        let mut served = std::pin::pin!(served);
        let reason = tokio::select! {
            ended = &mut served => return crashed_or_stopped(ended),
            reason = self.live(board, noted, true) => reason,
        };
        match reason {
            Some(cause) => {
                stop.send_replace(Some(cause.clone()));
                served.await;
                End::Crashed(cause)
            }
            None => {
                // The runner serves on meanwhile, so that what ends can say so.
                tokio::select! {
                    () = board.wind_down(STOP) => {
                        stop.send_replace(Some(String::new()));
                        served.await;
                    }
                    _ = &mut served => {}
                }
                End::Stopped
            }
        }
    }

    async fn start_runner(&self, open: OpenConfig, files: PathBuf) -> Result<Runner, End> {
        let (config, plugin) = (&self.shared.config, &self.found.manifest.plugin);
        let Some(program) = &config.runner else { return Err(End::Failed(aborts())) };
        let needs = plugin.needs.get(&self.role()).cloned().unwrap_or_default();
        let shipped = self.shared.granted.lock().get(&plugin.name).cloned().unwrap_or_default();
        let needs = grants::check(&config.state_dir, &plugin.name, &needs, &shipped, config.limits.memory_mib)
            .map_err(End::Failed)?;
        let account = self.account()?;
        let setup = Setup {
            library: self.found.stored.path.clone(),
            plugin: plugin.name.clone(),
            memory_mib: needs.memory_mib.unwrap_or(config.limits.memory_mib),
            needs,
            account,
            files: Some(files),
            host_pid: std::process::id(),
            open: Some(open),
        };
        let start = async {
            let (mut runner, sandbox, hello) =
                Runner::start(&self.shared.spawner, program, &setup, &self.shared.tasks).await?;
            if hello.manifest != self.found.json {
                return Err(NotStarted::Failed(Failed {
                    cause: "The plugin's manifest is not the one it was loaded with.".to_owned(),
                    remedy: "Report it to the plugin's vendor: a manifest never changes.".to_owned(),
                    details: None,
                }));
            }
            runner.ready().await?;
            Ok((runner, sandbox))
        };
        match tokio::time::timeout(config.limits.open, start).await {
            Ok(Ok((runner, sandbox))) => {
                self.shared.update(&plugin.name, |s| (s.pid, s.sandbox) = (Some(runner.pid), Some(sandbox)));
                Ok(runner)
            }
            Ok(Err(NotStarted::Failed(failed))) => Err(End::Failed(failed)),
            Ok(Err(other)) => Err(End::Crashed(other.to_string())),
            Err(_) => Err(End::Crashed("the plugin was not open in time".to_owned())),
        }
    }

    /// A host that is not root has no account to give.
    fn account(&self) -> Result<Option<u32>, End> {
        if !rustix::process::getuid().is_root() {
            return Ok(None);
        }
        self.shared.accounts.of(self.name()).map(Some).map_err(|e| {
            let cause = format!("There is no account for the plugin: {e}.");
            let file = self.shared.config.state_dir.join("accounts.json");
            End::Failed(Failed { cause, remedy: format!("Look at {}.", file.display()), details: None })
        })
    }

    async fn in_process(
        &mut self,
        board: &Arc<Switchboard>,
        noted: &mut mpsc::UnboundedReceiver<Note>,
        open: OpenConfig,
    ) -> End {
        let (path, host) = (self.found.stored.path.clone(), board.clone());
        let opening = apart(self.shared.config.limits.open, move || {
            let library = Library::load(&path).map_err(|e| not_loaded(&e))?;
            library.open(host, &serde_json::to_vec(&open).unwrap_or_default()).map_err(|refusal| {
                let text = serde_json::from_slice::<Problem>(&refusal).map_or_else(|_| String::new(), |p| p.message);
                Failed {
                    cause: format!("The plugin refused to be opened: {text}"),
                    remedy: "Report it to the plugin's vendor.".to_owned(),
                    details: None,
                }
            })
        });
        let plugin = match opening.await {
            Ok(Ok(plugin)) => plugin,
            Ok(Err(failed)) => return End::Failed(failed),
            Err(NoAnswer::Panicked) => return End::Crashed("the plugin panicked while it was opened".to_owned()),
            Err(NoAnswer::Late) => return End::Failed(hung_in_process("while it was opened")),
        };
        let link = match InProcess::new(self.name(), plugin) {
            Ok(link) => Arc::new(link),
            Err(e) => return End::Crashed(format!("no thread could be started for the plugin: {e}")),
        };
        board.join(link.clone());
        self.opened(board);
        let hang = self.shared.config.limits.hang;
        tokio::select! {
            () = link.hung(hang) => End::Failed(hung_in_process("and blocks one of this program's threads")),
            reason = self.live(board, noted, false) => {
                board.wind_down(STOP).await;
                reason.map_or(End::Stopped, End::Crashed)
            }
        }
    }

    fn opened(&self, board: &Arc<Switchboard>) {
        self.boards.send_replace(Some(board.clone()));
        self.say(PluginState::Ok, None, None);
    }

    /// Runs the service and minds notes and wishes; returns the cause where the instance has to end for a fault of
    /// its own, nothing where it is asked to.
    async fn live(
        &self,
        board: &Arc<Switchboard>,
        noted: &mut mpsc::UnboundedReceiver<Note>,
        stuck_ends: bool,
    ) -> Option<String> {
        let mut wanted = self.wanted.clone();
        let service = self.service(board);
        let mut service = std::pin::pin!(service);
        let now = self.current;
        loop {
            tokio::select! {
                cause = &mut service => return Some(cause),
                changed = wanted.wait_for(|desired| *desired != now) => {
                    drop(changed);
                    return None;
                }
                note = noted.recv() => match note {
                    Some(Note::Stuck(text)) if stuck_ends => return Some(text),
                    // In this process nothing more can be done: the operation is abandoned.
                    Some(Note::Stuck(text)) => {
                        self.shared.services.log(self.name(), Level::Error, "plugin", json!({"message": text}));
                    }
                    Some(Note::Panicked(text)) => {
                        self.shared.update(self.name(), |status| status.last_panic = Some(text));
                    }
                    None => return None,
                },
            }
        }
    }

    /// Runs the long-lived service of this role, again after a pause where it fails. Returns only when it panics,
    /// with the cause.
    async fn service(&self, board: &Arc<Switchboard>) -> String {
        if !self.found.manifest.plugin.services.contains(&self.role()) {
            return std::future::pending().await;
        }
        let limits = &self.shared.config.limits;
        let mut pause = limits.first_back_off;
        loop {
            let problem = match self.run_service(board).await {
                Ok(()) => return std::future::pending().await,
                Err(problem) => problem,
            };
            if problem.code == Code::Panic {
                return format!("its service panicked: {}", problem.message);
            }
            let remedy = format!("Nothing: it is started again in {} s.", pause.as_secs_f64());
            self.say(PluginState::Restarting, Some(&format!("its service failed: {}", problem.message)), Some(&remedy));
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(limits.longest_back_off);
            self.say(PluginState::Ok, None, None);
        }
    }

    async fn run_service(&self, board: &Arc<Switchboard>) -> Result<(), Problem> {
        let begun = board.begin(&Method::Service, CallMeta::default(), &Value::Null)?;
        let mut operation = begun.ok_or_else(|| Problem::new(Code::Unavailable, "the plugin is being stopped."))?;
        while let Some(event) = operation.next().await {
            match event {
                OpEvent::Done(_) | OpEvent::Part(..) => return Ok(()),
                OpEvent::Fault(problem) => return Err(problem),
                OpEvent::Warn(problem) => {
                    let record = json!({"message": problem.to_string(), "problem": problem});
                    self.shared.services.log(self.name(), Level::Warn, "service", record);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn hung_in_process(when: &str) -> Failed {
    Failed {
        cause: format!("The plugin did not come back {when}."),
        remedy: "Let it run in a runner, or start this program again.".to_owned(),
        details: None,
    }
}

fn crashed_or_stopped(ended: crate::child::Ended) -> End {
    if ended.crashed { End::Crashed(ended.cause) } else { End::Stopped }
}

/// What callers of operations that were running are told.
fn problem_of(end: &End) -> Problem {
    match end {
        End::Stopped => Problem::new(Code::Unavailable, "the plugin was stopped."),
        End::Failed(failed) => Problem::new(Code::Crashed, failed.cause.clone()).fix(failed.remedy.clone()),
        End::Crashed(cause) => Problem::new(Code::Crashed, format!("{cause}."))
            .fix("Try again; where it happens again, report it to the plugin's vendor."),
    }
}

/// `wanted` of an instance that is to run.
impl Desired {
    pub(crate) fn again(self) -> Desired {
        match self {
            Desired::Run(n) => Desired::Run(n + 1),
            Desired::Disabled => Desired::Run(0),
            Desired::Gone => Desired::Gone,
        }
    }
}
