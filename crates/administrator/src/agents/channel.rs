//! Byte streams that agents open: a job's stream that they were asked to dial back, and channels between the two roles
//! of a plugin. Each has a connection of its own, never shares the control channel, and ends when its machine is cut off.

use super::routes::{Answer, Caller, upgrade};
use super::{Context, Duplex};
use hyper::Request;
use hyper::body::Incoming;
use link::Socket;
use schema::{Code, Problem};
use std::sync::Arc;

/// Longest key of a channel.
const MAX_KEY: usize = 1024;

pub(super) fn stream(
    context: &Arc<Context>,
    caller: Caller,
    ticket: &str,
    request: Request<Incoming>,
) -> Result<Answer, Problem> {
    let taker = context.registry.redeem(ticket, caller.machine).ok_or_else(|| {
        let problem = "This ticket is not good: it is used, too old or another machine's.";
        let problem = Problem::new(Code::PermissionDenied, problem);
        context.sink.suspicion(caller.machine, problem.clone());
        problem
    })?;
    upgrade(context, request, |_, socket| async move {
        let (near, far) = Duplex::pair();
        if taker.send(near).is_ok() {
            carry(&caller, socket, far).await;
        }
    })
}

pub(super) fn channel(
    context: &Arc<Context>,
    caller: Caller,
    plugin: &str,
    request: Request<Incoming>,
) -> Result<Answer, Problem> {
    let key = key(request.uri().query())?;
    let plugin = plugin.to_owned();
    upgrade(context, request, move |context, socket| async move {
        let (near, far) = Duplex::pair();
        let accept = context.sink.channel(caller.machine, plugin, key, near);
        let (accepted, ()) = tokio::join!(accept, carry(&caller, socket, far));
        if let Err(problem) = accepted {
            tracing::debug!(machine = %caller.machine, %problem, "a channel was not accepted");
        }
    })
}

/// What is left at this end when the machine is cut off is told so by the end that is dropped.
async fn carry(caller: &Caller, socket: Socket, far: Duplex) {
    tokio::select! {
        () = link::carry(socket, far) => {}
        () = caller.place.over.cancelled() => {}
    }
}

fn key(query: Option<&str>) -> Result<String, Problem> {
    let encoded = query.and_then(|query| query.strip_prefix("key=")).unwrap_or_default();
    let key = hex::decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    key.filter(|key| key.len() <= MAX_KEY)
        .ok_or_else(|| Problem::bad_request("The key of a channel is hexadecimal UTF-8 of up to 1024 bytes.").at("key"))
}
