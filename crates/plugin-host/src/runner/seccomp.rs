//! Which system calls a runner may not make: those that change the machine, look into other processes, or step out
//! of the other confinements; and by the manifest, starting programs and opening network sockets.

use schema::Needs;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use std::collections::BTreeMap;

/// Denied to every plugin.
const NEVER: &[libc::c_long] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fsconfig,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_personality,
];

/// Denied unless the manifest names the capability.
const BY_CAPABILITY: &[(libc::c_long, &[&str])] = &[
    (libc::SYS_ptrace, &["CAP_SYS_PTRACE"]),
    (libc::SYS_bpf, &["CAP_BPF", "CAP_SYS_ADMIN"]),
    (libc::SYS_perf_event_open, &["CAP_PERFMON", "CAP_SYS_ADMIN"]),
    (libc::SYS_fanotify_init, &["CAP_SYS_ADMIN"]),
    (libc::SYS_open_by_handle_at, &["CAP_DAC_READ_SEARCH"]),
    (libc::SYS_quotactl, &["CAP_SYS_ADMIN"]),
];

/// Denied unless other programs may be started: those two, and what only their terminals need. So all that a plugin
/// starts is in its group and ends with it.
const PROGRAMS: &[libc::c_long] = &[libc::SYS_execve, libc::SYS_execveat, libc::SYS_setsid, libc::SYS_setpgid];

/// Applies the filter and says what is in effect.
pub(super) fn restrict(needs: &Needs, missing: &mut Vec<String>) -> String {
    match program(needs).and_then(|program| seccompiler::apply_filter(&program)) {
        Ok(()) => {
            let mut denied = vec!["system changes"];
            denied.extend((!needs.programs).then_some("programs"));
            denied.extend((!needs.network).then_some("network"));
            format!("denies {}", denied.join(", "))
        }
        Err(e) => {
            missing.push(format!("seccomp: {e}"));
            "not in effect".to_owned()
        }
    }
}

fn program(needs: &Needs) -> Result<BpfProgram, seccompiler::Error> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = NEVER.iter().map(|call| (*call, Vec::new())).collect();
    for (call, capabilities) in BY_CAPABILITY {
        if !needs.capabilities.iter().any(|one| capabilities.contains(&one.as_str())) {
            rules.insert(*call, Vec::new());
        }
    }
    if !needs.programs {
        rules.extend(PROGRAMS.iter().map(|call| (*call, Vec::new())));
    }
    if !needs.network {
        rules.insert(libc::SYS_socket, vec![not_local()?]);
    }
    let (allow, deny) = (SeccompAction::Allow, SeccompAction::Errno(libc::EPERM as u32));
    let arch = std::env::consts::ARCH.try_into().map_err(seccompiler::Error::Backend)?;
    let filter = SeccompFilter::new(rules, allow, deny, arch).map_err(seccompiler::Error::Backend)?;
    filter.try_into().map_err(seccompiler::Error::Backend)
}

/// Sockets other than local ones and those that ask the kernel for its interfaces.
fn not_local() -> Result<SeccompRule, seccompiler::Error> {
    let other_than =
        |family: libc::c_int| SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, family as u64);
    let conditions = [libc::AF_UNIX, libc::AF_NETLINK].map(other_than).into_iter().collect::<Result<_, _>>();
    conditions.and_then(SeccompRule::new).map_err(seccompiler::Error::Backend)
}
