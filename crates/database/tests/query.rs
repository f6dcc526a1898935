//! What plugins publish comes back through the one query form.

#![allow(clippy::unwrap_used)] // a test may stop at what it did not expect

use database::{ChangedKeys, Database, PublishOutcome, Rows, Scope};
use fleet::{Facts, MachineId, NewMachine, Store as _};
use jiff::{SignedDuration, Timestamp};
use schema::{Code, Manifest, Object, Page, Problem, Publish, Query};
use serde_json::{Value, json};
use tempfile::TempDir;

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

struct Site {
    database: Database,
    machines: Vec<MachineId>,
    _dir: TempDir,
}

/// A plugin under a name that nothing else knows.
fn manifest(name: &str) -> Manifest {
    let json = json!({"console": "1.0",
        "plugin": {"id": "org.example.probe", "name": name, "version": "1", "title": "Probe"},
        "types": {
            "facts": {"title": "Facts", "scope": "machine", "label": "person", "stored": {"history": true},
                "extends": {"type": "fleet.machine", "fields": ["person", "disk", "seen"]},
                "fields": {
                    "person": {"title": "Person", "type": "user", "priority": 1, "search": true, "sort": true, "facet": true},
                    "disk": {"title": "Disk", "type": "percent", "sort": true},
                    "seen": {"title": "Seen", "type": "time"},
                    "password": {"title": "Password", "type": "secret"},
                    "hidden": {"title": "Hidden", "type": "text"}}},
            "program": {"title": "Program", "scope": "machine", "key": ["name", "version"], "label": "name",
                "stored": {"history": true, "retention": "10d"},
                "fields": {
                    "name": {"title": "Name", "type": "text", "search": true, "sort": true},
                    "version": {"title": "Version", "type": "version"},
                    "size": {"title": "Size", "type": "bytes", "sort": true},
                    "kind": {"title": "Kind", "type": "status", "facet": true, "values": {
                        "app": {"title": "App", "rank": 1}, "system": {"title": "System", "rank": 0}}},
                    "tags": {"title": "Tags", "type": "tags", "facet": true, "search": true}}},
            "site": {"title": "Site", "scope": "site", "key": ["id"], "label": "id", "stored": {},
                "fields": {"id": {"title": "Id", "type": "id"}, "note": {"title": "Note", "type": "text"}}}}});
    let manifest: Manifest = serde_json::from_value(json).unwrap();
    assert_eq!(manifest.check(), vec![]);
    manifest
}

impl Site {
    fn new(machines: usize) -> Site {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(&dir.path().join("bailiwick.db")).unwrap();
        database.declare_blocking(&[("probe".to_owned(), manifest("probe"))]).unwrap();
        let machines = (0..machines)
            .map(|n| {
                let facts = Facts {
                    name: format!("PC-{n:02}"),
                    addresses: vec![format!("10.0.0.{n}").parse().unwrap()],
                    ..Facts::default()
                };
                let new = NewMachine { id: MachineId::new(), device_key: String::new(), facts };
                database.write_blocking(move |w| Ok(w.enrol(&new, NOW)?.id)).unwrap()
            })
            .collect();
        Site { database, machines, _dir: dir }
    }

    fn publish(&self, machine: Option<usize>, publish: Value, at: Timestamp) -> Result<PublishOutcome, Problem> {
        let machine = machine.map(|n| self.machines[n]);
        let publish: Publish = serde_json::from_value(publish).unwrap();
        self.database.write_blocking(move |w| Ok(w.publish(machine, "probe", &publish, at)?)).map_err(Problem::from)
    }

    fn programs(&self, machine: usize, rows: Value, at: Timestamp) -> PublishOutcome {
        self.publish(Some(machine), json!({"type": "program", "mode": "replace", "rows": rows}), at).unwrap()
    }

    fn facts(&self, machine: usize, row: Value) {
        let outcome =
            self.publish(Some(machine), json!({"type": "facts", "mode": "upsert", "rows": [row]}), NOW).unwrap();
        assert_eq!(outcome, PublishOutcome { accepted: 1, ..PublishOutcome::default() });
    }

