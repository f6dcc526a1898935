//! Rules about the lock files.

use super::{Breach, Source};

/// Crates that would bring a second TLS provider.
const FORBIDDEN: &[&str] = &["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls", "boring", "mbedtls"];

/// The one source of crates, as Cargo.lock writes it.
const CRATES: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The one host of npm packages, where a lock file names a host at all.
const NPM: &str = "https://registry.npmjs.org/";

pub(super) fn forbidden(lock: &str) -> Vec<Breach> {
    let names = values(lock, "name = ");
    names.filter(|name| FORBIDDEN.contains(name)).map(|name| format!("Cargo.lock has {name}")).collect()
}

pub(super) fn registries(lock: &str, files: &[Source]) -> Vec<Breach> {
    let foreign = values(lock, "source = ").filter(|source| *source != CRATES);
    let mut breaches: Vec<Breach> = foreign.map(|source| format!("Cargo.lock: {source}")).collect();
    for file in files.iter().filter(|file| file.path.file_name().is_some_and(|name| name == "package-lock.json")) {
        let addresses = values(&file.text, "\"resolved\": ").filter(|address| !address.starts_with(NPM));
        breaches.extend(addresses.map(|address| format!("{}: {address}", file.path.display())));
    }
    breaches
}

/// What stands in quotes after `key` at the beginning of a line.
fn values<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| line.trim().strip_prefix(key)).map(|value| value.trim_matches([',', '"']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::source;

    #[test]
    fn a_second_tls_provider_is_found() {
        assert_eq!(forbidden("[[package]]\nname = \"openssl-sys\"\n"), ["Cargo.lock has openssl-sys"]);
        assert!(forbidden("name = \"ring\"").is_empty());
    }

    #[test]
    fn a_foreign_registry_is_found() {
        let lock = "source = \"registry+https://example.org/index\"\n";
        let npm = source("console/package-lock.json", "\"resolved\": \"https://example.org/a.tgz\",\n");
        assert_eq!(
            registries(lock, &[npm]),
            ["Cargo.lock: registry+https://example.org/index", "console/package-lock.json: https://example.org/a.tgz"]
        );
        assert!(registries(&format!("source = \"{CRATES}\""), &[]).is_empty());
    }
}
