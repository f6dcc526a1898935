//! The storage of `fleet` and `jobs` on a real file.

#![allow(clippy::unwrap_used)] // a test may stop at what it did not expect

use database::{ChangedKeys, Database, Scope};
use fleet::{Facts, Lookup as _, MachineId, NewMachine, Presence, Status, Store as _, Warning};
use jiff::{SignedDuration, Timestamp};
use jobs::{Event, Lookup as _, OperatorRef, Outcome, Submission, TargetMachine};
use schema::{Amount, JobState, JobTarget, Problem, Progress};
use serde_json::json;
use std::path::Path;

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn open(dir: &Path) -> Database {
    Database::open(&dir.join("bailiwick.db")).unwrap()
}

fn enrol(database: &Database, name: &str) -> MachineId {
    let facts = Facts {
        name: name.into(),
        addresses: vec!["10.0.0.7".parse().unwrap(), "fe80::1".parse().unwrap()],
        macs: vec!["00:1b:44:11:3a:b7".into()],
        agent_version: "0.1.0".into(),
    };
    let new = NewMachine { id: MachineId::new(), device_key: String::new(), facts };
    database.write_blocking(move |w| Ok(w.enrol(&new, NOW)?.id)).unwrap()
}

fn submission(target: JobTarget, machines: &[(MachineId, &str)]) -> Submission {
    let machines =
        machines.iter().map(|(id, name)| TargetMachine { id: *id.as_uuid(), name: (*name).to_owned() }).collect();
    Submission {
        command: "demo.greet".into(),
        title: "Greet".into(),
        input: json!({"who": "you"}).as_object().unwrap().clone(),
        target,
        machines,
        group_name: None,
        operator: OperatorRef { id: "1".into(), name: "ann".into() },
        idempotency_key: Some("k".into()),
        on_interrupt: schema::OnInterrupt::Report,
        cancel: schema::Cancel::Safe,
        timeout_seconds: Some(60),
        expires_seconds: None,
    }
}

#[test]
fn a_machine_comes_is_named_grouped_revoked_and_goes() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path());
    let id = enrol(&database, "pc1\u{1b}[2J");
    let other = enrol(&database, "pc2");
    let group = database
        .write_blocking(move |w| {
            w.rename_machine(id, "Reception")?;
            w.set_facts(id, &Facts { name: "pc1-new".into(), ..Facts::default() })?;
            let group = w.create_group("desks", "", NOW)?;
            w.add_to_group(group.id, &[id, other])?;
            w.add_to_group(group.id, &[id])?;
            let seen = Presence { machine: id, status: Status::Online, seen_at: NOW };
            w.set_presence(&[seen, Presence { machine: MachineId::new(), ..seen }])?;
            w.revoke_machine(other, NOW)?;
            Ok(group.id)
        })
        .unwrap();
    drop(database);
    let database = open(dir.path());
    database
        .write_blocking(move |w| {
            let machine = w.find_machine("reception")?;
            assert_eq!((machine.id, machine.status, machine.last_seen), (id, Status::Online, Some(NOW)));
            assert_eq!((machine.addresses.len(), machine.groups.clone()), (0, vec![group]));
            assert_eq!(w.find_machine("pc2")?.revoked_at, Some(NOW));
            assert_eq!(w.find_group("DESKS")?.machines, 2);
            w.rename_machine(id, "")?;
            assert_eq!(w.machine(id)?.unwrap().name, "pc1-new");
            w.all_offline()?;
            w.remove_machine(other)?;
            assert_eq!(w.members(group)?, vec![id]);
            assert_eq!(w.find_group("desks")?.machines, 1);
            w.delete_group(group)?;
            assert_eq!(w.machine(id)?.unwrap().groups, vec![]);
            assert_eq!(w.machine(id)?.unwrap().status, Status::Offline);
            Ok(())
        })
        .unwrap();
}

#[test]
fn two_machines_of_one_name_are_told_apart_by_id() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path());
    let (a, b) = (enrol(&database, "same"), enrol(&database, "same"));
    let problem = database.read_blocking(|r| Ok(r.find_machine("same").unwrap_err())).unwrap();
    assert_eq!(problem.code, schema::Code::Conflict);
    let fix = problem.fix.unwrap();
    assert!(fix.contains(&a.to_string()) && fix.contains(&b.to_string()), "{fix}");
}

