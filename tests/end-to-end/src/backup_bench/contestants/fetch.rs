//! Gets the rivals into a folder of the bench's own, with the ordinary clients of the registries and nothing installed.

use crate::process::run;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What borg is built against.
const LIBRARIES: [&str; 5] = ["liblz4-dev", "libzstd-dev", "libxxhash-dev", "libacl1-dev", "libssl-dev"];
/// Where Debian may have restic, the newest first.
const SUITES: [&str; 3] = ["unstable", "testing", "stable"];

/// borg from PyPI, built against Debian's libraries.
pub(super) fn borg(folder: &Path) -> Result<PathBuf> {
    let (venv, libraries) = (folder.join("borg"), folder.join("libraries"));
    let program = venv.join("bin/borg");
    if run(Command::new(&program).arg("--version")).is_ok() {
        return Ok(program);
    }
    let packages = folder.join("packages");
    fs::create_dir_all(&packages)?;
    let mut wanted: Vec<String> = LIBRARIES.map(str::to_owned).to_vec();
    for name in LIBRARIES {
        let told = run(Command::new("apt-cache").args(["depends", "--important", name]))?;
        let needs = told.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        wanted.extend(needs.filter(|need| need.starts_with("lib") && *need != "libc6-dev").map(str::to_owned));
    }
    run(Command::new("apt-get").args(["download", "-q"]).args(&wanted).current_dir(&packages))?;
    for package in fs::read_dir(&packages)? {
        run(Command::new("dpkg").arg("-x").arg(package?.path()).arg(&libraries))?;
    }
    let root = fs::canonicalize(&libraries)?.join("usr");
    let triplet = run(Command::new("dpkg-architecture").arg("-qDEB_HOST_MULTIARCH"))
        .or_else(|_| run(Command::new("cc").arg("-dumpmachine")))?;
    let (include, library) = (root.join("include"), root.join("lib").join(triplet.trim()));
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    let mut pip = Command::new(venv.join("bin/pip"));
    pip.args(["install", "-q", "borgbackup==1.4.*"]);
    // The build looks for each library below a folder of its own naming.
    for name in ["LIBLZ4", "LIBZSTD", "LIBXXHASH", "LIBACL", "OPENSSL"] {
        pip.env(format!("BORG_{name}_PREFIX"), &root);
    }
    pip.env("PKG_CONFIG_PATH", "/nonexistent").env("LIBRARY_PATH", &library);
    pip.env("CPATH", format!("{}:{}", include.display(), include.join(triplet.trim()).display()));
    run(pip.env("LDFLAGS", format!("-Wl,-rpath,{}", library.display())))?;
    run(Command::new(&program).arg("--version"))?;
    Ok(program)
}

/// The newest restic of Debian that starts here.
pub(super) fn restic(folder: &Path) -> Result<PathBuf> {
    for suite in SUITES {
        let program = folder.join(format!("restic-{suite}/usr/bin/restic"));
        if starts(&program) {
            return Ok(program);
        }
    }
    let lists = Lists::update(&folder.join("lists"))?;
    let mut reasons = Vec::new();
    for suite in SUITES {
        let to = folder.join(format!("restic-{suite}"));
        let program = to.join("usr/bin/restic");
        let fetched = lists.unpack(&format!("restic/{suite}"), &to);
        match fetched {
            Ok(()) if starts(&program) => return Ok(program),
            Ok(()) => reasons.push(format!("that of {suite} does not start here")),
            Err(error) => reasons.push(format!("{suite}: {error:#}")),
        }
        fs::remove_dir_all(&to).ok();
    }
    bail!("{}", reasons.join("; "))
}

fn starts(program: &Path) -> bool {
    run(Command::new(program).arg("version")).is_ok()
}

/// rustic from crates.io, which takes long to build.
pub(super) fn rustic(folder: &Path) -> Result<PathBuf> {
    let root = folder.join("rustic");
    let program = root.join("bin/rustic");
    if run(Command::new(&program).arg("--version")).is_err() {
        let mut cargo = Command::new("cargo");
        cargo.args(["install", "--quiet", "--locked", "rustic-rs", "--root"]).arg(&root);
        // Not into the folder of this repository, whose flags and lock are others.
        run(cargo.current_dir(folder).env_remove("CARGO_TARGET_DIR"))?;
    }
    Ok(program)
}

/// Debian's lists of other suites than this system's own, beside the system's.
struct Lists(PathBuf);

impl Lists {
    fn update(folder: &Path) -> Result<Lists> {
        for below in ["state/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(below))?;
        }
        let folder = fs::canonicalize(folder)?;
        let mirror = mirror()?;
        let keys = "/usr/share/keyrings/debian-archive-keyring.gpg";
        let line = |suite: &str| format!("deb [signed-by={keys}] {mirror} {suite} main\n");
        fs::write(folder.join("sources.list"), SUITES.map(line).concat())?;
        let lists = Lists(folder);
        run(lists.apt("apt-get").args(["update", "-q"]))?;
        Ok(lists)
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (option, path) in
            [("Dir::Etc::sourcelist", "sources.list"), ("Dir::State::lists", "state"), ("Dir::Cache", "cache")]
        {
            command.arg("-o").arg(format!("{option}={}", self.0.join(path).display()));
        }
        command.args(["-o", "Dir::Etc::sourceparts=/dev/null", "-o", "Acquire::Languages=none"]);
        command
    }

    fn unpack(&self, package: &str, to: &Path) -> Result<()> {
        let downloads = self.0.join("downloads");
        if downloads.exists() {
            fs::remove_dir_all(&downloads)?;
        }
        fs::create_dir(&downloads)?;
        run(self.apt("apt-get").args(["download", "-q", package]).current_dir(&downloads))?;
        let file = fs::read_dir(&downloads)?.next().context("nothing was fetched")??.path();
        run(Command::new("dpkg").arg("-x").arg(file).arg(to)).map(drop)
    }
}

/// Where this system's own packages come from.
fn mirror() -> Result<String> {
    let format = "$(LABEL) $(COMPONENT) $(REPO_URI)";
    let told = run(Command::new("apt-get").args(["indextargets", "--format", format, "Created-By: Packages"]))?;
    let found = told.lines().find_map(|line| line.strip_prefix("Debian main "));
    found.map(str::to_owned).context("this is no Debian, or it has no list of packages yet: run apt-get update")
}
