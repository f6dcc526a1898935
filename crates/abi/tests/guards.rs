//! A panic in any verb of either side ends there: it would otherwise end the process.

#![allow(clippy::unwrap_used)] // a test may stop at what it did not expect

use abi::{Buffer, HostVerbs, PluginObject, PluginVerbs, REFUSED, host_object};
use std::sync::Arc;

struct Panics;

/// Panics with a payload that panics again when it is dropped.
fn panic_twice() -> ! {
    struct Again;
    impl Drop for Again {
        fn drop(&mut self) {
            panic!("again");
        }
    }
    std::panic::panic_any(Again)
}

impl HostVerbs for Panics {
    fn emit(&self, _: u64, _: u32, _: u32, _: Buffer) -> i64 {
        panic_twice()
    }

    fn request(&self, _: u64, _: u64, _: &str, _: &[u8]) {
        panic_twice()
    }

    fn log(&self, _: u8, _: &str, _: &[u8]) {
        panic_twice()
    }
}

impl PluginVerbs for Panics {
    fn start(&self, _: u64, _: &str, _: &[u8], _: &[u8]) {
        panic_twice()
    }

    fn signal(&self, _: u64, _: u32, _: u64, _: &[u8]) {
        panic_twice()
    }

    fn feed(&self, _: u64, _: u32, _: Buffer) -> i64 {
        panic_twice()
    }
}

#[test]
fn a_panic_of_the_host_does_not_reach_the_plugin() {
    let host = host_object(Arc::new(Panics));
    assert_eq!(host.emit(1, 0, 0, Vec::new()), REFUSED);
    host.request(1, 1, "settings.get", b"{}");
    host.log(1, "target", b"{}");
}

#[test]
fn a_panic_of_the_plugin_does_not_reach_the_host() {
    let plugin = PluginObject::local(Panics);
    plugin.start(1, "command.invoke", b"{}", b"{}");
    plugin.signal(1, 0, 0, b"");
    assert_eq!(plugin.feed(1, 1, Vec::new()), REFUSED);
}
