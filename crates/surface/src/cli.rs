//! The command line of manifests: a word per plugin, below it a word per view and per command.
//!
//! `bailiwick <plugin> <view>` lists rows, `bailiwick <plugin> <command>` runs. Where a view and a command have the same
//! id the command has the word and the view is `list-<id>`. [`build`] makes the words, [`parse`] says what was asked
//! for, [`render`] prints rows. Nothing here talks to a server or a terminal.

mod build;
mod flags;
mod parse;
mod render;
mod text;

pub use build::{build, plugin_command};
pub use parse::{CommandCall, Invocation, SecretPrompt, ViewCall, parse};
pub use render::{Page, render};
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

#[cfg(test)]
mod tests;
