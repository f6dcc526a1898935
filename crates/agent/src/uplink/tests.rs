use super::*;
use crate::testing::core;
use identity::SiteCa;
use jiff::Timestamp;
use std::path::Path;

/// Makes the agent a machine of a site; a certificate that began `ago`.
fn enrol(core: &Core, dir: &Path) -> impl Fn(i64) -> String {
    let ca = SiteCa::open(&dir.join("ca"), Timestamp::now()).unwrap();
    let request = core.state.device_key().unwrap().request().unwrap();
    let machine = core.enrolment.read().machine;
    let (authority, site) = (STANDARD.encode(ca.certificate()), ca.site());
    let issue = move |hours: i64| {
        let begun = Timestamp::now() - jiff::SignedDuration::from_hours(hours);
        STANDARD.encode(ca.issue_agent(machine, &request, begun).unwrap().der)
    };
    let mut enrolment = core.enrolment.write();
    (enrolment.authority, enrolment.site, enrolment.certificate) = (authority, site, issue(17));
    issue
}

#[tokio::test]
async fn a_renewed_certificate_is_used_for_streams_of_the_same_session_also_when_it_cannot_be_kept() {
    let dir = tempfile::tempdir().unwrap();
    let core = core(dir.path()).await;
    let issue = enrol(&core, dir.path());
    *core.dialer.lock() = Some(dialer(&core, "127.0.0.1:1").unwrap());
    let before = core.dialer().unwrap();
    renewed(&core, issue(0)).unwrap();
    let after = core.dialer().unwrap();
    assert!(!Arc::ptr_eq(&before.tls, &after.tls));
    assert_eq!(after.address, before.address);
    assert!(core.state.enrolment().unwrap().is_some());

    // In the place of the file it is written to first.
    std::fs::create_dir(dir.path().join("enrolment.new")).unwrap();
    renewed(&core, issue(-1)).unwrap();
    assert!(!Arc::ptr_eq(&after.tls, &core.dialer().unwrap().tls));
    let kept = core.state.enrolment().unwrap().unwrap();
    assert_ne!(kept.certificate, core.enrolment.read().certificate);
}

#[tokio::test]
async fn a_certificate_of_another_machine_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let core = core(dir.path()).await;
    let issue = enrol(&core, dir.path());
    core.enrolment.write().machine = uuid::Uuid::from_u128(9);
    let before = core.enrolment.read().certificate.clone();
    assert!(matches!(renewed(&core, issue(0)), Err(Over::Refused(_))));
    assert_eq!(core.enrolment.read().certificate, before);
}
