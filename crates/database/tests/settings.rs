//! The storage of settings and events on a real file.

#![allow(clippy::unwrap_used)] // a test may stop at what it did not expect

use database::{Database, Scope};
use fleet::{
    Event, EventStore as _, Facts, MachineId, NewMachine, Place, SettingChange, SettingLookup as _, SettingStore as _,
    SettingValues, Store as _,
};
use jiff::{SignedDuration, Timestamp};
use schema::Query;
use serde_json::json;
use std::path::Path;

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);
const SECOND: SignedDuration = SignedDuration::from_secs(1);

fn open(dir: &Path) -> Database {
    Database::open(&dir.join("bailiwick.db")).unwrap()
}

fn enrol(database: &Database, name: &str) -> MachineId {
    let facts = Facts { name: name.into(), ..Facts::default() };
    let new = NewMachine { id: MachineId::new(), device_key: name.into(), facts };
    database.write_blocking(move |w| Ok(w.enrol(&new, NOW)?.id)).unwrap()
}

#[test]
fn the_narrower_place_of_a_setting_is_told_apart_from_the_wider() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path());
    let (id, other) = (enrol(&database, "pc1"), enrol(&database, "pc2"));
    let setting = |default: i64| {
        let json = json!({"title": "Interval", "type": "duration", "default": default});
        vec![("interval".to_owned(), serde_json::from_value(json).unwrap())]
    };
    let change = |place, value: i64| SettingChange {
        module: "demo".into(),
        name: "interval".into(),
        place,
        value: json!(value),
        by: "ann".into(),
        at: NOW,
    };
    let group = database
        .write_blocking(move |w| {
            assert_eq!(w.set_setting(&change(Place::Site, 1)).unwrap_err().code, schema::Code::NotFound);
            w.declare_settings("demo", &setting(60))?;
            assert_eq!(w.setting_values("demo", Some(id))?, SettingValues::default());
            let (old, new) = (w.create_group("old", "", NOW)?, w.create_group("new", "", NOW + SECOND)?);
            w.add_to_group(new.id, &[id])?;
            w.add_to_group(old.id, &[id])?;
            for (place, value) in [(Place::Site, 10), (Place::Group(new.id), 20), (Place::Group(old.id), 30)] {
                w.set_setting(&change(place, value))?;
            }
            w.set_setting(&change(Place::Machine(id), 40))?;
            Ok(old.id)
        })
        .unwrap();
    drop(database);
    let database = open(dir.path());
    database
        .write_blocking(move |w| {
            let object = |value: i64| json!({"interval": value}).as_object().unwrap().clone();
            let values = w.setting_values("demo", Some(id))?;
            let groups = vec![object(30), object(20)];
            assert_eq!(values, SettingValues { site: object(10), groups, machine: object(40) });
            assert_eq!(w.setting_values("demo", Some(other))?.groups, Vec::<schema::Object>::new());
            // A new default leaves what was set, and what is taken back falls to it.
            w.declare_settings("demo", &setting(90))?;
            assert!(w.reset_setting("demo", "interval", Place::Site)?);
            assert!(!w.reset_setting("demo", "interval", Place::Site)?);
            assert_eq!(w.setting_values("demo", None)?, SettingValues::default());
            w.delete_group(group)?;
            assert_eq!(w.setting_values("demo", Some(id))?.groups, vec![object(20)]);
            w.remove_machine(id)?;
            Ok(())
        })
        .unwrap();
    let rows =
        database.read_blocking(|r| Ok(r.query("fleet.setting", &Query::default(), &Scope::Everything)?)).unwrap();
    let mut places: Vec<String> =
        rows.objects().iter().map(|row| format!("{} {}", row["place"], row["value"])).collect();
    places.sort();
    assert_eq!(places, [r#""group" 20"#, r#""site" 90"#]);
}

#[test]
fn events_are_kept_and_found() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path());
    let id = enrol(&database, "pc1");
    let event = Event {
        at: NOW,
        module: "demo".into(),
        event: "found".into(),
        title: "Something was found\u{1b}".into(),
        tone: schema::Tone::Warning,
        machine: Some(id),
        data: json!({"where": "cellar"}).as_object().unwrap().clone(),
    };
    database.write_blocking(move |w| Ok(w.add_event(&event)?)).unwrap();
    let query = Query { q: Some("cellar".into()), ..Query::default() };
    let rows = database.read_blocking(move |r| Ok(r.query("fleet.event", &query, &Scope::Everything)?)).unwrap();
    let rows = rows.objects();
    assert_eq!((rows.len(), &rows[0]["title"]), (1, &json!("Something was found\u{241b}")));
    assert_eq!(rows[0]["data"], json!({"where": "cellar"}));
}
