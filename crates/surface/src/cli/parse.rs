//! What was asked for, from what clap matched.

use super::Format;
use super::build::{Entry, asks_a_machine, chosen, param_id, position_id};
use super::flags::{Flag, Place, flags};
use crate::shape::{Shape, nearest};
use crate::typed::{plain_number, typed};
use clap::ArgMatches;
use schema::{
    Field, Filter, InputProperty, InputSchema, Manifest, Mode, Object, Op, Problem, Query, View, ViewKind, check_value,
};
use serde_json::Value;

/// A view to print or a command to run.
#[derive(Clone, Debug, PartialEq)]
pub enum Invocation {
    View(ViewCall),
    Command(CommandCall),
}

#[derive(Clone, Debug, PartialEq)]
pub struct ViewCall {
    pub plugin: String,
    pub view: String,
    pub query: Query,
    /// Key or name of the one row of a detail view.
    pub key: Option<String>,
    /// Follow the pages to their end.
    pub all: bool,
    pub watch: bool,
    pub output: Format,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CommandCall {
    pub plugin: String,
    /// Short id of the command; that of its preview for a dry run.
    pub command: String,
    pub input: Object,
    pub machines: Vec<String>,
    pub group: Option<String>,
    pub wait: bool,
    pub dry_run: bool,
    /// Go on without asking.
    pub yes: bool,
    pub idempotency_key: Option<String>,
    /// Files in the place of stdin and stdout, by the name of the stream.
    pub streams: Vec<(String, String)>,
    pub output: Format,
    /// Secrets to ask for before it is sent; they never stand on a command line.
    pub prompts: Vec<SecretPrompt>,
}

/// A secret property that was left out or given as `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretPrompt {
    /// Names from the input down to the property.
    pub path: Vec<String>,
    pub title: String,
}

/// What was asked for; `None` where the words are not those of a manifest.
///
/// # Errors
/// A `bad_request` problem for a filter or value that cannot be read.
pub fn parse(manifests: &[Manifest], matches: &ArgMatches) -> Result<Option<Invocation>, Problem> {
    let Some((plugin, below)) = matches.subcommand() else { return Ok(None) };
    let Some(manifest) = manifests.iter().find(|manifest| manifest.plugin.name == plugin) else { return Ok(None) };
    parse_below(manifests, manifest, below, Mode::Managed)
}

/// What was asked for below the word of one module.
pub(super) fn parse_below(
    manifests: &[Manifest],
    manifest: &Manifest,
    matches: &ArgMatches,
    mode: Mode,
) -> Result<Option<Invocation>, Problem> {
    match chosen(manifest, matches, mode) {
        None => Ok(None),
        Some((Entry::View(view), matches)) => {
            parse_view(manifests, manifest, view, matches).map(|call| Some(Invocation::View(call)))
        }
        Some((Entry::Command(command), matches)) => {
            parse_command(manifest, command, matches).map(|call| Some(Invocation::Command(call)))
        }
    }
}

fn format(matches: &ArgMatches) -> Format {
    text(matches, "output").and_then(|name| Format::parse(&name)).unwrap_or_default()
}

/// The text of an argument that may not be declared for this command at all.
fn text(matches: &ArgMatches, id: &str) -> Option<String> {
    matches.try_get_one::<String>(id).ok().flatten().cloned()
}

pub(super) fn texts(matches: &ArgMatches, id: &str) -> Vec<String> {
    matches.try_get_many::<String>(id).ok().flatten().into_iter().flatten().cloned().collect()
}

fn switch(matches: &ArgMatches, id: &str) -> bool {
    matches.try_get_one::<bool>(id).ok().flatten().copied().unwrap_or(false)
}

