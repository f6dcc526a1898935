//! The manifest of the core's own module: the same form as any plugin's, so that every face treats it alike.

use schema::Manifest;

/// What the core itself stores, shows and can do. Each type is also a table or SQL view `fleet_<type>` in the database.
pub fn manifest() -> Manifest {
    Manifest::parse(include_bytes!("manifest.json")).expect("the core's manifest is checked by a test")
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::FieldType;

    #[test]
    fn the_manifest_has_no_fault() {
        let faults = Manifest::parse(include_bytes!("manifest.json")).err().unwrap_or_default();
        assert_eq!(faults, vec![]);
    }

    #[test]
    fn every_job_state_has_a_meaning() {
        let manifest = manifest();
        let values = &manifest.types["job"].fields["state"].values;
        for state in schema::JobState::ALL {
            assert!(values.contains_key(state.as_str()), "{state:?}");
        }
        assert_eq!(values.len(), schema::JobState::ALL.len());
    }

    #[test]
    fn every_reference_inside_leads_somewhere() {
        let manifest = manifest();
        for (name, kind) in &manifest.types {
            for (field, declared) in &kind.fields {
                if matches!(declared.kind, FieldType::Ref | FieldType::Refs) {
                    let target = declared.target.as_deref().unwrap();
                    assert!(manifest.type_of(target).is_some(), "{name}.{field}");
                }
            }
        }
        for command in &manifest.commands {
            let input = schema::InputSchema::read(&command.input).unwrap();
            for (name, property) in &input.properties {
                let options = property.options.iter().chain(property.items.iter().flat_map(|i| i.options.iter()));
                for option in options {
                    assert!(manifest.view(&option.view).is_some(), "{}.{name}", command.id);
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_taken_back_asks_first() {
        for command in manifest().commands {
            assert_eq!(command.effect == schema::Effect::Destroy, command.danger.is_some(), "{}", command.id);
        }
    }
}
