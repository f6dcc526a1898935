//! Random rows and queries: the statement answers what filtering and ordering in memory does, and paging through it
//! yields each row exactly once.

#![allow(clippy::unwrap_used)] // a test may stop at what it did not expect

use database::{Database, Scope};
use proptest::prelude::*;
use proptest::sample::select;
use schema::{Filter, Manifest, Object, Op, Page, Publish, PublishMode, Query};
use serde_json::{Value, json};
use std::cmp::Ordering;

fn manifest() -> Manifest {
    let json = json!({"console": "1.0",
        "plugin": {"id": "org.example.any", "name": "any", "version": "1", "title": "Any"},
        "types": {"thing": {"title": "Thing", "scope": "site", "key": ["id"], "label": "id", "stored": {}, "fields": {
            "id": {"title": "Id", "type": "id"},
            "name": {"title": "Name", "type": "text", "search": true, "sort": true},
            "note": {"title": "Note", "type": "text"},
            "size": {"title": "Size", "type": "bytes", "sort": true},
            "ratio": {"title": "Ratio", "type": "decimal"},
            "on": {"title": "On", "type": "bool"},
            "at": {"title": "At", "type": "time", "sort": true},
            "tags": {"title": "Tags", "type": "tags", "search": true},
            "state": {"title": "State", "type": "status", "facet": true, "values": {
                "a": {"title": "A", "rank": 2}, "b": {"title": "B", "rank": 0}, "c": {"title": "C", "rank": 1}}}}}}});
    let manifest: Manifest = serde_json::from_value(json).unwrap();
    assert_eq!(manifest.check(), vec![]);
    manifest
}

const SORTABLE: &[&str] = &["id", "name", "note", "size", "ratio", "on", "at", "state"];

fn text() -> impl Strategy<Value = String> {
    select(vec!["", "a", "A", "ab", "aB", "Abc", "abc%", "b_c", "Ünï", "ünï code", "'; --", "\"x\"", "10", "9"])
        .prop_map(str::to_owned)
}

fn time() -> impl Strategy<Value = Value> {
    (0..5).prop_map(|day| json!(format!("2026-01-0{}T12:00:00Z", day + 1)))
}

fn value_of(field: &str) -> BoxedStrategy<Value> {
    match field {
        "size" => (0..6i64).prop_map(|n| json!(n)).boxed(),
        "ratio" => select(vec![json!(-1.5), json!(0), json!(0.25), json!(2), json!(1e9)]).boxed(),
        "on" => any::<bool>().prop_map(Value::from).boxed(),
        "at" => time().boxed(),
        "tags" => prop::collection::vec(text(), 0..3).prop_map(|tags| json!(tags)).boxed(),
        "state" => select(vec![json!("a"), json!("b"), json!("c")]).boxed(),
        _ => text().prop_map(Value::from).boxed(),
    }
}

fn maybe(field: &'static str) -> impl Strategy<Value = Value> {
    prop_oneof![1 => Just(Value::Null), 4 => value_of(field)]
}

fn rows() -> impl Strategy<Value = Vec<Object>> {
    let row = (
        maybe("name"),
        maybe("note"),
        maybe("size"),
        maybe("ratio"),
        maybe("on"),
        maybe("at"),
        maybe("tags"),
        maybe("state"),
    );
    prop::collection::vec(row, 0..40).prop_map(|rows| {
        let object = |(n, (name, note, size, ratio, on, at, tags, state))| {
            let id = format!("{:02}", n * 7 % 40);
            let row = json!({"id": id, "name": name, "note": note, "size": size, "ratio": ratio, "on": on, "at": at,
                "tags": tags, "state": state});
            row.as_object().unwrap().clone()
        };
        rows.into_iter().enumerate().map(object).collect()
    })
}

/// A filter that makes sense for the type of its field.
fn filter() -> impl Strategy<Value = Filter> {
    use Op::*;
    let field = select(vec!["id", "name", "note", "size", "ratio", "on", "at", "tags", "state"]);
    field.prop_flat_map(|field| {
        let ops = match field {
            "tags" => vec![In, Contains, Prefix, Empty],
            "on" => vec![Eq, Ne, In, Empty],
            "size" | "ratio" | "at" => vec![Eq, Ne, Lt, Le, Gt, Ge, In, Empty],
            _ => vec![Eq, Ne, Lt, Le, Gt, Ge, In, Contains, Prefix, Empty],
        };
        let one = if field == "tags" { text().prop_map(Value::from).boxed() } else { value_of(field) };
        let list = prop::collection::vec(prop_oneof![1 => Just(Value::Null), 5 => one.clone()], 0..4);
        (select(ops), one, list, any::<u8>()).prop_map(move |(op, one, list, dice)| {
            let value = match op {
                In => Value::from(list),
                Eq | Ne if dice < 40 => Value::Null,
                Empty => Value::Null,
                _ => one,
            };
            Filter { field: field.to_owned(), op, value }
        })
    })
}

