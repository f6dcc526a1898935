//! Shows the snapshots of a vault as folders, for as long as the command runs.
//!
//! Everything is read-only, and nothing is kept but caches of fixed sizes and what the kernel remembers itself. The vault is
//! open for reading beside its keeper: backups and prunes go on meanwhile.

mod attributes;
mod content;
mod fault;
mod known;
mod number;
mod point;
mod recent;
mod serve;
mod shown;
mod snapshot;
mod tree;

use crate::keeper::{reading, vault_folder};
use fault::Complaints;
use fuser::{Config, MountOption, Session, SessionACL, SessionUnmounter};
use point::{NAME, Point};
use sdk::Fault;
use sdk::prelude::*;
use sdk::schema::{Code, Problem};
use sdk::schemars::JsonSchema;
use sdk::serde::Serialize;
use sdk::tokio::sync::{mpsc, oneshot};
use serve::Shelf;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tree::Tree;
use vault::Vault;

/// Threads that answer the kernel.
const THREADS: usize = 4;

#[derive(Args)]
pub(crate) struct Mount {
    /// An empty folder: the snapshots are shown in it
    #[arg(type = "path")]
    mountpoint: String,
    /// Let other users look too, at what the modes and ACLs of the files allow them
    #[arg(default = false)]
    allow_other: bool,
}

/// How a mount ended.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(crate = "sdk::serde")]
#[schemars(crate = "sdk::schemars")]
pub(crate) struct Unmounted {
    mountpoint: String,
    /// Files and folders that could not be read
    problems: u64,
}

pub(crate) async fn mount(ctx: Ctx, args: Mount) -> Result<Unmounted> {
    let (folder, vault) = (vault_folder(&ctx).await?, reading(&ctx).await?);
    let (complaints, mut heard) = Complaints::new();
    let asked = (PathBuf::from(&args.mountpoint), args.allow_other);
    let mut mounted =
        ctx.blocking(move || Mounted::begin(vault, &folder, &asked.0, asked.1, Arc::new(complaints))).await?;
    let at = mounted.point.path().display().to_string();
    ctx.doing(format!("the snapshots are in {at}; Ctrl-C or umount ends it"))?;
    let problems = mounted.watch(&ctx, &mut heard).await?;
    let (ended, in_use) = ctx.blocking(move || mounted.end()).await?;
    if in_use {
        let text = format!("{ended} is still used by programs; it is gone for everybody else.");
        // Said though the command was cancelled: it is how this one ends.
        sdk::tracing::warn!("{text}");
    }
    Ok(Unmounted { mountpoint: at, problems })
}

/// A mount, for as long as it is held.
struct Mounted {
    point: Point,
    unmounter: SessionUnmounter,
    /// The file system ended, by whoever ended it.
    ended: oneshot::Receiver<()>,
    is_over: bool,
}

impl Mounted {
    fn begin(
        vault: Arc<Vault>,
        folder: &Path,
        point: &Path,
        allow_other: bool,
        complaints: Arc<Complaints>,
    ) -> Result<Mounted> {
        let point = Point::claim(point, folder)?;
        // Root passes by modes anyway, and who opened the vault may read all of it.
        let checked = allow_other || rustix::process::geteuid().is_root();
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName(NAME.to_owned()), MountOption::RO, MountOption::NoAtime];
        if checked {
            config.mount_options.push(MountOption::DefaultPermissions);
        }
        config.acl = if allow_other { SessionACL::All } else { SessionACL::Owner };
        config.n_threads = Some(THREADS);
        let tree = Arc::new(Tree::new(vault, jiff::Timestamp::now().as_millisecond()));
        let shelf = Shelf::new(tree, complaints, checked);
        let mut session = Session::new(shelf, point.path(), &config).map_err(|error| point.refused(&error))?;
        let unmounter = session.unmount_callable();
        let (over, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name(NAME.to_owned());
        thread.spawn(move || {
            if let Err(error) = session.run() {
                sdk::tracing::warn!(%error, "the mount ended");
            }
            // Nobody waits for it once the command was cancelled.
            let _ = over.send(());
        })?;
        Ok(Mounted { point, unmounter, ended, is_over: false })
    }

    /// Tells what cannot be read until it ends or is to end. How many things that were.
    async fn watch(&mut self, ctx: &Ctx, heard: &mut mpsc::UnboundedReceiver<Problem>) -> Result<u64> {
        let mut problems = 0;
        loop {
            sdk::tokio::select! {
                _ = &mut self.ended => {
                    self.is_over = true;
                    return Ok(problems);
                }
                () = ctx.cancelled() => return Ok(problems),
                Some(problem) = heard.recv() => {
                    problems += 1;
                    if ctx.warn(Fault(problem)).await.is_err() {
                        return Ok(problems);
                    }
                }
            }
        }
    }

    /// Ends it. Whether programs still use what was open.
    fn end(mut self) -> Result<(String, bool)> {
        let path = self.point.path().display().to_string();
        Ok((path, self.unmount()?))
    }

    fn unmount(&mut self) -> Result<bool> {
        if std::mem::replace(&mut self.is_over, true) {
            return Ok(false);
        }
        if self.unmounter.unmount().is_ok() {
            return Ok(false);
        }
        self.point.detach().map_err(|error| {
            let folder = self.point.path().display();
            sdk::fault(Code::Unavailable, format!("{folder} cannot be unmounted: {error}."))
                .fix(format!("Run umount -l {folder} as root."))
        })?;
        Ok(true)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Where the command was dropped half-way, there is nobody to tell.
        let _ = self.unmount();
    }
}