    fn query(&self, type_id: &str, query: Value) -> Result<Rows, Problem> {
        let (type_id, query): (String, Query) = (type_id.to_owned(), serde_json::from_value(query).unwrap());
        self.database.read_blocking(move |r| Ok(r.query(&type_id, &query, &Scope::Everything)?)).map_err(Problem::from)
    }

    fn objects(&self, type_id: &str, query: Value) -> Vec<Object> {
        self.query(type_id, query).unwrap().objects()
    }

    /// One field of every row.
    fn list(&self, type_id: &str, query: Value, field: &str) -> Vec<Value> {
        self.objects(type_id, query).iter().map(|row| row[field].clone()).collect()
    }
}

#[test]
fn a_published_row_is_a_column_of_the_machine() {
    let site = Site::new(3);
    site.facts(0, json!({"person": "Zoë", "disk": 50, "seen": "2026-01-31T12:00:00Z", "password": "x"}));
    site.facts(2, json!({"person": "adam", "disk": 7.5}));
    let rows = site.query("fleet.machine", json!({"sort": ["person"]})).unwrap();
    assert_eq!(rows.columns[..4], ["status", "name", "addresses", "probe:person"]);
    assert!(!rows.columns.iter().any(|c| c.contains("password") || c.contains("hidden")));
    let objects = rows.objects();
    assert_eq!(objects.iter().map(|o| &o["name"]).collect::<Vec<_>>(), ["PC-02", "PC-00", "PC-01"]);
    assert_eq!((&objects[1]["person"], &objects[1]["disk"]), (&json!("Zoë"), &json!(50)));
    assert_eq!(objects[1]["seen"], json!("2026-01-31T12:00:00Z"));
    assert_eq!(objects[2]["person"], Value::Null);
    assert_eq!(objects[0]["addresses"], json!(["10.0.0.2"]));
    let down = site.list("fleet.machine", json!({"sort": ["-probe:disk", "-name"]}), "name");
    assert_eq!(down, ["PC-00", "PC-02", "PC-01"]);
    let found = site.list("fleet.machine", json!({"q": "zoË pc-0"}), "name");
    assert_eq!(found, ["PC-00"]);
    let short = site.list("fleet.machine", json!({"q": "Ë"}), "name");
    assert_eq!(short, ["PC-00"]);
    let filtered = json!({"where": [{"field": "disk", "op": "lt", "value": 10}]});
    assert_eq!(site.list("fleet.machine", filtered, "name"), ["PC-02"]);
}

#[test]
fn fields_bring_key_and_label_and_unknown_ones_are_named() {
    let site = Site::new(1);
    let rows = site.query("fleet.machine", json!({"fields": ["person"]})).unwrap();
    assert_eq!(rows.columns, ["id", "name", "probe:person"]);
    assert_eq!(rows.object_names, ["id", "name", "person"]);
    assert_eq!(rows.keys, [site.machines[0].to_string()]);
    for query in [json!({"fields": ["nope"]}), json!({"sort": ["-nope"]}), json!({"where": [{"field": "nope"}]})] {
        let problem = site.query("fleet.machine", query).unwrap_err();
        assert_eq!((problem.code, problem.field.as_deref()), (Code::BadRequest, Some("nope")));
        assert!(problem.fix.unwrap().contains("person"));
    }
    assert_eq!(site.query("probe.nope", json!({})).unwrap_err().code, Code::NotFound);
    assert!(site.query("fleet.machine", json!({"sort": ["addresses"]})).is_err());
    assert!(site.query("fleet.machine", json!({"at": "2026-01-01T00:00:00Z"})).is_err());
    assert!(site.query("probe.program", json!({"at": "soon"})).is_err());
}

