//! What a plugin hands to its host as rows of a stored type.

use crate::Object;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rows of one stored type of the publishing plugin. The host adds the machine where the type's scope is `machine`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// Short name of the plugin's own type.
    #[serde(rename = "type")]
    pub type_name: String,
    pub mode: PublishMode,
    /// Part of the type that `replace` speaks for; rows of other sections stay.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub section: String,
    /// Whole rows; only the key fields matter for `delete`.
    pub rows: Vec<Object>,
    /// When the machine saw this (RFC 3339); now where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PublishMode {
    /// These rows are all there is now in the section.
    Replace,
    Upsert,
    Delete,
    /// Rows that never change: events, sessions.
    Append,
}