#[test]
fn the_same_warning_again_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path());
    let machine = Some(enrol(&database, "pc"));
    let warning = |message: &str| Warning {
        machine,
        plugin: "p".into(),
        subject: "p.t".into(),
        problem: Problem::bad_request(message).at("size"),
        count: 2,
        at: NOW,
    };
    let (first, second) = (warning("bad"), warning("worse"));
    database
        .write_blocking(move |w| {
            w.warn(&first)?;
            w.warn(&first)?;
            Ok(w.warn(&second)?)
        })
        .unwrap();
    let rows = database
        .read_blocking(|r| {
            Ok(r.query("fleet.warning", &schema::Query::default(), &database::Scope::Everything)?.objects())
        })
        .unwrap();
    let mut counts: Vec<_> = rows.iter().map(|r| (r["message"].clone(), r["count"].clone())).collect();
    counts.sort_by_key(|(m, _)| m.to_string());
    assert_eq!(counts, vec![(json!("bad"), json!(4)), (json!("worse"), json!(2))]);
}

#[test]
fn a_job_is_stored_as_decided_and_its_key_makes_it_once() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path());
    let machine = enrol(&database, "pc");
    let asked = submission(JobTarget::Machine("pc".into()), &[(machine, "pc")]);
    let again = asked.clone();
    let first = database.write_blocking(move |w| Ok(jobs::submit(w, asked, NOW)?)).unwrap();
    let mut other = again.clone();
    let second = database.write_blocking(move |w| Ok(jobs::submit(w, again, NOW)?)).unwrap();
    assert_eq!((second.job, second.repeated), (first.job, true));
    other.input = serde_json::Map::new();
    let conflict = database.write_blocking(move |w| Ok(jobs::submit(w, other, NOW).unwrap_err())).unwrap();
    assert_eq!(conflict.code, schema::Code::Conflict);

    let job = first.job;
    let outcome = Outcome { state: JobState::Succeeded, result: Some(json!(null)), problem: None };
    database
        .write_blocking(move |w| {
            assert_eq!(w.open_jobs_of(*machine.as_uuid())?.len(), 1);
            for event in [Event::Online { known: false }, Event::Accepted, Event::Started] {
                jobs::apply(w, job, event, NOW)?;
            }
            let progress = Progress { fraction: Some(0.5), text: "half".into(), amount: Some(Amount::bytes(5).of(10)) };
            jobs::apply(w, job, Event::Progress(progress), NOW)?;
            assert_eq!(w.due_jobs(NOW)?, vec![]);
            assert_eq!(w.due_jobs(NOW + SignedDuration::from_secs(100))?.len(), 1);
            jobs::apply(w, job, Event::Finished(outcome), NOW)?;
            Ok(())
        })
        .unwrap();
    drop(database);
    let stored = open(dir.path()).read_blocking(move |r| Ok(r.job(job)?.unwrap())).unwrap();
    assert_eq!(
        (stored.state, stored.result.clone(), stored.ended_at),
        (JobState::Succeeded, Some(json!(null)), Some(NOW))
    );
    assert_eq!((stored.progress.text.as_str(), stored.progress.amount), ("half", Some(Amount::bytes(5).of(10))));
}

#[test]
fn a_parent_follows_its_children() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path());
    let (a, b) = (enrol(&database, "a"), enrol(&database, "b"));
    let asked = submission(JobTarget::Machines(vec!["a".into(), "b".into()]), &[(a, "a"), (b, "b")]);
    database
        .write_blocking(move |w| {
            let parent = jobs::submit(w, asked, NOW)?.job;
            let children = w.children(parent)?;
            assert_eq!(w.job(parent)?.unwrap().progress.text, "0 of 2 machines");
            jobs::apply(w, children[0].id, Event::Online { known: false }, NOW)?;
            jobs::apply(w, children[0].id, Event::Started, NOW)?;
            assert_eq!(w.job(parent)?.unwrap().state, JobState::Running);
            let applied = jobs::apply(w, parent, Event::CancelRequested { by: "ann".into() }, NOW)?;
            assert!(applied.jobs[0].1.contains(&jobs::Effect::SendCancel { abandon: false }));
            assert_eq!(w.job(children[1].id)?.unwrap().state, JobState::Cancelled);
            let outcome = Outcome { state: JobState::Succeeded, result: None, problem: None };
            jobs::apply(w, children[0].id, Event::Finished(outcome), NOW)?;
            let ended = w.job(parent)?.unwrap();
            assert_eq!((ended.state, ended.progress.fraction), (JobState::Incomplete, Some(1.0)));
            assert_eq!(w.tally(parent)?.total(), 2);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_closure_that_fails_takes_only_its_own_work_back() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path());
    let mut changes = database.changes();
    let failed = database.write_blocking(|w| {
        w.create_group("lost", "", NOW)?;
        Err::<(), _>(Problem::bad_request("no").into())
    });
    assert_eq!(failed.unwrap_err().to_string(), "no");
    let panicked = database.write_blocking(|w| {
        w.create_group("lost too", "", NOW)?;
        panic!("a bug");
        #[allow(unreachable_code)]
        Ok(())
    });
    assert!(matches!(panicked, Err(database::Error::Panicked)));
    let kept = database.write_blocking(|w| Ok(w.create_group("kept", "", NOW)?)).unwrap();
    let change = changes.try_recv().unwrap();
    assert_eq!(change.types["fleet.group"], ChangedKeys::Some([kept.id.to_string()].into()));
    assert!(changes.try_recv().is_err());
    let lost = database.read_blocking(|r| Ok(r.find_group("lost").is_err() && r.find_group("lost too").is_err()));
    assert!(lost.unwrap());
}

