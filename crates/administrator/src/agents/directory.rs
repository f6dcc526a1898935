//! What the agents' port must know of machines, and what it has stored: a seam, so that the port is tested without SQL.

use fleet::{Facts, MachineId, Presence};
use futures::future::BoxFuture;
use identity::JoinSecret;
use schema::Problem;

/// Whether a machine's identity is good at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Good,
    /// Not known any more, revoked or held: with the sentence its agent is told.
    Refused(String),
}

/// The machines of the site as stored.
pub trait Directory: Send + Sync + 'static {
    /// Uses up the join token with this secret for `machine` and takes the machine in, in one transaction.
    fn enrol(&self, secret: JoinSecret, machine: MachineId, facts: Facts) -> BoxFuture<'_, Result<(), Problem>>;
    fn standing(&self, machine: MachineId) -> BoxFuture<'_, Result<Standing, Problem>>;
    fn presence(&self, batch: Vec<Presence>) -> BoxFuture<'_, Result<(), Problem>>;
    fn facts(&self, machine: MachineId, facts: Facts) -> BoxFuture<'_, Result<(), Problem>>;
    /// Nobody is connected: said once at the start.
    fn all_offline(&self) -> BoxFuture<'_, Result<(), Problem>>;
}
