//! skeleton
use crate::{Duplex, OpEvent};
use schema::{Code, Problem};
pub(crate) struct Op;
pub(crate) struct Switchboard;
impl Switchboard {
    pub(crate) async fn next_event(&self, _: &Op) -> OpEvent {
        OpEvent::Fault(Problem::new(Code::Unavailable, "no plugin runs yet."))
    }
    pub(crate) fn cancel(&self, _: &Op, _: Code) {}
    pub(crate) fn open_stream(&self, _: &Op, _: &str) -> Result<Duplex, Problem> {
        Err(Problem::new(Code::Unavailable, "no plugin runs yet."))
    }
}
