//! Rules that are read off the text of source files.

use super::{Breach, Source};

/// Lines of a file that can be read in one sitting.
const LINES: usize = 500;

fn ours(file: &&Source) -> bool {
    ["crates", "plugins", "tests", "console"].iter().any(|folder| file.path.starts_with(folder))
}

fn rust(files: &[Source]) -> impl Iterator<Item = &Source> {
    files.iter().filter(ours).filter(|file| file.has_extension(&["rs"]))
}

pub(super) fn module_docs(files: &[Source]) -> Vec<Breach> {
    // `foo/tests.rs` is a part of `foo`, which says what it is.
    let modules = rust(files).filter(|file| !file.path.ends_with("tests.rs"));
    let undocumented = modules.filter(|file| !file.text.trim_start().starts_with("//!"));
    undocumented.map(|file| format!("{}: begins without `//!`", file.path.display())).collect()
}

pub(super) fn lengths(files: &[Source]) -> Vec<Breach> {
    let sources = files.iter().filter(ours).filter(|file| file.has_extension(&["rs", "ts", "tsx", "mjs", "css"]));
    let long = sources.map(|file| (file, file.text.lines().count())).filter(|(_, lines)| *lines > LINES);
    long.map(|(file, lines)| format!("{}: {lines} lines", file.path.display())).collect()
}

/// SQL keywords that occur together in a statement and nowhere else.
const STATEMENTS: &[(&str, &str)] =
    &[("SELECT ", " FROM "), ("INSERT ", " INTO "), ("UPDATE ", " SET "), ("DELETE ", " FROM "), ("CREATE ", " TABLE")];

pub(super) fn sql(files: &[Source]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in rust(files).filter(|file| !file.path.starts_with("crates/database")) {
        // The list above is the one place that spells them out.
        if file.path.ends_with("tidy/sources.rs") {
            continue;
        }
        for (number, line) in file.text.lines().enumerate() {
            let is_statement = |(verb, object): &(&str, &str)| {
                line.find(verb).is_some_and(|at| line[at + verb.len() - 1..].contains(object))
            };
            if STATEMENTS.iter().any(is_statement) {
                breaches.push(format!("{}:{}: SQL", file.path.display(), number + 1));
            }
        }
    }
    breaches
}

pub(super) fn unsafe_code(files: &[Source]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in rust(files) {
        let in_sys = file.path.file_name().is_some_and(|name| name == "sys.rs")
            || file.path.components().any(|part| part.as_os_str() == "sys");
        let free = ["crates/abi", "crates/plugin-host", "tests/plugins"].iter().any(|part| file.path.starts_with(part));
        if free || in_sys {
            continue;
        }
        for (number, line) in file.text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or(line);
            let written = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe("].iter();
            if written.clone().any(|word| code.contains(word)) && !code.contains('"') {
                breaches.push(format!("{}:{}: `unsafe`", file.path.display(), number + 1));
            }
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::source;

    #[test]
    fn a_module_without_a_first_sentence_is_found() {
        let files = [source("crates/a/src/lib.rs", "use x;"), source("crates/a/src/b.rs", "//! B.\n")];
        assert_eq!(module_docs(&files), ["crates/a/src/lib.rs: begins without `//!`"]);
    }

    #[test]
    fn a_file_over_the_limit_is_found() {
        let files = [source("crates/a/src/lib.rs", &"x\n".repeat(501)), source("console/src/a.ts", &"x\n".repeat(500))];
        assert_eq!(lengths(&files), ["crates/a/src/lib.rs: 501 lines"]);
    }

    #[test]
    fn sql_outside_the_database_is_found() {
        let statement = format!("query(\"{} id FROM t\")", "SELECT");
        let files = [source("crates/jobs/src/lib.rs", &statement), source("crates/database/src/lib.rs", &statement)];
        assert_eq!(sql(&files), ["crates/jobs/src/lib.rs:1: SQL"]);
    }

    #[test]
    fn unsafe_outside_its_places_is_found() {
        let text = format!("fn f() {{ {} {{ g() }} }}", "unsafe");
        let files = [
            source("crates/agent/src/lib.rs", &text),
            source("crates/abi/src/lib.rs", &text),
            source("plugins/p/src/sys.rs", &text),
        ];
        assert_eq!(unsafe_code(&files), ["crates/agent/src/lib.rs:1: `unsafe`"]);
    }
}
