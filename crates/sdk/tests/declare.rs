//! What is declared in Rust arrives in the manifest, in the profile, and what is run arrives in the function.

#![allow(clippy::unwrap_used)] // a test that cannot go on ends

use sdk::prelude::*;
use sdk::schema::{Code, InputSchema};
use sdk::testing::TestHost;
use std::net::IpAddr;

#[derive(Args)]
enum Depth {
    /// Only the surface
    Shallow,
    Deep,
}

#[derive(Args)]
struct Extra {
    retries: u8,
}

/// A search.
#[derive(Args)]
struct Scan {
    /// Network to look through
    #[arg(positional)]
    subnet: Cidr,
    from: Option<IpAddr>,
    depth: Option<Depth>,
    #[arg(default = 30.0, title = "Patience", advanced)]
    patience: Seconds,
    #[arg(options = "fleet.machines", min = 1, max = 9)]
    most: Option<u32>,
    ports: Vec<u16>,
    extra: Option<Extra>,
}

#[derive(Row)]
#[row(title = "Printer", plural = "Printers", scope = "site", history, retention = "90d")]
struct Printer {
    #[key]
    serial: String,
    #[field(type = "ip", priority = 1, search, facet)]
    address: String,
    /// What is left
    #[field(warn = 80, danger = 95)]
    toner: Percent,
    #[field(values(ready("Ready", Success), jammed("Jammed", Danger)), type = "status")]
    state: String,
    seen: Option<Time>,
    #[field(type = "tags")]
    labels: Vec<String>,
    counts: Vec<u64>,
}

async fn scan(ctx: Ctx, args: Scan) -> Result<Vec<Printer>> {
    ctx.progress(0.5, "asking")?;
    let deep = matches!(args.depth, Some(Depth::Deep));
    let known = (args.from, args.most, args.extra.map(|extra| extra.retries), args.ports.len());
    let row = Printer {
        serial: format!("{:?}", known),
        address: args.subnet.0,
        toner: Percent(args.patience.0),
        state: if deep { "jammed" } else { "ready" }.into(),
        seen: None,
        labels: vec!["a".into()],
        counts: vec![1, 2],
    };
    ctx.rows().replace(std::slice::from_ref(&row)).await?;
    Ok(vec![row])
}

fn app() -> App {
    App::new("com.acme.printers").command("scan", "Find printers", scan).stored::<Printer>().table("Printers")
}

#[test]
fn an_input_is_in_the_profile_with_its_domain_types() {
    assert_eq!(app().version("1").check(), []);
    let input = InputSchema::read(&app().manifest().commands[0].input).unwrap();
    assert_eq!(input.required, ["subnet", "ports"]);
    let property = |name: &str| input.properties[name].clone();
    assert_eq!(property("subnet").domain, Some(FieldType::Cidr));
    assert_eq!(property("subnet").description.as_deref(), Some("Network to look through"));
    assert_eq!(property("from").domain, Some(FieldType::Ip));
    assert_eq!(property("patience").default, json!(30.0));
    assert_eq!(property("patience").ui.unwrap().level.as_deref(), Some("advanced"));
    assert_eq!(property("most").options.unwrap().view, "fleet.machines");
    assert_eq!((property("most").minimum, property("most").maximum), (Some(1.0), Some(9.0)));
    let choices: Vec<_> = property("depth").one_of.into_iter().map(|c| (c.constant, c.title.unwrap())).collect();
    assert_eq!(choices.len(), 2);
    assert!(choices.contains(&(json!("deep"), "Deep".into())));
    assert_eq!(app().manifest().commands[0].cli.as_ref().unwrap().positional, ["subnet"]);
}

#[test]
fn a_row_is_a_type() {
    let kind = Printer::declare();
    assert_eq!((kind.key, kind.label.as_str(), kind.scope), (vec!["serial".into()], "serial", Scope::Site));
    assert_eq!(kind.status.as_deref(), Some("state"));
    assert_eq!(kind.stored.unwrap().retention.as_deref(), Some("90d"));
    let kinds: Vec<_> = kind.fields.values().map(|field| (field.kind, field.many)).collect();
    use FieldType::{Int, Percent, Status, Tags, Text, Time};
    let expected = [Text, FieldType::Ip, Percent, Status, Time, Tags, Int];
    assert_eq!(kinds.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), expected);
    assert_eq!(kinds.iter().filter(|(_, many)| *many).count(), 1);
    assert_eq!(kind.fields["toner"].description, "What is left");
    assert_eq!(kind.fields["state"].values["jammed"].tone, Tone::Danger);
}

