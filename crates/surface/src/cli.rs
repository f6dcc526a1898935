//! The command line of manifests: a word per plugin, below it a word per view and per command.
//!
//! `bailiwick <plugin> <view>` lists rows, `bailiwick <plugin> <command>` runs. Where a view and a command have the same
//! id the command has the word and the view is `list-<id>`. [`build`] makes the words, [`parse`] says what was asked
//! for, [`render`] prints rows, [`Meter`] tells how far a command is. [`alone`] and [`parse_alone`] are the same for a
//! module that runs alone: without machines to name, and with its settings as options. Nothing here talks to a server
//! or a terminal.

mod alone;
mod build;
mod command;
mod flags;
mod meter;
mod parse;
mod render;
mod settings;
mod text;

pub use alone::{alone, free_word, parse_alone};
pub use build::{build, plugin_command};
pub use meter::Meter;
pub use parse::{CommandCall, Invocation, SecretPrompt, ViewCall, parse};
pub use render::{Page, render};
pub use settings::{GivenSettings, given_settings, with_settings};
pub use text::cell;

/// What rows are printed as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Table,
    Json,
    Csv,
    Yaml,
    /// One label a line.
    Name,
}

impl Format {
    pub const ALL: [Format; 5] = [Format::Table, Format::Json, Format::Csv, Format::Yaml, Format::Name];

    pub fn as_str(self) -> &'static str {
        match self {
            Format::Table => "table",
            Format::Json => "json",
            Format::Csv => "csv",
            Format::Yaml => "yaml",
            Format::Name => "name",
        }
    }

    pub fn parse(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.as_str() == name)
    }
}

/// What stands before the words of a module.
fn program(manifest: &schema::Manifest, mode: schema::Mode) -> String {
    let name = &manifest.plugin.name;
    match mode {
        schema::Mode::Managed => format!("bailiwick {name}"),
        schema::Mode::Standalone => format!("bailiwick-{name}"),
    }
}

#[cfg(test)]
mod tests;
