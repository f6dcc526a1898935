//! Makes clap commands from manifests.

use super::Format;
use super::flags::{Flag, Place, flags};
use clap::builder::PossibleValue;
use clap::{Arg, ArgAction, ArgMatches, ValueHint};
use schema::{AnsweredBy, Command, InputSchema, Manifest, TargetKind, View, ViewKind, neutral_text};
use serde_json::Value;
use std::collections::BTreeSet;

/// A command line with one word per manifest, to be merged with the program's own.
pub fn build(manifests: &[Manifest]) -> clap::Command {
    clap::Command::new("bailiwick").subcommand_required(true).subcommands(manifests.iter().map(plugin_command))
}

/// The word of one plugin and all below it.
pub fn plugin_command(manifest: &Manifest) -> clap::Command {
    let info = &manifest.plugin;
    let mut command = clap::Command::new(info.name.clone())
        .about(neutral_text(&info.title))
        .subcommand_required(true)
        .arg_required_else_help(true);
    if !info.description.is_empty() {
        command = command.long_about(neutral_text(&info.description));
    }
    for (word, entry) in words(manifest) {
        command = command.subcommand(match entry {
            Entry::View(view) => view_command(manifest, word, view),
            Entry::Command(one) => run_command(manifest, word, one),
        });
    }
    command
}

