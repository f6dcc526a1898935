//! What the administrator offers at this moment: its own module and every plugin's, by their manifests.

use arc_swap::ArcSwap;
use schema::{Command, Manifest, Problem, Type, View};
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::watch;

/// One module: its manifest and how it fares.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Module {
    #[serde(flatten)]
    pub(crate) manifest: Manifest,
    pub(crate) state: ModuleState,
}

/// How a module fares, in a word and a line each for the cause and the remedy.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct ModuleState {
    /// `ok`, `failed`, `restarting`, `quarantined` or `disabled`.
    pub(crate) state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remedy: Option<String>,
}

impl ModuleState {
    pub(crate) fn ok() -> ModuleState {
        ModuleState { state: "ok".into(), cause: None, remedy: None }
    }
}

/// The modules at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) modules: Vec<Module>,
    /// Strong validator of the manifests and states, for `ETag`.
    pub(crate) etag: String,
    /// The answer of `GET /api/v1/manifests`.
    pub(crate) json: bytes::Bytes,
}

impl Snapshot {
    fn new(modules: Vec<Module>) -> Snapshot {
        let json = serde_json::to_vec(&modules).expect("manifests are plain data");
        let etag = format!("\"{}\"", &blake3::hash(&json).to_hex()[..20]);
        Snapshot { modules, etag, json: json.into() }
    }

    pub(crate) fn module(&self, name: &str) -> Option<&Module> {
        self.modules.iter().find(|module| module.manifest.plugin.name == name)
    }

    pub(crate) fn manifests(&self) -> impl Iterator<Item = &Manifest> {
        self.modules.iter().map(|module| &module.manifest)
    }

    /// The view at `/api/v1/<name>/<view>`.
    ///
    /// # Errors
    /// `not_found`, with the views there are.
    pub(crate) fn view(&self, name: &str, view: &str) -> Result<(&Manifest, &View), Problem> {
        let module = self.module(name).ok_or_else(|| no_module(name, self))?;
        let found = module.manifest.views.iter().find(|known| known.id == view);
        found.map(|view| (&module.manifest, view)).ok_or_else(|| {
            let known: Vec<&str> = module.manifest.views.iter().map(|v| v.id.as_str()).collect();
            let shown = schema::neutral_text(view);
            Problem::not_found(format!("{name} has no view {shown}.")).fix(format!("It has {}.", known.join(", ")))
        })
    }

    /// The command with this full id.
    ///
    /// # Errors
    /// `unknown_command`, with the commands there are.
    pub(crate) fn command(&self, id: &str) -> Result<(&Manifest, &Command), Problem> {
        let found = id.split_once('.').and_then(|(name, _)| {
            let manifest = &self.module(name)?.manifest;
            manifest.command(id).map(|command| (manifest, command))
        });
        found.ok_or_else(|| {
            let known: Vec<String> =
                self.manifests().flat_map(|m| m.commands.iter().map(|c| m.command_id(&c.id))).collect();
            let message = format!("there is no command {}.", schema::neutral_text(id));
            Problem::new(schema::Code::UnknownCommand, message).fix(format!("There are {}.", known.join(", ")))
        })
    }

    /// The type with this full id.
    pub(crate) fn type_of(&self, id: &str) -> Option<&Type> {
        let (name, short) = id.split_once('.')?;
        self.module(name)?.manifest.types.get(short)
    }

    /// Ids of the types whose rows add columns to `id`.
    pub(crate) fn extensions_of<'a>(&'a self, id: &'a str) -> impl Iterator<Item = String> + 'a {
        self.manifests().flat_map(move |manifest| {
            let extending = manifest
                .types
                .iter()
                .filter(move |(_, kind)| kind.extends.as_ref().is_some_and(|extension| extension.target == id));
            extending.map(|(short, _)| manifest.type_id(short))
        })
    }
}

fn no_module(name: &str, snapshot: &Snapshot) -> Problem {
    let known: Vec<&str> = snapshot.modules.iter().map(|m| m.manifest.plugin.name.as_str()).collect();
    Problem::not_found(format!("there is no module {}.", schema::neutral_text(name)))
        .fix(format!("There are {}.", known.join(", ")))
}

/// The modules, replaced as a whole when one of them changes.
#[derive(Debug)]
pub(crate) struct Modules {
    current: ArcSwap<Snapshot>,
    changed: watch::Sender<()>,
}

impl Modules {
    pub(crate) fn new(modules: Vec<Module>) -> Modules {
        Modules { current: ArcSwap::from_pointee(Snapshot::new(modules)), changed: watch::Sender::new(()) }
    }

    pub(crate) fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Puts `modules` in the place of what there was; tells watchers only when something differs.
    pub(crate) fn replace(&self, modules: Vec<Module>) {
        let next = Snapshot::new(modules);
        if next.etag != self.current.load().etag {
            self.current.store(Arc::new(next));
            self.changed.send_replace(());
        }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}
