//! A plugin without the SDK that breaks the rules of the verbs, one way a command; and, by a marker in a copy of the
//! library, the rules of loading.

mod confinement;
mod crash;

use abi::{Buffer, HostObject, PluginVerbs, emit};
use std::time::Duration;

/// How the library behaves when it is loaded and opened, between two bars and filled up with spaces.
#[used]
static MODE: [u8; 64] = *b"bailiwick-test-plugin-mode:|normal                             |";

fn mode() -> String {
    let text = String::from_utf8_lossy(std::hint::black_box(&MODE));
    text.split('|').nth(1).unwrap_or_default().trim().to_owned()
}

/// Every way to break the verbs; `fine` breaks none.
pub const COMMANDS: &[&str] = &[
    "fine",
    "block",
    "panic-in-start",
    "garbage-progress",
    "garbage-result",
    "garbage-rows",
    "unknown-kind",
    "long-message",
    "long-frame",
    "beyond-credit",
    "deep-result",
    "wild-operation",
    "wild-stream",
    "host-stream",
    "many-streams",
    "wild-grant",
    "short-grant",
    "two-ends",
    "garbage-log",
    "long-request",
    "garbage-request",
    "close-socket",
    "fork-and-abort",
    "confinement",
    "credit",
];

fn info() -> abi::Info {
    abi::Info {
        abi_level: abi::ABI_LEVEL,
        panic_unwind: mode() != "no-unwind" && cfg!(panic = "unwind"),
        sdk: "none".into(),
        rustc: "unknown".into(),
        target: "unknown".into(),
    }
}

