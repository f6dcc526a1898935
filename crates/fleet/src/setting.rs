//! Values that operators give the settings of plugins: for the site, a group or a machine. What is in force on a
//! machine follows from them by the rules of `schema`; nothing here knows what a setting means.

use crate::{GroupId, MachineId};
use jiff::Timestamp;
use schema::{Object, Problem, Setting};
use serde_json::Value;

/// Where a value holds. The narrower place wins; between several groups the setting's merge rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Site,
    Group(GroupId),
    Machine(MachineId),
}

/// One value that an operator set.
#[derive(Clone, Debug, PartialEq)]
pub struct SettingChange {
    pub module: String,
    pub name: String,
    pub place: Place,
    pub value: Value,
    /// Name of the operator, for the row.
    pub by: String,
    pub at: Timestamp,
}

/// The values of one module that matter to one machine, unmerged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SettingValues {
    pub site: Object,
    /// Of the machine's groups, the group that was made first before the others.
    pub groups: Vec<Object>,
    pub machine: Object,
}

/// What can be looked up of settings.
pub trait SettingLookup {
    /// What holds for the whole site; for a machine also what its groups and itself were given.
    fn setting_values(&self, module: &str, machine: Option<MachineId>) -> Result<SettingValues, Problem>;
}

/// What changes settings.
pub trait SettingStore: SettingLookup {
    /// Brings the rows of a module's settings in line with its manifest. Values that were set stay.
    fn declare_settings(&mut self, module: &str, settings: &[(String, Setting)]) -> Result<(), Problem>;

    fn set_setting(&mut self, change: &SettingChange) -> Result<(), Problem>;

    /// Takes a value back; `false` where there was none.
    fn reset_setting(&mut self, module: &str, name: &str, place: Place) -> Result<bool, Problem>;
}
