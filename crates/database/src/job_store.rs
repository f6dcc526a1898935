//! The storage of `jobs`.

use crate::access::{Access, Write};
use crate::error::sql;
use crate::fleet_store::parsed;
use crate::value::{micros, search_text, time};
use jiff::Timestamp;
use jobs::{Job, JobId, LogLine, Lookup, MAX_LOG_LINES, OperatorRef, Store, Tally};
use rusqlite::{OptionalExtension as _, Row, named_params, params};
use schema::{JobState, Problem};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

const JOB: &str =
    "SELECT id, parent, command, title, input, asked, target, machine, is_parent, state, progress, result,
    problem_json, operator_id, operator, idempotency_key, on_interrupt, cancel_policy, timeout_seconds, created_at,
    expires_at, assigned_at, sent_at, accepted_at, started_at, ended_at, attempt, cancel, checkpoint FROM fleet_job";

impl<Mode> Lookup for Access<'_, Mode> {
    fn job(&self, id: JobId) -> Result<Option<Job>, Problem> {
        let mut statement = self.conn.prepare_cached(&format!("{JOB} WHERE id = ?1")).map_err(sql)?;
        statement.query_row([id.to_string()], read_job).optional().map_err(sql)
    }

    fn children(&self, parent: JobId) -> Result<Vec<Job>, Problem> {
        self.jobs("WHERE parent = ?1 ORDER BY id", [parent.to_string()])
    }

    fn tally(&self, parent: JobId) -> Result<Tally, Problem> {
        let select = "SELECT state, jobs FROM job_tally WHERE parent = ?1";
        let mut statement = self.conn.prepare_cached(select).map_err(sql)?;
        let mut rows = statement.query([parent.to_string()]).map_err(sql)?;
        let mut tally = Tally::default();
        while let Some(row) = rows.next().map_err(sql)? {
            tally.add(state(row, 0).map_err(sql)?, row.get(1).map_err(sql)?);
        }
        Ok(tally)
    }

    fn job_by_key(&self, operator: &str, key: &str) -> Result<Option<Job>, Problem> {
        Ok(self.jobs("WHERE operator_id = ?1 AND idempotency_key = ?2", [operator, key])?.pop())
    }

    fn open_jobs_of(&self, machine: Uuid) -> Result<Vec<Job>, Problem> {
        self.jobs("WHERE machine = ?1 AND is_open = 1 ORDER BY id", [machine.hyphenated().to_string()])
    }

    fn open_jobs_here(&self) -> Result<Vec<Job>, Problem> {
        self.jobs("WHERE machine IS NULL AND is_open = 1 AND is_parent = 0 ORDER BY id", [])
    }

    fn queued_jobs(&self, reaches: &dyn Fn(Option<Uuid>) -> bool) -> Result<Vec<Job>, Problem> {
        let mut queued = Vec::new();
        if reaches(None) {
            queued = self.jobs("WHERE machine IS NULL AND state = 'queued' AND is_parent = 0 ORDER BY id", [])?;
        }
        // From one machine to the next, however many jobs wait for each of them.
        let next = "SELECT min(machine) FROM fleet_job WHERE machine > ?1 AND state = 'queued' AND is_parent = 0";
        let mut statement = self.conn.prepare_cached(next).map_err(sql)?;
        let mut last = String::new();
        while let Some(machine) = statement.query_row([&last], |row| row.get::<_, Option<String>>(0)).map_err(sql)? {
            if Uuid::parse_str(&machine).is_ok_and(|machine| reaches(Some(machine))) {
                let of = "WHERE machine = ?1 AND state = 'queued' AND is_parent = 0 ORDER BY id";
                queued.append(&mut self.jobs(of, [&machine])?);
            }
            last = machine;
        }
        Ok(queued)
    }

    fn due_jobs(&self, now: Timestamp) -> Result<Vec<Job>, Problem> {
        self.jobs("WHERE due_at <= ?1 AND is_open = 1 ORDER BY due_at", [micros(now)])
    }

    fn log(&self, id: JobId) -> Result<Vec<LogLine>, Problem> {
        let select = "SELECT at, level, text FROM job_log WHERE job = ?1 ORDER BY number";
        let mut statement = self.conn.prepare_cached(select).map_err(sql)?;
        let line = |row: &Row<'_>| Ok(LogLine { at: time(row.get(0)?), level: row.get(1)?, text: row.get(2)? });
        statement.query_map([id.to_string()], line).and_then(Iterator::collect).map_err(sql)
    }
}

