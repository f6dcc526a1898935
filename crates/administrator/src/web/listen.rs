//! Accepts connections of browsers and programs: plain HTTP on loopback only, TLS everywhere else. Slow and too many
//! connections are bounded here, before any handler sees them.

use super::limits::Places;
use crate::runtime::Runtime;
use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

/// Most connections at once.
const MAX_CONNECTIONS: usize = 4096;
/// Most connections of one peer, so that none can take the places of all.
const MAX_OF_PEER: usize = 512;
/// Longest time a client may take for a TLS handshake or the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Address of the client, from the connection itself; forwarded headers are never believed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Serves `router` on `listener` until the runtime stops.
pub(crate) fn serve(runtime: &Runtime, listener: TcpListener, tls: Option<TlsAcceptor>, router: Router) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let of_peers = Places::new(MAX_OF_PEER);
    let spawner = runtime.clone();
    runtime.spawn(async move {
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let Some(of_peer) = of_peers.take(peer.ip()) else {
                        tracing::debug!(%peer, "a peer has too many connections");
                        continue;
                    };
                    let connection = connection(stream, peer, tls.clone(), router.clone(), spawner.clone());
                    spawner.spawn_to_end(async move {
                        connection.await;
                        drop((place, of_peer));
                    });
                }
                Err(error) => {
                    // Out of file handles: wait for some connection to end instead of spinning.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    });
}

async fn connection(stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, router: Router, runtime: Runtime) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    match tls {
        None => http(stream, peer, router, runtime).await,
        Some(acceptor) => match tokio::time::timeout(HEAD_TIMEOUT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => http(stream, peer, router, runtime).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
        },
    }
}

async fn http<S>(stream: S, peer: SocketAddr, router: Router, runtime: Runtime)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request)
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(64 * 1024);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(100).keep_alive_interval(Duration::from_secs(30));
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let stopping = runtime.stopping();
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended");
    }
}
