//! What the agents' port must know of machines, and what it has stored: a seam, so that the port is tested without SQL.

use database::{Database, Error, Write};
use fleet::{Facts, Lookup, Machine, MachineId, NewMachine, Presence, Store};
use futures::future::BoxFuture;
use identity::audit::Entry;
use identity::{ActorKind, AgentIdentity, Fingerprint, JoinSecret, audit, join};
use jiff::Timestamp;
use schema::{Code, Problem};

/// Whether a machine's identity is good at this moment.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    Good,
    /// Not known any more, revoked, held or another device's now: what its agent is told.
    Refused(Problem),
}

/// A machine that was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enrolled {
    pub machine: MachineId,
    /// False where the answer to the same enrolment is asked for once more.
    pub is_new_here: bool,
    /// Who was this machine before is not any more.
    pub takes_a_place: bool,
}

/// The machines of the site as stored.
pub trait Directory: Send + Sync + 'static {
    /// Uses up the join token with this secret for the device with this key and takes its machine in, in one
    /// transaction with the audit record. `from` is the network address it came from.
    fn enrol(
        &self,
        secret: JoinSecret,
        key: Fingerprint,
        facts: Facts,
        from: String,
    ) -> BoxFuture<'_, Result<Enrolled, Problem>>;
    /// Whether the holder of this certificate is the machine that it names.
    fn standing(&self, identity: &AgentIdentity) -> BoxFuture<'_, Result<Standing, Problem>>;
    /// Refuses a machine from now on, also after a restart, until it is enrolled as [`way_back`] says.
    fn hold(&self, machine: MachineId, reason: String) -> BoxFuture<'_, Result<(), Problem>>;
    fn presence(&self, batch: Vec<Presence>) -> BoxFuture<'_, Result<(), Problem>>;
    fn facts(&self, machine: MachineId, facts: Facts) -> BoxFuture<'_, Result<(), Problem>>;
    /// Nobody is connected: said once at the start.
    fn all_offline(&self) -> BoxFuture<'_, Result<(), Problem>>;
}

impl Directory for Database {
    fn enrol(
        &self,
        secret: JoinSecret,
        key: Fingerprint,
        facts: Facts,
        from: String,
    ) -> BoxFuture<'_, Result<Enrolled, Problem>> {
        Box::pin(async move {
            let enrolled = self.write(move |write| {
                let now = Timestamp::now();
                let enrolled = admit(write, &secret, key, now)?;
                let name = schema::neutral_text(&facts.name);
                let machine = NewMachine { id: enrolled.machine, device_key: key.to_string(), facts };
                Store::enrol(write, &machine, now)?;
                if enrolled.takes_a_place {
                    Store::refuse_older_certificates(write, machine.id, now)?;
                }
                let entry = Entry::of(ActorKind::Agent, name, "machine.enrol");
                audit::append(write, entry.on(machine.id.to_string()).from(from), now)?;
                Ok(enrolled)
            });
            Ok(enrolled.await?)
        })
    }

    fn standing(&self, identity: &AgentIdentity) -> BoxFuture<'_, Result<Standing, Problem>> {
        let (machine, key, issued) = (MachineId::from_uuid(identity.machine), identity.key, identity.issued_at());
        Box::pin(async move {
            let known = self.read(move |read| Ok(read.machine(machine)?)).await?;
            let from = known.as_ref().and_then(|machine| machine.certified_from);
            // Certificates know whole seconds.
            let is_older = from.is_some_and(|from| issued.as_second() < from.as_second());
            let refused = refusal(machine, known.as_ref(), key).or_else(|| is_older.then(|| replaced(machine)));
            Ok(refused.map_or(Standing::Good, Standing::Refused))
        })
    }

    fn hold(&self, machine: MachineId, reason: String) -> BoxFuture<'_, Result<(), Problem>> {
        Box::pin(async move { Ok(self.write(move |write| Ok(write.hold_machine(machine, &reason)?)).await?) })
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

/// Which machine the device with this key is, where the join token lets it in. What an operator decided about a machine
/// is undone only by a token that an operator made for that machine.
fn admit(write: &mut Write<'_>, secret: &JoinSecret, key: Fingerprint, now: Timestamp) -> Result<Enrolled, Error> {
    let same_key = write.machine_by_key(&key.to_string())?;
    let own = same_key.as_ref().map_or_else(MachineId::new, |machine| machine.id);
    let token = join::redeem(write, secret, own.into(), now)?.map_err(|refused| denied(refused.to_string()))?;
    let (machine, is_repeat) = (token.machine.map_or(own, MachineId::from), token.used.is_some());
    let known = write.machine(machine)?;
    match known.as_ref() {
        Some(_) if token.machine.is_some() && !is_repeat => {}
        None if token.machine.is_none() && !is_repeat => {}
        known => {
            if let Some(problem) = refusal(machine, known, key) {
                return Err(problem.into());
            }
        }
    }
    Ok(Enrolled { machine, is_new_here: !is_repeat, takes_a_place: token.machine.is_some() && !is_repeat })
}

/// Why the holder of `key` is not this machine.
fn refusal(id: MachineId, known: Option<&Machine>, key: Fingerprint) -> Option<Problem> {
    let Some(machine) = known else {
        let problem = denied("this machine was removed from the fleet");
        return Some(problem.fix("If it is to be managed again, enrol it with a new join token."));
    };
    let refused = if machine.revoked_at.is_some() {
        denied("an operator took this machine's identity back")
    } else if let Some(reason) = &machine.held {
        Problem::new(Code::PermissionDenied, reason)
    } else if !machine.device_key.is_empty() && machine.device_key != key.to_string() {
        return Some(replaced(id));
    } else {
        return None;
    };
    Some(refused.fix(way_back(id)))
}

fn replaced(id: MachineId) -> Problem {
    denied("another device took this machine's place").fix(way_back(id))
}

/// How a machine comes back that is refused.
pub(super) fn way_back(machine: MachineId) -> String {
    format!("An operator can let it back in on the Machines screen, or with: bailiwick fleet rebind {machine}")
}

fn denied(text: impl Into<String>) -> Problem {
    Problem::new(Code::PermissionDenied, sentence(&text.into()))
}

/// A sentence of an error's text.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
