//! A host for the unit tests of a plugin: its commands run in this process, what they ask of a host is answered from
//! memory, and what they told is kept.

use crate::app::App;
use crate::runtime::Running;
use abi::{Buffer, HostVerbs, PluginVerbs, credit_arg, emit, host_object, signal};
use schema::{
    CallMeta, EventsEmit, FilesDir, FilesPath, HostCall, HostRequest, InPart, Object, OpenConfig, Problem, Progress,
    Publish, PublishMode, Published, Reply, Role, RowPage, RowsQuery, Secret, SecretsDelete, SecretsGet, SecretsSet,
    SettingsGet, Start,
};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A host that runs one plugin in memory.
pub struct TestHost {
    plugin: Arc<Running>,
    state: Arc<State>,
    next: AtomicU64,
}

/// What a run ended with, and what it told on the way. One that was done in part has both a result and a problem.
#[derive(Debug, Default)]
pub struct Outcome {
    pub result: Option<Value>,
    pub problem: Option<Problem>,
    pub progress: Vec<Progress>,
    pub warnings: Vec<Problem>,
    pub checkpoints: Vec<Value>,
    /// Rows that answered a query.
    pub rows: Vec<Object>,
    /// Bytes of each stream by its name.
    pub streams: BTreeMap<String, Vec<u8>>,
}

/// Kind, stream and data of an `emit`.
type Told = (u32, u32, Vec<u8>);

#[derive(Default)]
struct State {
    plugin: Mutex<Weak<Running>>,
    memory: Mutex<Memory>,
    runs: Mutex<HashMap<u64, Sender<Told>>>,
}

#[derive(Default)]
struct Memory {
    rows: BTreeMap<String, Vec<Object>>,
    settings: Object,
    secrets: BTreeMap<String, String>,
    events: Vec<(String, Value)>,
}

impl TestHost {
    /// Opens `app` in the machine role.
    ///
    /// # Panics
    /// The manifest is wrong, or the plugin cannot be opened: the test ends.
    pub fn new(app: App) -> TestHost {
        TestHost::in_role(app, Role::Machine)
    }

    /// Opens `app` in this role.
    ///
    /// # Panics
    /// As for [`TestHost::new`].
    pub fn in_role(app: App, role: Role) -> TestHost {
        TestHost::open(app, role, false)
    }

    /// Opens `app` in this role as when it runs alone.
    ///
    /// # Panics
    /// As for [`TestHost::new`].
    pub fn standalone(app: App, role: Role) -> TestHost {
        TestHost::open(app, role, true)
    }

    fn open(app: App, role: Role, standalone: bool) -> TestHost {
        let faults = app.check();
        assert!(faults.is_empty(), "the manifest is wrong: {faults:?}");
        let state = Arc::new(State::default());
        let defaults = app.manifest().settings.iter().map(|(name, setting)| (name.clone(), setting.default.clone()));
        lock(&state.memory).settings.extend(defaults);
        let config = OpenConfig {
            role,
            host: "test".to_owned(),
            features: schema::FEATURES.iter().map(|feature| (*feature).to_owned()).collect(),
            settings: Object::new(),
            files: String::new(),
            standalone,
        };
        let config = serde_json::to_vec(&config).expect("a configuration is plain data");
        let plugin = match Running::open(app, host_object(state.clone()), &config) {
            Ok(plugin) => Arc::new(plugin),
            Err(refusal) => panic!("the plugin does not open: {}", String::from_utf8_lossy(&refusal)),
        };
        *lock(&state.plugin) = Arc::downgrade(&plugin);
        TestHost { plugin, state, next: AtomicU64::new(1) }
    }

    /// Runs a command to its end.
    pub fn run(&self, command: &str, input: Value) -> Outcome {
        self.call("command.invoke", command, CallMeta::default(), &input)
    }

    /// Runs any method to its end.
    ///
    /// # Panics
    /// The plugin went away without an end.
    pub fn call(&self, method: &str, name: &str, call: CallMeta, payload: &Value) -> Outcome {
        let op = self.next.fetch_add(1, Ordering::Relaxed);
        let (events, told) = channel();
        lock(&self.state.runs).insert(op, events);
        let meta = serde_json::to_vec(&Start { name: name.to_owned(), call }).expect("it is plain data");
        self.plugin.start(op, method, &meta, payload.to_string().as_bytes());
        let outcome = self.follow(op, &told);
        lock(&self.state.runs).remove(&op);
        outcome
    }