#[test]
fn filters_reach_into_lists() {
    let site = Site::new(12);
    let group = site.database.write_blocking({
        let machines = site.machines[..2].to_vec();
        move |w| {
            let group = w.create_group("desks", "", NOW)?.id;
            w.add_to_group(group, &machines)?;
            Ok(group)
        }
    });
    let group = group.unwrap().to_string();
    let contains = json!({"where": [{"field": "addresses", "op": "contains", "value": "0.0.1"}]});
    assert_eq!(site.list("fleet.machine", contains, "name"), ["PC-01", "PC-10", "PC-11"]);
    let has = json!({"where": [{"field": "groups", "value": group}]});
    assert_eq!(site.list("fleet.machine", has, "name"), ["PC-00", "PC-01"]);
    let lacks = json!({"where": [{"field": "groups", "op": "empty"}], "fields": ["groups"]});
    assert_eq!(site.objects("fleet.machine", lacks).len(), 10);
    let rows = site.objects("fleet.machine", json!({"fields": ["groups"], "page": {"limit": 1}}));
    assert_eq!(rows[0]["groups"], json!([{"id": group, "label": "desks"}]));
}

#[test]
fn a_row_is_found_by_its_key() {
    let site = Site::new(3);
    site.facts(1, json!({"person": "Ada"}));
    let keys = site.query("fleet.machine", json!({"sort": ["name"]})).unwrap().keys;
    let one = |key: &Value| json!({"where": [{"field": "$key", "op": "eq", "value": key}], "fields": ["person"]});
    assert_eq!(site.list("fleet.machine", one(&json!(keys[1])), "person"), ["Ada"]);
    assert_eq!(site.query("fleet.machine", one(&json!("none"))).unwrap().keys, Vec::<String>::new());
    let two = json!({"where": [{"field": "$key", "op": "in", "value": [keys[0], keys[2]]}], "sort": ["name"]});
    assert_eq!(site.list("fleet.machine", two, "name"), ["PC-00", "PC-02"]);
    assert!(site.query("fleet.machine", one(&json!(1))).is_err());
}

