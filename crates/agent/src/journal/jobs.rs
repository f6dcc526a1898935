//! Jobs in the journal: taken over once, ended once, kept for a while after that so that a repeat is answered from here.

use super::{Journal, JournalError};
use jiff::{SignedDuration, Timestamp};
use protocol::{Assign, KnownJob};
use redb::{ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use schema::{JobState, Problem};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

const JOBS: TableDefinition<'_, [u8; 16], &[u8]> = TableDefinition::new("jobs");
/// How long the end of a job is known after it was acknowledged.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 30);
/// Most ended jobs that are kept.
const MOST_KEPT: usize = 10_000;

/// A job of this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// Absent for a job that was cancelled before it came.
    pub assign: Option<Assign>,
    pub phase: Phase,
    /// How often it was begun.
    pub attempts: u32,
    pub checkpoint: Option<Value>,
    pub accepted_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "phase")]
#[allow(clippy::large_enum_variant)] // a few records are in memory at a time
pub enum Phase {
    /// Certainly not begun yet.
    Accepted,
    /// It may have begun, and have had effects.
    Running,
    Finished {
        state: JobState,
        result: Option<Value>,
        problem: Option<Problem>,
        ended_at: Timestamp,
        /// The administrator has it stored.
        acknowledged: bool,
    },
}

impl Phase {
    pub fn state(&self) -> JobState {
        match self {
            Phase::Accepted => JobState::Accepted,
            Phase::Running => JobState::Running,
            Phase::Finished { state, .. } => *state,
        }
    }
}

pub(super) fn create(transaction: &WriteTransaction) -> Result<(), JournalError> {
    transaction.open_table(JOBS)?;
    Ok(())
}

impl Journal {
    pub fn job(&self, job: Uuid) -> Result<Option<JobRecord>, JournalError> {
        let transaction = self.database.begin_read()?;
        let value = transaction.open_table(JOBS)?.get(job.into_bytes())?;
        value.map(|value| Ok(serde_json::from_slice(value.value())?)).transpose()
    }

    /// Puts a new job in, unless it is there; what was there.
    pub fn accept(&self, job: Uuid, record: &JobRecord) -> Result<Option<JobRecord>, JournalError> {
        let transaction = self.database.begin_write()?;
        let known = {
            let mut table = transaction.open_table(JOBS)?;
            let known = table.get(job.into_bytes())?.map(|value| serde_json::from_slice(value.value())).transpose()?;
            if known.is_none() {
                table.insert(job.into_bytes(), serde_json::to_vec(record)?.as_slice())?;
            }
            known
        };
        transaction.commit()?;
        Ok(known)
    }

    /// Changes a job that is there.
    pub fn update(&self, job: Uuid, change: impl FnOnce(&mut JobRecord)) -> Result<(), JournalError> {
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(JOBS)?;
            let known = table.get(job.into_bytes())?.map(|value| serde_json::from_slice(value.value())).transpose()?;
            if let Some(mut record) = known {
                change(&mut record);
                table.insert(job.into_bytes(), serde_json::to_vec(&record)?.as_slice())?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// The administrator has stored the end of a job.
    pub fn acknowledge(&self, job: Uuid) -> Result<(), JournalError> {
        self.update(job, |record| {
            if let Phase::Finished { acknowledged, .. } = &mut record.phase {
                *acknowledged = true;
            }
        })
    }

    /// Jobs the administrator still waits for.
    pub fn open_jobs(&self) -> Result<Vec<(Uuid, JobRecord)>, JournalError> {
        let mut open = self.all_jobs()?;
        open.retain(|(_, record)| !matches!(record.phase, Phase::Finished { acknowledged: true, .. }));
        Ok(open)
    }

    pub fn known_jobs(&self) -> Result<Vec<KnownJob>, JournalError> {
        let open = self.open_jobs()?;
        Ok(open.into_iter().map(|(job, record)| KnownJob { job, state: record.phase.state() }).collect())
    }

    /// Forgets ended jobs that nobody can ask for any more.
    pub fn prune(&self, now: Timestamp) -> Result<(), JournalError> {
        let mut ended: Vec<(Timestamp, Uuid)> = Vec::new();
        for (job, record) in self.all_jobs()? {
            if let Phase::Finished { acknowledged: true, ended_at, .. } = record.phase {
                ended.push((ended_at, job));
            }
        }
        ended.sort();
        let surplus = ended.len().saturating_sub(MOST_KEPT);
        let old = |at: &Timestamp| now.duration_since(*at) > KEPT;
        let gone: Vec<Uuid> =
            ended.iter().enumerate().filter(|(i, (at, _))| *i < surplus || old(at)).map(|(_, (_, job))| *job).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(JOBS)?;
            for job in gone {
                table.remove(job.into_bytes())?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn all_jobs(&self) -> Result<Vec<(Uuid, JobRecord)>, JournalError> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(JOBS)?;
        let mut jobs = Vec::new();
        for entry in table.iter()? {
            let (job, value) = entry?;
            jobs.push((Uuid::from_bytes(job.value()), serde_json::from_slice(value.value())?));
        }
        Ok(jobs)
    }
}
