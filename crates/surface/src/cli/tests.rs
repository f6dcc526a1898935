use super::*;
use crate::Shape;
use proptest::prelude::*;
use schema::{Filter, Manifest, Object, Op, Problem};
use serde_json::{Value, json};

fn manifests() -> Vec<Manifest> {
    vec![Manifest::parse(include_bytes!("../../tests/printers.json")).unwrap()]
}

fn command_line() -> clap::Command {
    build(&manifests())
}

fn parsed(line: &[&str]) -> Result<Invocation, Problem> {
    let words = ["bailiwick", "printers"].into_iter().chain(line.iter().copied());
    let matches = command_line().try_get_matches_from(words).unwrap_or_else(|e| panic!("{line:?}: {e}"));
    parse(&manifests(), &matches).map(Option::unwrap)
}

fn command(line: &[&str]) -> CommandCall {
    match parsed(line).unwrap() {
        Invocation::Command(call) => call,
        other => panic!("{other:?}"),
    }
}

fn view(line: &[&str]) -> ViewCall {
    match parsed(line).unwrap() {
        Invocation::View(call) => call,
        other => panic!("{other:?}"),
    }
}

#[test]
fn help_comes_from_the_manifest() {
    let mut text = String::new();
    for path in ["", "scan", "forget", "print", "printers", "printer", "list-scan", "jobs"] {
        text.push_str(&help("bailiwick printers", command_line().find_subcommand("printers").unwrap(), path));
    }
    for path in ["", "print", "printers", "jobs"] {
        text.push_str(&help("bailiwick-printers", &alone(&manifests()[0]), path));
    }
    expectorate::assert_contents("tests/help.txt", &text);
}

fn help(program: &str, command: &clap::Command, word: &str) -> String {
    let at = if word.is_empty() { command } else { command.find_subcommand(word).unwrap() };
    let line = format!("{program} {word}").trim().to_owned();
    let help = at.clone().bin_name(line.clone()).term_width(100).render_long_help();
    format!("$ {line} --help\n{help}\n")
}

#[test]
fn flags_become_the_input_of_the_command() {
    let call = command(&[
        "scan",
        "10.0.0.0/24",
        "--depth",
        "5",
        "--mode=full",
        "--deep-look",
        "--ports",
        "80",
        "--ports",
        "443",
        "--login.user",
        "ada",
        "--login.password",
        "-",
        "--machine",
        "m1",
        "--machine",
        "m2",
        "--wait",
        "-o",
        "json",
    ]);
    let input = json!({"subnet": "10.0.0.0/24", "depth": 5, "mode": "full", "deep_look": true, "ports": [80, 443], "login": {"user": "ada"}});
    assert_eq!(Value::Object(call.input), input);
    assert_eq!((call.plugin.as_str(), call.command.as_str()), ("printers", "scan"));
    assert_eq!((call.machines, call.wait, call.output), (vec!["m1".to_owned(), "m2".into()], true, Format::Json));
    let prompt = SecretPrompt { path: vec!["login".into(), "password".into()], title: "Password".into() };
    assert_eq!(call.prompts, [prompt]);
    assert_eq!(command(&["scan", "::/0", "--deep-look=false"]).input["deep_look"], false);
}

#[test]
fn the_rest_of_the_line_is_one_property_even_with_dashes() {
    let call = command(&["forget", "--yes", "--machine", "m1", "a", "--b", "-c"]);
    assert_eq!(Value::Object(call.input), json!({"serials": ["a", "--b", "-c"], "machine": "m1"}));
    assert!(call.yes && call.machines.is_empty(), "the property is not the target");
    let dry = command(&["forget", "--dry-run", "a"]);
    assert_eq!((dry.command.as_str(), dry.dry_run, dry.wait), ("would-forget", true, true));
}

#[test]
fn a_list_that_comes_last_stands_among_options_and_is_an_option_too() {
    let expected = json!({"copies": 2, "file": ["a", "b"], "size": 4096});
    for line in [
        &["print", "2", "a", "b", "--size", "4KiB"][..],
        &["print", "--size=4KiB", "2", "a", "--machine", "m", "b"],
        &["print", "2", "--file", "a", "--file", "b", "--size", "4096"],
        &["print", "2", "b", "--file", "a", "--size", "4k"],
    ] {
        assert_eq!(Value::Object(command(line).input), expected, "{line:?}");
    }
    assert_eq!(command(&["print", "2", "--", "-x"]).input["file"], json!(["-x"]));
    let missing = command_line().try_get_matches_from(["bailiwick", "printers", "print", "2"]).unwrap_err();
    assert!(missing.to_string().contains("FILE"), "{missing}");
    let call = command(&["forget", "--yes", "--serials", "a", "--serials", "b", "--machine", "m1"]);
    assert_eq!(Value::Object(call.input), json!({"serials": ["a", "b"], "machine": "m1"}));
}

