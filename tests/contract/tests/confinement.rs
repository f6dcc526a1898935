//! What a runner is held to, found out by a plugin that tries; and what its manifest may not simply ask for.

use crate::bed::{Bed, raw_in_mode};
use plugin_host::{PluginState, Transport};
use serde_json::json;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

const EPERM: i32 = 1;
const EACCES: i32 = 13;
const ENOSYS: i32 = 38;

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_is_held_to_what_it_says() {
    let bed = Bed::new(Transport::Runner).await;
    bed.load("raw").await;
    let sandbox = bed.until("raw", PluginState::Ok).await.sandbox.unwrap();
    // Anybody may read it, but for landlock.
    let readable = tempfile::Builder::new().permissions(PermissionsExt::from_mode(0o755)).tempdir().unwrap();
    let file = readable.path().join("readable");
    std::fs::write(&file, "by all").unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    let tried = bed.run("raw", "confinement", json!({"read": file})).await.unwrap();

    assert_eq!((tried["no_new_privs"].as_str(), tried["seccomp"].as_str()), (Some("1"), Some("2")), "{tried}");
    for (call, expected) in [
        ("execve", EPERM),
        ("inet", EPERM),
        ("netlink", EPERM),
        ("other_table", ENOSYS),
        ("namespace", EPERM),
        ("clone3", ENOSYS),
        ("unshare", EPERM),
        ("kill", EPERM),
        ("leave", EPERM),
    ] {
        assert_eq!(tried["calls"][call], expected, "{call} in {tried}");
    }
    if sandbox.landlock.starts_with("in") {
        assert_eq!(tried["read"], EACCES, "{sandbox:?}");
    } else {
        assert!(sandbox.missing.iter().any(|line| line.contains("landlock")), "{sandbox:?}");
    }
    assert_eq!((tried["core"].as_u64(), tried["addresses"].as_u64()), (Some(0), Some(2048 * 1024 * 1024)));
    assert!(tried["open_files"].as_u64().unwrap() <= 4096);
    for set in &tried["capabilities"].as_array().unwrap()[..4] {
        assert_eq!(set, "0000000000000000", "{tried}");
    }
    if is_root() {
        assert_eq!(tried["capabilities"][4], "0000000000000000", "{tried}");
        assert_eq!(tried["groups"], "");
        let uid = tried["uid"].as_u64().unwrap();
        assert!((60_946..=61_183).contains(&uid), "{tried}");
        assert_eq!(sandbox.user, format!("bailiwick-raw ({uid})"));
        bed.load("echo").await;
        let other = bed.until("echo", PluginState::Ok).await.sandbox.unwrap();
        assert_ne!(other.user.split(' ').nth(1), sandbox.user.split(' ').nth(1), "two plugins share an account");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_manifest_asks_for_is_not_given_until_the_operator_of_the_machine_grants_it() {
    let bed = Bed::new(Transport::Runner).await;
    bed.host.load(&raw_in_mode("needs-root", bed.directory.path())).await.unwrap();
    let status = bed.until("raw", PluginState::Failed).await;
    let (cause, remedy) = (status.cause.unwrap(), status.remedy.unwrap());
    assert!(cause.contains("to run as root, to read /"), "{cause}");
    let line = remedy.split("write ").nth(1).unwrap().split(" into ").next().unwrap();
    let file = remedy.split(" into ").nth(1).unwrap().split(" and enable").next().unwrap();
    std::fs::write(file, line).unwrap();
    bed.host.enable("raw").await;
    bed.until("raw", PluginState::Ok).await;
    let tried = bed.run("raw", "confinement", json!({"read": "/etc/hostname"})).await.unwrap();
    if is_root() {
        assert_eq!((tried["uid"].as_u64(), tried["read"].as_i64()), (Some(0), Some(0)), "{tried}");
    }
    // An account is no power, and no way out of the rest.
    assert_eq!(tried["capabilities"][0], "0000000000000000");
    assert_eq!(tried["calls"]["execve"], EPERM);
}
