//! Fields and the closed list of domain types that decide how a value is aligned, formatted, filtered, sorted, spoken,
//! exported and checked on every face.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Domain type of a field. The list is closed: a renderer knows all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    Text,
    Markdown,
    Code,
    Id,
    Int,
    Decimal,
    Bool,
    /// A count of bytes.
    Bytes,
    /// Bytes per second.
    Rate,
    /// 0 to 100.
    Percent,
    /// Seconds.
    Duration,
    /// RFC 3339, UTC.
    Time,
    /// `{"from": time, "to": time|null}`.
    Period,
    /// A part of every day by the clock of the machine it is about, as in `21:00-05:00`; empty for none.
    Hours,
    Ip,
    Mac,
    Cidr,
    Port,
    Url,
    Path,
    Version,
    Hash,
    Enum,
    Status,
    /// A list of short texts.
    Tags,
    /// A person or account name.
    User,
    Group,
    /// Key of a row of another type, `Field::target`.
    Ref,
    Refs,
    /// A list of numbers, oldest first.
    Series,
    /// `{"fraction": 0..1, "text": …, "amount": {"done": …, "total": …, "unit": "bytes" | "items"}}`.
    Progress,
    /// `{"amount": decimal as text, "currency": ISO 4217}`.
    Money,
    /// Never shown, never exported.
    Secret,
    Icon,
    Json,
}

impl FieldType {
    /// Every domain type, in the order of the contract.
    pub const ALL: [FieldType; 35] = [
        FieldType::Text,
        FieldType::Markdown,
        FieldType::Code,
        FieldType::Id,
        FieldType::Int,
        FieldType::Decimal,
        FieldType::Bool,
        FieldType::Bytes,
        FieldType::Rate,
        FieldType::Percent,
        FieldType::Duration,
        FieldType::Time,
        FieldType::Period,
        FieldType::Hours,
        FieldType::Ip,
        FieldType::Mac,
        FieldType::Cidr,
        FieldType::Port,
        FieldType::Url,
        FieldType::Path,
        FieldType::Version,
        FieldType::Hash,
        FieldType::Enum,
        FieldType::Status,
        FieldType::Tags,
        FieldType::User,
        FieldType::Group,
        FieldType::Ref,
        FieldType::Refs,
        FieldType::Series,
        FieldType::Progress,
        FieldType::Money,
        FieldType::Secret,
        FieldType::Icon,
        FieldType::Json,
    ];

    /// Whether values compare as numbers.
    pub fn is_number(self) -> bool {
        use FieldType::*;
        matches!(self, Int | Decimal | Bytes | Rate | Percent | Duration | Port)
    }

    /// Whether a value is an array or object and is kept as JSON text in a column.
    pub fn is_structured(self) -> bool {
        use FieldType::*;
        matches!(self, Period | Tags | Refs | Series | Progress | Money | Json)
    }

    /// Whether rows may be ordered by it.
    pub fn is_sortable(self) -> bool {
        !self.is_structured() && !matches!(self, FieldType::Secret | FieldType::Icon)
    }
}

/// One column of meaning of a type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Field {
    pub title: String,
    #[serde(rename = "type")]
    pub kind: FieldType,
    /// 1 always shown, 2 shown where there is room, 3 only wide screens and details.
    #[serde(default = "lowest_priority", skip_serializing_if = "is_lowest_priority")]
    pub priority: u8,
    /// The value is a list of values of `type`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub many: bool,
    /// `q` looks into this field.
    #[serde(default, skip_serializing_if = "is_false")]
    pub search: bool,
    /// The host keeps an index for ordering by this field.
    #[serde(default, skip_serializing_if = "is_false")]
    pub sort: bool,
    /// The host offers the field's values with counts as a filter.
    #[serde(default, skip_serializing_if = "is_false")]
    pub facet: bool,
    /// Type id (`fleet.machine`) that a `ref` or `refs` points to.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Meaning of each value of a `status` or `enum`, in the order to show them.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub values: IndexMap<String, StatusValue>,
    /// The value in rows of the extended type for which this type has none, so that what is missing can be seen, filtered
    /// and counted. One of `values`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<String>,
    /// At or above this a number is shown as a warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn: Option<f64>,
    /// At or above this a number is shown as a danger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub danger: Option<f64>,
    /// Preferred width of a column in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u16>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

fn lowest_priority() -> u8 {
    3
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's skip_serializing_if passes a reference
fn is_lowest_priority(priority: &u8) -> bool {
    *priority == 3
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's skip_serializing_if passes a reference
pub(crate) fn is_false(value: &bool) -> bool {
    !*value
}

impl Field {
    pub fn new(title: impl Into<String>, kind: FieldType) -> Field {
        Field {
            title: title.into(),
            kind,
            priority: lowest_priority(),
            many: false,
            search: false,
            sort: false,
            facet: false,
            target: None,
            values: IndexMap::new(),
            absent: None,
            warn: None,
            danger: None,
            width: None,
            description: String::new(),
        }
    }
}

/// How one value of a status or an enum is shown everywhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusValue {
    pub title: String,
    #[serde(default)]
    pub tone: Tone,
    /// Order when sorted by this field: 0 comes first.
    #[serde(default)]
    pub rank: u16,
    /// Name of an icon of the console's sprite; the tone's own icon where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
}

/// Meaning of a status. Never shown by colour alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    Success,
    Warning,
    Danger,
    #[default]
    Neutral,
    Info,
    /// Something is going on.
    Active,
}

impl Tone {
    pub fn as_str(self) -> &'static str {
        match self {
            Tone::Success => "success",
            Tone::Warning => "warning",
            Tone::Danger => "danger",
            Tone::Neutral => "neutral",
            Tone::Info => "info",
            Tone::Active => "active",
        }
    }
}