pub(super) enum Entry<'a> {
    View(&'a View),
    Command(&'a Command),
}

/// Every word below a plugin's: commands under their ids, views under theirs where they are free.
pub(super) fn words(manifest: &Manifest) -> Vec<(String, Entry<'_>)> {
    let mut taken: BTreeSet<String> = manifest.commands.iter().map(|c| c.id.clone()).collect();
    let mut words = Vec::new();
    for view in manifest.views.iter().filter(|v| v.kind.has_rows()) {
        let mut word = view.id.clone();
        while !taken.insert(word.clone()) {
            word = format!("list-{word}");
        }
        words.push((word, Entry::View(view)));
    }
    words.extend(manifest.commands.iter().map(|c| (c.id.clone(), Entry::Command(c))));
    words
}

/// The manifest, word and matches below the plugin's word that were given.
pub(super) fn chosen<'a>(
    manifests: &'a [Manifest],
    matches: &'a ArgMatches,
) -> Option<(&'a Manifest, Entry<'a>, &'a ArgMatches)> {
    let (plugin, below) = matches.subcommand()?;
    let manifest = manifests.iter().find(|m| m.plugin.name == plugin)?;
    let (given, matches) = below.subcommand()?;
    let (_, entry) = words(manifest).into_iter().find(|(word, _)| word == given)?;
    Some((manifest, entry, matches))
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

fn about(title: &str, description: &str) -> (String, String) {
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

fn view_command(manifest: &Manifest, word: String, view: &View) -> clap::Command {
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
    let mut used: BTreeSet<String> =
        ["q", "where", "sort", "limit", "all", "fields", "at", "watch", "output", "key", "help"]
            .map(str::to_owned)
            .into();
    if asks_a_machine(manifest, view) {
        used.insert("machine".to_owned());
        command = command.arg(text("machine", "NAME", "Machine that answers, by name or id").required(true));
    }
    for (name, field) in &view.params {
        let mut long: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        while long.is_empty() || !used.insert(long.clone()) {
            long = format!("param-{long}");
        }
        let arg = Arg::new(format!("param:{name}")).long(long).value_name("VALUE");
        command = command.arg(arg.help(neutral_text(&field.title)));
    }
    command
}

fn run_command(manifest: &Manifest, word: String, command: &Command) -> clap::Command {
    let (short, long) = about(&command.title, &command.description);
    let mut built = clap::Command::new(word.clone()).about(short).long_about(long).arg(output_arg());
    let input = InputSchema::read(&command.input).unwrap_or_default();
    let flags = flags(command, &input);
    // clap wants required positional arguments before optional ones; what it does not ask for, the schema does.
    let mut still_required = true;
    let mut positional: Vec<&Flag<'_>> = flags.iter().filter(|f| f.place != Place::Flag).collect();
    positional.sort_by_key(|f| if let Place::Position(n) = f.place { n } else { usize::MAX });
    for (n, flag) in positional.into_iter().enumerate() {
        still_required = still_required && flag.required;
        built = built.arg(positional_arg(flag, n + 1, still_required));
    }
    for flag in flags.iter().filter(|f| f.place == Place::Flag) {
        built = built.arg(flag_arg(flag));
    }
    built = run_options(built, command);
    if !command.examples.is_empty() {
        built = built.after_help(examples(manifest, &word, command, &flags));
    }
    built
}

fn run_options(mut built: clap::Command, command: &Command) -> clap::Command {
    let switch = |id: &'static str, help: &'static str| Arg::new(id).long(id).action(ArgAction::SetTrue).help(help);
    if command.target.on == TargetKind::Machine {
        built = built
            .arg(
                Arg::new("machine")
                    .long("machine")
                    .value_name("NAME")
                    .action(ArgAction::Append)
                    .help("Machine to run it on, by name or id; may be given several times"),
            )
            .arg(
                Arg::new("group")
                    .long("group")
                    .value_name("NAME")
                    .conflicts_with("machine")
                    .help("Group of machines to run it on"),
            );
    }
    built = built.arg(switch("wait", "Wait for the end and print the result"));
    if !command.streams.is_empty() {
        built = built.arg(stream_arg(command));
    }
    if command.preview.is_some() {
        built = built.arg(switch("dry-run", "Only say what would be done"));
    }
    if command.danger.is_some() {
        built = built.arg(switch("yes", "Do not ask whether to go on"));
    }
    built.arg(
        Arg::new("idempotency-key")
            .long("idempotency-key")
            .value_name("KEY")
            .help("A repeat with the same key is the same job")
            .hide_short_help(true),
    )
}

fn stream_arg(command: &Command) -> Arg {
    let names: Vec<String> = command.streams.iter().map(|stream| neutral_text(&stream.name)).collect();
    let help = format!("File for a stream instead of stdin or stdout, with --wait; there are: {}", names.join(", "));
    Arg::new("stream").long("stream").value_name("NAME=FILE").action(ArgAction::Append).help(help)
}

fn help_of(flag: &Flag<'_>) -> String {
    let title = flag.property.title.as_deref().unwrap_or_default();
    let description = flag.property.description.as_deref().unwrap_or_default();
    let mut help = match (title, description) {
        ("", text) | (text, "") => neutral_text(text),
        (title, description) => format!("{}: {}", neutral_text(title), neutral_text(description)),
    };
    match &flag.property.default {
        Value::Null | Value::Bool(false) => {}
        default => help = format!("{help} [default: {}]", neutral_text(&plain(default))),
    }
    if flag.is_secret() {
        help = format!("{help} [- to be asked]");
    }
    help.trim().to_owned()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn value_name(flag: &Flag<'_>) -> String {
    let name = match (flag.property.domain, flag.property.base_kind()) {
        (Some(domain), _) => serde_json::to_value(domain).ok().and_then(|v| v.as_str().map(str::to_uppercase)),
        (None, "integer" | "number") => Some("NUMBER".to_owned()),
        _ => None,
    };
    name.unwrap_or_else(|| "VALUE".to_owned())
}

/// The choices of a closed list, which clap completes and checks.
fn choices(flag: &Flag<'_>) -> Vec<PossibleValue> {
    let property = if flag.is_list() { flag.property.items.as_deref().unwrap_or(flag.property) } else { flag.property };
    let titled = property.one_of.iter().map(|c| (plain(&c.constant), c.title.clone().unwrap_or_default()));
    let bare = property.choices.iter().map(|c| (plain(c), String::new()));
    let mut seen = BTreeSet::new();
    titled
        .chain(bare)
        .filter(|(value, _)| seen.insert(value.clone()))
        .map(|(value, title)| match title.as_str() {
            "" => PossibleValue::new(value),
            title => PossibleValue::new(value).help(neutral_text(title)),
        })
        .collect()
}

fn positional_arg(flag: &Flag<'_>, index: usize, required: bool) -> Arg {
    let mut arg = Arg::new(flag.id()).index(index).value_name(flag.long.to_uppercase()).required(required);
    arg = match flag.place {
        Place::Rest => arg.num_args(1..).trailing_var_arg(true).allow_hyphen_values(true).action(ArgAction::Append),
        _ => arg.action(ArgAction::Set),
    };
    finish(arg, flag)
}

fn flag_arg(flag: &Flag<'_>) -> Arg {
    let arg = Arg::new(flag.id()).long(flag.long.clone());
    if flag.is_switch() {
        let arg = arg.num_args(0..=1).require_equals(true).default_missing_value("true").value_name("true|false");
        return arg.value_parser(["true", "false"]).hide_possible_values(true).help(help_of(flag));
    }
    let advanced = flag.property.ui.as_ref().is_some_and(|ui| ui.level.as_deref() == Some("advanced"));
    let action = if flag.is_list() { ArgAction::Append } else { ArgAction::Set };
    // A secret that is missing is asked for; clap must let that pass.
    let required = flag.required && !flag.is_secret();
    let arg = arg.action(action).required(required).value_name(value_name(flag)).hide_short_help(advanced);
    finish(arg.allow_hyphen_values(true), flag)
}

fn finish(arg: Arg, flag: &Flag<'_>) -> Arg {
    let arg = arg.help(help_of(flag));
    let arg = match choices(flag) {
        values if values.is_empty() => arg,
        values => arg.value_parser(values),
    };
    match flag.property.domain {
        Some(schema::FieldType::Path) => arg.value_hint(ValueHint::AnyPath),
        _ => arg,
    }
}

/// The manifest's examples as lines that can be pasted.
fn examples(manifest: &Manifest, word: &str, command: &Command, flags: &[Flag<'_>]) -> String {
    let mut text = "Examples:".to_owned();
    for example in &command.examples {
        let mut line = format!("\n  bailiwick {} {word}", manifest.plugin.name);
        if command.target.on == TargetKind::Machine {
            line.push_str(" --machine NAME");
        }
        let (mut after, mut rest) = (Vec::new(), String::new());
        for flag in flags {
            let value = flag.path.iter().try_fold(None, |at: Option<&Value>, name| match at {
                None => example.get(*name).map(Some),
                Some(value) => value.get(*name).map(Some),
            });
            let Some(Some(value)) = value else { continue };
            let words = match value {
                Value::Array(list) => list.iter().map(|v| quoted(&plain(v))).collect(),
                value => vec![quoted(&plain(value))],
            };
            match flag.place {
                Place::Position(n) => after.push((n, words.join(" "))),
                Place::Rest => rest = format!(" {}", words.join(" ")),
                Place::Flag if flag.is_switch() && value == &Value::Bool(true) => {
                    line.push_str(&format!(" --{}", flag.long))
                }
                Place::Flag if flag.is_switch() => line.push_str(&format!(" --{}=false", flag.long)),
                Place::Flag => words.iter().for_each(|word| line.push_str(&format!(" --{} {word}", flag.long))),
            }
        }
        after.sort();
        after.iter().for_each(|(_, word)| line.push_str(&format!(" {word}")));
        text.push_str(&neutral_line(&(line + &rest)));
    }
    text
}

fn neutral_line(line: &str) -> String {
    format!("\n{}", neutral_text(line.trim_start_matches('\n')))
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
