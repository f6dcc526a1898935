//! What was refused, for the audit log: each once a minute, and how often it was refused meanwhile, so that nobody can
//! fill the log by being refused.

use crate::app::App;
use identity::{ActorKind, Entry, Outcome, audit};
use jiff::Timestamp;
use parking_lot::Mutex;
use schema::Object;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Equal refusals within this time are one record.
const WINDOW: Duration = Duration::from_secs(60);
/// Most different refusals that are told apart within that time.
const MOST: usize = 200;

/// One kind of refusal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Denied {
    pub(crate) kind: &'static str,
    pub(crate) actor: String,
    pub(crate) action: String,
    pub(crate) from: Option<IpAddr>,
}

/// Refusals of the last minute, and how often each was repeated.
#[derive(Debug, Default)]
pub(crate) struct Denials(Mutex<HashMap<Denied, (Instant, u64)>>);

impl Denials {
    /// What is to be recorded now, with the number of repeats that were not recorded.
    fn note(&self, mut denied: Denied, now: Instant) -> Vec<(Denied, u64)> {
        let mut seen = self.0.lock();
        let is_over = |at: &Instant| now.saturating_duration_since(*at) >= WINDOW;
        let mut due: Vec<(Denied, u64)> = seen
            .extract_if(|_, (at, _)| is_over(at))
            .filter_map(|(denied, (_, repeats))| (repeats > 0).then_some((denied, repeats)))
            .collect();
        if seen.len() >= MOST && !seen.contains_key(&denied) {
            denied = Denied { kind: "system", actor: "several".into(), action: "several".into(), from: None };
        }
        match seen.get_mut(&denied) {
            Some((_, repeats)) => *repeats += 1,
            None => {
                seen.insert(denied.clone(), (now, 0));
                due.push((denied, 0));
            }
        }
        due
    }
}

impl App {
    /// Records a refusal; that it could not be recorded changes nothing about it.
    pub(crate) fn denied(self: &Arc<App>, denied: Denied) {
        let due = self.denials.note(denied, Instant::now());
        if due.is_empty() {
            return;
        }
        let database = self.database.clone();
        self.runtime.spawn_to_end(async move {
            let write = move |store: &mut database::Write<'_>| {
                for (denied, repeats) in due {
                    audit::append(store, entry(denied, repeats), Timestamp::now())?;
                }
                Ok(())
            };
            if let Err(error) = database.write(write).await {
                tracing::error!(%error, "a refusal could not be recorded");
            }
        });
    }
}

fn entry(denied: Denied, repeats: u64) -> Entry {
    let kind = ActorKind::parse(denied.kind).unwrap_or(ActorKind::System);
    let entry = Entry::of(kind, denied.actor, denied.action).outcome(Outcome::Denied);
    let entry = match denied.from {
        Some(from) => entry.from(from.to_string()),
        None => entry,
    };
    match repeats {
        0 => entry,
        times => entry.detail(Object::from_iter([("more_times".to_owned(), times.into())])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(action: &str) -> Denied {
        Denied { kind: "operator", actor: "eve".into(), action: action.into(), from: None }
    }

    #[test]
    fn repeats_are_counted_and_recorded_together() {
        let (denials, begun) = (Denials::default(), Instant::now());
        assert_eq!(denials.note(denied("a"), begun), [(denied("a"), 0)]);
        for _ in 0..9 {
            assert_eq!(denials.note(denied("a"), begun), []);
        }
        assert_eq!(denials.note(denied("b"), begun + WINDOW), [(denied("a"), 9), (denied("b"), 0)]);
        assert_eq!(denials.note(denied("a"), begun + WINDOW), [(denied("a"), 0)]);
    }

    #[test]
    fn a_flood_of_different_refusals_is_bounded() {
        let (denials, begun) = (Denials::default(), Instant::now());
        let recorded: usize = (0..10_000).map(|n| denials.note(denied(&n.to_string()), begun).len()).sum();
        assert_eq!(recorded, MOST + 1);
        assert!(denials.0.lock().len() <= MOST + 1);
    }
}
