//! The listening side: TCP, TLS and HTTP with every size and time bounded, up to the hand-over to a route.

use super::Context;
use super::routes::{self, Peer};
use super::strangers::Strangers;
use fleet::MachineId;
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
use tokio_rustls::server::TlsStream;

/// Handshakes under way at a time; a fleet that comes back at once waits its turn in the backlog.
const HANDSHAKES: usize = 256;
/// Connections of agents at a time that are not (yet) a session, a stream or a channel. Those without a certificate are
/// counted apart, see [`Strangers`].
const REQUESTS: usize = 1024;
/// A connection that says nothing for longer is asked whether it still stands.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_PROBES: u32 = 3;
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
    let crowd = Arc::new(Crowd { requests: Semaphore::new(REQUESTS), strangers: Arc::default() });
    loop {
        let Ok(turn) = Arc::clone(&handshakes).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((tcp, from)) => {
                let (context, acceptor, crowd) = (Arc::clone(&context), acceptor.clone(), Arc::clone(&crowd));
                context.runtime.clone().spawn(async move {
                    if let Some(tls) = handshake(acceptor, tcp, from, turn).await {
                        connection(context, tls, from, &crowd).await;
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the agents' port cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Everyone whose handshake is done and who only makes requests.
struct Crowd {
    requests: Semaphore,
    strangers: Arc<Strangers>,
}

async fn handshake(
    acceptor: TlsAcceptor,
    tcp: TcpStream,
    from: SocketAddr,
    _turn: OwnedSemaphorePermit,
) -> Option<TlsStream<TcpStream>> {
    // A socket that refuses one of these works all the same.
    let _ = tcp.set_nodelay(true);
    let _ = keep_alive(&tcp);
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(tcp)).await {
        Ok(Ok(tls)) => return Some(tls),
        Ok(Err(error)) => tracing::debug!(%from, %error, "a TLS handshake failed"),
        Err(_) => tracing::debug!(%from, "a TLS handshake took too long"),
    }
    None
}

/// So that a machine that lost its power does not keep its places.
fn keep_alive(tcp: &TcpStream) -> rustix::io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_tcp_keepidle(tcp, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(tcp, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(tcp, KEEPALIVE_PROBES)?;
    sockopt::set_socket_keepalive(tcp, true)
}

async fn connection(context: Arc<Context>, tls: TlsStream<TcpStream>, from: SocketAddr, crowd: &Crowd) {
    let certificate = tls.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    // The handshake has checked it already; reading it again cannot fail differently.
    let identity = certificate.map(|certificate| AgentIdentity::from_der(certificate, context.ca.site()));
    match identity {
        Some(Ok(identity)) => {
            let machine = MachineId::from_uuid(identity.machine);
            let Some(place) = context.registry.admit(machine, identity.not_after) else {
                return tracing::debug!(%from, %machine, "a machine has too many connections");
            };
            let Ok(_turn) = crowd.requests.acquire().await else { return };
            let over = place.over.clone();
            tokio::select! {
                () = requests(context, tls, Peer { agent: Some((identity, Arc::new(place))), from }) => {}
                () = over.cancelled() => {}
            }
        }
        Some(Err(error)) => tracing::debug!(%from, %error, "a client certificate is not an agent's"),
        None => {
            let Some(_place) = crowd.strangers.admit(from.ip()) else {
                return tracing::debug!(%from, "there are too many connections without a certificate");
            };
            requests(context, tls, Peer { agent: None, from }).await;
        }
    }
}

/// Answers requests until one of them became a session, a stream or a channel, or the connection ended.
async fn requests(context: Arc<Context>, tls: TlsStream<TcpStream>, peer: Peer) {
    let (from, peer) = (peer.from, Arc::new(peer));
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
}
