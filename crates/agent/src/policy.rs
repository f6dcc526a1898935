//! The machine's own rules, in `policy.toml` of the state directory. They can only take away: there is no way to write
//! down that something is allowed which the administrator forbids.

use schema::{Code, Object, Problem};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Rules {
    commands: Commands,
    /// Values of settings by plugin and name, which count where they are stricter than the administrator's.
    settings: BTreeMap<String, Object>,
    plugins: Plugins,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Plugins {
    /// Names of plugins that get nothing here but what this machine's own `plugins.toml` grants; `*` as in commands.
    withhold: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Commands {
    /// Command ids that are refused; `*` at the end stands for any rest.
    deny: Vec<String>,
}

/// The file, read anew for every question so that an edit counts at once.
#[derive(Clone, Debug)]
pub struct Policy {
    path: PathBuf,
}

impl Policy {
    pub fn new(state_dir: &Path) -> Policy {
        Policy { path: state_dir.join("policy.toml") }
    }

    /// blake3 of the file; empty where there is none.
    pub fn hash(&self) -> String {
        fs::read(&self.path).map(|bytes| blake3::hash(&bytes).to_hex().to_string()).unwrap_or_default()
    }

    /// Whether a command may run here. A file that cannot be understood forbids everything.
    ///
    /// # Errors
    /// Which rule forbids it.
    pub fn allows(&self, command: &str) -> Result<(), Problem> {
        let rules = self.rules()?;
        match rules.commands.deny.iter().find(|pattern| matches(pattern, command)) {
            Some(pattern) => {
                Err(self.refused(format!("The machine's own policy denies {command} (rule \"{pattern}\").")))
            }
            None => Ok(()),
        }
    }

    /// What the machine's owner set for a plugin.
    ///
    /// # Errors
    /// The file cannot be read or understood.
    pub fn settings(&self, plugin: &str) -> Result<Object, Problem> {
        Ok(self.rules()?.settings.remove(plugin).unwrap_or_default())
    }

    /// Whether what the administrator grants a plugin counts here. A file that cannot be understood withholds it.
    pub fn lets_grant(&self, plugin: &str) -> bool {
        self.rules().is_ok_and(|rules| !rules.plugins.withhold.iter().any(|pattern| matches(pattern, plugin)))
    }

    fn rules(&self) -> Result<Rules, Problem> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Rules::default()),
            Err(error) => return Err(self.refused(format!("The machine's own policy cannot be read ({error})."))),
        };
        toml::from_str(&text)
            .map_err(|error| self.refused(format!("The machine's own policy is not valid: {}.", error.message())))
    }

    fn refused(&self, message: String) -> Problem {
        let fix = format!("Only the machine's own {} decides this.", self.path.display());
        Problem::new(Code::PermissionDenied, message).fix(fix)
    }
}

fn matches(pattern: &str, command: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => command.starts_with(start),
        None => pattern == command,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: Option<&str>) -> (tempfile::TempDir, Policy) {
        let dir = tempfile::tempdir().unwrap();
        if let Some(text) = text {
            fs::write(dir.path().join("policy.toml"), text).unwrap();
        }
        let policy = Policy::new(dir.path());
        (dir, policy)
    }

    #[test]
    fn rules_deny_by_name_and_by_beginning() {
        let (_dir, policy) = policy(Some("[commands]\ndeny = [\"alpha.*\", \"beta.run\"]"));
        assert!(policy.allows("gamma.run").is_ok());
        assert!(policy.allows("beta.look").is_ok());
        let problem = policy.allows("alpha.look").unwrap_err();
        assert_eq!(problem.code, Code::PermissionDenied);
        assert!(problem.message.contains("alpha.*"));
        assert!(policy.allows("beta.run").is_err());
    }

    #[test]
    fn grants_are_withheld_by_name() {
        let (_dir, named) = policy(Some("[plugins]\nwithhold = [\"alpha\", \"be*\"]"));
        assert!(!named.lets_grant("alpha") && !named.lets_grant("beta") && named.lets_grant("gamma"));
        assert!(policy(None).1.lets_grant("alpha"));
        assert!(!policy(Some("[plugins]\nallow = 1")).1.lets_grant("alpha"));
    }

    #[test]
    fn settings_are_read_by_plugin() {
        let (_dir, policy) = policy(Some("[settings.alpha]\nreport = false\nlimit = 3"));
        let own = policy.settings("alpha").unwrap();
        assert_eq!(own, serde_json::json!({"report": false, "limit": 3}).as_object().unwrap().clone());
        assert!(policy.settings("beta").unwrap().is_empty());
        assert!(policy.allows("alpha.look").is_ok());
    }

    #[test]
    fn no_file_denies_nothing_and_a_broken_one_everything() {
        assert!(policy(None).1.allows("a.b").is_ok());
        for broken in ["[commands", "[commands]\nallow = [\"*\"]", "deny = 3"] {
            let (_dir, policy) = policy(Some(broken));
            assert!(policy.allows("a.b").is_err(), "{broken}");
        }
    }
}
