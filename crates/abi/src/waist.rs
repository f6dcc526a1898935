//! The types with a checked layout. A field or method may only ever be added after the last one.

#![allow(non_local_definitions)] // what the attribute macro of abi_stable expands to

use abi_stable::library::RootModule;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RArc, RBox, RResult, RSlice, RStr, RVec};
use abi_stable::{StableAbi, declare_root_module_statics, package_version_strings, sabi_trait};

/// What the host offers a plugin.
#[sabi_trait]
pub trait Host: Send + Sync {
    fn emit(&self, op: u64, kind: u32, stream: u32, data: RVec<u8>) -> i64;
    fn request(&self, op: u64, request: u64, method: RStr<'_>, payload: RSlice<'_, u8>);
    #[sabi(last_prefix_field)]
    fn log(&self, level: u8, target: RStr<'_>, json: RSlice<'_, u8>);
}

/// What a plugin offers the host.
#[sabi_trait]
pub trait Plugin: Send + Sync {
    fn start(&self, op: u64, method: RStr<'_>, meta: RSlice<'_, u8>, payload: RSlice<'_, u8>);
    fn signal(&self, op: u64, kind: u32, arg: u64, data: RSlice<'_, u8>);
    #[sabi(last_prefix_field)]
    fn feed(&self, op: u64, stream: u32, frame: RVec<u8>) -> i64;
}

pub type HostBox = Host_TO<'static, RArc<()>>;
pub type PluginBox = Plugin_TO<'static, RBox<()>>;

/// How a plugin was built, readable before anything of it runs.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct Info {
    pub abi_level: u32,
    /// A panic unwinds and can be caught. Without it the plugin only ever runs in a runner.
    pub panic_unwind: bool,
    pub sdk: RStr<'static>,
    pub rustc: RStr<'static>,
    pub target: RStr<'static>,
}

/// The root of a plugin's library.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ModuleRef)))]
#[sabi(missing_field(option))]
pub struct Module {
    pub info: Info,
    /// The manifest as static JSON; empty where making it panicked.
    pub manifest: extern "C" fn() -> RVec<u8>,
    #[sabi(last_prefix_field)]
    pub open: extern "C" fn(HostBox, RSlice<'_, u8>) -> RResult<PluginBox, RVec<u8>>,
}

impl RootModule for ModuleRef {
    declare_root_module_statics! {ModuleRef}
    const BASE_NAME: &'static str = "bailiwick_plugin";
    const NAME: &'static str = "bailiwick_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}
