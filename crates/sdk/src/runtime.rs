//! An opened plugin: one small runtime that carries its operations, behind the plugin's half of the verbs.

use crate::app::App;
use crate::log::{self, OPERATION};
use crate::operation::Operation;
use crate::{Ctx, Fault, Result, fault};
use abi::{Buffer, HostObject, PluginVerbs, credit_of, emit, signal};
use futures::future::{BoxFuture, FutureExt};
use schema::{Code, FEATURE_IN_PART, InPart, MAX_PAYLOAD, MAX_PAYLOAD_DEPTH, OpenConfig, Problem, Start, is_deeper};
use serde_json::Value;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// A cancelled operation that does not end by itself within this is dropped where it next waits.
const CANCEL_GRACE: Duration = Duration::from_millis(500);
/// Threads of a plugin's runtime: one that a command keeps busy leaves another.
const WORKERS: usize = 2;

/// A plugin that a host has opened.
pub struct Running {
    shared: Arc<Shared>,
    /// Taken when the plugin is shut down.
    runtime: Mutex<Option<Runtime>>,
    handle: tokio::runtime::Handle,
}

struct Shared {
    app: App,
    host: HostObject,
    config: Arc<OpenConfig>,
    operations: Mutex<HashMap<u64, Arc<Operation>>>,
    ended: Notify,
    stop: CancellationToken,
}

impl Running {
    /// Opens `app` on `host`.
    ///
    /// # Errors
    /// JSON of the problem: the configuration cannot be read, the runtime cannot be started.
    pub fn open(app: App, host: HostObject, config: &[u8]) -> Result<Running, Vec<u8>> {
        log::install(host.clone());
        Running::try_open(app, host, config).map_err(|fault| serde_json::to_vec(&fault.0).unwrap_or_default())
    }

    fn try_open(app: App, host: HostObject, config: &[u8]) -> Result<Running> {
        let config: OpenConfig = serde_json::from_slice(config)
            .map_err(|e| fault(Code::BadRequest, format!("the host's configuration cannot be read: {e}.")))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("plugin")
            .enable_all()
            .build()?;
        let shared = Shared {
            app,
            host,
            config: Arc::new(config),
            operations: Mutex::default(),
            ended: Notify::new(),
            stop: CancellationToken::new(),
        };
        let handle = runtime.handle().clone();
        Ok(Running { shared: Arc::new(shared), runtime: Mutex::new(Some(runtime)), handle })
    }

    fn shut_down(&self) {
        self.shared.stop.cancel();
        if let Some(runtime) = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let stop = std::thread::Builder::new().name("plugin-stop".to_owned());
            let shared = self.shared.clone();
            // Where no thread can be had, what runs ends at once.
            let _ = stop.spawn(move || {
                // Each operation ends by itself or is dropped after the grace, and tells the host either way.
                let ended = async { tokio::time::timeout(2 * CANCEL_GRACE, shared.idle()).await };
                let _ = runtime.block_on(ended);
                runtime.shutdown_background();
            });
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shut_down();
    }
}

impl PluginVerbs for Running {
    fn start(&self, op: u64, method: &str, meta: &[u8], payload: &[u8]) {
        let shared = &self.shared;
        let operation = Operation::new(op, shared.host.clone(), shared.stop.child_token());
        shared.lock().insert(op, operation.clone());
        let future = shared.prepare(&operation, method, meta, payload);
        let shared = shared.clone();
        self.handle.spawn(OPERATION.scope(op, async move {
            let result = carry_out(&operation, future).await;
            operation.close();
            finish(&operation, &shared.config, result);
            shared.lock().remove(&op);
            shared.ended.notify_waiters();
        }));
    }

    fn signal(&self, op: u64, kind: u32, arg: u64, data: &[u8]) {
        if kind == signal::SHUTDOWN {
            return self.shut_down();
        }
        let Some(operation) = self.shared.lock().get(&op).cloned() else { return };
        match kind {
            signal::CANCEL => operation.cancel.cancel(),
            signal::CREDIT => {
                let (stream, bytes) = credit_of(arg);
                operation.grant(stream, bytes);
            }
            signal::REPLY => operation.reply(arg, data),
            signal::OPEN => operation.opened_by_host(arg as u32, data),
            signal::END_INPUT => {
                let problem = serde_json::from_slice::<Problem>(data).ok();
                operation.end_input(arg as u32, problem);
            }
            _ => {}
        }
    }

