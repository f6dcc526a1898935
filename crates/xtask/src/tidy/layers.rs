//! A crate depends on lower layers only; a plugin on the SDK only.

use super::Breach;
use crate::workspace::Package;

/// The layer of every crate.
const LAYERS: &[(u8, &[&str])] = &[
    (1, &["schema", "abi", "sdk", "sdk-derive"]),
    (2, &["vault", "media", "protocol"]),
    (3, &["database", "fleet", "jobs", "identity", "surface", "plugin-host", "link"]),
    (4, &["administrator", "agent", "cli", "xtask"]),
];

/// Edges inside a layer.
const BESIDE: &[(&str, &[&str])] = &[
    ("sdk", &["schema", "abi", "sdk-derive"]),
    ("abi", &["schema"]),
    // `database` implements the storage traits of these.
    ("database", &["fleet", "jobs", "identity"]),
    // The link proves who is at its other end, and carries a plugin's channels to the host.
    ("link", &["identity", "plugin-host"]),
    // The program `bailiwick` is the administrator, its command line, and this machine's agent.
    ("cli", &["administrator", "agent"]),
];

/// What a plugin may build on: the contract, and what knows no machine, user or job.
const FOR_PLUGINS: &[&str] = &["sdk", "vault", "media"];

pub(super) fn check(packages: &[Package]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for package in packages {
        let folder = package.folder();
        let in_crates = folder.starts_with("crates");
        if in_crates && layer(&package.name).is_none() {
            breaches.push(format!("{} has no layer: give it one", package.name));
        }
        let inside = package.dependencies.iter().filter(|dependency| dependency.path.is_some());
        for dependency in inside.filter(|dependency| dependency.kind.as_deref() != Some("dev")) {
            let allowed = if in_crates {
                may_use(&package.name, &dependency.name)
            } else {
                ["tests/contract", "tests/end-to-end", "tests/plugins"].iter().any(|tests| folder.starts_with(tests))
                    || FOR_PLUGINS.contains(&dependency.name.as_str())
            };
            if !allowed {
                breaches.push(format!("{} may not depend on {}", package.name, dependency.name));
            }
        }
    }
    breaches
}

fn layer(name: &str) -> Option<u8> {
    LAYERS.iter().find(|(_, names)| names.contains(&name)).map(|(layer, _)| *layer)
}

fn may_use(user: &str, used: &str) -> bool {
    let (Some(above), Some(below)) = (layer(user), layer(used)) else { return false };
    above > below || BESIDE.iter().any(|(name, beside)| *name == user && beside.contains(&used))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::{Dependency, root};

    fn package(folder: &str, name: &str, uses: &[&str]) -> Package {
        let dependency = |name: &&str| Dependency { name: name.to_string(), kind: None, path: Some("x".into()) };
        Package {
            name: name.into(),
            version: "1.0.0".into(),
            license: None,
            source: None,
            manifest_path: root().join(folder).join("Cargo.toml"),
            dependencies: uses.iter().map(dependency).collect(),
            targets: Vec::new(),
        }
    }

    #[test]
    fn an_edge_upwards_or_sideways_is_found() {
        let breaches = check(&[package("crates/jobs", "jobs", &["schema", "fleet", "administrator"])]);
        assert_eq!(breaches, ["jobs may not depend on fleet", "jobs may not depend on administrator"]);
        assert!(check(&[package("crates/database", "database", &["jobs", "fleet"])]).is_empty());
    }

    #[test]
    fn a_plugin_that_reaches_the_engine_is_found() {
        let breaches = check(&[package("plugins/p", "p", &["sdk", "schema"])]);
        assert_eq!(breaches, ["p may not depend on schema"]);
    }

    #[test]
    fn a_crate_without_a_layer_is_found() {
        assert_eq!(check(&[package("crates/new", "new", &[])]), ["new has no layer: give it one"]);
    }
}
