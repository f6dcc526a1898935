//! The six verbs in plain Rust: what a host and a plugin implement, and what they hold of each other.
//!
//! A panic never crosses: an uncaught one in a method of an `abi_stable` object ends the process, so every entry on
//! both sides goes through a guard here.

use crate::waist::{Host, Host_TO, HostBox, Plugin, Plugin_TO, PluginBox};
use abi_stable::sabi_trait::prelude::TD_Opaque;
use abi_stable::std_types::{RArc, RSlice, RStr, RVec};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Bytes owned by whichever side made them; handed over without a copy and freed where they were made.
pub type Buffer = RVec<u8>;

/// Kinds of `emit`, plugin to host.
pub mod emit {
    pub const PROGRESS: u32 = 0;
    /// Rows that answer a query.
    pub const ROWS: u32 = 1;
    /// The plugin opens `stream`; the data names it.
    pub const OPEN: u32 = 2;
    pub const FRAME: u32 = 3;
    /// No more frames come from the plugin on `stream`; the data is empty or a problem.
    pub const END: u32 = 4;
    pub const WARN: u32 = 5;
    pub const CHECKPOINT: u32 = 6;
    pub const DONE: u32 = 7;
    pub const FAULT: u32 = 8;
    /// The plugin took bytes off `stream` and the host may feed as many more: eight bytes, little endian.
    pub const CREDIT: u32 = 9;
    /// It is done, but not all of it; only where the host has the feature `command.in_part`.
    pub const PART: u32 = 10;
}

/// Kinds of `signal`, host to plugin.
pub mod signal {
    pub const CANCEL: u32 = 0;
    /// The host took bytes: `arg` is made by [`credit_arg`](super::credit_arg).
    pub const CREDIT: u32 = 1;
    /// Answer to request number `arg`.
    pub const REPLY: u32 = 2;
    /// No more frames come from the host on stream `arg`; the data is empty or a problem.
    pub const END_INPUT: u32 = 3;
    /// End every operation and answer no more. Of operation 0.
    pub const SHUTDOWN: u32 = 4;
    /// The host opens stream `arg`; the data names it.
    pub const OPEN: u32 = 5;
}

/// Levels of `log`.
pub mod level {
    pub const ERROR: u8 = 1;
    pub const WARN: u8 = 2;
    pub const INFO: u8 = 3;
    pub const DEBUG: u8 = 4;
    pub const TRACE: u8 = 5;
}

/// Credit either side has on a stream, or for messages of an operation (stream 0), before it was granted any. A frame or
/// message costs its bytes and 64 more; one that is begun with credit left may overdraw it.
pub const INITIAL_CREDIT: i64 = 512 * 1024;
/// Longest frame of a stream in bytes.
pub const MAX_FRAME: usize = 256 * 1024;
/// `emit` or `feed` was for an operation or stream that is over.
pub const GONE: i64 = -1;
/// `emit` or `feed` broke the rules: too long, beyond its credit, of an unknown kind.
pub const REFUSED: i64 = -2;

/// Packs a stream and the bytes granted on it into the argument of a CREDIT signal.
pub fn credit_arg(stream: u32, bytes: u32) -> u64 {
    u64::from(stream) << 32 | u64::from(bytes)
}

/// Stream and bytes of a CREDIT signal.
pub fn credit_of(arg: u64) -> (u32, u32) {
    ((arg >> 32) as u32, arg as u32)
}

/// What a host implements. No method may block; each may be called from any thread.
pub trait HostVerbs: Send + Sync + 'static {
    /// Returns the credit left on the stream (none where it is overdrawn), [`GONE`] or [`REFUSED`].
    fn emit(&self, op: u64, kind: u32, stream: u32, data: Buffer) -> i64;
    fn request(&self, op: u64, request: u64, method: &str, payload: &[u8]);
    fn log(&self, level: u8, target: &str, json: &[u8]);
}

/// What a plugin implements. No method may block; each may be called from any thread.
pub trait PluginVerbs: Send + Sync + 'static {
    fn start(&self, op: u64, method: &str, meta: &[u8], payload: &[u8]);
    fn signal(&self, op: u64, kind: u32, arg: u64, data: &[u8]);
    /// Returns the credit left on the stream (none where it is overdrawn), [`GONE`] or [`REFUSED`].
    fn feed(&self, op: u64, stream: u32, frame: Buffer) -> i64;
}

