//! The rules of the repository, each a function from what is there to what breaks it.

mod dependencies;
mod layers;
mod licence;
mod names;
mod sources;

use crate::test::{Count, Outcome};
use crate::workspace;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One source file of the repository.
pub(crate) struct Source {
    /// Relative to the root.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Source {
    fn has_extension(&self, extensions: &[&str]) -> bool {
        self.path.extension().and_then(|extension| extension.to_str()).is_some_and(|one| extensions.contains(&one))
    }
}

/// A place that breaks a rule, in a line.
pub(crate) type Breach = String;

/// Checks every rule and fails when one is broken.
pub(crate) fn run() -> Result<()> {
    let Outcome { count, error } = check();
    match error {
        Some(error) => Err(error),
        None => {
            println!("{count}");
            Ok(())
        }
    }
}

/// Checks every rule; each is one test.
pub(crate) fn check() -> Outcome {
    match rules() {
        Err(error) => Outcome { count: Count { failed: 1, ..Count::default() }, error: Some(error) },
        Ok(rules) => {
            let mut count = Count::default();
            for (rule, breaches) in &rules {
                if breaches.is_empty() {
                    count.passed += 1;
                } else {
                    count.failed += 1;
                    eprintln!("{rule}:\n  {}", breaches.join("\n  "));
                }
            }
            let error = (count.failed > 0).then(|| anyhow::anyhow!("{} rules are broken", count.failed));
            Outcome { count, error }
        }
    }
}

fn rules() -> Result<Vec<(&'static str, Vec<Breach>)>> {
    let root = workspace::root();
    let files = files(&root)?;
    let allowed = Allowed::read(&root)?;
    let packages = workspace::packages()?;
    let everything = workspace::packages_and_dependencies()?;
    let names = names::of_plugins(&packages, &files);
    let lock = fs::read_to_string(root.join("Cargo.lock")).context("Cargo.lock")?;
    let broken = vec![
        ("crates depend on lower layers only", layers::check(&packages)),
        ("the core names no plugin", allowed.except("plugin-name", names::check(&names, &files))),
        ("every module says what it is", sources::module_docs(&files)),
        ("files can be read in one sitting", allowed.except("length", sources::lengths(&files))),
        ("only `database` contains SQL", allowed.except("sql", sources::sql(&files))),
        ("`unsafe` stays where it may be", sources::unsafe_code(&files)),
        ("licences are permissive", allowed.except("licence", licence::check(&everything))),
        ("one TLS provider", dependencies::forbidden(&lock)),
        ("packages come from the public registries", dependencies::registries(&lock, &files)),
        ("console packages have permissive licences", licence::check_npm(&files)),
    ];
    Ok(broken)
}

/// The files that git knows or would take in.
fn files(root: &Path) -> Result<Vec<Source>> {
    let list = crate::process::output(
        Command::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(root),
    )?;
    // What is no text is no source.
    let read = |name: &str| Some(Source { path: name.into(), text: fs::read_to_string(root.join(name)).ok()? });
    Ok(list.lines().filter_map(read).collect())
}

/// Exceptions, each with its reason, from `tidy.allow`: `rule | beginning of the breach | reason` a line.
struct Allowed(Vec<(String, String)>);

impl Allowed {
    fn read(root: &Path) -> Result<Allowed> {
        Allowed::parse(&fs::read_to_string(root.join("tidy.allow")).context("tidy.allow")?)
    }

    fn parse(text: &str) -> Result<Allowed> {
        let mut allowed = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            let parts: Vec<&str> = line.split('|').map(str::trim).collect();
            let [rule, breach, reason] = parts[..] else { bail!("tidy.allow: no `rule | breach | reason`: {line}") };
            if reason.is_empty() {
                bail!("tidy.allow: no reason: {line}");
            }
            allowed.push((rule.to_owned(), breach.to_owned()));
        }
        Ok(Allowed(allowed))
    }

    /// The breaches that are not allowed, and the exceptions that nothing needs any more.
    fn except(&self, rule: &str, breaches: Vec<Breach>) -> Vec<Breach> {
        let of_rule = || self.0.iter().filter(|(of, _)| of == rule).map(|(_, beginning)| beginning);
        let stale: Vec<Breach> = of_rule()
            .filter(|beginning| !breaches.iter().any(|breach| breach.starts_with(*beginning)))
            .map(|beginning| format!("tidy.allow: nothing breaks the rule at `{beginning}` any more"))
            .collect();
        let left = breaches.into_iter().filter(|breach| !of_rule().any(|beginning| breach.starts_with(beginning)));
        left.chain(stale).collect()
    }
}

#[cfg(test)]
pub(crate) fn source(path: &str, text: &str) -> Source {
    Source { path: path.into(), text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_needs_a_reason_and_must_still_be_needed() {
        assert!(Allowed::parse("length | a.rs |").is_err());
        let allowed = Allowed::parse("# why\nlength | a.rs: | one table\nlength | gone.rs: | was long").unwrap();
        let left = allowed.except("length", vec!["a.rs: 600 lines".into(), "b.rs: 700 lines".into()]);
        assert_eq!(left, ["b.rs: 700 lines", "tidy.allow: nothing breaks the rule at `gone.rs:` any more"]);
        assert_eq!(allowed.except("sql", vec!["a.rs: SQL".into()]), ["a.rs: SQL"]);
    }
}
