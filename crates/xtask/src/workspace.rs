//! What is in the repository, as cargo and the folders tell it.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository's root folder.
pub(crate) fn root() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().nth(2).expect("xtask lies two folders below the root").to_path_buf()
}

/// Where cargo puts what it builds.
pub(crate) fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map(|folder| root().join(folder)).unwrap_or_else(|| root().join("target"))
}

#[derive(Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
}

#[derive(Clone, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    /// Absent for the packages of this workspace.
    pub(crate) source: Option<String>,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
}

#[derive(Clone, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `dev`, `build`, or absent for a normal one.
    pub(crate) kind: Option<String>,
    /// Folder of a dependency inside the workspace.
    pub(crate) path: Option<PathBuf>,
}

#[derive(Clone, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
}

impl Package {
    /// The package's folder, relative to the root.
    pub(crate) fn folder(&self) -> PathBuf {
        let folder = self.manifest_path.parent().unwrap_or(&self.manifest_path);
        folder.strip_prefix(root()).unwrap_or(folder).to_path_buf()
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.source.is_none()
    }

    fn builds_a_shared_library(&self) -> bool {
        self.targets.iter().any(|target| target.kind.iter().any(|kind| kind == "cdylib"))
    }

    /// Whether this is a plugin that is shipped, as opposed to one that only tests load.
    pub(crate) fn is_plugin(&self) -> bool {
        self.is_ours() && self.builds_a_shared_library() && self.folder().starts_with("plugins")
    }

    /// File name of the shared library.
    pub(crate) fn library(&self) -> String {
        format!("lib{}.so", self.name.replace('-', "_"))
    }
}

/// The workspace's packages, without their dependencies.
pub(crate) fn packages() -> Result<Vec<Package>> {
    metadata(&["--no-deps"])
}

/// The workspace's packages and everything they depend on.
pub(crate) fn packages_and_dependencies() -> Result<Vec<Package>> {
    metadata(&["--locked"])
}

fn metadata(arguments: &[&str]) -> Result<Vec<Package>> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1"])
        .args(arguments)
        .current_dir(root())
        .output()
        .context("cargo metadata cannot be started")?;
    anyhow::ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo metadata printed something else")?;
    Ok(metadata.packages)
}
