//! Accounts without a name that plugins run as: one each, remembered in the host's state directory, so that no two
//! plugins of a machine ever share one.
//!
//! The numbers lie between those that systemd and the distributions hand out, and below 65536, which is all that some
//! containers have. Administrator and machine have a half each, since they may be on one machine.

use parking_lot::Mutex;
use schema::Role;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

const ADMINISTRATOR: RangeInclusive<u32> = 60_706..=60_944;
const MACHINE: RangeInclusive<u32> = 60_945..=61_183;

pub(crate) struct Accounts {
    file: PathBuf,
    numbers: RangeInclusive<u32>,
    one_at_a_time: Mutex<()>,
}

impl Accounts {
    pub(crate) fn new(state_dir: &Path, role: Role) -> Accounts {
        let numbers = match role {
            Role::Administrator => ADMINISTRATOR,
            Role::Machine => MACHINE,
        };
        Accounts { file: state_dir.join("accounts.json"), numbers, one_at_a_time: Mutex::default() }
    }

    /// Where only a manifest is read; one after the other, and with no files of its own.
    pub(crate) fn for_probing(&self) -> u32 {
        *self.numbers.start()
    }

    /// The account of this plugin, the same for ever.
    ///
    /// # Errors
    /// The file cannot be read or written, or every number is taken.
    pub(crate) fn of(&self, plugin: &str) -> io::Result<u32> {
        let _one = self.one_at_a_time.lock();
        let mut known: BTreeMap<String, u32> = match fs::read(&self.file) {
            Ok(json) => serde_json::from_slice(&json)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(e) => return Err(e),
        };
        if let Some(number) = known.get(plugin).filter(|number| self.numbers.contains(number)) {
            return Ok(*number);
        }
        let free = self.numbers.clone().skip(1).find(|number| !known.values().any(|taken| taken == number));
        let number = free.ok_or_else(|| io::Error::other("every account for plugins is taken"))?;
        known.insert(plugin.to_owned(), number);
        let new = self.file.with_extension("new");
        let mut file = fs::File::create(&new)?;
        file.write_all(&serde_json::to_vec_pretty(&known)?)?;
        file.sync_all()?;
        fs::rename(&new, &self.file)?;
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_plugins_share_an_account_and_each_keeps_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = Accounts::new(dir.path(), Role::Machine);
        let names: Vec<String> = (0..238).map(|n| format!("plugin-{n}")).collect();
        let numbers: Vec<u32> = names.iter().map(|name| accounts.of(name).unwrap()).collect();
        assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), names.len());
        assert!(!numbers.contains(&accounts.for_probing()) && numbers.iter().all(|n| MACHINE.contains(n)));
        assert!(accounts.of("one too many").is_err());
        let again = Accounts::new(dir.path(), Role::Machine);
        assert_eq!(again.of(&names[7]).unwrap(), numbers[7]);
        assert!(ADMINISTRATOR.end() < MACHINE.start());
    }
}
