//! Who is let in on the agents' port, seen from the network.

use crate::machines::{arrive, site_with_network};
use anyhow::{Context, Result, ensure};
use end_to_end::process::{Running, program};
use end_to_end::tls::{self, Credentials};
use end_to_end::{Case, Site, Start};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, SanType};
use rustls::version::{TLS12, TLS13};
use serde_json::json;
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) fn cases() -> Vec<Case> {
    let namespaces = "machines of their own live in network namespaces";
    vec![
        Case::new("trust::only_tls_1_3_is_spoken", only_tls_1_3_is_spoken),
        Case::new("trust::a_foreign_certificate_opens_nothing", a_foreign_certificate_opens_nothing),
        Case::new("trust::a_join_token_works_once", a_join_token_works_once),
        Case::new("trust::a_token_of_another_site_is_refused_by_the_agent", a_token_of_another_site),
        Case::new("trust::the_ports_keep_to_themselves", the_ports_keep_to_themselves),
        Case::new("trust::revocation_cuts_a_live_agent", revocation_cuts_a_live_agent).root(namespaces),
        Case::new("trust::a_stolen_identity_does_not_work_elsewhere", a_clone_is_noticed).root(namespaces),
    ]
}

const LINK: &str = "GET /link HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const INSTALL: &str = "GET /install HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// Whether an answer lets nobody in.
fn refused(answer: &Result<String>) -> bool {
    match answer {
        Err(_) => true,
        Ok(text) => text.is_empty() || text.starts_with("HTTP/1.1 4"),
    }
}

fn only_tls_1_3_is_spoken() -> Result<()> {
    let site = Site::new()?;
    let answer = tls::ask(site.agents, &[&TLS13], None, INSTALL)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let old = tls::ask(site.agents, &[&TLS12], None, INSTALL);
    ensure!(old.is_err(), "TLS 1.2 was answered: {old:?}");
    Ok(())
}

/// A certificate that says what an agent's says, signed by itself.
fn forged(site: &str) -> Result<Credentials> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    let name = format!("bailiwick://{site}/machine/00000000-0000-7000-8000-000000000000");
    params.subject_alt_names = vec![SanType::URI(name.try_into()?)];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.self_signed(&key)?;
    Ok(Credentials { certificate: certificate.der().to_vec(), key: key.serialize_der() })
}

fn a_foreign_certificate_opens_nothing() -> Result<()> {
    let site = Site::new()?;
    let manager = site.manager()?;
    let own = manager.get("/api/v1/session")?.ok()?["site"].as_str().unwrap_or("site").to_owned();
    let bare = tls::ask(site.agents, &[&TLS13], None, LINK);
    ensure!(refused(&bare), "without a certificate: {bare:?}");
    let foreign = forged(&own)?;
    for request in [LINK, &LINK.replace("/link", "/channel/x?key=y"), &LINK.replace("/link", "/plugins/00")] {
        let answer = tls::ask(site.agents, &[&TLS13], Some(&foreign), request);
        ensure!(refused(&answer), "{request}: {answer:?}");
    }
    Ok(())
}

/// Runs an agent on loopback that is expected to give up, and returns what it says.
fn agent_that_gives_up(state: &std::path::Path, token: &str) -> Result<String> {
    let mut command = Command::new(program("bailiwick-agent"));
    command.arg("run").arg("--state").arg(state).args(["--join", token]);
    let mut agent = Running::start("the refused agent", &mut command)?;
    let status = agent.wait(Duration::from_secs(30))?;
    let text = agent.lines().join("\n");
    ensure!(!status.success(), "it ended with success: {text}");
    ensure!(!text.contains("panicked"), "{text}");
    Ok(text)
}

fn a_join_token_works_once() -> Result<()> {
    let site = Site::new()?;
    let manager = site.manager()?;
    let token = site.join_token(&manager)?;
    let folder = tempfile::TempDir::new()?;
    let mut command = Command::new(program("bailiwick-agent"));
    command.arg("run").arg("--state").arg(folder.path().join("first")).args(["--join", &token]);
    let agent = Running::start("the first agent", &mut command)?;
    end_to_end::soon("the first one joined", || Ok((manager.rows("fleet/machines")?.len() == 1).then_some(())))
        .with_context(|| agent.tail())?;
    let text = agent_that_gives_up(&folder.path().join("second"), &token)?;
    ensure!(text.contains("token"), "{text}");
    ensure!(manager.rows("fleet/machines")?.len() == 1, "a second machine joined with the same token");
    for broken in [&token[..token.len() - 5], "nonsense", ""] {
        agent_that_gives_up(&folder.path().join("third"), broken)?;
    }
    Ok(())
}

