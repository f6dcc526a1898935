//! The listening side: TCP, TLS and HTTP with every size and time bounded, up to the hand-over to a route.

use super::Context;
use super::routes::{self, Peer};
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use identity::AgentIdentity;
use link::TlsSocket;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

/// Handshakes under way at a time; a fleet that comes back at once waits its turn in the backlog.
const HANDSHAKES: usize = 256;
/// Connections at a time that are not (yet) a session, a stream or a channel.
const REQUESTS: usize = 1024;
const BACKLOG: u32 = 4096;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest life of a connection that only makes requests; enough for a download over a slow line.
const CONNECTION_LIFE: Duration = Duration::from_secs(900);
const HTTP_BUFFER_BYTES: usize = 16 * 1024;

pub(super) fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts until it is dropped.
pub(super) async fn serve(context: Arc<Context>, listener: TcpListener, acceptor: TlsAcceptor) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    let requests = Arc::new(Semaphore::new(REQUESTS));
    loop {
        let Ok(turn) = Arc::clone(&handshakes).acquire_owned().await else { return };
        let Ok(place) = Arc::clone(&requests).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((tcp, from)) => {
                let connection = connection(Arc::clone(&context), acceptor.clone(), tcp, from, turn, place);
                context.runtime.spawn(connection);
            }
            Err(error) => {
                tracing::warn!(%error, "the agents' port cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(
    context: Arc<Context>,
    acceptor: TlsAcceptor,
    tcp: TcpStream,
    from: SocketAddr,
    turn: OwnedSemaphorePermit,
    place: OwnedSemaphorePermit,
) {
    // Latency only; a socket that refuses it works all the same.
    let _ = tcp.set_nodelay(true);
    let tls = match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(tcp)).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => return tracing::debug!(%from, %error, "a TLS handshake failed"),
        Err(_) => return tracing::debug!(%from, "a TLS handshake took too long"),
    };
    drop(turn);
    let identity = tls.get_ref().1.peer_certificates().and_then(|chain| chain.first()).map(|certificate| {
        // The handshake has checked it already; reading it again cannot fail differently.
        AgentIdentity::from_der(certificate, context.ca.site())
    });
    let identity = match identity.transpose() {
        Ok(identity) => identity,
        Err(error) => return tracing::debug!(%from, %error, "a client certificate is not an agent's"),
    };
    let peer = Arc::new(Peer { identity, from });
    let service = service_fn(move |request: Request<Incoming>| {
        let (context, peer) = (Arc::clone(&context), Arc::clone(&peer));
        async move { Ok::<_, Infallible>(routes::handle(&context, &peer, request).await) }
    });
    let http = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HTTP_BUFFER_BYTES)
        .serve_connection(TokioIo::new(TlsSocket::Server(tls)), service)
        .with_upgrades();
    match tokio::time::timeout(CONNECTION_LIFE, http).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%from, %error, "a request of the agents' port failed"),
        Err(_) => tracing::debug!(%from, "a connection of the agents' port took too long"),
    }
    drop(place);
}
