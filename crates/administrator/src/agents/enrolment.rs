//! How a machine comes in: the secret of a join token and a proof of its own key, for a certificate.

use super::routes::{Answer, Peer, json};
use super::{Context, conversions};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use identity::{CaError, JoinSecret};
use protocol::{EnrolReply, EnrolRequest, ToAgent};
use schema::{Code, Problem};
use std::time::Duration;

const BODY_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn enrol(context: &Context, peer: &Peer, request: Request<Incoming>) -> Result<Answer, Problem> {
    let body = Limited::new(request.into_body(), protocol::MAX_ENROLMENT_BYTES).collect();
    let body = tokio::time::timeout(BODY_TIMEOUT, body)
        .await
        .map_err(|_| Problem::new(Code::Deadline, "The request did not come in time."))?
        .map_err(|_| Problem::bad_request("The request is too large or broke off."))?;
    let request: EnrolRequest = serde_json::from_slice(&body.to_bytes())
        .map_err(|error| Problem::bad_request(format!("This is not an enrolment: {error}.")))?;
    let secret: JoinSecret = request
        .secret
        .parse()
        .map_err(|_| Problem::new(Code::PermissionDenied, "This join token is not known here."))
        .inspect_err(|problem| context.sink.refused_join(peer.from.ip(), problem.clone()))?;
    let csr = decoded(&request.csr)?;
    let key = identity::ca::key_of_request(&csr).map_err(problem)?;
    let facts = conversions::facts(request.evidence.facts);
    let from = peer.from.ip();
    let enrolled = context.directory.enrol(secret, key, facts, from.to_string()).await.inspect_err(|problem| {
        context.sink.refused_join(from, problem.clone());
    })?;
    let machine = enrolled.machine;
    if enrolled.is_new_here {
        context.clones.lock().forget(machine);
        let reason = "Another device took this machine's place.".to_owned();
        context.registry.end(machine, ToAgent::Revoked { reason });
    }
    let certificate = context.ca.issue_agent(*machine.as_uuid(), &csr, (context.clock)()).map_err(problem)?;
    tracing::info!(%machine, from = %peer.from, "a machine was enrolled");
    Ok(json(
        StatusCode::OK,
        &EnrolReply {
            machine: *machine.as_uuid(),
            site: context.ca.site().to_string(),
            certificate: STANDARD.encode(&certificate.der),
            authority: STANDARD.encode(context.ca.certificate()),
            addresses: context.config.addresses.clone(),
        },
    ))
}

/// A certificate request as it travels.
pub(super) fn decoded(csr: &str) -> Result<Vec<u8>, Problem> {
    STANDARD.decode(csr).map_err(|_| Problem::bad_request("The certificate request is not base64."))
}

pub(super) fn problem(error: CaError) -> Problem {
    match error {
        CaError::BadRequest => Problem::bad_request(format!("{error}.")),
        other => Problem::internal(format!("{other}.")),
    }
}
