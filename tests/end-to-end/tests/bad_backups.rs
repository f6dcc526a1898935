//! What a backup meets that it cannot like: vaults that are none, disks that are full or gone, files that cannot be read or do
//! not hold still. Each is told by its path, the rest is backed up, and what is not whole is never said to be.

use crate::backup::Alone;
use anyhow::{Context, Result, ensure};
use end_to_end::Case;
use end_to_end::process::{Running, run};
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use trees::{beneath, noise};

pub(crate) fn cases() -> Vec<Case> {
    let mounts = "it mounts file systems";
    vec![
        Case::new("bad_backups::what_is_no_vault_of_this_version_is_left_alone", vaults),
        Case::new("bad_backups::a_disk_that_is_full_read_only_or_gone_is_named", disks).root(mounts),
        Case::new("bad_backups::what_cannot_be_read_is_named_and_the_rest_is_kept", unreadable).root(mounts),
        Case::new("bad_backups::what_does_not_hold_still_makes_it_incomplete", moving),
        Case::new("bad_backups::links_that_lead_in_a_circle_are_named", circle),
        Case::new("bad_backups::a_file_of_one_line_of_four_gigabytes_comes_back", one_line),
        Case::new("bad_backups::a_directory_with_very_many_entries_comes_back", wide),
        Case::new("bad_backups::very_many_problems_are_no_reason_to_fail", many_problems),
        Case::new("bad_backups::a_clock_before_1970_is_no_reason_to_fail", clock),
    ]
}

/// Fails unless the program ends with this code and says all of these.
fn refused(alone: &Alone, words: &[&str], code: i32, parts: &[&str]) -> Result<()> {
    let output = alone.output(words)?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(code) && !told.contains("panicked"), "{words:?} ended with {output:?}");
    for part in parts {
        ensure!(told.contains(part), "{words:?}: {part:?} is not in {told}");
    }
    Ok(())
}

/// A run that is done in part: its result, and what it said.
fn in_part(alone: &Alone, path: &Path) -> Result<(Value, String)> {
    let output = alone.output(&["run", "--name", "larch", &path.display().to_string(), "-o", "json"])?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(11), "it ended with {output:?}");
    let result: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(result["status"] == "incomplete", "{result}");
    let row = alone.run(&["snapshots"])?[0].clone();
    ensure!(row["id"] == result["snapshot"] && row["status"] == "incomplete", "{row}");
    Ok((result, told))
}

fn vaults() -> Result<()> {
    let alone = Alone::new()?;
    let vault = alone.path("vault").display().to_string();
    let tree = alone.path("tree");
    fs::create_dir_all(&tree)?;
    fs::create_dir(alone.path("vault"))?;
    fs::write(alone.path("vault/letter.txt"), "dear all")?;
    for words in [&["run", &tree.display().to_string()][..], &["snapshots"], &["verify"], &["prune"]] {
        refused(&alone, words, 3, &[&vault, "is no vault"])?;
    }
    ensure!(fs::read_dir(alone.path("vault"))?.count() == 1, "nothing was left in it");
    fs::remove_file(alone.path("vault/letter.txt"))?;

    alone.run(&["init"])?;
    let header = alone.path("vault/vault.json");
    let text = fs::read_to_string(&header)?;
    let mut newer: Value = serde_json::from_str(&text)?;
    newer["version"] = json!(99);
    for (written, says) in
        [(newer.to_string(), "newer version"), ("no JSON".to_owned(), "not what a vault begins with")]
    {
        fs::write(&header, written)?;
        for words in [&["run", &tree.display().to_string()][..], &["snapshots"]] {
            let output = alone.output(words)?;
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            ensure!(!output.status.success() && told.contains(says) && told.contains("vault/vault.json"), "{told}");
        }
    }
    fs::write(&header, text)?;
    fs::write(alone.path("password"), "another\n")?;
    refused(&alone, &["run", &tree.display().to_string()], 4, &["password"])
}

