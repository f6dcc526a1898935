//! The script behind the line that is pasted on a machine.

use crate::kit::{Kit, SOON};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Instant;

/// A home directory in which the script runs as somebody who is not root, so that it installs nothing for the machine.
struct Home {
    dir: tempfile::TempDir,
    script: String,
}

impl Home {
    async fn new(kit: &Kit) -> Home {
        let script = kit.stranger().fetch(hyper::Method::GET, "/install", Default::default(), 100_000).await.unwrap();
        assert_eq!(script.status, 200);
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        std::fs::write(bin.join("id"), "#!/bin/sh\necho 1000\n").unwrap();
        std::fs::set_permissions(bin.join("id"), std::fs::Permissions::from_mode(0o755)).unwrap();
        Home { dir, script: String::from_utf8(script.body.to_vec()).unwrap() }
    }

    /// Whether it said that it succeeded, and what it complained of.
    fn install(&self, script: &str, arguments: &[&str]) -> (bool, String) {
        let (home, file) = (self.dir.path(), self.dir.path().join("install.sh"));
        std::fs::write(&file, script).unwrap();
        let path = format!("{}:{}", home.join("bin").display(), std::env::var("PATH").unwrap());
        let mut command = std::process::Command::new("sh");
        command.arg(&file).args(arguments).env("HOME", home).env("PATH", &path).current_dir(home);
        let output = command.stdin(std::process::Stdio::null()).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn installed(&self) -> PathBuf {
        self.dir.path().join(".local/lib/bailiwick/bailiwick-agent")
    }

    /// What the agents were started with, once there are `lines` of it.
    fn ran(&self, lines: usize) -> Vec<String> {
        let begun = Instant::now();
        loop {
            let text = std::fs::read_to_string(self.dir.path().join("ran")).unwrap_or_default();
            let ran: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
            if ran.len() >= lines || begun.elapsed() > SOON {
                return ran;
            }
            std::thread::yield_now();
        }
    }

    /// The process of the agent that runs.
    fn agent(&self) -> Option<rustix::process::Pid> {
        let text = std::fs::read_to_string(self.dir.path().join(".local/state/bailiwick-agent/agent.pid")).ok()?;
        let pid = rustix::process::Pid::from_raw(text.trim().parse().ok()?)?;
        rustix::process::test_kill_process(pid).is_ok().then_some(pid)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(agent) = self.agent() {
            rustix::process::kill_process(agent, rustix::process::Signal::TERM).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_installs_what_the_administrator_promised_and_nothing_else() {
    let kit = Kit::start().await;
    let home = Home::new(&kit).await;
    let script = &home.script;
    assert!(!script.contains("='@"), "every place is filled in");
    for arguments in [&[][..], &["a b"], &["$(touch x)"], &["a;touch x"], &["`touch x`"]] {
        let (fine, said) = home.install(script, arguments);
        assert!(!fine && said.contains("join token"), "{arguments:?}: {said}");
    }
    assert!(!home.dir.path().join("x").exists());

    let hash = script.split("sha256='").nth(1).unwrap().split('\'').next().unwrap();
    let (fine, said) = home.install(&script.replace(hash, &"0".repeat(64)), &["token"]);
    assert!(!fine && said.contains("not the one"), "{said}");
    let pin = script.split("pin='").nth(1).unwrap().split('\'').next().unwrap();
    let other_pin = format!("A{}", &pin[1..]).replace("AA", "BA");
    let (fine, said) = home.install(&script.replace(pin, &other_pin), &["token"]);
    assert!(!fine && said.contains("cannot be fetched"), "{said}");
    let (fine, said) = home.install(script, &["refused"]);
    assert!(!fine && said.contains("nothing was installed"), "{said}");
    assert!(!home.installed().exists());

    let (fine, said) = home.install(script, &["a-token_1"]);
    assert!(fine, "{said}");
    assert!(home.installed().exists());
    assert_eq!(home.ran(3)[1..], ["enrol a-token_1", "run"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_line_pasted_where_an_agent_runs_already_puts_the_new_one_in_its_place() {
    let kit = Kit::start().await;
    let home = Home::new(&kit).await;
    assert!(home.install(&home.script, &["first"]).0);
    assert_eq!(home.ran(2), ["enrol first", "run"]);
    let first = home.agent().expect("it runs");

    let (fine, said) = home.install(&home.script, &["second"]);
    assert!(fine, "{said}");
    assert_eq!(home.ran(4)[2..], ["enrol second", "run"]);
    let second = home.agent().expect("it runs");
    assert!(first != second && rustix::process::test_kill_process(first).is_err(), "the old one ended");

    let (fine, said) = home.install(&home.script, &["refused"]);
    assert!(!fine && said.contains("runs again as before"), "{said}");
    assert_eq!(home.ran(6)[4..], ["enrol refused", "run"]);
    assert!(home.agent().is_some_and(|third| third != second));
}
