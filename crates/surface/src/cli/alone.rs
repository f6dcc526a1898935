//! The words of one module that runs alone: `bailiwick-<module> <word>`. There is one machine, which is never named,
//! every command is waited for, and the module's settings are options.

use super::Invocation;
use super::build::module_command;
use super::parse::parse_below;
use super::settings::{GivenSettings, given_settings, with_settings};
use clap::ArgMatches;
use schema::{Manifest, Mode, Problem};

/// The command line of a module by itself.
pub fn alone(manifest: &Manifest) -> clap::Command {
    let command = module_command(manifest, Mode::Standalone);
    let name = super::program(manifest, Mode::Standalone);
    let words: Vec<String> = command.get_subcommands().map(|word| word.get_name().to_owned()).collect();
    let with_settings =
        |command: clap::Command, word: String| command.mut_subcommand(word, |below| with_settings(below, manifest));
    words.into_iter().fold(command, with_settings).name(name.clone()).bin_name(name)
}

/// `word`, or one like it that no word of the module has.
pub fn free_word(command: &clap::Command, word: &str) -> String {
    let mut free = word.to_owned();
    while command.get_subcommands().any(|known| known.get_name() == free) {
        free = format!("module-{free}");
    }
    free
}

/// What was asked for, with the settings that were given; `None` where the word is not one of the manifest.
///
/// # Errors
/// A `bad_request` problem for a filter, value or setting that cannot be read.
pub fn parse_alone(manifest: &Manifest, matches: &ArgMatches) -> Result<Option<(Invocation, GivenSettings)>, Problem> {
    let own = std::slice::from_ref(manifest);
    let Some(asked) = parse_below(own, manifest, matches, Mode::Standalone)? else { return Ok(None) };
    let given = matches.subcommand().map(|(_, below)| given_settings(manifest, below)).transpose()?;
    Ok(Some((asked, given.unwrap_or_default())))
}
