//! Checks a manifest as a whole: names, references between its parts, sizes. Every fault names its exact path.

mod views;

use crate::{CONSOLE_VERSION, FEATURES, FieldType, Manifest, StreamDirection, TargetKind, Type};
use std::collections::BTreeSet;

/// Sizes a manifest is held to, so that a hostile one cannot swamp a host or a console.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub bytes: usize,
    pub types: usize,
    pub fields_of_a_type: usize,
    pub views: usize,
    pub commands: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { bytes: 512 * 1024, types: 200, fields_of_a_type: 200, views: 200, commands: 200 }
    }
}

/// One thing wrong in a manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Fault {
    /// JSON path, as in `types.greeting.fields.who.type`.
    pub path: String,
    pub message: String,
}

impl Manifest {
    /// Reads a manifest from JSON and checks it.
    ///
    /// # Errors
    /// Everything that is wrong with it, with its path; one fault where it is not JSON of the right shape.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, Vec<Fault>> {
        let limits = Limits::default();
        if bytes.len() > limits.bytes {
            let message = format!("{} bytes are more than the {} a manifest may have", bytes.len(), limits.bytes);
            return Err(vec![Fault { path: "$".into(), message }]);
        }
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(|e| {
            vec![Fault { path: format!("line {} column {}", e.line(), e.column()), message: e.to_string() }]
        })?;
        let faults = manifest.check();
        if faults.is_empty() { Ok(manifest) } else { Err(faults) }
    }

    /// Everything that is wrong with the manifest by itself; references to other plugins are not followed.
    pub fn check(&self) -> Vec<Fault> {
        let mut check = Check { manifest: self, faults: Vec::new() };
        check.plugin();
        check.types();
        check.views();
        check.commands();
        check.rest();
        check.faults
    }
}

struct Check<'a> {
    manifest: &'a Manifest,
    faults: Vec<Fault>,
}

