//! Makes clap commands from manifests.

use super::Format;
use super::command::run_command;
use super::flags::word_of;
use clap::{Arg, ArgAction, ArgMatches};
use schema::{AnsweredBy, CliHints, Command, Field, Manifest, Mode, View, ViewKind, neutral_text};
use std::collections::BTreeSet;

/// A command line with one word per manifest, to be merged with the program's own.
pub fn build(manifests: &[Manifest]) -> clap::Command {
    clap::Command::new("bailiwick").subcommand_required(true).subcommands(manifests.iter().map(plugin_command))
}

/// The word of one plugin and all below it.
pub fn plugin_command(manifest: &Manifest) -> clap::Command {
    module_command(manifest, Mode::Managed)
}

pub(super) fn module_command(manifest: &Manifest, mode: Mode) -> clap::Command {
    let info = &manifest.plugin;
    let mut command = clap::Command::new(info.name.clone())
        .about(neutral_text(&info.title))
        .subcommand_required(true)
        .arg_required_else_help(true);
    if !info.description.is_empty() {
        command = command.long_about(neutral_text(&info.description));
    }
    for (word, entry) in words(manifest, mode) {
        command = command.subcommand(match entry {
            Entry::View(view) => view_command(manifest, word, view, mode),
            Entry::Command(one) => run_command(manifest, word, one, mode),
        });
    }
    command
}

pub(super) enum Entry<'a> {
    View(&'a View),
    Command(&'a Command),
}

/// Every word below a plugin's: commands under their ids, views under theirs where they are free. A module that runs
/// alone has no rows of others to show.
pub(super) fn words(manifest: &Manifest, mode: Mode) -> Vec<(String, Entry<'_>)> {
    let commands: Vec<&Command> = manifest.commands.iter().filter(|command| command.runs(mode)).collect();
    let mut taken: BTreeSet<String> = commands.iter().map(|command| command.id.clone()).collect();
    let of_its_own = |of: &str| manifest.type_of(of).is_some();
    let is_there = |view: &&View| mode == Mode::Managed || view.of.as_deref().is_some_and(of_its_own);
    let mut words = Vec::new();
    for view in manifest.views.iter().filter(|v| v.kind.has_rows()).filter(is_there) {
        let mut word = view.id.clone();
        while !taken.insert(word.clone()) {
            word = format!("list-{word}");
        }
        words.push((word, Entry::View(view)));
    }
    words.extend(commands.into_iter().map(|command| (command.id.clone(), Entry::Command(command))));
    words
}

/// The entry and the matches below its word that were given, of those below the word of the plugin.
pub(super) fn chosen<'a>(
    manifest: &'a Manifest,
    matches: &'a ArgMatches,
    mode: Mode,
) -> Option<(Entry<'a>, &'a ArgMatches)> {
    let (given, matches) = matches.subcommand()?;
    let (_, entry) = words(manifest, mode).into_iter().find(|(word, _)| word == given)?;
    Some((entry, matches))
}

pub(super) fn output_arg() -> Arg {
    Arg::new("output")
        .long("output")
        .short('o')
        .value_name("FORMAT")
        .value_parser(Format::ALL.map(Format::as_str))
        .default_value("table")
        .help("How to print it")
}

pub(super) fn about(title: &str, description: &str) -> (String, String) {
    let title = neutral_text(title);
    let long = if description.is_empty() { title.clone() } else { format!("{title}\n\n{}", neutral_text(description)) };
    (title, long)
}

/// Whether a machine answers the view, and has to be named for it.
pub(super) fn asks_a_machine(manifest: &Manifest, view: &View) -> bool {
    let kind = view.of.as_ref().and_then(|of| manifest.types.get(of.rsplit('.').next().unwrap_or(of)));
    let by_machine = kind.and_then(|kind| kind.computed.as_ref()).is_some_and(|c| c.answered_by == AnsweredBy::Machine);
    by_machine && !view.params.contains_key("machine")
}

