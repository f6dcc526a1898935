//! The word of one command: its positional arguments, options and help.

use super::build::{about, output_arg};
use super::flags::{Flag, Place, flags};
use super::program;
use clap::builder::PossibleValue;
use clap::{Arg, ArgAction, ValueHint};
use schema::{Command, InputSchema, Manifest, Mode, TargetKind, neutral_text};
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) fn run_command(manifest: &Manifest, word: String, command: &Command, mode: Mode) -> clap::Command {
    let (short, long) = about(&command.title, &command.description);
    let mut built = clap::Command::new(word.clone()).about(short).long_about(long).arg(output_arg());
    let input = InputSchema::read(&command.input).unwrap_or_default();
    let flags = flags(command, &input);
    // clap wants required positional arguments before optional ones; what it does not ask for, the schema does.
    let mut still_required = true;
    let mut positional: Vec<&Flag<'_>> = flags.iter().filter(|f| f.place != Place::Flag).collect();
    positional.sort_by_key(|f| if let Place::Position(n) | Place::Many(n) = f.place { n } else { usize::MAX });
    for (n, flag) in positional.into_iter().enumerate() {
        still_required = still_required && flag.required;
        built = built.arg(positional_arg(flag, n + 1, still_required));
    }
    for flag in flags.iter().filter(|f| f.place == Place::Flag) {
        built = built.arg(flag_arg(flag, &flag.id()));
    }
    for flag in flags.iter().filter(|f| f.takes_many()) {
        let help = format!("The same as {}…, one by one", flag.long.to_uppercase());
        built = built.arg(flag_arg(flag, &flag.option_id()).required(false).action(ArgAction::Append).help(help));
    }
    built = run_options(built, command, mode);
    if !command.examples.is_empty() {
        built = built.after_help(examples(manifest, &word, command, &flags, mode));
    }
    built
}

fn run_options(mut built: clap::Command, command: &Command, mode: Mode) -> clap::Command {
    let switch = |id: &'static str, help: &'static str| Arg::new(id).long(id).action(ArgAction::SetTrue).help(help);
    let managed = mode == Mode::Managed;
    if managed && command.target.on == TargetKind::Machine {
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
    // Alone, the end is always waited for: a line for both kinds works all the same.
    built = built.arg(switch("wait", "Wait for the end and print the result").hide(!managed));
    if !command.streams.is_empty() {
        built = built.arg(stream_arg(command));
    }
    if command.preview.is_some() {
        built = built.arg(switch("dry-run", "Only say what would be done"));
    }
    if command.danger.is_some() {
        built = built.arg(switch("yes", "Do not ask whether to go on"));
    }
    if !managed {
        return built;
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
    let one = if flag.is_list() { flag.property.items.as_deref().unwrap_or(flag.property) } else { flag.property };
    let name = match (one.domain.or(flag.property.domain), one.base_kind()) {
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
    let arg = Arg::new(flag.id()).index(index).value_name(flag.long.to_uppercase());
    let many = |arg: Arg| {
        let arg = arg.num_args(1..).action(ArgAction::Append);
        if required { arg.required_unless_present(flag.option_id()) } else { arg }
    };
    let arg = match flag.place {
        Place::Rest => many(arg).trailing_var_arg(true).allow_hyphen_values(true),
        Place::Many(_) => many(arg),
        _ => arg.action(ArgAction::Set).required(required),
    };
    finish(arg, flag)
}

fn flag_arg(flag: &Flag<'_>, id: &str) -> Arg {
    let arg = Arg::new(id.to_owned()).long(flag.long.clone());
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
fn examples(manifest: &Manifest, word: &str, command: &Command, flags: &[Flag<'_>], mode: Mode) -> String {
    let mut text = "Examples:".to_owned();
    for example in &command.examples {
        let mut line = format!("\n  {} {word}", program(manifest, mode));
        if mode == Mode::Managed && command.target.on == TargetKind::Machine {
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
                Place::Position(n) | Place::Many(n) => after.push((n, words.join(" "))),
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
