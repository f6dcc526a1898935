//! Which files a runner reaches: its own directory, what every program needs to start, and what its manifest names.

use crate::runner::failed;
use crate::wire::{Failed, Setup};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

/// What this code was written for; an older kernel does what it can of it.
const WRITTEN_FOR: ABI = ABI::V6;

/// Read by the loader, the C library and the Rust runtime of every program.
const EVERYBODY_READS: &[&str] = &[
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/group",
    "/dev/urandom",
    "/dev/null",
    "/proc/self",
    "/sys/fs/cgroup",
];

/// Read besides by those that may open network connections.
const NETWORK_READS: &[&str] = &["/etc/resolv.conf", "/etc/hosts", "/etc/gai.conf", "/etc/ssl/certs"];

/// Opens what the rules name, by the rights of the host.
pub(super) fn prepare(setup: &Setup) -> Result<RulesetCreated, RulesetError> {
    let (needs, all) = (&setup.needs, AccessFs::from_all(WRITTEN_FOR));
    let mut ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort).handle_access(all)?;
    // Signals and abstract sockets of processes outside are out of reach.
    ruleset = ruleset.scope(Scope::from_all(WRITTEN_FOR))?;
    if !needs.network {
        ruleset = ruleset.handle_access(AccessNet::from_all(WRITTEN_FOR))?;
    }
    let read = AccessFs::from_read(WRITTEN_FOR) & !AccessFs::Execute;
    let read = if needs.programs { read | AccessFs::Execute } else { read };
    let mut rules = ruleset.create()?;
    let network = needs.network.then_some(NETWORK_READS).into_iter().flatten();
    let programs = needs.programs.then_some(["/bin", "/sbin", "/usr"]).into_iter().flatten();
    let named = EVERYBODY_READS.iter().chain(network).copied().chain(programs);
    for path in named.chain(needs.read.iter().map(String::as_str)) {
        rules = allow(rules, path, read)?;
    }
    let files = setup.files.as_ref().and_then(|path| path.to_str());
    for path in needs.write.iter().map(String::as_str).chain(files) {
        rules = allow(rules, path, all & !AccessFs::Execute)?;
    }
    for path in needs.devices.iter().map(String::as_str).chain(["/dev/null"]) {
        rules = allow(rules, path, all & !AccessFs::Execute)?;
    }
    match setup.library.to_str() {
        Some(library) => allow(rules, library, read),
        None => Ok(rules),
    }
}

/// Allows what is beneath `path`; a path that does not exist cannot be reached anyway.
fn allow(rules: RulesetCreated, path: &str, access: BitFlags<AccessFs>) -> Result<RulesetCreated, RulesetError> {
    let Ok(fd) = PathFd::new(path) else { return Ok(rules) };
    let is_file = !std::path::Path::new(path).is_dir();
    let access = if is_file { access & AccessFs::from_file(WRITTEN_FOR) } else { access };
    rules.add_rule(PathBeneath::new(fd, access))
}

/// Applies the rules and says what is in effect.
///
/// # Errors
/// They could not be applied, though this kernel has them.
pub(super) fn restrict(
    rules: Result<RulesetCreated, RulesetError>,
    missing: &mut Vec<String>,
) -> Result<String, Failed> {
    let status = rules.and_then(RulesetCreated::restrict_self).map_err(|e| {
        failed(format!("The runner cannot be confined by landlock: {e}."), "Look at the system's log.", None)
    })?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => "in full".to_owned(),
        RulesetStatus::PartiallyEnforced => {
            missing.push("landlock: this kernel has a part of it".to_owned());
            "in part: this kernel is older than the rules".to_owned()
        }
        RulesetStatus::NotEnforced => {
            missing.push("landlock: this kernel does not have it".to_owned());
            "not in effect: this kernel does not have it".to_owned()
        }
    })
}
