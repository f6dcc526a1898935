//! Jobs in the journal: taken over once, ended once, kept for a while after that so that a repeat is answered from here.

use super::{Journal, JournalError};
use jiff::{SignedDuration, Timestamp};
use protocol::{Assign, KnownJob};
use redb::{ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction};
use schema::{JobState, Problem};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// Jobs whose end the administrator does not have yet.
const JOBS: TableDefinition<'_, [u8; 16], &[u8]> = TableDefinition::new("jobs");
/// Jobs whose end it has.
const ENDED: TableDefinition<'_, [u8; 16], &[u8]> = TableDefinition::new("ended");
/// When they ended (ms), and the bytes each takes.
const ENDED_AT: TableDefinition<'_, (i64, [u8; 16]), u64> = TableDefinition::new("ended_at");
/// Most jobs that may be open; their list fits into a `Hello`.
pub(super) const MOST_OPEN: u64 = 10_000;
/// How long the end of a job is known after it was acknowledged.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 30);
/// Most ended jobs that are kept.
const MOST_KEPT: u64 = 10_000;
/// Most bytes of ended jobs that are kept.
const MOST_KEPT_BYTES: u64 = 16 * 1024 * 1024;

/// A job of this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// Absent for a job that was cancelled before it came, and for one that has ended.
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
    transaction.open_table(ENDED_AT)?;
    if transaction.open_table(ENDED)?.is_empty()? {
        part_ended(transaction)?;
    }
    trim(transaction, Timestamp::now())
}

/// An earlier version kept all jobs in one table.
fn part_ended(transaction: &WriteTransaction) -> Result<(), JournalError> {
    let mut ended = Vec::new();
    for entry in transaction.open_table(JOBS)?.iter()? {
        let (job, value) = entry?;
        let record: JobRecord = serde_json::from_slice(value.value())?;
        if let Phase::Finished { acknowledged: true, .. } = record.phase {
            ended.push(Uuid::from_bytes(job.value()));
        }
    }
    ended.into_iter().try_for_each(|job| put_away(transaction, job))
}

fn look_up(table: &impl ReadableTable<[u8; 16], &'static [u8]>, job: Uuid) -> Result<Option<JobRecord>, JournalError> {
    table.get(job.into_bytes())?.map(|value| Ok(serde_json::from_slice(value.value())?)).transpose()
}

/// The end of a job is acknowledged.
fn put_away(transaction: &WriteTransaction, job: Uuid) -> Result<(), JournalError> {
    let mut open = transaction.open_table(JOBS)?;
    let Some(mut record) = look_up(&open, job)? else { return Ok(()) };
    let Phase::Finished { acknowledged, ended_at, .. } = &mut record.phase else { return Ok(()) };
    *acknowledged = true;
    let at = ended_at.as_millisecond();
    (record.assign, record.checkpoint) = (None, None);
    let bytes = serde_json::to_vec(&record)?;
    transaction.open_table(ENDED)?.insert(job.into_bytes(), bytes.as_slice())?;
    transaction.open_table(ENDED_AT)?.insert((at, job.into_bytes()), bytes.len() as u64)?;
    open.remove(job.into_bytes())?;
    Ok(())
}

/// Forgets ended jobs that nobody can ask for any more, the oldest first.
fn trim(transaction: &WriteTransaction, now: Timestamp) -> Result<(), JournalError> {
    let (mut ended, mut at) = (transaction.open_table(ENDED)?, transaction.open_table(ENDED_AT)?);
    let mut bytes = 0;
    for entry in at.iter()? {
        bytes += entry?.1.value();
    }
    let oldest = now.saturating_sub(KEPT).map_or(i64::MIN, Timestamp::as_millisecond);
    loop {
        let first = at.first()?.map(|(key, size)| (key.value(), size.value()));
        let Some((key, size)) = first else { break };
        if key.0 >= oldest && bytes <= MOST_KEPT_BYTES && ended.len()? <= MOST_KEPT {
            break;
        }
        at.remove(key)?;
        ended.remove(key.1)?;
        bytes = bytes.saturating_sub(size);
    }
    Ok(())
}

impl Journal {
    pub fn job(&self, job: Uuid) -> Result<Option<JobRecord>, JournalError> {
        self.read(|transaction| match look_up(&transaction.open_table(JOBS)?, job)? {
            Some(record) => Ok(Some(record)),
            None => look_up(&transaction.open_table(ENDED)?, job),
        })
    }

    /// Puts a new job in, unless it is there; what was there.
    ///
    /// # Errors
    /// `TooManyJobs`: enough are open already.
    pub fn accept(&self, job: Uuid, record: &JobRecord) -> Result<Option<JobRecord>, JournalError> {
        self.write_if(|transaction| {
            let mut open = transaction.open_table(JOBS)?;
            let known = match look_up(&open, job)? {
                Some(record) => Some(record),
                None => look_up(&transaction.open_table(ENDED)?, job)?,
            };
            if known.is_some() {
                return Ok((false, known));
            }
            if open.len()? >= MOST_OPEN {
                return Err(JournalError::TooManyJobs);
            }
            open.insert(job.into_bytes(), serde_json::to_vec(record)?.as_slice())?;
            Ok((true, None))
        })
    }

    /// Changes a job that is open.
    pub fn update(&self, job: Uuid, change: impl FnOnce(&mut JobRecord)) -> Result<(), JournalError> {
        self.write(|transaction| {
            let mut open = transaction.open_table(JOBS)?;
            if let Some(mut record) = look_up(&open, job)? {
                change(&mut record);
                open.insert(job.into_bytes(), serde_json::to_vec(&record)?.as_slice())?;
            }
            Ok(())
        })
    }

    /// Ends a job. What it was asked with is not kept.
    pub fn end(&self, job: Uuid, phase: Phase) -> Result<(), JournalError> {
        self.update(job, |record| (record.phase, record.assign, record.checkpoint) = (phase, None, None))
    }

    /// The administrator has stored the end of a job.
    pub fn acknowledge(&self, job: Uuid, now: Timestamp) -> Result<(), JournalError> {
        self.write(|transaction| {
            put_away(transaction, job)?;
            trim(transaction, now)
        })
    }

    /// Jobs the administrator still waits for.
    pub fn open_jobs(&self) -> Result<Vec<Uuid>, JournalError> {
        self.read(|transaction| {
            let open = transaction.open_table(JOBS)?;
            open.iter()?.map(|entry| Ok(Uuid::from_bytes(entry?.0.value()))).collect()
        })
    }

    pub fn known_jobs(&self) -> Result<Vec<KnownJob>, JournalError> {
        self.read(|transaction| {
            let mut known = Vec::new();
            for entry in transaction.open_table(JOBS)?.iter()? {
                let (job, value) = entry?;
                let record: JobRecord = serde_json::from_slice(value.value())?;
                known.push(KnownJob { job: Uuid::from_bytes(job.value()), state: record.phase.state() });
            }
            Ok(known)
        })
    }
}

#[cfg(test)]
mod tests;
