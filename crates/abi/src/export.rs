//! The plugin's end of the boundary: the one static a loader looks for.

use crate::verbs::{HostObject, PluginVerbs, plugin_object};
use crate::waist::{HostBox, PluginBox};
use abi_stable::std_types::{RErr, ROk, RResult, RVec};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Makes the library that it is used in loadable: `export_module!(info: Info, manifest: fn() -> Vec<u8>, open:
/// fn(HostObject, &[u8]) -> Result<impl PluginVerbs, Vec<u8>>)`.
///
/// It uses `LibHeader::from_constructor` and not the attribute of `abi_stable`, whose output names `abi_stable` as a
/// direct dependency of the plugin.
#[macro_export]
macro_rules! export_module {
    (info: $info:expr, manifest: $manifest:path, open: $open:path $(,)?) => {
        #[allow(unsafe_code)]
        const _: () = {
            use $crate::macros as m;

            // Their names must not hide the functions that are handed in.
            extern "C" fn exported_manifest() -> m::RVec<u8> {
                m::manifest_bytes($manifest)
            }

            extern "C" fn exported_open(
                host: m::HostBox,
                config: m::RSlice<'_, u8>,
            ) -> m::RResult<m::PluginBox, m::RVec<u8>> {
                m::open_result(host, |host| $open(host, config.as_slice()))
            }

            fn root() -> m::ModuleRef {
                use m::PrefixTypeTrait;
                m::Module { info: $info, manifest: exported_manifest, open: exported_open }.leak_into_prefix()
            }

            extern "C" fn erased() -> m::RootModuleResult {
                m::__call_root_module_loader(root)
            }

            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            pub static HEADER: m::LibHeader =
                unsafe { m::LibHeader::from_constructor::<m::ModuleRef>(erased, m::CheckTypeLayout::Yes) };
        };
    };
}

/// The manifest, or nothing where making it panicked.
pub fn manifest_bytes(manifest: impl FnOnce() -> Vec<u8>) -> RVec<u8> {
    catch_unwind(AssertUnwindSafe(manifest)).unwrap_or_default().into()
}

/// Opens the plugin; a panic becomes a refusal.
pub fn open_result<P: PluginVerbs>(
    host: HostBox,
    open: impl FnOnce(HostObject) -> Result<P, Vec<u8>>,
) -> RResult<PluginBox, RVec<u8>> {
    match catch_unwind(AssertUnwindSafe(|| open(HostObject::wrap(host)))) {
        Ok(Ok(plugin)) => ROk(plugin_object(plugin)),
        Ok(Err(refusal)) => RErr(refusal.into()),
        Err(payload) => {
            std::mem::forget(payload);
            RErr(br#"{"code":"panic","message":"the plugin panicked while it was opened."}"#.to_vec().into())
        }
    }
}