#[test]
fn params_of_a_view_are_options_and_stand_where_the_manifest_says() {
    let expected = json!({"printer": "p1", "states": ["held", "done"], "size_from": 1024, "machine": "m"});
    for line in [
        &["jobs", "--machine", "m", "p1", "held", "done", "--size-from", "1KiB"][..],
        &["jobs", "--machine", "m", "--printer", "p1", "--states", "held", "--states", "done", "--size-from", "1k"],
    ] {
        assert_eq!(json!(view(line).query.params), expected, "{line:?}");
    }
    assert_eq!(json!(view(&["jobs", "--machine", "m"]).query.params), json!({"machine": "m"}));
    let error = parsed(&["jobs", "--machine", "m", "--size-from", "little"]).unwrap_err().to_string();
    assert_eq!(error, "size_from: expected a number from 0 up, not \"little\".");
}

fn by_itself(line: &[&str]) -> Result<(Invocation, GivenSettings), Problem> {
    let manifest = manifests().remove(0);
    let words = ["bailiwick-printers"].into_iter().chain(line.iter().copied());
    let matches = alone(&manifest).try_get_matches_from(words).unwrap_or_else(|e| panic!("{line:?}: {e}"));
    parse_alone(&manifest, &matches).map(Option::unwrap)
}

fn settings(line: &[&str]) -> Value {
    Value::Object(by_itself(line).unwrap().1.values)
}

#[test]
fn the_settings_of_a_module_alone_are_options_of_its_words() {
    let all = [
        "printers",
        "--queue",
        "q",
        "--paper-sizes",
        "a4",
        "--paper-sizes",
        "a,5",
        "--setting-limit",
        "2MiB",
        "--colour",
    ];
    let expected = json!({"queue": "q", "paper_sizes": ["a4", "a,5"], "limit": 2_097_152, "colour": true});
    assert_eq!(settings(&all), expected);
    assert_eq!(settings(&["forget", "--limit", "1", "--colour=no", "x"]), json!({"limit": 1, "colour": false}));
    // The command has a queue of its own, and with that word it is meant.
    let (asked, given) = by_itself(&["print", "2", "a", "--queue", "own"]).unwrap();
    let Invocation::Command(call) = asked else { panic!("{asked:?}") };
    assert_eq!((&call.input["queue"], given.values.len()), (&json!("own"), 0));
    let error = by_itself(&["printers", "--setting-limit", "huge"]).unwrap_err().to_string();
    assert_eq!(error, "limit: expected a number from 0 up, not \"huge\".");
}

#[test]
fn a_secret_setting_never_stands_on_the_line() {
    let prompt = SecretPrompt { path: vec!["pin".into()], title: "PIN".into() };
    assert_eq!(by_itself(&["print", "1", "a", "--pin", "-"]).unwrap().1.prompts, [prompt]);
    let error = by_itself(&["print", "1", "a", "--pin", "1234"]).unwrap_err().to_string();
    assert!(error.contains("BAILIWICK_PRINTERS_PIN") && !error.contains("1234"), "{error}");
}

#[test]
fn a_module_alone_has_no_machines_to_name_and_commands_of_its_own() {
    let manifest = manifests().remove(0);
    let refused = |line: &[&str]| {
        let words = ["bailiwick-printers"].into_iter().chain(line.iter().copied());
        alone(&manifest).try_get_matches_from(words).unwrap_err().to_string()
    };
    assert!(refused(&["scan", "::/0", "--machine", "m"]).contains("--machine"));
    assert!(refused(&["scan", "::/0", "--group", "g"]).contains("--group"));
    assert!(matches!(by_itself(&["spool"]), Ok((Invocation::Command(_), _))));
    let words = ["bailiwick", "printers", "spool"];
    assert!(command_line().try_get_matches_from(words).is_err(), "it is for a module alone");
    let (asked, _) = by_itself(&["jobs", "p1"]).unwrap();
    let Invocation::View(call) = asked else { panic!("{asked:?}") };
    assert_eq!(json!(call.query.params), json!({"printer": "p1"}));
    assert_eq!(free_word(&alone(&manifest), "serve"), "serve");
    assert_eq!(free_word(&alone(&manifest), "scan"), "module-scan");
}

#[test]
fn a_command_has_its_word_and_a_view_of_the_same_id_has_another() {
    assert!(matches!(parsed(&["scan", "::/0"]), Ok(Invocation::Command(_))));
    let call = view(&["list-scan", "--limit", "5", "--param-limit", "7"]);
    assert_eq!((call.view.as_str(), call.query.page.limit), ("scan", Some(5)));
    assert_eq!(Value::Object(call.query.params), json!({"limit": 7}));
    assert_eq!(view(&["printer", "SN1"]).key.as_deref(), Some("SN1"));
}

