//! Machines as trees of files, and this machine as it is.
#![expect(clippy::unwrap_used, reason = "a test ends where its own tree cannot be made")]

use inventory::{Collector, Machine, Root, UTMP_RECORD, Usage};
use sdk::testing::TestHost;
use sdk::{Bytes, Percent, serde_json};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A tree that is filled file by file.
struct Tree(TempDir);

impl Tree {
    fn new() -> Tree {
        Tree(tempfile::tempdir().unwrap())
    }

    fn file(self, path: &str, content: impl AsRef<[u8]>) -> Tree {
        let path = self.0.path().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    fn without(self, path: &str) -> Tree {
        let path = self.0.path().join(path.trim_start_matches('/'));
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap()
        } else {
            std::fs::remove_file(path).unwrap()
        };
        self
    }

    fn collector(&self, files: Option<PathBuf>) -> Collector {
        let usage = |path: &Path| {
            let gib = 1 << 30;
            Some(match path.to_str()? {
                "/" => Usage { size: 100 * gib, used: 50 * gib, available: 45 * gib },
                "/srv/big data" => Usage { size: 1000 * gib, used: 900 * gib, available: 50 * gib },
                other => panic!("{other} was asked for"),
            })
        };
        Collector::new(Root::at(self.0.path()), Box::new(usage), files)
    }

    fn look(&self) -> Machine {
        self.collector(None).look()
    }

    /// A process at a terminal (`tty` not 0) or without.
    fn process(self, pid: u32, name: &str, parent: u32, uid: u32, tty: u32, login: u32) -> Tree {
        let stat = format!("{pid} ({name}) S {parent} {pid} {pid} {tty} 0 0 0 0 0 0 0 0 0 0 20 0 1 0 360000 0 0");
        self.file(&format!("/proc/{pid}/stat"), stat)
            .file(&format!("/proc/{pid}/status"), format!("Name:\t{name}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n"))
            .file(&format!("/proc/{pid}/loginuid"), login.to_string())
    }
}

const NONE: u32 = u32::MAX;
const PTS: u32 = 136 << 8;

/// A laptop with nobody at it.
fn laptop() -> Tree {
    Tree::new()
        .file("/etc/os-release", "NAME=\"Debian GNU/Linux\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\n")
        .file("/proc/sys/kernel/osrelease", "6.1.0-13-amd64\n")
        .file("/proc/cpuinfo", "processor\t: 0\nmodel name\t: Intel(R) Core(TM)   i7-1185G7\n\nprocessor\t: 1\nmodel name\t: Intel(R) Core(TM)   i7-1185G7\n")
        .file("/proc/meminfo", "MemTotal:       16303348 kB\nMemFree: 1 kB\n")
        .file("/proc/stat", "cpu 1 2 3\nbtime 1767225600\n")
        .file("/sys/class/dmi/id/sys_vendor", "LENOVO\n")
        .file("/sys/class/dmi/id/product_name", "20XW00AAGE\n")
        .file("/sys/class/dmi/id/product_version", "ThinkPad X1 Carbon Gen 9\n")
        .file("/sys/class/dmi/id/product_serial", "PF2ABCDE\n")
        .file("/proc/self/mountinfo", MOUNTS)
        .file("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\ngdm:x:120:120:Display Manager:/:/bin/false\nada:x:1000:1000:Ada Lovelace,,,:/home/ada:/bin/bash\nbob:x:1001:1001::/home/bob:/bin/bash\ncarl:x:1002:1002:&:/home/carl:/bin/sh\n")
}

const MOUNTS: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:21 / /proc rw - proc proc rw
24 22 7:0 / /snap/core ro - squashfs /dev/loop0 ro
25 22 8:2 / /srv/big\\040data rw - xfs /dev/sda2 rw
26 22 8:2 /part /home rw - xfs /dev/sda2 rw
29 22 8:3 / /mnt/frozen ro - ext4 /dev/sda3 ro
27 22 0:50 / /mnt/nas rw - nfs4 nas:/x rw
28 22 11:0 / /media/cdrom ro - iso9660 /dev/sr0 ro
";

const SESSION: &str = "# This is private data. Do not parse.\nUID=1000\nUSER=ada\nACTIVE=1\nSTATE=active\nREMOTE=0\nTYPE=wayland\nCLASS=user\nSEAT=seat0\nREALTIME=1767229200000000\n";

fn session(changes: &[(&str, &str)]) -> String {
    let mut text = SESSION.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    text
}

