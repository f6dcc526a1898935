//! What a machine is and who uses it: one row a machine, shown as columns of the one Machines screen.
//!
//! Every collector is a function of a root directory, so that it is tested on trees of files. What a machine does not
//! tell is absent and named in `not_collected`, never made up. Nothing is asked over a network and no program is run.

mod collect;
mod disk;
mod machine;
mod person;
mod root;
mod system;
mod watch;

pub use collect::{Collector, Sight};
pub use disk::{Usage, real_usage};
pub use machine::Machine;
pub use person::{Person, Presence};
pub use root::Root;
pub use utmp::UTMP_RECORD;

use person::utmp;
use schema::{Effect, Empty, Needs, OnInterrupt, Role};
use sdk::prelude::*;
use sdk::schema;
use watch::Watch;

/// How often everything is looked at though nothing was noticed: disks fill without telling.
const RECONCILE: Duration = Duration::from_secs(300);
/// How long to let what was noticed come to rest.
const SETTLE: Duration = Duration::from_millis(400);

/// What a scan found.
#[derive(Debug, sdk::serde::Serialize, sdk::schemars::JsonSchema)]
#[serde(crate = "sdk::serde")]
#[schemars(crate = "sdk::schemars")]
struct Scanned {
    /// Rows stored by the administrator
    rows: u64,
    /// Facts found
    facts: usize,
    /// Facts this machine does not tell
    not_collected: Vec<String>,
    /// Who uses the machine, or did last
    person: Option<String>,
}

async fn scan(ctx: Ctx, _: ()) -> Result<Scanned> {
    let mut collector = Collector::real(ctx.files_dir().await.ok());
    ctx.progress(0.1, "looking at the machine")?;
    let machine = ctx.blocking(move || Ok(collector.look())).await?;
    ctx.progress(0.8, "telling the administrator")?;
    let published = ctx.rows().replace(std::slice::from_ref(&machine)).await?;
    ctx.progress(1.0, "done")?;
    Ok(Scanned {
        rows: published.accepted,
        facts: machine.known(),
        not_collected: machine.not_collected,
        person: machine.person,
    })
}

/// Publishes the row at the start and whenever it changed.
async fn watch(ctx: Ctx) -> Result<()> {
    let mut collector = Collector::real(ctx.files_dir().await.ok());
    let mut watch = Watch::new(&Root::real());
    let mut told: Option<Machine> = None;
    loop {
        watch.arm();
        let (machine, back) = ctx.blocking(move || Ok((collector.look(), collector))).await?;
        collector = back;
        if told.as_ref() != Some(&machine) {
            ctx.rows().replace(std::slice::from_ref(&machine)).await?;
            told = Some(machine);
        }
        sdk::tokio::select! {
            () = watch.changed() => ctx.sleep(SETTLE).await?,
            () = sdk::tokio::time::sleep(RECONCILE) => {}
            () = ctx.cancelled() => return Ok(()),
        }
    }
}

/// What it reads, and nothing else.
fn needs() -> Needs {
    let read = ["/proc", "/sys", "/run", "/etc", "/usr/lib", "/dev/pts", "/var/log/wtmp", "/var/run"];
    Needs {
        // The serial number is told to root alone, and so is the log of sign-ins on some systems.
        capabilities: vec!["CAP_DAC_READ_SEARCH".to_owned()],
        read: read.map(str::to_owned).to_vec(),
        memory_mib: Some(256),
        ..Needs::default()
    }
}

pub fn app() -> App {
    App::new("org.bailiwick.inventory")
        .title("Inventory")
        .description("What each machine is, and who uses it.")
        .vendor("Bailiwick")
        .icon("cpu")
        .order(10)
        .roles(&[Role::Administrator, Role::Machine])
        .needs(Role::Machine, needs())
        .command("scan", "Scan now", scan)
        .command_options(|command| {
            command.title_many = "Scan {n} machines".to_owned();
            command.description = "Looks at the machine at once and stores what it is and who uses it.".to_owned();
            command.icon = Some("refresh".to_owned());
            command.effect = Effect::Read;
            // It changes nothing, but it puts every machine it is given to work.
            command.permission = Some("run".to_owned());
            command.progress = true;
            command.schedule = true;
            command.on_interrupt = OnInterrupt::Rerun;
            command.timeout_seconds = Some(60);
        })
        .extend::<Machine>("fleet.machine")
        .table("Hardware")
        .view_options(|view| {
            let columns =
                ["machine", "model", "serial", "cpu", "cores", "memory", "disk_used", "disk_size", "os", "kernel"];
            view.description = "What the machines are made of.".to_owned();
            view.columns = columns.map(str::to_owned).to_vec();
            view.sort = vec!["machine".to_owned()];
            view.select = true;
            view.row = vec!["scan".to_owned()];
            view.bulk = vec!["scan".to_owned()];
            view.drill = Some("fleet.machine".to_owned());
            view.icon = Some("cpu".to_owned());
            view.empty = Some(Empty {
                title: "No machine has told what it is yet".to_owned(),
                body: "Each does so by itself once its agent is connected.".to_owned(),
                action: None,
            });
        })
        .service(Role::Machine, watch)
}
sdk::export!(app);
