//! Backup as a person meets it: alone on a machine, and from the console's site.

mod daily;
mod liar;
mod owner;
mod recovery;
mod room;
mod shared;

use crate::jobs::{own_plugin_is_ready, plugin_is_ready};
use crate::machines::{arrive, site_with_network};
use anyhow::{Context, Result, ensure};
use end_to_end::{Case, Client, Machine, Network, Site, Start, process, soon};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

pub(crate) fn cases() -> Vec<Case> {
    let namespaces = "machines of their own live in network namespaces";
    let mut cases: Vec<Case> =
        [daily::cases(), owner::cases(), recovery::cases(), room::cases()].into_iter().flatten().collect();
    cases.extend([
        Case::new("backup::alone_a_tree_comes_back_as_it_was", alone),
        Case::new("backup::what_cannot_be_opened_says_so", cannot_be_opened),
        Case::new("backup::a_machine_is_backed_up_and_restored_from_the_site", from_the_site).root(namespaces),
        Case::new("backup::what_one_machine_backed_up_is_restored_to_another", of_another).root(namespaces),
        Case::new("backup::ten_machines_send_what_they_share_once", shared::ten_machines).root(namespaces),
        Case::new("backup::a_lying_machine_poisons_claims_and_reads_nothing", liar::a_lying_machine).root(namespaces),
        Case::new("backup::files_of_a_snapshot_are_sent_to_whoever_may_have_them", sent_to_an_operator)
            .root(namespaces),
        Case::new("backup::what_an_archive_holds_is_unpacked_as_it_was", archived),
    ]);
    cases
}

/// The module by itself, with a vault of its own.
pub(crate) struct Alone {
    folder: TempDir,
}

impl Alone {
    pub(crate) fn new() -> Result<Alone> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("password"), "correct horse battery staple\n")?;
        Ok(Alone { folder })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let library = process::built().join("libbackup.so");
        let mut command = Command::new(process::program("bailiwick"));
        command.args(["module", "run"]).arg(library).args(words).env("BAILIWICK_STATE", self.path("state"));
        command.arg("--vault").arg(self.path("vault")).arg("--password-file").arg(self.path("password"));
        command
    }

    pub(crate) fn output(&self, words: &[&str]) -> Result<Output> {
        Ok(self.command(words).output()?)
    }

    pub(crate) fn run(&self, words: &[&str]) -> Result<Value> {
        let words = [words, &["-o", "json"]].concat();
        let output = self.output(&words)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.success(),
            "{words:?} ended with {}\n{text}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_str(&text).with_context(|| format!("{words:?} printed {text}"))
    }
}

