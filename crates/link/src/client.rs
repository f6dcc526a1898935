//! The agent's way to the agents' port: dial, one HTTP request, and perhaps a WebSocket from then on.

use crate::{Socket, TlsSocket, client_socket};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::{AlertDescription, ClientConfig};
use schema::Problem;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Longest time for TCP and TLS together.
const DIAL_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest time until the head of an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest silence within a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// Why there is no connection, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error("nothing answers at {address}")]
    Unreachable {
        address: String,
        #[source]
        source: io::Error,
    },
    #[error("{address} did not answer within {} seconds", DIAL_TIMEOUT.as_secs())]
    Silent { address: String },
    #[error("{address} is not the administrator this machine belongs to: its certificate comes from another authority")]
    Impostor { address: String },
    #[error("the administrator at {address} does not accept this machine's certificate")]
    Rejected { address: String },
    #[error("{address} does not speak TLS 1.3 as an administrator does")]
    NotTls {
        address: String,
        #[source]
        source: io::Error,
    },
    #[error("{address} broke off the exchange")]
    Broken {
        address: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{0}")]
    Refused(Problem),
}

/// An answer and its body.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub body: Bytes,
}

/// One address of an administrator and how to believe it.
#[derive(Clone)]
pub struct Dialer {
    pub address: String,
    pub tls: Arc<ClientConfig>,
}

type Driven = hyper::client::conn::http1::Connection<TokioIo<TlsSocket>, Full<Bytes>>;

impl Dialer {
    /// TCP and TLS.
    pub async fn connect(&self) -> Result<TlsSocket, DialError> {
        let attempt = async {
            let tcp = TcpStream::connect(&self.address)
                .await
                .map_err(|source| DialError::Unreachable { address: self.address.clone(), source })?;
            // Latency only; a socket that refuses it works all the same.
            let _ = tcp.set_nodelay(true);
            TlsConnector::from(Arc::clone(&self.tls))
                .connect(identity::tls::administrator_name(), tcp)
                .await
                .map(TlsSocket::Client)
                .map_err(|error| self.tls_failure(error))
        };
        tokio::time::timeout(DIAL_TIMEOUT, attempt)
            .await
            .unwrap_or_else(|_| Err(DialError::Silent { address: self.address.clone() }))
    }

    /// Sends a request and reads an answer of at most `limit` bytes.
    pub async fn fetch(&self, method: Method, path: &str, body: Bytes, limit: usize) -> Result<Reply, DialError> {
        let mut collected = Vec::new();
        let status = self
            .stream(method, path, body, |chunk| {
                collected.extend_from_slice(&chunk);
                if collected.len() > limit {
                    return Err(io::Error::other("the answer is larger than expected"));
                }
                Ok(())
            })
            .await?;
        Ok(Reply { status, body: collected.into() })
    }

    /// Sends a request and hands the body of the answer on as it comes.
    pub async fn stream(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        mut chunk: impl FnMut(Bytes) -> io::Result<()>,
    ) -> Result<StatusCode, DialError> {
        let (mut sender, connection) = self.http().await?;
        let request = self.request(method, path).body(Full::new(body)).map_err(|error| self.broken(error))?;
        let exchange = async {
            let answer = tokio::time::timeout(ANSWER_TIMEOUT, sender.send_request(request))
                .await
                .map_err(|_| DialError::Silent { address: self.address.clone() })?
                .map_err(|error| self.broken(error))?;
            let status = answer.status();
            let mut body: Incoming = answer.into_body();
            while let Some(frame) = tokio::time::timeout(BODY_TIMEOUT, body.frame())
                .await
                .map_err(|_| DialError::Silent { address: self.address.clone() })?
            {
                let frame = frame.map_err(|error| self.broken(error))?;
                if let Ok(data) = frame.into_data() {
                    chunk(data).map_err(|error| self.broken(error))?;
                }
            }
            Ok(status)
        };
        tokio::pin!(exchange, connection);
        tokio::select! {
            biased;
            result = &mut exchange => result,
            over = &mut connection => match over {
                Ok(()) => exchange.await,
                Err(error) => Err(self.broken(error)),
            },
        }
    }

