use super::*;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::json;

fn setting(kind: FieldType, default: Value, merge: SettingMerge, stricter: Option<Stricter>) -> Setting {
    Setting { title: "S".into(), description: String::new(), kind, default, merge, stricter }
}

fn limits() -> IndexMap<String, Setting> {
    use {SettingMerge as Merge, Stricter as S};
    IndexMap::from([
        ("most".to_owned(), setting(FieldType::Int, json!(10), Merge::Min, Some(S::Lower))),
        ("free".to_owned(), setting(FieldType::Percent, json!(5), Merge::Max, Some(S::Higher))),
        ("paths".to_owned(), setting(FieldType::Tags, json!(["/"]), Merge::Union, Some(S::Fewer))),
        ("trees".to_owned(), setting(FieldType::Tags, json!(["/"]), Merge::Union, Some(S::Beneath))),
        ("kept".to_owned(), setting(FieldType::Tags, json!([]), Merge::Union, Some(S::More))),
        ("ask".to_owned(), setting(FieldType::Bool, json!(false), Merge::Any, Some(S::On))),
        ("share".to_owned(), setting(FieldType::Bool, json!(true), Merge::All, Some(S::Off))),
        ("motd".to_owned(), setting(FieldType::Text, json!("hi"), Merge::Priority, None)),
    ])
}

fn object(value: Value) -> Object {
    value.as_object().cloned().unwrap()
}

#[test]
fn several_groups_come_to_one_value_by_the_rule() {
    let (first, second) = (
        json!({"most": 7, "paths": ["/a"], "ask": false, "share": true, "motd": "one", "gone": 1}),
        json!({"most": 3, "paths": ["/b", "/a"], "ask": true, "share": false, "motd": "two", "free": 101}),
    );
    let merged = effective_settings(&limits(), &[&object(first), &object(second)]);
    let expected = json!({"most": 3, "free": 5, "paths": ["/a", "/b"], "trees": ["/"], "kept": [], "ask": true, "share": false,
        "motd": "one"});
    assert_eq!(Value::Object(merged), expected);
}

#[test]
fn a_machine_can_only_be_stricter() {
    let mut in_force = effective_settings(&limits(), &[]);
    let own = object(json!({"most": 11, "free": 6, "paths": [], "ask": true, "share": "no", "motd": "mine", "x": 1}));
    let ignored = tighten_settings(&limits(), &mut in_force, &own);
    let fields: Vec<_> = ignored.iter().map(|problem| problem.field.as_deref().unwrap()).collect();
    assert_eq!(fields, ["most", "share", "motd", "x"]);
    let expected = json!({"most": 10, "free": 6, "paths": [], "trees": ["/"], "kept": [], "ask": true, "share": true, "motd": "hi"});
    assert_eq!(Value::Object(in_force), expected);
}

#[test]
fn a_rule_or_a_direction_that_does_not_fit_is_a_fault() {
    let faults = |merge, stricter| setting(FieldType::Text, json!(""), merge, stricter).faults().len();
    assert_eq!(faults(SettingMerge::Priority, None), 0);
    assert_eq!(faults(SettingMerge::Min, None), 1);
    assert_eq!(faults(SettingMerge::All, Some(Stricter::On)), 2);
    assert_eq!(setting(FieldType::Int, json!("x"), SettingMerge::Max, None).faults()[0].0, "default");
}

#[test]
fn hours_are_stricter_the_fewer_they_are() {
    let setting = setting(FieldType::Hours, json!("21:00-05:00"), SettingMerge::Priority, Some(Stricter::Fewer));
    assert!(setting.faults().is_empty());
    let as_strict = |value: &str, than: &str| setting.is_as_strict(&json!(value), &json!(than));
    assert!(as_strict("22:00-04:00", "21:00-05:00") && as_strict("", "21:00-05:00") && as_strict("", ""));
    assert!(!as_strict("20:00-04:00", "21:00-05:00") && !as_strict("21:00-05:00", ""));
}

