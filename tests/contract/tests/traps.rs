//! One test for each known trap of the boundary. Those of the layout check are in the crate `abi`.

use crate::bed::{Bed, library, library_that_aborts, named_echo, raw_in_mode};
use abi::{Library, LoadError};
use plugin_host::{PluginState, Transport};
use schema::Code;
use serde_json::json;
use std::path::{Path, PathBuf};

#[test]
fn a_second_library_is_not_answered_with_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let echo = Library::load(&library("echo")).unwrap();
    let other = Library::load(&named_echo("other", directory.path())).unwrap();
    let hello = Library::load(&library("hello")).unwrap();
    let name = |library: Library| schema::Manifest::parse(&library.manifest()).unwrap().plugin.name;
    assert_eq!((name(echo), name(other), name(hello)), ("echo".into(), "other".into(), "hello".into()));
}

#[test]
fn a_relative_path_is_refused() {
    assert!(matches!(Library::load(Path::new("libhello.so")), Err(LoadError::NotAbsolute)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_method_does_not_end_the_process() {
    // Both in this very process: an uncaught one would end the tests with exit code 1.
    let bed = Bed::new(Transport::InProcess).await;
    bed.load("raw").await;
    bed.load("echo").await;
    let lost = bed.start("raw", "panic-in-start", json!({})).await;
    assert_eq!(bed.run("raw", "fine", json!({})).await.unwrap(), json!({"ok": true}));
    lost.cancel();
    assert_eq!(lost.result().await.unwrap_err().code, Code::Cancelled);
    let panic = bed.run("echo", "crash", json!({"kind": "panic"})).await.unwrap_err();
    assert_eq!(panic.code, Code::Panic);
    assert!(panic.message.starts_with("asked to panic (") && panic.message.contains("crash.rs:"), "{panic}");
    let mut watch = bed.host.watch();
    watch.wait_for(|all| all.iter().any(|status| status.last_panic.is_some())).await.unwrap();
    let told = bed.host.plugin("echo").unwrap().last_panic;
    assert_eq!(told.as_deref(), Some(panic.message.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_aborts_on_panic_goes_to_a_runner() {
    let bed = Bed::new(Transport::InProcess).await;
    bed.host.load(&raw_in_mode("no-unwind", bed.directory.path())).await.unwrap();
    assert_eq!(bed.run("raw", "fine", json!({})).await.unwrap(), json!({"ok": true}));
    let status = bed.host.plugin("raw").unwrap();
    assert!(status.pid.is_some_and(|pid| pid != std::process::id()), "{status:?}");
    let alone = Bed::with(Transport::InProcess, schema::Role::Machine, |config| config.runner = None).await;
    let problem = alone.host.load(&raw_in_mode("no-unwind", alone.directory.path())).await.unwrap_err();
    assert!(problem.message.contains("abort on a panic") && problem.fix.is_some(), "{problem}");
    assert_eq!(alone.host.plugin("no-unwind").unwrap().state, PluginState::Failed);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_really_aborts_takes_nobody_along() {
    let bed = Bed::new(Transport::InProcess).await;
    bed.host.load(&library_that_aborts()).await.unwrap();
    bed.load("hello").await;
    let status = bed.until("aborts", PluginState::Ok).await;
    assert!(status.pid.is_some_and(|pid| pid != std::process::id()), "{status:?}");
    let problem = bed.run("aborts", "panic", json!({})).await.unwrap_err();
    assert_eq!(problem.code, Code::Crashed);
    assert!(problem.message.contains("SIGABRT") && problem.message.contains("panicked at"), "{problem}");
    assert!(bed.run("hello", "greet", json!({"to": "x"})).await.is_ok());
    // Here nothing may be asked of it at all: a panic while it makes its manifest would be the last of this process.
    let alone = Bed::with(Transport::InProcess, schema::Role::Machine, |config| config.runner = None).await;
    assert!(alone.host.load(&library_that_aborts()).await.unwrap_err().message.contains("abort on a panic"));
}

/// A copy of the raw plugin with one text in the place of another of the same length.
fn altered(from: &str, to: &str, directory: &Path) -> PathBuf {
    assert_eq!(from.len(), to.len());
    let mut contents = std::fs::read(library("raw")).unwrap();
    let places: Vec<usize> = contents
        .windows(from.len())
        .enumerate()
        .filter(|(_, part)| *part == from.as_bytes())
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty(), "{from} is nowhere");
    for at in places {
        contents[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    let path = directory.join(format!("{}.so", to.replace('.', "-")));
    std::fs::write(&path, contents).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_of_another_boundary_is_refused_in_a_line() {
    for transport in [Transport::InProcess, Transport::Runner] {
        let bed = Bed::new(transport).await;
        for (from, to, words) in [
            ("1.0.0", "2.0.0", "built for version 2 of the binary boundary, this host has version 1"),
            ("abi_level", "abi_devil", "disagree about the layout"),
        ] {
            let problem = bed.host.load(&altered(from, to, bed.directory.path())).await.unwrap_err();
            assert!(problem.message.contains(words) && !problem.message.contains('\n'), "{problem}");
            assert!(problem.fix.as_ref().is_some_and(|fix| !fix.contains('\n')), "{problem}");
        }
        bed.load("raw").await;
        assert!(bed.run("raw", "fine", json!({})).await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_in_this_process_stays_loaded_though_the_plugin_is_gone() {
    let bed = Bed::new(Transport::InProcess).await;
    bed.host.load(&named_echo("stays", bed.directory.path())).await.unwrap();
    let hash = bed.until("stays", PluginState::Ok).await.blake3;
    bed.run("stays", "echo", json!({"text": "x"})).await.unwrap();
    bed.host.unload("stays").await;
    assert!(bed.host.plugin("stays").is_none());
    // Threads and thread-locals of its own would otherwise run code that is gone.
    assert!(std::fs::read_to_string("/proc/self/maps").unwrap().contains(&hash));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_or_swapped_library_is_refused_before_it_is_opened() {
    for transport in [Transport::InProcess, Transport::Runner] {
        let bed = Bed::new(transport).await;
        let whole = std::fs::read(library("hello")).unwrap();
        let path = bed.directory.path().join("cut.so");
        for length in [0, 3, 64, 1000, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            let problem = bed.host.load(&path).await.unwrap_err();
            assert_eq!(
                (problem.code, problem.fix.as_deref()),
                (Code::BadRequest, Some("Install it again.")),
                "{length}"
            );
        }
        std::fs::write(&path, b"#!/bin/sh\necho hello\n").unwrap();
        assert!(bed.host.load(&path).await.unwrap_err().message.contains("not a library"));
        let hash = blake3::hash(&whole).to_hex().to_string();
        std::fs::write(&path, [&whole[..], b"x"].concat()).unwrap();
        let swapped = bed.host.load_verified(&path, whole.len() as u64, &hash).await.unwrap_err();
        assert_eq!(swapped.code, Code::Conflict);
        bed.host.load_verified(&library("hello"), whole.len() as u64, &hash).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn overwriting_the_file_does_nothing_to_the_plugin_that_runs() {
    let bed = Bed::new(Transport::InProcess).await;
    let path = named_echo("mine", bed.directory.path());
    bed.host.load(&path).await.unwrap();
    std::fs::write(&path, vec![0; 4096]).unwrap();
    assert!(bed.run("mine", "services", json!({})).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_library_is_told_from_a_plugin_in_a_line() {
    let bed = Bed::new(Transport::Runner).await;
    let system = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6", "/lib64/libm.so.6"];
    let path = system.iter().map(Path::new).find(|path| path.exists()).unwrap();
    let problem = bed.host.load(path).await.unwrap_err();
    assert_eq!(problem.message, "The file is a library but not a plugin.");
    let fix = problem.fix.unwrap();
    let details = fix.split("Details: ").nth(1).unwrap();
    assert!(std::fs::metadata(details).unwrap().len() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_library_has_its_own_tracing_and_it_arrives_here() {
    for transport in [Transport::InProcess, Transport::Runner] {
        let bed = Bed::new(transport).await;
        bed.load("echo").await;
        bed.run("echo", "echo", json!({"text": "logged"})).await.unwrap();
        let logs = bed.memory.logs.lock();
        let found = logs.iter().any(|(plugin, _, record)| plugin == "echo" && record["text"] == "logged");
        assert!(found, "{logs:?}");
    }
}

#[test]
fn a_plugin_needs_no_dependency_but_the_sdk() {
    for cargo in
        [include_str!("../../../plugins/hello/Cargo.toml"), include_str!("../../../tests/plugins/echo/Cargo.toml")]
    {
        assert!(!cargo.contains("abi_stable") && cargo.contains("sdk.workspace = true"));
    }
}
