//! Storage that the fleet needs, as traits: one closure over a store is one transaction.

use crate::{Facts, Group, GroupId, Machine, MachineId, NewMachine, PluginStatus, Presence, Warning};
use jiff::Timestamp;
use schema::{Code, Problem};

/// What can be looked up in a snapshot or inside a transaction.
pub trait Lookup {
    fn machine(&self, id: MachineId) -> Result<Option<Machine>, Problem>;

    /// The machine with this id or name.
    ///
    /// # Errors
    /// `not_found`, or `conflict` where several machines have the name.
    fn find_machine(&self, id_or_name: &str) -> Result<Machine, Problem>;

    /// The machine whose certificates are for this key.
    fn machine_by_key(&self, device_key: &str) -> Result<Option<Machine>, Problem>;

    fn machine_ids(&self) -> Result<Vec<MachineId>, Problem>;

    /// The group with this id or name.
    ///
    /// # Errors
    /// `not_found`.
    fn find_group(&self, id_or_name: &str) -> Result<Group, Problem>;

    fn members(&self, group: GroupId) -> Result<Vec<MachineId>, Problem>;
}

/// What changes the fleet.
pub trait Store: Lookup {
    /// Takes a machine in. A machine that is enrolled already keeps what operators gave it, and is no longer revoked or
    /// held: the caller has made sure that an operator wants it so. Its key is no other machine's from then on.
    fn enrol(&mut self, machine: &NewMachine, now: Timestamp) -> Result<Machine, Problem>;

    /// Gives a machine a name of the operator's; an empty one gives back what it calls itself.
    fn rename_machine(&mut self, id: MachineId, name: &str) -> Result<(), Problem>;

    /// Forgets a machine with all rows that plugins stored for it. Jobs and audit records stay.
    fn remove_machine(&mut self, id: MachineId) -> Result<(), Problem>;

    fn revoke_machine(&mut self, id: MachineId, now: Timestamp) -> Result<(), Problem>;

    /// Who was this machine before `from` is not any more, also with the same key.
    fn refuse_older_certificates(&mut self, id: MachineId, from: Timestamp) -> Result<(), Problem>;

    /// Refuses a machine's agent until the machine is taken in again. The first reason stays.
    fn hold_machine(&mut self, id: MachineId, reason: &str) -> Result<(), Problem>;

    /// Machines that are unknown are skipped.
    fn set_presence(&mut self, batch: &[Presence]) -> Result<(), Problem>;

    /// Nobody is connected: said once when the administrator starts. `last_seen` stays.
    fn all_offline(&mut self) -> Result<(), Problem>;

    fn set_facts(&mut self, id: MachineId, facts: &Facts) -> Result<(), Problem>;

    /// # Errors
    /// `conflict` where the name is taken.
    fn create_group(&mut self, name: &str, description: &str, now: Timestamp) -> Result<Group, Problem>;

    /// # Errors
    /// `conflict` where the name is taken.
    fn rename_group(&mut self, id: GroupId, name: &str) -> Result<(), Problem>;

    fn delete_group(&mut self, id: GroupId) -> Result<(), Problem>;

    fn add_to_group(&mut self, group: GroupId, machines: &[MachineId]) -> Result<(), Problem>;

    fn remove_from_group(&mut self, group: GroupId, machines: &[MachineId]) -> Result<(), Problem>;

    fn set_plugin_status(&mut self, status: &PluginStatus) -> Result<(), Problem>;

    /// Keeps only these plugins in one place.
    fn keep_plugins(&mut self, machine: Option<MachineId>, names: &[String]) -> Result<(), Problem>;

    fn warn(&mut self, warning: &Warning) -> Result<(), Problem>;
}

/// Checks a name an operator gives to a machine or group.
///
/// # Errors
/// `bad_request` at `name` where it is empty, longer than 100 characters or holds control characters.
pub fn check_name(name: &str) -> Result<&str, Problem> {
    let name = name.trim();
    let fits = (1..=100).contains(&name.chars().count()) && schema::neutral_text(name) == name;
    if fits {
        return Ok(name);
    }
    Err(Problem::new(Code::BadRequest, "a name has 1 to 100 visible characters.").at("name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_visible() {
        assert_eq!(check_name("  reception ").unwrap(), "reception");
        for bad in ["", "   ", "a\u{1b}[2Jb", "a\u{202e}b", &"x".repeat(101)] {
            assert_eq!(check_name(bad).unwrap_err().field.unwrap(), "name");
        }
    }
}
