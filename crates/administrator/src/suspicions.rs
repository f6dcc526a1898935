//! What agents and strangers did that they may not: recorded at once the first time, counted from then on, so that nobody
//! can fill the audit log or hide among what others did.

use crate::app::App;
use crate::records;
use fleet::{MachineId, Store as _, Warning};
use identity::{Entry, Outcome, audit};
use jiff::Timestamp;
use parking_lot::Mutex;
use schema::{Code, Problem};
use serde_json::json;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How often the same kind of the same one is recorded.
const PACE: Duration = Duration::from_secs(3600);
/// Kinds that are told apart at a time. Further ones of strangers go together.
const MOST: usize = 4096;

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    Machine(MachineId),
    /// Somebody without an identity, at this address.
    Stranger(IpAddr),
    /// Any of the strangers too many to be told apart.
    Strangers,
}

/// What happened since the last record, and how often.
#[derive(Clone, Debug, PartialEq)]
struct Note {
    who: Who,
    problem: Problem,
    count: u64,
}

#[derive(Default)]
struct Book(HashMap<(Who, Code), Seen>);

struct Seen {
    problem: Problem,
    /// Not recorded yet.
    count: u64,
    due: Instant,
}

impl Book {
    fn note(&mut self, who: Who, problem: Problem, count: u64, now: Instant) {
        let is_full = self.0.len() >= MOST && !self.0.contains_key(&(who, problem.code));
        let who = if is_full && matches!(who, Who::Stranger(_)) { Who::Strangers } else { who };
        let seen = self.0.entry((who, problem.code)).or_insert(Seen { problem: problem.clone(), count: 0, due: now });
        seen.count += count;
        seen.problem = problem;
    }

    /// What is to be recorded now. What was quiet for as long as a record lasts is forgotten.
    fn due(&mut self, now: Instant) -> Vec<Note> {
        self.0.retain(|_, seen| seen.count > 0 || seen.due > now);
        let due = self.0.iter_mut().filter(|(_, seen)| seen.count > 0 && seen.due <= now);
        let notes = due.map(|((who, _), seen)| {
            seen.due = now + PACE;
            Note { who: *who, problem: seen.problem.clone(), count: std::mem::take(&mut seen.count) }
        });
        notes.collect()
    }

    /// They could not be recorded.
    fn put_back(&mut self, notes: Vec<Note>, now: Instant) {
        for note in notes {
            self.note(note.who, note.problem.clone(), note.count, now);
            if let Some(seen) = self.0.get_mut(&(note.who, note.problem.code)) {
                seen.due = now;
            }
        }
    }
}

/// The book, and the task that records what is in it.
#[derive(Default)]
pub(crate) struct Suspicions {
    book: Mutex<Book>,
    noted: Notify,
}

impl Suspicions {
    pub(crate) fn note(&self, who: Who, problem: Problem) {
        self.book.lock().note(who, problem, 1, Instant::now());
        self.noted.notify_one();
    }

    pub(crate) fn start(self: &Arc<Suspicions>, app: &Arc<App>) {
        let (suspicions, database, runtime) = (Arc::clone(self), app.database.clone(), app.runtime.clone());
        runtime.spawn(async move {
            loop {
                tokio::select! {
                    () = suspicions.noted.notified() => {}
                    () = tokio::time::sleep(PACE) => {}
                }
                suspicions.record(&database).await;
            }
        });
    }

    pub(crate) async fn record(&self, database: &database::Database) {
        let notes = self.book.lock().due(Instant::now());
        if notes.is_empty() {
            return;
        }
        let records = notes.clone();
        let write = move |store: &mut database::Write<'_>| {
            let now = Timestamp::now();
            for note in records {
                audit::append(store, entry(&note), now)?;
                if let Who::Machine(machine) = note.who {
                    store.warn(&warning(machine, note, now))?;
                }
            }
            Ok(())
        };
        if let Err(error) = database.write(write).await {
            tracing::error!(%error, "what agents did that they may not could not be recorded");
            self.book.lock().put_back(notes, Instant::now());
        }
    }
}

fn entry(note: &Note) -> Entry {
    let detail = json!({"problem": note.problem.message, "count": note.count});
    match note.who {
        Who::Machine(machine) => {
            records::system("machine.suspicion", Some(machine.to_string()), Outcome::Denied, detail)
        }
        Who::Stranger(address) => {
            records::system("machine.enrol", None, Outcome::Denied, detail).from(address.to_string())
        }
        Who::Strangers => records::system("machine.enrol", None, Outcome::Denied, detail),
    }
}

fn warning(machine: MachineId, note: Note, at: Timestamp) -> Warning {
    let (plugin, subject) = (crate::core::NAME.to_owned(), "identity".to_owned());
    Warning { machine: Some(machine), plugin, subject, problem: note.problem, count: note.count, at }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(code: Code, text: &str) -> Problem {
        Problem::new(code, text)
    }

    #[test]
    fn the_first_is_recorded_at_once_and_the_rest_are_counted() {
        let (mut book, who, now) = (Book::default(), Who::Machine(MachineId::new()), Instant::now());
        book.note(who, problem(Code::PermissionDenied, "one"), 1, now);
        assert_eq!(book.due(now), [Note { who, problem: problem(Code::PermissionDenied, "one"), count: 1 }]);
        for _ in 0..1000 {
            book.note(who, problem(Code::PermissionDenied, "another"), 1, now);
        }
        assert_eq!(book.due(now), []);
        book.note(who, problem(Code::NotFound, "of another kind"), 1, now);
        assert_eq!(book.due(now).len(), 1);
        let rest = book.due(now + PACE);
        assert_eq!(rest, [Note { who, problem: problem(Code::PermissionDenied, "another"), count: 1000 }]);
        assert_eq!(book.due(now + PACE * 2), []);
        assert!(book.0.is_empty(), "what is over is forgotten");
    }

    #[test]
    fn what_could_not_be_recorded_is_kept() {
        let (mut book, who, now) = (Book::default(), Who::Machine(MachineId::new()), Instant::now());
        book.note(who, problem(Code::NotFound, "x"), 3, now);
        let notes = book.due(now);
        book.put_back(notes.clone(), now);
        assert_eq!(book.due(now), notes);
    }

    #[test]
    fn strangers_without_end_take_no_memory_without_end() {
        let (mut book, now) = (Book::default(), Instant::now());
        for n in 0..2 * u32::try_from(MOST).unwrap() {
            book.note(Who::Stranger(IpAddr::V4(n.into())), problem(Code::PermissionDenied, "no"), 1, now);
        }
        assert!(book.0.len() <= MOST + 1);
        assert_eq!(book.due(now).iter().map(|note| note.count).sum::<u64>(), 2 * MOST as u64);
    }
}