fn parse_view(
    manifests: &[Manifest],
    manifest: &Manifest,
    view: &View,
    matches: &ArgMatches,
) -> Result<ViewCall, Problem> {
    let shape = Shape::of(manifests, manifest, view);
    let mut query = Query { q: text(matches, "q"), at: text(matches, "at"), ..Query::default() };
    for condition in texts(matches, "where") {
        query.filters.push(parse_filter(&condition, shape.as_ref())?);
    }
    for sort in texts(matches, "sort") {
        let name = sort.strip_prefix('-').unwrap_or(&sort);
        known(name, shape.as_ref(), "sort")?;
        query.sort.push(sort);
    }
    query.page.limit = matches.try_get_one::<u32>("limit").ok().flatten().copied();
    let fields = texts(matches, "fields");
    if !fields.is_empty() {
        fields.iter().try_for_each(|name| known(name, shape.as_ref(), "fields").map(|_| ()))?;
        query.fields = Some(fields);
    }
    for (name, field) in &view.params {
        let mut given = texts(matches, &param_id(name));
        given.extend(texts(matches, &position_id(name)));
        let mut values = given.iter().map(|word| typed(field.kind, word));
        let value = if field.many { (!given.is_empty()).then(|| values.collect()) } else { values.next_back() };
        if let Some(value) = value {
            check_value(name, field, &value)?;
            query.params.insert(name.clone(), value);
        }
    }
    if let Some(machine) = text(matches, "machine").filter(|_| asks_a_machine(manifest, view)) {
        query.params.insert("machine".to_owned(), machine.into());
    }
    Ok(ViewCall {
        plugin: manifest.plugin.name.clone(),
        view: view.id.clone(),
        query,
        key: if view.kind == ViewKind::Detail { text(matches, "key") } else { None },
        all: switch(matches, "all"),
        watch: switch(matches, "watch"),
        output: format(matches),
    })
}

/// The field with this name; every name passes where the columns are not known.
fn known<'a>(name: &str, shape: Option<&'a Shape>, at: &str) -> Result<Option<&'a Field>, Problem> {
    let Some(shape) = shape else { return Ok(None) };
    if let Some(column) = shape.column(name) {
        return Ok(Some(&column.field));
    }
    let name = schema::neutral_text(name);
    let problem = Problem::bad_request(format!("there is no field {name}.")).at(at);
    Err(match nearest(&name, shape.columns.iter().map(|c| c.name.as_str())) {
        Some(near) => problem.fix(format!("Did you mean {near}?")),
        None => {
            let names: Vec<&str> = shape.columns.iter().map(|c| c.name.as_str()).collect();
            problem.fix(format!("There are: {}.", names.join(", ")))
        }
    })
}

fn parse_filter(condition: &str, shape: Option<&Shape>) -> Result<Filter, Problem> {
    let end = condition.find(|c| "=!<>~^".contains(c)).filter(|at| *at > 0).ok_or_else(|| {
        Problem::bad_request(format!("{} is not a condition.", schema::neutral_text(condition)))
            .at("where")
            .fix("Write FIELD=VALUE, as in status=online.")
    })?;
    let (name, rest) = condition.split_at(end);
    let operators: [(&str, Op); 8] = [
        ("!=", Op::Ne),
        ("<=", Op::Le),
        (">=", Op::Ge),
        ("^=", Op::Prefix),
        ("=", Op::Eq),
        ("<", Op::Lt),
        (">", Op::Gt),
        ("~", Op::Contains),
    ];
    let (op, value) =
        operators.iter().find_map(|(sign, op)| rest.strip_prefix(sign).map(|value| (*op, value))).ok_or_else(|| {
            Problem::bad_request(format!("{} is not a comparison.", schema::neutral_text(rest))).at("where")
        })?;
    let field = known(name, shape, "where")?;
    let one = |value: &str| field.map_or_else(|| Value::from(value), |field| typed(field.kind, value));
    let (op, value) = match op {
        Op::Eq if value.is_empty() => (Op::Empty, Value::Null),
        Op::Eq if value.contains(',') => (Op::In, value.split(',').map(one).collect()),
        Op::Eq if field.is_some_and(|f| f.many || f.kind.is_structured()) => (Op::Contains, Value::from(value)),
        Op::Contains | Op::Prefix => (op, Value::from(value)),
        op => (op, one(value)),
    };
    Ok(Filter { field: name.to_owned(), op, value })
}