fn disks() -> Result<()> {
    let alone = Alone::new()?;
    let (vault, tree) = (alone.path("vault"), alone.path("tree"));
    fs::create_dir(&vault)?;
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "none"]).arg(&vault))?;
    alone.run(&["init"])?;
    fs::create_dir(&tree)?;
    fs::write(tree.join("small"), noise(100_000))?;
    let path = tree.display().to_string();
    alone.run(&["run", "--name", "larch", &path])?;
    let shown = vault.display().to_string();

    fs::write(tree.join("large"), noise(60_000_000))?;
    refused(&alone, &["run", "--name", "larch", &path], 8, &[&shown, "No space left"])?;
    // What was there is whole, and there is room again.
    ensure!(alone.run(&["verify", "--read-data"])?["whole"] == true);
    fs::remove_file(tree.join("large"))?;
    ensure!(alone.run(&["run", "--name", "larch", &path])?["status"] == "complete");

    run(Command::new("mount").args(["-o", "remount,ro"]).arg(&vault))?;
    refused(&alone, &["run", "--name", "larch", &path], 8, &[&shown, "Read-only"])?;
    ensure!(alone.run(&["snapshots"])?.as_array().is_some_and(|rows| rows.len() == 2), "it can be read");
    run(Command::new("umount").arg(&vault))?;
    refused(&alone, &["run", "--name", "larch", &path], 3, &[&shown, "is no vault", "disk is mounted"])?;
    fs::remove_dir(&vault)?;
    refused(&alone, &["run", "--name", "larch", &path], 3, &[&shown])
}

fn unreadable() -> Result<()> {
    // Files on a disk that fails: those of a mount of a vault with a damaged pack.
    let broken = Alone::new()?;
    let tree = broken.path("tree");
    fs::create_dir(&tree)?;
    for number in 0..20 {
        fs::write(tree.join(format!("file-{number:02}")), noise(600_000 + number))?;
    }
    broken.run(&["init"])?;
    broken.run(&["run", "--name", "larch", &tree.display().to_string()])?;
    let find = ["vault/packs", "-name", "*.pack", "-size", "+1000k"];
    let packs = run(Command::new("find").args(find).current_dir(broken.path("")))?;
    let pack = broken.path(packs.lines().next().context("there is no pack")?);
    let mut bytes = fs::read(&pack)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&pack, bytes)?;
    let point = broken.path("point");
    fs::create_dir(&point)?;
    let mut mount = Running::start("mount", &mut broken.command(&["mount", &point.display().to_string()]))?;
    mount.line(Duration::from_secs(30), |line| line.contains("the snapshots are in"))?;

    let alone = Alone::new()?;
    alone.run(&["init"])?;
    let shown = fs::canonicalize(beneath(&point.join("larch/latest"), &tree))?;
    let (result, told) = in_part(&alone, &shown)?;
    ensure!(result["files"] == 20 && (1..=3).contains(&result["problems"].as_u64().unwrap_or(0)), "{result}");
    let named: Vec<&str> = told.lines().filter(|line| line.contains("cannot be read to its end")).collect();
    ensure!(named.iter().any(|line| line.contains(&format!("{}/file-", shown.display()))), "{told}");

    let to = alone.path("back");
    alone.output(&["restore", "--name", "larch", "--to", &to.display().to_string()])?;
    let whole = (0..20).filter(|number| {
        let name = format!("file-{number:02}");
        fs::read(beneath(&to, &shown).join(&name)).ok() == fs::read(tree.join(&name)).ok()
    });
    ensure!(whole.count() >= 17, "the rest is there");
    mount.signal("INT")?;
    mount.wait(Duration::from_secs(10))?;
    Ok(())
}

