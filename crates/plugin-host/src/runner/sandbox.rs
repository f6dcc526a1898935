//! Confines the runner to what its plugin needs, while there is one thread and nothing of the plugin is loaded:
//! limits, account, capabilities, landlock, seccomp. It reports what was in effect, not what was asked for.

use super::{failed, landlock, owner, seccomp};
use crate::Sandbox;
use crate::wire::{Failed, Setup};
use rustix::process::{Resource, Rlimit, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::ffi::CString;
use std::path::PathBuf;

/// Whom to become.
struct Account {
    name: String,
    uid: u32,
    gid: u32,
}

/// Confines this process. Afterwards `setup.library` may be a path that still can be opened.
pub(super) fn enter(setup: &Setup) -> Result<(Sandbox, PathBuf), Failed> {
    let mut sandbox = Sandbox::default();
    let root = rustix::process::getuid().is_root();
    let account = account(setup, root, &mut sandbox)?;
    files(setup, root.then_some(&account))?;
    // Opened by the host's rights: its directory may be closed to the account.
    let library = std::fs::File::open(&setup.library)
        .map_err(|e| failed(format!("The plugin's library cannot be opened: {e}."), "Load it again.", None))?;
    let rules = landlock::prepare(setup);
    limits(setup, root && account.uid != 0, &mut sandbox)?;
    become_account(&account, &setup.needs.capabilities).map_err(|e| {
        failed(
            format!("The runner cannot change to {}: {e}.", account.name),
            "Run the host as root, or grant less.",
            None,
        )
    })?;
    sandbox.user = format!("{} ({})", account.name, rustix::process::getuid().as_raw());
    sandbox.capabilities = held();
    die_with(setup.host_pid)?;
    sandbox.landlock = landlock::restrict(rules, &mut sandbox.missing)?;
    sandbox.seccomp = seccomp::restrict(&setup.needs, &mut sandbox.missing)?;
    Ok((sandbox, reachable(library)))
}

fn account(setup: &Setup, root: bool, sandbox: &mut Sandbox) -> Result<Account, Failed> {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    if !root {
        if setup.needs.user.is_some() {
            sandbox.missing.push("its own account: the host does not run as root".to_owned());
        }
        return Ok(Account { name: "the host's account".to_owned(), uid, gid });
    }
    match setup.needs.user.as_deref() {
        Some(name) => named(name).ok_or_else(|| {
            failed(
                format!("There is no account {name} on this machine."),
                "Create it, or install the plugin's package.",
                None,
            )
        }),
        None => {
            let uid =
                setup.account.ok_or_else(|| failed("The runner was given no account.", "Upgrade the host.", None))?;
            Ok(Account { name: format!("bailiwick-{}", setup.plugin), uid, gid: uid })
        }
    }
}

fn named(name: &str) -> Option<Account> {
    let text = CString::new(name).ok()?;
    // SAFETY: the name is a C string; no other thread exists that could change the static answer.
    let entry = unsafe { libc::getpwnam(text.as_ptr()).as_ref() }?;
    Some(Account { name: name.to_owned(), uid: entry.pw_uid, gid: entry.pw_gid })
}

/// Gives the plugin its directory and enters it, so that `.` is it even where the way to it is closed.
fn files(setup: &Setup, owner: Option<&Account>) -> Result<(), Failed> {
    let Some(files) = &setup.files else { return Ok(()) };
    let enter = || -> std::io::Result<()> {
        if let Some(owner) = owner {
            owner::give(files, owner.uid, owner.gid)?;
        }
        std::env::set_current_dir(files)
    };
    enter().map_err(|e| {
        failed(
            format!("The plugin's directory {} cannot be used: {e}.", files.display()),
            "Look at the directory's owner and file system.",
            None,
        )
    })
}

fn limits(setup: &Setup, own_account: bool, sandbox: &mut Sandbox) -> Result<(), Failed> {
    let memory = u64::from(setup.memory_mib) * 1024 * 1024;
    let mut wanted = vec![
        (Resource::Core, 0, "no core dumps".to_owned()),
        (Resource::Nofile, 4096, "4096 open files".to_owned()),
        (Resource::As, memory, format!("{} MiB of addresses", setup.memory_mib)),
    ];
    if own_account {
        wanted.push((Resource::Nproc, 256, "256 threads".to_owned()));
    }
    for (resource, most, text) in wanted {
        // The host itself may be held to less.
        let most = rustix::process::getrlimit(resource).maximum.map_or(most, |hard| hard.min(most));
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        rustix::process::setrlimit(resource, limit).map_err(|e| {
            failed(format!("The runner cannot be held to {text}: {e}."), "Look at the system's log.", None)
        })?;
        sandbox.limits.push(text);
    }
    Ok(())
}

/// Leaves root's account, or its powers, with only the named capabilities.
fn become_account(account: &Account, capabilities: &[String]) -> std::io::Result<()> {
    let wanted = capabilities.iter().try_fold(CapabilitySet::empty(), |all, name| {
        let known = CapabilitySet::from_name(name.strip_prefix("CAP_").unwrap_or(name));
        known.map(|one| all | one).ok_or_else(|| std::io::Error::other(format!("{name} is not a capability")))
    })?;
    for capability in CapabilitySet::all().iter().filter(|one| one.bits().count_ones() == 1) {
        if !wanted.contains(capability) {
            // A capability that this kernel does not have is not held either.
            let _ = rustix::thread::remove_capability_from_bounding_set(capability);
        }
    }
    if account.uid != rustix::process::getuid().as_raw() {
        rustix::thread::set_keep_capabilities(true)?;
        // SAFETY: plain system calls with numbers; there is one thread, so none keeps other rights.
        let changed = unsafe {
            libc::setgroups(0, std::ptr::null()) == 0
                && libc::setresgid(account.gid, account.gid, account.gid) == 0
                && libc::setresuid(account.uid, account.uid, account.uid) == 0
        };
        if !changed {
            return Err(std::io::Error::last_os_error());
        }
    }
    // A host that is not root hands on none of what it may hold nevertheless.
    rustix::thread::clear_ambient_capability_set()?;
    let held = wanted & rustix::thread::capabilities(None)?.permitted;
    let sets = CapabilitySets { effective: held, permitted: held, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets)?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    Ok(())
}

fn held() -> Vec<String> {
    let held = rustix::thread::capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    held.iter_names().map(|(name, _)| format!("CAP_{name}")).collect()
}

/// Ends this process with the host's. A change of account forgets it, so it comes after.
fn die_with(host: u32) -> Result<(), Failed> {
    let gone = |_| failed("The runner cannot be tied to its host.", "Look at the system's log.", None);
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(gone)?;
    match rustix::process::getppid() {
        Some(parent) if parent.as_raw_pid() as u32 == host => Ok(()),
        _ => Err(failed("The host ended while the runner was starting.", "Start the host again.", None)),
    }
}

/// A path to the library that the account can open, by the descriptor that is open already.
fn reachable(library: std::fs::File) -> PathBuf {
    use std::os::fd::IntoRawFd;
    // Without this the descriptors of a process that changed its account are hidden from itself.
    // SAFETY: a plain system call with numbers.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1) };
    // Stays open as long as the library is loaded, which is for ever.
    PathBuf::from(format!("/proc/self/fd/{}", library.into_raw_fd()))
}

/// After loading: other processes of the same account may not look into this one.
pub(super) fn seal() {
    // SAFETY: a plain system call with numbers.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) };
}
