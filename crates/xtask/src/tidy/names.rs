//! The core and the console name no plugin: no quoted name, command, view or type id of one, and no path to one.

use super::{Breach, Source};
use crate::workspace::Package;
use std::collections::BTreeSet;

/// Every name that the plugins of this repository go by: package, folder, and the last part of the global id.
pub(super) fn of_plugins(packages: &[Package], files: &[Source]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for package in packages.iter().filter(|package| package.is_plugin()) {
        let folder = package.folder();
        names.insert(package.name.clone());
        names.extend(folder.file_name().map(|name| name.to_string_lossy().into_owned()));
        let sources = files.iter().filter(|file| file.path.starts_with(&folder) && file.has_extension(&["rs"]));
        for source in sources {
            names.extend(declared(&source.text));
        }
    }
    names
}

/// The name in `App::new("org.example.name")` and in `.name("name")`.
fn declared(text: &str) -> Vec<String> {
    let after = |beginning: &str| -> Vec<String> {
        let parts = text.split(beginning).skip(1);
        parts.filter_map(|part| part.split('"').next()).map(str::to_owned).collect()
    };
    let ids = after("App::new(\"");
    let last = ids.iter().filter_map(|id| id.rsplit('.').next()).map(str::to_owned);
    last.chain(after(".name(\"")).filter(|name| !name.is_empty()).collect()
}

pub(super) fn check(names: &BTreeSet<String>, files: &[Source]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in files.iter().filter(|file| file.path.starts_with("crates") || file.path.starts_with("console")) {
        if !file.has_extension(&["rs", "ts", "tsx", "css", "html", "toml", "mjs", "js"]) {
            continue;
        }
        for (number, line) in file.text.lines().enumerate() {
            if let Some(name) = names.iter().find(|name| is_named(name, line)) {
                breaches.push(format!("{}:{}: names the plugin {name}", file.path.display(), number + 1));
            }
        }
    }
    breaches
}

fn is_named(name: &str, line: &str) -> bool {
    let code = line.trim_start();
    if code.starts_with("//") || code.starts_with("* ") {
        return false;
    }
    let paths = [
        format!("plugins/{name}"),
        format!("bailiwick-{name}"),
        format!("/api/v1/{name}/"),
        format!("commands/{name}."),
    ];
    paths.iter().any(|path| ends_a_word(code, path)) || quoted(code).any(|text| is_id(name, text))
}

/// `name` itself, `name.something`, `name:something` or a global id that ends in it.
fn is_id(name: &str, text: &str) -> bool {
    match text.strip_prefix(name) {
        Some("") => true,
        Some(rest) if rest.starts_with(['.', ':', '/']) => rest[1..].starts_with(|letter: char| letter.is_alphabetic()),
        _ => text.strip_suffix(name).is_some_and(|head| head.ends_with('.') && !head.contains(' ')),
    }
}

fn ends_a_word(text: &str, part: &str) -> bool {
    let open = part.ends_with(['/', '.']);
    text.match_indices(part).any(|(at, _)| {
        open || !text[at + part.len()..].starts_with(|letter: char| letter.is_alphanumeric() || letter == '-')
    })
}

/// What stands between quotes of any kind.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    ['"', '\'', '`'].into_iter().flat_map(|quote| line.split(quote).skip(1).step_by(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::source;

    fn breaches(text: &str) -> usize {
        check(&BTreeSet::from(["zebra".to_owned()]), &[source("crates/a/src/lib.rs", text)]).len()
    }

    #[test]
    fn ids_and_paths_of_a_plugin_are_found() {
        for text in [
            r#"run("zebra.scan")"#,
            r#"name == "zebra""#,
            "fetch(`/api/v1/zebra/list`)",
            r#"include_str!("../../plugins/zebra/plugin.json")"#,
            r#"link("bailiwick-zebra")"#,
            r#"column("zebra:person")"#,
            r#"id: "org.example.zebra""#,
        ] {
            assert_eq!(breaches(text), 1, "{text}");
        }
    }

    #[test]
    fn a_word_in_a_sentence_or_a_comment_is_no_name() {
        for text in [r#""a zebra crosses""#, "// as in `zebra.scan`", r#""zebras""#, "let zebra = 1;", r#""zebra. A""#]
        {
            assert_eq!(breaches(text), 0, "{text}");
        }
    }

    #[test]
    fn a_name_that_differs_from_its_folder_is_read_from_the_source() {
        assert_eq!(declared(r#"App::new("org.example.okapi").title("O").name("okapi2")"#), ["okapi", "okapi2"]);
    }
}
