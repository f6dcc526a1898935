//! A tree with everything that a file system can hold, through the whole product and through restic and borg: ours equals the
//! source to every program, and theirs equal ours in what each of them keeps.

use crate::backup::Alone;
use anyhow::{Result, ensure};
use end_to_end::Case;
use end_to_end::process::run;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use trees::compare::{self, FileType, Named, Names, Same};
use trees::{Nasty, beneath};

pub(crate) fn cases() -> Vec<Case> {
    let owners = "it gives files away, and makes devices";
    vec![
        Case::new("rivals::a_nasty_tree_comes_back_as_it_was", ours).root(owners),
        Case::new("rivals::restic_brings_back_the_same_but_for_what_it_does_not_keep", restic).root(owners),
        Case::new("rivals::borg_brings_back_the_same_but_for_what_it_does_not_keep", borg).root(owners),
    ]
}

/// A tree, and what our backup of it brought back.
struct Restored {
    alone: Alone,
    tree: PathBuf,
    ours: PathBuf,
}

fn restored(prepare: fn(&Path) -> Result<()>) -> Result<Restored> {
    let alone = Alone::new()?;
    let tree = alone.path("tree");
    let nasty = Nasty::make(tree.clone());
    ensure!(nasty.missing.is_empty(), "{:?}", nasty.missing);
    prepare(&tree)?;
    alone.run(&["init"])?;
    let ran = alone.run(&["run", "--name", "larch", &tree.display().to_string()])?;
    ensure!(ran["status"] == "complete", "{ran}");
    let to = alone.path("ours");
    let back = alone.run(&["restore", "--name", "larch", "--to", &to.display().to_string()])?;
    ensure!(back["problems"] == 0 && back["doubtful"] == 0, "{back}");
    let ours = beneath(&to, &tree);
    Ok(Restored { alone, tree, ours })
}

fn ours() -> Result<()> {
    let Restored { alone: _alone, tree, ours } = restored(|_| Ok(()))?;
    compare::ourselves(&tree, &ours, Same::Everything);
    compare::programs(&tree, &ours);
    Ok(())
}

/// Neither knows where the holes of a file are when it reads it: they would read a TiB of zeros for an hour.
fn without_the_huge_one(tree: &Path) -> Result<()> {
    fs::remove_file(tree.join("sparse/huge"))?;
    trees::set_time(&tree.join("sparse"), 1_500_000_000, 5);
    Ok(())
}

/// What is left of a name where a program does not keep all of it; none where it does not keep it at all.
type Kept = fn(&Path, Named) -> Option<Named>;

fn compare_kept(ours: &Path, theirs: &Path, kept: Kept) -> Result<()> {
    let names = |root: &Path| -> Names {
        let all = compare::list(root, Same::Everything).0;
        all.into_iter().filter_map(|(path, named)| Some((path.clone(), kept(&path, named)?))).collect()
    };
    let (ours, theirs) = (names(ours), names(theirs));
    let differences = compare::differences(&ours, &theirs);
    ensure!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    Ok(())
}

/// restic 0.14 loses sockets, that links and pipes have several names, attributes of links, and targets that are no UTF-8.
fn kept_by_restic(path: &Path, named: Named) -> Option<Named> {
    let mut named = named;
    match named.kind {
        FileType::RegularFile | FileType::Directory => {}
        FileType::Socket => return None,
        FileType::Symlink => {
            named.attributes.clear();
            named.first.clear();
        }
        _ => named.first.clear(),
    }
    if path.ends_with("no text") {
        named.what.clear();
    }
    Some(named)
}

fn restic() -> Result<()> {
    let Restored { alone, tree, ours } = restored(without_the_huge_one)?;
    let restic = |words: &[&str]| {
        let mut command = Command::new("restic");
        command.args(["--quiet", "--no-cache", "--repo"]).arg(alone.path("restic")).args(words);
        run(command.env("RESTIC_PASSWORD_FILE", alone.path("password")))
    };
    restic(&["init"])?;
    restic(&["backup", &tree.display().to_string()])?;
    let to = alone.path("theirs");
    restic(&["restore", "latest", "--target", &to.display().to_string()])?;
    compare_kept(&ours, &beneath(&to, &tree), kept_by_restic)
}

/// borg 1.2 loses sockets, that links have several names, and times before 1970 and after the 17th of January 2038.
fn kept_by_borg(_: &Path, named: Named) -> Option<Named> {
    let mut named = named;
    match named.kind {
        FileType::Socket => return None,
        FileType::Symlink => named.first.clear(),
        _ => {}
    }
    named.modified = named.modified.clamp((0, 0), (2_147_310_847, 0));
    Some(named)
}

fn borg() -> Result<()> {
    let Restored { alone, tree, ours } = restored(without_the_huge_one)?;
    let to = alone.path("theirs");
    fs::create_dir(&to)?;
    let repository = alone.path("borg");
    let borg = |words: &[&str]| {
        let mut command = Command::new("borg");
        command.args(words).current_dir(&to).env("BORG_REPO", &repository).env("BORG_BASE_DIR", alone.path("base"));
        run(command.env("BORG_PASSPHRASE", "correct horse battery staple").env("LC_ALL", "C.UTF-8"))
    };
    borg(&["init", "--encryption", "repokey-blake2"])?;
    borg(&["create", "--numeric-ids", "::one", &tree.display().to_string()])?;
    borg(&["extract", "--numeric-ids", "--sparse", "::one"])?;
    compare_kept(&ours, &beneath(&to, &tree), kept_by_borg)
}
