//! Ten machines with most of their files in common: each byte of them crosses the network once.

use super::{Grove, grove, noise};
use anyhow::{Context, Result, ensure};
use end_to_end::client::FINAL;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const NAMES: [&str; 10] = ["alder", "ash", "aspen", "beech", "elder", "hazel", "holly", "larch", "maple", "rowan"];
/// Bytes of each of four common files and of one own file.
const PART: usize = 1 << 20;
/// What one run may say beside chunks and files: its questions, and what the agent itself has to tell.
const TALK: u64 = 96 << 10;

/// Four fifths of it are the same for every number; half of either can be compressed.
fn plant(tree: &Path, number: u64) -> Result<()> {
    for (folder, files, seed) in [("common", 4, 0), ("own", 1, 1 + number)] {
        fs::create_dir_all(tree.join(folder))?;
        for file in 0..files {
            let mut bytes = noise(seed * 100 + file, PART / 2);
            let text = noise(seed * 100 + file + 50, PART / 4);
            bytes.extend(text.iter().flat_map(|byte| [b'a' + byte % 16, b'\n']));
            fs::write(tree.join(format!("{folder}/{file}")), bytes)?;
        }
    }
    Ok(())
}

/// Has these machines back up their trees at the same time.
fn back_up(grove: &Grove, trees: &Path, machines: std::ops::Range<usize>) -> Result<Vec<Value>> {
    let submit = |number: usize| {
        let input = json!({"machine": NAMES[number], "path": [trees.join(number.to_string())]});
        grove.manager.submit("backup.run", &input)
    };
    let jobs = machines.map(submit).collect::<Result<Vec<String>>>()?;
    let ended = |job: &String| {
        let job = grove.manager.job_in(job, FINAL)?;
        ensure!(job["state"] == "succeeded", "{job}");
        Ok(job["result"].clone())
    };
    jobs.iter().map(ended).collect()
}

pub(super) fn ten_machines() -> Result<()> {
    let grove = grove(&NAMES)?;
    let trees = tempfile::tempdir()?;
    for number in 0..NAMES.len() {
        plant(&trees.path().join(number.to_string()), number as u64)?;
    }
    let counted = || grove.machines.iter().map(|machine| machine.sent_bytes()).sum::<Result<u64>>();
    let before = counted()?;
    let mut ran = back_up(&grove, trees.path(), 0..1)?;
    ran.extend(back_up(&grove, trees.path(), 1..NAMES.len())?);
    let on_the_wire = counted()? - before;
    let sent: u64 = ran.iter().filter_map(|result| result["sent_bytes"].as_u64()).sum();
    let stats = grove.manager.run("backup.stats", &json!({}))?;
    let unique = stats["result"]["physical_bytes"].as_u64().context("the vault has a size")?;
    println!("unique compressed {unique}, sent {sent}, on the wire {on_the_wire}");
    ensure!(unique > 8 * PART as u64, "the vault has too little in it: {stats}");
    ensure!(sent * 100 <= unique * 105, "{sent} bytes were sent for {unique} unique ones");
    // What the runs say they sent is what left the machines, but for what frames, TLS and the agent add.
    ensure!((sent..sent * 106 / 100 + TALK * NAMES.len() as u64).contains(&on_the_wire), "{on_the_wire} for {sent}");
    for result in &ran[1..] {
        ensure!(result["sent_bytes"].as_u64() < Some(PART as u64 * 9 / 10), "what others had was sent: {result}");
    }
    let to = trees.path().join("back");
    let back = json!({"machine": NAMES[9], "snapshot": "latest", "to": to});
    ensure!(grove.manager.run("backup.restore", &back)?["result"]["problems"] == 0);
    super::same(&trees.path().join("9"), &super::beneath(&to, &trees.path().join("9")))
}