    /// Opens a WebSocket at `path`.
    pub async fn websocket(&self, path: &str) -> Result<Socket, DialError> {
        let (mut sender, connection) = self.http().await?;
        let key = tokio_tungstenite::tungstenite::handshake::client::generate_key();
        let request = self
            .request(Method::GET, path)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, &key)
            .body(Full::new(Bytes::new()))
            .map_err(|error| self.broken(error))?;
        let exchange = async {
            let answer = tokio::time::timeout(ANSWER_TIMEOUT, sender.send_request(request))
                .await
                .map_err(|_| DialError::Silent { address: self.address.clone() })?
                .map_err(|error| self.broken(error))?;
            if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                return Err(self.refusal(answer).await);
            }
            let accepted = answer.headers().get(header::SEC_WEBSOCKET_ACCEPT).map(|value| value.as_bytes().to_vec());
            if accepted != Some(crate::accept_key(key.as_bytes()).into_bytes()) {
                return Err(self.broken(io::Error::other("the answer is not to this request")));
            }
            hyper::upgrade::on(answer).await.map_err(|error| self.broken(error))
        };
        let connection = connection.with_upgrades();
        tokio::pin!(exchange, connection);
        let upgraded = tokio::select! {
            biased;
            result = &mut exchange => result,
            over = &mut connection => match over {
                Ok(()) => exchange.await,
                Err(error) => Err(self.broken(error)),
            },
        };
        let parts = upgraded?
            .downcast::<TokioIo<TlsSocket>>()
            .map_err(|_| self.broken(io::Error::other("the connection changed its type")))?;
        Ok(client_socket(parts.io.into_inner(), parts.read_buf.to_vec()).await)
    }

    async fn http(&self) -> Result<(hyper::client::conn::http1::SendRequest<Full<Bytes>>, Driven), DialError> {
        let stream = self.connect().await?;
        hyper::client::conn::http1::Builder::new()
            .max_buf_size(16 * 1024)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.broken(error))
    }

    fn request(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        Request::builder().method(method).uri(path).header(header::HOST, &self.address)
    }

    /// The problem that the administrator answered with.
    async fn refusal(&self, answer: hyper::Response<Incoming>) -> DialError {
        let status = answer.status();
        let body = http_body_util::Limited::new(answer.into_body(), 64 * 1024).collect().await;
        let problem = body.ok().and_then(|body| serde_json::from_slice::<Problem>(&body.to_bytes()).ok());
        DialError::Refused(problem.unwrap_or_else(|| {
            Problem::new(schema::Code::Unavailable, format!("The administrator answered {status}."))
        }))
    }

    fn broken(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> DialError {
        let source = source.into();
        if source_chain_has_certificate_alert(source.as_ref()) {
            return DialError::Rejected { address: self.address.clone() };
        }
        DialError::Broken { address: self.address.clone(), source }
    }

    fn tls_failure(&self, source: io::Error) -> DialError {
        let address = self.address.clone();
        match source.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(_)) => DialError::Impostor { address },
            Some(error) if is_certificate_alert(error) => DialError::Rejected { address },
            Some(_) => DialError::NotTls { address, source },
            None if source.kind() == io::ErrorKind::UnexpectedEof => DialError::NotTls { address, source },
            None => DialError::Broken { address, source: Box::new(source) },
        }
    }
}

fn is_certificate_alert(error: &rustls::Error) -> bool {
    use AlertDescription::*;
    matches!(
        error,
        rustls::Error::AlertReceived(
            BadCertificate
                | UnsupportedCertificate
                | CertificateRevoked
                | CertificateExpired
                | CertificateUnknown
                | CertificateRequired
                | UnknownCA
                | AccessDenied
                | DecryptError
        )
    )
}

/// In TLS 1.3 a refused client certificate shows only with the first read.
fn source_chain_has_certificate_alert(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some_and(is_certificate_alert) {
            return true;
        }
        next = error.source();
    }
    false
}