fn moving() -> Result<()> {
    let alone = Alone::new()?;
    alone.run(&["init"])?;
    let tree = alone.path("tree");
    fs::create_dir(&tree)?;
    fs::write(tree.join("log"), noise(96 << 20))?;
    fs::write(tree.join("still"), "still")?;
    let done = AtomicBool::new(false);
    let ran = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut log = fs::OpenOptions::new().append(true).open(tree.join("log")).expect("it was just made");
            while !done.load(Ordering::Relaxed) {
                log.write_all(b"one more line\n").expect("there is room");
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let ran = in_part(&alone, &tree);
        done.store(true, Ordering::Relaxed);
        ran
    });
    let (result, told) = ran?;
    ensure!(result["changed"] == 1 && result["files"] == 2, "{result}");
    ensure!(told.contains(&format!("{}: it changed while it was read", tree.join("log").display())), "{told}");
    let to = alone.path("back");
    alone.output(&["restore", "--name", "larch", "--to", &to.display().to_string()])?;
    ensure!(fs::read_to_string(beneath(&to, &tree).join("still"))? == "still");
    // What was there when it was opened.
    let (was, is) = (fs::read(tree.join("log"))?, fs::read(beneath(&to, &tree).join("log"))?);
    ensure!(is.len() >= 96 << 20 && was.starts_with(&is));
    Ok(())
}

fn circle() -> Result<()> {
    let alone = Alone::new()?;
    alone.run(&["init"])?;
    let tree = alone.path("tree");
    fs::create_dir(&tree)?;
    fs::write(tree.join("file"), "text")?;
    std::os::unix::fs::symlink("there", tree.join("here"))?;
    std::os::unix::fs::symlink("here", tree.join("there"))?;
    // In a tree they are links as any other; as what is to be backed up they lead nowhere.
    let ran = alone.run(&["run", "--name", "larch", &tree.display().to_string()])?;
    ensure!(ran["status"] == "complete" && ran["files"] == 3, "{ran}");
    let words =
        ["run", "--name", "larch", &tree.join("here").display().to_string(), &tree.join("file").display().to_string()];
    let output = alone.output(&words)?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(11) && told.contains("more than 40 links"), "{output:?}");
    ensure!(told.contains(&tree.join("here").display().to_string()), "{told}");
    Ok(())
}

fn one_line() -> Result<()> {
    const SIZE: u64 = (4 << 30) + 17;
    let alone = Alone::new()?;
    alone.run(&["init"])?;
    let tree = alone.path("tree");
    fs::create_dir(&tree)?;
    let file = fs::File::create(tree.join("line"))?;
    let ends = ["a line that begins, ", "and ends without an end of line"].map(|text| text.repeat(50_000));
    file.write_all_at(ends[0].as_bytes(), 0)?;
    file.write_all_at(ends[1].as_bytes(), SIZE - ends[1].len() as u64)?;
    let ran = alone.run(&["run", "--name", "larch", &tree.display().to_string()])?;
    ensure!(ran["status"] == "complete", "{ran}");
    let to = alone.path("back");
    alone.run(&["restore", "--name", "larch", "--to", &to.display().to_string()])?;
    let back = fs::File::open(beneath(&to, &tree).join("line"))?;
    ensure!(back.metadata()?.len() == SIZE);
    for (text, at) in [(&ends[0], 0), (&ends[1], SIZE - ends[1].len() as u64)] {
        let mut bytes = vec![0; text.len()];
        back.read_exact_at(&mut bytes, at)?;
        ensure!(bytes == text.as_bytes());
    }
    Ok(())
}

fn wide() -> Result<()> {
    let entries = if std::env::var_os("BAILIWICK_LONG").is_some() { 1_000_000 } else { 50_000 };
    let alone = Alone::new()?;
    alone.run(&["init"])?;
    let tree = alone.path("tree");
    fs::create_dir(&tree)?;
    // Most are empty: to make room again for the others takes some disks long.
    let content = |number: u32| if number.is_multiple_of(997) { number.to_string() } else { String::new() };
    for number in 0..entries {
        fs::write(tree.join(format!("{number:07}")), content(number))?;
    }
    let ran = alone.run(&["run", "--name", "larch", &tree.display().to_string()])?;
    ensure!(ran["status"] == "complete" && ran["files"] == entries, "{ran}");
    let to = alone.path("back");
    let back = alone.run(&["restore", "--name", "larch", "--to", &to.display().to_string()])?;
    ensure!(back["files"] == entries && back["problems"] == 0, "{back}");
    let copy = beneath(&to, &tree);
    for number in 0..entries {
        ensure!(fs::read_to_string(copy.join(format!("{number:07}")))? == content(number), "{number} is another");
    }
    Ok(())
}

