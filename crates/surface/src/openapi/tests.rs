use super::*;

fn printers() -> Manifest {
    Manifest::parse(include_bytes!("../../tests/printers.json")).unwrap()
}

#[test]
fn the_document_of_a_sample_manifest() {
    let text = serde_json::to_string_pretty(&document(&[printers()])).unwrap() + "\n";
    expectorate::assert_contents("tests/openapi.json", &text);
}

#[test]
fn input_schemas_are_the_manifests_own_to_the_byte() {
    let (manifest, document) = (printers(), document(&[printers()]));
    for command in &manifest.commands {
        let shown = &document["components"]["schemas"][manifest.command_id(&command.id) + ".input"];
        assert_eq!(shown.to_string(), command.input.to_string());
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn follow(document: &Value, at: &Value, seen: &mut usize) {
        match at {
            Value::Object(map) => {
                if let Some(Value::String(target)) = map.get("$ref") {
                    let pointer = target.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{target}");
                    *seen += 1;
                }
                map.values().for_each(|value| follow(document, value, seen));
            }
            Value::Array(list) => list.iter().for_each(|value| follow(document, value, seen)),
            _ => {}
        }
    }
    let document = document(&[printers()]);
    let mut seen = 0;
    follow(&document, &document, &mut seen);
    assert!(seen > 50, "{seen}");
}

#[test]
fn operation_ids_are_unique_and_every_operation_tells_of_problems() {
    let document = document(&[printers()]);
    let mut ids = std::collections::BTreeSet::new();
    for (path, entry) in document["paths"].as_object().unwrap() {
        for (method, operation) in entry.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id}");
            assert!(operation["responses"]["default"].is_object(), "{method} {path}");
            assert_eq!(path.matches('{').count(), count_in_path(operation), "{method} {path}");
        }
    }
}

fn count_in_path(operation: &Value) -> usize {
    operation["parameters"].as_array().unwrap().iter().filter(|p| p["in"] == "path").count()
}
