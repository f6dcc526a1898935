//! The console in a real browser, driven by `tests/browser/console.mjs`.

use crate::machines::{arrive, site_with_network};
use anyhow::{Context, Result, ensure};
use end_to_end::process::{built, root, run};
use end_to_end::{Case, Site, Start};
use serde_json::json;
use std::path::PathBuf;
use std::process::Command;

pub(crate) fn cases() -> Vec<Case> {
    let namespaces = "machines of their own live in network namespaces";
    vec![
        Case::new("browser::a_day_at_the_console", a_day_at_the_console).root(namespaces),
        Case::new("browser::hostile_text_is_inert", hostile_text_is_inert),
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
