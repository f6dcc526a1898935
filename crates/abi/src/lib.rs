//! The binary boundary between a host and a plugin: three root fields, three plugin methods, three host methods.
//!
//! Everything that may change is a JSON message and travels through these verbs; nothing that may change is in here.
//! There is no meaning of a message, no thread and no runtime in this crate. `abi_stable` is not seen outside it,
//! except through [`export_module!`], so that a plugin depends on the SDK alone.

#![allow(unsafe_code)] // the boundary itself

mod export;
mod load;
mod verbs;
mod waist;

pub use load::{Library, LoadError};
pub use verbs::{
    Buffer, GONE, HostObject, HostVerbs, INITIAL_CREDIT, MAX_FRAME, PluginObject, PluginVerbs, REFUSED, credit_arg,
    credit_of, emit, host_object, level, plugin_object, signal,
};
pub use waist::Info;

/// Level of the binary boundary. It grows when a field or method is added at the end; the crate's major version
/// changes when it breaks.
pub const ABI_LEVEL: u32 = 1;

/// What [`export_module!`] expands to; not for use by hand.
#[doc(hidden)]
pub mod macros {
    pub use crate::export::{manifest_bytes, open_result};
    pub use crate::waist::{HostBox, Info, Module, ModuleRef, PluginBox};
    pub use abi_stable;
    pub use abi_stable::library::{__call_root_module_loader, CheckTypeLayout, LibHeader, RootModuleResult};
    pub use abi_stable::prefix_type::PrefixTypeTrait;
    pub use abi_stable::std_types::{RResult, RSlice, RStr, RVec};
}

/// The types that cross the boundary, for tests that stand in for another version of it.
#[doc(hidden)]
pub mod raw {
    pub use crate::load::{layouts_fit, short_layout_error};
    pub use crate::waist::{Host, HostBox, Info, Module, ModuleRef, Plugin, PluginBox};
}