#[test]
fn paths_are_stricter_beneath_those_that_are_set() {
    let setting = setting(FieldType::Tags, json!(["/"]), SettingMerge::Union, Some(Stricter::Beneath));
    assert!(setting.faults().is_empty());
    let as_strict = |value: Value, than: Value| setting.is_as_strict(&value, &than);
    assert!(as_strict(json!(["/home/a", "/srv"]), json!(["/"])) && as_strict(json!([]), json!(["/home"])));
    assert!(
        as_strict(json!(["/home/a", "/home"]), json!(["/home"])) && as_strict(json!(["/home/a"]), json!(["/home/"]))
    );
    assert!(!as_strict(json!(["/"]), json!(["/home"])) && !as_strict(json!(["/homes"]), json!(["/home"])));
    assert!(
        !as_strict(json!(["/home/../etc"]), json!(["/home"])) && !as_strict(json!(["/home", "/etc"]), json!(["/home"]))
    );
}

/// A setting that limits, and values that fit it.
fn limiting(count: usize) -> impl Strategy<Value = (Setting, Vec<Value>)> {
    let kinds: Vec<Setting> = limits().into_values().filter(|setting| setting.stricter.is_some()).collect();
    select(kinds).prop_flat_map(move |setting| {
        let value = match setting.kind {
            FieldType::Bool => any::<bool>().prop_map(|v| json!(v)).boxed(),
            FieldType::Tags => subsequence(vec!["/a", "/b", "/a/b/c"], 0..=3).prop_map(|v| json!(v)).boxed(),
            FieldType::Percent => (0.0..=100.0).prop_map(|v| json!(v)).boxed(),
            _ => any::<i64>().prop_map(|v| json!(v)).boxed(),
        };
        (Just(setting), proptest::collection::vec(value, count))
    })
}

proptest! {
    #[test]
    fn strictness_is_an_order((setting, v) in limiting(3)) {
        let as_strict = |a: usize, b: usize| setting.is_as_strict(&v[a], &v[b]);
        prop_assert!(as_strict(0, 0));
        prop_assert!(!(as_strict(0, 1) && as_strict(1, 2)) || as_strict(0, 2));
        prop_assert!(setting.is_as_strict(&v[0], &Value::Null));
        prop_assert!(!setting.is_as_strict(&Value::Null, &v[0]));
    }

    #[test]
    fn what_is_merged_fits_and_does_not_depend_on_how_it_was_grouped((setting, v) in limiting(3)) {
        let all = setting.merged(&v).unwrap();
        prop_assert!(setting.check("s", &all).is_ok());
        let two = setting.merged(&v[1..]).unwrap();
        prop_assert_eq!(&setting.merged([&v[0], &two]).unwrap(), &all);
        prop_assert_eq!(&setting.merged([&all, &all, &Value::Null]).unwrap(), &all);
        let backwards = setting.merged(v.iter().rev()).unwrap();
        let set = |value: &Value| value.as_array().map(|list| list.iter().map(Value::to_string).collect::<std::collections::BTreeSet<_>>());
        match set(&all) {
            Some(elements) => prop_assert_eq!(Some(elements), set(&backwards)),
            None => prop_assert_eq!(&all, &backwards),
        }
    }

    #[test]
    fn a_machine_never_ends_up_looser((setting, v) in limiting(2)) {
        let settings = IndexMap::from([("s".to_owned(), setting.clone())]);
        let mut in_force = Object::from_iter([("s".to_owned(), v[0].clone())]);
        let own = Object::from_iter([("s".to_owned(), v[1].clone())]);
        let ignored = tighten_settings(&settings, &mut in_force, &own);
        prop_assert!(setting.is_as_strict(&in_force["s"], &v[0]));
        prop_assert_eq!(ignored.is_empty(), setting.is_as_strict(&v[1], &v[0]));
    }

    #[test]
    fn no_value_makes_the_rules_panic(text in ".{0,12}", number in any::<f64>(), kind in select(FieldType::ALL.to_vec())) {
        use {SettingMerge as Merge, Stricter as S};
        let odd = [json!(text), json!(number), json!([text]), json!({"a": 1}), json!(true), Value::Null];
        for merge in [Merge::Priority, Merge::Union, Merge::Min, Merge::Max, Merge::All, Merge::Any] {
            for stricter in [S::Lower, S::Higher, S::Fewer, S::More, S::Beneath, S::On, S::Off] {
                let setting = setting(kind, Value::Null, merge, Some(stricter));
                prop_assert!(setting.merged(&odd).is_some());
                prop_assert!(odd.iter().all(|value| setting.is_as_strict(value, value) || value.is_null()));
            }
        }
    }
}
