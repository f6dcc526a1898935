//! A vault on disk, and backups into it and restores out of it as a machine does them.

use backup::files::restore::{
    ChunkError, ChunkSource, Destination, RestoreError, RestoreOptions, Restored, Watch, WriteProblem, restore,
};
use backup::files::walk::{WalkError, WalkOptions, Walked, walk};
use backup::files::{Excludes, ReadProblem, Severity};
use std::io::Write as _;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
pub(crate) use trees::{is_root, run};
use vault::storage::Directory;
use vault::{
    Access, Basis, Cost, Description, Finished, Mode, Reader, Session, SessionOptions, SnapshotId, SnapshotWriter,
    TreeReader, Trust, UploadOptions, Vault, VaultError, WayIn,
};

pub(crate) struct Store {
    pub(crate) vault: Arc<Vault>,
    pub(crate) folder: tempfile::TempDir,
}

pub(crate) struct Backup {
    pub(crate) id: SnapshotId,
    pub(crate) walked: Walked,
    pub(crate) finished: Finished,
    pub(crate) problems: Vec<ReadProblem>,
}

impl Backup {
    /// What was told of a path that ends like this.
    pub(crate) fn told(&self, end: &str) -> Vec<String> {
        let of = self.problems.iter().filter(|problem| problem.path.ends_with(end.as_bytes()));
        of.map(|problem| problem.what.to_string()).collect()
    }
}

pub(crate) fn options(path: &Path) -> WalkOptions {
    WalkOptions {
        paths: vec![path.to_path_buf()],
        base: PathBuf::from("/"),
        within: Vec::new(),
        excludes: Excludes::default(),
        one_file_system: false,
        skip_caches: false,
        leave_out: Vec::new(),
        scratch: std::env::temp_dir(),
    }
}

impl Store {
    pub(crate) fn new() -> Store {
        let folder = tempfile::tempdir().unwrap();
        let storage = Arc::new(Directory::create(&folder.path().join("vault")).unwrap());
        let vault = Vault::init(storage, "host", &WayIn::host([7; 32]), Cost::NORMAL).unwrap();
        Store { vault, folder }
    }

    pub(crate) fn writer(&self, basis: Option<SnapshotId>) -> Writer {
        let options = SessionOptions {
            source: "machine".into(),
            domain: "here".into(),
            mode: Mode::Managed,
            basis,
            trust: Trust::Verify,
            now_ms: 1_800_000_000_000,
        };
        let session = Arc::new(self.vault.begin(options).unwrap());
        let basis = basis.map(|id| {
            let reader = self.reader(id);
            let snapshot = reader.snapshot();
            Basis::new(reader.clone(), snapshot.root, snapshot.root_refs)
        });
        SnapshotWriter::new(session, UploadOptions::default(), basis)
    }

    pub(crate) fn try_back_up(
        &self,
        options: &WalkOptions,
        basis: Option<SnapshotId>,
    ) -> Result<Backup, WalkError<VaultError>> {
        let mut writer = self.writer(basis);
        let mut problems = Vec::new();
        let walked = walk(&mut writer, options, &mut |problem| problems.push(problem))?;
        let mut description = Description { root: walked.root.clone(), ..Description::default() };
        for problem in problems.iter().filter(|problem| problem.what.severity() > Severity::Note) {
            description.add_problem(&problem.path, &problem.what.to_string());
        }
        let finished = writer.finish(&description, !walked.is_whole()).unwrap();
        Ok(Backup { id: finished.received.snapshot, walked, finished, problems })
    }

    pub(crate) fn back_up(&self, path: &Path) -> Backup {
        self.try_back_up(&options(path), None).unwrap()
    }

    pub(crate) fn reader(&self, id: SnapshotId) -> Arc<Reader> {
        Arc::new(self.vault.reader(id, Some("machine")).unwrap())
    }

    pub(crate) fn tree(&self, id: SnapshotId) -> TreeReader<Arc<Reader>> {
        let reader = self.reader(id);
        TreeReader::new(reader.clone(), reader.snapshot().root, reader.snapshot().root_refs)
    }

    pub(crate) fn try_restore(&self, id: SnapshotId, options: &RestoreOptions) -> Result<Outcome, RestoreError> {
        let told = Told::default();
        let restored = restore(&self.tree(id), &Chunks(self.reader(id)), options, &told)?;
        Ok(Outcome { restored, problems: told.problems.into_inner().unwrap() })
    }

    pub(crate) fn restore(&self, id: SnapshotId, options: &RestoreOptions) -> Outcome {
        self.try_restore(id, options).unwrap()
    }

    /// Opens the vault anew, as after a restart of its keeper.
    pub(crate) fn reopen(self) -> Store {
        let Store { vault, folder } = self;
        drop(vault);
        let storage = Arc::new(Directory::open(&folder.path().join("vault")).unwrap());
        Store { vault: Vault::open(storage, &WayIn::host([7; 32]), Access::Write).unwrap(), folder }
    }
}

/// Everything, into this folder. Nobody waits for a disk that others are writing to.
pub(crate) fn into(folder: &Path) -> RestoreOptions {
    RestoreOptions { wait_for_disk: false, ..RestoreOptions::new(Destination::Beneath(folder.to_path_buf())) }
}

pub(crate) type Writer = SnapshotWriter<Session, backup::files::walk::MachineFile>;

pub(crate) struct Chunks(pub(crate) Arc<Reader>);

impl ChunkSource for Chunks {
    fn chunks(&self, positions: Range<u64>, take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<(), ChunkError> {
        self.0.each(positions, take).map_err(|error| match error {
            VaultError::Storage(_) => ChunkError::Lost(error.into()),
            error => ChunkError::Damaged(error.into()),
        })
    }
}

pub(crate) struct Outcome {
    pub(crate) restored: Restored,
    pub(crate) problems: Vec<WriteProblem>,
}

impl Outcome {
    pub(crate) fn told(&self) -> Vec<String> {
        self.problems.iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    pub(crate) fn assert_whole(&self) {
        assert!(self.problems.is_empty(), "{:#?}", self.told());
    }
}

#[derive(Default)]
pub(crate) struct Told {
    pub(crate) problems: Mutex<Vec<WriteProblem>>,
}

impl Watch for Told {
    fn problem(&self, problem: WriteProblem) {
        self.problems.lock().unwrap().push(problem);
    }
}

/// Says, to whoever counts tests, that one could not run here.
pub(crate) fn skip(test: &str, reason: &str) {
    eprintln!("skipped: {test}: {reason}");
    if let Some(file) = std::env::var_os("BAILIWICK_SKIPS") {
        let mut skips = std::fs::OpenOptions::new().append(true).open(file).unwrap();
        writeln!(skips, "{test}: {reason}").unwrap();
    }
}

/// Runs one test again as a user without any rights.
pub(crate) fn as_nobody(test: &str) {
    let program = std::env::current_exe().unwrap();
    // The folder that programs are built in may be closed to others.
    let copy =
        tempfile::Builder::new().permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755)).tempdir().unwrap();
    let program_copy = copy.path().join("tests");
    std::fs::copy(program, &program_copy).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program_copy);
    run(command.args(["--exact", test, "--nocapture"]).current_dir("/"));
}

pub(crate) fn is_long() -> bool {
    std::env::var_os("BAILIWICK_LONG").is_some()
}
