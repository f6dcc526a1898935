//! What a command left out of what it was asked for, until it ends.

use schema::Problem;
use std::sync::{Mutex, PoisonError};

/// Problems that are told one by one; of the rest there is a count. As many as a host tells of one problem.
const TOLD: usize = 7;

#[derive(Default)]
pub(crate) struct LeftOut(Mutex<Noted>);

#[derive(Default)]
struct Noted {
    first: Vec<Problem>,
    count: u64,
}

impl LeftOut {
    pub(crate) fn note(&self, problem: Problem) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.count += 1;
        if noted.first.len() < TOLD {
            noted.first.push(problem);
        }
    }

    /// All of it as one problem; nothing where nothing was left out.
    pub(crate) fn take(&self) -> Option<Problem> {
        let Noted { mut first, count } = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if first.len() < 2 {
            return first.pop();
        }
        let told = first.len() as u64;
        let message = match count - told {
            0 => format!("{count} things were left out."),
            _ => format!("{count} things were left out; these are the first {told} of them."),
        };
        let code = first[0].code;
        Some(Problem { causes: first, ..Problem::new(code, message) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(count: usize) -> Option<Problem> {
        let left_out = LeftOut::default();
        (0..count).for_each(|n| left_out.note(Problem::not_found(format!("there is no {n}."))));
        left_out.take()
    }

    #[test]
    fn one_problem_is_itself_and_many_are_counted() {
        assert_eq!(noted(0), None);
        assert_eq!(noted(1), Some(Problem::not_found("there is no 0.")));
        let two = noted(2).unwrap();
        assert_eq!((two.message.as_str(), two.causes.len()), ("2 things were left out.", 2));
        let many = noted(1000).unwrap();
        assert_eq!(many.message, "1000 things were left out; these are the first 7 of them.");
        assert_eq!((many.causes.len(), many.code), (TOLD, schema::Code::NotFound));
    }
}
