//! What a plugin may need without anybody's leave, and what the operator of this machine has granted besides.
//!
//! Grants stand in `plugins.toml` of the host's state directory, a table for each plugin in the words of its manifest:
//! `printers = { user = "root", capabilities = ["CAP_SYS_ADMIN"], read = ["/"] }`. Nothing but that file widens what
//! a manifest may ask for, and it is read again whenever a plugin is started. Paths and devices in it are the plugin's
//! also where its manifest cannot know them: a folder that the operator chose by a setting.

use crate::wire::Failed;
use schema::{Needs, Problem};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Component, Path, PathBuf};

const FILE: &str = "plugins.toml";

/// Reading past the owners of files is bounded by the paths that may be read at all.
const HARMLESS: &[&str] = &["CAP_DAC_READ_SEARCH"];

/// What is nobody's business: not to be read past its owner.
const PRIVATE: &[&str] = &[
    "/boot",
    "/dev/kmem",
    "/dev/mem",
    "/dev/port",
    "/etc/gshadow",
    "/etc/shadow",
    "/etc/ssh",
    "/etc/ssl/private",
    "/home",
    "/root",
    "/run/credentials",
    "/run/secrets",
    "/run/user",
    "/var/lib",
    "/var/spool",
];

/// What a plugin gets: what it needs, and the paths that were granted to it besides.
///
/// # Errors
/// What it needs beyond what any plugin may have and what was granted to this one, and the line that would grant it.
pub(crate) fn check(state_dir: &Path, plugin: &str, needs: &Needs, memory_mib: u32) -> Result<Needs, Failed> {
    let file = state_dir.join(FILE);
    let granted = read(&file)?.remove(plugin).unwrap_or_default();
    let refused = refused(needs, &granted, memory_mib);
    if refused.is_empty() {
        let mut gets = needs.clone();
        add(&mut gets.read, &granted.read);
        add(&mut gets.write, &granted.write);
        add(&mut gets.devices, &granted.devices);
        return Ok(gets);
    }
    let all: Vec<&str> = refused.iter().map(|one| one.what.as_str()).collect();
    let line: Vec<&str> = refused.iter().map(|one| one.grant.as_str()).collect();
    Err(Failed {
        cause: format!("The plugin needs what nobody granted it here: {}.", all.join(", ")),
        remedy: format!(
            "If it is to have that, write {plugin} = {{ {} }} into {} and enable the plugin again.",
            line.join(", "),
            file.display()
        ),
        details: None,
    })
}

/// Grants `plugin` this much in the host of this state directory, besides what was granted before: for who starts a
/// site for one module and trusts it as they would the module alone.
///
/// # Errors
/// The grants there are cannot be read, or the new ones not written.
pub fn grant(state_dir: &Path, plugin: &str, needs: &Needs) -> Result<(), Problem> {
    let file = state_dir.join(FILE);
    let failed = |cause: String| Problem::internal(cause).fix("Look at the state directory.");
    let mut all = read(&file).map_err(|failed| Problem::bad_request(failed.cause).fix(failed.remedy))?;
    let before = all.get(plugin).cloned().unwrap_or_default();
    let mut granted = before.clone();
    granted.user = needs.user.clone().or(granted.user);
    add(&mut granted.capabilities, &needs.capabilities);
    add(&mut granted.read, &needs.read);
    add(&mut granted.write, &needs.write);
    add(&mut granted.devices, &needs.devices);
    granted.memory_mib = granted.memory_mib.max(needs.memory_mib);
    if granted == before {
        return Ok(());
    }
    all.insert(plugin.to_owned(), granted);
    let text = toml::to_string(&all).map_err(|e| failed(format!("the grants cannot be written: {e}.")))?;
    let new = file.with_extension("new");
    let written = std::fs::create_dir_all(state_dir)
        .and_then(|()| std::fs::write(&new, text))
        .and_then(|()| std::fs::rename(&new, &file));
    written.map_err(|e| failed(format!("{} cannot be written: {e}.", file.display())))
}