fn a_token_of_another_site() -> Result<()> {
    let (one, other) = (Site::new()?, Site::new()?);
    let manager = one.manager()?;
    let token = one.join_token(&manager)?;
    // The other administrator answers at the address that the token names.
    let address = one.agents;
    drop(one);
    let relay = relay(address, other.agents)?;
    let folder = tempfile::TempDir::new()?;
    let mut command = Command::new(program("bailiwick-agent"));
    command.arg("run").arg("--state").arg(folder.path().join("agent")).args(["--join", &token]);
    let mut agent = Running::start("the agent", &mut command)?;
    let seen = end_to_end::until("the relay was tried", Duration::from_secs(20), || {
        let tried = relay.load(std::sync::atomic::Ordering::SeqCst) > 0;
        Ok((tried || !agent.running()).then_some(()))
    });
    seen.with_context(|| agent.tail())?;
    // Whether it gives up or tries on, nothing was enrolled at the impostor.
    agent.wait(Duration::from_secs(3)).ok();
    ensure!(other.manager()?.rows("fleet/machines")?.is_empty(), "the agent enrolled with an impostor");
    Ok(())
}

/// Carries connections from one address to another, counting them.
fn relay(from: std::net::SocketAddr, to: std::net::SocketAddr) -> Result<std::sync::Arc<std::sync::atomic::AtomicU32>> {
    let count = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let listener = std::net::TcpListener::bind(from)?;
    let counted = count.clone();
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Ok(far) = std::net::TcpStream::connect(to) else { continue };
            for (mut read, mut write) in [(near.try_clone(), far.try_clone()), (far.try_clone(), near.try_clone())]
                .into_iter()
                .filter_map(|(read, write)| Some((read.ok()?, write.ok()?)))
            {
                let counted = counted.clone();
                std::thread::spawn(move || {
                    std::io::copy(&mut read, &mut write).ok();
                    write.shutdown(std::net::Shutdown::Both).ok();
                    counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                });
            }
        }
    });
    Ok(count)
}

fn the_ports_keep_to_themselves() -> Result<()> {
    let site = Site::new()?;
    for path in ["/link", "/enrol", "/install", "/agent", "/plugins/00", "/channel/x"] {
        let reply = site.stranger().get(path)?;
        let is_page = reply.text.contains("<html") || reply.text.contains("<!doctype");
        ensure!(
            reply.status == 404 || (reply.status == 200 && is_page),
            "{path} on the console's port: {}",
            reply.status
        );
    }
    for path in ["/", "/api/v1/session", "/api/v1/manifests", "/openapi.json", "/sign-in/x"] {
        let answer = tls::ask(site.agents, &[&TLS13], None, &INSTALL.replace("/install", path))?;
        ensure!(answer.starts_with("HTTP/1.1 404"), "{path} on the agents' port: {answer}");
    }
    Ok(())
}

fn revocation_cuts_a_live_agent() -> Result<()> {
    let (network, site) = site_with_network(Start::default())?;
    let manager = site.manager()?;
    let mut machines = arrive(&network, &site, &manager, &["elder", "fir"])?;
    let id = site.machine(&manager, "elder", "online", Duration::from_secs(1))?["id"].clone();
    let begun = Instant::now();
    manager.run("fleet.revoke", &json!({"machine": id}))?;
    site.machine(&manager, "elder", "offline", Duration::from_secs(5))?;
    println!("a revoked agent was cut off after {:.2} s", begun.elapsed().as_secs_f64());
    machines[0].agent()?.kill();
    let mut elder = machines.remove(0);
    elder.kill().ok();
    elder.start()?;
    // It may give up or keep trying; either way it must not come back.
    let back = site.machine(&manager, "elder", "online", Duration::from_secs(6));
    ensure!(back.is_err(), "a revoked machine came back");
    site.machine(&manager, "fir", "online", Duration::from_secs(1))?;
    Ok(())
}

fn a_clone_is_noticed() -> Result<()> {
    let (network, site) = site_with_network(Start::default())?;
    let manager = site.manager()?;
    let mut machines = arrive(&network, &site, &manager, &["gorse"])?;
    let mut thief = network.machine("thief")?;
    end_to_end::process::run(Command::new("cp").arg("-a").args([machines[0].state(), thief.state()]))?;
    thief.start()?;
    // The newer connection looks like a return until the owner comes back too. From then on neither is the machine, which
    // only a thief that connected can bring about.
    let held = || {
        let rows = manager.rows("fleet/machines")?;
        ensure!(rows.len() == 1, "{rows:?}");
        Ok((rows[0]["access"] == "held" && rows[0]["status"] == "offline").then_some(()))
    };
    end_to_end::until("the copy is noticed", Duration::from_secs(60), held)?;
    ensure!(machines[0].agent()?.running(), "the owner was driven out");
    Ok(())
}