fn query() -> impl Strategy<Value = Query> {
    let sort = (select(SORTABLE.to_vec()), any::<bool>())
        .prop_map(|(field, down)| if down { format!("-{field}") } else { field.to_owned() });
    let q = prop_oneof![3 => Just(None), 1 => select(vec!["a", "AB", "abc", "ünï", "abc a", "\"x\"", "%", "code"])
        .prop_map(|q| Some(q.to_owned()))];
    (prop::collection::vec(filter(), 0..3), prop::collection::vec(sort, 0..4), q, 1..9u32).prop_map(
        |(filters, mut sort, q, limit)| {
            let mut seen = Vec::new();
            sort.retain(|s| {
                let field = s.trim_start_matches('-').to_owned();
                let fresh = !seen.contains(&field);
                seen.push(field);
                fresh
            });
            Query { filters, sort, q, page: Page { after: None, limit: Some(limit) }, ..Query::default() }
        },
    )
}

/// What the query means, in memory.
fn naive(rows: &[Object], query: &Query) -> Vec<String> {
    let mut found: Vec<&Object> = rows
        .iter()
        .filter(|row| query.filters.iter().all(|f| f.op.holds(&row[&f.field], &f.value)))
        .filter(|row| query.q.iter().flat_map(|q| q.split_whitespace()).all(|word| has_word(row, word)))
        .collect();
    found.sort_by(|a, b| compare(a, b, query));
    found.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

fn has_word(row: &Object, word: &str) -> bool {
    let tags = row["tags"].as_array().cloned().unwrap_or_default();
    let mut texts = tags.iter().chain([&row["name"]]).filter_map(Value::as_str);
    texts.any(|text| text.to_lowercase().contains(&word.to_lowercase()))
}

fn compare(a: &Object, b: &Object, query: &Query) -> Ordering {
    let mut last_down = false;
    for sort in &query.sort {
        let field = sort.trim_start_matches('-');
        last_down = sort.starts_with('-');
        let (x, y) = (&a[field], &b[field]);
        let order = match (x.is_null(), y.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) => return Ordering::Greater,
            (false, true) => return Ordering::Less,
            _ => ranked(field, x).partial_cmp(&ranked(field, y)).unwrap(),
        };
        if order != Ordering::Equal {
            return if last_down { order.reverse() } else { order };
        }
    }
    let by_key = a["id"].as_str().cmp(&b["id"].as_str());
    if last_down { by_key.reverse() } else { by_key }
}

fn ranked(field: &str, value: &Value) -> (f64, String) {
    match (field, value) {
        ("state", Value::String(state)) => {
            ([("a", 2.0), ("b", 0.0), ("c", 1.0)].iter().find(|(s, _)| s == state).unwrap().1, String::new())
        }
        (_, Value::String(text)) => (0.0, text.to_ascii_lowercase()),
        (_, Value::Bool(truth)) => (f64::from(u8::from(*truth)), String::new()),
        (_, number) => (number.as_f64().unwrap(), String::new()),
    }
}

fn paged(database: &Database, query: &Query) -> Vec<String> {
    let mut keys = Vec::new();
    let mut query = query.clone();
    loop {
        let asked = query.clone();
        let page = database.read_blocking(move |r| Ok(r.query("any.thing", &asked, &Scope::Everything)?)).unwrap();
        assert!(page.keys.len() <= query.page.limit.unwrap() as usize);
        keys.extend(page.keys);
        query.page.after = page.next;
        if query.page.after.is_none() {
            return keys;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_statement_answers_what_memory_does(rows in rows(), queries in prop::collection::vec(query(), 60)) {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(&dir.path().join("bailiwick.db")).unwrap();
        database.declare_blocking(&[("any".to_owned(), manifest())]).unwrap();
        let publish = Publish {
            type_name: "thing".into(), mode: PublishMode::Replace, section: String::new(), rows: rows.clone(), observed_at: None,
        };
        let now = jiff::Timestamp::constant(1_800_000_000, 0);
        let outcome = database.write_blocking(move |w| Ok(w.publish(None, "any", &publish, now)?)).unwrap();
        prop_assert_eq!(outcome.accepted, rows.len());
        for query in queries {
            let expected = naive(&rows, &query);
            let asked = query.clone();
            let count = database.read_blocking(move |r| Ok(r.count("any.thing", &asked, &Scope::Everything)?)).unwrap();
            prop_assert_eq!(count as usize, expected.len(), "{:?}", &query);
            prop_assert_eq!(paged(&database, &query), expected, "{:?}", &query);
        }
    }
}
