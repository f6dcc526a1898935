//! What cannot be loaded or opened is listed with a line of cause and a line of remedy, and takes nothing down.

use crate::bed::{Bed, library, named_echo, raw_in_mode};
use plugin_host::{HostConfig, PluginState, Transport};
use schema::{Code, Problem};
use serde_json::json;

fn one_line_each(problem: &Problem) {
    let fix = problem.fix.clone().unwrap();
    for text in [&problem.message, &fix] {
        assert!(!text.trim().is_empty() && !text.contains('\n') && text.len() < 500, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_manifest_is_named_and_the_rest_goes_on() {
    for transport in [Transport::InProcess, Transport::Runner] {
        let bed = Bed::new(transport).await;
        bed.load("hello").await;
        for (mode, words) in [
            ("manifest-panic", "panicked while it made its manifest"),
            ("manifest-garbage", "manifest is wrong"),
            ("manifest-wrong", "plugin.name"),
            ("manifest-long", " than "),
        ] {
            let path = raw_in_mode(mode, bed.directory.path());
            let problem = bed.host.load(&path).await.unwrap_err();
            assert!(problem.message.contains(words), "{mode}: {problem}");
            one_line_each(&problem);
            let listed = bed.host.plugin(mode).unwrap();
            assert_eq!((listed.state, listed.cause), (PluginState::Failed, Some(problem.message)));
        }
        assert!(bed.run("hello", "greet", json!({"to": "x"})).await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_will_not_open_is_red_with_cause_and_remedy() {
    for transport in [Transport::InProcess, Transport::Runner] {
        for (mode, words) in [("open-panic", "panicked"), ("open-refuse", "the licence has run out")] {
            let bed = Bed::new(transport).await;
            bed.host.load(&raw_in_mode(mode, bed.directory.path())).await.unwrap();
            let status = bed.until("raw", PluginState::Failed).await;
            assert!(status.cause.as_ref().unwrap().contains(words), "{status:?}");
            let problem = bed.run("raw", "fine", json!({})).await.unwrap_err();
            one_line_each(&problem);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_blocks_while_it_is_opened_blocks_nobody() {
    for (transport, state) in
        [(Transport::InProcess, PluginState::Failed), (Transport::Runner, PluginState::Restarting)]
    {
        let quick = |config: &mut HostConfig| {
            config.limits.open = std::time::Duration::from_millis(500);
            config.limits.first_back_off = std::time::Duration::from_secs(60);
            config.limits.longest_back_off = std::time::Duration::from_secs(60);
        };
        let bed = Bed::with(transport, schema::Role::Machine, quick).await;
        bed.host.load(&raw_in_mode("open-block", bed.directory.path())).await.unwrap();
        bed.load("hello").await;
        bed.until("raw", state).await;
        assert!(bed.run("hello", "greet", json!({"to": "x"})).await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_plugins_with_one_name_are_refused_and_an_upgrade_takes_the_place() {
    let bed = Bed::new(Transport::Runner).await;
    bed.load("hello").await;
    let taken = bed.host.load(&named_echo("hello", bed.directory.path())).await.unwrap_err();
    assert_eq!(taken.code, Code::Conflict);
    bed.load("echo").await;
    let before = bed.host.plugin("echo").unwrap().blake3;
    let other = bed.directory.path().join("upgrade.so");
    let mut contents = std::fs::read(library("echo")).unwrap();
    contents.extend(b"another build");
    std::fs::write(&other, contents).unwrap();
    bed.host.load(&other).await.unwrap();
    assert_ne!(bed.host.plugin("echo").unwrap().blake3, before);
    assert!(bed.run("echo", "echo", json!({"text": "new"})).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn disabled_enabled_and_unloaded() {
    let bed = Bed::new(Transport::Runner).await;
    bed.load("hello").await;
    bed.until("hello", PluginState::Ok).await;
    bed.host.disable("hello").await;
    bed.until("hello", PluginState::Disabled).await;
    assert_eq!(bed.run("hello", "greet", json!({"to": "x"})).await.unwrap_err().code, Code::Unavailable);
    bed.host.enable("hello").await;
    bed.until("hello", PluginState::Ok).await;
    assert!(bed.run("hello", "greet", json!({"to": "x"})).await.is_ok());
    bed.host.unload("hello").await;
    assert_eq!(bed.run("hello", "greet", json!({"to": "x"})).await.unwrap_err().code, Code::NotFound);
}
