//! What must be on the machine besides Rust, and how it gets there.
//!
//! As root, Debian's packages are installed. Anybody else is told the one line to run as root.

use crate::process;
use anyhow::{Context, Result, bail};
use std::process::Command;

/// Something the machine must have.
pub(crate) struct Need {
    /// What is missing, in words.
    what: &'static str,
    /// Debian's packages that bring it.
    packages: &'static [&'static str],
    present: fn() -> bool,
}

/// What building needs.
pub(crate) const BUILD: &[Need] = &[
    Need { what: "a C compiler", packages: &["gcc", "libc6-dev"], present: || process::find("cc").is_some() },
    Need {
        what: "node 20 or newer",
        packages: &["nodejs"],
        present: || node_version().is_some_and(|major| major >= 20),
    },
    Need { what: "npm", packages: &["npm"], present: || process::find("npm").is_some() },
];

/// What the tests need beside.
pub(crate) const TEST: &[Need] = &[
    Need { what: "ip", packages: &["iproute2"], present: || process::find("ip").is_some() },
    Need { what: "unshare", packages: &["util-linux"], present: || process::find("unshare").is_some() },
    Need { what: "curl", packages: &["curl"], present: || process::find("curl").is_some() },
    Need { what: "strace", packages: &["strace"], present: || process::find("strace").is_some() },
    Need { what: "chromium", packages: &["chromium"], present: || process::find("chromium").is_some() },
    Need { what: "python3", packages: &["python3"], present: || process::find("python3").is_some() },
    Need { what: "rsync", packages: &["rsync"], present: || process::find("rsync").is_some() },
    Need { what: "getfacl and setfacl", packages: &["acl"], present: || process::find("setfacl").is_some() },
    Need { what: "getfattr", packages: &["attr"], present: || process::find("getfattr").is_some() },
    Need { what: "tar", packages: &["tar"], present: || process::find("tar").is_some() },
    Need { what: "restic", packages: &["restic"], present: || process::find("restic").is_some() },
    Need { what: "faketime", packages: &["faketime"], present: || process::find("faketime").is_some() },
    Need { what: "borg", packages: &["borgbackup"], present: || process::find("borg").is_some() },
    Need { what: "python3's venv", packages: &["python3-venv"], present: has_venv },
];

/// Installs what is missing, or says how.
pub(crate) fn require(needs: &[Need]) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !(need.present)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let what = missing.iter().map(|need| need.what).collect::<Vec<_>>().join(", ");
    let packages: Vec<&str> = missing.iter().flat_map(|need| need.packages.iter().copied()).collect();
    if !process::is_root() {
        bail!("Missing here: {what}. Run this line as root, then try again:\n\n    {}\n", install_line(&packages));
    }
    if process::find("apt-get").is_none() {
        bail!("Missing here: {what}. This system has no apt-get: install them with its own package manager.");
    }
    println!("Installing {what} …");
    process::run(Command::new("apt-get").args(["update", "-q"]))?;
    process::run(
        Command::new("apt-get")
            .args(["install", "-y", "-q", "--no-install-recommends"])
            .args(&packages)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )?;
    let still: Vec<&str> = missing.iter().filter(|need| !(need.present)()).map(|need| need.what).collect();
    if !still.is_empty() {
        bail!("Still missing after the installation: {}. Debian's package may be too old here.", still.join(", "));
    }
    Ok(())
}

fn install_line(packages: &[&str]) -> String {
    format!("apt-get update && apt-get install -y --no-install-recommends {}", packages.join(" "))
}

fn node_version() -> Option<u32> {
    major(&process::output(Command::new("node").arg("--version")).context("node").ok()?)
}

/// `20` of `v20.20.2`.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn has_venv() -> bool {
    Command::new("python3").args(["-c", "import venv, ensurepip"]).output().is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_node_prints() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("20.1"), None);
    }

    #[test]
    fn an_ordinary_user_is_told_one_line() {
        assert_eq!(install_line(&["a", "b"]), "apt-get update && apt-get install -y --no-install-recommends a b");
    }
}