impl Check<'_> {
    fn fault(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.faults.push(Fault { path: path.into(), message: message.into() });
    }

    fn require(&mut self, holds: bool, path: impl Into<String>, message: impl Into<String>) {
        if !holds {
            self.fault(path, message);
        }
    }

    fn plugin(&mut self) {
        let (major, ours) = (self.manifest.console.split('.').next(), CONSOLE_VERSION.split('.').next());
        self.require(major == ours, "console", format!("this host reads console {CONSOLE_VERSION}"));
        let info = &self.manifest.plugin;
        self.require(is_global_id(&info.id), "plugin.id", "an id is 3 to 100 letters, digits, dots, - and _");
        self.require(
            is_slug(&info.name) && !RESERVED.contains(&info.name.as_str()),
            "plugin.name",
            "a name is 1 to 32 lower-case letters, digits and -, begins with a letter and is not a word of the core",
        );
        self.require(
            !info.title.trim().is_empty() && info.title.len() <= 60,
            "plugin.title",
            "a title has 1 to 60 bytes",
        );
        self.require(
            info.requires.console.as_deref().is_none_or(|range| is_within(CONSOLE_VERSION, range)),
            "plugin.requires.console",
            format!("this host has console {CONSOLE_VERSION}, and the plugin was made for another one"),
        );
        for (n, feature) in info.requires.features.iter().enumerate() {
            self.require(
                FEATURES.contains(&feature.as_str()),
                format!("plugin.requires.features[{n}]"),
                format!("this host has no feature {feature}"),
            );
        }
    }

    fn types(&mut self) {
        let limits = Limits::default();
        self.require(self.manifest.types.len() <= limits.types, "types", format!("at most {} types", limits.types));
        for (name, kind) in &self.manifest.types {
            let path = format!("types.{name}");
            self.require(is_slug(name), &path, "a type's name is 1 to 32 lower-case letters, digits and -");
            self.require(
                kind.fields.len() <= limits.fields_of_a_type,
                format!("{path}.fields"),
                format!("at most {} fields", limits.fields_of_a_type),
            );
            self.one_type(&path, kind);
        }
    }

    fn one_type(&mut self, path: &str, kind: &Type) {
        let one_of_two = kind.stored.is_some() != kind.computed.is_some();
        self.require(one_of_two, path, "a type is either stored or computed");
        for key in &kind.key {
            let fits = kind.fields.get(key).is_some_and(|f| !f.many && !f.kind.is_structured());
            self.require(fits, format!("{path}.key"), format!("{key} is not a field with a single plain value"));
        }
        let keyed = !kind.key.is_empty() || kind.scope == crate::Scope::Machine;
        self.require(keyed, format!("{path}.key"), "a type of scope site needs a key");
        self.require(
            kind.fields.contains_key(&kind.label),
            format!("{path}.label"),
            format!("{} is not a field", kind.label),
        );
        if let Some(status) = &kind.status {
            let fits = kind.fields.get(status).is_some_and(|f| f.kind == FieldType::Status);
            self.require(fits, format!("{path}.status"), format!("{status} is not a field of type status"));
        }
        if let Some(extension) = &kind.extends {
            let plain = kind.stored.is_some() && kind.scope == crate::Scope::Machine && kind.key.is_empty();
            self.require(
                plain,
                format!("{path}.extends"),
                "only a stored type with one row a machine can extend another type",
            );
            for field in &extension.fields {
                self.require(
                    kind.fields.contains_key(field),
                    format!("{path}.extends.fields"),
                    format!("{field} is not a field"),
                );
            }
        }
        for (name, field) in &kind.fields {
            let at = format!("{path}.fields.{name}");
            self.require(
                is_field_name(name),
                &at,
                "a field's name is 1 to 40 lower-case letters, digits and _, and begins with a letter",
            );
            self.require((1..=3).contains(&field.priority), format!("{at}.priority"), "a priority is 1, 2 or 3");
            let needs_values = field.kind == FieldType::Status && field.values.is_empty();
            self.require(!needs_values, format!("{at}.values"), "a status says what its values mean");
            let known = |absent: &String| field.values.contains_key(absent) && kind.extends.is_some();
            self.require(
                field.absent.as_ref().is_none_or(known),
                format!("{at}.absent"),
                "what is absent is one of the values of a field that extends another type",
            );
            let refers = matches!(field.kind, FieldType::Ref | FieldType::Refs);
            self.require(!refers || field.target.is_some(), format!("{at}.ref"), "a reference says to which type");
            self.require(
                !field.sort || field.kind.is_sortable() && !field.many,
                format!("{at}.sort"),
                "rows cannot be ordered by this type",
            );
        }
    }

    fn commands(&mut self) {
        let mut seen = BTreeSet::new();
        self.require(self.manifest.commands.len() <= Limits::default().commands, "commands", "too many commands");
        for (n, command) in self.manifest.commands.iter().enumerate() {
            let path = format!("commands[{n}]");
            self.require(
                is_slug(&command.id),
                format!("{path}.id"),
                "a command's id is 1 to 32 lower-case letters, digits and -",
            );
            self.require(
                seen.insert(&command.id),
                format!("{path}.id"),
                format!("there are two commands {}", command.id),
            );
            self.require(
                !command.title.trim().is_empty(),
                format!("{path}.title"),
                "a command has a title that begins with a verb",
            );
            match crate::InputSchema::read(&command.input) {
                Ok(input) => {
                    let mut named: Vec<&String> = command.bind.keys().collect();
                    named.extend(command.cli.iter().flat_map(|c| c.positional.iter().chain(c.trailing.iter())));
                    for name in named {
                        self.require(
                            input.properties.contains_key(name),
                            &path,
                            format!("{name} is not a property of the input"),
                        );
                    }
                }
                Err(problem) => {
                    let at = problem.field.as_deref().map(|f| format!(".{f}")).unwrap_or_default();
                    self.fault(format!("{path}.input{at}"), problem.message);
                }
            }
            for (m, stream) in command.streams.iter().enumerate() {
                let comes_out = stream.direction == StreamDirection::Out;
                self.require(
                    comes_out || stream.taken_as.is_none() && stream.file.is_empty(),
                    format!("{path}.streams[{m}].as"),
                    "only what the command alone sends is a file",
                );
            }
            for id in command.preview.iter().chain(command.undo.iter()) {
                self.own_command(&path, id);
            }
            if let Some(offer) = &command.offer {
                self.require(
                    offer.text_many.contains("{n}"),
                    format!("{path}.offer.text_many"),
                    "it says of how many, by {n}",
                );
                let fits = match &offer.of {
                    None => command.target.on == TargetKind::Machine,
                    Some(of) => command.target.on != TargetKind::Machine && self.manifest.type_of(of).is_some(),
                };
                self.require(
                    fits && !offer.filters.is_empty(),
                    format!("{path}.offer"),
                    "a command is offered for some machines where it is run on them, otherwise for rows of an own type",
                );
            }
        }
    }

    fn rest(&mut self) {
        for (n, schedule) in self.manifest.schedules.iter().enumerate() {
            self.own_command(format!("schedules[{n}].command"), &schedule.command);
        }
        for (name, setting) in &self.manifest.settings {
            let path = format!("settings.{name}");
            self.require(is_field_name(name), &path, "a setting's name is 1 to 40 lower-case letters, digits and _");
            for (part, message) in setting.faults() {
                self.fault(format!("{path}.{part}"), message);
            }
        }
    }

    fn own_command(&mut self, path: impl Into<String>, id: &str) {
        let found = self.manifest.command(id).is_some() || self.is_foreign(id);
        self.require(found, path, format!("there is no command {id}"));
    }

    fn is_foreign(&self, id: &str) -> bool {
        id.split_once('.').is_some_and(|(plugin, _)| plugin != self.manifest.plugin.name)
    }
}

