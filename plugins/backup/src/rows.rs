//! What operators see: snapshots, the files in one, and the last backup of each machine.

use sdk::{Bytes, Reference, Row, Time};

/// A backup that can be restored.
#[derive(Clone, Debug, PartialEq, Row)]
#[row(title = "Snapshot", plural = "Snapshots", scope = "site", label = "time", status = "status", icon = "archive")]
pub(crate) struct Snapshot {
    #[key]
    #[field(type = "id", priority = 3, search)]
    pub(crate) id: String,
    /// When the vault took it, by its own clock
    #[field(priority = 1, sort)]
    pub(crate) time: Time,
    #[field(ref = "fleet.machine", priority = 1, search, sort)]
    pub(crate) machine: Option<Reference>,
    /// Which of several sets of paths of the machine it is
    #[field(priority = 3, search, sort)]
    pub(crate) name: String,
    #[field(type = "tags", priority = 2, search)]
    pub(crate) paths: Vec<String>,
    #[field(priority = 3, sort)]
    pub(crate) files: u64,
    /// Bytes of all files in it
    #[field(title = "Size", priority = 2, sort)]
    pub(crate) logical_bytes: Bytes,
    /// Bytes that it added to the vault, compressed
    #[field(title = "Added", priority = 2, sort)]
    pub(crate) new_bytes: Bytes,
    /// What could not be read whole
    #[field(priority = 3, sort)]
    pub(crate) problems: u64,
    #[field(
        type = "status",
        priority = 1,
        facet,
        values(complete("Complete", Success), incomplete("Incomplete", Warning), damaged("Damaged", Danger))
    )]
    pub(crate) status: String,
    /// Kept whatever the rules say
    #[field(type = "bool", priority = 3, facet)]
    pub(crate) held: bool,
}

/// A file or directory in a snapshot.
#[derive(Clone, Debug, PartialEq, Row)]
#[row(title = "File", plural = "Files", scope = "site", label = "name", icon = "file")]
pub(crate) struct File {
    #[key]
    #[field(type = "path", priority = 3, search)]
    pub(crate) path: String,
    #[field(priority = 1, search, sort)]
    pub(crate) name: String,
    #[field(
        type = "enum",
        priority = 3,
        values(
            directory("Directory"),
            file("File"),
            symlink("Symbolic link"),
            fifo("FIFO"),
            socket("Socket"),
            device("Device")
        )
    )]
    pub(crate) kind: String,
    #[field(priority = 1, sort)]
    pub(crate) size: Option<Bytes>,
    #[field(priority = 1, sort)]
    pub(crate) modified: Option<Time>,
    /// As in `rwxr-x---`
    #[field(type = "code", priority = 3)]
    pub(crate) mode: String,
    #[field(priority = 2)]
    pub(crate) owner: String,
    #[field(priority = 3)]
    pub(crate) group: String,
    /// Where a symbolic link leads
    #[field(type = "path", priority = 3)]
    pub(crate) target: Option<String>,
    /// Why its content may not be what the file held at any one moment
    #[field(
        title = "Content",
        type = "status",
        priority = 2,
        values(changed("Changed while read", Warning), unreadable("Not read to its end", Danger))
    )]
    pub(crate) doubt: Option<String>,
}

/// The vault, and whether it could be recovered after the loss of everything else.
#[derive(Clone, Debug, PartialEq, Row)]
#[row(
    name = "vault",
    title = "Vault",
    plural = "Vaults",
    scope = "site",
    label = "folder",
    status = "state",
    icon = "archive"
)]
pub(crate) struct VaultState {
    #[key]
    #[field(type = "path", priority = 1)]
    pub(crate) folder: String,
    #[field(
        type = "status",
        priority = 1,
        values(
            ready("Ready", Success),
            no_sheet("No recovery sheet", Danger),
            drill_due("Recovery drill is due", Warning)
        )
    )]
    pub(crate) state: String,
    #[field(priority = 2)]
    pub(crate) machines: u64,
    #[field(priority = 2)]
    pub(crate) snapshots: u64,
    /// Bytes of all files in all snapshots
    #[field(title = "Backed up", priority = 1)]
    pub(crate) logical_bytes: Bytes,
    /// Bytes on the disk
    #[field(title = "On disk", priority = 1)]
    pub(crate) physical_bytes: Bytes,
    /// When the recovery sheet was last shown to open the vault
    #[field(priority = 2)]
    pub(crate) last_drill: Option<Time>,
}

/// A try to read the vault with the recovery sheet alone.
#[derive(Clone, Debug, PartialEq, Row)]
#[row(name = "drill", title = "Recovery drill", scope = "site", label = "time", status = "outcome", icon = "shield")]
pub(crate) struct Drill {
    #[key]
    #[field(priority = 1, sort)]
    pub(crate) time: Time,
    #[field(type = "status", priority = 1, facet, values(passed("Passed", Success), failed("Failed", Danger)))]
    pub(crate) outcome: String,
    /// Machines' sets of files that were tried
    #[field(priority = 2)]
    pub(crate) sets: u64,
    /// Files that were read back
    #[field(priority = 2)]
    pub(crate) files: u64,
    #[field(priority = 2)]
    pub(crate) bytes: Bytes,
    #[field(priority = 2)]
    pub(crate) problem: Option<String>,
}

/// The last backup of a machine, as columns of the Machines screen.
#[derive(Clone, Debug, PartialEq, Row)]
#[row(name = "last", title = "Last backup", label = "last_backup", status = "backup_status")]
pub(crate) struct Last {
    #[field(title = "Last backup", priority = 1, sort)]
    pub(crate) last_backup: Option<Time>,
    #[field(
        title = "Backup",
        type = "status",
        priority = 1,
        facet,
        absent = "never",
        values(
            complete("Complete", Success),
            incomplete("Incomplete", Warning),
            failed("Failed", Danger),
            late("Late", Warning),
            never("Never", Danger)
        )
    )]
    pub(crate) backup_status: String,
    /// Bytes of all files in the last backup
    #[field(title = "Backed up", priority = 3, sort)]
    pub(crate) backup_size: Option<Bytes>,
}
