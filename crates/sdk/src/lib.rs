//! Everything a Bailiwick plugin is built with: declare an [`App`], write async functions, [`export!`] it.
//!
//! A plugin depends on this crate alone. It owns one small runtime, catches every panic, forwards `tracing` to the
//! host and keeps to the byte credits of both directions. It does not open listening sockets or databases, and it
//! shows nothing: the host does, from the manifest that [`App`] makes.

#[allow(unused_extern_crates)] // the derives name this crate as a plugin does
extern crate self as sdk;

mod app;
mod build;
mod context;
mod credit;
mod domain;
mod fault;
mod left_out;
mod log;
mod operation;
mod row;
mod rows;
mod runtime;
mod select;
mod stream;
pub mod testing;

pub use abi::Info;
pub use app::App;
pub use build::{Args, Output};
pub use context::Ctx;
pub use domain::{Bytes, Cidr, Mac, Percent, Reference, Seconds, Secret, Time};
pub use fault::{Fault, Result, fault};
pub use row::{FieldValue, Row};
pub use rows::Rows;
pub use runtime::Running;
pub use sdk_derive::{Args, Row};
pub use select::select;
pub use stream::{Frame, Stream, StreamReceiver, StreamSender};

pub use {abi, futures, schema, schemars, serde, serde_json, tokio, tokio_util, tracing};

/// What most plugins need in scope.
pub mod prelude {
    pub use crate::{
        App, Args, Bytes, Cidr, Ctx, Mac, Percent, Result, Row, Seconds, Secret, Stream, Time, export, fault,
    };
    pub use schema::{
        Amount, AnsweredBy, Cancel, Effect, FieldType, Needs, OnInterrupt, Query, Role, RowPage, Scope,
        StreamDirection, TargetKind, Tone,
    };
    pub use serde_json::{Value, json};
    pub use std::time::Duration;
}

/// Makes the plugin loadable: `export!(app)` where `fn app() -> App`.
#[macro_export]
macro_rules! export {
    ($app:path) => {
        const _: () = {
            fn app_manifest() -> ::std::vec::Vec<u8> {
                $app().version_if_empty(env!("CARGO_PKG_VERSION")).manifest_json()
            }

            fn open_app(
                host: $crate::abi::HostObject,
                config: &[u8],
            ) -> ::std::result::Result<$crate::Running, ::std::vec::Vec<u8>> {
                $crate::Running::open($app(), host, config)
            }

            $crate::abi::export_module! {
                info: $crate::build_info(cfg!(panic = "unwind")),
                manifest: app_manifest,
                open: open_app,
            }
        };
    };
}

/// How this plugin was built.
#[doc(hidden)]
pub fn build_info(panic_unwind: bool) -> abi::Info {
    abi::Info {
        abi_level: abi::ABI_LEVEL,
        panic_unwind,
        sdk: env!("CARGO_PKG_VERSION").into(),
        rustc: env!("BAILIWICK_RUSTC").into(),
        target: env!("BAILIWICK_TARGET").into(),
    }
}
