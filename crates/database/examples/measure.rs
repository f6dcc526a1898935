//! Prints what queries and commits cost here: `cargo run --release -p database --example measure [MACHINES …]`.

use database::{Database, Error, Scope};
use fleet::{Facts, MachineId, NewMachine, Store as _};
use jiff::Timestamp;
use jobs::{OperatorRef, Submission, TargetMachine};
use schema::{JobTarget, Manifest, Object, Page, Publish, PublishMode, Query};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sizes: Vec<usize> = std::env::args().skip(1).map(|n| n.parse()).collect::<Result<_, _>>()?;
    let sizes = if sizes.is_empty() { vec![10_000, 100_000] } else { sizes };
    for machines in sizes {
        let dir = std::env::temp_dir().join(format!("bailiwick-measure-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        let measured = measure(&dir.join("bailiwick.db"), machines);
        std::fs::remove_dir_all(&dir)?;
        measured?;
    }
    Ok(())
}

fn measure(path: &std::path::Path, machines: usize) -> Result<(), Box<dyn std::error::Error>> {
    let database = Database::open(path)?;
    database.declare_blocking(&[("probe".to_owned(), manifest()?)])?;
    let begun = Instant::now();
    let ids = fill(&database, machines)?;
    println!("{machines} machines, 10 programs on each of the first 1,000");
    print_line("filled (enrol, index, extension row)", begun.elapsed());
    let query = |value: serde_json::Value| serde_json::from_value::<Query>(value);
    let person = json!({"sort": ["person"]});
    for (what, asked) in [
        ("first page by name", query(json!({"sort": ["name"]}))?),
        ("first page by a column of an extension", query(person.clone())?),
        ("first page by status, then name", query(json!({"sort": ["status", "name"]}))?),
        ("search, one machine", query(json!({"q": "pc-000777"}))?),
        ("search, every machine, by name", query(json!({"q": "pc-", "sort": ["name"]}))?),
        ("search in an extension", query(json!({"q": "person 77"}))?),
        ("search of two characters", query(json!({"q": "77", "sort": ["name"]}))?),
        (
            "filter on an address",
            query(json!({"where": [{"field": "addresses", "op": "contains", "value": "10.0.7.7"}]}))?,
        ),
    ] {
        timed(&database, what, move |r| {
            r.query("fleet.machine", &asked, &Scope::Everything)?;
            Ok(())
        })?;
    }
    for (what, sort) in [("deep page by name", "name"), ("deep page by a column of an extension", "person")] {
        let deep = deep(&database, sort, machines)?;
        timed(&database, what, move |r| {
            r.query("fleet.machine", &deep, &Scope::Everything)?;
            Ok(())
        })?;
    }
    for (what, field) in
        [("facet of status", "status"), ("facet of an extension", "person"), ("facet of groups", "groups")]
    {
        // Another filter each time, so that nothing is remembered.
        let nth = Arc::new(std::sync::atomic::AtomicU64::new(0));
        timed(&database, what, move |r| {
            let n = nth.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let fresh = json!([{"field": "name", "op": "ne", "value": n.to_string()}]);
            let asked = Query { filters: serde_json::from_value(fresh).unwrap_or_default(), ..Query::default() };
            r.facets("fleet.machine", &asked, field, &Scope::Everything)?;
            Ok(())
        })?;
    }
    timed(&database, "facet remembered", |r| {
        r.facets("fleet.machine", &Query::default(), "status", &Scope::Everything)?;
        Ok(())
    })?;
    commands(&database, &ids)?;
    println!();
    Ok(())
}

fn timed(
    database: &Database,
    what: &str,
    read: impl Fn(&database::Read<'_>) -> Result<(), Error> + Send + Sync + 'static,
) -> Result<(), Error> {
    let read = Arc::new(read);
    let mut best = Vec::new();
    for _ in 0..7 {
        let read = read.clone();
        let begun = Instant::now();
        database.read_blocking(move |r| read(r))?;
        best.push(begun.elapsed());
    }
    best.sort();
    print_line(what, best[best.len() / 2]);
    Ok(())
}

fn print_line(what: &str, took: Duration) {
    println!("  {what:<44} {:>10.2} ms", took.as_secs_f64() * 1000.0);
}

/// The query whose page begins in the middle.
fn deep(database: &Database, sort: &str, machines: usize) -> Result<Query, Error> {
    let mut query = Query { sort: vec![sort.to_owned()], ..Query::default() };
    query.page = Page { after: None, limit: Some(1000) };
    for _ in 0..(machines / 2000).max(1) {
        let asked = query.clone();
        query.page.after =
            database.read_blocking(move |r| Ok(r.query("fleet.machine", &asked, &Scope::Everything)?.next))?;
    }
    query.page.limit = Some(100);
    Ok(query)
}

/// Durable commands: 64 operators, each waiting for its answer before it sends the next.
fn commands(database: &Database, ids: &[MachineId]) -> Result<(), Error> {
    for operators in [1, 64, 512] {
        let each = 4000 / operators;
        let begun = Instant::now();
        let threads: Vec<_> = (0..operators)
            .map(|n| {
                let (database, id) = (database.clone(), ids[n % ids.len()]);
                std::thread::spawn(move || {
                    (0..each).try_for_each(|_| -> Result<(), Error> {
                        let asked = submission(id);
                        database.write_blocking(move |w| Ok(jobs::submit(w, asked, NOW)?.repeated)).map(|_| ())
                    })
                })
            })
            .collect();
        for thread in threads {
            thread.join().map_err(|_| Error::Panicked)??;
        }
        let rate = (operators * each) as f64 / begun.elapsed().as_secs_f64();
        println!("  {:<44} {rate:>10.0} /s", format!("durable commands, {operators} at once"));
    }
    Ok(())
}

fn submission(machine: MachineId) -> Submission {
    Submission {
        command: "probe.scan".into(),
        title: "Scan".into(),
        input: Object::new(),
        target: JobTarget::Machine(machine.to_string()),
        machines: vec![TargetMachine { id: *machine.as_uuid(), name: "pc".into() }],
        group_name: None,
        operator: OperatorRef { id: "1".into(), name: "ann".into() },
        idempotency_key: Some(MachineId::new().to_string()),
        on_interrupt: schema::OnInterrupt::Report,
        cancel: schema::Cancel::Safe,
        timeout_seconds: None,
        expires_seconds: None,
    }
}

fn fill(database: &Database, machines: usize) -> Result<Vec<MachineId>, Error> {
    let ids: Vec<MachineId> = (0..machines).map(|_| MachineId::new()).collect();
    for (chunk, some) in ids.chunks(1000).enumerate() {
        let some = some.to_vec();
        database.write_blocking(move |w| {
            for (n, id) in some.iter().enumerate() {
                let n = chunk * 1000 + n;
                let facts = Facts {
                    name: format!("pc-{:06}", n * 7919 % 1_000_000),
                    addresses: vec![
                        format!("10.{}.{}.{}", n / 65536, n / 256 % 256, n % 256).parse().map_err(|_| Error::Closed)?,
                    ],
                    macs: vec![],
                    agent_version: "0.1.0".into(),
                };
                w.enrol(&NewMachine { id: *id, device_key: String::new(), facts }, NOW)?;
                publish(w, *id, "facts", &[json!({"person": format!("person {}", n % 500), "disk": n % 100})])?;
                if n < 1000 {
                    let programs: Vec<_> =
                        (0..10).map(|p| json!({"name": format!("program {p}"), "size": n})).collect();
                    publish(w, *id, "program", &programs)?;
                }
            }
            Ok(())
        })?;
    }
    Ok(ids)
}

fn publish(w: &mut database::Write<'_>, id: MachineId, kind: &str, rows: &[serde_json::Value]) -> Result<(), Error> {
    let rows = rows.iter().filter_map(|row| row.as_object().cloned()).collect();
    let publish =
        Publish { type_name: kind.into(), mode: PublishMode::Replace, section: String::new(), rows, observed_at: None };
    w.publish(Some(id), "probe", &publish, NOW)?;
    Ok(())
}

fn manifest() -> Result<Manifest, serde_json::Error> {
    serde_json::from_value(json!({"console": "1.0",
        "plugin": {"id": "org.example.probe", "name": "probe", "version": "1", "title": "Probe"},
        "types": {
            "facts": {"title": "Facts", "scope": "machine", "label": "person", "stored": {},
                "extends": {"type": "fleet.machine"}, "fields": {
                    "person": {"title": "Person", "type": "user", "priority": 1, "search": true, "sort": true, "facet": true},
                    "disk": {"title": "Disk", "type": "percent", "sort": true}}},
            "program": {"title": "Program", "scope": "machine", "key": ["name"], "label": "name", "stored": {"history": true},
                "fields": {
                    "name": {"title": "Name", "type": "text", "search": true, "sort": true},
                    "size": {"title": "Size", "type": "bytes", "sort": true}}}}}))
}