#[test]
fn typed_arguments_arrive_and_wrong_ones_are_named() {
    let host = TestHost::new(app().version("1"));
    let input = json!({"subnet": "10.0.0.0/8", "depth": "deep", "ports": [1], "from": "::1", "extra": {"retries": 2}});
    let outcome = host.run("scan", input);
    assert_eq!(outcome.problem, None);
    let row = &host.rows("printer")[0];
    assert_eq!((&row["state"], &row["toner"]), (&json!("jammed"), &json!(30.0)));
    assert_eq!(row["serial"], "(Some(::1), None, Some(2), 1)");
    for wrong in [json!({"subnet": "10.0.0.0/99", "ports": []}), json!({"subnet": "10.0.0.0/8", "ports": [], "x": 1})] {
        assert_eq!(host.run("scan", wrong).problem.unwrap().code, Code::BadRequest);
    }
    assert_eq!(host.run("nothing", json!({})).problem.unwrap().code, Code::UnknownCommand);
}

#[test]
fn a_panic_is_a_problem_with_its_place() {
    async fn fails(_: Ctx, (): ()) -> Result<()> {
        panic!("toner sensor exploded")
    }
    let problem = TestHost::new(App::new("com.acme.x").command("fails", "Fail", fails)).run("fails", json!({}));
    let problem = problem.problem.unwrap();
    assert_eq!(problem.code, Code::Panic);
    assert!(problem.message.starts_with("toner sensor exploded (") && problem.message.contains("declare.rs:"));
}

#[derive(Args)]
struct Visit {
    missing: u64,
    fail: bool,
}

async fn visit(ctx: Ctx, args: Visit) -> Result<bool> {
    ctx.amount(Amount::items(1).of(4), "one")?;
    ctx.amount(Amount::bytes(7), "seven")?;
    for n in 0..args.missing {
        ctx.in_part(fault(Code::NotFound, format!("there is no {n}.")));
    }
    if args.fail { Err(fault(Code::Conflict, "no.")) } else { Ok(ctx.is_standalone()) }
}

fn visits() -> App {
    App::new("com.acme.visits").version("1").command("visit", "Visit", visit)
}

#[test]
fn what_is_left_out_comes_with_the_result_and_what_fails_has_it_as_a_cause() {
    let host = TestHost::new(visits());
    let run = |missing: u64, fail: bool| host.run("visit", json!({"missing": missing, "fail": fail}));
    let whole = run(0, false);
    assert_eq!((whole.result, whole.problem), (Some(json!(false)), None));
    let part = run(2, false);
    assert_eq!(part.result, Some(json!(false)));
    let problem = part.problem.unwrap();
    assert_eq!((problem.message.as_str(), problem.causes.len()), ("2 things were left out.", 2));
    let failed = run(1, true);
    assert_eq!(failed.result, None);
    let problem = failed.problem.unwrap();
    assert_eq!((problem.code, problem.causes[0].message.as_str()), (Code::Conflict, "there is no 0."));
}

#[test]
fn progress_tells_amounts_and_the_share_they_make() {
    let told = TestHost::new(visits()).run("visit", json!({"missing": 0, "fail": false})).progress;
    let told: Vec<_> = told.into_iter().map(|told| (told.fraction, told.amount)).collect();
    assert_eq!(told, [(Some(0.25), Some(Amount::items(1).of(4))), (None, Some(Amount::bytes(7)))]);
}

#[test]
fn a_plugin_knows_whether_it_runs_alone() {
    let input = json!({"missing": 0, "fail": false});
    for role in [Role::Machine, Role::Administrator] {
        assert_eq!(TestHost::standalone(visits(), role).run("visit", input.clone()).result, Some(json!(true)));
    }
}
