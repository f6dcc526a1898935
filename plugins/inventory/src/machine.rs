//! The row a machine has, as columns of the Machines screen.

use sdk::Row;
use sdk::{Bytes, Percent, Time};

/// What the machine is and who uses it.
#[derive(Clone, Debug, Default, PartialEq, Row)]
#[row(name = "machine", title = "Machine", label = "os", icon = "cpu", history)]
pub struct Machine {
    /// Who uses the machine now, or did last
    #[field(type = "user", title = "Person", priority = 1, search, sort, facet)]
    pub person: Option<String>,
    /// Whether the person is there now
    #[field(type = "enum", title = "Using it", priority = 3, facet, values(now("Now", Active), last("Last", Neutral)))]
    pub person_state: Option<String>,
    /// Since when the person uses the machine, or when they were there last
    #[field(title = "Since", priority = 3, sort)]
    pub person_since: Option<Time>,
    /// Where the person sits: at the machine, or at which other
    #[field(title = "From", priority = 3, search)]
    pub person_from: Option<String>,
    /// Account of the person
    #[field(type = "user", title = "Account", priority = 3, search, sort)]
    pub account: Option<String>,
    /// Operating system
    #[field(title = "OS", priority = 1, search, sort, facet)]
    pub os: Option<String>,
    #[field(type = "version", title = "OS version", priority = 3, sort, facet)]
    pub os_version: Option<String>,
    #[field(type = "version", title = "Kernel", priority = 3, search, sort, facet)]
    pub kernel: Option<String>,
    #[field(title = "Model", priority = 2, search, sort, facet)]
    pub model: Option<String>,
    #[field(type = "id", title = "Serial number", priority = 3, search, sort)]
    pub serial: Option<String>,
    /// Model of the processor
    #[field(title = "CPU", priority = 3, search, sort, facet)]
    pub cpu: Option<String>,
    /// Processors the system schedules on
    #[field(title = "Cores", priority = 3, sort)]
    pub cores: Option<u32>,
    #[field(title = "Memory", priority = 3, sort)]
    pub memory: Option<Bytes>,
    /// How full the fullest local file system is
    #[field(title = "Disk used", priority = 2, sort, warn = 80, danger = 92)]
    pub disk_used: Option<Percent>,
    /// Size of that file system
    #[field(title = "Disk size", priority = 3, sort)]
    pub disk_size: Option<Bytes>,
    /// Where that file system is
    #[field(type = "path", title = "Fullest disk", priority = 3)]
    pub disk: Option<String>,
    #[field(title = "Started", priority = 3, sort)]
    pub booted_at: Option<Time>,
    /// What this machine does not tell
    #[field(type = "tags", title = "Not collected", priority = 3)]
    pub not_collected: Vec<String>,
}

impl Machine {
    /// Names of the facts that are absent.
    pub(crate) fn absent(&self) -> Vec<String> {
        let facts = [
            ("person", self.person.is_none()),
            ("os", self.os.is_none()),
            ("os_version", self.os_version.is_none()),
            ("kernel", self.kernel.is_none()),
            ("model", self.model.is_none()),
            ("serial", self.serial.is_none()),
            ("cpu", self.cpu.is_none()),
            ("cores", self.cores.is_none()),
            ("memory", self.memory.is_none()),
            ("disk_used", self.disk_used.is_none()),
            ("booted_at", self.booted_at.is_none()),
        ];
        facts.into_iter().filter(|(_, absent)| *absent).map(|(name, _)| name.to_owned()).collect()
    }

    /// The same, with nothing about the person in it.
    pub(crate) fn without_person(self) -> Machine {
        let mut machine =
            Machine { person: None, person_state: None, person_since: None, person_from: None, account: None, ..self };
        machine.not_collected = machine.absent();
        machine
    }

    /// How many facts there are.
    pub(crate) fn known(&self) -> usize {
        11 - self.not_collected.len()
    }
}
