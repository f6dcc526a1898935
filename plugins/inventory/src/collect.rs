//! One look at the machine, and the memory of the looks before.

use crate::disk::{Usage, fullest, real_usage};
use crate::machine::Machine;
use crate::person::{self, Person, Presence};
use crate::root::Root;
use crate::system;
use sdk::{Bytes, Percent, Time, serde_json};
use std::path::{Path, PathBuf};

/// File that remembers who used the machine last, beside the system's own log of sign-ins.
const MEMORY: &str = "last-person.json";
/// The kernel computes the time of the last start anew each time: this much is not another start.
const SAME_START_SECONDS: i64 = 120;

/// What is known of file systems.
pub type Sight = Box<dyn Fn(&Path) -> Option<Usage> + Send>;

/// Looks at a machine again and again.
pub struct Collector {
    root: Root,
    usage: Sight,
    memory: Option<PathBuf>,
    last_person: Option<Person>,
    booted_at: Option<Time>,
}

impl Collector {
    /// Looks at this machine; `files` is a directory to remember the last person in.
    pub fn real(files: Option<PathBuf>) -> Collector {
        Collector::new(Root::real(), Box::new(real_usage), files)
    }

    pub fn new(root: Root, usage: Sight, files: Option<PathBuf>) -> Collector {
        let memory = files.map(|dir| dir.join(MEMORY));
        let text = memory.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
        let last_person = text.and_then(|text| serde_json::from_str(&text).ok());
        Collector { root, usage, memory, last_person, booted_at: None }
    }

    /// Everything the machine tells now.
    pub fn look(&mut self) -> Machine {
        let (os, os_version) = system::os(&self.root);
        let (cpu, cores) = system::cpu(&self.root);
        let disk = fullest(&self.root, &*self.usage);
        let person = self.person();
        let mut machine = Machine {
            os,
            os_version,
            kernel: system::kernel(&self.root),
            model: system::model(&self.root),
            serial: system::serial(&self.root),
            cpu,
            cores,
            memory: system::memory(&self.root).map(Bytes),
            disk_used: disk.as_ref().map(|disk| Percent(disk.used_percent.into())),
            disk_size: disk.as_ref().map(|disk| Bytes(disk.size)),
            disk: disk.map(|disk| disk.path),
            booted_at: self.start(),
            ..Machine::default()
        };
        if let Some(person) = person {
            machine.person = Some(person.name);
            machine.person_state = Some(person.presence.as_str().to_owned());
            machine.person_since = person.since.map(Time);
            machine.person_from = person.from;
            machine.account = Some(person.account);
        }
        machine.not_collected = machine.absent();
        machine
    }

    fn start(&mut self) -> Option<Time> {
        let now = system::booted_at(&self.root)?;
        match self.booted_at {
            Some(before) if (before.0.as_second() - now.0.as_second()).abs() < SAME_START_SECONDS => {}
            _ => self.booted_at = Some(now),
        }
        self.booted_at
    }

    fn person(&mut self) -> Option<Person> {
        if let Some(person) = person::now(&self.root) {
            if self.last_person.as_ref() != Some(&person) {
                self.remember(&person);
                self.last_person = Some(person.clone());
            }
            return Some(person);
        }
        let remembered = self.last_person.clone().map(|person| Person { presence: Presence::Last, ..person });
        let logged = person::last(&self.root);
        let last = match (remembered, logged) {
            (Some(one), Some(other)) if other.since > one.since => Some(other),
            (one, other) => one.or(other),
        };
        last.or_else(|| person::without_terminal(&self.root))
    }

    /// Where it cannot be kept, the last person is known until the plugin ends, which is no reason to stop looking.
    fn remember(&self, person: &Person) {
        let (Some(path), Ok(text)) = (&self.memory, serde_json::to_vec(person)) else { return };
        let fresh = path.with_extension("new");
        if let Err(error) = std::fs::write(&fresh, text).and_then(|()| std::fs::rename(&fresh, path)) {
            sdk::tracing::debug!(%error, "the last person is not kept");
        }
    }
}
