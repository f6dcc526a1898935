//! The administrator's side: the one keeper of the vault, and what machines may ask of it.
//!
//! A machine is known by what the host says of it, never by what it says of itself, and has the vault's four verbs and
//! no other.

mod faults;
mod last;
mod measure;
mod opened;
pub(crate) mod overview;
mod read;
mod receive;

pub(crate) use faults::{Said, fault_of, said};
pub(crate) use last::watch;
pub(crate) use measure::NO_QUOTA;
pub(crate) use opened::{make, open, password, reading, vault_folder};
pub(crate) use read::find;
pub(crate) use receive::MASS_CHANGE;

use crate::wire::{READ, RECEIVE};
use sdk::prelude::*;
use sdk::schema::Code;

/// The one domain in which machines of the site share what they have in common.
pub(crate) const DOMAIN: &str = "site";

/// Takes a channel of a machine.
pub(crate) async fn accept(ctx: Ctx, stream: Stream) -> Result<()> {
    match ctx.name() {
        RECEIVE => receive::serve(ctx, stream).await,
        READ => read::serve(ctx, stream).await,
        other => Err(fault(Code::NotFound, format!("there is no channel {other}."))),
    }
}

/// What a machine's set of paths is called in the vault: the machine, and the set where it has a name.
pub(crate) fn source(machine: &str, name: &str) -> String {
    if name.is_empty() { machine.to_owned() } else { format!("{machine}:{name}") }
}

/// The machine and the set of a source.
pub(crate) fn machine_and_name(source: &str) -> (&str, &str) {
    source.split_once(':').unwrap_or((source, ""))
}

/// The machine at the other end, as its host knows it.
fn machine_of(ctx: &Ctx) -> Result<String> {
    match ctx.machine() {
        Some(machine) => Ok(machine.to_owned()),
        None => Err(fault(Code::BadRequest, "only a machine can back up or restore.")),
    }
}
