//! The manifest, `console/1`: everything a plugin declares about itself, as static JSON.

use crate::field::is_false;
use crate::{Field, Object, Predicate, Setting};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The version of this schema that manifests of today are written in.
pub const CONSOLE_VERSION: &str = "1.0";

/// Features a manifest may require of this host (`requires.features`).
pub const FEATURES: &[&str] = &[
    "view.table",
    "view.detail",
    "view.form",
    "view.settings",
    "view.tree",
    "streams",
    "streams.files",
    "channel",
    "history",
    "extend",
    FEATURE_IN_PART,
    FEATURE_AMOUNT,
];

/// A command may end as done in part; without it, it succeeds with warnings.
pub const FEATURE_IN_PART: &str = "command.in_part";
/// Progress may carry an amount.
pub const FEATURE_AMOUNT: &str = "progress.amount";

/// What one plugin is, stores, shows and can do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the manifest schema, `major.minor`.
    pub console: String,
    pub plugin: PluginInfo,
    /// Own types by their short name; the id of a type is `<plugin name>.<short name>`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub types: IndexMap<String, Type>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<View>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<Command>,
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub settings: IndexMap<String, Setting>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<Permission>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventType>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<Schedule>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PluginInfo {
    /// Global id; vendors use a reverse domain name.
    pub id: String,
    /// Short slug in command ids, addresses, the command line and `bailiwick-<name>`.
    pub name: String,
    pub version: String,
    pub title: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub vendor: String,
    /// Name of an icon of the console's sprite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// Place in the navigation; lower is higher up.
    #[serde(default)]
    pub order: u32,
    #[serde(default)]
    pub requires: Requires,
    /// Where this plugin runs; empty means both roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Role>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// What each role needs of the operating system, shown to and granted by the operator.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub needs: BTreeMap<Role, Needs>,
    /// Roles in which the plugin has a long-lived `service.run`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Role>,
    /// The plugin accepts channels from its other role.
    #[serde(default, skip_serializing_if = "is_false")]
    pub channels: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requires {
    /// Version range of the manifest schema, as in `>=1.0 <2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
}

/// The two places a plugin runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Administrator,
    Machine,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Administrator => "administrator",
            Role::Machine => "machine",
        }
    }
}

/// What a runner must hold for one role. Everything not named here is denied where the kernel can deny it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Needs {
    /// Account to run as; an unprivileged one where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Linux capabilities, as in `CAP_NET_ADMIN`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Directories that may be read, beneath which everything else may be read too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<String>,
    /// Directories that may be written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub write: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// May open network connections.
    #[serde(default, skip_serializing_if = "is_false")]
    pub network: bool,
    /// May start other programs.
    #[serde(default, skip_serializing_if = "is_false")]
    pub programs: bool,
    /// Address space of the runner in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u32>,
}

/// What kind of thing the rows of a type are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Type {
    pub title: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title_plural: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// Whether the host adds and checks the machine of every row.
    pub scope: Scope,
    /// Fields that together name a row (within a machine where the scope is `machine`). Empty in a type of scope
    /// `machine` means one row a machine.
    #[serde(default)]
    pub key: Vec<String>,
    /// Field that names a row to a person.
    pub label: String,
    /// The field of domain type `status` that rows are judged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    pub fields: IndexMap<String, Field>,
    /// The host keeps the rows and answers every query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Stored>,
    /// The plugin answers queries itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computed: Option<Computed>,
    /// Other plugins may add columns to this type.
    #[serde(default, skip_serializing_if = "is_false")]
    pub extend: bool,
    /// The rows of this stored type are also columns of another plugin's type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extends: Option<Extension>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Machine,
    Site,
}

/// Adds the fields of a stored type with one row a key to the rows of another type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    /// Id of the extended type, as in `fleet.machine`.
    #[serde(rename = "type")]
    pub target: String,
    /// The fields that become columns there, in order; all where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stored {
    /// Keep every row as an interval of time.
    #[serde(default, skip_serializing_if = "is_false")]
    pub history: bool,
    /// How long closed intervals and appended rows are kept, as in `90d`; for ever where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Computed {
    pub answered_by: AnsweredBy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnsweredBy {
    Administrator,
    Machine,
}