/// Ids of the arguments that give a param of a view: as an option and by its position.
pub(super) fn param_id(name: &str) -> String {
    format!("param:{name}")
}

pub(super) fn position_id(name: &str) -> String {
    format!("position:{name}")
}

fn view_command(manifest: &Manifest, word: String, view: &View, mode: Mode) -> clap::Command {
    let (short, long) = about(&view.title, &view.description);
    let one = view.kind == ViewKind::Detail;
    let text =
        |id: &'static str, value: &'static str, help: &'static str| Arg::new(id).long(id).value_name(value).help(help);
    let mut command = clap::Command::new(word).about(short).long_about(long).arg(output_arg());
    if one {
        command = command.arg(Arg::new("key").value_name("KEY").required(true).help("Which one, by its key or name"));
    } else {
        command = command
            .arg(text("q", "TEXT", "Only rows with all of these words"))
            .arg(
                text("where", "FIELD=VALUE", "Only rows where this holds; may be given several times")
                    .action(ArgAction::Append)
                    .long_help("Only rows where this holds; may be given several times. Besides = there are !=, <, <=, >, >=, ~ (contains) and ^= (begins with); FIELD=A,B means one of them and FIELD= an empty field."),
            )
            .arg(text("sort", "FIELD", "Order by this field, -FIELD for the other way round").value_delimiter(',').allow_hyphen_values(true))
            .arg(text("limit", "NUMBER", "At most this many rows").value_parser(clap::value_parser!(u32).range(1..)))
            .arg(Arg::new("all").long("all").action(ArgAction::SetTrue).conflicts_with("limit").help("All rows, however many"));
    }
    command = command
        .arg(text("fields", "FIELD,…", "Only these fields").value_delimiter(','))
        .arg(text("at", "TIME", "As it was at this time, where history is kept"))
        .arg(Arg::new("watch").long("watch").action(ArgAction::SetTrue).help("Go on and print what changes"));
    if mode == Mode::Managed && asks_a_machine(manifest, view) {
        command = command.arg(text("machine", "NAME", "Machine that answers, by name or id").required(true));
    }
    param_args(command, manifest, view)
}

/// The params of a view as options, and by their position where the manifest says so.
fn param_args(mut command: clap::Command, manifest: &Manifest, view: &View) -> clap::Command {
    let mut used: BTreeSet<String> =
        ["q", "where", "sort", "limit", "all", "fields", "at", "watch", "output", "key", "help"]
            .map(str::to_owned)
            .into();
    if asks_a_machine(manifest, view) {
        used.insert("machine".to_owned());
    }
    let hints = view.cli.clone().unwrap_or_default();
    let mut by_position = Vec::new();
    for (name, field) in &view.params {
        let mut long = word_of(name);
        while long.is_empty() || !used.insert(long.clone()) {
            long = format!("param-{long}");
        }
        if let Some(place) = place_of(&hints, name) {
            by_position.push((place, name, long.clone(), field));
        }
        let arg = Arg::new(param_id(name)).long(long).value_name("VALUE").action(action(field));
        command = command.arg(arg.help(neutral_text(&field.title)));
    }
    by_position.sort_by_key(|(place, ..)| *place);
    let before = usize::from(view.kind == ViewKind::Detail);
    let last = by_position.len();
    for (n, (_, name, long, field)) in by_position.into_iter().enumerate() {
        let arg = Arg::new(position_id(name)).index(before + n + 1).value_name(long.to_uppercase());
        let arg = if field.many && n + 1 == last { arg.num_args(1..) } else { arg };
        command = command.arg(arg.action(action(field)).help(neutral_text(&field.title)));
    }
    command
}

/// Where a param stands; the trailing one comes after all others.
fn place_of(hints: &CliHints, name: &str) -> Option<usize> {
    let trailing = hints.trailing.as_deref() == Some(name);
    if trailing { Some(usize::MAX) } else { hints.positional.iter().position(|one| one == name) }
}

fn action(field: &Field) -> ArgAction {
    if field.many { ArgAction::Append } else { ArgAction::Set }
}
