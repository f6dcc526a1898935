//! A machine that lies: its real certificate, and messages that no honest module says. The bytes are written by hand here.

use super::{Grove, beneath, grove, noise, same};
use anyhow::{Context, Result, anyhow, bail, ensure};
use end_to_end::tls::{self, Credentials};
use end_to_end::{Machine, Site};
use rustls::version::TLS13;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::Duration;
use tungstenite::{Message, WebSocket};

const BEGIN: u8 = 1;
const HAVE: u8 = 2;
const PUT: u8 = 3;
const COMMIT: u8 = 4;
const OPEN: u8 = 5;
const NAMES: u8 = 6;
const REFS: u8 = 7;
const CHUNKS: u8 = 8;
const PROBLEM: u8 = 9;

/// A channel of the module, opened with a machine's own certificate.
struct Channel {
    socket: WebSocket<tls::Stream>,
    number: u32,
    incoming: Vec<u8>,
}

/// Id and tag of a chunk: 32 and 16 bytes of one hash.
fn name(plain: &[u8]) -> [u8; 48] {
    let mut name = [0; 48];
    blake3::Hasher::new().update(plain).finalize_xof().fill(&mut name);
    name
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Channel {
    fn open(site: &Site, machine: &Machine, key: &str) -> Result<Channel> {
        let credentials = Credentials::of_agent(&machine.state())?;
        let stream = tls::connect(site.agents, &[&TLS13], Some(&credentials), Duration::from_secs(20))?;
        let address = format!("ws://{}/channel/backup?key={}", site.agents, hex(key.as_bytes()));
        let (socket, _) = tungstenite::client(address, stream).map_err(|error| anyhow!("the channel: {error}"))?;
        Ok(Channel { socket, number: 0, incoming: Vec::new() })
    }

    /// A session of a backup.
    fn begin(site: &Site, machine: &Machine) -> Result<Channel> {
        let mut channel = Channel::open(site, machine, "receive")?;
        channel.ask(BEGIN, br#"{"version": 1, "name": ""}"#)?;
        Ok(channel)
    }

    fn say(&mut self, kind: u8, payload: &[u8]) -> Result<()> {
        self.number += 1;
        let mut message = vec![kind];
        message.extend(self.number.to_le_bytes());
        message.extend((payload.len() as u32).to_le_bytes());
        message.extend(payload);
        for piece in message.chunks(32 << 10) {
            // 0 is data.
            self.socket.send(Message::binary([&[0], piece].concat()))?;
        }
        Ok(())
    }

    /// Kind and payload of the next message.
    fn hear(&mut self) -> Result<(u8, Vec<u8>)> {
        loop {
            if let Some((head, rest)) = self.incoming.split_at_checked(9) {
                let length = u32::from_le_bytes([head[5], head[6], head[7], head[8]]) as usize;
                if rest.len() >= length {
                    let (kind, payload) = (head[0], rest[..length].to_vec());
                    self.incoming.drain(..9 + length);
                    return Ok((kind, payload));
                }
            }
            match self.socket.read()? {
                Message::Binary(frame) if frame.first() == Some(&0) => self.incoming.extend_from_slice(&frame[1..]),
                Message::Binary(frame) if frame.first() == Some(&3) => {
                    bail!("{}", String::from_utf8_lossy(&frame[1..]))
                }
                Message::Binary(frame) if frame.first() == Some(&2) => bail!("the channel has ended"),
                Message::Close(_) => bail!("the channel was closed"),
                _ => {}
            }
        }
    }

    /// What is answered where nothing is refused.
    fn ask(&mut self, kind: u8, payload: &[u8]) -> Result<Vec<u8>> {
        self.say(kind, payload)?;
        match self.hear()? {
            (heard, payload) if heard == kind => Ok(payload),
            (heard, payload) => bail!("{kind} was answered by {heard}: {}", String::from_utf8_lossy(&payload)),
        }
    }

    /// The problem that this is refused with.
    fn refused(&mut self, kind: u8, payload: &[u8]) -> Result<Value> {
        self.say(kind, payload)?;
        match self.hear()? {
            (PROBLEM, problem) => Ok(serde_json::from_slice(&problem)?),
            (heard, _) => bail!("{kind} was answered by {heard}"),
        }
    }

    fn have(&mut self, names: &[[u8; 48]]) -> Result<Vec<bool>> {
        let answer = self.ask(HAVE, &names.concat())?;
        Ok((0..names.len()).map(|n| answer[n / 8] >> (n % 8) & 1 == 1).collect())
    }

    /// One chunk, uncompressed, under this name.
    fn put(&mut self, plain: &[u8], name: &[u8; 48]) -> Result<()> {
        let mut segment = vec![0];
        segment.extend(1_u32.to_le_bytes());
        segment.push(1);
        segment.extend((plain.len() as u32).to_le_bytes());
        segment.extend(name);
        segment.extend(plain);
        self.say(PUT, &segment)
    }

    /// Puts a list of ids, and a proposal of a snapshot that refers to them.
    fn propose(&mut self, ids: &[&[u8]]) -> Result<Vec<u8>> {
        let refs = ids.concat();
        self.put(&refs, &name(&refs))?;
        Ok(proposal(&[], &[(&name(&refs)[..32], refs.len())]))
    }
}

fn proposal(names: &[(&[u8], usize)], refs: &[(&[u8], usize)]) -> Vec<u8> {
    let stream = |chunks: &[(&[u8], usize)]| -> String {
        chunks.iter().map(|(id, length)| hex(&[id, &(*length as u32).to_le_bytes()[..]].concat())).collect()
    };
    let counts = json!({"files": 1, "directories": 0, "logical_bytes": 1, "files_read": 1, "problems": 0});
    let proposal = json!({
        "names": stream(names), "refs": stream(refs), "root": 0, "root_refs": 0,
        "counts": counts, "incomplete": false, "description": "",
    });
    proposal.to_string().into_bytes()
}

fn range(from: u64, count: u64) -> Vec<u8> {
    json!({"from": from, "count": count}).to_string().into_bytes()
}

/// What only larch has, what rowan has too, and what larch will have.
struct Files {
    secret: Vec<u8>,
    common: Vec<u8>,
    later: Vec<u8>,
}

pub(super) fn a_lying_machine() -> Result<()> {
    let mut grove = grove(&["larch", "rowan"])?;
    let folder = tempfile::tempdir()?;
    let (honest, own) = (folder.path().join("honest"), folder.path().join("own"));
    let files = Files { secret: noise(1, 5000), common: noise(2, 3000), later: noise(3, 7000) };
    for (tree, with_secret) in [(&honest, true), (&own, false)] {
        fs::create_dir(tree)?;
        fs::write(tree.join("common.txt"), &files.common)?;
        if with_secret {
            fs::write(tree.join("secret.txt"), &files.secret)?;
        }
    }
    let manager = grove.manager.clone();
    let run = |machine: &str, tree: &Path| -> Result<String> {
        let job = manager.run("backup.run", &json!({"machine": machine, "path": [tree]}))?;
        Ok(job["result"]["snapshot"].as_str().context("an id")?.to_owned())
    };
    let (larchs, rowans) = (run("larch", &honest)?, run("rowan", &own)?);
    let before = grove.manager.rows("backup/snapshots")?;

    poisons_nothing(&grove, &files)?;
    claims_nothing(&grove, &files)?;
    reads_nothing(&grove, &files, &larchs, &rowans)?;
    has_no_job_for_it(&mut grove, folder.path(), &larchs, &rowans)?;
    has_no_other_verb(&grove)?;

    fs::write(honest.join("later.txt"), &files.later)?;
    run("larch", &honest)?;
    let to = folder.path().join("back");
    let back = grove.manager.run("backup.restore", &json!({"machine": "larch", "snapshot": "latest", "to": to}))?;
    ensure!(back["result"]["problems"] == 0, "{back}");
    same(&honest, &beneath(&to, &honest))?;
    let after = grove.manager.rows("backup/snapshots")?;
    ensure!(before.iter().all(|row| after.contains(row)), "{before:?} became {after:?}");
    let verified = grove.manager.run("backup.verify", &json!({"read_data": true}))?;
    ensure!(verified["result"]["whole"] == true, "{verified}");
    Ok(())
}

/// Garbage under the name of something real is kept under its own name.
fn poisons_nothing(grove: &Grove, files: &Files) -> Result<()> {
    let rowan = &grove.machines[1];
    let (garbage, real) = (noise(4, 7000), name(&files.later));
    let mut lie = Channel::begin(&grove.site, rowan)?;
    lie.put(&garbage, &real)?;
    let draft = lie.propose(&[&name(&garbage)[..32]])?;
    lie.ask(COMMIT, &draft)?;
    let mut look = Channel::begin(&grove.site, rowan)?;
    ensure!(look.have(&[real, name(&garbage)])? == [false, true], "garbage stands under a real name");
    // Nor does it help to refer to what the garbage was called.
    let draft = look.propose(&[&real[..32]])?;
    look.refused(COMMIT, &draft).map(drop)
}

/// Who knows an id from a stolen list, and not its tag, has nothing.
fn claims_nothing(grove: &Grove, files: &Files) -> Result<()> {
    let (rowan, secret) = (&grove.machines[1], name(&files.secret));
    let with_tag = |tag: &[u8]| -> [u8; 48] {
        let mut name = secret;
        name[32..].copy_from_slice(tag);
        name
    };
    let mut asks = Channel::begin(&grove.site, rowan)?;
    let answers = asks.have(&[with_tag(&[0; 16]), with_tag(&name(b"other")[32..]), secret])?;
    ensure!(answers == [false, false, true], "only who has the file has its tag: {answers:?}");
    let id = &secret[..32];
    for (names, refs) in [(vec![(id, 5000)], vec![]), (vec![], vec![(id, 5000)]), (vec![], vec![(id, 32)])] {
        let problem = Channel::begin(&grove.site, rowan)?.refused(COMMIT, &proposal(&names, &refs))?;
        ensure!(problem["code"] == "bad_request", "{problem}");
    }
    let mut steals = Channel::begin(&grove.site, rowan)?;
    let draft = steals.propose(&[&name(&files.common)[..32], id])?;
    let problem = steals.refused(COMMIT, &draft)?;
    ensure!(problem["code"] == "bad_request", "{problem}");
    Ok(())
}

/// An operator may have a machine restore what another backed up. No other job opens that snapshot: none that has ended, that is
/// another machine's, another command's or of another snapshot, and none that there never was.
fn has_no_job_for_it(grove: &mut Grove, folder: &Path, larchs: &str, rowans: &str) -> Result<()> {
    let Grove { site, manager, machines, .. } = grove;
    let into = |name: &str| folder.join(name).display().to_string();
    let done = manager.run("backup.restore", &json!({"machine": "rowan", "snapshot": larchs, "to": into("given")}))?;
    ensure!(done["result"]["files"] == 2, "an operator may have it: {done}");
    let id = |job: &Value| job["id"].as_str().unwrap_or_default().to_owned();
    let other = manager.run("backup.run", &json!({"machine": "rowan", "path": [folder.join("own")]}))?;
    // Of two that are open, one is another machine's and one of another snapshot.
    machines[0].agent()?.signal("STOP")?;
    let theirs = json!({"machine": "larch", "snapshot": larchs, "to": into("theirs")});
    let theirs = manager.submit("backup.restore", &theirs)?;
    machines[1].agent()?.signal("STOP")?;
    let own = json!({"machine": "rowan", "snapshot": rowans, "to": into("mine")});
    let own = manager.submit("backup.restore", &own)?;
    let claims =
        [id(&done), id(&other), theirs.clone(), own.clone(), "0190f3a0-0000-7000-8000-000000000000".into(), "x".into()];
    let mut reads = Channel::open(site, &machines[1], "read")?;
    for job in claims {
        let open = json!({"version": 1, "snapshot": larchs, "name": null, "job": job}).to_string();
        let problem = reads.refused(OPEN, open.as_bytes())?;
        ensure!(problem["code"] == "not_found", "{job}: {problem}");
    }
    for (machine, job) in machines.iter_mut().zip([theirs, own]) {
        machine.agent()?.signal("CONT")?;
        manager.job_in(&job, &["succeeded"])?;
    }
    Ok(())
}

/// Small files of both machines lie in one segment; each gets its own out of it.
fn reads_nothing(grove: &Grove, files: &Files, larchs: &str, rowans: &str) -> Result<()> {
    let open = |snapshot: &str, name: Option<&str>| -> Vec<u8> {
        json!({"version": 1, "snapshot": snapshot, "name": name}).to_string().into_bytes()
    };
    let mut reads = Channel::open(&grove.site, &grove.machines[1], "read")?;
    for kind in [NAMES, REFS, CHUNKS] {
        reads.refused(kind, &range(0, 1))?;
    }
    let larch = grove.manager.row("fleet/machines", "name", "larch")?.context("larch is there")?["id"].clone();
    for name in [None, Some(""), Some("larch"), larch.as_str()] {
        let problem = reads.refused(OPEN, &open(larchs, name))?;
        ensure!(problem["code"] == "not_found", "{name:?}: {problem}");
    }
    let opened: Value = serde_json::from_slice(&reads.ask(OPEN, &open(rowans, None))?)?;
    ensure!(opened["refs"] == 1, "{opened}");
    for outside in [range(1, 1), range(0, 4096), range(1 << 40, 1)] {
        reads.refused(CHUNKS, &outside)?;
    }
    reads.refused(NAMES, &range(1 << 40, 9))?;
    reads.refused(REFS, &range(1, 1))?;
    let fits: Value = serde_json::from_slice(&reads.ask(CHUNKS, &range(0, 1))?)?;
    ensure!(fits["count"] == 1, "{fits}");
    let (_, batch) = reads.hear()?;
    let plain = match batch[0] {
        0 => batch[21..].to_vec(),
        _ => zstd::decode_all(&batch[21..])?,
    };
    ensure!(plain == files.common, "{} bytes came for a file of {}", plain.len(), files.common.len());
    Ok(())
}

/// There is no verb that removes, and none that says what time it is.
fn has_no_other_verb(grove: &Grove) -> Result<()> {
    let rowan = &grove.machines[1];
    for key in ["receive", "read"] {
        for kind in [0, 10, 11, 99, 255] {
            let mut channel = match key {
                "receive" => Channel::begin(&grove.site, rowan)?,
                _ => Channel::open(&grove.site, rowan, key)?,
            };
            let answer = channel.ask(kind, b"{}");
            ensure!(answer.is_err(), "{key} knows a message {kind}");
        }
    }
    for key in ["remove", "admin", ""] {
        let answer = Channel::open(&grove.site, rowan, key).and_then(|mut channel| channel.ask(BEGIN, b"{}"));
        ensure!(answer.is_err(), "there is a channel {key:?}");
    }
    let mut clock = Channel::open(&grove.site, rowan, "receive")?;
    let problem = clock.refused(BEGIN, br#"{"version": 1, "name": "", "now_ms": 1}"#)?;
    ensure!(problem["code"] == "bad_request", "{problem}");
    Ok(())
}
