//! What a parent is, from what its children are.

use schema::{JobState, Progress};
use std::collections::BTreeMap;

/// How many children are in each state, by the state's wire name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    pub fn add(&mut self, state: JobState, count: u64) {
        *self.0.entry(state.as_str()).or_default() += count;
    }

    pub fn of(&self, state: JobState) -> u64 {
        self.0.get(state.as_str()).copied().unwrap_or(0)
    }

    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Children that have ended.
    pub fn ended(&self) -> u64 {
        JobState::ALL.into_iter().filter(|s| s.is_final()).map(|s| self.of(s)).sum()
    }

    /// "3 of 5 machines, 1 failed".
    pub fn progress(&self) -> Progress {
        let (ended, total) = (self.ended(), self.total());
        let mut text = format!("{ended} of {total} machines");
        for state in JobState::ALL.into_iter().filter(|s| s.is_final() && *s != JobState::Succeeded) {
            if self.of(state) > 0 {
                text += &format!(", {} {}", self.of(state), state.as_str());
            }
        }
        #[allow(clippy::cast_precision_loss)] // numbers of machines
        Progress { fraction: (total > 0).then(|| ended as f64 / total as f64), text, amount: None }
    }
}

impl FromIterator<JobState> for Tally {
    fn from_iter<T: IntoIterator<Item = JobState>>(states: T) -> Tally {
        let mut tally = Tally::default();
        states.into_iter().for_each(|state| tally.add(state, 1));
        tally
    }
}

/// State of a parent. While children are open it is the liveliest of theirs; afterwards the one they share, or
/// `incomplete` where some succeeded, or else the worst.
pub fn derive(tally: &Tally) -> JobState {
    use JobState::*;
    if tally.ended() < tally.total() {
        if tally.of(Running) > 0 {
            return Running;
        }
        if tally.of(Waiting) > 0 {
            return Waiting;
        }
        if tally.ended() > 0 {
            return Running;
        }
        return [Accepted, Assigned].into_iter().find(|s| tally.of(*s) > 0).unwrap_or(Queued);
    }
    if let Some(shared) = JobState::ALL.into_iter().find(|s| tally.of(*s) == tally.total()) {
        return shared;
    }
    if tally.of(Succeeded) + tally.of(Incomplete) > 0 {
        return Incomplete;
    }
    [Unknown, Failed, Refused, Expired].into_iter().find(|s| tally.of(*s) > 0).unwrap_or(Cancelled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use JobState::*;

    #[test]
    fn a_parent_is_what_its_children_are() {
        let cases: &[(&[JobState], JobState)] = &[
            (&[Queued, Queued], Queued),
            (&[Queued, Assigned], Assigned),
            (&[Accepted, Running], Running),
            (&[Queued, Waiting], Waiting),
            (&[Queued, Succeeded], Running),
            (&[Succeeded, Succeeded], Succeeded),
            (&[Succeeded, Failed], Incomplete),
            (&[Succeeded, Expired], Incomplete),
            (&[Incomplete, Incomplete], Incomplete),
            (&[Incomplete, Failed], Incomplete),
            (&[Failed, Expired], Failed),
            (&[Cancelled, Expired], Expired),
            (&[Cancelled, Cancelled], Cancelled),
            (&[Unknown, Failed], Unknown),
        ];
        for (children, parent) in cases {
            assert_eq!(derive(&children.iter().copied().collect()), *parent, "{children:?}");
        }
    }

    #[test]
    fn progress_names_what_did_not_succeed() {
        let tally: Tally = [Succeeded, Failed, Running, Queued].into_iter().collect();
        assert_eq!(
            tally.progress(),
            Progress { fraction: Some(0.5), text: "2 of 4 machines, 1 failed".into(), amount: None }
        );
    }
}
