use super::*;
use crate::testing::core;
use schema::{FieldType, Setting, SettingMerge, Stricter};
use serde_json::{Value, json};

fn object(value: Value) -> Object {
    value.as_object().cloned().unwrap()
}

#[tokio::test]
async fn what_does_not_count_is_said_once() {
    let dir = tempfile::tempdir().unwrap();
    let core = core(dir.path()).await;
    core.outbox.connected();
    let setting = |stricter| Setting {
        title: "Most".into(),
        description: String::new(),
        kind: FieldType::Int,
        default: json!(10),
        merge: SettingMerge::Min,
        stricter,
    };
    let declared = [("most".to_owned(), setting(Some(Stricter::Lower))), ("loudness".to_owned(), setting(None))].into();
    let file = dir.path().join("policy.toml");
    std::fs::write(&file, "[settings.sample]\nmost = 11\nloudness = 1\n").unwrap();
    let look = |sent: Value| Value::Object(overlaid(&core, "sample", &declared, &object(sent)).unwrap());
    let said = || core.outbox.take().unwrap_or_default().messages.len();
    assert_eq!(look(json!({"most": 8})), json!({"most": 8, "loudness": 10}));
    assert_eq!((look(json!({"most": 8})), said()), (json!({"most": 8, "loudness": 10}), 1));
    std::fs::write(&file, "[settings.sample]\nmost = 5\n").unwrap();
    assert_eq!((look(json!({"most": 8})), said()), (json!({"most": 5, "loudness": 10}), 0));
    assert_eq!(look(json!({"most": 3})), json!({"most": 3, "loudness": 10}), "never looser");
    std::fs::write(&file, "[settings").unwrap();
    assert!(overlaid(&core, "sample", &declared, &Object::new()).is_err(), "it may have been stricter");
}