#[test]
fn a_log_is_capped_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path());
    let machine = enrol(&database, "pc");
    let asked = submission(JobTarget::Machine("pc".into()), &[(machine, "pc")]);
    let log = database
        .write_blocking(move |w| {
            let job = jobs::submit(w, asked, NOW)?.job;
            let line = jobs::LogLine { at: NOW, level: "info".into(), text: "x".into() };
            for _ in 0..3 {
                jobs::Store::append_log(w, job, &vec![line.clone(); 600])?;
            }
            Ok(jobs::Lookup::log(w, job)?)
        })
        .unwrap();
    assert_eq!(log.len(), 1001);
    assert_eq!(log[1000].text, "more lines were dropped");
}

#[test]
fn a_machine_is_held_or_revoked_until_it_is_taken_in_again() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path());
    let device_key = "k".to_owned();
    let new = NewMachine { id: MachineId::new(), device_key, facts: Facts::default() };
    let (id, again) = (new.id, new.clone());
    let shown = |database: &Database| {
        let row = database.read_blocking(move |r| Ok(r.row("fleet.machine", &id.to_string(), &Scope::Everything)?));
        let row = row.unwrap().unwrap();
        (row["access"].clone(), row["held"].clone())
    };
    database.write_blocking(move |w| Ok(w.enrol(&new, NOW)?)).unwrap();
    assert_eq!(shown(&database), (json!("allowed"), json!(null)));
    database.write_blocking(move |w| Ok(w.hold_machine(id, "a copy")?)).unwrap();
    database.write_blocking(move |w| Ok(w.hold_machine(id, "a copy again")?)).unwrap();
    assert_eq!(shown(&database), (json!("held"), json!("a copy")));
    database.write_blocking(move |w| Ok(w.revoke_machine(id, NOW)?)).unwrap();
    assert_eq!(shown(&database).0, json!("revoked"));
    database.write_blocking(move |w| Ok(w.enrol(&again, NOW)?)).unwrap();
    assert_eq!(shown(&database), (json!("allowed"), json!(null)));
    let by_key = |key: &'static str| database.read_blocking(move |r| Ok(r.machine_by_key(key)?)).unwrap();
    assert_eq!(by_key("k").map(|machine| machine.id), Some(id));
    let other = NewMachine { id: MachineId::new(), device_key: "k".into(), facts: Facts::default() };
    let taken_by = other.id;
    database.write_blocking(move |w| Ok(w.enrol(&other, NOW)?)).unwrap();
    assert_eq!(by_key("k").map(|machine| machine.id), Some(taken_by), "a key is one machine's");
    assert_eq!(by_key(""), None);
}

#[test]
fn a_group_gets_another_name_that_no_other_has() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path());
    let group = |name: &'static str| database.write_blocking(move |w| Ok(w.create_group(name, "", NOW)?.id)).unwrap();
    let (desks, _) = (group("desks"), group("servers"));
    let rename = |name: &'static str| database.write_blocking(move |w| Ok(w.rename_group(desks, name)?));
    assert!(rename("Servers").is_err_and(|error| Problem::from(error).code == schema::Code::Conflict));
    rename("Desks").unwrap();
    rename("tables").unwrap();
    assert_eq!(database.read_blocking(|r| Ok(r.find_group("tables")?.id)).unwrap(), desks);
    assert!(database.read_blocking(|r| Ok(r.find_group("desks")?)).is_err());
}

#[test]
fn an_operator_sees_what_holds_a_plugin() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path());
    let status = fleet::PluginStatus {
        name: "demo".into(),
        title: "Demo".into(),
        version: "1".into(),
        state: fleet::PluginState::Ok,
        cause: String::new(),
        remedy: String::new(),
        sandbox: vec!["user nobody".into(), "missing: landlock".into()],
        machine: None,
    };
    database.write_blocking(move |w| Ok(w.set_plugin_status(&status)?)).unwrap();
    let read = |r: &database::Read<'_>| Ok(r.row("fleet.plugin", "demo@administrator", &Scope::Everything)?);
    let row = database.read_blocking(read).unwrap().unwrap();
    assert_eq!(row["sandbox"], json!(["user nobody", "missing: landlock"]));
}
