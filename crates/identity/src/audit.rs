//! The audit log: a chain of records, each holding the hash of the one before.
//!
//! A record is appended in the transaction of what it records, and its predecessor is read there, so that several
//! processes on one database still write one chain.

use crate::roles::{Actor, ActorKind};
use crate::store::{ReadStore, Store};
use jiff::Timestamp;
use schema::{FieldType, InputProperty, InputSchema, Object};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// Stands for a secret in a record.
const REDACTED: &str = "(secret)";
/// Longest text of a detail; what is longer is cut and marked.
const LONGEST_TEXT: usize = 1024;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Written before a command takes effect.
    Begun,
    Done,
    Denied,
    Failed,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Begun => "begun",
            Outcome::Done => "done",
            Outcome::Denied => "denied",
            Outcome::Failed => "failed",
        }
    }

    pub fn parse(name: &str) -> Option<Outcome> {
        use Outcome::*;
        [Begun, Done, Denied, Failed].into_iter().find(|outcome| outcome.as_str() == name)
    }
}

/// What happened, before it has its place in the chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub actor: String,
    pub actor_kind: ActorKind,
    /// As in `session.open` or the id of a command.
    pub action: String,
    /// The machine, operator or thing it was done to.
    pub target: Option<String>,
    pub outcome: Outcome,
    /// Network address it came from.
    pub address: Option<String>,
    /// Id of the job it began.
    pub job: Option<String>,
    /// Never holds a secret: see [`redact`].
    pub detail: Object,
}

impl Entry {
    /// What `actor` did, `done` until another outcome is given.
    pub fn by(actor: &Actor, action: impl Into<String>) -> Entry {
        Entry::of(actor.kind, actor.name.clone(), action)
    }

    /// What the administrator did by itself or on its own command line.
    pub fn system(action: impl Into<String>) -> Entry {
        Entry::of(ActorKind::System, "system", action)
    }

    /// What somebody did who is no operator: an agent, a plugin, one who failed to sign in.
    pub fn of(kind: ActorKind, name: impl Into<String>, action: impl Into<String>) -> Entry {
        Entry {
            actor: name.into(),
            actor_kind: kind,
            action: action.into(),
            target: None,
            outcome: Outcome::Done,
            address: None,
            job: None,
            detail: Object::new(),
        }
    }

    #[must_use]
    pub fn on(self, target: impl Into<String>) -> Entry {
        Entry { target: Some(target.into()), ..self }
    }

    #[must_use]
    pub fn outcome(self, outcome: Outcome) -> Entry {
        Entry { outcome, ..self }
    }

    #[must_use]
    pub fn from(self, address: impl Into<String>) -> Entry {
        Entry { address: Some(address.into()), ..self }
    }

    #[must_use]
    pub fn job(self, job: impl Into<String>) -> Entry {
        Entry { job: Some(job.into()), ..self }
    }

    #[must_use]
    pub fn detail(self, detail: Object) -> Entry {
        Entry { detail, ..self }
    }
}

/// A link of the chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// 1 is the first.
    pub seq: u64,
    pub at: Timestamp,
    pub entry: Entry,
    /// Hash of the record before; zeros before the first.
    pub prev: Hash,
    pub hash: Hash,
}

/// The last link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub seq: u64,
    pub hash: Hash,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    const NONE: Hash = Hash([0; 32]);
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Hash {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Hash, hex::FromHexError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Hash(bytes))
    }
}

/// Appends `entry` to the chain in the caller's transaction.
///
/// # Errors
/// Those of the store. What was to be recorded must then not happen.
pub fn append<S: Store>(store: &mut S, entry: Entry, now: Timestamp) -> Result<Record, S::Error> {
    let record = next(store.audit_head()?, entry, now);
    store.insert_audit(&record)?;
    Ok(record)
}

fn next(head: Option<Head>, mut entry: Entry, now: Timestamp) -> Record {
    let (seq, prev) = head.map_or((1, Hash::NONE), |head| (head.seq + 1, head.hash));
    entry.detail.values_mut().for_each(shorten);
    // Names and addresses may be what an intruder typed.
    for text in [&mut entry.actor, &mut entry.action].into_iter().chain(&mut entry.target).chain(&mut entry.address) {
        *text = cut(schema::neutral_text(text));
    }
    let at = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
    let mut record = Record { seq, at, entry, prev, hash: Hash::NONE };
    record.hash = hash(&record);
    record
}

fn shorten(value: &mut Value) {
    match value {
        Value::String(text) => *text = cut(std::mem::take(text)),
        Value::Array(list) => list.iter_mut().for_each(shorten),
        Value::Object(map) => map.values_mut().for_each(shorten),
        _ => {}
    }
}

fn cut(mut text: String) -> String {
    if text.len() > LONGEST_TEXT {
        text.truncate(text.floor_char_boundary(LONGEST_TEXT));
        text.push('…');
    }
    text
}