/// A small tree with what trees have.
fn plant(root: &Path) -> Result<()> {
    fs::create_dir_all(root.join("docs/deep/er"))?;
    fs::write(root.join("docs/hello.txt"), "hello\n")?;
    fs::write(root.join("docs/empty"), "")?;
    let big: Vec<u8> = (0..3_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    fs::write(root.join("docs/deep/er/big.bin"), big)?;
    std::os::unix::fs::symlink("../hello.txt", root.join("docs/deep/link"))?;
    fs::hard_link(root.join("docs/hello.txt"), root.join("docs/twin.txt"))?;
    for n in 0..200 {
        fs::write(root.join(format!("docs/deep/{n:03}.txt")), format!("file {n}\n").repeat(n))?;
    }
    Ok(())
}

/// Whether two trees are the same to `diff`, which follows no links.
pub(crate) fn same(one: &Path, other: &Path) -> Result<()> {
    let output = Command::new("diff").args(["-r", "--no-dereference"]).arg(one).arg(other).output()?;
    ensure!(output.status.success(), "the trees differ:\n{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

/// Bytes that nothing can compress, the same for the same seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

pub(crate) fn beneath(folder: &Path, path: &Path) -> PathBuf {
    folder.join(path.strip_prefix("/").unwrap_or(path))
}

fn alone() -> Result<()> {
    let alone = Alone::new()?;
    let tree = alone.path("tree");
    plant(&tree)?;
    let made = alone.run(&["init"])?;
    ensure!(made["recovery_sheet"].as_str().is_some_and(|sheet| sheet.len() > 40), "{made}");

    let path = tree.display().to_string();
    let first = alone.run(&["run", "--name", "larch", &path])?;
    ensure!(first["status"] == "complete" && first["files_read"].as_u64() > Some(200), "{first}");
    let second = alone.run(&["run", "--name", "larch", &path])?;
    ensure!(second["files_read"] == 0 && second["new_bytes"].as_u64() < Some(20_000), "{second}");

    fs::write(tree.join("docs/hello.txt"), "hello again\n")?;
    let third = alone.run(&["run", "--name", "larch", &path])?;
    ensure!(third["files_read"].as_u64().is_some_and(|read| (1..=2).contains(&read)), "{third}");

    let snapshots = alone.run(&["snapshots"])?;
    let snapshots = snapshots.as_array().context("an array")?;
    ensure!(snapshots.len() == 3, "{snapshots:?}");
    for field in ["id", "time", "machine", "paths", "logical_bytes", "new_bytes", "status"] {
        ensure!(!snapshots[0][field].is_null(), "{field} is missing in {}", snapshots[0]);
    }
    ensure!(snapshots[0]["id"] == third["snapshot"], "the newest comes first");

    let directory = format!("{path}/docs");
    let listed = alone.run(&["ls", "--snapshot", "latest", &directory])?;
    let names: Vec<&str> = listed.as_array().into_iter().flatten().filter_map(|row| row["name"].as_str()).collect();
    ensure!(names == ["deep", "empty", "hello.txt", "twin.txt"], "{names:?}");

    let found = alone.run(&["find", "HELLO*"])?;
    let versions = found["found"].as_array().context("a list")?;
    ensure!(versions.len() == 2 && found["snapshots"] == 3, "{found}");
    ensure!(versions[0]["path"] == format!("{path}/docs/hello.txt") && versions[0]["size"] == 12, "{found}");
    ensure!((&versions[0]["snapshots"], &versions[1]["snapshots"]) == (&json!(1), &json!(2)), "{found}");
    let page = alone.run(&["ls", "--limit", "7", &format!("{path}/docs/deep")])?;
    ensure!(page.as_array().is_some_and(|page| page.len() == 7 && page[6]["name"] == "006.txt"), "{page}");
    let all = alone.run(&["ls", "--all", &format!("{path}/docs/deep")])?;
    ensure!(all.as_array().is_some_and(|all| all.len() == 202), "{all}");
    let large = alone.run(&["ls", "--sort", "-size", "--limit", "1", &format!("{path}/docs/deep")])?;
    ensure!(large[0]["name"] == "199.txt", "{large}");

    let to = alone.path("back");
    let would = alone.run(&["restore", "--dry-run", "--name", "larch", "--to", &to.display().to_string()])?;
    let planned = would["planned"].as_array().context("a list")?;
    ensure!(planned.len() > 200 && planned[0]["what"] == "Create" && !to.exists(), "{would}");
    let back = alone.run(&["restore", "--snapshot", "latest", "--name", "larch", "--to", &to.display().to_string()])?;
    ensure!(back["problems"] == 0, "{back}");
    same(&tree, &beneath(&to, &tree))?;
    let again = alone.run(&["restore", "--name", "larch", "--to", &to.display().to_string()])?;
    ensure!(again["files"] == 0 && again["problems"] == 0, "what is right already is left alone: {again}");

    let old = alone.path("old");
    let id = first["snapshot"].as_str().context("an id")?;
    alone.run(&["restore", "--snapshot", &id[..24], "--to", &old.display().to_string(), "--path", &directory])?;
    ensure!(fs::read_to_string(beneath(&old, &tree).join("docs/hello.txt"))? == "hello\n");
    Ok(())
}

fn cannot_be_opened() -> Result<()> {
    let alone = Alone::new()?;
    let refused = |words: &[&str], code: i32, says: &str| -> Result<()> {
        let output = alone.output(words)?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.code() == Some(code), "{words:?} ended with {}\n{text}", output.status);
        ensure!(text.contains(says) && !text.contains("panicked"), "{words:?} said\n{text}");
        Ok(())
    };
    refused(&["snapshots"], 3, "vault")?;
    fs::create_dir(alone.path("vault"))?;
    fs::write(alone.path("vault/letter.txt"), "dear all")?;
    refused(&["init"], 5, "letter.txt")?;
    fs::remove_file(alone.path("vault/letter.txt"))?;
    alone.run(&["init"])?;
    refused(&["init"], 5, "already")?;
    fs::write(alone.path("password"), "wrong\n")?;
    refused(&["snapshots"], 4, "password")?;
    fs::remove_file(alone.path("password"))?;
    refused(&["snapshots"], 3, "password")?;
    fs::write(alone.path("password"), "correct horse battery staple\n")?;
    refused(&["run", "/no/such/place"], 3, "none of the paths")?;
    refused(&["restore", "--to", &alone.path("out").display().to_string()], 3, "no snapshot")
}

struct Grove {
    _network: Network,
    site: Site,
    manager: Client,
    machines: Vec<Machine>,
}

fn grove(names: &[&str]) -> Result<Grove> {
    let (network, site) = site_with_network(Start { plugins: vec!["backup"], ..Start::default() })?;
    let manager = site.manager()?;
    let machines = arrive(&network, &site, &manager, names)?;
    for name in names {
        plugin_is_ready(&manager, name)?;
    }
    own_plugin_is_ready(&manager)?;
    Ok(Grove { _network: network, site, manager, machines })
}

fn from_the_site() -> Result<()> {
    let grove = grove(&["larch", "rowan"])?;
    let folder = tempfile::tempdir()?;
    let tree = folder.path().join("tree");
    plant(&tree)?;
    let path = tree.display().to_string();
    let ran = |machine: &str| grove.manager.run("backup.run", &json!({"machine": machine, "path": [path]}));
    let first = ran("larch")?;
    let result = &first["result"];
    ensure!(result["status"] == "complete" && result["files_read"].as_u64() > Some(200), "{first}");
    let other = ran("rowan")?;
    let (sent, logical) = (other["result"]["sent_bytes"].as_u64(), other["result"]["logical_bytes"].as_u64());
    ensure!(
        sent.zip(logical).is_some_and(|(sent, logical)| sent * 20 < logical),
        "what larch sent is sent again: {other}"
    );

    let row = soon("larch shows its last backup", || {
        let row = grove.manager.row("fleet/machines", "name", "larch")?;
        Ok(row.filter(|row| row["last_backup"].is_string()))
    })?;
    ensure!(row["backup_status"] == "complete", "{row}");
    let snapshots = grove.manager.rows("backup/snapshots")?;
    ensure!(snapshots.len() == 2 && snapshots.iter().any(|row| row["machine"]["label"] == "larch"), "{snapshots:?}");

    let to = folder.path().join("back");
    let back = json!({"machine": "larch", "snapshot": "latest", "to": to});
    let restored = grove.manager.run("backup.restore", &back)?;
    ensure!(restored["result"]["problems"] == 0, "{restored}");
    same(&tree, &beneath(&to, &tree))?;
    ensure!(grove.machines.len() == 2 && grove.site.url.starts_with("http"));
    Ok(())
}

fn of_another() -> Result<()> {
    let grove = grove(&["larch", "rowan"])?;
    let folder = tempfile::tempdir()?;
    let tree = folder.path().join("tree");
    plant(&tree)?;
    let ran = grove.manager.run("backup.run", &json!({"machine": "larch", "path": [tree]}))?;
    let id = ran["result"]["snapshot"].as_str().context("an id")?;
    let to = folder.path().join("moved");
    let restored = json!({"machine": "rowan", "snapshot": id, "to": to});
    let restored = grove.manager.run("backup.restore", &restored)?;
    ensure!(restored["result"]["problems"] == 0, "{restored}");
    same(&tree, &beneath(&to, &tree))?;
    let latest = json!({"machine": "rowan", "snapshot": "latest", "to": folder.path().join("none")});
    let job = grove.manager.job_in(&grove.manager.submit("backup.restore", &latest)?, &["failed", "succeeded"])?;
    ensure!(job["problem"]["code"] == "not_found", "the latest is of the machine itself, which has none: {job}");
    Ok(())
}

fn sent_to_an_operator() -> Result<()> {
    let grove = grove(&["larch"])?;
    let folder = tempfile::tempdir()?;
    let tree = folder.path().join("tree");
    plant(&tree)?;
    fs::write(tree.join("docs/größe.txt"), "0123456789\n".repeat(30_000))?;
    grove.manager.run("backup.run", &json!({"machine": "larch", "path": [tree]}))?;

    let file = |command: &str, input: Value| -> Result<(String, end_to_end::client::Reply)> {
        let job = grove.manager.submit(command, &input)?;
        let reply = grove.manager.get(&format!("/api/v1/jobs/{job}/streams/content/file"))?;
        Ok((job, reply))
    };
    let hello = tree.join("docs/hello.txt");
    let (job, reply) = file("backup.download", json!({"path": [hello]}))?;
    ensure!(reply.status == 200 && reply.text == "hello\n", "{reply:?}");
    let header = |name: &str| reply.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    ensure!(header("content-disposition").starts_with("attachment; filename=\"hello.txt\""), "{:?}", reply.headers);
    ensure!(header("x-content-type-options") == "nosniff" && header("content-security-policy").contains("default-src"));
    let ended = grove.manager.job_in(&job, end_to_end::client::FINAL)?;
    ensure!(ended["state"] == "succeeded" && ended["result"]["bytes"] == 6, "{ended}");

    let long = tree.join("docs/größe.txt");
    let (_, reply) = file("backup.peek", json!({"path": long}))?;
    ensure!(reply.text.len() == 256 * 1024 && reply.text.starts_with("0123456789\n0123"), "{} bytes", reply.text.len());
    let named = reply.headers.get("content-disposition").and_then(|value| value.to_str().ok()).unwrap_or_default();
    ensure!(named.ends_with("filename*=UTF-8''gr%C3%B6%C3%9Fe.txt"), "{named}");

    // A file that was sent whole before anybody came waits for them, and its job with it.
    let job = grove.manager.submit("backup.download", &json!({"path": [hello]}))?;
    grove.manager.job_in(&job, &["running"])?;
    grove.manager.run("backup.stats", &json!({}))?;
    let late = grove.manager.get(&format!("/api/v1/jobs/{job}/streams/content/file"))?;
    ensure!(late.status == 200 && late.text == "hello\n", "{late:?}");
    grove.manager.job_in(&job, &["succeeded"])?;

    // Whoever may not restore may not read either: not by a job of their own and not at somebody else's.
    let auditor = grove.site.client("auditor")?;
    auditor.post("/api/v1/commands/backup.download", &json!({"path": [hello]}))?.refusal(403)?;
    let job = grove.manager.submit("backup.download", &json!({"path": [hello]}))?;
    let address = format!("/api/v1/jobs/{job}/streams/content/file");
    auditor.get(&address)?.refusal(403)?;
    grove.site.stranger().get(&address)?.refusal(401)?;
    ensure!(grove.manager.get(&address)?.text == "hello\n");
    grove.manager.job_in(&job, &["succeeded"])?;
    grove.manager.get(&address)?.refusal(409)?;
    let (_, missing) = file("backup.download", json!({"path": [tree.join("nothing")]}))?;
    ensure!(missing.status >= 400 && !missing.text.contains("panicked"), "{missing:?}");
    let records = grove.manager.rows("fleet/audit?limit=200")?;
    ensure!(records.iter().any(|row| row["action"] == "backup.download"), "nobody can see who had it");
    Ok(())
}

fn archived() -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let alone = Alone::new()?;
    let tree = alone.path("tree");
    plant(&tree)?;
    let docs = tree.join("docs");
    let long = docs.join("n".repeat(120)).join("ü".repeat(60));
    fs::create_dir_all(&long)?;
    fs::write(long.join("leaf"), "leaf\n")?;
    fs::set_permissions(long.join("leaf"), std::os::unix::fs::PermissionsExt::from_mode(0o640))?;
    process::run(Command::new("setfattr").args(["-n", "user.note", "-v", "kept"]).arg(docs.join("empty")))?;
    let holes = fs::File::create(docs.join("holes"))?;
    std::os::unix::fs::FileExt::write_at(&holes, b"end", 3_000_000)?;
    alone.run(&["init"])?;
    alone.run(&["run", "--name", "larch", &tree.display().to_string()])?;

    let output = alone.output(&["download", &docs.display().to_string()])?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (archive, out) = (alone.path("docs.tar"), alone.path("out"));
    fs::write(&archive, &output.stdout)?;
    fs::create_dir(&out)?;
    let mut unpack = Command::new("tar");
    unpack.args(["--xattrs", "--xattrs-include=*", "-xpf"]).arg(&archive).arg("-C").arg(&out);
    let told = process::run(&mut unpack)?;
    ensure!(told.is_empty(), "tar says {told}");
    same(&docs, &out.join("docs"))?;
    for name in ["hello.txt", "deep/er/big.bin", "deep"] {
        let [was, is] = [docs.join(name), out.join("docs").join(name)].map(fs::symlink_metadata);
        let (was, is) = (was?, is?);
        ensure!((was.mtime(), was.mtime_nsec(), was.mode()) == (is.mtime(), is.mtime_nsec(), is.mode()), "{name}");
    }
    let inode = |name: &str| fs::metadata(out.join("docs").join(name)).map(|found| found.ino());
    ensure!(inode("hello.txt")? == inode("twin.txt")?, "two names of one file are two files");
    let leaf = out.join("docs").join("n".repeat(120)).join("ü".repeat(60)).join("leaf");
    ensure!(fs::metadata(leaf)?.mode() & 0o777 == 0o640);
    let note =
        process::run(Command::new("getfattr").args(["--only-values", "-n", "user.note"]).arg(out.join("docs/empty")))?;
    ensure!(note.ends_with("kept"), "{note}");

    let both = alone.output(&[
        "download",
        &docs.join("hello.txt").display().to_string(),
        &docs.join("deep/000.txt").display().to_string(),
    ])?;
    fs::write(&archive, &both.stdout)?;
    let listed = process::run(Command::new("tar").arg("-tf").arg(&archive))?;
    ensure!(listed.lines().count() == 2 && listed.contains("tree/docs/hello.txt"), "{listed}");
    let one = alone.output(&["download", &docs.join("hello.txt").display().to_string()])?;
    ensure!(one.stdout == b"hello\n", "{}", String::from_utf8_lossy(&one.stderr));
    Ok(())
}
