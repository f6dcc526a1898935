//! No, foreign, expired, wrong-purpose and revoked certificates; join tokens; clones.

use crate::kit::{Kit, SOON, rows};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use identity::{DeviceKey, SiteCa};
use jiff::{SignedDuration, Timestamp};
use link::DialError;
use protocol::{FromAgent, ToAgent};
use schema::Code;
use std::time::Instant;

#[tokio::test]
async fn without_a_certificate_there_is_no_link_and_no_plugin() {
    let kit = Kit::start().await;
    for path in ["/link", "/stream/abc", "/channel/sample?key=61"] {
        let Err(DialError::Refused(problem)) = kit.stranger().websocket(path).await else { panic!("{path}") };
        assert_eq!(problem.code, Code::Unauthenticated, "{path}");
    }
    let reply = kit.stranger().fetch(hyper::Method::GET, "/plugins/00", Default::default(), 1000).await.unwrap();
    assert_eq!(reply.status, 401);
}

#[tokio::test]
async fn a_certificate_of_another_authority_does_not_pass_the_handshake() {
    let kit = Kit::start().await;
    let other = tempfile::tempdir().unwrap();
    let other = SiteCa::open(other.path(), Timestamp::now()).unwrap();
    let machine = kit.machine().await;
    let foreign = other.issue_agent(machine.id.into(), &machine.key.request().unwrap(), Timestamp::now()).unwrap();
    let error = kit.dialer_with(foreign.der.to_vec(), &machine.key).websocket("/link").await.unwrap_err();
    assert!(matches!(error, DialError::Rejected { .. }), "{error:?}");
}

#[tokio::test]
async fn the_servers_own_certificate_is_no_agents() {
    let kit = Kit::start().await;
    let server = kit.ca.server_credentials(&[], Timestamp::now()).unwrap();
    let trust = identity::tls::Trust::Authority(kit.ca.certificate().clone());
    let tls = identity::tls::agent_config(trust, Some((server.chain[0].clone(), server.key))).unwrap();
    let dialer = link::Dialer { address: kit.address(), tls: tls.into() };
    let error = dialer.websocket("/link").await.unwrap_err();
    assert!(matches!(error, DialError::Rejected { .. }), "{error:?}");
}

#[tokio::test]
async fn an_agent_does_not_believe_another_authority() {
    let kit = Kit::start().await;
    let other = tempfile::tempdir().unwrap();
    let other = SiteCa::open(other.path(), Timestamp::now()).unwrap();
    for trust in [
        identity::tls::Trust::Authority(other.certificate().clone()),
        identity::tls::Trust::Fingerprint(other.fingerprint()),
    ] {
        let tls = identity::tls::agent_config(trust, None).unwrap();
        let error = link::Dialer { address: kit.address(), tls: tls.into() }.connect().await.unwrap_err();
        assert!(matches!(error, DialError::Impostor { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn an_expired_certificate_may_renew_and_nothing_else() {
    let mut kit = Kit::start().await;
    let mut machine = kit.machine().await;
    let long_ago = Timestamp::now().saturating_sub(SignedDuration::from_hours(24 * 60)).unwrap();
    let expired = kit.ca.issue_agent(machine.id.into(), &machine.key.request().unwrap(), long_ago).unwrap();
    machine.certificate = expired.der.to_vec();

    let reply = kit.dialer(&machine).fetch(hyper::Method::GET, "/plugins/00", Default::default(), 1000).await.unwrap();
    assert_eq!(reply.status, 401);
    for path in ["/stream/abc", "/channel/sample?key=61"] {
        assert!(kit.dialer(&machine).websocket(path).await.is_err(), "{path}");
    }
    let mut session = kit.connect(&mut machine).await;
    assert!(session.welcome.renew_only);
    session.say(&rows(1)).await;
    assert!(matches!(session.next().await, Some(ToAgent::Goodbye(_))));
    assert!(session.next().await.is_none());
    assert!(kit.events.try_recv().is_err(), "nothing reached the sink");
    assert!(!kit.agents.connected(machine.id));

    let mut session = kit.connect(&mut machine).await;
    session.say(&FromAgent::Renew { csr: STANDARD.encode(machine.key.request().unwrap()) }).await;
    let Some(ToAgent::Renewed { certificate }) = session.next().await else { panic!("not renewed") };
    machine.certificate = STANDARD.decode(certificate).unwrap();
    let session = kit.connect(&mut machine).await;
    assert!(!session.welcome.renew_only);
}

#[tokio::test]
async fn a_revoked_machine_is_cut_off_at_once_and_stays_out() {
    let kit = Kit::start().await;
    let mut machine = kit.machine().await;
    let mut session = kit.connect(&mut machine).await;
    kit.status(machine.id, fleet::Status::Online).await;
    let begun = Instant::now();
    kit.stored_as_revoked(machine.id);
    kit.agents.revoke(machine.id, "An operator revoked it.");
    assert!(matches!(session.next().await, Some(ToAgent::Revoked { .. })));
    assert!(session.next().await.is_none());
    assert!(begun.elapsed() < SOON / 2);
    kit.status(machine.id, fleet::Status::Offline).await;
    let Err(DialError::Refused(problem)) = kit.dialer(&machine).websocket("/link").await else { panic!() };
    assert_eq!(problem.code, Code::PermissionDenied);
    let reply = kit.dialer(&machine).fetch(hyper::Method::GET, "/plugins/00", Default::default(), 1000).await.unwrap();
    assert_eq!(reply.status, 403);
}

#[tokio::test]
async fn a_join_token_is_good_once_and_for_a_while() {
    let kit = Kit::start().await;
    let (token, key) = (kit.token(SignedDuration::from_hours(1)), DeviceKey::generate().unwrap());
    let first = kit.enrol_with(&token, &key).await.unwrap();
    let again = kit.enrol_with(&token, &key).await.unwrap();
    assert_eq!(first.machine, again.machine, "the same machine may ask again for a lost answer");
    let other = kit.enrol_with(&token, &DeviceKey::generate().unwrap()).await.unwrap_err();
    assert!(other.message.contains("used"), "{other}");
    let old = kit.token(SignedDuration::from_secs(-1));
    assert!(kit.enrol_with(&old, &DeviceKey::generate().unwrap()).await.is_err());
}