/// A record of utmp as glibc writes it.
fn sign_in(account: &str, pid: i32, line: &str, host: &str, seconds: i64) -> Vec<u8> {
    let mut bytes = vec![0u8; UTMP_RECORD];
    bytes[..2].copy_from_slice(&7i16.to_ne_bytes());
    bytes[4..8].copy_from_slice(&pid.to_ne_bytes());
    for (at, text) in [(8, line), (44, account), (76, host)] {
        bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
    }
    let at = if UTMP_RECORD == 384 { 340 } else { 344 };
    bytes[at..at + 4].copy_from_slice(&(seconds as i32).to_ne_bytes());
    bytes
}

fn who(machine: &Machine) -> (&str, &str, &str) {
    let text = |value: &'_ Option<String>| value.clone().unwrap_or_else(|| "-".into()).leak() as &str;
    (text(&machine.person), text(&machine.person_state), text(&machine.person_from))
}

#[test]
fn a_laptop_tells_what_it_is() {
    let machine = laptop().look();
    assert_eq!(machine.os.as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
    assert_eq!(machine.os_version.as_deref(), Some("12"));
    assert_eq!(machine.kernel.as_deref(), Some("6.1.0-13-amd64"));
    assert_eq!(machine.model.as_deref(), Some("LENOVO ThinkPad X1 Carbon Gen 9"));
    assert_eq!(machine.serial.as_deref(), Some("PF2ABCDE"));
    assert_eq!((machine.cpu.as_deref(), machine.cores), (Some("Intel(R) Core(TM) i7-1185G7"), Some(2)));
    assert_eq!(machine.memory, Some(Bytes(16_694_628_352)));
    assert_eq!((machine.disk_used, machine.disk.as_deref()), (Some(Percent(95.0)), Some("/srv/big data")));
    assert_eq!(machine.disk_size, Some(Bytes(1000 << 30)));
    assert_eq!(machine.booted_at.unwrap().to_string(), "2026-01-01T00:00:00Z");
    assert_eq!(machine.not_collected, ["person"]);
}

#[test]
fn what_is_not_told_is_absent_and_named() {
    let machine = Tree::new().look();
    let nothing = Machine { not_collected: machine.not_collected.clone(), ..Machine::default() };
    assert_eq!(machine, nothing);
    let names =
        ["person", "os", "os_version", "kernel", "model", "serial", "cpu", "cores", "memory", "disk_used", "booted_at"];
    assert_eq!(machine.not_collected, names);
    let vague = laptop()
        .file("/sys/class/dmi/id/sys_vendor", "To Be Filled By O.E.M.")
        .file("/sys/class/dmi/id/product_name", "System Product Name")
        .file("/sys/class/dmi/id/product_serial", "0000000000")
        .look();
    assert_eq!((vague.model, vague.serial), (None, None));
}

#[test]
fn a_board_without_dmi_tells_by_its_device_tree() {
    let machine = Tree::new()
        .file("/proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0")
        .file("/proc/device-tree/serial-number", "10000000abcdef01\0")
        .file(
            "/proc/cpuinfo",
            "processor\t: 0\nBogoMIPS\t: 108.00\n\nHardware\t: BCM2835\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n",
        )
        .look();
    assert_eq!(machine.model.as_deref(), Some("Raspberry Pi 4 Model B Rev 1.4"));
    assert_eq!(machine.serial.as_deref(), Some("10000000abcdef01"));
    assert_eq!(machine.cores, Some(1));
}

#[test]
fn the_one_at_the_screen_is_the_person() {
    let tree = laptop().file("/run/systemd/sessions/2", SESSION);
    let machine = tree.look();
    assert_eq!(who(&machine), ("Ada Lovelace", "now", "local"));
    assert_eq!(machine.account.as_deref(), Some("ada"));
    assert_eq!(machine.person_since.unwrap().to_string(), "2026-01-01T01:00:00Z");
    let late_remote = session(&[
        ("UID=1000", "UID=1001"),
        ("USER=ada", "USER=bob"),
        ("REMOTE=0", "REMOTE=1\nREMOTE_HOST=10.9.8.7"),
        ("wayland", "tty"),
        ("REALTIME=17672", "REALTIME=17673"),
    ]);
    let tree = tree.file("/run/systemd/sessions/3", late_remote);
    assert_eq!(who(&tree.look()), ("Ada Lovelace", "now", "local"));
    assert_eq!(who(&tree.without("/run/systemd/sessions/2").look()), ("bob", "now", "10.9.8.7"));
}

#[test]
fn greeters_managers_and_ending_sessions_are_no_people() {
    let tree = laptop()
        .file(
            "/run/systemd/sessions/c1",
            session(&[("UID=1000", "UID=120"), ("USER=ada", "USER=gdm"), ("CLASS=user", "CLASS=greeter")]),
        )
        .file("/run/systemd/sessions/4", session(&[("CLASS=user", "CLASS=manager")]))
        .file("/run/systemd/sessions/5", session(&[("CLASS=user", "CLASS=background")]))
        .file("/run/systemd/sessions/6", session(&[("STATE=active", "STATE=closing")]))
        .file("/run/systemd/sessions/6.ref", SESSION)
        .process(70, "Xorg", 1, 120, 0, NONE)
        .process(71, "agetty", 1, 0, 4 << 8 | 1, NONE);
    assert_eq!(who(&tree.look()), ("-", "-", "-"));
}

#[test]
fn a_sign_in_counts_while_its_process_lives() {
    let records =
        [sign_in("bob", 50, "pts/0", "192.0.2.9", 1_767_300_000), sign_in("ada", 51, "tty2", "", 1_767_310_000)];
    let tree = laptop().file("/run/utmp", records.concat()).file("/proc/50/comm", "sshd");
    let machine = tree.look();
    assert_eq!(who(&machine), ("bob", "now", "192.0.2.9"));
    assert_eq!(machine.person_since.unwrap().to_string(), "2026-01-01T20:40:00Z");
    let tree = tree.file("/proc/51/comm", "bash");
    assert_eq!(who(&tree.look()), ("Ada Lovelace", "now", "local"), "the latest of two");
    let cut = tree.file("/run/utmp", &records.concat()[..UTMP_RECORD + 100]);
    assert_eq!(who(&cut.look()).0, "bob", "a record that is half written is left out");
}

#[test]
fn a_terminal_tells_where_no_list_does() {
    let ssh = laptop()
        .process(10, "sshd", 1, 0, 0, NONE)
        .process(11, "sshd-session", 10, 1000, 0, NONE)
        .process(12, "bash", 11, 1000, PTS, NONE);
    let machine = ssh.look();
    assert_eq!(who(&machine), ("Ada Lovelace", "now", "ssh"));
    assert_eq!(machine.person_since.unwrap().to_string(), "2026-01-01T01:00:00Z", "an hour after the start");

    let root = laptop().process(20, "bash", 1, 0, PTS, NONE);
    assert_eq!(who(&root.look()), ("root", "now", "local"), "root is the one at the terminal");
    let root = root.process(21, "zsh", 1, 1002, PTS + 1, NONE);
    assert_eq!(who(&root.look()), ("Carl", "now", "local"), "a person comes before root");
    let sudo = laptop().process(30, "bash", 1, 0, PTS, 1001);
    assert_eq!(who(&sudo.look()), ("bob", "now", "local"), "through sudo it is still bob");
    let directory = laptop().process(30, "bash", 1, 70_000, PTS, NONE);
    assert_eq!(who(&directory.look()).0, "70000", "an account of no file here");
    let service = laptop().process(40, "postgres", 1, 999, PTS, NONE);
    assert_eq!(who(&service.look()).0, "-");
    let screen = laptop().process(50, "gnome-shell", 1, 1001, 0, NONE).process(51, "bash", 1, 1000, PTS, NONE);
    assert_eq!(who(&screen.look()).0, "bob");
}

#[test]
fn a_container_tells_by_its_shells_and_prefers_anything_better() {
    let tree = laptop().process(9, "bash", 1, 0, 0, NONE).process(8, "sh", 1, 1000, 0, NONE);
    assert_eq!(who(&tree.look()), ("root", "now", "no terminal"));
    let tree = tree.file("/var/log/wtmp", sign_in("ada", 1, "tty1", "", 1_767_000_000));
    assert_eq!(who(&tree.look()), ("Ada Lovelace", "last", "local"));
}

#[test]
fn the_last_person_is_known_after_they_left() {
    let past = [
        sign_in("ada", 1, "tty2", "", 1_767_000_000),
        sign_in("bob", 1, "pts/1", "192.0.2.9", 1_767_100_000),
        sign_in("root", 1, "tty1", "", 1_767_200_000),
        sign_in("gdm", 1, ":0", ":0", 1_767_300_000),
    ];
    let filler = vec![0u8; UTMP_RECORD * 5000];
    let tree = laptop().file("/var/log/wtmp", [filler, past.concat(), vec![1; 7]].concat());
    let machine = tree.look();
    assert_eq!(who(&machine), ("bob", "last", "192.0.2.9"));
    assert_eq!(machine.person_since.unwrap().to_string(), "2025-12-30T13:06:40Z");

    let files = tempfile::tempdir().unwrap();
    let tree = laptop().file("/run/systemd/sessions/2", SESSION);
    let keep = || Some(files.path().to_owned());
    let mut collector = tree.collector(keep());
    assert_eq!(who(&collector.look()).1, "now");
    let tree = tree.without("/run/systemd/sessions");
    assert_eq!(who(&collector.look()), ("Ada Lovelace", "last", "local"));
    assert_eq!(who(&tree.collector(keep()).look()), ("Ada Lovelace", "last", "local"), "after a restart too");
    assert_eq!(who(&tree.look()), ("-", "-", "-"), "without the memory nobody is known");
}

#[test]
fn an_unchanged_machine_gives_an_unchanged_row() {
    let tree = laptop().file("/run/systemd/sessions/2", SESSION);
    let mut collector = tree.collector(None);
    let first = collector.look();
    let tree = tree.file("/proc/stat", "btime 1767225601\n");
    assert_eq!(collector.look(), first, "the start moved with the clock");
    drop(tree.file("/proc/stat", "btime 1767325601\n"));
}

#[test]
fn hostile_files_are_bounded() {
    let long = "x".repeat(1 << 20);
    let tree = laptop()
        .file("/etc/os-release", format!("PRETTY_NAME=\"{long}\n"))
        .file("/sys/class/dmi/id/product_serial", [0xff, 0xfe, 0x00, 0x41])
        .file("/etc/passwd", format!("ada:x:1000:1000:{long}:/:/\n:::::\nada\n"))
        .file("/run/systemd/sessions/2", SESSION)
        .file("/proc/77/stat", "")
        .file("/proc/78/stat", long.clone());
    let machine = tree.look();
    assert!(machine.os.unwrap().len() <= 200 && machine.person.unwrap().len() <= 200);
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn this_machine_is_told_as_it_is() {
    let machine = Collector::real(None).look();
    assert_eq!(machine.kernel, Some(output("uname", &["-r"])));
    assert_eq!(machine.cores, output("getconf", &["_NPROCESSORS_ONLN"]).parse().ok());
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap();
    let kib: u64 = memory.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert_eq!(machine.memory, Some(Bytes(kib * 1024)));
    let name = output("sh", &["-c", ". /etc/os-release && echo \"$PRETTY_NAME\""]);
    assert_eq!(machine.os, Some(name));
    let disk = machine.disk.clone().unwrap();
    let df = output("df", &["-P", "-B1", &disk]);
    let fields: Vec<&str> = df.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(machine.disk_size, fields[1].parse().ok().map(Bytes), "{df}");
    let percent: f64 = fields[4].trim_end_matches('%').parse().unwrap();
    assert!((machine.disk_used.unwrap().0 - percent).abs() <= 1.0, "{df}");
    if let Some(account) = &machine.account {
        let entry = output("getent", &["passwd", account]);
        let full = entry.split(':').nth(4).unwrap_or_default().split(',').next().unwrap_or_default();
        assert_eq!(machine.person.as_deref(), Some(if full.is_empty() { account } else { full }), "{entry}");
    } else {
        assert!(machine.not_collected.contains(&"person".to_owned()));
    }
}

#[test]
fn the_manifest_extends_the_machines_screen_and_scan_fills_it() {
    let host = TestHost::new(inventory::app());
    let outcome = host.run("scan", serde_json::json!({}));
    assert_eq!(outcome.problem, None);
    assert!(outcome.progress.len() >= 3);
    let (rows, result) = (host.rows("machine"), outcome.result.unwrap());
    assert_eq!((rows.len(), &result["rows"]), (1, &serde_json::json!(1)));
    assert_eq!(rows[0]["kernel"], output("uname", &["-r"]));
    let manifest = inventory::app().manifest().clone();
    let kind = &manifest.types["machine"];
    assert_eq!(kind.extends.as_ref().unwrap().target, "fleet.machine");
    for (name, value) in &rows[0] {
        sdk::schema::check_value(name, &kind.fields[name], value).unwrap();
    }
    assert_eq!(kind.fields["disk_used"].danger, Some(92.0));
    let size = sdk::serde_json::to_vec(&manifest).unwrap().len();
    assert!(size <= 8 * 1024, "a manifest of {size} bytes");
}

#[test]
fn nothing_about_the_person_leaves_a_machine_that_does_not_report_it() {
    let host = TestHost::new(inventory::app());
    host.set("report_person", serde_json::json!(false));
    assert_eq!(host.run("scan", serde_json::json!({})).problem, None);
    let row = &host.rows("machine")[0];
    for field in ["person", "person_state", "person_since", "person_from", "account"] {
        assert!(row.get(field).is_none_or(serde_json::Value::is_null), "{field}: {row:?}");
    }
    assert!(row["not_collected"].as_array().unwrap().contains(&serde_json::json!("person")));
    assert_eq!(row["kernel"], output("uname", &["-r"]));
}
