//! The state machine of one job: what an event makes of it, and what is to be done about it.
//!
//! States only move on: a repeat or a late message changes nothing, and a final state is final. What was sent may be
//! sent again, since whoever runs a job journals its id before it starts and answers a repeat from that journal.

use crate::{CancelRequest, Job};
use jiff::{SignedDuration, Timestamp};
use schema::{Cancel, Code, JobEvent, JobState, OnInterrupt, Problem, Progress};
use serde_json::Value;

/// An assignment or cancellation that was not answered is sent again after this.
pub const RESEND: SignedDuration = SignedDuration::from_secs(10);
/// Time a command has to end by itself after a cancellation, before it is abandoned.
pub const CANCEL_GRACE: SignedDuration = SignedDuration::from_secs(5);
/// A delivered job of a machine that never came back ends as `unknown` this long after it should have ended.
pub const GIVE_UP: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How often a job of the administrator itself is begun at most, where its command may be run again.
pub const MOST_ATTEMPTS: u32 = 5;
/// Time a machine has to report that it enforced the deadline of a command.
const DEADLINE_SLACK: SignedDuration = SignedDuration::from_secs(30);

/// Something that happened to a job. "It" is what runs the job: an agent, or the administrator itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It can be reached: give a queued job out. Means nothing for any other.
    Dispatch,
    /// It is there again, and the journal it told of in its hello has the job or not. Said once for every open job at
    /// the beginning of a session, before any other message of it; for the administrator's own jobs when it starts.
    Online {
        known: bool,
    },
    Accepted,
    Started,
    /// Held up by a drive, a consent, a window.
    Waiting {
        reason: String,
    },
    Progress(Progress),
    /// How far the command came, for a run that goes on from there.
    Checkpoint(Value),
    Finished(Outcome),
    CancelRequested {
        by: String,
    },
    /// Time went by.
    Tick {
        online: bool,
    },
    /// It was asked about the job and does not know it, or ran it and was cut off.
    Lost,
    /// The machine was removed.
    Gone,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// A state that is not final counts as `failed`.
    pub state: JobState,
    pub result: Option<Value>,
    pub problem: Option<Problem>,
}

/// What is to be done after the new job is stored. Losing one does no harm: it comes again.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send the job; only over the connection that is open now, never again by itself.
    SendAssign,
    /// Tell it to end the job, or with `abandon` not to wait for it. Who does not know the job remembers that it must
    /// not start, and answers `cancelled` with the problem `not_found`.
    SendCancel { abandon: bool },
    /// The end is stored; the journal may forget the result.
    Ack,
    /// Say [`Event::Tick`] at this moment.
    Wake { at: Timestamp },
    /// Tell those who watch.
    Notify(JobEvent),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub job: Job,
    pub effects: Vec<Effect>,
}

/// What `event` at `now` makes of `job`. Parents are derived, never decided: see [`crate::derive`].
pub fn decide(job: &Job, event: Event, now: Timestamp) -> Decision {
    let mut step = Step { job: job.clone(), effects: Vec::new(), now };
    if job.state.is_final() {
        step.after_the_end(&event);
    } else {
        step.open(event);
    }
    Decision { job: step.job, effects: step.effects }
}

/// When [`Event::Tick`] may next do something for an open job, if ever.
pub fn due_at(job: &Job) -> Option<Timestamp> {
    if job.state.is_final() || job.is_parent {
        return None;
    }
    Some(match (&job.cancel, job.state) {
        (_, JobState::Queued) => job.expires_at,
        (Some(cancel), _) => cancel.sent_at + CANCEL_GRACE,
        (None, JobState::Assigned) => job.sent_at.map_or(job.expires_at, |sent| sent + RESEND),
        (None, _) => deadline(job).map_or(job.expires_at + GIVE_UP, |end| end + DEADLINE_SLACK),
    })
}

fn deadline(job: &Job) -> Option<Timestamp> {
    let seconds = i64::try_from(job.timeout_seconds?).unwrap_or(i64::MAX / 2);
    let begun = job.started_at.or(job.accepted_at)?;
    begun.checked_add(SignedDuration::from_secs(seconds)).ok()
}

