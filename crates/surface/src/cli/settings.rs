//! The settings of a module as options of its words, where it runs alone and nobody else could give them.

use super::SecretPrompt;
use super::flags::word_of;
use super::parse::texts;
use crate::typed::{is_list, setting_of_words};
use clap::{Arg, ArgAction, ArgMatches, ValueHint};
use schema::{FieldType, Manifest, Object, Problem, Setting, neutral_text};
use serde_json::Value;
use std::collections::BTreeSet;

const HEADING: &str = "Settings";
/// Arguments of the word itself, as against those that every word has.
const OWN: &[&str] = &["input:", "option:", "param:", "position:"];

/// Settings that stand on a command line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GivenSettings {
    pub values: Object,
    /// Secret ones, which are asked for.
    pub prompts: Vec<SecretPrompt>,
}

/// Adds an option for each setting of the module. An argument of the word that has the name of a setting keeps it; the
/// setting gives way with `--setting-<name>` only to what every word has.
pub fn with_settings(mut command: clap::Command, manifest: &Manifest) -> clap::Command {
    let mut taken = Taken::of(&command);
    for (name, setting) in &manifest.settings {
        if let Some(long) = taken.word(name) {
            command = command.arg(option(manifest, name, setting, long));
        }
    }
    command
}

/// The settings that were given as options.
///
/// # Errors
/// A value does not fit its setting, or a secret stands on the command line.
pub fn given_settings(manifest: &Manifest, matches: &ArgMatches) -> Result<GivenSettings, Problem> {
    let mut given = GivenSettings::default();
    for (name, setting) in &manifest.settings {
        let words = texts(matches, &id(name));
        if words.is_empty() {
            continue;
        }
        if setting.kind != FieldType::Secret {
            given.values.insert(name.clone(), setting_of_words(name, setting, &words)?);
        } else if words == ["-"] {
            given.prompts.push(SecretPrompt { path: vec![name.clone()], title: setting.title.clone() });
        } else {
            let problem = Problem::bad_request("a secret does not stand on a command line, where others can read it.");
            return Err(problem.at(name).fix(format!(
                "Give - to be asked, or set {}.",
                schema::setting_variable(&manifest.plugin.name, name)
            )));
        }
    }
    Ok(given)
}

fn id(name: &str) -> String {
    format!("setting:{name}")
}

/// The words that the options of a command have already.
struct Taken {
    own: BTreeSet<String>,
    all: BTreeSet<String>,
}

impl Taken {
    fn of(command: &clap::Command) -> Taken {
        let (mut own, mut all) = (BTreeSet::new(), BTreeSet::from(["help".to_owned(), "version".to_owned()]));
        for arg in command.get_arguments() {
            let property = OWN.iter().find_map(|kind| arg.get_id().as_str().strip_prefix(kind));
            own.extend(property.map(word_of));
            match arg.get_long() {
                Some(long) if property.is_some() => drop(own.insert(long.to_owned())),
                Some(long) => drop(all.insert(long.to_owned())),
                None => {}
            }
        }
        all.extend(own.iter().cloned());
        Taken { own, all }
    }

    fn word(&mut self, name: &str) -> Option<String> {
        let mut word = word_of(name);
        if self.own.contains(&word) {
            return None;
        }
        while !self.all.insert(word.clone()) {
            word = format!("setting-{word}");
        }
        Some(word)
    }
}

fn option(manifest: &Manifest, name: &str, setting: &Setting, long: String) -> Arg {
    let arg = Arg::new(id(name)).long(long).help_heading(HEADING).help(help(manifest, name, setting));
    if setting.kind == FieldType::Bool {
        let arg = arg.num_args(0..=1).require_equals(true).default_missing_value("true").value_name("true|false");
        return arg.value_parser(["true", "yes", "false", "no"]).hide_possible_values(true);
    }
    let action = if is_list(setting.kind) { ArgAction::Append } else { ArgAction::Set };
    let kind = serde_json::to_value(setting.kind).ok().and_then(|kind| kind.as_str().map(str::to_uppercase));
    let value = if is_list(setting.kind) { None } else { kind };
    let arg = arg.action(action).value_name(value.unwrap_or_else(|| "VALUE".to_owned())).allow_hyphen_values(true);
    if setting.kind == FieldType::Path { arg.value_hint(ValueHint::AnyPath) } else { arg }
}

fn help(manifest: &Manifest, name: &str, setting: &Setting) -> String {
    let text = if setting.description.is_empty() { &setting.title } else { &setting.description };
    let mut help = neutral_text(text);
    if is_list(setting.kind) {
        help.push_str("; may be given several times");
    }
    if setting.kind == FieldType::Secret {
        help.push_str(" [- to be asked]");
    }
    help.push_str(&format!(" [env: {}]", schema::setting_variable(&manifest.plugin.name, name)));
    match &setting.default {
        Value::Null | Value::Bool(false) => {}
        Value::String(text) if text.is_empty() => {}
        Value::Array(list) if list.is_empty() => {}
        Value::String(text) => help.push_str(&format!(" [default: {}]", neutral_text(text))),
        other => help.push_str(&format!(" [default: {}]", neutral_text(&other.to_string()))),
    }
    help
}
