//! The builder of a plugin: what it is, stores, shows and can do, with the functions that do it.

use crate::build::{self, Args, Output};
use crate::rows::object;
use crate::{Ctx, Result, Row, Stream};
use futures::future::{BoxFuture, FutureExt};
use schema::{AnsweredBy, Command, Computed, Extension, Manifest, Needs, Query, Role, RowPage, Setting, Type, View};
use serde_json::Value;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

/// Any function of a plugin, over JSON.
pub(crate) type Handler = Arc<dyn Fn(Ctx, Value) -> BoxFuture<'static, Result<Value>> + Send + Sync>;
type ChannelHandler = Arc<dyn Fn(Ctx, Stream) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// A plugin: its manifest and its functions. Methods that end in `_options` change what was declared just before.
pub struct App {
    pub(crate) manifest: Manifest,
    pub(crate) commands: BTreeMap<String, Handler>,
    pub(crate) queries: BTreeMap<String, Handler>,
    pub(crate) services: BTreeMap<Role, Handler>,
    pub(crate) events: Option<Handler>,
    pub(crate) configure: Option<Handler>,
    pub(crate) peer: Option<Handler>,
    pub(crate) accept: Option<ChannelHandler>,
}

impl App {
    /// A plugin with this global id (a reverse domain name); its short name is the last part.
    pub fn new(id: &str) -> App {
        App {
            manifest: build::empty_manifest(id),
            commands: BTreeMap::new(),
            queries: BTreeMap::new(),
            services: BTreeMap::new(),
            events: None,
            configure: None,
            peer: None,
            accept: None,
        }
    }

    #[must_use]
    pub fn name(mut self, name: &str) -> App {
        self.manifest.plugin.name = name.to_owned();
        self
    }

    #[must_use]
    pub fn title(mut self, title: &str) -> App {
        self.manifest.plugin.title = title.to_owned();
        self
    }

    #[must_use]
    pub fn description(mut self, text: &str) -> App {
        self.manifest.plugin.description = text.to_owned();
        self
    }

    #[must_use]
    pub fn vendor(mut self, vendor: &str) -> App {
        self.manifest.plugin.vendor = vendor.to_owned();
        self
    }

    /// Name of an icon of the console.
    #[must_use]
    pub fn icon(mut self, icon: &str) -> App {
        self.manifest.plugin.icon = Some(icon.to_owned());
        self
    }

    /// Place in the navigation; lower is higher up.
    #[must_use]
    pub fn order(mut self, order: u32) -> App {
        self.manifest.plugin.order = order;
        self
    }

