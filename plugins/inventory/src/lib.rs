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
use schema::{Effect, Empty, FieldType, Needs, OnInterrupt, Role, Setting, SettingMerge, Stricter};
use sdk::prelude::*;
use sdk::tokio::sync::Notify;
use sdk::{schema, serde_json};
use watch::Watch;

/// Settings changed.
static CONFIGURED: Notify = Notify::const_new();
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

/// What operators may decide, and the machine's owner may narrow.
#[derive(Debug, sdk::serde::Deserialize)]
#[serde(crate = "sdk::serde")]
struct Settings {
    report_person: bool,
    /// How often everything is looked at though nothing was noticed: disks fill without telling.
    interval_seconds: u64,
}

impl Settings {
    fn applied(&self, machine: Machine) -> Machine {
        if self.report_person { machine } else { machine.without_person() }
    }
}

async fn scan(ctx: Ctx, _: ()) -> Result<Scanned> {
    let settings: Settings = ctx.settings().await?;
    let mut collector = Collector::real(ctx.files_dir().await.ok());
    ctx.progress(0.1, "looking at the machine")?;
    let machine = settings.applied(ctx.blocking(move || Ok(collector.look())).await?);
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
        let settings: Settings = ctx.settings().await?;
        let (machine, back) = ctx.blocking(move || Ok((collector.look(), collector))).await?;
        let machine = settings.applied(machine);
        collector = back;
        if told.as_ref() != Some(&machine) {
            ctx.rows().replace(std::slice::from_ref(&machine)).await?;
            told = Some(machine);
        }
        sdk::tokio::select! {
            () = watch.changed() => ctx.sleep(SETTLE).await?,
            () = sdk::tokio::time::sleep(Duration::from_secs(settings.interval_seconds.max(1))) => {}
            () = CONFIGURED.notified() => {}
            () = ctx.cancelled() => return Ok(()),
        }
    }
}

fn report_person() -> Setting {
    Setting {
        title: "Report who uses the machine".to_owned(),
        description: "Off, the person and account never leave the machine.".to_owned(),
        kind: FieldType::Bool,
        default: serde_json::json!(true),
        merge: SettingMerge::All,
        stricter: Some(Stricter::Off),
    }
}

fn interval() -> Setting {
    Setting {
        title: "Look again every".to_owned(),
        description: "Most changes are noticed at once; this is for what does not tell, such as a disk that fills."
            .to_owned(),
        kind: FieldType::Duration,
        default: serde_json::json!(300),
        merge: SettingMerge::Min,
        stricter: None,
    }
}

/// What it reads, and nothing else.
fn needs() -> Needs {
    let read = [
        "/proc",
        "/sys",
        "/run/systemd",
        "/run/utmp",
        "/etc/os-release",
        "/etc/passwd",
        "/usr/lib",
        "/dev/pts",
        "/var/log/wtmp",
    ];
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
        .setting("report_person", report_person())
        .setting("interval_seconds", interval())
        .on_configure(async |_| {
            CONFIGURED.notify_one();
            Ok(())
        })
        .service(Role::Machine, watch)
}
sdk::export!(app);