fn many_problems() -> Result<()> {
    const MISSING: usize = 900;
    let alone = Alone::new()?;
    alone.run(&["init"])?;
    let tree = alone.path("tree");
    fs::create_dir(&tree)?;
    fs::write(tree.join("file"), "text")?;
    // Long names of nothing: all that is to be said does not fit into one message.
    let noise = noise(MISSING * 880);
    let name = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let path =
        |number: usize| noise[number * 880..(number + 1) * 880].chunks(110).map(name).collect::<Vec<_>>().join("/");
    let missing: Vec<String> = (0..MISSING).map(|number| format!("/none/{number}/{}", path(number))).collect();
    let tree_path = tree.display().to_string();
    let mut words = vec!["run", "--name", "larch", "-o", "json", &tree_path];
    words.extend(missing.iter().map(String::as_str));
    let output = alone.output(&words)?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(11), "it ended with {}: {told}", output.status);
    let result: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(result["problems"] == MISSING && result["status"] == "incomplete", "{result}");
    ensure!(told.contains(&MISSING.to_string()) && told.contains("/none/"), "{told}");
    let to = alone.path("back");
    alone.run(&["restore", "--name", "larch", "--to", &to.display().to_string()])?;
    ensure!(fs::read_to_string(beneath(&to, &tree).join("file"))? == "text");
    ensure!(alone.run(&["snapshots"])?[0]["problems"] == MISSING);
    Ok(())
}

fn clock() -> Result<()> {
    let alone = Alone::new()?;
    let tree = alone.path("tree");
    fs::create_dir(&tree)?;
    fs::write(tree.join("file"), "text")?;
    // A faked clock begins anew with every program.
    let then = |day: &str, words: &[&str]| -> Result<Value> {
        let command = alone.command(&[words, &["-o", "json"]].concat());
        let mut faked = Command::new("faketime");
        faked.args(["-f", &format!("@{day} 00:00:00")]).arg(command.get_program()).args(command.get_args());
        faked.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("DONT_FAKE_MONOTONIC", "1");
        let output = faked.output()?;
        ensure!(output.status.success(), "{words:?}: {output:?}");
        Ok(serde_json::from_slice(&output.stdout)?)
    };
    then("1965-01-01", &["init"])?;
    let path = tree.display().to_string();
    let first = then("1965-01-02", &["run", "--name", "larch", &path])?;
    let second = then("1965-01-03", &["run", "--name", "larch", &path])?;
    ensure!(first["status"] == "complete" && second["status"] == "complete", "{first} {second}");
    let rows = then("1965-01-04", &["snapshots"])?;
    ensure!(rows[0]["id"] == second["snapshot"] && rows[1]["id"] == first["snapshot"], "{rows}");
    ensure!(rows[0]["time"].as_str().is_some_and(|time| time.starts_with("1965-01-03")), "{rows}");
    // And the clock is set right again.
    let third = alone.run(&["run", "--name", "larch", &path])?;
    ensure!(alone.run(&["snapshots"])?[0]["id"] == third["snapshot"]);
    let to = alone.path("back");
    alone.run(&[
        "restore",
        "--snapshot",
        first["snapshot"].as_str().context("an id")?,
        "--to",
        &to.display().to_string(),
    ])?;
    ensure!(fs::read_to_string(beneath(&to, &tree).join("file"))? == "text");
    Ok(())
}
