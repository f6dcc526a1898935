//! Other versions of the boundary, with the names of this one: what may differ and still load.
//!
//! The types here stand in for a later and for a broken version. The layout check compares names, packages and
//! layouts, and an integration test is of the same package.
#![allow(dead_code)] // the stand-ins' fields are looked at by their layout, never called
#![allow(clippy::unwrap_used, unsafe_code, non_local_definitions, unreachable_pub)]

use abi::raw::{ModuleRef, layouts_fit, short_layout_error};
use abi_stable::StableAbi;
use abi_stable::abi_stability::abi_checking::check_layout_compatibility;

mod later {
    //! One root field, one host method and one plugin method more.
    use abi_stable::std_types::{RArc, RBox, RResult, RSlice, RStr, RVec};
    use abi_stable::{StableAbi, sabi_trait};

    #[sabi_trait]
    pub trait Host: Send + Sync {
        fn emit(&self, op: u64, kind: u32, stream: u32, data: RVec<u8>) -> i64;
        fn request(&self, op: u64, request: u64, method: RStr<'_>, payload: RSlice<'_, u8>);
        #[sabi(last_prefix_field)]
        fn log(&self, level: u8, target: RStr<'_>, json: RSlice<'_, u8>);
        fn later(&self) -> u64 {
            7
        }
    }

    #[sabi_trait]
    pub trait Plugin: Send + Sync {
        fn start(&self, op: u64, method: RStr<'_>, meta: RSlice<'_, u8>, payload: RSlice<'_, u8>);
        fn signal(&self, op: u64, kind: u32, arg: u64, data: RSlice<'_, u8>);
        #[sabi(last_prefix_field)]
        fn feed(&self, op: u64, stream: u32, frame: RVec<u8>) -> i64;
        fn later(&self) -> u64 {
            7
        }
    }

    // Named as in the real thing: a lifetime that is written out in the function would be another layout.
    pub type HostBox = Host_TO<'static, RArc<()>>;
    pub type PluginBox = Plugin_TO<'static, RBox<()>>;

    #[repr(C)]
    #[derive(StableAbi)]
    #[sabi(kind(Prefix(prefix_ref = ModuleRef)))]
    #[sabi(missing_field(option))]
    pub struct Module {
        pub info: abi::Info,
        pub manifest: extern "C" fn() -> RVec<u8>,
        #[sabi(last_prefix_field)]
        pub open: extern "C" fn(HostBox, RSlice<'_, u8>) -> RResult<PluginBox, RVec<u8>>,
        pub self_test: extern "C" fn() -> u64,
    }
}

mod broken {
    //! The fields in another order.
    use abi_stable::StableAbi;
    use abi_stable::std_types::RVec;

    #[repr(C)]
    #[derive(StableAbi)]
    #[sabi(kind(Prefix(prefix_ref = ModuleRef)))]
    #[sabi(missing_field(option))]
    pub struct Module {
        pub manifest: extern "C" fn() -> RVec<u8>,
        pub info: abi::Info,
        #[sabi(last_prefix_field)]
        pub open: u64,
    }
}

#[test]
fn an_older_plugin_loads_in_a_newer_host_and_a_newer_plugin_in_an_older_host() {
    let (now, later) = (ModuleRef::LAYOUT, later::ModuleRef::LAYOUT);
    // The trap: the check of the library accepts one direction only.
    assert!(check_layout_compatibility(later, now).is_err());
    assert!(layouts_fit(later, Some(now)).is_ok());
    assert!(layouts_fit(now, Some(later)).is_ok());
}

#[test]
fn a_field_that_an_older_plugin_lacks_reads_as_none() {
    extern "C" fn manifest() -> abi_stable::std_types::RVec<u8> {
        b"{}".to_vec().into()
    }
    extern "C" fn open(
        _: abi::raw::HostBox,
        _: abi_stable::std_types::RSlice<'_, u8>,
    ) -> abi_stable::std_types::RResult<abi::raw::PluginBox, abi_stable::std_types::RVec<u8>> {
        abi_stable::std_types::RErr(Vec::new().into())
    }
    use abi_stable::prefix_type::{PrefixRefTrait, PrefixTypeTrait};
    let info = abi::Info { abi_level: 1, panic_unwind: true, sdk: "1".into(), rustc: "1".into(), target: "x".into() };
    let now = abi::raw::Module { info, manifest, open }.leak_into_prefix();
    assert!(layouts_fit(later::ModuleRef::LAYOUT, Some(ModuleRef::LAYOUT)).is_ok());
    // SAFETY: the layouts fit, as was just checked; only fields that both have, or that may be missing, are read.
    let seen = unsafe { later::ModuleRef::from_prefix_ref(now.to_prefix_ref().cast()) };
    assert!(seen.self_test().is_none());
    assert_eq!((seen.info().abi_level, (seen.manifest())().as_slice()), (1, b"{}".as_slice()));
}

#[test]
fn a_method_that_an_older_plugin_lacks_runs_its_default() {
    struct Old;

    impl abi::PluginVerbs for Old {
        fn start(&self, _: u64, _: &str, _: &[u8], _: &[u8]) {}
        fn signal(&self, _: u64, _: u32, _: u64, _: &[u8]) {}
        fn feed(&self, _: u64, _: u32, frame: abi::Buffer) -> i64 {
            frame.len() as i64
        }
    }

    let now = abi::plugin_object(Old);
    // SAFETY: both are a pointer to the value and one to its methods, whose layouts fit; those that are missing are
    // looked for by the number of methods the table says it has.
    let seen = unsafe { std::mem::transmute::<abi::raw::PluginBox, later::PluginBox>(now) };
    assert_eq!((seen.later(), seen.feed(1, 2, vec![0; 9].into())), (7, 9));
}

#[test]
fn a_broken_layout_is_refused_and_its_long_text_becomes_a_line() {
    let details = layouts_fit(ModuleRef::LAYOUT, Some(broken::ModuleRef::LAYOUT)).unwrap_err();
    assert!(details.len() > 2_000, "{} characters", details.len());
    let line = short_layout_error(&details);
    assert!(!line.is_empty() && line.len() <= 800 && !line.contains('\n'));
    let error = abi::LoadError::Layout { details };
    for text in [error.to_string(), error.remedy().to_owned()] {
        assert!(text.len() < 200 && !text.contains('\n'), "{text}");
    }
}

#[test]
fn a_plugin_without_a_layout_is_refused() {
    assert!(layouts_fit(ModuleRef::LAYOUT, None).is_err());
}

#[test]
fn the_boundary_begins_at_one() {
    // With 0.x a newer minor version of the host refuses older plugins.
    let major: u32 = env!("CARGO_PKG_VERSION").split('.').next().unwrap().parse().unwrap();
    assert!(major >= 1);
}