/// One screen, table or listing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// Short name, unique in the plugin; the address is `/api/v1/<plugin>/<id>`.
    pub id: String,
    pub kind: ViewKind,
    pub title: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Type of the rows: a short name of this plugin or the id of another's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Values the view needs before it can be shown, each a field.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub params: IndexMap<String, Field>,
    /// Fields to show, in order; all by priority where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Default order, `-` in front for descending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sort: Vec<String>,
    /// Always applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filter: Vec<crate::Filter>,
    /// Rows can be selected for bulk actions.
    #[serde(default, skip_serializing_if = "is_false")]
    pub select: bool,
    /// Commands offered on the view itself; the first is the main one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<String>,
    /// Commands offered on a row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub row: Vec<String>,
    /// Commands offered on the selected rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bulk: Vec<String>,
    /// View that opens from a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<String>,
    /// Show a count per value of this status or enum field above the rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty: Option<Empty>,
    /// Parts of a detail view, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sections: Vec<Section>,
    /// How the rows of a view of kind `tree` lie below one another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<Tree>,
    /// Text of a markdown view.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Command of a form view.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Permission that is needed to see it; `read` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
    /// Features without which the view cannot be shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// View of this plugin to show instead when `requires` is not met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// Not in the navigation; reached from other views.
    #[serde(default, skip_serializing_if = "is_false")]
    pub hidden: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// Which params a command line takes by position; each is an option too.
    #[serde(rename = "x-cli", default, skip_serializing_if = "Option::is_none")]
    pub cli: Option<CliHints>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ViewKind {
    Table,
    Detail,
    Cards,
    Tree,
    Log,
    Timeline,
    Chart,
    Form,
    Settings,
    Terminal,
    Desktop,
    Topology,
    Dashboard,
    Markdown,
    Wizard,
}

impl ViewKind {
    /// Whether the view lists rows of a type.
    pub fn has_rows(self) -> bool {
        use ViewKind::*;
        matches!(self, Table | Detail | Cards | Tree | Log | Timeline | Chart | Settings)
    }
}

/// What a list says while it has nothing to show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Empty {
    pub title: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// Command that fills it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
}

/// A part of a detail view: fields of the row itself, or another view narrowed to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Section {
    pub title: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// Id of a view (`<plugin>.<view>` or one's own) shown below the title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<String>,
    /// Field of that view's rows → field of this row, `$key` for its key.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub bind: IndexMap<String, String>,
}

/// Where the rows below a row of a tree come from: from the same view, asked with one of its params.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    /// Param of the view that says below what rows are listed; without it those at the top are.
    pub param: String,
    /// Field of a row that holds the value of that param for what is below it. It names the row in its tree.
    pub field: String,
    /// Rows that may have others below them; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<Predicate>,
}

/// Something an operator, a schedule or another program can have done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Short name, unique in the plugin; the command id is `<plugin>.<id>`.
    pub id: String,
    /// Verb first, as in "Scan now".
    pub title: String,
    /// Title over several targets with `{n}` in it, as in "Scan {n} machines".
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title_many: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    #[serde(default)]
    pub target: Target,
    /// Where it can be run; both where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modes: Vec<Mode>,
    /// Byte streams an operator's client may attach to while it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<Stream>,
    /// Permission that is needed; derived from `effect` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
    #[serde(default)]
    pub effect: Effect,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub danger: Option<Danger>,
    /// Command that says what this one would do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub progress: bool,
    #[serde(default)]
    pub cancel: Cancel,
    /// Longest time it may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    /// How long an undelivered job waits for its machine; 7 days where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_seconds: Option<u64>,
    /// May be put on a schedule.
    #[serde(default, skip_serializing_if = "is_false")]
    pub schedule: bool,
    /// Command that takes back what this one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
    /// Inputs that work, shown in help.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Object>,
    /// JSON Schema 2020-12 in the small profile of [`crate::InputSchema`].
    #[serde(default = "empty_input")]
    pub input: Value,
    /// JSON Schema 2020-12 of the result; anything where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Input property → field of the row it is run on, `$key` for its key, `$params.<name>` for a param of the view.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub bind: IndexMap<String, String>,
    /// What it is due for; it is offered while there is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<Offer>,
    /// What an agent does with it when a crash or reboot cut it off.
    #[serde(default)]
    pub on_interrupt: OnInterrupt,
    /// Version of the plugin that has it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    #[serde(rename = "x-cli", default, skip_serializing_if = "Option::is_none")]
    pub cli: Option<CliHints>,
}

fn empty_input() -> Value {
    serde_json::json!({"type": "object", "properties": {}})
}

/// Rows for which a command is due, and how that is said. It stands above lists of machines, and those of the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// The plugin's own type whose rows they are, for a command of the administrator; machines where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// What is so of all of them; of machines also by columns that the plugin adds to them.
    #[serde(rename = "where")]
    pub filters: Vec<crate::Filter>,
    /// Of one of them; `{name}` stands for its label.
    pub text: String,
    /// Of several, with `{n}` in it.
    pub text_many: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    #[serde(default)]
    pub on: TargetKind,
}

/// What a command is run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// One or several machines, or a group of them; the machine role runs it on each.
    #[default]
    Machine,
    /// A group; the administrator role runs it once.
    Group,
    /// The administrator role runs it.
    Administrator,
    /// Either; where the caller is.
    None,
}