struct Step {
    job: Job,
    effects: Vec<Effect>,
    now: Timestamp,
}

impl Step {
    fn after_the_end(&mut self, event: &Event) {
        match event {
            Event::Finished(_) => self.effects.push(Effect::Ack),
            // It still holds, or even runs, what is over here.
            Event::Online { known: true }
            | Event::Accepted
            | Event::Started
            | Event::Waiting { .. }
            | Event::Progress(_) => self.effects.push(Effect::SendCancel { abandon: true }),
            _ => {}
        }
    }

    fn open(&mut self, event: Event) {
        match event {
            Event::Dispatch if self.job.state == JobState::Queued => self.online(false),
            Event::Dispatch => {}
            Event::Online { known } => self.online(known),
            Event::Accepted => self.accepted(),
            Event::Started => self.started(),
            Event::Waiting { reason } => {
                self.accepted();
                self.job.progress.text = reason;
                self.move_to(JobState::Waiting);
            }
            Event::Progress(progress) => {
                if self.job.state != JobState::Waiting {
                    self.started();
                }
                self.job.progress = progress.clone();
                self.effects.push(Effect::Notify(JobEvent::Progress { progress }));
            }
            Event::Checkpoint(value) => self.job.checkpoint = Some(value),
            Event::Finished(outcome) => {
                self.finished(outcome);
                self.effects.push(Effect::Ack);
            }
            Event::CancelRequested { by } => self.cancel_requested(by),
            Event::Tick { online } => self.tick(online),
            Event::Lost => self.online(false),
            Event::Gone => self.gone(),
        }
    }

    fn online(&mut self, known: bool) {
        if known {
            self.accepted();
            if self.job.cancel.is_some() {
                self.send_cancel();
            }
            return;
        }
        match self.job.state {
            JobState::Queued | JobState::Assigned if self.job.cancel.is_some() => self.end(JobState::Cancelled),
            JobState::Queued | JobState::Assigned if self.is_expired() => self.end(JobState::Expired),
            JobState::Queued => {
                self.job.attempt += 1;
                self.job.assigned_at = Some(self.now);
                self.send_assign();
                self.move_to(JobState::Assigned);
            }
            JobState::Assigned => self.send_assign(),
            _ => self.lost(),
        }
    }

    /// It was accepted once and was cut off, or its journal is gone: only a command that may run twice runs again. The
    /// checkpoint of a machine's job is gone with the machine's journal; the administrator's own is in the job.
    fn lost(&mut self) {
        let here = self.job.machine.is_none();
        match self.job.on_interrupt {
            OnInterrupt::Report if here => return self.cut_off("the administrator went down meanwhile"),
            OnInterrupt::Report | OnInterrupt::Resume if !here => return self.cut_off("its journal was lost"),
            _ if self.job.cancel.is_some() => return self.end(JobState::Cancelled),
            _ if here && self.job.attempt >= MOST_ATTEMPTS => return self.cut_off("it was interrupted too often"),
            OnInterrupt::Rerun => self.job.checkpoint = None,
            OnInterrupt::Resume | OnInterrupt::Report => {}
        }
        self.job.attempt += 1;
        self.send_assign();
    }

    fn accepted(&mut self) {
        self.job.accepted_at.get_or_insert(self.now);
        if matches!(self.job.state, JobState::Queued | JobState::Assigned) {
            self.move_to(JobState::Accepted);
        }
    }

    fn started(&mut self) {
        self.job.accepted_at.get_or_insert(self.now);
        self.job.started_at.get_or_insert(self.now);
        if self.job.state != JobState::Running {
            self.move_to(JobState::Running);
        }
    }

    fn finished(&mut self, outcome: Outcome) {
        if let Some(result) = &outcome.result {
            self.effects.push(Effect::Notify(JobEvent::Result { result: result.clone() }));
        }
        let was_unknown = outcome.problem.as_ref().is_some_and(|p| p.code == Code::NotFound);
        let never_arrived = outcome.state == JobState::Cancelled && was_unknown && self.job.cancel.is_none();
        self.job.result = outcome.result;
        if never_arrived {
            return self.end(JobState::Expired);
        }
        self.job.problem = outcome.problem;
        self.end(if outcome.state.is_final() { outcome.state } else { JobState::Failed });
    }