    #[must_use]
    pub fn version(mut self, version: &str) -> App {
        self.manifest.plugin.version = version.to_owned();
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub fn version_if_empty(self, version: &str) -> App {
        if self.manifest.plugin.version.is_empty() { self.version(version) } else { self }
    }

    /// Where the plugin runs; both roles where not said.
    #[must_use]
    pub fn roles(mut self, roles: &[Role]) -> App {
        self.manifest.plugin.roles = roles.to_vec();
        self
    }

    /// What this role needs of the operating system. Everything else is denied.
    #[must_use]
    pub fn needs(mut self, role: Role, needs: Needs) -> App {
        self.manifest.plugin.needs.insert(role, needs);
        self
    }

    /// A command: an async function of a context and typed arguments.
    #[must_use]
    pub fn command<A, R, F, Fut>(mut self, id: &str, title: &str, function: F) -> App
    where
        A: Args,
        R: Output,
        F: Fn(Ctx, A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R>> + Send + 'static,
    {
        self.manifest.commands.push(build::command::<A, R>(id, title));
        self.commands.insert(id.to_owned(), build::typed("input", function));
        self
    }

    /// Changes the command declared last.
    ///
    /// # Panics
    /// No command was declared before.
    #[must_use]
    pub fn command_options(mut self, change: impl FnOnce(&mut Command)) -> App {
        change(self.manifest.commands.last_mut().expect("a command was declared before its options"));
        self
    }

    /// Declares the rows of `T` as a type the host stores and answers queries for.
    #[must_use]
    pub fn stored<T: Row>(mut self) -> App {
        self.manifest.types.insert(T::NAME.to_owned(), T::declare());
        self
    }

    /// Declares the rows of `T` as a stored type whose fields are also columns of another plugin's type, as in
    /// `fleet.machine`. `T` has no key: there is one row a machine.
    #[must_use]
    pub fn extend<T: Row>(mut self, target: &str) -> App {
        let extends = Some(Extension { target: target.to_owned(), fields: Vec::new() });
        self.manifest.types.insert(T::NAME.to_owned(), Type { extends, ..T::declare() });
        self
    }

    /// Declares the rows of `T` as a type whose queries `function` answers, in the role `by`.
    ///
    /// The function answers with one page: the rows after `query.page.after` (what it returned as the second of the pair
    /// with the page before; nothing at the end), at most `query.page.limit` of them. What a view declares as
    /// `params` arrives in `query.params`, read by [`Query::param`]: they say which rows there are (a folder, a
    /// snapshot). On a command line each is an option, and stands by its position where the view's `x-cli` says so; a
    /// param `machine` chooses who answers, where a machine does, and does not arrive. `query.filters` are the operator's own conditions on
    /// fields, as are `q`, `sort` and `fields`; the host applies none of them to rows that it does not keep.
    #[must_use]
    pub fn query<T, F, Fut>(mut self, by: AnsweredBy, function: F) -> App
    where
        T: Row,
        F: Fn(Ctx, Query) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(Vec<T>, Option<String>)>> + Send + 'static,
    {
        let computed = Some(Computed { answered_by: by });
        let kind = Type { stored: None, computed, ..T::declare() };
        self.manifest.types.insert(T::NAME.to_owned(), kind);
        let function = Arc::new(function);
        let handler = build::typed("query", move |ctx: Ctx, query: Query| {
            let function = function.clone();
            async move {
                let (rows, next) = function(ctx.clone(), query).await?;
                let rows = rows.iter().map(object).collect::<Result<Vec<_>>>()?;
                ctx.answer(rows).await?;
                Ok(RowPage { rows: Vec::new(), next })
            }
        });
        self.queries.insert(T::NAME.to_owned(), handler);
        self
    }

    /// As [`App::query`], where `function` has all rows at hand: they are narrowed, ordered and paged by the SDK.
    #[must_use]
    pub fn list<T, F, Fut>(mut self, by: AnsweredBy, function: F) -> App
    where
        T: Row,
        F: Fn(Ctx, Query) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Vec<T>>> + Send + 'static,
    {
        let computed = Some(Computed { answered_by: by });
        let kind = Type { stored: None, computed, ..T::declare() };
        self.manifest.types.insert(T::NAME.to_owned(), kind);
        let function = Arc::new(function);
        let handler = build::typed("query", move |ctx: Ctx, query: Query| {
            let function = function.clone();
            async move {
                let all = function(ctx.clone(), query.clone()).await?;
                let (rows, next) = crate::select(&all, &query)?;
                ctx.answer(rows).await?;
                Ok(RowPage { rows: Vec::new(), next })
            }
        });
        self.queries.insert(T::NAME.to_owned(), handler);
        self
    }

    /// Changes the type declared last.
    ///
    /// # Panics
    /// No type was declared before.
    #[must_use]
    pub fn type_options(mut self, change: impl FnOnce(&mut Type)) -> App {
        change(self.manifest.types.values_mut().last().expect("a type was declared before its options"));
        self
    }

    /// A table of the type declared last. Its id is the title in lower case.
    ///
    /// # Panics
    /// No type was declared before.
    #[must_use]
    pub fn table(mut self, title: &str) -> App {
        let of = self.manifest.types.keys().last().expect("a type was declared before its table").clone();
        self.manifest.views.push(build::table(title, &of));
        self
    }

    /// Any view.
    #[must_use]
    pub fn view(mut self, view: View) -> App {
        self.manifest.views.push(view);
        self
    }

    /// Changes the view declared last.
    ///
    /// # Panics
    /// No view was declared before.
    #[must_use]
    pub fn view_options(mut self, change: impl FnOnce(&mut View)) -> App {
        change(self.manifest.views.last_mut().expect("a view was declared before its options"));
        self
    }

    /// A function that runs as long as the plugin does in `role`: a collector or a listener. It ends when its
    /// context is cancelled; where it fails it is started again after a pause.
    #[must_use]
    pub fn service<F, Fut>(mut self, role: Role, function: F) -> App
    where
        F: Fn(Ctx) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        self.manifest.plugin.services.push(role);
        self.services.insert(role, build::typed("payload", move |ctx, _: Value| function(ctx)));
        self
    }

    /// Takes the channels that the plugin's other role opens; `ctx.name()` is the key.
    #[must_use]
    pub fn accept<F, Fut>(mut self, function: F) -> App
    where
        F: Fn(Ctx, Stream) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        self.manifest.plugin.channels = true;
        self.accept = Some(Arc::new(move |ctx, stream| function(ctx, stream).boxed()));
        self
    }

    /// Answers the small messages of the plugin's other role.
    #[must_use]
    pub fn peer<A, R, F, Fut>(mut self, function: F) -> App
    where
        A: serde::de::DeserializeOwned + Send + 'static,
        R: serde::Serialize + 'static,
        F: Fn(Ctx, A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R>> + Send + 'static,
    {
        self.peer = Some(build::typed("payload", function));
        self
    }

    /// Told of events; `ctx.name()` is the event's id.
    #[must_use]
    pub fn on_event<F, Fut>(mut self, function: F) -> App
    where
        F: Fn(Ctx, Value) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        self.events = Some(build::typed("payload", function));
        self
    }

    /// Told that settings changed; `ctx.settings()` has the new ones.
    #[must_use]
    pub fn on_configure<F, Fut>(mut self, function: F) -> App
    where
        F: Fn(Ctx) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        self.configure = Some(build::typed("payload", move |ctx, _: Value| function(ctx)));
        self
    }

    /// Something operators can set for the site, a group or a machine. The first one brings the view of all of them.
    #[must_use]
    pub fn setting(mut self, name: &str, setting: Setting) -> App {
        let settings = build::settings(&self.manifest.plugin.name);
        if !self.manifest.views.iter().any(|view| view.id == settings.id) {
            self.manifest.views.push(settings);
        }
        self.manifest.settings.insert(name.to_owned(), setting);
        self
    }

    /// Changes anything else of the manifest: permissions, events, schedules, keywords.
    #[must_use]
    pub fn manifest_options(mut self, change: impl FnOnce(&mut Manifest)) -> App {
        change(&mut self.manifest);
        self
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The manifest as the host reads it.
    ///
    /// # Panics
    /// Never: a manifest is plain data.
    pub fn manifest_json(&self) -> Vec<u8> {
        serde_json::to_vec(&self.manifest).expect("a manifest is plain data")
    }

    /// What is wrong with the manifest; a test of every plugin asserts that it is nothing.
    pub fn check(&self) -> Vec<schema::Fault> {
        self.manifest.check()
    }
}
