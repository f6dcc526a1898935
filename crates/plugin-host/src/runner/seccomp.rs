//! Which system calls a runner may not make: those that change the machine, look into other processes, or step out
//! of the other confinements; and by the manifest, starting programs and opening network sockets.

use crate::runner::failed;
use crate::wire::Failed;
use schema::Needs;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    sock_filter,
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

/// Denied unless other programs may be started: those two, what only their terminals need, and signals by handle. So
/// all that a plugin starts is in its group and ends with it.
const PROGRAMS: &[libc::c_long] =
    &[libc::SYS_execve, libc::SYS_execveat, libc::SYS_setsid, libc::SYS_setpgid, libc::SYS_pidfd_send_signal];

/// Signals whose first argument is a process; to the plugin's own only, unless it may start others.
const SIGNALS: &[libc::c_long] =
    &[libc::SYS_kill, libc::SYS_tkill, libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo];

/// New namespaces, in which a process would hold every capability.
const NAMESPACES: &[libc::c_int] = &[
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Applies the filters and says what is in effect.
///
/// # Errors
/// They could not be applied, though this kernel has them.
pub(super) fn restrict(needs: &Needs, missing: &mut Vec<String>) -> Result<String, Failed> {
    // SAFETY: a plain system call with numbers.
    if unsafe { libc::prctl(libc::PR_GET_SECCOMP, 0, 0, 0, 0) } < 0 {
        missing.push("seccomp: this kernel does not have it".to_owned());
        return Ok("not in effect: this kernel does not have it".to_owned());
    }
    let applied = program(needs).and_then(|program| {
        seccompiler::apply_filter(&unknown_calls())?;
        seccompiler::apply_filter(&program)
    });
    applied.map_err(|e| {
        failed(format!("The runner cannot be confined by seccomp: {e}."), "Look at the system's log.", None)
    })?;
    let mut denied = vec!["system changes"];
    denied.extend((!needs.programs).then_some("programs"));
    denied.extend((!needs.network).then_some("network"));
    Ok(format!("denies {}", denied.join(", ")))
}

fn program(needs: &Needs) -> Result<BpfProgram, seccompiler::Error> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = NEVER.iter().map(|call| (*call, Vec::new())).collect();
    for (call, capabilities) in BY_CAPABILITY {
        if !needs.capabilities.iter().any(|one| capabilities.contains(&one.as_str())) {
            rules.insert(*call, Vec::new());
        }
    }
    let namespaces = NAMESPACES.iter().map(|flag| {
        let flag = u64::from(*flag as u32);
        when(SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(flag), flag)
    });
    rules.insert(libc::SYS_clone, namespaces.collect::<Result<_, _>>()?);
    if !needs.programs {
        rules.extend(PROGRAMS.iter().map(|call| (*call, Vec::new())));
        let own = u64::from(std::process::id());
        for call in SIGNALS {
            rules.insert(*call, vec![when(SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, own)?]);
        }
    }
    if !needs.network {
        // Sockets other than local ones; those that ask the kernel for its interfaces are the network's too.
        rules.insert(libc::SYS_socket, vec![when(SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, libc::AF_UNIX as u64)?]);
    }
    let (allow, deny) = (SeccompAction::Allow, SeccompAction::Errno(libc::EPERM as u32));
    let arch = std::env::consts::ARCH.try_into().map_err(seccompiler::Error::Backend)?;
    let filter = SeccompFilter::new(rules, allow, deny, arch).map_err(seccompiler::Error::Backend)?;
    filter.try_into().map_err(seccompiler::Error::Backend)
}

/// Where the first argument of a call is so.
fn when(length: SeccompCmpArgLen, is: SeccompCmpOp, value: u64) -> Result<SeccompRule, seccompiler::Error> {
    let condition = SeccompCondition::new(0, length, is, value);
    condition.and_then(|one| SeccompRule::new(vec![one])).map_err(seccompiler::Error::Backend)
}

/// Calls by numbers that the rules do not know, as this kernel's other tables have them (x32), and `clone3`, whose
/// flags are out of a filter's sight: there is no such call, and the C library takes the older one.
fn unknown_calls() -> BpfProgram {
    const OTHER_TABLE: u32 = 0x4000_0000;
    let no_such_call = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
    let step = |code: u32, jt: u8, jf: u8, k: u32| sock_filter { code: code as u16, jt, jf, k };
    vec![
        // The number of the call is the first field of what a filter sees.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 1, 0, OTHER_TABLE),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_clone3 as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, no_such_call),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}