fn raw_manifest() -> Vec<u8> {
    match mode().as_str() {
        "manifest-panic" => panic!("no manifest today"),
        "manifest-garbage" => return b"\xff\xfe not JSON".to_vec(),
        "manifest-wrong" => {
            return br#"{"console":"1.0","plugin":{"id":"org.x","name":"../x","version":"1","title":"X"}}"#.to_vec();
        }
        "manifest-long" => return vec![b' '; 9 * 1024 * 1024],
        _ => {}
    }
    let commands: Vec<String> = COMMANDS.iter().map(|id| format!(r#"{{"id":"{id}","title":"Break {id}"}}"#)).collect();
    let needs = if mode() == "needs-root" { r#"{"user":"root","read":["/"]}"# } else { "{}" };
    let info = r#""id":"org.bailiwick.test.raw","name":"raw","version":"1.0.0","title":"Raw""#;
    let plugin = format!(r#"{{{info},"needs":{{"machine":{needs}}}}}"#);
    format!(r#"{{"console":"1.0","plugin":{plugin},"commands":[{}]}}"#, commands.join(",")).into_bytes()
}

fn raw_open(host: HostObject, _: &[u8]) -> Result<Raw, Vec<u8>> {
    match mode().as_str() {
        "open-panic" => panic!("not today"),
        "open-refuse" => Err(br#"{"code":"unavailable","message":"the licence has run out."}"#.to_vec()),
        "open-block" => loop {
            std::thread::park();
        },
        _ => Ok(Raw(host)),
    }
}

struct Raw(HostObject);

impl PluginVerbs for Raw {
    fn start(&self, op: u64, method: &str, meta: &[u8], payload: &[u8]) {
        if method != "command.invoke" {
            self.say(op, emit::FAULT, br#"{"code":"unknown_command","message":"only commands."}"#.to_vec());
            return;
        }
        let meta = String::from_utf8_lossy(meta);
        let command = COMMANDS.iter().find(|id| meta.contains(&format!(r#""name":"{id}""#))).copied();
        match command {
            Some("confinement") => {
                self.say(op, emit::DONE, confinement::tried(payload).to_string().into_bytes());
            }
            Some("credit") => self.tell_credit(op),
            other => self.misbehave(op, other.unwrap_or("fine")),
        }
    }

    fn signal(&self, _: u64, _: u32, _: u64, _: &[u8]) {}

    fn feed(&self, _: u64, _: u32, _: Buffer) -> i64 {
        abi::REFUSED
    }
}

impl Raw {
    fn say(&self, op: u64, kind: u32, data: Vec<u8>) -> i64 {
        self.0.emit(op, kind, 0, data)
    }

    fn done(&self, op: u64) {
        self.say(op, emit::DONE, br#"{"ok":true}"#.to_vec());
    }

    /// Ends with the credit it was told to have left after each message and frame, down to none.
    fn tell_credit(&self, op: u64) {
        let mut left = vec![
            self.0.emit(op, emit::OPEN, 1, br#"{"name":"x"}"#.to_vec()),
            self.say(op, emit::WARN, br#"{"code":"busy","message":"x"}"#.to_vec()),
            self.say(op, emit::CHECKPOINT, b"1".to_vec()),
            self.say(op, emit::ROWS, b"[]".to_vec()),
            self.say(op, emit::PROGRESS, b"{}".to_vec()),
        ];
        let half = abi::MAX_FRAME / 2;
        left.extend((0..3).map(|_| self.0.emit(op, emit::FRAME, 1, vec![0; half])));
        // One byte more than there is credit for, which is told as -1 by nobody.
        let last = left.last().copied().unwrap_or_default() - schema::FRAME_COST as i64 + 1;
        left.push(self.0.emit(op, emit::FRAME, 1, vec![0; usize::try_from(last).unwrap_or_default()]));
        left.push(self.0.emit(op, emit::FRAME, 99, Vec::new()));
        self.say(op, emit::DONE, serde_json::json!(left).to_string().into_bytes());
    }

    fn misbehave(&self, op: u64, command: &str) {
        match command {
            "block" => loop {
                std::thread::sleep(Duration::from_secs(3600));
            },
            "panic-in-start" => panic!("in start"),
            "close-socket" => crash::close_sockets(),
            "fork-and-abort" => crash::fork_and_abort(),
            "garbage-progress" => drop(self.say(op, emit::PROGRESS, vec![0xff; 9])),
            "garbage-result" => drop(self.say(op, emit::DONE, b"{".to_vec())),
            "garbage-rows" => drop(self.say(op, emit::ROWS, br#"{"not":"a list"}"#.to_vec())),
            "unknown-kind" => drop(self.say(op, 99, Vec::new())),
            "long-message" => drop(self.say(op, emit::DONE, vec![b' '; schema::MAX_PAYLOAD + 1])),
            "deep-result" => drop(self.say(op, emit::DONE, vec![b'['; 100_000])),
            "long-frame" | "beyond-credit" => self.too_much(op, command),
            "host-stream" => drop(self.0.emit(op, emit::OPEN, 2, br#"{"name":"x"}"#.to_vec())),
            "many-streams" => {
                let mut stream = 1;
                while self.0.emit(op, emit::OPEN, stream, br#"{"name":"x"}"#.to_vec()) >= 0 {
                    stream += 2;
                    if stream > 10_000 {
                        break;
                    }
                }
            }
            "wild-grant" | "short-grant" => {
                self.0.emit(op, emit::OPEN, 1, br#"{"name":"x"}"#.to_vec());
                let grant = if command == "wild-grant" { u64::MAX.to_le_bytes().to_vec() } else { vec![1] };
                self.0.emit(op, emit::CREDIT, 1, grant);
            }
            harmless => self.shrugged_off(op, harmless),
        }
    }

    fn too_much(&self, op: u64, command: &str) {
        self.0.emit(op, emit::OPEN, 1, br#"{"name":"x"}"#.to_vec());
        let bytes = if command == "long-frame" { abi::MAX_FRAME + 1 } else { abi::MAX_FRAME };
        for _ in 0..64 {
            self.0.emit(op, emit::FRAME, 1, vec![0; bytes]);
        }
    }

    /// What a host pays no attention to; the command then ends well.
    fn shrugged_off(&self, op: u64, command: &str) {
        match command {
            "wild-operation" => drop(self.0.emit(op + 1000, emit::DONE, 0, b"1".to_vec())),
            "wild-stream" => drop(self.0.emit(op, emit::FRAME, 77, vec![1; 10])),
            "garbage-log" => self.0.log(250, "\u{1b}[31m", &[0xff; 100]),
            "long-request" => self.0.request(op, 1, "rows.publish", &vec![b' '; schema::MAX_PAYLOAD + 1]),
            "garbage-request" => self.0.request(op, 2, &"x".repeat(1000), b"{"),
            _ => {}
        }
        self.done(op);
        if command == "two-ends" {
            self.done(op);
            self.say(op, emit::FAULT, Vec::new());
        }
    }
}

abi::export_module! { info: info(), manifest: raw_manifest, open: raw_open }
