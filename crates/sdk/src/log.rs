//! Forwards `tracing` and the place of a panic to the host.
//!
//! Every library has its own `tracing`, its own panic hook and its own thread-locals, so this is set up once in each
//! and reaches nothing of the host.

use abi::{HostObject, level};
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::fmt::Debug;
use std::panic::PanicHookInfo;
use std::sync::{Once, PoisonError, RwLock};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

static HOST: RwLock<Option<HostObject>> = RwLock::new(None);

thread_local! {
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

tokio::task_local! {
    /// The operation whose future is running.
    pub(crate) static OPERATION: u64;
}

/// From here on records go to `host`.
pub(crate) fn install(host: HostObject) {
    static ONCE: Once = Once::new();
    *HOST.write().unwrap_or_else(PoisonError::into_inner) = Some(host);
    ONCE.call_once(|| {
        // A program that links a plugin as a Rust library, as its tests do, may have a subscriber already.
        let _ = tracing::subscriber::set_global_default(Forward);
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let text = panic_line(info);
            LAST_PANIC.with_borrow_mut(|last| *last = Some(text.clone()));
            send(level::ERROR, "panic", json!({"message": text, "panic": true}));
            previous(info);
        }));
    });
}

/// The text and place of the panic that was just caught on this thread.
pub(crate) fn last_panic() -> Option<String> {
    LAST_PANIC.with_borrow_mut(Option::take)
}

fn panic_line(info: &PanicHookInfo<'_>) -> String {
    let text = payload_text(info.payload()).unwrap_or("a value that is not text");
    match info.location() {
        Some(place) => format!("{text} ({}:{})", place.file(), place.line()),
        None => text.to_owned(),
    }
}

/// The text of a panic's payload.
pub(crate) fn payload_text(payload: &(dyn std::any::Any + Send)) -> Option<&str> {
    payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

fn send(level: u8, target: &str, mut record: Value) {
    let Some(host) = HOST.read().unwrap_or_else(PoisonError::into_inner).clone() else { return };
    if let (Ok(op), Some(record)) = (OPERATION.try_with(|op| *op), record.as_object_mut()) {
        record.insert("op".to_owned(), json!(op));
    }
    host.log(level, target, record.to_string().as_bytes());
}

/// Sends events to the host. Spans are not kept: an operation's number says where a record belongs.
struct Forward;

impl Subscriber for Forward {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // What libraries below log in detail is of no use to an operator.
        metadata.is_event() && *metadata.level() <= Level::INFO
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(tracing::level_filters::LevelFilter::INFO)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let level = match *event.metadata().level() {
            Level::ERROR => level::ERROR,
            Level::WARN => level::WARN,
            Level::INFO => level::INFO,
            Level::DEBUG => level::DEBUG,
            Level::TRACE => level::TRACE,
        };
        send(level, event.metadata().target(), Value::Object(fields.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }
}