impl<Mode> Access<'_, Mode> {
    fn jobs(&self, condition: &str, values: impl rusqlite::Params) -> Result<Vec<Job>, Problem> {
        let mut statement = self.conn.prepare_cached(&format!("{JOB} {condition}")).map_err(sql)?;
        statement.query_map(values, read_job).and_then(Iterator::collect).map_err(sql)
    }
}

impl Store for Write<'_> {
    fn insert_job(&mut self, job: &Job) -> Result<(), Problem> {
        let insert = "INSERT INTO fleet_job (id, parent, command, title, input, asked, target, machine, is_parent,
            operator_id, operator, idempotency_key, on_interrupt, cancel_policy, timeout_seconds, created_at, expires_at,
            search, state, is_open) VALUES (:id, :parent, :command, :title, :input, :asked, :target, :machine,
            :is_parent, :operator_id, :operator, :key, :on_interrupt, :cancel_policy, :timeout, :created_at,
            :expires_at, :search, :state, 1)";
        let search = search_of(job);
        self.execute(
            insert,
            named_params! {
                ":id": job.id.to_string(),
                ":parent": job.parent.map(|p| p.to_string()),
                ":command": job.command,
                ":title": job.title,
                ":input": json(&job.input),
                ":asked": json(&job.target),
                ":target": job.target_label,
                ":machine": job.machine.map(|m| m.hyphenated().to_string()),
                ":is_parent": job.is_parent,
                ":operator_id": job.operator.id,
                ":operator": job.operator.name,
                ":key": job.idempotency_key,
                ":on_interrupt": word(&job.on_interrupt),
                ":cancel_policy": word(&job.cancel_policy),
                ":timeout": job.timeout_seconds.map(|s| i64::try_from(s).unwrap_or(i64::MAX)),
                ":created_at": micros(job.created_at),
                ":expires_at": micros(job.expires_at),
                ":search": search,
                ":state": job.state.as_str(),
            },
        )?;
        self.execute("INSERT INTO fleet_job_fts (rowid, search) VALUES (last_insert_rowid(), ?1)", [&search])?;
        self.count_in_parent(job, job.state, 1)?;
        self.store_job(job)
    }

    fn update_job(&mut self, job: &Job, was: JobState) -> Result<(), Problem> {
        if was != job.state {
            self.count_in_parent(job, was, -1)?;
            self.count_in_parent(job, job.state, 1)?;
        }
        if job.problem.is_some() {
            self.index_job(job)?;
        }
        self.store_job(job)
    }

    fn append_log(&mut self, id: JobId, lines: &[LogLine]) -> Result<(), Problem> {
        let key = id.to_string();
        let count = "SELECT coalesce(max(number) + 1, 0) FROM job_log WHERE job = ?1";
        let mut statement = self.conn.prepare_cached(count).map_err(sql)?;
        let first: u64 = statement.query_row([&key], |row| row.get(0)).map_err(sql)?;
        let insert = "INSERT INTO job_log (job, number, at, level, text) VALUES (?1, ?2, ?3, ?4, ?5)";
        for (number, line) in (first..).zip(lines) {
            if number > MAX_LOG_LINES {
                break;
            }
            let text = if number == MAX_LOG_LINES { "more lines were dropped" } else { line.text.as_str() };
            let text: String = text.chars().take(4096).collect();
            self.execute(insert, params![key, number, micros(line.at), line.level, text])?;
        }
        Ok(())
    }
}

