use super::*;
use crate::tls::{self, Trust};
use crate::{AgentIdentity, CertificateError, DeviceKey};
use std::os::unix::fs::PermissionsExt;

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn site() -> (tempfile::TempDir, SiteCa) {
    let dir = tempfile::tempdir().unwrap();
    let ca = SiteCa::open(&dir.path().join("ca"), now()).unwrap();
    (dir, ca)
}

#[test]
fn a_site_is_made_once_and_kept_private() {
    let (dir, ca) = site();
    let again = SiteCa::open(&dir.path().join("ca"), now()).unwrap();
    assert_eq!((again.site(), again.fingerprint()), (ca.site(), ca.fingerprint()));
    assert_eq!(again.server_key_pin(), ca.server_key_pin());
    let mode = |path: &str| std::fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("ca"), mode("ca/ca.pem"), mode("ca/server.pem")), (0o700, 0o600, 0o600));
    assert_eq!(std::fs::read_dir(dir.path().join("ca")).unwrap().count(), 2, "nothing is left behind");
}

#[test]
fn two_that_start_at_once_get_the_same_site() {
    let dir = tempfile::tempdir().unwrap();
    let sites: Vec<Uuid> = std::thread::scope(|scope| {
        let open = || SiteCa::open(dir.path(), now()).unwrap().site();
        let started: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        started.into_iter().map(|s| s.join().unwrap()).collect()
    });
    assert!(sites.windows(2).all(|pair| pair[0] == pair[1]), "{sites:?}");
}