/// Names of plugins that would collide with addresses or command words of the core.
const RESERVED: &[&str] = &[
    "jobs", "commands", "session", "live", "console", "serve", "token", "module", "plugin", "audit", "help", "openapi",
];

fn is_slug(text: &str) -> bool {
    text != "help"
        && (1..=32).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && text.as_bytes()[0].is_ascii_lowercase()
}

fn is_field_name(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && text.as_bytes()[0].is_ascii_lowercase()
}

fn is_global_id(text: &str) -> bool {
    (3..=100).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// Whether a version `major.minor` is in a range of conditions, as in `>=1.0 <2`; one that cannot be read holds nowhere.
fn is_within(version: &str, range: &str) -> bool {
    let read = |text: &str| {
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    };
    let Some(version) = read(version) else { return false };
    range.split_whitespace().all(|condition| {
        let operator = condition.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        let Some(bound) = read(&condition[operator.len()..]) else { return false };
        match operator {
            ">=" => version >= bound,
            ">" => version > bound,
            "<=" => version <= bound,
            "<" => version < bound,
            "=" | "" => version == bound,
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn sample() -> Value {
        json!({"console": "1.0", "plugin": {"id": "com.acme.printers", "name": "printers", "version": "1.0.0", "title": "Printers"},
            "types": {"printer": {"title": "Printer", "scope": "machine", "key": ["serial"], "label": "serial", "stored": {},
                "fields": {"serial": {"title": "Serial", "type": "id"}, "toner": {"title": "Toner", "type": "percent"}}}},
            "views": [{"id": "printers", "kind": "table", "title": "Printers", "of": "printer", "row": ["scan"]}],
            "commands": [{"id": "scan", "title": "Scan now", "input": {"type": "object", "properties": {"subnet": {"type": "string"}}}}]})
    }

    fn faults(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut manifest = sample();
        change(&mut manifest);
        match Manifest::parse(manifest.to_string().as_bytes()) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn a_good_manifest_has_no_fault() {
        assert_eq!(faults(|_| ()), Vec::<String>::new());
    }

    #[test]
    fn each_fault_names_its_path() {
        type Change = Box<dyn FnOnce(&mut Value)>;
        let cases: Vec<(&str, Change)> = vec![
            ("console:", Box::new(|m| m["console"] = json!("2.0"))),
            ("plugin.name:", Box::new(|m| m["plugin"]["name"] = json!("../x"))),
            ("plugin.name:", Box::new(|m| m["plugin"]["name"] = json!("jobs"))),
            ("types.printer:", Box::new(|m| m["types"]["printer"]["computed"] = json!({"answered_by": "machine"}))),
            ("types.printer.key:", Box::new(|m| m["types"]["printer"]["key"] = json!(["nope"]))),
            ("types.printer.label:", Box::new(|m| m["types"]["printer"]["label"] = json!("nope"))),
            ("views[0].of:", Box::new(|m| m["views"][0]["of"] = json!("nope"))),
            ("views[0]:", Box::new(|m| m["views"][0]["columns"] = json!(["nope"]))),
            ("views[0].row:", Box::new(|m| m["views"][0]["row"] = json!(["nope"]))),
            ("views[0].x-cli:", Box::new(|m| m["views"][0]["x-cli"] = json!({"positional": ["nope"]}))),
            (
                "commands[0].input.properties.subnet:",
                Box::new(|m| m["commands"][0]["input"]["properties"]["subnet"]["type"] = json!("wrong")),
            ),
            (
                "commands[0].streams[0].as:",
                Box::new(|m| {
                    m["commands"][0]["streams"] = json!([{"name": "a", "direction": "both", "as": "download"}])
                }),
            ),
            ("plugin.requires.console:", Box::new(|m| m["plugin"]["requires"] = json!({"console": ">=1.1 <2"}))),
            (
                "plugin.requires.features[0]:",
                Box::new(|m| m["plugin"]["requires"] = json!({"features": ["view.hologram"]})),
            ),
        ];
        for (path, change) in cases {
            let found = faults(change);
            assert!(found.iter().any(|f| f.starts_with(path)), "{path} not in {found:?}");
        }
        assert!(faults(|m| m["wrong"] = json!(1))[0].contains("unknown field `wrong`"));
    }
}
