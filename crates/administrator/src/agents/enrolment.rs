//! How a machine comes in: the secret of a join token and a proof of its own key, for a certificate.

use super::routes::{Answer, Peer, json};
use super::{Context, conversions};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fleet::{MachineId, NewMachine};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use identity::{AgentIdentity, CaError, Fingerprint, JoinSecret};
use jiff::Timestamp;
use protocol::{EnrolReply, EnrolRequest};
use schema::{Code, Problem};
use std::time::Duration;
use uuid::Uuid;

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
        .map_err(|_| Problem::new(Code::PermissionDenied, "This join token is not known here."))?;
    let csr =
        STANDARD.decode(&request.csr).map_err(|_| Problem::bad_request("The certificate request is not base64."))?;

    let now = Timestamp::now();
    let machine = machine_of(context, &csr, now)?;
    let facts = conversions::facts(request.evidence.facts);
    let from = peer.from.ip().to_string();
    context.directory.enrol(secret, NewMachine { id: machine, facts }, from).await?;
    context.forget(machine);
    let certificate = context.ca.issue_agent(*machine.as_uuid(), &csr, now).map_err(problem)?;
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

/// A machine's id follows from its device key: an enrolment whose answer was lost, or one that is made again with a new
/// token, is the same machine.
fn machine_of(context: &Context, csr: &[u8], now: Timestamp) -> Result<MachineId, Problem> {
    let probe = context.ca.issue_agent(Uuid::nil(), csr, now).map_err(problem)?;
    let identity = AgentIdentity::from_der(&probe.der, context.ca.site())
        .map_err(|_| Problem::internal("The certificate just issued cannot be read."))?;
    Ok(id_of_key(identity.key))
}

fn id_of_key(key: Fingerprint) -> MachineId {
    let mut bytes = [0u8; 16];
    bytes.copy_from_slice(&key.0[..16]);
    MachineId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

pub(super) fn problem(error: CaError) -> Problem {
    match error {
        CaError::BadRequest => Problem::bad_request(format!("{error}.")),
        other => Problem::internal(format!("{other}.")),
    }
}
