//! How this machine joins: the one-time secret of a join token and a proof of its own key, for a certificate.

use crate::facts;
use crate::state::{Enrolment, State, StateError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use identity::tls::{Trust, agent_config};
use identity::{DeviceKey, Fingerprint, JoinToken};
use link::{DialError, Dialer};
use protocol::{EnrolReply, EnrolRequest};
use schema::Problem;
use std::sync::Arc;

const MAX_REPLY_BYTES: usize = 256 * 1024;

/// Why a machine did not join, each with its way out.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    #[error("{0}. Copy the whole word again, or make a new one with: bailiwick fleet join-token")]
    Token(#[from] identity::join::ParseError),
    #[error("the administrator refuses the join token: {0} Make a new one with: bailiwick fleet join-token")]
    Refused(Problem),
    #[error("no administrator of this join token can be reached:\n{}", .0.join("\n"))]
    Unreachable(Vec<String>),
    #[error(
        "{address} is not the administrator that made the join token (its authority has another fingerprint). Somebody is in between, or the administrator was set up anew: make a new token with: bailiwick fleet join-token"
    )]
    Impostor { address: String },
    #[error("the administrator's answer cannot be understood; it may be of another version")]
    Answer,
    #[error(transparent)]
    State(#[from] StateError),
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// Joins with the token, at the first of its addresses that answers.
pub async fn enrol(state: &State, token: &str) -> Result<Enrolment, EnrolError> {
    let hash = hash_of(token);
    let token: JoinToken = token.trim().parse()?;
    let key = state.device_key()?;
    let request = EnrolRequest {
        secret: token.secret.to_string(),
        csr: STANDARD.encode(key.request().map_err(StateError::Key)?),
        evidence: facts::evidence(),
    };
    let body = serde_json::to_vec(&request).expect("a request is plain data");
    let tls = Arc::new(agent_config(Trust::Fingerprint(token.authority), None).map_err(EnrolError::Tls)?);
    let mut failures = Vec::new();
    for address in &token.addresses {
        let dialer = Dialer { address: address.to_string(), tls: Arc::clone(&tls) };
        match dialer.fetch(Method::POST, "/enrol", body.clone().into(), MAX_REPLY_BYTES).await {
            Ok(reply) if reply.status.is_success() => {
                let mut enrolment = understand(&reply.body, token.authority, &dialer.address)?;
                enrolment.token = Some(hash.clone());
                state.set_enrolment(&enrolment)?;
                return Ok(enrolment);
            }
            Ok(reply) => {
                let problem = serde_json::from_slice(&reply.body).map_err(|_| EnrolError::Answer)?;
                return Err(EnrolError::Refused(problem));
            }
            Err(DialError::Impostor { address }) => return Err(EnrolError::Impostor { address }),
            Err(error) => failures.push(format!("  {}", explain(&error))),
        }
    }
    failures.push("Is the administrator running, and its agents' port open in the firewall between?".to_owned());
    Err(EnrolError::Unreachable(failures))
}

/// Whether a machine that is enrolled is to enrol anew with `token`: it leads to another site, or the machine's own site
/// refuses it by now. Where that cannot be asked, the enrolment stands.
pub(crate) async fn is_for_another_life(known: &Enrolment, token: &str, key: &DeviceKey) -> Result<bool, EnrolError> {
    if known.token.as_ref() == Some(&hash_of(token)) {
        return Ok(false);
    }
    let token: JoinToken = token.trim().parse()?;
    let authority = known.authority().ok_or(EnrolError::Answer)?;
    if token.authority != Fingerprint::of(&authority) {
        return Ok(true);
    }
    for address in &known.addresses {
        match known.dialer(address, key).map_err(EnrolError::Tls)?.websocket(protocol::LINK_PATH).await {
            Ok(_) => return Ok(false),
            Err(DialError::Refused(problem)) => return Ok(!problem.retryable),
            Err(DialError::Rejected { .. }) => return Ok(true),
            Err(_) => {}
        }
    }
    Ok(false)
}

fn hash_of(token: &str) -> String {
    blake3::hash(token.trim().as_bytes()).to_hex().to_string()
}

impl Enrolment {
    /// The way to the administrator at `address`, as this machine.
    pub(crate) fn dialer(&self, address: &str, key: &DeviceKey) -> Result<Dialer, rustls::Error> {
        let authority = self.authority().expect("checked when it was read");
        let certificate = self.certificate().expect("checked when it was read");
        let mut tls = agent_config(Trust::Authority(authority), Some((certificate, key.private_key())))?;
        tls.resumption = rustls::client::Resumption::disabled();
        Ok(Dialer { address: address.to_owned(), tls: Arc::new(tls) })
    }
}

fn understand(body: &[u8], pinned: Fingerprint, address: &str) -> Result<Enrolment, EnrolError> {
    let reply: EnrolReply = serde_json::from_slice(body).map_err(|_| EnrolError::Answer)?;
    let authority = STANDARD.decode(&reply.authority).map_err(|_| EnrolError::Answer)?;
    if Fingerprint::of(&authority) != pinned {
        return Err(EnrolError::Impostor { address: address.to_owned() });
    }
    let mut addresses = vec![address.to_owned()];
    addresses.extend(reply.addresses.into_iter().filter(|other| other != address));
    let enrolment = Enrolment {
        machine: reply.machine,
        site: reply.site.parse().map_err(|_| EnrolError::Answer)?,
        authority: reply.authority,
        certificate: reply.certificate,
        addresses,
        token: None,
    };
    enrolment.identity().ok_or(EnrolError::Answer)?;
    Ok(enrolment)
}

/// An error with the reason beneath it, in one line.
pub(crate) fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let reason = source.to_string();
        if !text.contains(&reason) {
            text = format!("{text}: {reason}");
        }
        next = source.source();
    }
    text
}
