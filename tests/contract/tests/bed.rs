//! A host to test with: built plugins, services from memory, two roles joined.

use futures::future::{BoxFuture, FutureExt};
use parking_lot::Mutex;
use plugin_host::{
    CallMeta, Duplex, Host, HostConfig, Level, Limits, Method, OpEvent, Operation, PluginState, PluginStatus,
    RunnerProgram, Services, Transport,
};
use schema::{
    ChannelOpen, Code, EventsEmit, HostCall, HostRequest, ListedMachine, MachinesList, Problem, Publish, PublishMode,
    Published, Role, RowPage, RowsQuery, Secret, SecretsDelete, SecretsGet, SecretsSet, SettingsGet,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Libraries of the test plugins, built once.
pub(crate) fn library(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let directory = BUILT.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let profile = test.parent().and_then(Path::parent).unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "-p", "echo", "-p", "raw", "-p", "hello", "--lib"]);
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        cargo.arg("--target-dir").arg(profile.parent().unwrap());
        assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
        profile.to_owned()
    });
    directory.join(format!("lib{name}.so"))
}

/// A plugin that really is built to abort on a panic.
pub(crate) fn library_that_aborts() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let profile = library("raw").parent().unwrap().to_owned();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["rustc", "--quiet", "-p", "aborts", "--lib"]);
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        cargo.arg("--target-dir").arg(profile.parent().unwrap()).args(["--", "-C", "panic=abort"]);
        assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
        profile.join("libaborts.so")
    });
    built.clone()
}

/// A copy of a library with other text in the marker that begins with `marker`.
pub(crate) fn patched(name: &str, marker: &str, text: &str, directory: &Path) -> PathBuf {
    let mut contents = std::fs::read(library(name)).unwrap();
    let marker = format!("{marker}:|");
    let at = contents.windows(marker.len()).position(|part| part == marker.as_bytes()).unwrap();
    let room = 64 - marker.len() - 1;
    contents[at + marker.len()..][..room].copy_from_slice(format!("{text:room$}").as_bytes());
    let path = directory.join(format!("{text}.so"));
    std::fs::write(&path, contents).unwrap();
    path
}

pub(crate) fn named_echo(name: &str, directory: &Path) -> PathBuf {
    patched("echo", "bailiwick-test-plugin-name", name, directory)
}

pub(crate) fn raw_in_mode(mode: &str, directory: &Path) -> PathBuf {
    patched("raw", "bailiwick-test-plugin-mode", mode, directory)
}

/// What a host offers, from memory.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) rows: Mutex<BTreeMap<String, Vec<Map<String, Value>>>>,
    pub(crate) settings: Mutex<Map<String, Value>>,
    secrets: Mutex<BTreeMap<String, String>>,
    pub(crate) events: Mutex<Vec<Value>>,
    pub(crate) logs: Mutex<Vec<(String, Level, Value)>>,
    /// The other role.
    pub(crate) peer: OnceLock<Host>,
}

impl Memory {
    fn publish(&self, publish: Publish) -> Published {
        let accepted = publish.rows.len() as u64;
        let mut all = self.rows.lock();
        let rows = all.entry(publish.type_name).or_default();
        let key = |row: &Map<String, Value>| row.values().next().cloned();
        match publish.mode {
            PublishMode::Replace => *rows = publish.rows,
            PublishMode::Append => rows.extend(publish.rows),
            PublishMode::Upsert => {
                rows.retain(|row| !publish.rows.iter().any(|new| key(new) == key(row)));
                rows.extend(publish.rows);
            }
            PublishMode::Delete => rows.retain(|row| !publish.rows.iter().any(|gone| key(gone) == key(row))),
        }
        Published { accepted, ..Published::default() }
    }

    fn answer(&self, call: HostCall) -> Result<Value, Problem> {
        match call {
            HostCall::RowsPublish(publish) => Publish::reply(&self.publish(publish)),
            HostCall::RowsQuery(asked) => {
                let rows = self.rows.lock().get(&asked.type_name).cloned().unwrap_or_default();
                RowsQuery::reply(&RowPage { rows, next: None })
            }
            HostCall::SettingsGet(_) => SettingsGet::reply(&self.settings.lock()),
            HostCall::SecretsGet(asked) => {
                SecretsGet::reply(&Secret { value: self.secrets.lock().get(&asked.name).cloned() })
            }
            HostCall::SecretsSet(set) => {
                self.secrets.lock().insert(set.name, set.value);
                SecretsSet::reply(&())
            }
            HostCall::SecretsDelete(gone) => {
                self.secrets.lock().remove(&gone.name);
                SecretsDelete::reply(&())
            }
            HostCall::EventsEmit(event) => {
                self.events.lock().push(json!(event));
                EventsEmit::reply(&())
            }
            HostCall::MachinesList(_) => {
                let (id, name, status) = ("m1".to_owned(), "alpha".to_owned(), "online".to_owned());
                MachinesList::reply(&vec![ListedMachine { id, name, status }])
            }
            HostCall::PeerCall(_)
            | HostCall::FilesDir(_)
            | HostCall::ChannelOpen(_)
            | HostCall::JobsStart(_)
            | HostCall::JobsGet(_) => Err(HostCall::not_offered(call.method())),
        }
    }
}