#[test]
fn conditions_are_typed_by_their_field() {
    let filter = |text: &str| view(&["printers", "--where", text]).query.filters.remove(0);
    let expected = |field: &str, op, value| Filter { field: field.into(), op, value };
    assert_eq!(filter("state=jam"), expected("state", Op::Eq, json!("jam")));
    assert_eq!(filter("state=jam,ok"), expected("state", Op::In, json!(["jam", "ok"])));
    assert_eq!(filter("state!=jam"), expected("state", Op::Ne, json!("jam")));
    assert_eq!(filter("toner>=90%"), expected("toner", Op::Ge, json!(90)));
    assert_eq!(filter("memory<8GiB"), expected("memory", Op::Lt, json!(8_589_934_592u64)));
    assert_eq!(filter("up>1.5h"), expected("up", Op::Gt, json!(5400)));
    assert_eq!(filter("model~laser jet"), expected("model", Op::Contains, json!("laser jet")));
    assert_eq!(filter("model^=HP"), expected("model", Op::Prefix, json!("HP")));
    assert_eq!(filter("addresses=10.0.0.1"), expected("addresses", Op::Contains, json!("10.0.0.1")));
    assert_eq!(filter("note="), expected("note", Op::Empty, json!(null)));
    let error = |line: &[&str]| parsed(line).unwrap_err().to_string();
    assert_eq!(error(&["printers", "--where", "tonr=1"]), "where: there is no field tonr. Did you mean toner?");
    assert_eq!(error(&["printers", "--sort", "-modl"]), "sort: there is no field modl. Did you mean model?");
    assert!(error(&["printers", "--where", "nonsense"]).contains("Write FIELD=VALUE"));
}

#[test]
fn sorting_and_paging_are_carried_over() {
    let call = view(&["printers", "--sort", "-toner,model", "--all", "--q", "hp", "--fields", "model", "--watch"]);
    assert_eq!(call.query.sort, ["-toner", "model"]);
    assert_eq!((call.all, call.watch, call.query.q.as_deref()), (true, true, Some("hp")));
    assert_eq!(call.query.fields, Some(vec!["model".to_owned()]));
}

fn rows() -> Vec<Object> {
    let rows = json!([
        {"model": "LaserJet 4", "state": "ok", "machine": {"id": "1", "label": "office-1"}, "toner": 91, "addresses": ["10.0.0.7", "fe80::7"],
         "memory": 268435456, "up": 200000, "seen": "2026-01-01T11:58:00Z", "note": "=HYPERLINK(\"http://x\")", "pin": "1234", "serial": "A1"},
        {"model": "\u{1b}]0;owned\u{7}Evil\u{202e}gpj", "state": "jam", "machine": {"id": "2", "label": "café\n-東京"}, "toner": 7.25, "addresses": [],
         "memory": null, "up": 59, "seen": "2025-11-30T08:00:00Z", "note": "a \"quoted\", note", "pin": null, "serial": "-B2"}]);
    rows.as_array().unwrap().iter().map(|r| r.as_object().unwrap().clone()).collect()
}

fn shape(view: &str) -> Shape {
    let manifests = manifests();
    Shape::of(&manifests, &manifests[0], manifests[0].view(view).unwrap()).unwrap()
}

fn page(width: Option<usize>) -> Page {
    Page { width, now: "2026-01-01T12:00:00Z".parse().unwrap(), detail: false }
}

#[test]
fn rows_in_every_format() {
    let mut text = String::new();
    for width in [None, Some(160), Some(110), Some(80), Some(40), Some(20)] {
        let table = render(&rows(), &shape("printers"), Format::Table, page(width));
        if let Some(width) = width {
            let widest = table.lines().map(unicode_width::UnicodeWidthStr::width).max().unwrap();
            assert!(widest <= width, "{widest} columns in {width}:\n{table}");
        }
        text.push_str(&format!("--- table {width:?}\n{table}"));
    }
    for format in [Format::Json, Format::Csv, Format::Yaml, Format::Name] {
        text.push_str(&format!("--- {}\n{}", format.as_str(), render(&rows(), &shape("printers"), format, page(None))));
    }
    let detail = Page { detail: true, ..page(Some(80)) };
    text.push_str(&format!("--- detail\n{}", render(&rows()[..1], &shape("printer"), Format::Table, detail)));
    text.push_str(&format!("--- empty\n{}", render(&[], &shape("printers"), Format::Table, page(None))));
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}') && !text.contains('\u{7}'));
    assert!(!text.split("--- json").next().unwrap().contains("1234"), "a secret is shown in a table");
    expectorate::assert_contents("tests/rows.txt", &text);
}

#[test]
fn json_is_the_rows_whatever_is_in_them() {
    let text = render(&rows(), &shape("printers"), Format::Json, page(None));
    assert_eq!(serde_json::from_str::<Vec<Object>>(&text).unwrap(), rows());
    assert_eq!(render(&[], &shape("printers"), Format::Json, page(None)), "[]\n");
}

