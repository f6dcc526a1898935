//! An agent with a good certificate that speaks of what is another machine's.

use super::*;
use crate::app::Parts;
use crate::modules::Modules;
use crate::reach::Reach;
use crate::runtime::Runtime;
use crate::secrets::SecretsStore;
use crate::services::PluginServices;
use database::{Database, Scope};
use fleet::{Facts, NewMachine};
use identity::{ReadStore as _, SiteCa};
use jobs::{OperatorRef, Submission, TargetMachine};
use plugin_host::{Host, HostConfig};
use schema::{Code, JobState, JobTarget, Progress};
use serde_json::json;

struct Site {
    app: Arc<App>,
    sink: Sink,
    honest: MachineId,
    hostile: MachineId,
    _dir: tempfile::TempDir,
}

impl Site {
    async fn new() -> Site {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(&dir.path().join("bailiwick.db")).unwrap();
        let manifest: schema::Manifest = serde_json::from_value(json!({"console": "1.0",
            "plugin": {"id": "x.y", "name": "sample", "version": "1", "title": "Sample"},
            "types": {"thing": {"title": "Thing", "scope": "machine", "key": ["id"], "label": "id", "stored": {},
                "fields": {"id": {"title": "Id", "type": "id"}}}}}))
        .unwrap();
        database.declare(&[("sample".to_owned(), manifest)]).await.unwrap();
        let config = HostConfig::in_process(Role::Administrator, dir.path().join("plugins"));
        let host = Host::start(config, Arc::new(PluginServices::default())).await.unwrap();
        let authority = Arc::new(SiteCa::open(&dir.path().join("ca"), Timestamp::now()).unwrap());
        let app = Arc::new(App::new(Parts {
            runtime: Runtime::default(),
            checkpoints: crate::checkpoints::Checkpoints::open(dir.path(), &authority).unwrap(),
            authority,
            modules: Modules::new(crate::plugins::modules(&[])),
            reach: Reach::new("127.0.0.1:1".parse().unwrap(), Vec::new()),
            secrets: SecretsStore::open(dir.path().join("secrets")).unwrap(),
            secure: false,
            database,
            host,
        }));
        let enrol = |store: &mut database::Write<'_>| {
            let mut machine = || -> Result<MachineId, Problem> {
                let new = NewMachine { id: MachineId::new(), device_key: String::new(), facts: Facts::default() };
                Ok(store.enrol(&new, Timestamp::now())?.id)
            };
            Ok((machine()?, machine()?))
        };
        let (honest, hostile) = app.database.write(enrol).await.unwrap();
        let sink = Sink { app: Arc::downgrade(&app), suspicions: Arc::default() };
        Site { app, sink, honest, hostile, _dir: dir }
    }

    /// A job of the honest machine.
    async fn job(&self) -> JobId {
        let machine = TargetMachine { id: *self.honest.as_uuid(), name: "honest".into() };
        let submission = Submission {
            command: "sample.run".into(),
            title: "Run".into(),
            input: schema::Object::new(),
            target: JobTarget::Machine(self.honest.to_string()),
            machines: vec![machine],
            group_name: None,
            operator: OperatorRef { id: "1".into(), name: "ada".into() },
            idempotency_key: None,
            on_interrupt: schema::OnInterrupt::Report,
            cancel: schema::Cancel::Safe,
            timeout_seconds: Some(60),
            expires_seconds: None,
        };
        let submit = move |store: &mut database::Write<'_>| Ok(jobs::submit(store, submission, Timestamp::now())?.job);
        self.app.database.write(submit).await.unwrap()
    }

    fn audited(&self) -> Vec<Entry> {
        let records = self.app.database.read_blocking(|store| Ok(store.audit_records(1, 1000)?)).unwrap();
        records.into_iter().map(|record| record.unwrap().entry).collect()
    }
}

use identity::Entry;

fn reports() -> Vec<JobReport> {
    vec![
        JobReport::Accepted,
        JobReport::Running,
        JobReport::Waiting { text: "x".into() },
        JobReport::Progress { progress: Progress::default() },
        JobReport::Log { at: String::new(), level: "info".into(), text: "x".into() },
        JobReport::Finished { state: JobState::Succeeded, result: None, problem: None, ended_at: String::new() },
    ]
}

#[tokio::test]
async fn an_agent_reports_for_no_job_of_another_machine() {
    let site = Site::new().await;
    let job = site.job().await;
    for report in reports() {
        let refused = site.sink.job(site.hostile, *job.as_uuid(), report).await.unwrap_err();
        assert_eq!(refused.code, Code::PermissionDenied);
    }
    let read = move |store: &database::Read<'_>| Ok((store.job(job)?.unwrap(), store.log(job)?));
    let (untouched, log) = site.app.database.read(read).await.unwrap();
    assert_eq!(untouched.state, JobState::Queued);
    assert!(log.is_empty() && untouched.progress == Progress::default());
}

