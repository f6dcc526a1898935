//! Joins a socket to a stream of a plugin, so that credits hold from one end to the other.

use crate::{Duplex, Incoming, Socket};

/// Carries bytes both ways between `socket` and `local` until both directions have ended or one failed.
pub async fn carry(socket: Socket, local: plugin_host::Duplex) {
    let (remote, driver) = Duplex::over(socket);
    let Duplex { sender: mut out, receiver: mut from_socket } = remote;
    let (mut to_plugin, mut from_plugin) = local.split();
    let outward = async move {
        loop {
            match from_plugin.recv().await {
                Some(Ok(bytes)) => {
                    if out.send(bytes).await.is_err() {
                        return from_plugin.close();
                    }
                }
                Some(Err(problem)) => return out.fail(problem).await,
                None => return out.end().await,
            }
        }
    };
    let inward = async move {
        loop {
            match from_socket.next().await {
                Incoming::Data(bytes) => {
                    if to_plugin.send(bytes).await.is_err() {
                        return;
                    }
                }
                Incoming::End => return to_plugin.finish(),
                Incoming::Failed(problem) => return to_plugin.fail(problem),
            }
        }
    };
    tokio::join!(driver, outward, inward);
}
