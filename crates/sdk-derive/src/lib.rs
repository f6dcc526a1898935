//! `#[derive(Args)]` and `#[derive(Row)]` of the SDK.
//!
//! A derive cannot add attributes to the item it stands on, so each makes a shadow of it inside a constant, with the
//! derives of serde and schemars reached through the SDK, and hands values over field by field. That is why a plugin
//! depends on the SDK alone.

mod args;
mod row;
mod text;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a struct the input of a command, or an enum without fields a choice in one.
///
/// On a field: `#[arg(positional, type = "cidr", title = "…", options = "fleet.machines", advanced, multiline,
/// min = 1, max = 9, default = expression)]`. A doc comment is its help. An `Option` may be left out.
#[proc_macro_derive(Args, attributes(arg))]
pub fn derive_args(input: TokenStream) -> TokenStream {
    args::derive(&parse_macro_input!(input as DeriveInput)).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a struct the rows of a type.
///
/// On the struct: `#[row(name = "printer", title = "Printer", plural = "Printers", scope = "site", label = "field",
/// status = "field", icon = "…", history, retention = "90d", extend)]`; `label` is the first key where absent.
/// On a field: `#[key]`, `#[field(type = "ip", title = "…", priority = 1, search, sort, facet, many, ref = "fleet.machine",
/// warn = 80, danger = 95, width = 120, values(online("Online", Success), offline("Offline", Neutral)))]`.
/// A doc comment is its description.
#[proc_macro_derive(Row, attributes(row, key, field))]
pub fn derive_row(input: TokenStream) -> TokenStream {
    row::derive(&parse_macro_input!(input as DeriveInput)).unwrap_or_else(syn::Error::into_compile_error).into()
}