    fn follow(&self, op: u64, told: &Receiver<Told>) -> Outcome {
        let (mut outcome, mut names) = (Outcome::default(), HashMap::new());
        loop {
            let (kind, stream, data) = told.recv().expect("every operation ends");
            let value: Value = serde_json::from_slice(&data).unwrap_or_default();
            self.plugin.signal(op, signal::CREDIT, credit_arg(stream, data.len() as u32 + 64), &[]);
            match kind {
                emit::PROGRESS => outcome.progress.extend(serde_json::from_value::<Progress>(value)),
                emit::WARN => outcome.warnings.extend(serde_json::from_value::<Problem>(value)),
                emit::CHECKPOINT => outcome.checkpoints.push(value),
                emit::ROWS => outcome.rows.extend(serde_json::from_value::<Vec<Object>>(value).unwrap_or_default()),
                emit::OPEN => {
                    let name = value.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
                    outcome.streams.insert(name.clone(), Vec::new());
                    names.insert(stream, name);
                    self.plugin.signal(op, signal::END_INPUT, u64::from(stream), &[]);
                }
                emit::FRAME => {
                    let bytes = names.get(&stream).and_then(|name| outcome.streams.get_mut(name));
                    bytes.into_iter().for_each(|bytes| bytes.extend(&data));
                }
                emit::DONE => {
                    outcome.result = Some(value);
                    return outcome;
                }
                emit::PART => {
                    let InPart { result, problem } = serde_json::from_value(value).expect("the SDK wrote it");
                    (outcome.result, outcome.problem) = (Some(result), Some(problem));
                    return outcome;
                }
                emit::FAULT => {
                    outcome.problem = serde_json::from_value(value).ok();
                    return outcome;
                }
                _ => {}
            }
        }
    }

    /// Rows of a stored type as they are now.
    pub fn rows(&self, type_name: &str) -> Vec<Object> {
        lock(&self.state.memory).rows.get(type_name).cloned().unwrap_or_default()
    }

    pub fn set(&self, setting: &str, value: Value) {
        lock(&self.state.memory).settings.insert(setting.to_owned(), value);
    }

    pub fn set_secret(&self, name: &str, value: &str) {
        lock(&self.state.memory).secrets.insert(name.to_owned(), value.to_owned());
    }

    /// Events the plugin reported.
    pub fn events(&self) -> Vec<(String, Value)> {
        lock(&self.state.memory).events.clone()
    }
}

impl HostVerbs for State {
    fn emit(&self, op: u64, kind: u32, stream: u32, data: Buffer) -> i64 {
        let run = lock(&self.runs).get(&op).cloned();
        match run {
            Some(run) if run.send((kind, stream, data.into_vec())).is_ok() => abi::INITIAL_CREDIT,
            _ => abi::GONE,
        }
    }

    fn request(&self, op: u64, request: u64, method: &str, payload: &[u8]) {
        let payload: Value = serde_json::from_slice(payload).unwrap_or_default();
        let answer = HostCall::read(method, payload).and_then(|call| lock(&self.memory).answer(call));
        let reply = match answer {
            Ok(value) => Reply::Ok(value),
            Err(problem) => Reply::Fault(problem),
        };
        if let (Some(plugin), Ok(data)) = (lock(&self.plugin).upgrade(), serde_json::to_vec(&reply)) {
            plugin.signal(op, signal::REPLY, request, &data);
        }
    }

    fn log(&self, _: u8, _: &str, _: &[u8]) {}
}

impl Memory {
    fn answer(&mut self, call: HostCall) -> Result<Value, Problem> {
        match call {
            HostCall::RowsPublish(publish) => {
                let accepted = publish.rows.len() as u64;
                self.publish(publish);
                Publish::reply(&Published { accepted, ..Published::default() })
            }
            HostCall::RowsQuery(asked) => {
                let rows = self.rows.get(&asked.type_name).cloned().unwrap_or_default();
                RowsQuery::reply(&RowPage { rows, next: None })
            }
            HostCall::SettingsGet(_) => SettingsGet::reply(&self.settings),
            HostCall::SecretsGet(asked) => SecretsGet::reply(&Secret { value: self.secrets.get(&asked.name).cloned() }),
            HostCall::SecretsSet(set) => {
                self.secrets.insert(set.name, set.value);
                SecretsSet::reply(&())
            }
            HostCall::SecretsDelete(gone) => {
                self.secrets.remove(&gone.name);
                SecretsDelete::reply(&())
            }
            HostCall::EventsEmit(event) => {
                self.events.push((event.event, event.data));
                EventsEmit::reply(&())
            }
            HostCall::FilesDir(_) => FilesDir::reply(&FilesPath { path: std::env::temp_dir().display().to_string() }),
            HostCall::PeerCall(_)
            | HostCall::MachinesList(_)
            | HostCall::ChannelOpen(_)
            | HostCall::JobsStart(_)
            | HostCall::JobsGet(_) => Err(HostCall::not_offered(call.method())),
        }
    }

    /// Keeps rows without a notion of keys: `upsert` and `append` add, `delete` removes equal rows.
    fn publish(&mut self, publish: Publish) {
        let rows = self.rows.entry(publish.type_name).or_default();
        match publish.mode {
            PublishMode::Replace => *rows = publish.rows,
            PublishMode::Upsert | PublishMode::Append => rows.extend(publish.rows),
            PublishMode::Delete => rows.retain(|row| !publish.rows.contains(row)),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
