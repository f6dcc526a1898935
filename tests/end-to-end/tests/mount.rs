//! Snapshots of a vault as folders, through the kernel and the programs that look at folders.

use crate::backup::Alone;
use anyhow::{Context, Result, ensure};
use end_to_end::process::{Running, children, run};
use end_to_end::{Case, soon};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use trees::compare::{self, Same};
use trees::{Nasty, beneath, noise};

pub(crate) fn cases() -> Vec<Case> {
    let mounts = "it mounts a file system";
    vec![
        Case::new("mount::a_nasty_tree_is_the_same_to_every_program", nasty).root(mounts),
        Case::new("mount::what_is_damaged_is_an_error_that_names_the_file", damaged).root(mounts),
        Case::new("mount::it_stays_true_while_backups_go_on_and_snapshots_go", beside).root(mounts),
        Case::new("mount::a_huge_directory_is_listed_quickly_in_little_memory", huge).root(mounts),
        Case::new("mount::others_look_only_if_that_is_asked_for_and_at_what_they_may", others).root(mounts),
        Case::new("mount::what_will_not_do_is_named", refused).root(mounts),
        Case::new("mount::however_it_ends_the_next_one_begins", ends).root(mounts),
    ]
}

/// A vault with snapshots of a tree, and a folder to mount it on.
struct Vault {
    alone: Alone,
    tree: PathBuf,
    point: PathBuf,
}

impl Vault {
    fn new() -> Result<Vault> {
        let alone = Alone::new()?;
        alone.run(&["init"])?;
        let (tree, point) = (alone.path("tree"), alone.path("point"));
        fs::create_dir(&point)?;
        Ok(Vault { alone, tree, point })
    }

    fn back_up(&self) -> Result<()> {
        let ran = self.alone.run(&["run", "--name", "larch", &self.tree.display().to_string()])?;
        ensure!(ran["status"] == "complete", "{ran}");
        Ok(())
    }

    fn mount(&self, words: &[&str]) -> Result<Running> {
        let point = self.point.display().to_string();
        let mut mount = Running::start("mount", &mut self.alone.command(&[&["mount", &point], words].concat()))?;
        mount.line(Duration::from_secs(30), |line| line.contains("the snapshots are in"))?;
        Ok(mount)
    }

    /// The tree in the latest snapshot.
    fn shown(&self) -> PathBuf {
        beneath(&self.point.join("larch/latest"), &self.tree)
    }

    fn unmount(&self, mut mount: Running) -> Result<()> {
        run(Command::new("umount").arg(&self.point))?;
        let ended = mount.wait(Duration::from_secs(10))?;
        ensure!(ended.success(), "it ended with {ended}: {}", mount.tail());
        Ok(())
    }
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = entries.collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

fn nasty() -> Result<()> {
    let vault = Vault::new()?;
    let nasty = Nasty::make(vault.tree.clone());
    ensure!(nasty.missing.is_empty(), "{:?}", nasty.missing);
    vault.back_up()?;
    let mount = vault.mount(&[])?;
    ensure!(names(&vault.point)? == ["larch"]);
    let shown = vault.shown();
    compare::ourselves(&vault.tree, &shown, Same::Everything);
    compare::programs(&vault.tree, &shown);
    // Whichever name is looked at first.
    let numbers = ["links/zz-big", "links/a/big"].map(|name| fs::metadata(shown.join(name)).map(|found| found.ino()));
    ensure!(matches!(numbers, [Ok(one), Ok(other)] if one == other), "{numbers:?}");
    let written = fs::write(shown.join("new"), "");
    ensure!(written.as_ref().is_err_and(|error| error.raw_os_error() == Some(30)), "{written:?}");
    vault.unmount(mount)
}

fn damaged() -> Result<()> {
    let vault = Vault::new()?;
    fs::create_dir(&vault.tree)?;
    for number in 0..40 {
        fs::write(vault.tree.join(format!("file-{number:02}")), noise(200_000 + number))?;
    }
    vault.back_up()?;
    let find = ["vault/packs", "-name", "*.pack", "-size", "+1000k"];
    let packs = run(Command::new("find").args(find).current_dir(vault.alone.path("")))?;
    let pack = vault.alone.path(packs.lines().next().context("there is no pack")?);
    let mut bytes = fs::read(&pack)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&pack, bytes)?;
    let mut mount = vault.mount(&[])?;
    let mut lost = Vec::new();
    for name in names(&vault.tree)? {
        match fs::read(vault.shown().join(&name)) {
            Ok(bytes) => ensure!(bytes == fs::read(vault.tree.join(&name))?, "{name} is something else"),
            Err(error) => {
                ensure!(error.raw_os_error() == Some(5), "{name}: {error}");
                lost.push(name);
            }
        }
    }
    // A segment holds three such files.
    ensure!((1..=4).contains(&lost.len()), "{lost:?}");
    for name in lost {
        let told = mount.line(Duration::from_secs(10), |line| line.contains(&format!("/{name} cannot be read")))?;
        ensure!(told.contains("larch/20") && told.contains("damaged in pack"), "{told}");
    }
    vault.unmount(mount)
}