impl Write<'_> {
    /// Everything of a job that may change.
    fn store_job(&self, job: &Job) -> Result<(), Problem> {
        let update = "UPDATE fleet_job SET state = :state, is_open = :is_open, progress = :progress, result = :result,
            problem = :problem, problem_json = :problem_json, assigned_at = :assigned_at, sent_at = :sent_at,
            accepted_at = :accepted_at, started_at = :started_at, ended_at = :ended_at, attempt = :attempt,
            cancel = :cancel, checkpoint = :checkpoint, due_at = :due_at WHERE id = :id";
        let shows_progress = job.progress != schema::Progress::default();
        let changed = self.execute(
            update,
            named_params! {
                ":id": job.id.to_string(),
                ":state": job.state.as_str(),
                ":is_open": !job.state.is_final(),
                ":progress": shows_progress.then(|| json(&job.progress)),
                ":result": job.result.as_ref().map(json),
                ":problem": job.problem.as_ref().map(|p| &p.message),
                ":problem_json": job.problem.as_ref().map(json),
                ":assigned_at": job.assigned_at.map(micros),
                ":sent_at": job.sent_at.map(micros),
                ":accepted_at": job.accepted_at.map(micros),
                ":started_at": job.started_at.map(micros),
                ":ended_at": job.ended_at.map(micros),
                ":attempt": job.attempt,
                ":cancel": job.cancel.as_ref().map(json),
                ":checkpoint": job.checkpoint.as_ref().map(json),
                ":due_at": jobs::due_at(job).map(micros),
            },
        )?;
        if changed == 0 {
            return Err(Problem::not_found(format!("there is no job {}.", job.id)));
        }
        self.changed("fleet.job", &job.id.to_string());
        Ok(())
    }

    fn index_job(&self, job: &Job) -> Result<(), Problem> {
        let (key, search) = (job.id.to_string(), search_of(job));
        self.execute("UPDATE fleet_job SET search = ?2 WHERE id = ?1", [&key, &search])?;
        self.execute("DELETE FROM fleet_job_fts WHERE rowid = (SELECT row FROM fleet_job WHERE id = ?1)", [&key])?;
        let insert = "INSERT INTO fleet_job_fts (rowid, search) SELECT row, search FROM fleet_job WHERE id = ?1";
        self.execute(insert, [&key]).map(|_| ())
    }

    fn count_in_parent(&self, job: &Job, state: JobState, by: i64) -> Result<(), Problem> {
        let Some(parent) = job.parent else { return Ok(()) };
        let upsert = "INSERT INTO job_tally (parent, state, jobs) VALUES (?1, ?2, ?3)
            ON CONFLICT (parent, state) DO UPDATE SET jobs = jobs + excluded.jobs";
        self.execute(upsert, params![parent.to_string(), state.as_str(), by]).map(|_| ())
    }
}

/// The fields of `fleet.job` that are marked `search`.
fn search_of(job: &Job) -> String {
    let problem = job.problem.as_ref().map_or("", |p| p.message.as_str());
    search_text([job.title.as_str(), &job.target_label, &job.operator.name, &job.command, problem])
}

fn read_job(row: &Row<'_>) -> rusqlite::Result<Job> {
    let moment = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(time));
    Ok(Job {
        id: parsed(row, 0)?,
        parent: row.get::<_, Option<String>>(1)?.map(|_| parsed(row, 1)).transpose()?,
        command: row.get(2)?,
        title: row.get(3)?,
        input: from_json(row, 4)?,
        target: from_json(row, 5)?,
        target_label: row.get(6)?,
        machine: row.get::<_, Option<String>>(7)?.map(|_| parsed(row, 7)).transpose()?,
        is_parent: row.get(8)?,
        state: state(row, 9)?,
        progress: maybe_json(row, 10)?.unwrap_or_default(),
        result: maybe_json(row, 11)?,
        problem: maybe_json(row, 12)?,
        operator: OperatorRef { id: row.get(13)?, name: row.get(14)? },
        idempotency_key: row.get(15)?,
        on_interrupt: from_word(row, 16)?,
        cancel_policy: from_word(row, 17)?,
        timeout_seconds: row.get::<_, Option<i64>>(18)?.and_then(|s| u64::try_from(s).ok()),
        created_at: time(row.get(19)?),
        expires_at: time(row.get(20)?),
        assigned_at: moment(21)?,
        sent_at: moment(22)?,
        accepted_at: moment(23)?,
        started_at: moment(24)?,
        ended_at: moment(25)?,
        attempt: row.get(26)?,
        cancel: maybe_json(row, 27)?,
        checkpoint: maybe_json(row, 28)?,
    })
}

fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<JobState> {
    from_word(row, column)
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("job parts have string keys")
}

/// The wire name of a unit variant.
fn word(value: &impl Serialize) -> String {
    json(value).trim_matches('"').to_owned()
}

fn from_word<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let value = serde_json::Value::from(row.get_ref(column)?.as_str()?);
    serde_json::from_value(value).map_err(|e| unreadable(column, e))
}

fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(|e| unreadable(column, e))
}

fn maybe_json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    match row.get_ref(column)?.as_str_or_null()? {
        Some(text) => serde_json::from_str(text).map(Some).map_err(|e| unreadable(column, e)),
        None => Ok(None),
    }
}

fn unreadable(column: usize, error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}
