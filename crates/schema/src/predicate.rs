//! The one tiny predicate of manifests (`x-when`, `danger.when`). The same vectors test it here and in the console.

use crate::{Object, Op};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `{field, op, value}`, `{all: […]}`, `{any: […]}` or `{not: …}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum Predicate {
    Compare {
        field: String,
        op: Op,
        #[serde(default)]
        value: Value,
    },
    All {
        all: Vec<Predicate>,
    },
    Any {
        any: Vec<Predicate>,
    },
    Not {
        not: Box<Predicate>,
    },
}

impl Predicate {
    /// Whether `row` fulfils it. A comparison with an absent or null field is false, but for `ne` and `empty`.
    pub fn holds(&self, row: &Object) -> bool {
        match self {
            Predicate::Compare { field, op, value } => op.holds(row.get(field).unwrap_or(&Value::Null), value),
            Predicate::All { all } => all.iter().all(|p| p.holds(row)),
            Predicate::Any { any } => any.iter().any(|p| p.holds(row)),
            Predicate::Not { not } => !not.holds(row),
        }
    }

    /// Fields it speaks of.
    pub fn fields(&self) -> Vec<&str> {
        match self {
            Predicate::Compare { field, .. } => vec![field],
            Predicate::All { all: list } | Predicate::Any { any: list } => {
                list.iter().flat_map(Predicate::fields).collect()
            }
            Predicate::Not { not } => not.fields(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The console runs the same file.
    #[derive(Deserialize)]
    struct Vector {
        when: Predicate,
        row: Object,
        holds: bool,
    }

    #[test]
    fn the_shared_vectors_hold() {
        let vectors: Vec<Vector> = serde_json::from_str(include_str!("../vectors/predicates.json")).unwrap();
        assert!(vectors.len() >= 20);
        for vector in vectors {
            assert_eq!(vector.when.holds(&vector.row), vector.holds, "{:?} on {:?}", vector.when, vector.row);
        }
    }
}