fn beside() -> Result<()> {
    let vault = Vault::new()?;
    fs::create_dir(&vault.tree)?;
    let write = |name: &str, length| fs::write(vault.tree.join(name), noise(length));
    // More than one pack: the one with its beginning is not open when it goes.
    write("first", 40_000_000)?;
    vault.back_up()?;
    let mut mount = vault.mount(&[])?;
    let first = names(&vault.point.join("larch"))?;
    ensure!(first.len() == 2 && first[1] == "latest", "{first:?}");
    let old = beneath(&vault.point.join("larch").join(&first[0]), &vault.tree);
    let open = fs::File::open(old.join("first"))?;

    write("second", 2_000_000)?;
    fs::remove_file(vault.tree.join("first"))?;
    vault.back_up()?;
    soon("the new snapshot is shown", || Ok(vault.shown().join("second").exists().then_some(())))?;
    ensure!(fs::read(vault.shown().join("second"))? == noise(2_000_000));
    ensure!(!vault.shown().join("first").exists() && old.join("first").exists());

    let list = vault.alone.run(&["snapshots"])?;
    let id = list[1]["id"].as_str().context("an id")?;
    vault.alone.run(&["forget", "--snapshot", id, "--immutable-days", "0"])?;
    soon("the removed snapshot is gone", || Ok((names(&vault.point.join("larch"))?.len() == 2).then_some(())))?;
    ensure!(!vault.point.join("larch").join(&first[0]).exists());
    ensure!(vault.shown().join("second").exists());
    // As a prune leaves it, days later.
    for pack in
        run(Command::new("find").args(["vault/packs", "-name", "*.pack"]).current_dir(vault.alone.path("")))?.lines()
    {
        fs::remove_file(vault.alone.path(pack))?;
    }
    let mut bytes = vec![0; 100];
    let read = std::os::unix::fs::FileExt::read_at(&open, &mut bytes, 5);
    ensure!(read.as_ref().is_err_and(|error| error.raw_os_error() == Some(116)), "{read:?}");
    mount.line(Duration::from_secs(10), |line| line.contains("/first cannot be read. Its snapshot was removed"))?;
    drop(open);
    vault.unmount(mount)
}

/// Bytes of memory that a program and its threads hold.
fn resident(id: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let kibibytes: u64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kibibytes << 10)
}

fn huge() -> Result<()> {
    const ENTRIES: usize = 100_000;
    let vault = Vault::new()?;
    fs::create_dir_all(vault.tree.join("many"))?;
    for number in 0..ENTRIES {
        fs::File::create(vault.tree.join(format!("many/a rather long name of a file {number}")))?;
    }
    vault.back_up()?;
    let mount = vault.mount(&[])?;
    let many = vault.shown().join("many");
    let before = resident(mount.id())?;
    let begun = Instant::now();
    let listed = run(Command::new("ls").arg("-l").arg(&many))?;
    ensure!(listed.lines().count() == ENTRIES + 1);
    let took = begun.elapsed();
    let after = resident(mount.id())?;
    println!("ls -l of {ENTRIES} entries took {took:?}; {} MiB, then {} MiB", before >> 20, after >> 20);
    ensure!(took < Duration::from_secs(60), "it took {took:?}");
    ensure!(after < before + (96 << 20), "{after} bytes of memory, {before} before");
    ensure!(children(mount.id()).is_empty());
    // By name, without a list.
    let one = many.join(format!("a rather long name of a file {}", ENTRIES / 2));
    ensure!(one.exists() && !many.join("no such name").exists());
    vault.unmount(mount)
}

fn as_nobody(words: &[&str]) -> Result<Output> {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).args(words);
    Ok(command.env("LC_ALL", "C").output()?)
}

