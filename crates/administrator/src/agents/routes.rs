//! The requests of the agents' port. What is not in [`handle`] does not exist.

use super::registry::Place;
use super::{Context, Standing, channel, control, download, enrolment, install};
use bytes::Bytes;
use fleet::MachineId;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use identity::AgentIdentity;
use link::{Socket, TlsSocket};
use schema::{Code, Problem};
use std::net::SocketAddr;
use std::sync::Arc;

pub(super) type Answer = Response<BoxBody<Bytes, std::io::Error>>;

/// Who makes a request, by the TLS handshake.
pub(super) struct Peer {
    pub(super) agent: Option<(AgentIdentity, Arc<Place>)>,
    pub(super) from: SocketAddr,
}

/// An agent whose certificate is of this site and not revoked.
pub(super) struct Caller {
    pub(super) machine: MachineId,
    pub(super) identity: AgentIdentity,
    pub(super) expired: bool,
    pub(super) place: Arc<Place>,
}

pub(super) async fn handle(context: &Arc<Context>, peer: &Peer, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let answer = match (request.method(), parts.as_slice()) {
        (&Method::GET, ["install"]) => install::script(context, request.headers()).await,
        (&Method::GET, ["agent"]) => download::agent(context).await,
        (&Method::GET, ["plugins", hash]) => match valid_caller(context, peer).await {
            Ok(_) => download::plugin(context, hash).await,
            Err(problem) => Err(problem),
        },
        (&Method::POST, ["enrol"]) => enrolment::enrol(context, peer, request).await,
        (&Method::GET, ["link"]) => match caller(context, peer).await {
            Ok(caller) => upgrade(context, request, move |context, socket| control::run(context, caller, socket)),
            Err(problem) => Err(problem),
        },
        (&Method::GET, ["stream", ticket]) => match valid_caller(context, peer).await {
            Ok(caller) => channel::stream(context, caller, ticket, request),
            Err(problem) => Err(problem),
        },
        (&Method::GET, ["channel", plugin]) => match valid_caller(context, peer).await {
            Ok(caller) => channel::channel(context, caller, plugin, request),
            Err(problem) => Err(problem),
        },
        _ => Err(Problem::not_found("There is nothing at this address of the agents' port.")),
    };
    answer.unwrap_or_else(|problem| refused(&problem))
}

/// The agent behind the certificate. It may be an expired one.
async fn caller(context: &Context, peer: &Peer) -> Result<Caller, Problem> {
    let (identity, place) = peer.agent.as_ref().ok_or_else(|| {
        Problem::new(Code::Unauthenticated, "A certificate of this site is needed.").fix("Enrol with a join token.")
    })?;
    let machine = MachineId::from_uuid(identity.machine);
    match context.directory.standing(identity).await? {
        Standing::Good => {
            let expired = identity.expired((context.clock)());
            Ok(Caller { machine, identity: identity.clone(), expired, place: Arc::clone(place) })
        }
        Standing::Refused(problem) => Err(problem),
    }
}

/// The agent behind a certificate that is not expired.
async fn valid_caller(context: &Context, peer: &Peer) -> Result<Caller, Problem> {
    let caller = caller(context, peer).await?;
    if caller.expired {
        return Err(Problem::new(Code::Unauthenticated, "This machine's certificate has expired.")
            .fix("The agent renews it over the link, then this works again."));
    }
    Ok(caller)
}

/// Answers with an upgrade and runs `session` on the socket in a fresh task.
pub(super) fn upgrade<F, S>(
    context: &Arc<Context>,
    mut request: Request<Incoming>,
    session: S,
) -> Result<Answer, Problem>
where
    S: FnOnce(Arc<Context>, Socket) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let key = websocket_key(request.headers())?;
    let upgrade = hyper::upgrade::on(&mut request);
    let own = Arc::clone(context);
    context.runtime.spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let Ok(parts) = upgraded.downcast::<TokioIo<TlsSocket>>() else { return };
        let socket = link::server_socket(parts.io.into_inner(), parts.read_buf.to_vec()).await;
        let session = session(Arc::clone(&own), socket);
        own.runtime.spawn(session);
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, link::accept_key(&key))
        .body(body(Bytes::new()))
        .map_err(|_| Problem::internal("The answer cannot be made."))
}

fn websocket_key(headers: &HeaderMap) -> Result<Vec<u8>, Problem> {
    let is = |name, value: &str| {
        headers
            .get(name)
            .and_then(|header| header.to_str().ok())
            .is_some_and(|header| header.eq_ignore_ascii_case(value))
    };
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(|key| key.as_bytes().to_vec());
    match key {
        Some(key) if is(header::UPGRADE, "websocket") && is(header::SEC_WEBSOCKET_VERSION, "13") => Ok(key),
        _ => Err(Problem::bad_request("This address speaks WebSocket only.")),
    }
}

pub(super) fn body(bytes: Bytes) -> BoxBody<Bytes, std::io::Error> {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

pub(super) fn json(status: StatusCode, value: &impl serde::Serialize) -> Answer {
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    let mut answer = Response::new(body(bytes.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    answer
}

fn refused(problem: &Problem) -> Answer {
    let status = StatusCode::from_u16(problem.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = json(status, problem);
    let kind = header::HeaderValue::from_static("application/problem+json");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}