fn hash(record: &Record) -> Hash {
    let entry = &record.entry;
    let mut text = String::new();
    canonical(
        &serde_json::json!({
            "seq": record.seq, "at": record.at.to_string(), "prev": record.prev.to_string(), "actor": entry.actor,
            "actor_kind": entry.actor_kind.as_str(), "action": entry.action, "target": entry.target,
            "outcome": entry.outcome.as_str(), "address": entry.address, "job": entry.job, "detail": entry.detail,
        }),
        &mut text,
    );
    Hash(blake3::derive_key("bailiwick 2026 audit record", text.as_bytes()))
}

/// JSON with sorted keys and no spaces: equal values have equal text however they were stored.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (n, (key, value)) in entries.into_iter().enumerate() {
                out.push_str(if n > 0 { "," } else { "" });
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(list) => {
            out.push('[');
            for (n, value) in list.iter().enumerate() {
                out.push_str(if n > 0 { "," } else { "" });
                canonical(value, out);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// The first record that is not as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {seq}: {what}")]
pub struct FirstBad {
    pub seq: u64,
    pub what: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("it was altered after it was written")]
    Altered,
    #[error("records before it are missing or out of order: {expected} was to come")]
    Gap { expected: u64 },
    #[error("it does not follow from the record before it")]
    Unlinked,
    #[error("it cannot be read")]
    Unreadable,
    #[error("it and what followed it was removed")]
    Truncated,
}

/// What a sound chain ends in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    pub count: u64,
    pub head: Option<Head>,
}

/// Follows the chain from its first record, in order. `Err(seq)` stands for a record that could not be read. With the
/// head that was seen at some earlier time, a chain that was cut or replaced since is noticed too.
///
/// # Errors
/// The first bad record.
pub fn verify(
    records: impl IntoIterator<Item = Result<Record, u64>>,
    seen: Option<Head>,
) -> Result<Verified, FirstBad> {
    let mut chain = Chain { head: None, seen };
    records.into_iter().try_for_each(|record| chain.follow(record))?;
    chain.end()
}

/// Verifies the chain of a store, a batch of records at a time.
///
/// # Errors
/// Those of the store; the inner error is the first bad record.
pub fn verify_store<S: ReadStore>(store: &S, seen: Option<Head>) -> Result<Result<Verified, FirstBad>, S::Error> {
    let mut chain = Chain { head: None, seen };
    loop {
        let batch = store.audit_records(chain.expected(), 1000)?;
        if batch.is_empty() {
            return Ok(chain.end());
        }
        if let Err(bad) = batch.into_iter().try_for_each(|record| chain.follow(record)) {
            return Ok(Err(bad));
        }
    }
}

struct Chain {
    head: Option<Head>,
    seen: Option<Head>,
}

impl Chain {
    fn expected(&self) -> u64 {
        self.head.map_or(1, |head| head.seq + 1)
    }

    fn follow(&mut self, record: Result<Record, u64>) -> Result<(), FirstBad> {
        let record = record.map_err(|seq| FirstBad { seq, what: Fault::Unreadable })?;
        let bad = |what| Err(FirstBad { seq: record.seq, what });
        let expected = self.expected();
        if record.seq != expected {
            return bad(Fault::Gap { expected });
        }
        if hash(&record) != record.hash {
            return bad(Fault::Altered);
        }
        let replaced = self.seen.is_some_and(|seen| seen.seq == record.seq && seen.hash != record.hash);
        if record.prev != self.head.map_or(Hash::NONE, |head| head.hash) || replaced {
            return bad(Fault::Unlinked);
        }
        self.head = Some(Head { seq: record.seq, hash: record.hash });
        Ok(())
    }

    fn end(self) -> Result<Verified, FirstBad> {
        let count = self.head.map_or(0, |head| head.seq);
        match self.seen {
            Some(seen) if seen.seq > count => Err(FirstBad { seq: count + 1, what: Fault::Truncated }),
            _ => Ok(Verified { count, head: self.head }),
        }
    }
}

/// `input` with every secret in it replaced: those the schema marks, and everything it does not declare.
pub fn redact(input: &Object, schema: &InputSchema) -> Object {
    input.iter().map(|(name, value)| (name.clone(), redact_one(value, schema.properties.get(name)))).collect()
}

fn redact_one(value: &Value, property: Option<&InputProperty>) -> Value {
    let Some(property) = property else { return REDACTED.into() };
    let secret = property.domain == Some(FieldType::Secret)
        || property.items.as_ref().is_some_and(|items| items.domain == Some(FieldType::Secret));
    match value {
        Value::Null => Value::Null,
        _ if secret => REDACTED.into(),
        Value::Array(list) => list.iter().map(|one| redact_one(one, property.items.as_deref())).collect(),
        Value::Object(map) => {
            map.iter().map(|(name, one)| (name.clone(), redact_one(one, property.properties.get(name)))).collect()
        }
        scalar => scalar.clone(),
    }
}

#[cfg(test)]
mod tests;