fn parse_command(manifest: &Manifest, command: &schema::Command, matches: &ArgMatches) -> Result<CommandCall, Problem> {
    let schema = InputSchema::read(&command.input)?;
    let (mut input, mut prompts) = (Object::new(), Vec::new());
    for flag in flags(command, &schema) {
        let mut given = texts(matches, &flag.option_id());
        given.extend(texts(matches, &flag.id()));
        let asked = flag.is_secret() && (given == ["-"] || given.is_empty() && flag.required);
        if asked {
            let title = flag.property.title.clone().unwrap_or_else(|| flag.long.clone());
            prompts.push(SecretPrompt { path: flag.path.iter().map(|p| (*p).to_owned()).collect(), title });
        } else if !given.is_empty() {
            insert(&mut input, &flag.path, flag_value(&flag, &given)?);
        }
    }
    let dry_run = switch(matches, "dry-run");
    let run = command.preview.as_deref().filter(|_| dry_run).unwrap_or(&command.id);
    Ok(CommandCall {
        plugin: manifest.plugin.name.clone(),
        command: run.strip_prefix(&format!("{}.", manifest.plugin.name)).unwrap_or(run).to_owned(),
        input,
        machines: given_targets(command, matches, "machine"),
        group: given_targets(command, matches, "group").into_iter().next(),
        wait: switch(matches, "wait") || dry_run,
        dry_run,
        yes: switch(matches, "yes"),
        idempotency_key: text(matches, "idempotency-key"),
        streams: stream_files(command, matches)?,
        output: format(matches),
        prompts,
    })
}

fn stream_files(command: &schema::Command, matches: &ArgMatches) -> Result<Vec<(String, String)>, Problem> {
    let given = if command.streams.is_empty() { Vec::new() } else { texts(matches, "stream") };
    let pair = |word: String| match word.split_once('=') {
        Some((name, file)) if !file.is_empty() => Ok((name.to_owned(), file.to_owned())),
        _ => Err(Problem::bad_request("a stream is given as NAME=FILE.").at("stream")),
    };
    given.into_iter().map(pair).collect()
}

fn given_targets(command: &schema::Command, matches: &ArgMatches, id: &str) -> Vec<String> {
    if command.target.on == schema::TargetKind::Machine { texts(matches, id) } else { Vec::new() }
}

fn insert(input: &mut Object, path: &[&str], value: Value) {
    match path {
        [] => {}
        [name] => {
            input.insert((*name).to_owned(), value);
        }
        [name, rest @ ..] => {
            let inner = input.entry((*name).to_owned()).or_insert_with(|| Value::Object(Object::new()));
            if let Value::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

fn flag_value(flag: &Flag<'_>, given: &[String]) -> Result<Value, Problem> {
    let at = flag.path.join(".");
    if flag.is_list() {
        let items = flag.property.items.as_deref();
        return given.iter().map(|word| word_value(items.unwrap_or(flag.property), word, &at)).collect();
    }
    match flag.place {
        Place::Rest => Ok(Value::from(given.join(" "))),
        _ => word_value(flag.property, given.last().map(String::as_str).unwrap_or_default(), &at),
    }
}

/// A word as the kind of value that the property is. What does not fit stays a text, for the schema to refuse.
fn word_value(property: &InputProperty, word: &str, at: &str) -> Result<Value, Problem> {
    let choices = property.choices.iter().chain(property.one_of.iter().map(|c| &c.constant));
    if let Some(choice) = choices.into_iter().find(|c| !c.is_string() && *word == c.to_string()) {
        return Ok(choice.clone());
    }
    Ok(match (property.base_kind(), property.domain) {
        ("integer" | "number", Some(domain)) if domain.is_number() => typed(domain, word),
        ("integer" | "number", _) => plain_number(word).unwrap_or_else(|| word.into()),
        ("boolean", _) => word.parse::<bool>().map_or_else(|_| word.into(), Value::from),
        ("array" | "object", _) => {
            return serde_json::from_str(word).map_err(|e| {
                Problem::bad_request(format!("this is not JSON: {e}."))
                    .at(at)
                    .fix("Give lists and objects as JSON here.")
            });
        }
        _ => word.into(),
    })
}