/// A host as a plugin holds it.
#[derive(Clone)]
pub struct HostObject(Arc<HostBox>);

/// A plugin as a host holds it.
#[derive(Clone)]
pub struct PluginObject(Arc<PluginBox>);

/// Wraps a host so that it can cross the boundary.
pub fn host_object(host: Arc<dyn HostVerbs>) -> HostObject {
    HostObject::wrap(into_box(host))
}

/// Wraps a plugin so that it can cross the boundary.
pub fn plugin_object(plugin: impl PluginVerbs) -> PluginBox {
    Plugin_TO::from_value(GuardedPlugin(plugin), TD_Opaque)
}

pub(crate) fn into_box(host: Arc<dyn HostVerbs>) -> HostBox {
    Host_TO::from_ptr(RArc::new(GuardedHost(host)), TD_Opaque)
}

impl HostObject {
    #[doc(hidden)]
    pub fn wrap(host: HostBox) -> HostObject {
        HostObject(Arc::new(host))
    }

    pub fn emit(&self, op: u64, kind: u32, stream: u32, data: impl Into<Buffer>) -> i64 {
        self.0.emit(op, kind, stream, data.into())
    }

    pub fn request(&self, op: u64, request: u64, method: &str, payload: &[u8]) {
        self.0.request(op, request, RStr::from(method), RSlice::from_slice(payload));
    }

    pub fn log(&self, level: u8, target: &str, json: &[u8]) {
        self.0.log(level, RStr::from(target), RSlice::from_slice(json));
    }
}

impl PluginObject {
    pub(crate) fn wrap(plugin: PluginBox) -> PluginObject {
        PluginObject(Arc::new(plugin))
    }

    /// A plugin that lives in this very program, for tests and benchmarks; it goes through the same guards.
    pub fn local(plugin: impl PluginVerbs) -> PluginObject {
        PluginObject::wrap(plugin_object(plugin))
    }

    pub fn start(&self, op: u64, method: &str, meta: &[u8], payload: &[u8]) {
        self.0.start(op, RStr::from(method), RSlice::from_slice(meta), RSlice::from_slice(payload));
    }

    pub fn signal(&self, op: u64, kind: u32, arg: u64, data: &[u8]) {
        self.0.signal(op, kind, arg, RSlice::from_slice(data));
    }

    pub fn feed(&self, op: u64, stream: u32, frame: impl Into<Buffer>) -> i64 {
        self.0.feed(op, stream, frame.into())
    }
}

/// `RArc` needs a sized value behind it, and the guard has to be somewhere.
struct GuardedHost(Arc<dyn HostVerbs>);

impl Host for GuardedHost {
    fn emit(&self, op: u64, kind: u32, stream: u32, data: RVec<u8>) -> i64 {
        guard(REFUSED, || self.0.emit(op, kind, stream, data))
    }

    fn request(&self, op: u64, request: u64, method: RStr<'_>, payload: RSlice<'_, u8>) {
        guard((), || self.0.request(op, request, method.as_str(), payload.as_slice()));
    }

    fn log(&self, level: u8, target: RStr<'_>, json: RSlice<'_, u8>) {
        guard((), || self.0.log(level, target.as_str(), json.as_slice()));
    }
}

struct GuardedPlugin<P>(P);

impl<P: PluginVerbs> Plugin for GuardedPlugin<P> {
    fn start(&self, op: u64, method: RStr<'_>, meta: RSlice<'_, u8>, payload: RSlice<'_, u8>) {
        guard((), || self.0.start(op, method.as_str(), meta.as_slice(), payload.as_slice()));
    }

    fn signal(&self, op: u64, kind: u32, arg: u64, data: RSlice<'_, u8>) {
        guard((), || self.0.signal(op, kind, arg, data.as_slice()));
    }

    fn feed(&self, op: u64, stream: u32, frame: RVec<u8>) -> i64 {
        guard(REFUSED, || self.0.feed(op, stream, frame))
    }
}

fn guard<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => value,
        Err(payload) => {
            // Dropping the payload may run code of the plugin, which may panic again.
            std::mem::forget(payload);
            otherwise
        }
    }
}
