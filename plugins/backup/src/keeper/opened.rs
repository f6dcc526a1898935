//! Opens the vault that the settings name, once for each process.

use super::fault_of;
use crate::settings::Keeping;
use parking_lot::Mutex;
use sdk::prelude::*;
use sdk::schema::Code;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vault::storage::Directory;
use vault::{Access, Cost, RecoverySheet, Vault, VaultError, WayIn};

/// Name of the host's secret that opens the vault where there is no password.
const SECRET: &str = "vault";
/// Name of the way in that the administrator itself uses.
const HOST: &str = "host";
const PASSWORD: &str = "password";

/// Vaults that this process keeps, by their folder: there is one keeper, and opening reads the index.
static KEPT: Mutex<Option<HashMap<PathBuf, Arc<Vault>>>> = Mutex::new(None);

/// How a vault is opened.
pub(crate) struct WayOf {
    pub(crate) folder: PathBuf,
    pub(crate) way: WayIn,
    /// What the way in is called in the vault.
    pub(crate) slot: &'static str,
}

/// The vault, opened for writing; the administrator makes it where there is none yet.
pub(crate) async fn open(ctx: &Ctx) -> Result<Arc<Vault>> {
    let WayOf { folder, way, slot } = way_of(ctx).await?;
    let may_make = !ctx.is_standalone();
    ctx.blocking(move || {
        let mut kept = KEPT.lock();
        let kept = kept.get_or_insert_default();
        if let Some(vault) = kept.get(&folder) {
            return Ok(vault.clone());
        }
        if may_make && !folder.exists() {
            make_folder(&folder)?;
        }
        let storage = Arc::new(Directory::open(&folder).map_err(|error| fault_of(error.into()))?);
        let vault = match Vault::open(storage.clone(), &way, Access::Write) {
            Err(VaultError::NoVault { .. }) if may_make => Vault::init(storage, slot, &way, Cost::NORMAL),
            other => other,
        };
        let vault = vault.map_err(fault_of)?;
        kept.insert(folder, vault.clone());
        Ok(vault)
    })
    .await
}

/// The vault where there is one already.
pub(crate) async fn existing(ctx: &Ctx) -> Result<Option<Arc<Vault>>> {
    let folder = vault_folder(ctx).await?;
    if folder.exists() { open(ctx).await.map(Some) } else { Ok(None) }
}

/// The vault to look into: the one that is kept here, or, alone, opened beside whoever keeps it.
pub(crate) async fn reading(ctx: &Ctx) -> Result<Arc<Vault>> {
    if !ctx.is_standalone() {
        return open(ctx).await;
    }
    let WayOf { folder, way, .. } = way_of(ctx).await?;
    ctx.blocking(move || {
        let storage = Arc::new(Directory::open(&folder).map_err(|error| fault_of(error.into()))?);
        Vault::open(storage, &way, Access::Read).map_err(fault_of)
    })
    .await
}

/// Makes a new vault where the settings say.
pub(crate) async fn make(ctx: &Ctx) -> Result<(PathBuf, Arc<Vault>)> {
    let WayOf { folder, way, slot } = way_of(ctx).await?;
    ctx.blocking(move || {
        let storage = Arc::new(Directory::create(&folder).map_err(|error| fault_of(error.into()))?);
        let vault = Vault::init(storage, slot, &way, Cost::NORMAL).map_err(fault_of)?;
        KEPT.lock().get_or_insert_default().insert(folder.clone(), vault.clone());
        Ok((folder, vault))
    })
    .await
}

fn make_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| {
        fault(Code::Unavailable, format!("The folder {} cannot be made: {error}.", folder.display()))
            .fix("Name another folder, or see to its owner and file system.")
    })
}

/// The folder that the settings name, or the administrator's own.
pub(crate) async fn vault_folder(ctx: &Ctx) -> Result<PathBuf> {
    match ctx.settings::<Keeping>().await?.vault() {
        Some(folder) => Ok(folder),
        None if ctx.is_standalone() => {
            Err(fault(Code::BadRequest, "It is not said which vault.").fix("Name its folder with --vault."))
        }
        None => Ok(ctx.files_dir().await?.join("vault")),
    }
}

async fn way_of(ctx: &Ctx) -> Result<WayOf> {
    let settings: Keeping = ctx.settings().await?;
    let folder = vault_folder(ctx).await?;
    match settings.password_file() {
        Some(file) => {
            let said = ctx.blocking(move || password(&file)).await?;
            // Whoever has lost all else writes the code of the sheet into that file. No password is one by accident.
            let way = said.parse::<RecoverySheet>().map_or_else(|_| WayIn::password(said), WayIn::Sheet);
            Ok(WayOf { folder, way, slot: PASSWORD })
        }
        None if ctx.is_standalone() => Err(fault(Code::BadRequest, "It is not said what opens the vault.")
            .fix("Name a file with the password as its first line with --password-file.")),
        None => Ok(WayOf { folder, way: WayIn::host(secret(ctx).await?), slot: HOST }),
    }
}

/// The first line of a file.
pub(crate) fn password(file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        fault(Code::NotFound, format!("The password file {} cannot be read: {error}.", file.display()))
            .fix("Name a file that can be read and whose first line is the password.")
    })?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(fault(Code::BadRequest, format!("The password file {} is empty.", file.display()))
            .fix("Write the password into its first line.")),
    }
}

/// The secret that the host keeps outside the vault; made when it is first asked for.
async fn secret(ctx: &Ctx) -> Result<[u8; 32]> {
    let text = match ctx.secret(SECRET).await? {
        Some(text) => text,
        None => {
            let fresh = crate::wire::hex(&rand::random::<[u8; 32]>());
            ctx.set_secret(SECRET, Some(&fresh)).await?;
            fresh
        }
    };
    crate::wire::unhex(&text)?.try_into().map_err(|_| {
        fault(Code::Internal, "The secret that opens the vault is damaged.").fix("Open it with the recovery sheet.")
    })
}
