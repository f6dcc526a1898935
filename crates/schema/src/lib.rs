//! The data every surface of Bailiwick shares: manifest, types, views, commands, queries, rows, jobs and problems.
//!
//! It is the published half of the plugin contract that is allowed to grow (`console/1`). There is no I/O here, no
//! clock and no storage: a [`Manifest`] can be read, checked ([`Manifest::check`]) and asked questions, nothing more.

mod check;
mod field;
mod host_call;
mod hours;
mod input;
mod job;
mod limits;
mod manifest;
mod mode;
mod operation;
mod predicate;
mod problem;
mod query;
mod rows;
mod setting;
mod value;

pub use check::{Fault, Limits};
pub use field::{Field, FieldType, StatusValue, Tone};
pub use host_call::{
    ChannelOpen, ChannelOpened, EventsEmit, FilesDir, FilesPath, HostCall, HostRequest, JobStarted, JobsGet, JobsStart,
    ListedMachine, MachinesList, PeerCall, RowsQuery, Secret, SecretsDelete, SecretsGet, SecretsSet, SeenJob,
    SettingsGet,
};
pub use hours::Hours;
pub use input::{InputProperty, InputSchema, Options, UiHints, check_profile};
pub use job::{Amount, JobEvent, JobState, JobTarget, Progress, Unit};
pub use limits::{FRAME_COST, MAX_DEPTH, MAX_MESSAGE, MAX_PAYLOAD, MAX_PAYLOAD_DEPTH, is_deeper, read_payload};
pub use manifest::{
    AnsweredBy, CONSOLE_VERSION, Cancel, CliHints, Command, Computed, Confirm, Danger, Effect, Empty, EventType,
    Extension, FEATURE_AMOUNT, FEATURE_IN_PART, FEATURES, Manifest, Mode, Needs, Offer, OnInterrupt, Permission,
    PluginInfo, Requires, Role, Schedule, Scope, Section, Stored, Stream, StreamDirection, TakenAs, Target, TargetKind,
    Tree, Type, View, ViewKind,
};
pub use operation::{CallMeta, InPart, OpenConfig, OpenStream, Published, Reply, RowPage, Start};
pub use predicate::Predicate;
pub use problem::{Code, Problem};
pub use query::{Columns, DEFAULT_LIMIT, Filter, MAX_LIMIT, Op, Page, Patch, Query};
pub use rows::{Publish, PublishMode};
pub use setting::{Setting, SettingMerge, Stricter, effective_settings, setting_variable, tighten_settings};
pub use value::{check_value, neutral_text};

/// A JSON object whose keys keep the order they were declared in.
pub type Object = serde_json::Map<String, serde_json::Value>;