impl TargetKind {
    /// Role of the plugin that carries it out when managed.
    pub fn role(self) -> Role {
        match self {
            TargetKind::Machine => Role::Machine,
            TargetKind::Group | TargetKind::Administrator | TargetKind::None => Role::Administrator,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    Managed,
    Standalone,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    pub name: String,
    #[serde(default)]
    pub direction: StreamDirection,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// What an operator's client does with it beside showing its text.
    #[serde(rename = "as", default, skip_serializing_if = "Option::is_none")]
    pub taken_as: Option<TakenAs>,
    /// Name of the file it is, unless the command says another when it opens the stream.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
}

impl Stream {
    pub fn new(name: &str, direction: StreamDirection) -> Stream {
        Stream { name: name.to_owned(), direction, title: String::new(), taken_as: None, file: String::new() }
    }

    /// What a command sends as a file, which is called `file` unless it says otherwise.
    pub fn file(name: &str, taken_as: TakenAs, file: &str) -> Stream {
        let taken_as = Some(taken_as);
        Stream { taken_as, file: file.to_owned(), ..Stream::new(name, StreamDirection::Out) }
    }
}

/// What becomes of the bytes that a command sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TakenAs {
    /// They are saved as a file, as they come.
    Download,
    /// They are the beginning of a file, which is looked at: as text, or as a picture where it is one. Never run.
    Preview,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamDirection {
    /// From the command to the operator.
    #[default]
    Out,
    /// From the operator to the command.
    In,
    Both,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    #[default]
    Read,
    Write,
    Destroy,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Danger {
    /// Dangerous only then; always where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Predicate>,
    /// What will be lost, in a sentence.
    pub text: String,
    #[serde(default)]
    pub confirm: Confirm,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confirm {
    /// A button.
    #[default]
    Ask,
    /// The label of the target must be typed.
    Type,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cancel {
    #[default]
    Safe,
    /// What was begun may be left half done.
    Unsafe,
    No,
}

/// What becomes of a command that was running when the machine, the agent or the runner went down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnInterrupt {
    /// Run it again from the beginning.
    Rerun,
    /// Run it again with its last checkpoint.
    Resume,
    /// End as `unknown`; never run it a second time.
    #[default]
    Report,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CliHints {
    /// Input properties (of a view: params) taken by position, in order. A list that comes last takes any number of
    /// words, with options before, between and after them, and can be given one by one as an option too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub positional: Vec<String>,
    /// Input property that takes the rest of the line, whatever it looks like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trailing: Option<String>,
    /// Field of the result that alone is printed, so that scripts can use it as one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub print: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Permission {
    pub id: String,
    pub title: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Roles of operators that hold it from the start: `manager`, `operator`, `auditor`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
}

/// A kind of event the plugin may report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventType {
    pub id: String,
    pub title: String,
    #[serde(default)]
    pub tone: crate::Tone,
}

/// A command that is run regularly unless an operator says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    pub id: String,
    pub title: String,
    pub command: String,
    /// Five-field cron expression, in the machine's local time.
    pub cron: String,
    #[serde(default)]
    pub input: Object,
}

impl Manifest {
    /// Id of one of this plugin's own types, as in `hello.greeting`.
    pub fn type_id(&self, short: &str) -> String {
        if short.contains('.') { short.to_owned() } else { format!("{}.{short}", self.plugin.name) }
    }

    /// Id of one of this plugin's own commands, as in `hello.greet`.
    pub fn command_id(&self, short: &str) -> String {
        self.type_id(short)
    }

    /// The command with this short name or full id.
    pub fn command(&self, id: &str) -> Option<&Command> {
        let short = self.own(id)?;
        self.commands.iter().find(|command| command.id == short)
    }

    /// The view with this short name or full id.
    pub fn view(&self, id: &str) -> Option<&View> {
        let short = self.own(id)?;
        self.views.iter().find(|view| view.id == short)
    }

    /// The type with this short name or full id.
    pub fn type_of(&self, id: &str) -> Option<&Type> {
        self.types.get(self.own(id)?)
    }

    /// Whether the plugin runs in `role`.
    pub fn runs_in(&self, role: Role) -> bool {
        self.plugin.roles.is_empty() || self.plugin.roles.contains(&role)
    }

    fn own<'a>(&self, id: &'a str) -> Option<&'a str> {
        match id.split_once('.') {
            None => Some(id),
            Some((plugin, short)) if plugin == self.plugin.name => Some(short),
            Some(_) => None,
        }
    }
}

impl Type {
    /// The plural for titles; the singular with an `s` where the manifest gives none.
    pub fn plural(&self) -> String {
        if self.title_plural.is_empty() { format!("{}s", self.title) } else { self.title_plural.clone() }
    }
}

impl View {
    /// Permission an operator needs to see it.
    pub fn needed_permission(&self) -> &str {
        self.permission.as_deref().unwrap_or("read")
    }
}

impl Command {
    /// Permission an operator needs: the declared one, or `read`, `run` or `destroy` by effect.
    pub fn needed_permission(&self) -> &str {
        match (&self.permission, self.effect) {
            (Some(permission), _) => permission,
            (None, Effect::Read) => "read",
            (None, Effect::Write) => "run",
            (None, Effect::Destroy) => "destroy",
        }
    }
}
