//! The runner: a child process that holds one plugin, confined before anything of the plugin is loaded.
//!
//! One thread reads the socket and calls the plugin; the plugin's own threads write to it. It decides nothing: what
//! the plugin says is judged by the host.

mod landlock;
mod owner;
mod sandbox;
mod seccomp;
mod socket;

use crate::wire::{Failed, Frame, Hello, Setup};
use abi::{GONE, HostVerbs, INITIAL_CREDIT, Library, LoadError, PluginObject, credit_of, emit, signal};
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use schema::FRAME_COST;
use socket::Socket;
use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::Arc;

/// A runner: what `<program> plugin-runner` becomes. Call it before anything else starts a thread; the socket to the
/// host is its standard input.
pub fn runner_main() -> ExitCode {
    let Ok(socket) = Socket::from_stdin() else { return ExitCode::FAILURE };
    let socket = Arc::new(socket);
    let mut buffer = BytesMut::new();
    let setup = match socket.read(&mut buffer) {
        Some(Frame::Setup(json)) => serde_json::from_slice::<Setup>(&json),
        _ => return ExitCode::FAILURE,
    };
    let ended =
        setup.map_err(|e| failed(format!("The runner's set-up cannot be read: {e}."), "Upgrade the host.", None));
    match ended.and_then(|setup| run(&setup, &socket, &mut buffer)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            socket.write(Frame::Failed(json(&failed)));
            ExitCode::FAILURE
        }
    }
}

fn run(setup: &Setup, socket: &Arc<Socket>, buffer: &mut BytesMut) -> Result<(), Failed> {
    let (sandbox, path) = sandbox::enter(setup)?;
    // Said before anything of the plugin runs that could say it differently.
    socket.write(Frame::Confined(json(&sandbox)));
    let library = Library::load(&path).map_err(|e| not_loaded(&e))?;
    sandbox::seal();
    let (info, manifest) = (library.info(), library.manifest());
    let hello = Hello {
        manifest: String::from_utf8_lossy(&manifest).into_owned(),
        abi_level: info.abi_level,
        panic_unwind: info.panic_unwind,
        sdk: info.sdk.as_str().to_owned(),
        rustc: info.rustc.as_str().to_owned(),
        target: info.target.as_str().to_owned(),
    };
    socket.write(Frame::Hello(json(&hello)));
    let Some(open) = &setup.open else { return Ok(()) };
    let host = Arc::new(RemoteHost { socket: socket.clone(), credit: Mutex::default() });
    let plugin = library.open(host.clone(), &json(open)).map_err(|refusal| {
        let problem = serde_json::from_slice::<schema::Problem>(&refusal);
        let text = problem.map_or_else(|_| String::from_utf8_lossy(&refusal).into_owned(), |p| p.message);
        failed(format!("The plugin refused to be opened: {text}"), "Report it to the plugin's vendor.", None)
    })?;
    socket.write(Frame::Ready);
    while let Some(frame) = socket.read(buffer) {
        dispatch(frame, &plugin, &host);
    }
    // The host has closed its end, when everything had ended or long after that. The plugin's threads may hang; nothing
    // is worth waiting for them.
    Ok(())
}

/// Carries out one verb.
fn dispatch(frame: Frame, plugin: &PluginObject, host: &RemoteHost) {
    match frame {
        Frame::Start { op, method, meta, payload } => {
            host.credit.lock().insert((op, 0), INITIAL_CREDIT);
            plugin.start(op, &method, &meta, &payload);
        }
        Frame::Signal { op, kind, arg, data } => {
            host.grant(op, kind, arg);
            plugin.signal(op, kind, arg, &data);
        }
        Frame::Feed { op, stream, frame } => {
            // A stream that is over needs no answer: its end is on the way.
            plugin.feed(op, stream, Vec::from(frame));
        }
        Frame::Ping(n) => host.socket.write(Frame::Pong(n)),
        _ => {}
    }
}

/// The host, as the plugin in a runner sees it.
struct RemoteHost {
    socket: Arc<Socket>,
    /// Credit left of each stream of each operation, to answer `emit` without asking.
    credit: Mutex<HashMap<(u64, u32), i64>>,
}

impl RemoteHost {
    fn grant(&self, op: u64, kind: u32, arg: u64) {
        match kind {
            signal::CREDIT => {
                let (stream, bytes) = credit_of(arg);
                let mut credit = self.credit.lock();
                if bytes == 0 {
                    credit.remove(&(op, stream));
                } else if let Some(left) = credit.get_mut(&(op, stream)) {
                    *left += i64::from(bytes);
                }
            }
            signal::OPEN => drop(self.credit.lock().insert((op, arg as u32), INITIAL_CREDIT)),
            _ => {}
        }
    }

    fn spend(&self, op: u64, kind: u32, stream: u32, bytes: usize) -> i64 {
        let mut credit = self.credit.lock();
        if kind == emit::OPEN && credit.contains_key(&(op, 0)) {
            credit.insert((op, stream), INITIAL_CREDIT);
        }
        match kind {
            emit::DONE | emit::FAULT => {
                credit.retain(|(one, _), _| *one != op);
                0
            }
            emit::FRAME => credit.get_mut(&(op, stream)).map_or(GONE, |left| {
                *left -= (bytes + FRAME_COST) as i64;
                (*left).max(0)
            }),
            emit::END => {
                credit.remove(&(op, stream));
                0
            }
            _ => credit.get_mut(&(op, 0)).map_or(GONE, |left| {
                if matches!(kind, emit::ROWS | emit::WARN | emit::CHECKPOINT | emit::OPEN) {
                    *left -= (bytes + FRAME_COST) as i64;
                }
                // Overdrawn is no credit; less than none means something else.
                (*left).max(0)
            }),
        }
    }
}

impl HostVerbs for RemoteHost {
    fn emit(&self, op: u64, kind: u32, stream: u32, data: abi::Buffer) -> i64 {
        let left = self.spend(op, kind, stream, data.len());
        if left != GONE {
            self.socket.write(Frame::Emit { op, kind, stream, data: Bytes::from_owner(data) });
        }
        left
    }

    fn request(&self, op: u64, request: u64, method: &str, payload: &[u8]) {
        let (method, payload) = (method.to_owned(), Bytes::copy_from_slice(payload));
        self.socket.write(Frame::Request { op, request, method, payload });
    }

    fn log(&self, level: u8, target: &str, json: &[u8]) {
        self.socket.write(Frame::Log { level, target: target.to_owned(), json: Bytes::copy_from_slice(json) });
    }
}

fn json(value: &impl serde::Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

fn failed(cause: impl Into<String>, remedy: &str, details: Option<String>) -> Failed {
    Failed { cause: cause.into(), remedy: remedy.to_owned(), details }
}

/// A load error in a line each of cause and remedy.
pub(crate) fn not_loaded(error: &LoadError) -> Failed {
    failed(error.to_string(), error.remedy(), error.details().map(str::to_owned))
}
