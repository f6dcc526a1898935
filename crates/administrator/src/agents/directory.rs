//! What the agents' port must know of machines, and what it has stored: a seam, so that the port is tested without SQL.

use database::{Database, Error};
use fleet::{Facts, Lookup, MachineId, NewMachine, Presence, Store};
use futures::future::BoxFuture;
use identity::audit::Entry;
use identity::{ActorKind, JoinSecret, audit, join};
use jiff::Timestamp;
use schema::{Code, Problem};

/// Whether a machine's identity is good at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Good,
    /// Not known any more, revoked or held: with the sentence its agent is told.
    Refused(String),
}

/// The machines of the site as stored.
pub trait Directory: Send + Sync + 'static {
    /// Uses up the join token with this secret for the machine and takes the machine in, in one transaction with the
    /// audit record. `from` is the network address it came from.
    fn enrol(&self, secret: JoinSecret, machine: NewMachine, from: String) -> BoxFuture<'_, Result<(), Problem>>;
    fn standing(&self, machine: MachineId) -> BoxFuture<'_, Result<Standing, Problem>>;
    fn presence(&self, batch: Vec<Presence>) -> BoxFuture<'_, Result<(), Problem>>;
    fn facts(&self, machine: MachineId, facts: Facts) -> BoxFuture<'_, Result<(), Problem>>;
    /// Nobody is connected: said once at the start.
    fn all_offline(&self) -> BoxFuture<'_, Result<(), Problem>>;
}

impl Directory for Database {
    fn enrol(&self, secret: JoinSecret, machine: NewMachine, from: String) -> BoxFuture<'_, Result<(), Problem>> {
        Box::pin(async move {
            let enrolled = self.write(move |write| {
                let now = Timestamp::now();
                if let Err(refused) = join::redeem(write, &secret, machine.id.into(), now)? {
                    return Err(Problem::new(Code::PermissionDenied, sentence(&refused.to_string())).into());
                }
                Store::enrol(write, &machine, now)?;
                let entry = Entry::of(ActorKind::Agent, schema::neutral_text(&machine.facts.name), "machine.enrol");
                audit::append(write, entry.on(machine.id.to_string()).from(from), now)?;
                Ok::<(), Error>(())
            });
            Ok(enrolled.await?)
        })
    }

    fn standing(&self, machine: MachineId) -> BoxFuture<'_, Result<Standing, Problem>> {
        Box::pin(async move {
            let known = self.read(move |read| Ok(read.machine(machine)?)).await?;
            Ok(match known {
                None => Standing::Refused("This machine was removed from the fleet.".to_owned()),
                Some(known) if known.revoked_at.is_some() => {
                    Standing::Refused("An operator took this machine's identity back.".to_owned())
                }
                Some(_) => Standing::Good,
            })
        })
    }

    fn presence(&self, batch: Vec<Presence>) -> BoxFuture<'_, Result<(), Problem>> {
        Box::pin(async move { Ok(self.write(move |write| Ok(write.set_presence(&batch)?)).await?) })
    }

    fn facts(&self, machine: MachineId, facts: Facts) -> BoxFuture<'_, Result<(), Problem>> {
        Box::pin(async move { Ok(self.write(move |write| Ok(write.set_facts(machine, &facts)?)).await?) })
    }

    fn all_offline(&self) -> BoxFuture<'_, Result<(), Problem>> {
        Box::pin(async move { Ok(self.write(|write| Ok(write.all_offline()?)).await?) })
    }
}

/// A sentence of an error's text.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