#[test]
fn a_page_ends_where_the_next_begins_and_a_foreign_cursor_is_refused() {
    let site = Site::new(10);
    for n in 0..5 {
        site.facts(n, json!({"person": if n % 2 == 0 { "Same" } else { "same" }, "disk": n}));
    }
    let mut seen = Vec::new();
    let mut after = None;
    let mut pages = 0;
    loop {
        let page = Page { after: after.take(), limit: Some(3) };
        let rows = site.query("fleet.machine", json!({"sort": ["-person", "disk"], "page": page})).unwrap();
        seen.extend(rows.keys);
        pages += 1;
        match rows.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let machines: Vec<String> = site.machines.iter().map(ToString::to_string).collect();
    assert_eq!((pages, seen), (4, machines));
    let next = site.query("fleet.machine", json!({"page": {"limit": 1}})).unwrap().next.unwrap();
    for query in [
        json!({"sort": ["name"], "page": {"after": next}}),
        json!({"q": "pc", "page": {"after": next}}),
        json!({"page": {"after": "!"}}),
    ] {
        let problem = site.query("fleet.machine", query).unwrap_err();
        assert_eq!((problem.code, problem.field.as_deref()), (Code::BadRequest, Some("page.after")));
    }
}

#[test]
fn bad_rows_are_refused_one_by_one_and_seen_by_the_operator() {
    let site = Site::new(2);
    let rows = json!([
        {"name": "good", "version": "1", "machine": site.machines[1].to_string()},
        {"name": "no version"},
        {"name": "x", "version": "1", "unknown\u{1b}": 1},
        {"name": "x", "version": "2", "size": -1},
        {"name": "good", "version": "1"},
        {"name": "long", "version": "x".repeat(3000)},
        {"name": "kind", "version": "1", "kind": "other"}]);
    let outcome = site.programs(0, rows, NOW);
    assert_eq!((outcome.accepted, outcome.rejected_rows, outcome.held), (1, 6, false));
    let stored = site.objects("probe.program", json!({}));
    assert_eq!(stored[0]["machine"], json!({"id": site.machines[0].to_string(), "label": "PC-00"}));
    let warnings = site.objects("fleet.warning", json!({"fields": ["machine", "field", "plugin", "subject"]}));
    assert_eq!(warnings.len(), 6);
    assert!(warnings.iter().all(|w| w["machine"]["label"] == "PC-00" && w["subject"] == "probe.program"));
    assert!(!serde_json::to_string(&warnings).unwrap().contains('\u{1b}'));
}

#[test]
fn a_machine_writes_for_itself_only() {
    let site = Site::new(1);
    let for_site = site.publish(Some(0), json!({"type": "site", "mode": "upsert", "rows": [{"id": "1"}]}), NOW);
    assert_eq!(for_site.unwrap_err().code, Code::PermissionDenied);
    let undeclared = site.publish(Some(0), json!({"type": "other", "mode": "upsert", "rows": []}), NOW);
    assert_eq!(undeclared.unwrap_err().code, Code::NotFound);
    let section = json!({"type": "facts", "mode": "upsert", "section": "s".repeat(201), "rows": []});
    assert_eq!(site.publish(Some(0), section, NOW).unwrap_err().code, Code::BadRequest);
    let many = json!({"type": "facts", "mode": "upsert", "rows": vec![json!({}); 100_001]});
    assert_eq!(site.publish(Some(0), many, NOW).unwrap_err().code, Code::Quota);
    let of_nobody = json!({"type": "facts", "mode": "upsert", "rows": [
        {"person": "a"}, {"person": "b", "machine": MachineId::new()}, {"person": "c", "machine": site.machines[0]}]});
    let outcome = site.publish(None, of_nobody, NOW).unwrap();
    assert_eq!((outcome.accepted, outcome.rejected_rows), (1, 2));
    let site_row = site.publish(None, json!({"type": "site", "mode": "upsert", "rows": [{"id": "a/b"}]}), NOW).unwrap();
    assert_eq!(site_row.accepted, 1);
    assert_eq!(site.query("probe.site", json!({})).unwrap().keys, ["a%2Fb"]);
}

#[test]
fn history_answers_as_of_then() {
    let site = Site::new(1);
    let day = |n: i64| NOW + SignedDuration::from_hours(24 * n);
    let program = |version: &str| json!([{"name": "editor", "version": version, "size": 1}]);
    site.programs(0, program("1"), day(0));
    site.programs(0, program("1"), day(1));
    site.programs(0, program("2"), day(2));
    site.programs(0, json!([{"name": "editor", "version": "2", "size": 5}]), day(3));
    let at = |time: Timestamp| {
        let mut rows = site.objects("probe.program", json!({"at": time, "q": "EDI"}));
        rows.iter_mut().map(|r| (r["version"].take(), r["size"].take())).collect::<Vec<_>>()
    };
    assert_eq!(at(day(-1)), vec![]);
    assert_eq!(at(day(1)), vec![(json!("1"), json!(1))]);
    assert_eq!(at(day(2)), vec![(json!("2"), json!(1))]);
    assert_eq!(at(day(9)), vec![(json!("2"), json!(5))]);
    assert_eq!(site.objects("probe.program", json!({})).len(), 1);
    // A machine whose clock is ahead cannot write the future, one whose clock went back not the past.
    let ahead = json!({"type": "program", "mode": "replace", "observed_at": day(300), "rows": program("3")});
    site.publish(Some(0), ahead, day(4)).unwrap();
    assert_eq!(at(day(4)), vec![(json!("3"), json!(1))]);
    let behind = json!({"type": "program", "mode": "replace", "observed_at": day(-300), "rows": program("4")});
    site.publish(Some(0), behind, day(5)).unwrap();
    assert_eq!(at(day(3)), vec![(json!("2"), json!(5))]);
    assert_eq!(at(day(5)), vec![(json!("4"), json!(1))]);
    let trimmed = site.database.write_blocking(move |w| Ok(w.trim(day(13))?)).unwrap();
    assert_eq!(trimmed, 1);
    assert_eq!(at(day(1)), vec![]);
}

#[test]
fn sections_are_replaced_apart_and_a_collapse_is_held() {
    let site = Site::new(1);
    let many: Vec<Value> = (0..40).map(|n| json!({"name": format!("p{n}"), "version": "1"})).collect();
    let replace = |section: &str, rows: &[Value], at: Timestamp| {
        let publish =
            json!({"type": "program", "mode": "replace", "section": section, "rows": rows, "observed_at": at});
        site.publish(Some(0), publish, NOW).unwrap()
    };
    let at = |n: i64| NOW - SignedDuration::from_hours(100 - n);
    replace("deb", &many, at(0));
    replace("snap", &[json!({"name": "s", "version": "1"})], at(0));
    assert_eq!(site.objects("probe.program", json!({})).len(), 41);
    assert!(replace("deb", &many[..19], at(1)).held);
    assert!(replace("deb", &many[..19], at(1)).held, "the same report again is no second collection");
    assert_eq!(site.objects("probe.program", json!({})).len(), 41);
    assert!(!replace("deb", &many, at(2)).held);
    assert!(replace("deb", &many[..19], at(3)).held);
    assert!(!replace("deb", &many[..19], at(4)).held);
    assert_eq!(site.objects("probe.program", json!({})).len(), 20);
    assert!(!replace("deb", &many[..10], at(5)).held, "a small section may shrink");
    assert!(!replace("snap", &[], at(6)).held);
    assert_eq!(site.objects("probe.program", json!({})).len(), 10);
    let refused = replace("deb", &[json!({"name": "p3", "version": "1", "size": "big"})], at(7));
    assert_eq!(refused.rejected_rows, 1);
    assert_eq!(site.list("probe.program", json!({}), "name"), ["p3"], "a refused row keeps what it was");
}

#[test]
fn rows_are_upserted_appended_and_deleted_by_key() {
    let site = Site::new(1);
    let send = |mode: &str, rows: Value| {
        site.publish(Some(0), json!({"type": "program", "mode": mode, "rows": rows}), NOW).unwrap()
    };
    send("append", json!([{"name": "a", "version": "1", "size": 1}]));
    send("append", json!([{"name": "a", "version": "1", "size": 2}, {"name": "b", "version": "1"}]));
    assert_eq!(site.list("probe.program", json!({"sort": ["name"]}), "size"), [json!(1), json!(null)]);
    send("upsert", json!([{"name": "b", "version": "1", "size": 9}]));
    send("delete", json!([{"name": "a", "version": "1"}, {"name": "unknown", "version": "1"}]));
    assert_eq!(site.list("probe.program", json!({}), "size"), [json!(9)]);
}

#[test]
fn facets_and_counts_follow_every_commit() {
    let site = Site::new(2);
    let rows = json!([
        {"name": "a", "version": "1", "kind": "app", "tags": ["x", "y"]},
        {"name": "b", "version": "1", "kind": "app", "tags": ["x"]},
        {"name": "c", "version": "1", "kind": "system"}]);
    let facets = |field: &'static str, query: Value| -> Vec<(Value, u64)> {
        let query: Query = serde_json::from_value(query).unwrap();
        let read =
            site.database.read_blocking(move |r| Ok(r.facets("probe.program", &query, field, &Scope::Everything)?));
        read.unwrap().into_iter().map(|f| (f.value, f.count)).collect()
    };
    let count = || {
        let read = |r: &database::Read<'_>| Ok(r.count("probe.program", &Query::default(), &Scope::Everything)?);
        site.database.read_blocking(read).unwrap()
    };
    assert_eq!(count(), 0);
    site.programs(0, rows.clone(), NOW);
    site.programs(1, rows, NOW);
    assert_eq!(count(), 6);
    let app_only = json!({"where": [{"field": "kind", "value": "app"}]});
    assert_eq!(facets("kind", app_only.clone()), [(json!("system"), 2), (json!("app"), 4)]);
    assert_eq!(facets("tags", app_only), [(json!("x"), 4), (json!("y"), 2)]);
    let first = site.machines[0];
    let by_machine = facets("machine", json!({}));
    assert_eq!(by_machine[0], (json!({"id": first, "label": "PC-00"}), 3));
    site.database.write_blocking(move |w| Ok(w.rename_machine(first, "renamed")?)).unwrap();
    assert_eq!(facets("machine", json!({}))[0].0["label"], "renamed");
    let grouped = site.query("probe.program", json!({"group": "kind"})).unwrap().objects();
    assert_eq!(
        serde_json::to_value(grouped).unwrap(),
        json!([{"kind": "system", "count": 2}, {"kind": "app", "count": 4}])
    );
    site.database.write_blocking(move |w| Ok(w.remove_machine(first)?)).unwrap();
    assert_eq!(count(), 3);
}

