//! Loads a plugin's library and checks that both sides agree about the boundary.
//!
//! It trusts the file: whoever calls it has verified size and hash before, since a truncated library is a SIGBUS
//! inside `dlopen`. A library that was loaded stays loaded.

use crate::verbs::{HostVerbs, PluginObject, into_box};
use crate::waist::{Info, ModuleRef};
use abi_stable::StableAbi;
use abi_stable::abi_stability::abi_checking::check_layout_compatibility;
use abi_stable::library::{LibHeader, LibraryError, RootModule, lib_header_from_path};
use abi_stable::sabi_types::VersionNumber;
use abi_stable::std_types::RSlice;
use abi_stable::type_layout::TypeLayout;
use std::path::Path;
use std::sync::Arc;

/// A plugin's library, loaded for the rest of the process's life.
#[derive(Clone, Copy)]
pub struct Library {
    module: ModuleRef,
}

/// Why a library is not used. Each has one line of cause and one of remedy; the rest is in `details`.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("The path of a plugin's library is not absolute.")]
    NotAbsolute,
    #[error("The library could not be opened.")]
    Open { details: String },
    #[error("The file is a library but not a plugin.")]
    NotAPlugin { details: String },
    #[error("The plugin was built for version {theirs} of the binary boundary, this host has version {ours}.")]
    Major { ours: u16, theirs: u16 },
    #[error("The plugin and this host disagree about the layout of the binary boundary.")]
    Layout { details: String },
    #[error("The plugin's library failed while it was being prepared.")]
    Root { details: String },
}

impl LoadError {
    /// What to do about it, in one line.
    pub fn remedy(&self) -> &'static str {
        match self {
            LoadError::NotAbsolute => "Give the whole path, from the root directory on.",
            LoadError::Open { .. } => "Install the build of the plugin for this system and what it is linked with.",
            LoadError::NotAPlugin { .. } => "Build it with the SDK and export!(app), as a cdylib.",
            LoadError::Major { ours, theirs } if theirs > ours => "Upgrade this host, or install an older plugin.",
            LoadError::Major { .. } => "Install a newer version of the plugin.",
            LoadError::Layout { .. } => "Build the plugin again with a released version of the SDK.",
            LoadError::Root { .. } => "Report it to the plugin's vendor.",
        }
    }

    /// The long text for the vendor; tens of thousands of characters for a layout.
    pub fn details(&self) -> Option<&str> {
        match self {
            LoadError::Open { details }
            | LoadError::NotAPlugin { details }
            | LoadError::Layout { details }
            | LoadError::Root { details } => Some(details),
            _ => None,
        }
    }
}

impl Library {
    /// Loads the library at `path`, which must be absolute and verified.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(path: &Path) -> Result<Library, LoadError> {
        if !path.is_absolute() {
            return Err(LoadError::NotAbsolute);
        }
        // Never RootModule::load_from_file: it answers a second path with the first library.
        let header = lib_header_from_path(path).map_err(|e| match e {
            LibraryError::OpenError { .. } => LoadError::Open { details: e.to_string() },
            other => LoadError::NotAPlugin { details: other.to_string() },
        })?;
        check_major(header)?;
        layouts_fit(ModuleRef::LAYOUT, header.layout()).map_err(|details| LoadError::Layout { details })?;
        // SAFETY: the layouts were compared in both directions just above.
        let module = unsafe { header.unchecked_layout::<ModuleRef>() }
            .map_err(|e| LoadError::Root { details: e.to_string() })?;
        Ok(Library { module })
    }

    pub fn info(&self) -> Info {
        self.module.info()
    }

    /// The manifest's JSON; empty where the plugin panicked while making it.
    pub fn manifest(&self) -> Vec<u8> {
        (self.module.manifest())().into_vec()
    }

    /// Opens the plugin.
    ///
    /// # Errors
    /// What the plugin said, JSON of a problem.
    pub fn open(&self, host: Arc<dyn HostVerbs>, config: &[u8]) -> Result<PluginObject, Vec<u8>> {
        (self.module.open())(into_box(host), RSlice::from_slice(config))
            .into_result()
            .map(PluginObject::wrap)
            .map_err(|refusal| refusal.into_vec())
    }
}

fn check_major(header: &LibHeader) -> Result<(), LoadError> {
    let number = |strings| VersionNumber::new(strings).map_err(|e| LoadError::NotAPlugin { details: e.to_string() });
    let (ours, theirs) = (number(ModuleRef::VERSION_STRINGS)?, number(header.version_strings())?);
    if ours.major == theirs.major {
        return Ok(());
    }
    Err(LoadError::Major { ours: narrow(ours.major), theirs: narrow(theirs.major) })
}

fn narrow(number: u32) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// Whether one of the two layouts is the other with fields or methods added at the end. The check of `abi_stable` is
/// one-way and would refuse an older plugin in a newer host.
///
/// # Errors
/// The text of the check that was expected to hold.
pub fn layouts_fit(host: &'static TypeLayout, plugin: Option<&'static TypeLayout>) -> Result<(), String> {
    let Some(plugin) = plugin else { return Err("the plugin carries no layout".to_owned()) };
    match check_layout_compatibility(host, plugin) {
        Ok(()) => Ok(()),
        Err(newer_plugin) => check_layout_compatibility(plugin, host).map_err(|_| newer_plugin.to_string()),
    }
}

/// One line for a layout text of any length.
pub fn short_layout_error(details: &str) -> String {
    let line = details.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    line.chars().take(200).collect()
}
