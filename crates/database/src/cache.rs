//! Counts and facets that were computed once and hold until a commit changes a type they depend on.

use parking_lot::Mutex;
use schema::{Page, Problem, Query};
use serde_json::Value;
use std::collections::HashMap;

/// Most answers kept; then all are forgotten.
const MAX_ANSWERS: usize = 2000;

#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Commits that changed a type, by type id.
    versions: HashMap<String, u64>,
    answers: HashMap<Key, (u64, Value)>,
}

/// What was asked: type, question, filters and scope, without page, order and fields.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(String);

impl Key {
    pub(crate) fn new(question: &str, type_id: &str, query: &Query, scope: &crate::Scope) -> Key {
        let mut shape = query.clone();
        shape.page = Page::default();
        shape.sort.clear();
        shape.fields = None;
        let parts = serde_json::json!([question, type_id, shape, scope]);
        Key(parts.to_string())
    }
}

impl Cache {
    /// Says that a commit changed these types. Before anybody learns of the commit.
    pub(crate) fn changed<'a>(&self, types: impl Iterator<Item = &'a String>) {
        let mut state = self.0.lock();
        for type_id in types {
            *state.versions.entry(type_id.clone()).or_default() += 1;
        }
    }

    pub(crate) fn forget(&self) {
        self.0.lock().answers.clear();
    }

    pub(crate) fn version<'a>(&self, types: impl IntoIterator<Item = &'a str>) -> u64 {
        let state = self.0.lock();
        types.into_iter().filter_map(|type_id| state.versions.get(type_id)).sum()
    }

    /// `version` was taken before the snapshot was read, so that an answer is never older than it says.
    pub(crate) fn get_or_compute(
        &self,
        key: Key,
        version: u64,
        compute: impl FnOnce() -> Result<Value, Problem>,
    ) -> Result<Value, Problem> {
        if let Some((of, answer)) = self.0.lock().answers.get(&key)
            && *of == version
        {
            return Ok(answer.clone());
        }
        let answer = compute()?;
        let mut state = self.0.lock();
        if state.answers.len() >= MAX_ANSWERS {
            state.answers.clear();
        }
        state.answers.insert(key, (version, answer.clone()));
        Ok(answer)
    }
}
