//! The connection to the administrator, for as long as the agent lives: dial, be welcomed, talk, and come back.

mod talk;

use crate::core::Core;
use crate::enrol::explain;
use crate::{facts, plugins};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use link::{Backoff, DialError, Dialer, LinkError, Receiver, Sender};
use protocol::{FromAgent, Hello, Kind, Refused, ToAgent, Welcome};
use schema::Problem;
use std::sync::Arc;
use std::time::Duration;

/// Longest time for the exchange of `Hello` and `Welcome`.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection that lasted this long was a good one.
const LASTED: Duration = Duration::from_secs(60);
/// How often an identity is tried that the administrator has taken back; an operator may give it back.
const REVOKED_RETRY: Duration = Duration::from_secs(60);

/// Why a connection is over or never was.
#[derive(Debug, thiserror::Error)]
enum Over {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("{}", .0.problem)]
    Refused(Refused),
    #[error("the administrator took this machine's identity back: {0}")]
    Revoked(String),
    #[error("the administrator did not say welcome")]
    NoWelcome,
    #[error("the journal cannot be used: {0}")]
    Journal(#[from] crate::journal::JournalError),
    #[error("the state directory cannot be used: {0}")]
    State(#[from] crate::state::StateError),
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    #[error("the certificate was renewed")]
    Renewed,
}

impl From<protocol::FrameError> for Over {
    fn from(error: protocol::FrameError) -> Over {
        Over::Link(error.into())
    }
}

/// Stays connected until it is dropped.
pub(crate) async fn keep(core: Arc<Core>) {
    let (mut backoff, mut said) = (Backoff::default(), String::new());
    loop {
        let addresses = core.enrolment.read().addresses.clone();
        let mut asked = None;
        for address in addresses {
            let begun = std::time::Instant::now();
            let over = match once(&core, &address).await {
                Ok(()) => Over::Link(LinkError::Closed),
                Err(over) => over,
            };
            core.outbox.disconnected();
            if begun.elapsed() > LASTED {
                backoff.reset();
            }
            let text = explain(&over);
            if text != said {
                tracing::warn!("not connected to {address}: {text}");
                said = text;
            }
            asked = match over {
                Over::Renewed => Some(Duration::ZERO),
                Over::Refused(Refused { retry_after_seconds: Some(seconds), .. }) => {
                    Some(Duration::from_secs(seconds.into()))
                }
                Over::Dial(DialError::Refused(problem)) if problem.retryable => None,
                Over::Revoked(_) | Over::Dial(DialError::Refused(_)) => Some(REVOKED_RETRY),
                // This address does not lead anywhere now; the next one may.
                Over::Dial(_) => continue,
                _ => None,
            };
            break;
        }
        let wait = match asked {
            Some(Duration::ZERO) => Duration::ZERO,
            asked => backoff.next(rand::random(), asked),
        };
        tokio::time::sleep(wait).await;
    }
}

async fn once(core: &Arc<Core>, address: &str) -> Result<(), Over> {
    let dialer = dialer(core, address)?;
    let socket = dialer.websocket(protocol::LINK_PATH).await?;
    let epoch = core.with_journal(crate::journal::Journal::next_epoch).await?;
    let (mut sender, mut receiver) = link::session(socket, Some(epoch));
    let hello = hello(core, epoch).await?;
    sender.send(Kind::Hello, &hello).await?;
    let frame = tokio::time::timeout(WELCOME_TIMEOUT, receiver.next()).await.map_err(|_| Over::NoWelcome)??;
    let welcome: Welcome = match frame.header.kind {
        Kind::Welcome => frame.message()?,
        Kind::Refused => return Err(Over::Refused(frame.message()?)),
        _ => return Err(Over::NoWelcome),
    };
    receiver.established();
    if welcome.renew_only {
        return renew_expired(core, &mut sender, &mut receiver).await;
    }
    tracing::info!("connected to {address}");
    *core.dialer.lock() = Some(dialer);
    take_over(core, &welcome, address).await?;
    crate::jobs::go_on(core).await?;
    talk::run(core, welcome, sender, receiver).await
}

fn dialer(core: &Core, address: &str) -> Result<Dialer, Over> {
    let (enrolment, key) = (core.enrolment.read().clone(), core.state.device_key()?);
    Ok(enrolment.dialer(address, &key)?)
}

async fn hello(core: &Arc<Core>, epoch: u64) -> Result<Hello, Over> {
    Ok(Hello {
        version: protocol::VERSION,
        oldest_version: protocol::OLDEST_VERSION,
        features: protocol::FEATURES.iter().map(|name| (*name).to_owned()).collect(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        boot_id: facts::boot_id(),
        epoch,
        known_jobs: core.with_journal(crate::journal::Journal::known_jobs).await?,
        evidence: facts::evidence(),
        policy_hash: core.policy.hash(),
        plugins: core.plugin_reports(),
    })
}

/// Remembers what the welcome told for the next time.
async fn take_over(core: &Arc<Core>, welcome: &Welcome, address: &str) -> Result<(), Over> {
    let mut addresses = vec![address.to_owned()];
    let known: Vec<String> = core.enrolment.read().addresses.clone();
    for other in welcome.addresses.iter().chain(&known) {
        if !addresses.contains(other) && addresses.len() < 16 {
            addresses.push(other.clone());
        }
    }
    if addresses != known {
        let enrolment = {
            let mut enrolment = core.enrolment.write();
            enrolment.addresses = addresses;
            enrolment.clone()
        };
        core.state.set_enrolment(&enrolment)?;
    }
    let store = welcome.store.clone();
    core.with_journal(move |journal| {
        let known: Option<String> = journal.get("store")?;
        if known.as_ref() != Some(&store) {
            if known.is_some() {
                journal.send_again(None)?;
            }
            journal.set("store", &store)?;
        }
        Ok(())
    })
    .await?;
    plugins::want(core, welcome.plugins.clone()).await;
    Ok(())
}

/// All that an expired certificate may do.
async fn renew_expired(core: &Arc<Core>, sender: &mut Sender, receiver: &mut Receiver) -> Result<(), Over> {
    sender.send(Kind::Message, &request_renewal(core)?).await?;
    let frame = tokio::time::timeout(WELCOME_TIMEOUT, receiver.next()).await.map_err(|_| Over::NoWelcome)??;
    match frame.message()? {
        ToAgent::Renewed { certificate } => {
            renewed(core, certificate)?;
            Err(Over::Renewed)
        }
        ToAgent::Goodbye(refused) => Err(Over::Refused(refused)),
        ToAgent::Revoked { reason } => Err(Over::Revoked(reason)),
        _ => Err(Over::NoWelcome),
    }
}

fn request_renewal(core: &Core) -> Result<FromAgent, Over> {
    let request = core.state.device_key()?.request().map_err(crate::state::StateError::Key)?;
    Ok(FromAgent::Renew { csr: STANDARD.encode(request) })
}

/// Keeps a fresh certificate, if it is this machine's.
fn renewed(core: &Core, certificate: String) -> Result<(), Over> {
    let mut fresh = core.enrolment.read().clone();
    fresh.certificate = certificate;
    if fresh.identity().is_none() {
        let problem = Problem::internal("The renewed certificate is not this machine's.");
        return Err(Over::Refused(Refused { problem, retry_after_seconds: Some(60) }));
    }
    *core.enrolment.write() = fresh.clone();
    // Streams and channels of this very session are dialled with the fresh one from here on.
    let address = core.dialer.lock().as_ref().map(|dialer| dialer.address.clone());
    if let Some(address) = address {
        let fresh = dialer(core, &address)?;
        *core.dialer.lock() = Some(fresh);
    }
    // Where it cannot be stored, a restart has the old one, which the administrator renews even when it has expired.
    match core.state.set_enrolment(&fresh) {
        Ok(()) => tracing::info!("the certificate was renewed"),
        Err(error) => tracing::error!("the renewed certificate is only kept in memory: {error}"),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