#[test]
fn exposed_and_damaged_files_are_named() {
    let (dir, _) = site();
    let path = dir.path().join("ca/ca.pem");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = SiteCa::open(&dir.path().join("ca"), now()).err().unwrap();
    assert!(error.to_string().contains("chmod 600"), "{error}");

    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&path, "-----BEGIN").unwrap();
    assert!(matches!(SiteCa::open(&dir.path().join("ca"), now()), Err(CaError::Damaged { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "-----BEGIN", "a damaged authority is never replaced");
}

#[test]
fn a_key_of_another_site_does_not_go_with_the_certificate() {
    let ((dir, _), (other, _)) = (site(), site());
    let read = |d: &tempfile::TempDir| std::fs::read_to_string(d.path().join("ca/ca.pem")).unwrap();
    let mark = "-----BEGIN CERTIFICATE";
    let (key, certificate) = (read(&dir), read(&other));
    let mixed = format!("{}{}", &key[..key.find(mark).unwrap()], &certificate[certificate.find(mark).unwrap()..]);
    std::fs::write(dir.path().join("ca/ca.pem"), mixed).unwrap();
    assert!(matches!(SiteCa::open(&dir.path().join("ca"), now()), Err(CaError::Damaged { .. })));
}

#[test]
fn an_agent_certificate_says_who_it_is_and_for_how_long() {
    let (_dir, ca) = site();
    let (machine, key) = (Uuid::now_v7(), DeviceKey::generate().unwrap());
    let issued = ca.issue_agent(machine, &key.request().unwrap(), now()).unwrap();
    let identity = AgentIdentity::from_der(&issued.der, ca.site()).unwrap();
    assert_eq!((identity.machine, identity.site), (machine, ca.site()));
    assert_eq!(identity.serial, issued.serial);
    assert_eq!(identity.not_after, now() + AGENT_LIFE);
    assert!(
        !identity.expired(now() + AGENT_LIFE) && identity.expired(now() + AGENT_LIFE + SignedDuration::from_secs(1))
    );

    let kept = DeviceKey::from_pem(&key.to_pem()).unwrap();
    let renewed = ca.issue_agent(machine, &kept.request().unwrap(), now()).unwrap();
    let renewed = AgentIdentity::from_der(&renewed.der, ca.site()).unwrap();
    assert_eq!(renewed.key, identity.key, "the device key stays");
    assert_ne!(renewed.serial, identity.serial);
    assert_eq!(AgentIdentity::from_der(&issued.der, Uuid::now_v7()), Err(CertificateError::OtherSite));
}

#[test]
fn nothing_but_the_key_is_taken_from_a_request() {
    let (_dir, ca) = site();
    let (machine, key) = (Uuid::now_v7(), new_key().unwrap());
    let mut params = CertificateParams::default();
    params.subject_alt_names.push(uri(agent_uri(ca.site(), Uuid::now_v7())).unwrap());
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let request = params.serialize_request(&key).unwrap();
    let issued = ca.issue_agent(machine, request.der(), now()).unwrap();
    assert_eq!(AgentIdentity::from_der(&issued.der, ca.site()).unwrap().machine, machine);
}

#[test]
fn requests_that_prove_nothing_are_refused() {
    let (_dir, ca) = site();
    let good = DeviceKey::generate().unwrap().request().unwrap();
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let other_key = CertificateParams::default().serialize_request(&ed25519).unwrap().der().to_vec();
    for bad in [vec![], vec![0; 100], forged, other_key, vec![0x30; 100_000]] {
        assert!(matches!(ca.issue_agent(Uuid::now_v7(), &bad, now()), Err(CaError::BadRequest)));
    }
}

#[test]
fn a_server_certificate_is_no_agent_and_names_what_it_was_asked_for() {
    let (_dir, ca) = site();
    let names = ["Console.Example", "10.1.2.3", "::1", "10.1.2.3"].map(str::to_owned);
    let credentials = ca.server_credentials(&names, now()).unwrap();
    assert_eq!(AgentIdentity::from_der(&credentials.chain[0], ca.site()), Err(CertificateError::WrongPurpose));
    let (_, certificate) = X509Certificate::from_der(&credentials.chain[0]).unwrap();
    let shown = format!("{:?}", certificate.subject_alternative_name().unwrap().unwrap().value);
    assert!(shown.contains("console.example") && shown.contains(ADMINISTRATOR_NAME), "{shown}");
    assert_eq!(certificate.subject_alternative_name().unwrap().unwrap().value.general_names.len(), 4);
    for bad in ["", "a b", "*.example", "ü.example", &"x".repeat(300)] {
        assert!(ca.server_credentials(&[bad.to_owned()], now()).is_err(), "{bad}");
    }
}

/// What both ends of a handshake over memory make of each other.
struct Met {
    client: Result<(), rustls::Error>,
    server: Result<Option<Vec<u8>>, rustls::Error>,
}

fn meet(client: rustls::ClientConfig, server: rustls::ServerConfig) -> Met {
    let mut client = rustls::ClientConnection::new(client.into(), tls::administrator_name()).unwrap();
    let mut server = rustls::ServerConnection::new(server.into()).unwrap();
    let (mut client_result, mut server_result) = (Ok(()), Ok(()));
    for _ in 0..10 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        server.read_tls(&mut wire.as_slice()).unwrap();
        if let Err(e) = server.process_new_packets() {
            server_result = Err(e);
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        client.read_tls(&mut wire.as_slice()).unwrap();
        if let Err(e) = client.process_new_packets()
            && client_result.is_ok()
        {
            client_result = Err(e);
        }
        if server_result.is_err() {
            break;
        }
    }
    let peer = server.peer_certificates().and_then(|c| c.first()).map(|c| c.to_vec());
    Met { client: client_result, server: server_result.map(|()| peer) }
}

fn port(ca: &SiteCa) -> rustls::ServerConfig {
    tls::agents_port_config(ca, ca.server_credentials(&[], now()).unwrap()).unwrap()
}

#[test]
fn agents_meet_their_administrator_and_nobody_else() {
    let ((_a, ca), (_b, impostor)) = (site(), site());
    let trust = Trust::Authority(ca.certificate().clone());
    let pinned = Trust::Fingerprint(ca.fingerprint());
    for trust in [&trust, &pinned] {
        let met = meet(tls::agent_config(trust.clone(), None).unwrap(), port(&ca));
        assert_eq!((met.client, met.server), (Ok(()), Ok(None)));
        let met = meet(tls::agent_config(trust.clone(), None).unwrap(), port(&impostor));
        assert!(met.client.is_err(), "an impostor is believed");
    }
    let key = DeviceKey::generate().unwrap();
    let machine = Uuid::now_v7();
    let with = |ca: &SiteCa, at: Timestamp| {
        let issued = ca.issue_agent(machine, &key.request().unwrap(), at).unwrap();
        tls::agent_config(trust.clone(), Some((issued.der, key.private_key()))).unwrap()
    };
    // These certificates ended long ago by the test machine's clock: they are let in, to renew.
    let met = meet(with(&ca, now()), port(&ca));
    let identity = AgentIdentity::from_der(&met.server.unwrap().unwrap(), ca.site()).unwrap();
    assert_eq!(identity.machine, machine);
    assert!(identity.expired(Timestamp::now()));
    assert!(meet(with(&impostor, now()), port(&ca)).server.is_err(), "a foreign certificate is let in");
}

#[test]
fn neither_purpose_serves_for_the_other() {
    let (_dir, ca) = site();
    let trust = Trust::Authority(ca.certificate().clone());
    let server = ca.server_credentials(&[], now()).unwrap();
    let wrong = tls::agent_config(trust.clone(), Some((server.chain[0].clone(), server.key))).unwrap();
    assert!(meet(wrong, port(&ca)).server.is_err(), "a server certificate passes for an agent");

    let key = DeviceKey::generate().unwrap();
    let agent = ca.issue_agent(Uuid::now_v7(), &key.request().unwrap(), now()).unwrap();
    let listener = rustls::ServerConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![agent.der, ca.certificate().clone()], key.private_key())
        .unwrap();
    for trust in [trust, Trust::Fingerprint(ca.fingerprint())] {
        let met = meet(tls::agent_config(trust, None).unwrap(), listener.clone());
        assert!(met.client.is_err(), "an agent passes for the administrator");
    }
}