fn others() -> Result<()> {
    let vault = Vault::new()?;
    // So that nothing but the mount is in their way.
    fs::set_permissions(vault.alone.path(""), fs::Permissions::from_mode(0o755))?;
    fs::create_dir(&vault.tree)?;
    for (name, mode) in [("public", 0o644), ("secret", 0o600), ("shared", 0o600)] {
        fs::write(vault.tree.join(name), name)?;
        fs::set_permissions(vault.tree.join(name), fs::Permissions::from_mode(mode))?;
    }
    run(Command::new("setfacl").args(["-m", "u:65534:r"]).arg(vault.tree.join("shared")))?;
    vault.back_up()?;
    let shown = |name: &str| vault.shown().join(name).display().to_string();
    let mount = vault.mount(&[])?;
    let (list, public) =
        (as_nobody(&["ls", &vault.point.display().to_string()])?, as_nobody(&["cat", &shown("public")])?);
    ensure!(!list.status.success() && !public.status.success(), "{list:?} {public:?}");
    vault.unmount(mount)?;

    let mount = vault.mount(&["--allow-other"])?;
    for name in ["public", "shared"] {
        let read = as_nobody(&["cat", &shown(name)])?;
        ensure!(read.stdout == name.as_bytes(), "{read:?}");
    }
    let secret = as_nobody(&["cat", &shown("secret")])?;
    ensure!(String::from_utf8_lossy(&secret.stderr).contains("Permission denied"), "{secret:?}");
    vault.unmount(mount)
}

fn refused() -> Result<()> {
    let vault = Vault::new()?;
    fs::write(vault.point.join("something"), "")?;
    fs::write(vault.alone.path("file"), "")?;
    fs::create_dir(vault.alone.path("vault/inside"))?;
    let refuse = |command: &mut Command, parts: &[&str]| -> Result<()> {
        let output = command.output()?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!output.status.success() && !told.contains("panicked"), "{output:?}");
        for part in parts {
            ensure!(told.contains(part), "{part:?} is not in {told}");
        }
        Ok(())
    };
    for (point, says) in [
        ("none", "cannot be used"),
        ("file", "is no folder"),
        ("point", "is not empty"),
        ("vault/inside", "is in the vault itself"),
    ] {
        let point = vault.alone.path(point).display().to_string();
        refuse(&mut vault.alone.command(&["mount", &point]), &[says, &point])?;
    }
    fs::remove_file(vault.point.join("something"))?;
    let point = vault.point.display().to_string();
    let mount = vault.mount(&[])?;
    refuse(&mut vault.alone.command(&["mount", &point]), &["already", &point])?;
    vault.unmount(mount)?;

    // Where there is no such device.
    let command = vault.alone.command(&["mount", &point]);
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect();
    let script = format!("mount -t tmpfs none /dev && exec {}", words.join(" "));
    let mut bare = Command::new("unshare");
    bare.args(["--mount", "sh", "-c", &script]).env("BAILIWICK_STATE", vault.alone.path("state"));
    refuse(&mut bare, &["/dev/fuse", "modprobe fuse"])
}

fn ends() -> Result<()> {
    let vault = Vault::new()?;
    fs::create_dir(&vault.tree)?;
    fs::write(vault.tree.join("file"), "text")?;
    vault.back_up()?;
    let is_mounted = || -> Result<bool> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        Ok(mounts.contains(&vault.point.display().to_string()))
    };
    let mut mount = vault.mount(&[])?;
    mount.kill();
    let dead = fs::read_dir(&vault.point);
    ensure!(dead.as_ref().is_err_and(|error| error.raw_os_error() == Some(107)), "{dead:?}");

    let mut mount = vault.mount(&[])?;
    ensure!(fs::read_to_string(vault.shown().join("file"))? == "text");
    mount.signal("INT")?;
    let ended = mount.wait(Duration::from_secs(10))?;
    ensure!(ended.success() && !is_mounted()?, "{ended}: {}", mount.tail());

    // Somebody is still in it.
    let mut mount = vault.mount(&[])?;
    let open = fs::File::open(vault.shown().join("file"))?;
    mount.signal("TERM")?;
    let ended = mount.wait(Duration::from_secs(10))?;
    ensure!(ended.success() && !is_mounted()?, "{ended}: {}", mount.tail());
    ensure!(mount.lines().iter().any(|line| line.contains("still used by programs")), "{}", mount.tail());
    drop(open);
    let mount = vault.mount(&[])?;
    vault.unmount(mount)
}
