//! The console in a real browser, driven by `tests/browser/console.mjs`.

use crate::backup;
use crate::jobs::{own_plugin_is_ready, plugin_is_ready};
use crate::machines::{arrive, site_with_network};
use anyhow::{Context, Result, ensure};
use end_to_end::process::{built, root, run};
use end_to_end::{Case, Site, Start};
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

pub(crate) fn cases() -> Vec<Case> {
    let namespaces = "machines of their own live in network namespaces";
    vec![
        Case::new("browser::a_day_at_the_console", a_day_at_the_console).root(namespaces),
        Case::new("browser::hostile_text_is_inert", hostile_text_is_inert),
        Case::new("browser::files_are_found_in_a_snapshot_and_restored", restored_from_a_tree).root(namespaces),
    ]
}

/// Where the pictures go.
fn pictures() -> Result<PathBuf> {
    let folder = built().parent().context("no target folder")?.join("xtask/screenshots");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Runs one of the browser's scenarios with what it needs to know.
fn browse(scenario: &str, facts: &serde_json::Value) -> Result<()> {
    let folder = root().join("tests/browser");
    ensure!(folder.join("node_modules").is_dir(), "the browser driver is missing; `cargo xtask test` installs it");
    let mut node = Command::new("node");
    node.arg(format!("{scenario}.mjs")).arg(facts.to_string()).current_dir(folder);
    print!("{}", run(&mut node)?);
    Ok(())
}

fn a_day_at_the_console() -> Result<()> {
    let (network, site) = site_with_network(Start { local_agent: true, ..Start::default() })?;
    let manager = site.manager()?;
    let _machines = arrive(&network, &site, &manager, &["hazel", "iris"])?;
    let arriving = network.machine("juniper")?;
    let line: Vec<String> = {
        let mut command = arriving.command(&end_to_end::process::program("bailiwick-agent"));
        command.args(["run", "--state"]).arg(arriving.state()).arg("--join");
        std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| word.to_string_lossy().into_owned())
            .collect()
    };
    browse(
        "console",
        &json!({"signIn": site.sign_in, "url": site.url, "machines": ["hazel", "iris"], "arriving": "juniper", "agent": line,
                "pictures": pictures()?}),
    )
}

/// A picture of one dot.
const DOT: &[u8] = &[
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0, 58, 126, 155,
    85, 0, 0, 0, 10, 73, 68, 65, 84, 120, 156, 99, 104, 0, 0, 0, 130, 0, 129, 119, 205, 114, 182, 0, 0, 0, 0, 73, 69,
    78, 68, 174, 66, 96, 130,
];

/// A folder is backed up twice, looked into at both moments, and a part of it comes back.
fn restored_from_a_tree() -> Result<()> {
    let (network, site) = site_with_network(Start { plugins: vec!["backup"], ..Start::default() })?;
    let manager = site.manager()?;
    let _machines = arrive(&network, &site, &manager, &["larch"])?;
    plugin_is_ready(&manager, "larch")?;
    own_plugin_is_ready(&manager)?;
    let folder = tempfile::tempdir()?;
    let tree = folder.path().join("tree");
    for (name, text) in [("deep/er/leaf.txt", "leaf\n"), ("gone.txt", "still here\n"), ("hello.txt", "hello\n")] {
        let path = tree.join("docs").join(name);
        fs::create_dir_all(path.parent().context("it has one")?)?;
        fs::write(path, text)?;
    }
    std::os::unix::fs::symlink("../hello.txt", tree.join("docs/deep/link"))?;
    fs::write(tree.join("docs/dot.png"), DOT)?;
    let back_up = || manager.run("backup.run", &json!({"machine": "larch", "path": [tree]}));
    back_up()?;
    fs::remove_file(tree.join("docs/gone.txt"))?;
    back_up()?;
    let (to, occupied) = (folder.path().join("back"), folder.path().join("occupied"));
    let [came, taken] = [&to, &occupied].map(|place| backup::beneath(place, &tree).join("docs"));
    fs::create_dir_all(&taken)?;
    fs::write(taken.join("gone.txt"), "somebody else's\n")?;
    let (saved, archive) = (folder.path().join("gone.txt"), folder.path().join("deep.tar"));
    browse(
        "restore",
        &json!({"signIn": site.sign_in, "url": site.url, "machine": "larch", "to": to, "occupied": occupied,
                "saved": saved, "archive": archive, "pictures": pictures()?}),
    )?;
    ensure!(fs::read_to_string(saved)? == "still here\n");
    let listed = run(Command::new("tar").arg("-tf").arg(&archive))?;
    ensure!(listed.lines().eq(["deep/", "deep/er/", "deep/er/leaf.txt", "deep/link"]), "{listed}");
    ensure!(fs::read_to_string(came.join("gone.txt"))? == "still here\n");
    backup::same(&tree.join("docs/deep"), &came.join("deep"))?;
    ensure!(!came.join("hello.txt").exists(), "what was not selected came back");
    ensure!(fs::read_to_string(taken.join("gone.txt"))? == "somebody else's\n", "what was there is not what it was");
    backup::same(&tree.join("docs/deep"), &taken.join("deep"))
}

fn hostile_text_is_inert() -> Result<()> {
    let site = Site::with_local_agent()?;
    let manager = site.manager()?;
    let texts = [
        "<img src=x onerror=\"document.title='owned'\">",
        "\"><script>document.title='owned'</script>",
        "javascript:alert(1)",
        "\u{202e}gnp.exe",
        "=1+1",
    ];
    crate::greet_each(&site, &manager, &texts)?;
    browse("hostile", &json!({"signIn": site.sign_in, "url": site.url}))
}
