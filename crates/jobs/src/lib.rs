//! Jobs: one run of a command, from the click to its stored end, as a pure state machine.
//!
//! [`decide`] says what an event makes of a job and what is to be done about it; it has no clock, no storage and no
//! socket. [`apply`] does the same to a stored job and its parent in one transaction. Who carries out the [`Effect`]s
//! may crash before or after: every message is sent again until it is answered, and every repeat is harmless.

mod apply;
mod decide;
mod derive;
mod job;
mod store;
mod submit;

pub use apply::{Applied, apply, check_cancel};
pub use decide::{CANCEL_GRACE, Decision, Effect, Event, GIVE_UP, MOST_ATTEMPTS, Outcome, RESEND, decide, due_at};
pub use derive::{Tally, derive};
pub use job::{CancelRequest, Job, JobId, LogLine, OperatorRef, WrongId};
pub use store::{Lookup, MAX_LOG_LINES, Store};
pub use submit::{Submission, Submitted, TargetMachine, key_was_used, submit};
