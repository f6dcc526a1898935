//! How input properties become flags. The same walk makes the flags and reads them back.

use schema::{CliHints, Command, FieldType, InputProperty, InputSchema, TargetKind};
use std::collections::BTreeSet;

/// Words that every command has already.
const TAKEN: &[&str] =
    &["help", "version", "machine", "group", "wait", "dry-run", "output", "yes", "idempotency-key", "stream"];

/// One flag or positional argument, for one property or one property nested in it.
pub(super) struct Flag<'a> {
    /// Names from the input down to the property.
    pub(super) path: Vec<&'a str>,
    pub(super) property: &'a InputProperty,
    /// Long flag without the dashes.
    pub(super) long: String,
    pub(super) place: Place,
    pub(super) required: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Flag,
    Position(usize),
    /// The last position, which takes any number of words; options may stand before, between and after them.
    Many(usize),
    /// Everything from its first word on, whatever it looks like.
    Rest,
}

impl Flag<'_> {
    /// Id of the argument in clap, which no property name can collide with.
    pub(super) fn id(&self) -> String {
        format!("input:{}", self.path.join("\u{0}"))
    }

    /// Id of the option that takes the same one by one, where the place takes several words.
    pub(super) fn option_id(&self) -> String {
        format!("option:{}", self.path.join("\u{0}"))
    }

    pub(super) fn takes_many(&self) -> bool {
        matches!(self.place, Place::Many(_) | Place::Rest)
    }

    pub(super) fn is_secret(&self) -> bool {
        self.property.domain == Some(FieldType::Secret)
    }

    pub(super) fn is_list(&self) -> bool {
        self.property.base_kind() == "array"
    }

    pub(super) fn is_switch(&self) -> bool {
        self.property.base_kind() == "boolean" && self.place == Place::Flag
    }
}

/// The flags of a command, in the order of its schema; positional ones carry their place.
pub(super) fn flags<'a>(command: &'a Command, input: &'a InputSchema) -> Vec<Flag<'a>> {
    let hints = command.cli.clone().unwrap_or_default();
    let mut used: BTreeSet<String> = TAKEN.iter().map(|word| (*word).to_owned()).collect();
    if command.target.on != TargetKind::Machine {
        used.remove("machine");
        used.remove("group");
    }
    let mut found = Vec::new();
    for (name, property) in &input.properties {
        let required = input.required.contains(name) && property.default.is_null() && property.when.is_none();
        let position = hints.positional.iter().position(|p| p == name);
        let place = match position {
            _ if hints.trailing.as_deref() == Some(name) => Place::Rest,
            Some(n) if property.base_kind() == "array" && is_last(&hints, n) => Place::Many(n),
            Some(n) => Place::Position(n),
            None => Place::Flag,
        };
        if property.base_kind() == "object" && place == Place::Flag && !property.properties.is_empty() {
            for (inner, nested) in &property.properties {
                let required = required && property.required.contains(inner) && nested.default.is_null();
                let long = free(&mut used, &format!("{name}.{inner}"));
                let path = vec![name.as_str(), inner.as_str()];
                found.push(Flag { path, property: nested, long, place: Place::Flag, required });
            }
        } else {
            let long = free(&mut used, name);
            found.push(Flag { path: vec![name.as_str()], property, long, place, required });
        }
    }
    found
}

fn is_last(hints: &CliHints, n: usize) -> bool {
    hints.trailing.is_none() && n + 1 == hints.positional.len()
}

/// The word of a flag for something of this name.
pub(super) fn word_of(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' };
    let word: String = name.chars().map(plain).take(60).collect();
    word.trim_matches(['-', '.']).to_owned()
}

/// A word for `name` that no other flag has.
fn free(used: &mut BTreeSet<String>, name: &str) -> String {
    let word = word_of(name);
    let mut candidate = if word.is_empty() { "value".to_owned() } else { word.clone() };
    if used.contains(&candidate) {
        candidate = format!("input-{word}");
    }
    let mut n = 2;
    while used.contains(&candidate) {
        candidate = format!("input-{word}-{n}");
        n += 1;
    }
    used.insert(candidate.clone());
    candidate
}