/// [`Services`] over a memory that a test can look into.
pub(crate) struct Offered(pub(crate) Arc<Memory>);

impl Services for Offered {
    fn request(
        &self,
        plugin: &str,
        call: &CallMeta,
        method: &str,
        payload: Value,
    ) -> BoxFuture<'static, Result<Value, Problem>> {
        let (memory, plugin, call) = (self.0.clone(), plugin.to_owned(), call.clone());
        let asked = HostCall::read(method, payload);
        async move {
            let message = match asked? {
                HostCall::PeerCall(message) => message,
                other => return memory.answer(other),
            };
            let peer = memory.peer.get().ok_or_else(|| Problem::new(Code::Unavailable, "there is no peer."))?;
            peer.call(&plugin, Method::Peer, call, message.payload).await?.result().await
        }
        .boxed()
    }

    fn open_channel(
        &self,
        plugin: &str,
        call: &CallMeta,
        open: ChannelOpen,
    ) -> BoxFuture<'static, Result<Duplex, Problem>> {
        let (memory, plugin, call, key) = (self.0.clone(), plugin.to_owned(), call.clone(), open.key);
        async move {
            let peer = memory.peer.get().ok_or_else(|| Problem::new(Code::Unavailable, "there is no peer."))?;
            let (ours, theirs) = Duplex::pair();
            peer.accept_channel(&plugin, &key, call, theirs).await?;
            Ok(ours)
        }
        .boxed()
    }

    fn log(&self, plugin: &str, level: Level, _: &str, record: Value) {
        self.0.logs.lock().push((plugin.to_owned(), level, record));
    }
}

/// Short times, so that what takes force takes no long.
pub(crate) fn brisk() -> Limits {
    Limits {
        grace: Duration::from_millis(1500),
        hang: Duration::from_secs(3),
        open: Duration::from_secs(5),
        first_back_off: Duration::from_millis(5),
        longest_back_off: Duration::from_millis(20),
        quarantine_after: usize::MAX,
        ..Limits::default()
    }
}

pub(crate) struct Bed {
    pub(crate) host: Host,
    pub(crate) memory: Arc<Memory>,
    pub(crate) directory: tempfile::TempDir,
}

pub(crate) fn config(transport: Transport, role: Role, directory: &Path) -> HostConfig {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_contract-runner"));
    HostConfig {
        transport,
        runner: Some(RunnerProgram { program, args: vec!["plugin-runner".into()] }),
        limits: brisk(),
        ..HostConfig::in_process(role, directory.join("state"))
    }
}

impl Bed {
    pub(crate) async fn new(transport: Transport) -> Bed {
        Bed::with(transport, Role::Machine, |_| ()).await
    }

    pub(crate) async fn with(transport: Transport, role: Role, change: impl FnOnce(&mut HostConfig)) -> Bed {
        let directory = tempfile::tempdir().unwrap();
        let mut config = config(transport, role, directory.path());
        change(&mut config);
        let memory = Arc::new(Memory::default());
        let host = Host::start(config, Arc::new(Offered(memory.clone()))).await.unwrap();
        Bed { host, memory, directory }
    }

    pub(crate) async fn load(&self, name: &str) {
        self.host.load(&library(name)).await.unwrap();
    }

    pub(crate) async fn start(&self, plugin: &str, command: &str, input: Value) -> Operation {
        self.host.call(plugin, Method::Command(command.into()), CallMeta::default(), input).await.unwrap()
    }

    pub(crate) async fn run(&self, plugin: &str, command: &str, input: Value) -> Result<Value, Problem> {
        self.host.call(plugin, Method::Command(command.into()), CallMeta::default(), input).await?.result().await
    }

    /// Waits until the plugin is in this state.
    pub(crate) async fn until(&self, plugin: &str, state: PluginState) -> PluginStatus {
        let mut watch = self.host.watch();
        let found = watch.wait_for(|all| all.iter().any(|s| s.name == plugin && s.state == state));
        tokio::time::timeout(Duration::from_secs(20), found)
            .await
            .unwrap_or_else(|_| panic!("{plugin} never was {state:?}: {:?}", self.host.plugin(plugin)))
            .unwrap();
        self.host.plugin(plugin).unwrap()
    }
}

/// The result of an operation, with the events before it.
pub(crate) async fn follow(operation: &mut Operation) -> (Vec<OpEvent>, Result<Value, Problem>) {
    let mut events = Vec::new();
    loop {
        match operation.next().await.unwrap() {
            OpEvent::Done(value) => return (events, Ok(value)),
            OpEvent::Part(_, problem) | OpEvent::Fault(problem) => return (events, Err(problem)),
            event => events.push(event),
        }
    }
}