    fn cancel_requested(&mut self, by: String) {
        if self.job.cancel.is_some() {
            return;
        }
        let undelivered = self.job.state == JobState::Queued;
        if undelivered {
            return self.end(JobState::Cancelled);
        }
        if self.job.cancel_policy == Cancel::No {
            return;
        }
        self.job.cancel = Some(CancelRequest { by, at: self.now, sent_at: self.now });
        self.send_cancel();
        self.effects.push(Effect::Wake { at: self.now + CANCEL_GRACE });
    }

    fn tick(&mut self, online: bool) {
        if self.job.state == JobState::Queued && self.is_expired() {
            return self.end(JobState::Expired);
        }
        if !online {
            return self.give_up_on_the_absent();
        }
        if let Some(cancel) = &self.job.cancel {
            if self.now >= cancel.sent_at + CANCEL_GRACE {
                self.send_cancel();
            }
        } else if self.job.state == JobState::Assigned {
            let due = self.job.sent_at.is_none_or(|sent| self.now >= sent + RESEND);
            match self.is_expired() {
                _ if !due => {}
                false => self.send_assign(),
                true => self.withdraw(),
            }
        } else if deadline(&self.job).is_some_and(|end| self.now >= end + DEADLINE_SLACK) {
            self.effects.push(Effect::SendCancel { abandon: true });
        }
    }

    /// It was sent, never answered, and is too late now: whether it had arrived, the answer tells.
    fn withdraw(&mut self) {
        self.job.sent_at = Some(self.now);
        self.effects.push(Effect::SendCancel { abandon: false });
    }

    fn give_up_on_the_absent(&mut self) {
        let should_have_ended = match self.job.state {
            JobState::Queued => return,
            JobState::Assigned => self.job.expires_at,
            _ => deadline(&self.job).unwrap_or(self.job.expires_at).max(self.job.expires_at),
        };
        let asked = self.job.cancel.as_ref().map_or(should_have_ended, |c| c.at.min(should_have_ended));
        if self.now >= asked + GIVE_UP {
            self.cut_off("the machine did not come back");
        }
    }

    fn gone(&mut self) {
        if self.job.state == JobState::Queued {
            return self.end(JobState::Cancelled);
        }
        self.cut_off("the machine was removed");
    }

    fn cut_off(&mut self, cause: &str) {
        let message = format!("It was cut off: {cause}. It is not known how far it came.");
        let fix = "Look at what it left behind before you run it again.";
        self.job.problem = Some(Problem::new(Code::Unavailable, message).fix(fix));
        self.end(JobState::Unknown);
    }

    fn send_assign(&mut self) {
        self.job.sent_at = Some(self.now);
        self.effects.push(Effect::SendAssign);
    }

    fn send_cancel(&mut self) {
        let now = self.now;
        if let Some(cancel) = &mut self.job.cancel {
            cancel.sent_at = now;
            let abandon = now >= cancel.at + CANCEL_GRACE;
            self.effects.push(Effect::SendCancel { abandon });
        }
    }

    fn end(&mut self, state: JobState) {
        self.job.ended_at = Some(self.now);
        self.job.checkpoint = None;
        // A command that told how far it was, and came to its end, was all the way.
        if state == JobState::Succeeded && self.job.progress.fraction.is_some() {
            self.job.progress.fraction = Some(1.0);
        }
        if let Some(problem) = &self.job.problem {
            self.effects.push(Effect::Notify(JobEvent::Problem { problem: problem.clone() }));
        }
        self.move_to(state);
    }

    fn move_to(&mut self, state: JobState) {
        if self.job.state != state {
            self.job.state = state;
            self.effects.push(Effect::Notify(JobEvent::State { state }));
        }
    }

    fn is_expired(&self) -> bool {
        self.now >= self.job.expires_at
    }
}
