//! What a command fails with.

use schema::{Code, Problem};
use std::any::Any;
use std::error::Error;

/// A problem that any error becomes by `?`. Errors that are problems already keep their code.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault(pub Problem);

pub type Result<T, E = Fault> = std::result::Result<T, E>;

/// A fault with this code and sentence.
pub fn fault(code: Code, message: impl Into<String>) -> Fault {
    Fault(Problem::new(code, message))
}

impl Fault {
    /// What to do about it.
    #[must_use]
    pub fn fix(self, fix: impl Into<String>) -> Fault {
        Fault(self.0.fix(fix))
    }

    pub(crate) fn cancelled() -> Fault {
        fault(Code::Cancelled, "it was cancelled.")
    }

    pub(crate) fn gone() -> Fault {
        fault(Code::Unavailable, "the other end of the stream is gone.")
    }
}

impl<E: Error + 'static> From<E> for Fault {
    fn from(error: E) -> Fault {
        if let Some(problem) = (&error as &dyn Any).downcast_ref::<Problem>() {
            return Fault(problem.clone());
        }
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        Fault(Problem::internal(message))
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Problem {
        fault.0
    }
}