fn add(to: &mut Vec<String>, more: &[String]) {
    for one in more {
        if !to.contains(one) {
            to.push(one.clone());
        }
    }
}

fn read(file: &Path) -> Result<BTreeMap<String, Needs>, Failed> {
    let unreadable = |e: &dyn std::fmt::Display| {
        let first = e.to_string().lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        Failed {
            cause: format!("The grants of plugins in {} cannot be read: {first}.", file.display()),
            remedy: "Mend the file, and enable the plugin again.".to_owned(),
            details: None,
        }
    };
    match std::fs::read_to_string(file) {
        Ok(text) => toml::from_str(&text).map_err(|e| unreadable(&e)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(e) => Err(unreadable(&e)),
    }
}

struct Refused {
    what: String,
    /// As it stands in the file.
    grant: String,
}

fn refused(needs: &Needs, granted: &Needs, memory_mib: u32) -> Vec<Refused> {
    let mut all = Vec::new();
    if let Some(user) = needs.user.as_ref().filter(|user| granted.user.as_ref() != Some(user)) {
        all.push(Refused { what: format!("to run as {user}"), grant: format!("user = {user:?}") });
    }
    let missing =
        |capability: &&String| !HARMLESS.contains(&capability.as_str()) && !granted.capabilities.contains(capability);
    let capabilities: Vec<&String> = needs.capabilities.iter().filter(missing).collect();
    list(&mut all, "capabilities", "", &capabilities, &needs.capabilities);
    let past_owners = !needs.capabilities.is_empty();
    let read: Vec<&String> =
        needs.read.iter().filter(|path| !is_within(path, &granted.read) && is_private(path, past_owners)).collect();
    list(&mut all, "read", "to read ", &read, &needs.read);
    let write: Vec<&String> = needs.write.iter().filter(|path| !is_within(path, &granted.write)).collect();
    list(&mut all, "write", "to write ", &write, &needs.write);
    let devices: Vec<&String> = needs.devices.iter().filter(|path| !is_within(path, &granted.devices)).collect();
    list(&mut all, "devices", "the device ", &devices, &needs.devices);
    if let Some(memory) = needs.memory_mib.filter(|memory| *memory > memory_mib.max(granted.memory_mib.unwrap_or(0))) {
        all.push(Refused { what: format!("{memory} MiB of memory"), grant: format!("memory_mib = {memory}") });
    }
    all
}

/// One line for all of a list, since a second of the same name would not be a second grant but a fault.
fn list(all: &mut Vec<Refused>, name: &str, verb: &str, missing: &[&String], whole: &[String]) {
    let mut what = String::new();
    for one in missing {
        let comma = if what.is_empty() { "" } else { ", " };
        // Writing into a text cannot fail.
        let _ = write!(what, "{comma}{verb}{one}");
    }
    if !missing.is_empty() {
        all.push(Refused { what, grant: format!("{name} = {whole:?}") });
    }
}

fn is_within(path: &str, granted: &[String]) -> bool {
    granted.iter().any(|one| real(path).starts_with(real(one)))
}

/// Whether a path leads to what is private. Without powers the owners of files see to that, but for everything at once.
fn is_private(path: &str, past_owners: bool) -> bool {
    let path = real(path);
    let plain = path.is_absolute() && path.components().all(|part| part != Component::ParentDir);
    let private = |private: &&str| path.starts_with(private) || Path::new(private).starts_with(&path);
    !plain || path == Path::new("/") || past_owners && PRIVATE.iter().any(private)
}

/// Where a path leads, by links that exist; the rules of a runner follow them too.
fn real(path: &str) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(json: &str) -> Needs {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_is_sensitive_is_refused_with_the_line_that_grants_it() {
        let dir = tempfile::tempdir().unwrap();
        for asked in [
            r#"{"user":"root"}"#,
            r#"{"user":"postgres"}"#,
            r#"{"capabilities":["CAP_SYS_ADMIN"]}"#,
            r#"{"capabilities":["CAP_DAC_READ_SEARCH","CAP_SYS_PTRACE"]}"#,
            r#"{"read":["/"]}"#,
            r#"{"read":["/proc/self/root"]}"#,
            r#"{"read":["/nowhere/../.."]}"#,
            r#"{"capabilities":["CAP_DAC_READ_SEARCH"],"read":["/etc"]}"#,
            r#"{"capabilities":["CAP_DAC_READ_SEARCH"],"read":["/home/ada"]}"#,
            r#"{"write":["/etc"]}"#,
            r#"{"devices":["/dev/sda"]}"#,
            r#"{"memory_mib":4096}"#,
            r#"{"user":"root","capabilities":["CAP_SYS_ADMIN"],"read":["/"],"write":["/srv"],"memory_mib":4096}"#,
        ] {
            let asked = needs(asked);
            let file = dir.path().join("plugins.toml");
            let _ = std::fs::remove_file(&file);
            let failed = check(dir.path(), "p", &asked, 2048).unwrap_err();
            assert!(!failed.cause.contains('\n') && !failed.remedy.contains('\n'), "{failed:?}");
            let line = failed.remedy.split_once("write ").unwrap().1.rsplit_once(" into ").unwrap().0;
            std::fs::write(&file, format!("# by the operator\nother = {{ user = \"root\" }}\n{line}\n")).unwrap();
            check(dir.path(), "p", &asked, 2048).unwrap_or_else(|failed| panic!("{line}: {failed:?}"));
            assert!(check(dir.path(), "q", &asked, 2048).is_err(), "a grant is for one plugin");
        }
    }

    #[test]
    fn what_any_plugin_may_have_needs_no_grant() {
        let dir = tempfile::tempdir().unwrap();
        for asked in [
            r"{}",
            r#"{"network":true,"programs":true,"memory_mib":2048}"#,
            r#"{"read":["/etc","/var/log"]}"#,
            r#"{"capabilities":["CAP_DAC_READ_SEARCH"],"read":["/proc","/sys","/dev/pts","/etc/os-release"]}"#,
        ] {
            check(dir.path(), "p", &needs(asked), 2048).unwrap_or_else(|failed| panic!("{asked}: {failed:?}"));
        }
    }

    #[test]
    fn a_granted_path_is_the_plugins_though_its_manifest_does_not_know_it() {
        let dir = tempfile::tempdir().unwrap();
        grant(dir.path(), "p", &needs(r#"{"read":["/"],"memory_mib":4096}"#)).unwrap();
        grant(dir.path(), "q", &needs(r#"{"user":"root"}"#)).unwrap();
        grant(dir.path(), "p", &needs(r#"{"write":["/srv/chosen"],"read":["/"]}"#)).unwrap();
        let gets = check(dir.path(), "p", &needs(r#"{"read":["/etc"],"memory_mib":4096}"#), 2048).unwrap();
        assert_eq!(gets, needs(r#"{"read":["/etc","/"],"write":["/srv/chosen"],"memory_mib":4096}"#));
        assert_eq!(check(dir.path(), "q", &Needs::default(), 2048).unwrap(), Needs::default());
        check(dir.path(), "q", &needs(r#"{"user":"root"}"#), 2048).unwrap();
        std::fs::write(dir.path().join(FILE), "p = 1").unwrap();
        assert!(grant(dir.path(), "p", &Needs::default()).is_err(), "what cannot be read is not written over");
    }

    #[test]
    fn a_damaged_file_grants_nothing_and_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("plugins.toml"), "p = { usr = \"root\" }").unwrap();
        let failed = check(dir.path(), "p", &Needs::default(), 2048).unwrap_err();
        assert!(failed.cause.contains("plugins.toml") && !failed.cause.contains('\n'), "{failed:?}");
    }
}
