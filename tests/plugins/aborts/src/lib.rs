//! A plugin that a test builds with `panic = "abort"`: whoever lets it panic ends with it.

use abi::{Buffer, HostObject, PluginVerbs};

fn info() -> abi::Info {
    abi::Info {
        abi_level: abi::ABI_LEVEL,
        panic_unwind: cfg!(panic = "unwind"),
        sdk: "none".into(),
        rustc: "unknown".into(),
        target: "unknown".into(),
    }
}

fn manifest() -> Vec<u8> {
    let plugin = r#"{"id":"org.bailiwick.test.aborts","name":"aborts","version":"1.0.0","title":"Aborts"}"#;
    format!(r#"{{"console":"1.0","plugin":{plugin},"commands":[{{"id":"panic","title":"Panic"}}]}}"#).into_bytes()
}

fn open(_: HostObject, _: &[u8]) -> Result<Aborts, Vec<u8>> {
    Ok(Aborts)
}

struct Aborts;

impl PluginVerbs for Aborts {
    fn start(&self, _: u64, _: &str, _: &[u8], _: &[u8]) {
        panic!("with no way back");
    }

    fn signal(&self, _: u64, _: u32, _: u64, _: &[u8]) {}

    fn feed(&self, _: u64, _: u32, _: Buffer) -> i64 {
        abi::GONE
    }
}

abi::export_module! { info: info(), manifest: manifest, open: open }