#[test]
fn columns_of_other_plugins_are_part_of_the_shape() {
    let fleet = json!({"console": "1.0", "plugin": {"id": "org.fleet", "name": "fleet", "version": "1", "title": "Fleet"},
        "types": {"machine": {"title": "Machine", "scope": "site", "key": ["id"], "label": "name", "stored": {}, "extend": true,
            "fields": {"id": {"title": "Id", "type": "id"}, "name": {"title": "Name", "type": "text"}}}},
        "views": [{"id": "machines", "kind": "table", "title": "Machines", "of": "machine", "columns": ["name", "printers:printer"]}]});
    let mut all = manifests();
    all.push(Manifest::parse(fleet.to_string().as_bytes()).unwrap());
    let shape = Shape::of(&all, &all[1], &all[1].views[0]).unwrap();
    let names: Vec<&str> = shape.columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!((names, shape.shown), (vec!["name", "printer", "id"], 2));
    assert!(shape.column("printers:printer").is_some() && shape.column("printer").is_some());
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_-]{1,6}",
        ".{0,4}",
        Just("machine".to_owned()),
        Just("output".to_owned()),
        Just("help".to_owned()),
        Just("input-help".to_owned()),
        Just("a_b".to_owned()),
        Just("a-b".to_owned()),
    ]
}

fn properties() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(json!({"type": "string"})),
        Just(json!({"type": "integer", "default": 1})),
        Just(json!({"type": "boolean"})),
        Just(json!({"type": ["string", "null"], "x-type": "secret"})),
        Just(json!({"type": "array", "items": {"type": "string"}})),
        Just(json!({"enum": ["a", 1, "a"]})),
        Just(json!({"oneOf": [{"const": "x", "title": "\u{1b}X"}]})),
    ];
    let nested = proptest::collection::hash_map(names(), scalar.clone(), 0..3)
        .prop_map(|properties| json!({"type": "object", "properties": properties}));
    prop_oneof![4 => scalar, 1 => nested]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// clap checks a command line for contradictions when it is built in a test: no valid manifest may cause one.
    #[test]
    fn any_input_makes_a_command_line(
        properties in proptest::collection::btree_map(names(), properties(), 0..8),
        required in proptest::collection::vec(any::<bool>(), 8),
        positional in proptest::collection::vec(any::<bool>(), 8),
        on in prop_oneof![Just("machine"), Just("administrator"), Just("group")],
        trailing in any::<bool>(),
        named in proptest::collection::btree_map("[a-z_]{1,4}|help|output|a_b|setting_yes|yes", 0usize..4, 0..6),
    ) {
        let kinds = ["text", "bool", "tags", "secret"];
        let setting = |kind: &usize| json!({"title": "S", "type": kinds[*kind], "default": null});
        let given: Object = named.iter().map(|(name, kind)| (name.clone(), setting(kind))).collect();
        let pick = |flags: &[bool]| -> Vec<String> {
            properties.keys().zip(flags).filter(|(_, on)| **on).map(|(name, _)| name.clone()).collect()
        };
        let mut positional = pick(&positional);
        let rest = if trailing { positional.pop() } else { None };
        let manifest = json!({"console": "1.0", "plugin": {"id": "a.b", "name": "a", "version": "1", "title": "A"},
            "commands": [{"id": "c", "title": "C", "target": {"on": on}, "danger": {"text": "x"}, "preview": "c",
                "x-cli": {"positional": positional, "trailing": rest}, "examples": [{"a-b": [1], "machine": true}],
                "input": {"type": "object", "required": pick(&required), "properties": properties}}],
            "settings": given});
        if let Ok(manifest) = Manifest::parse(manifest.to_string().as_bytes()) {
            alone(&manifest).debug_assert();
            build(&[manifest]).debug_assert();
        }
    }
}

#[test]
fn the_cores_own_manifest_makes_a_command_line_and_a_document() {
    let fleet = Manifest::parse(include_bytes!("../../../fleet/src/manifest.json")).unwrap();
    let all = [fleet, manifests().remove(0)];
    build(&all).debug_assert();
    let words = ["bailiwick", "fleet", "create-operator", "Bob", "--role", "auditor", "--wait"];
    let matches = build(&all).try_get_matches_from(words).unwrap();
    let Some(Invocation::Command(call)) = parse(&all, &matches).unwrap() else { panic!("not a command") };
    assert_eq!(Value::Object(call.input), json!({"name": "Bob", "role": "auditor"}));
    assert_eq!(call.prompts[0].path, ["password"]);
    let paths = crate::openapi::document(&all)["paths"].as_object().unwrap().len();
    assert!(paths > 40, "{paths}");
}
