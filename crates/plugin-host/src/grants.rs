//! What a plugin may need without anybody's leave, and what it was granted besides.
//!
//! Grants stand in two files, in the words of the manifest. `plugins.toml` of the host's state directory is the
//! operator's of this machine: `printers = { user = "root", capabilities = ["CAP_SYS_ADMIN"], read = ["/"] }`.
//! `grants.toml` beside the libraries comes with them, for each role: whoever may put a library there decides what runs
//! here, so nobody else may be able to write it. Nothing else widens what a manifest may ask for. Paths and devices in
//! them are the plugin's also where its manifest cannot know them: a folder that the operator chose by a setting.

use crate::wire::Failed;
use schema::{Code, Needs, Problem, Role};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

const FILE: &str = "plugins.toml";
/// Name of the file of grants beside the libraries.
const BESIDE: &str = "grants.toml";

/// What came with a folder of plugins: by name and role, what each is granted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grants(BTreeMap<String, BTreeMap<Role, Needs>>);

impl Grants {
    /// Reads `grants.toml` of a folder of plugins; without one nothing is granted.
    ///
    /// # Errors
    /// It cannot be read or understood, or others than root and this account may write it.
    pub fn beside(folder: &Path) -> Result<Grants, Problem> {
        let file = folder.join(BESIDE);
        let wrong = |why: String| {
            Problem::new(Code::BadRequest, format!("the grants of plugins in {} do not count: {why}.", file.display()))
        };
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Grants::default()),
            Err(e) => return Err(wrong(e.to_string())),
        };
        for path in [&file, &folder.to_owned()] {
            let metadata = std::fs::metadata(path).map_err(|e| wrong(e.to_string()))?;
            let ours = [0, rustix::process::geteuid().as_raw()].contains(&metadata.uid());
            if !ours || metadata.mode() & 0o002 != 0 {
                let why = format!("{} can be written by others", path.display());
                return Err(wrong(why).fix(format!("Make it root's: chown root {0}; chmod go-w {0}", path.display())));
            }
        }
        toml::from_str(&text).map(Grants).map_err(|e| wrong(e.message().to_owned()))
    }

    /// Takes over what others came with. Of one plugin that came twice, the first counts.
    pub fn add(&mut self, more: Grants) {
        for (plugin, roles) in more.0 {
            self.0.entry(plugin).or_insert(roles);
        }
    }

    /// Names of the plugins that are granted something.
    pub fn plugins(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What a plugin is granted in a role.
    pub fn of(&self, plugin: &str, role: Role) -> Needs {
        self.0.get(plugin).and_then(|roles| roles.get(&role)).cloned().unwrap_or_default()
    }
}

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
pub(crate) fn check(
    state_dir: &Path,
    plugin: &str,
    needs: &Needs,
    shipped: &Needs,
    memory_mib: u32,
) -> Result<Needs, Failed> {
    let file = state_dir.join(FILE);
    let granted = joined(read(&file)?.remove(plugin).unwrap_or_default(), shipped);
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

/// What either grants. A plugin runs as one user: that of the machine's own operator comes first.
fn joined(own: Needs, shipped: &Needs) -> Needs {
    let both = |own: Vec<String>, shipped: &[String]| [own, shipped.to_vec()].concat();
    Needs {
        user: own.user.or_else(|| shipped.user.clone()),
        capabilities: both(own.capabilities, &shipped.capabilities),
        read: both(own.read, &shipped.read),
        write: both(own.write, &shipped.write),
        devices: both(own.devices, &shipped.devices),
        network: own.network || shipped.network,
        programs: own.programs || shipped.programs,
        memory_mib: own.memory_mib.max(shipped.memory_mib),
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
            let (asked, none) = (needs(asked), Needs::default());
            let file = dir.path().join("plugins.toml");
            let _ = std::fs::remove_file(&file);
            let failed = check(dir.path(), "p", &asked, &none, 2048).unwrap_err();
            assert!(!failed.cause.contains('\n') && !failed.remedy.contains('\n'), "{failed:?}");
            let line = failed.remedy.split_once("write ").unwrap().1.rsplit_once(" into ").unwrap().0;
            std::fs::write(&file, format!("# by the operator\nother = {{ user = \"root\" }}\n{line}\n")).unwrap();
            check(dir.path(), "p", &asked, &none, 2048).unwrap_or_else(|failed| panic!("{line}: {failed:?}"));
            assert!(check(dir.path(), "q", &asked, &none, 2048).is_err(), "a grant is for one plugin");
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
            check(dir.path(), "p", &needs(asked), &Needs::default(), 2048)
                .unwrap_or_else(|failed| panic!("{asked}: {failed:?}"));
        }
    }

    #[test]
    fn a_granted_path_is_the_plugins_though_its_manifest_does_not_know_it() {
        let dir = tempfile::tempdir().unwrap();
        grant(dir.path(), "p", &needs(r#"{"read":["/"],"memory_mib":4096}"#)).unwrap();
        grant(dir.path(), "q", &needs(r#"{"user":"root"}"#)).unwrap();
        grant(dir.path(), "p", &needs(r#"{"write":["/srv/chosen"],"read":["/"]}"#)).unwrap();
        let gets =
            check(dir.path(), "p", &needs(r#"{"read":["/etc"],"memory_mib":4096}"#), &Needs::default(), 2048).unwrap();
        assert_eq!(gets, needs(r#"{"read":["/etc","/"],"write":["/srv/chosen"],"memory_mib":4096}"#));
        assert_eq!(check(dir.path(), "q", &Needs::default(), &Needs::default(), 2048).unwrap(), Needs::default());
        check(dir.path(), "q", &needs(r#"{"user":"root"}"#), &Needs::default(), 2048).unwrap();
        std::fs::write(dir.path().join(FILE), "p = 1").unwrap();
        assert!(grant(dir.path(), "p", &Needs::default()).is_err(), "what cannot be read is not written over");
    }

    #[test]
    fn a_damaged_file_grants_nothing_and_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("plugins.toml"), "p = { usr = \"root\" }").unwrap();
        let failed = check(dir.path(), "p", &Needs::default(), &Needs::default(), 2048).unwrap_err();
        assert!(failed.cause.contains("plugins.toml") && !failed.cause.contains('\n'), "{failed:?}");
    }

    #[test]
    fn what_came_with_the_libraries_counts_for_its_role_and_plugin() {
        let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let text = "[p.machine]\nuser = \"root\"\nread = [\"/\"]\n[p.administrator]\nwrite = [\"/srv\"]\n";
        std::fs::write(folder.path().join("grants.toml"), text).unwrap();
        let grants = Grants::beside(folder.path()).unwrap();
        let asked = needs(r#"{"user":"root","read":["/home"]}"#);
        check(state.path(), "p", &asked, &grants.of("p", Role::Machine), 2048).unwrap();
        assert!(check(state.path(), "p", &asked, &grants.of("p", Role::Administrator), 2048).is_err());
        assert!(check(state.path(), "q", &asked, &grants.of("q", Role::Machine), 2048).is_err());
        let more = needs(r#"{"user":"root","read":["/home"],"write":["/etc"]}"#);
        let failed = check(state.path(), "p", &more, &grants.of("p", Role::Machine), 2048).unwrap_err();
        assert!(failed.cause.contains("/etc") && !failed.cause.contains("root"), "{failed:?}");
    }

    #[test]
    fn grants_that_anybody_can_write_do_not_count() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Grants::beside(folder.path()).unwrap(), Grants::default());
        let file = folder.path().join("grants.toml");
        std::fs::write(&file, "[p.machine]\nuser = \"root\"\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
        let problem = Grants::beside(folder.path()).unwrap_err();
        assert!(problem.message.contains("can be written by others") && problem.fix.is_some(), "{problem:?}");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::fs::write(&file, "[p.machine]\nusr = \"root\"\n").unwrap();
        assert!(Grants::beside(folder.path()).unwrap_err().message.contains("grants.toml"));
    }
}
