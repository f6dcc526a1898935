//! Notices two machines with one identity: the epoch an agent counts up before every connection must grow, and the
//! operating system's own id must stay.
//!
//! The last epochs live in memory. After a restart of the administrator the first connection is believed, and a clone
//! shows at the next one. That a machine is held is stored by the directory; here it is held until that is done.

use fleet::MachineId;
use protocol::Hello;
use std::collections::HashMap;

#[derive(Default)]
pub(super) struct Clones {
    last: HashMap<MachineId, Last>,
    held: HashMap<MachineId, String>,
}

struct Last {
    epoch: u64,
    machine_id: String,
}

impl Clones {
    /// Looks at a new connection.
    ///
    /// # Errors
    /// Why the identity is held from now on.
    pub(super) fn look(&mut self, machine: MachineId, hello: &Hello) -> Result<(), String> {
        if let Some(reason) = self.held.get(&machine) {
            return Err(reason.clone());
        }
        let reason = self.last.get(&machine).and_then(|last| {
            if hello.epoch <= last.epoch {
                Some("Two machines use this identity, or it was put back from a backup: its count of connections went back.")
            } else if !last.machine_id.is_empty() && last.machine_id != hello.evidence.machine_id {
                Some("Two machines use this identity: another operating system answers for it now.")
            } else {
                None
            }
        });
        if let Some(reason) = reason {
            self.held.insert(machine, reason.to_owned());
            return Err(reason.to_owned());
        }
        let last = Last { epoch: hello.epoch, machine_id: hello.evidence.machine_id.clone() };
        self.last.insert(machine, last);
        Ok(())
    }

    /// A device was let in as this machine: whoever comes next is believed.
    pub(super) fn forget(&mut self, machine: MachineId) {
        self.held.remove(&machine);
        self.last.remove(&machine);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Evidence;

    fn hello(epoch: u64, machine_id: &str) -> Hello {
        Hello {
            version: 1,
            oldest_version: 1,
            features: Vec::new(),
            agent_version: String::new(),
            boot_id: String::new(),
            epoch,
            known_jobs: Vec::new(),
            evidence: Evidence { machine_id: machine_id.into(), ..Evidence::default() },
            policy_hash: String::new(),
            plugins: Vec::new(),
        }
    }

    #[test]
    fn an_epoch_that_does_not_grow_is_a_clone_until_an_operator_vouches() {
        let (mut clones, machine) = (Clones::default(), MachineId::new());
        clones.look(machine, &hello(7, "a")).unwrap();
        clones.look(machine, &hello(8, "a")).unwrap();
        assert!(clones.look(machine, &hello(8, "a")).is_err());
        assert!(clones.look(machine, &hello(9, "a")).is_err(), "the right one cannot be told from the copy");
        clones.forget(machine);
        clones.look(machine, &hello(3, "a")).unwrap();
    }

    #[test]
    fn another_operating_system_behind_one_identity_is_a_clone() {
        let (mut clones, machine) = (Clones::default(), MachineId::new());
        clones.look(machine, &hello(1, "a")).unwrap();
        assert!(clones.look(machine, &hello(2, "b")).is_err());
    }
}
