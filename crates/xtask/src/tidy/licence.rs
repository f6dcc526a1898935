//! Everything that is built in may be used in a product of any licence.

use super::{Breach, Source};
use crate::workspace::Package;
use serde_json::Value;

const PERMISSIVE: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BlueOak-1.0.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC-BY-4.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Python-2.0",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "Zlib",
];

/// Licences whose duties end at their own files: for tools that are not part of what is shipped.
const FOR_TOOLS: &[&str] = &["MPL-2.0"];

pub(super) fn check(packages: &[Package]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for package in packages {
        let name = format!("{} {}", package.name, package.version);
        match &package.license {
            None => breaches.push(format!("{name} names no licence")),
            Some(licence) if !allows(licence, &[PERMISSIVE]) => breaches.push(format!("{name}: {licence}")),
            Some(_) => {}
        }
    }
    breaches
}

pub(super) fn check_npm(files: &[Source]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in files.iter().filter(|file| file.path.file_name().is_some_and(|name| name == "package-lock.json")) {
        let Ok(lock) = serde_json::from_str::<Value>(&file.text) else {
            breaches.push(format!("{}: no JSON", file.path.display()));
            continue;
        };
        let packages = lock["packages"].as_object().into_iter().flatten();
        for (name, package) in packages.filter(|(name, _)| !name.is_empty()) {
            let tool = package["dev"] == true || file.path.starts_with("tests");
            let licences: &[&[&str]] = if tool { &[PERMISSIVE, FOR_TOOLS] } else { &[PERMISSIVE] };
            match package["license"].as_str() {
                Some(licence) if allows(licence, licences) => {}
                licence => {
                    breaches.push(format!("{}: {name}: {}", file.path.display(), licence.unwrap_or("none named")))
                }
            }
        }
    }
    breaches
}

/// Whether an SPDX expression can be met with the given licences. Old manifests write `/` for `OR`.
fn allows(expression: &str, licences: &[&[&str]]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let met = any(&words, &mut at, licences);
    met && at == words.len()
}

fn any(words: &[&str], at: &mut usize, licences: &[&[&str]]) -> bool {
    let mut met = all(words, at, licences);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        let other = all(words, at, licences);
        met = met || other;
    }
    met
}

fn all(words: &[&str], at: &mut usize, licences: &[&[&str]]) -> bool {
    let mut met = one(words, at, licences);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        let other = one(words, at, licences);
        met = met && other;
    }
    met
}

fn one(words: &[&str], at: &mut usize, licences: &[&[&str]]) -> bool {
    let word = words.get(*at).copied().unwrap_or_default();
    *at += 1;
    if word == "(" {
        let met = any(words, at, licences);
        *at += 1;
        return met;
    }
    if words.get(*at) == Some(&"WITH") {
        // Exceptions of this list only ever grant more.
        *at += 2;
    }
    licences.iter().any(|list| list.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::source;

    #[test]
    fn expressions_are_met_or_not() {
        let met = |expression| allows(expression, &[PERMISSIVE]);
        assert!(met("MIT OR GPL-3.0") && met("MIT/Apache-2.0") && met("Apache-2.0 WITH LLVM-exception OR GPL-2.0"));
        assert!(met("(MIT OR Apache-2.0) AND Unicode-3.0"));
        assert!(!met("GPL-3.0") && !met("MIT AND GPL-2.0") && !met("(MIT AND GPL-2.0) OR LGPL-2.1") && !met("MIT ISC"));
    }

    #[test]
    fn a_shipped_package_with_a_copyleft_licence_is_found_and_a_tool_is_not() {
        let lock = |dev: bool| {
            let text = serde_json::json!({"packages": {"": {}, "node_modules/a": {"license": "MPL-2.0", "dev": dev}}});
            source("console/package-lock.json", &text.to_string())
        };
        assert_eq!(check_npm(&[lock(false)]), ["console/package-lock.json: node_modules/a: MPL-2.0"]);
        assert!(check_npm(&[lock(true)]).is_empty());
    }
}
