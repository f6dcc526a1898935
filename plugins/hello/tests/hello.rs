//! The promise to vendors: a whole plugin in 40 lines and one dependency, and it works.

#![allow(clippy::unwrap_used)] // a test that cannot go on ends

use sdk::serde_json::json;
use sdk::testing::TestHost;

#[test]
fn forty_lines_and_one_dependency() {
    let source = include_str!("../src/lib.rs");
    assert!(source.lines().count() <= 40, "{} lines", source.lines().count());
    let cargo = include_str!("../Cargo.toml");
    let dependencies = cargo.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let names: Vec<&str> = dependencies.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(names, ["sdk.workspace = true"]);
    assert!(!cargo.contains("dev-dependencies") && !cargo.contains("build-dependencies"));
}

#[test]
fn a_greeting_is_told_stored_and_shown() {
    let host = TestHost::new(hello::app());
    let outcome = host.run("greet", json!({"to": "Ada"}));
    assert_eq!(outcome.problem, None);
    assert_eq!(outcome.progress.len(), 10);
    let rows = host.rows("greeting");
    assert_eq!((&rows[0]["who"], &rows[0]["count"]), (&json!("Ada"), &json!(1)));
    host.run("greet", json!({"to": "Ada"}));
    assert_eq!(host.rows("greeting")[1]["count"], 2);
    let manifest = hello::app().manifest().clone();
    assert_eq!(manifest.views[0].of.as_deref(), Some("greeting"));
    assert_eq!(manifest.commands[0].input["properties"]["to"]["type"], "string");
}

#[test]
fn input_that_does_not_fit_is_named() {
    let problem = TestHost::new(hello::app()).run("greet", json!({"to": 5})).problem.unwrap();
    assert_eq!((problem.code, problem.field.as_deref()), (sdk::schema::Code::BadRequest, Some("input")));
}