    fn feed(&self, op: u64, stream: u32, frame: Buffer) -> i64 {
        let operation = self.shared.lock().get(&op).cloned();
        operation.and_then(|operation| operation.stream(stream)).map_or(abi::GONE, |stream| stream.feed(frame))
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Operation>>> {
        self.operations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no operation runs.
    async fn idle(&self) {
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            if self.lock().is_empty() {
                return;
            }
            ended.await;
        }
    }

    /// The future of a method; what cannot be found or read is its result.
    fn prepare(
        self: &Arc<Shared>,
        operation: &Arc<Operation>,
        method: &str,
        meta: &[u8],
        payload: &[u8],
    ) -> BoxFuture<'static, Result<Value>> {
        let start = serde_json::from_slice::<Start>(meta);
        let payload = if payload.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(payload) };
        let (start, payload) = match (start, payload) {
            (Ok(start), Ok(payload)) => (start, payload),
            (Err(e), _) | (_, Err(e)) => {
                let unread = fault(Code::BadRequest, format!("the call cannot be read: {e}."));
                return async move { Err(unread) }.boxed();
            }
        };
        let name = start.name.clone();
        let ctx = Ctx { op: operation.clone(), start: Arc::new(start), host: self.config.clone() };
        let handler = match method {
            "command.invoke" => self.app.commands.get(&name),
            "query" => self.app.queries.get(&name),
            "service.run" => self.app.services.get(&self.config.role),
            "configure" => self.app.configure.as_ref(),
            "event" => self.app.events.as_ref(),
            "peer.call" => self.app.peer.as_ref(),
            "channel.accept" => return self.accept(ctx),
            _ => None,
        };
        match handler.cloned() {
            // The function is called inside the future, so that a panic in it is caught like any later one.
            Some(handler) => async move { handler(ctx, payload).await }.boxed(),
            // Nobody minds events and settings that are not listened to.
            None if matches!(method, "configure" | "event") => async { Ok(Value::Null) }.boxed(),
            None => {
                let unknown = fault(Code::UnknownCommand, format!("the plugin has no {method} {name}."));
                async move { Err(unknown) }.boxed()
            }
        }
    }

    fn accept(self: &Arc<Shared>, ctx: Ctx) -> BoxFuture<'static, Result<Value>> {
        let Some(accept) = self.app.accept.clone() else {
            return async { Err(fault(Code::UnknownCommand, "the plugin takes no channels.")) }.boxed();
        };
        async move {
            let stream = ctx.op.take_offered(None).await?;
            accept(ctx, stream).await?;
            Ok(Value::Null)
        }
        .boxed()
    }
}

/// Runs the function to its end, catches its panic, and drops it where it does not mind a cancellation.
async fn carry_out(operation: &Operation, future: BoxFuture<'static, Result<Value>>) -> Result<Value> {
    let guarded = AssertUnwindSafe(future).catch_unwind();
    let ended = tokio::select! {
        ended = guarded => ended,
        () = async {
            operation.cancel.cancelled().await;
            tokio::time::sleep(CANCEL_GRACE).await;
        } => return Err(Fault::cancelled()),
    };
    match ended {
        Ok(result) => result,
        Err(payload) => {
            let text = log::last_panic().or_else(|| log::payload_text(&*payload).map(str::to_owned));
            // Dropping it may panic again.
            std::mem::forget(payload);
            Err(fault(Code::Panic, text.unwrap_or_else(|| "a panic without a text".to_owned())))
        }
    }
}

/// Whether the host has a feature.
pub(crate) fn has(host: &OpenConfig, feature: &str) -> bool {
    host.features.iter().any(|known| known == feature)
}

fn finish(operation: &Operation, host: &OpenConfig, result: Result<Value>) {
    let (mut kind, left_out) = (emit::DONE, operation.left_out.take());
    let written = match (result, left_out) {
        (Ok(result), Some(problem)) if has(host, FEATURE_IN_PART) => {
            kind = emit::PART;
            serde_json::to_vec(&InPart { result, problem }).map_err(Fault::from)
        }
        (Ok(result), Some(problem)) => {
            // This host knows no end but a good and a bad one: a warning says what the end cannot.
            tracing::warn!("{problem}");
            serde_json::to_vec(&result).map_err(Fault::from)
        }
        (Ok(result), None) => serde_json::to_vec(&result).map_err(Fault::from),
        (Err(fault), None) => Err(fault),
        (Err(fault), Some(problem)) => Err(Fault(fault.0.caused_by(problem))),
    };
    let fits = written.and_then(|data| match data.len() {
        0..=MAX_PAYLOAD if is_deeper(&data, MAX_PAYLOAD_DEPTH) => {
            Err(fault(Code::Quota, format!("a result is nested deeper than {MAX_PAYLOAD_DEPTH} levels.")))
        }
        0..=MAX_PAYLOAD => Ok(data),
        bytes => Err(fault(Code::Quota, format!("a result of {bytes} bytes is longer than {}.", MAX_PAYLOAD))),
    });
    let (kind, data) = match fits {
        Ok(data) => (kind, data),
        Err(fault) => (emit::FAULT, serde_json::to_vec(&fault.0).unwrap_or_default()),
    };
    operation.host.emit(operation.id, kind, 0, data);
}
