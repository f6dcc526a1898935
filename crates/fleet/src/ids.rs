//! Typed ids: UUIDs of version 7, so that rows created later sort later.

use serde::{Deserialize, Serialize};
use std::time::SystemTime;
use std::{fmt, str::FromStr};
use uuid::{NoContext, Timestamp, Uuid};

/// A text that is not the id it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text} is not the id of a {what}")]
pub struct WrongId {
    pub what: &'static str,
    pub text: String,
}

/// A clock before 1970 counts as one that stands at its beginning: such ids are in no order.
fn fresh() -> Uuid {
    at(SystemTime::now())
}

fn at(now: SystemTime) -> Uuid {
    match now.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(_) => Uuid::now_v7(),
        Err(_) => Uuid::new_v7(Timestamp::from_unix(NoContext, 0, 0)),
    }
}

macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh id.
            #[allow(clippy::new_without_default)] // a default would hide that every id differs
            pub fn new() -> $name {
                $name(fresh())
            }

            pub const fn from_uuid(id: Uuid) -> $name {
                $name(id)
            }

            pub const fn as_uuid(&self) -> &Uuid {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = WrongId;

            fn from_str(text: &str) -> Result<$name, WrongId> {
                let wrong = || WrongId { what: $what, text: text.chars().take(60).collect() };
                Uuid::try_parse(text).map($name).map_err(|_| wrong())
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> $name {
                $name(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Uuid {
                id.0
            }
        }
    };
}

typed_id!(
    /// One managed machine, from its enrolment to its removal.
    MachineId,
    "machine"
);
typed_id!(
    /// One named set of machines.
    GroupId,
    "group"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_1970_makes_ids_too() {
        let before = SystemTime::UNIX_EPOCH - std::time::Duration::from_secs(1);
        assert_ne!(at(before), at(before));
        assert!(at(before) < fresh());
    }

    #[test]
    fn an_id_is_its_text_everywhere() {
        let id = MachineId::new();
        assert_eq!(id.to_string().parse::<MachineId>().unwrap(), id);
        assert_eq!(serde_json::to_value(id).unwrap(), id.to_string());
        assert_eq!("x".parse::<GroupId>().unwrap_err().to_string(), "x is not the id of a group");
    }

    #[test]
    fn later_ids_sort_later() {
        let ids: Vec<MachineId> = (0..100).map(|_| MachineId::new()).collect();
        assert!(ids.is_sorted());
        assert!(ids.iter().map(MachineId::to_string).is_sorted());
    }
}
