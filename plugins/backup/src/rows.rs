//! What operators see: snapshots, the files in one, and the last backup of each machine.

use sdk::{Bytes, Row, Time};

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
    #[field(priority = 1, search, sort, facet)]
    pub(crate) machine: String,
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
        priority = 2,
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
    #[field(priority = 3)]
    pub(crate) owner: String,
    #[field(priority = 3)]
    pub(crate) group: String,
    /// Where a symbolic link leads
    #[field(type = "path", priority = 3)]
    pub(crate) target: Option<String>,
    /// Why its content may not be what the file held at any one moment
    #[field(
        type = "enum",
        priority = 2,
        values(changed("Changed while it was read", Warning), unreadable("Not read to its end", Danger))
    )]
    pub(crate) doubt: Option<String>,
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
        priority = 2,
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
