//! Byte streams that agents open: a job's stream that they were asked to dial back, and channels between the two roles
//! of a plugin. Each has a connection of its own and never shares the control channel.

use super::routes::{Answer, upgrade};
use super::{Context, Duplex};
use fleet::MachineId;
use hyper::Request;
use hyper::body::Incoming;
use schema::{Code, Problem};
use std::sync::Arc;

/// Longest key of a channel.
const MAX_KEY: usize = 1024;

pub(super) fn stream(
    context: &Arc<Context>,
    machine: MachineId,
    ticket: &str,
    request: Request<Incoming>,
) -> Result<Answer, Problem> {
    let taker = context.registry.redeem(ticket, machine).ok_or_else(|| {
        Problem::new(Code::PermissionDenied, "This ticket is not good: it is used, too old or another machine's.")
    })?;
    upgrade(context, request, |_, socket| async move {
        let (near, far) = Duplex::pair();
        if taker.send(near).is_ok() {
            link::carry(socket, far).await;
        }
    })
}

pub(super) fn channel(
    context: &Arc<Context>,
    machine: MachineId,
    plugin: &str,
    request: Request<Incoming>,
) -> Result<Answer, Problem> {
    let key = key(request.uri().query())?;
    let plugin = plugin.to_owned();
    upgrade(context, request, move |context, socket| async move {
        let (near, far) = Duplex::pair();
        let accept = context.sink.channel(machine, plugin, key, near);
        let carry = link::carry(socket, far);
        let (accepted, ()) = tokio::join!(accept, carry);
        if let Err(problem) = accepted {
            tracing::debug!(%machine, %problem, "a channel was not accepted");
        }
    })
}

fn key(query: Option<&str>) -> Result<String, Problem> {
    let encoded = query.and_then(|query| query.strip_prefix("key=")).unwrap_or_default();
    let key = hex::decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    key.filter(|key| key.len() <= MAX_KEY)
        .ok_or_else(|| Problem::bad_request("The key of a channel is hexadecimal UTF-8 of up to 1024 bytes.").at("key"))
}