#[tokio::test]
async fn an_agent_publishes_no_rows_of_another_machine() {
    let site = Site::new().await;
    let rows = |machine: Option<MachineId>| -> Publish {
        let mut row = json!({"id": "1"});
        if let Some(machine) = machine {
            row["machine"] = machine.to_string().into();
        }
        serde_json::from_value(json!({"type": "thing", "mode": "replace", "rows": [row]})).unwrap()
    };
    site.sink.rows(site.honest, "sample".into(), rows(None)).await.unwrap();
    site.sink.rows(site.hostile, "sample".into(), rows(Some(site.honest))).await.unwrap();
    site.sink
        .rows(
            site.hostile,
            "sample".into(),
            serde_json::from_value(json!({"type": "thing", "mode": "replace", "rows": []})).unwrap(),
        )
        .await
        .unwrap();
    let stored = site.app.database.read_blocking(|store| {
        Ok(store.query("sample.thing", &schema::Query::default(), &Scope::Everything)?.objects())
    });
    let stored = stored.unwrap();
    assert_eq!(stored.len(), 1, "{stored:?}");
    assert!(stored[0]["machine"].to_string().contains(&site.honest.to_string()), "{stored:?}");
}

#[tokio::test]
async fn a_plugin_that_is_not_loaded_keeps_no_secrets() {
    let site = Site::new().await;
    for n in 0..3 {
        let payload = json!({"name": "x", "value": "y"});
        let asked = site.sink.request(site.hostile, format!("invented{n}"), "secrets.set".into(), payload).await;
        assert_eq!(asked.unwrap_err().code, Code::PermissionDenied);
    }
    assert_eq!(std::fs::read_dir(site._dir.path().join("secrets")).unwrap().count(), 0);
    site.sink.suspicions.record(&site.app.database).await;
    assert_eq!(site.audited().len(), 1, "three of one kind are one record");
    assert_eq!(site.audited()[0].detail["count"], 3);
}

#[tokio::test]
async fn what_agents_and_strangers_try_is_on_record_with_where_it_came_from() {
    let site = Site::new().await;
    site.sink.suspicion(site.hostile, Problem::new(Code::PermissionDenied, "It may not."));
    site.sink.refused_join("10.0.0.9".parse().unwrap(), Problem::new(Code::PermissionDenied, "Used."));
    site.sink.suspicions.record(&site.app.database).await;
    let mut audited = site.audited();
    audited.sort_by(|a, b| a.action.cmp(&b.action));
    let [join, suspicion] = audited.as_slice() else { panic!("{audited:?}") };
    assert_eq!((join.action.as_str(), join.address.as_deref()), ("machine.enrol", Some("10.0.0.9")));
    assert_eq!(suspicion.target, Some(site.hostile.to_string()));
    assert!(audited.iter().all(|entry| entry.outcome == identity::Outcome::Denied));
}

#[tokio::test]
async fn an_older_copy_of_the_database_gets_its_rows_again() {
    let site = Site::new().await;
    let publish = |rows: Value| -> Publish {
        serde_json::from_value(json!({"type": "thing", "mode": "replace", "section": "all", "rows": rows})).unwrap()
    };
    let believed = |rows: Value| {
        let name = SectionName { plugin: "sample".into(), type_name: "thing".into(), section: "all".into() };
        vec![SectionHash { name, hash: protocol::section_hash(&publish(rows).rows).unwrap() }]
    };
    let (old, new) = (json!([{"id": "1"}]), json!([{"id": "1"}, {"id": "2"}]));
    assert_eq!(site.sink.sections(site.honest, believed(old.clone())).await.len(), 1, "it was never stored");
    site.sink.rows(site.honest, "sample".into(), publish(old.clone())).await.unwrap();
    assert_eq!(site.sink.sections(site.honest, believed(old.clone())).await, []);
    assert_eq!(site.sink.sections(site.hostile, believed(old)).await.len(), 1, "that is another machine's");
    // The machine had told of more before the copy was put back.
    assert_eq!(site.sink.sections(site.honest, believed(new.clone())).await.len(), 1);
    site.sink.rows(site.honest, "sample".into(), publish(new.clone())).await.unwrap();
    assert_eq!(site.sink.sections(site.honest, believed(new)).await, []);
    let undeclared = SectionName { plugin: "gone".into(), type_name: "thing".into(), section: "all".into() };
    let undeclared = vec![SectionHash { name: undeclared, hash: "x".into() }];
    assert_eq!(site.sink.sections(site.honest, undeclared).await, [], "nobody would take it");
}

#[tokio::test]
async fn a_section_that_shrinks_is_held_until_a_second_collection_agrees() {
    let site = Site::new().await;
    let publish = |ids: std::ops::Range<u32>, at: &str| -> Publish {
        let rows: Vec<Value> = ids.map(|id| json!({"id": id.to_string()})).collect();
        let publish = json!({"type": "thing", "mode": "replace", "section": "all", "rows": rows, "observed_at": at});
        serde_json::from_value(publish).unwrap()
    };
    let taken = async |publish| site.sink.rows(site.honest, "sample".into(), publish).await.unwrap();
    assert_eq!(taken(publish(0..40, "2026-01-01T00:00:00Z")).await, Taken::Stored);
    assert_eq!(taken(publish(0..1, "2026-01-01T00:01:00Z")).await, Taken::Held);
    assert_eq!(taken(publish(0..1, "2026-01-01T00:01:00Z")).await, Taken::Held, "the same one is no second one");
    assert_eq!(taken(publish(0..1, "2026-01-01T00:02:00Z")).await, Taken::Stored);
}

#[test]
fn what_agents_say_is_cut_and_cannot_act_on_a_terminal() {
    assert_eq!(level_of("warn"), "warn");
    assert_eq!(level_of(&"x".repeat(1_000_000)), "info");
    assert!(cut("a\u{1b}[2Jb", 3).len() <= 3);
    assert!(!cut("a\u{1b}[2J", 100).contains('\u{1b}'));
    assert_eq!(cut("éé", 3), "é");
}
