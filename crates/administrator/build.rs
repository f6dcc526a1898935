//! Writes the table of embedded console files. It never builds the console: `cargo xtask build` does that first.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let console = root.join("../../console/dist");
    println!("cargo:rerun-if-changed={}", console.display());
    println!("cargo:rerun-if-env-changed=CONSOLE_REQUIRED");
    let mut files = Vec::new();
    if console.join("index.html").exists() {
        list(&console, "", &mut files)?;
    } else if env::var("CONSOLE_REQUIRED").is_ok_and(|value| value == "1") {
        panic!("the console is not built: run `cargo xtask build`");
    }
    files.sort();
    let mut table = String::from("pub(super) static FILES: &[(&str, &[u8])] = &[\n");
    for (name, path) in files {
        let path = fs::canonicalize(path)?;
        writeln!(table, "    ({name:?}, include_bytes!({:?})),", path.display().to_string())
            .map_err(io::Error::other)?;
    }
    table.push_str("];\n");
    fs::write(PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("files.rs"), table)
}

fn list(directory: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let name = format!("{prefix}{name}");
        if path.is_dir() {
            list(&path, &format!("{name}/"), files)?;
        } else {
            files.push((name, path));
        }
    }
    Ok(())
}