#[test]
fn open_views_hear_which_rows_changed() {
    let site = Site::new(2);
    let mut changes = site.database.changes();
    site.facts(1, json!({"person": "a"}));
    let heard = changes.try_recv().unwrap();
    let key = ChangedKeys::Some([site.machines[1].to_string()].into());
    assert_eq!((&heard.types["probe.facts"], &heard.types["fleet.machine"]), (&key, &key));
    site.facts(1, json!({"person": "a"}));
    assert!(changes.try_recv().is_err(), "an unchanged row changes nothing");
}

#[test]
fn a_narrow_scope_is_part_of_the_statement() {
    let site = Site::new(3);
    for n in 0..3 {
        site.programs(n, json!([{"name": "a", "version": "1"}]), NOW);
    }
    let scope = Scope::Machines([site.machines[1]].into());
    let read = move |r: &database::Read<'_>| {
        let programs = r.query("probe.program", &Query::default(), &scope)?;
        let machines = r.count("fleet.machine", &Query::default(), &scope)?;
        Ok((programs.keys.len(), machines))
    };
    assert_eq!(site.database.read_blocking(read).unwrap(), (1, 1));
}

#[test]
fn a_plugin_may_gain_fields_and_change_its_key() {
    let site = Site::new(1);
    site.programs(0, json!([{"name": "a", "version": "1"}]), NOW);
    let mut wider = manifest("probe");
    let field = schema::Field::new("Vendor", schema::FieldType::Text);
    wider.types["program"].fields.insert("vendor".into(), field);
    site.database.declare_blocking(&[("probe".to_owned(), wider.clone())]).unwrap();
    site.programs(0, json!([{"name": "a", "version": "1", "vendor": "v"}]), NOW);
    assert_eq!(site.list("probe.program", json!({}), "vendor"), ["v"]);
    wider.types["program"].key = vec!["name".into()];
    site.database.declare_blocking(&[("probe".to_owned(), wider)]).unwrap();
    assert_eq!(site.objects("probe.program", json!({})).len(), 0);
    site.database.declare_blocking(&[]).unwrap();
    assert_eq!(site.query("probe.program", json!({})).unwrap_err().code, Code::NotFound);
    let gone = site.machines[0];
    site.database.write_blocking(move |w| Ok(w.remove_machine(gone)?)).unwrap();
}

#[test]
fn one_row_and_rows_by_key() {
    let site = Site::new(3);
    site.facts(1, json!({"person": "p"}));
    let (one, two) = (site.machines[1].to_string(), site.machines[2].to_string());
    let read = site.database.read_blocking(move |r| {
        let row = r.row("fleet.machine", &one, &Scope::Everything)?.unwrap();
        assert_eq!((&row["name"], &row["person"]), (&json!("PC-01"), &json!("p")));
        assert_eq!(r.row("fleet.machine", "nope", &Scope::Everything)?, None);
        let some = r.rows_by_key("fleet.machine", &[two, "nope".into()], &["status".into()], &Scope::Everything)?;
        Ok(some.rows)
    });
    assert_eq!(read.unwrap(), vec![vec![json!(site.machines[2]), json!("PC-02"), json!("offline")]]);
}

#[test]
fn every_type_of_the_core_can_be_queried_with_all_its_fields() {
    let site = Site::new(1);
    for (name, kind) in fleet::manifest().types {
        let rows = site.query(&format!("fleet.{name}"), json!({"q": "nothing is called this"})).unwrap();
        assert_eq!(rows.keys.len(), 0);
        let missing: Vec<_> = kind.fields.keys().filter(|field| !rows.columns.contains(field)).collect();
        assert!(missing.is_empty(), "fleet.{name} has no {missing:?}");
    }
}
