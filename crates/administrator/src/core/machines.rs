//! Commands on machines and groups.

use super::Asked;
use fleet::{Lookup as _, MachineId, Store as _};
use identity::Store as _;
use identity::{JoinSecret, JoinToken, StoredJoin};
use jiff::{SignedDuration, Timestamp};
use jobs::{Event, JobId, Lookup as _};
use schema::Problem;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JoinTokenInput {
    valid_minutes: i64,
}

/// A fresh word that lets one machine in, and the line around it that is pasted there.
pub(super) async fn join_token(asked: &Asked<'_>, input: JoinTokenInput) -> Result<Value, Problem> {
    invitation(asked, input.valid_minutes, None).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rebind {
    machine: String,
    valid_minutes: i64,
}

/// As [`join_token`], for a device that takes the place of a machine that is known.
pub(super) async fn rebind(asked: &Asked<'_>, input: Rebind) -> Result<Value, Problem> {
    let machine = asked.app.database.read(move |store| Ok(store.find_machine(&input.machine)?.id)).await?;
    invitation(asked, input.valid_minutes, Some(machine)).await
}

async fn invitation(asked: &Asked<'_>, valid_minutes: i64, machine: Option<MachineId>) -> Result<Value, Problem> {
    let expires_at = Timestamp::now() + SignedDuration::from_mins(valid_minutes);
    let invitation = Invitation { machine, expires_at, operator: asked.job.operator.name.clone() };
    let word = asked.app.new_join_token(asked.app.reach.for_others(), invitation).await?;
    let line = asked.app.install_line(&word);
    Ok(json!({"token": word, "line": line, "expires_at": expires_at.to_string()}))
}

/// Whom a join token lets in.
pub(crate) struct Invitation {
    /// The machine whose place the bearer takes; a machine of its own where absent.
    pub(crate) machine: Option<MachineId>,
    pub(crate) expires_at: Timestamp,
    /// Who invites.
    pub(crate) operator: String,
}

impl crate::app::App {
    /// Stores a fresh join token and returns its word.
    pub(crate) async fn new_join_token(
        &self,
        addresses: Vec<identity::Address>,
        invitation: Invitation,
    ) -> Result<String, Problem> {
        let secret = JoinSecret::generate();
        let hash = secret.hash();
        let token = JoinToken { addresses, secret, authority: self.authority.fingerprint() };
        let word = token.to_word().map_err(|e| Problem::internal(format!("the join token cannot be made: {e}.")))?;
        let stored = StoredJoin {
            id: Uuid::now_v7(),
            secret: hash,
            machine: invitation.machine.map(Uuid::from),
            created_by: invitation.operator,
            created_at: Timestamp::now(),
            expires_at: invitation.expires_at,
            used: None,
        };
        self.database.write(move |store| Ok(store.insert_join(&stored)?)).await?;
        Ok(word)
    }

    /// The line to paste on a machine: it fetches the agent from here and checks whom it fetches it from.
    pub(crate) fn install_line(&self, word: &str) -> String {
        let pin = self.authority.server_key_pin();
        let address = self.reach.for_others().first().map(ToString::to_string).unwrap_or_default();
        format!("curl -fsSk --pinnedpubkey 'sha256//{pin}' https://{address}/install | sh -s -- {word}")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rename {
    machine: String,
    #[serde(default)]
    name: String,
}

pub(super) async fn rename(asked: &Asked<'_>, input: Rename) -> Result<Value, Problem> {
    let write = move |store: &mut database::Write<'_>| {
        let machine = store.find_machine(&input.machine)?;
        store.rename_machine(machine.id, &input.name)?;
        Ok(())
    };
    asked.app.database.write(write).await?;
    Ok(Value::Null)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneMachine {
    machine: String,
}

/// Refuses the machine's identity from now on and ends its connection.
pub(super) async fn revoke(asked: &Asked<'_>, input: OneMachine) -> Result<Value, Problem> {
    let write = move |store: &mut database::Write<'_>| {
        let machine = store.find_machine(&input.machine)?;
        store.revoke_machine(machine.id, Timestamp::now())?;
        Ok(machine.id)
    };
    let machine = asked.app.database.write(write).await?;
    asked.app.agents().revoke(machine, "an operator revoked this machine.");
    Ok(Value::Null)
}

/// Forgets the machine; its agent is refused, and its open jobs end.
pub(super) async fn remove(asked: &Asked<'_>, input: OneMachine) -> Result<Value, Problem> {
    let write = move |store: &mut database::Write<'_>| {
        let machine = store.find_machine(&input.machine)?;
        let open: Vec<JobId> = store.open_jobs_of(*machine.id.as_uuid())?.iter().map(|job| job.id).collect();
        store.revoke_machine(machine.id, Timestamp::now())?;
        store.remove_machine(machine.id)?;
        Ok((machine.id, open))
    };
    let (machine, open): (MachineId, Vec<JobId>) = asked.app.database.write(write).await?;
    asked.app.agents().revoke(machine, "an operator revoked this machine.");
    asked.app.job_events(open.into_iter().map(|job| (job, Event::Gone)).collect()).await?;
    Ok(Value::Null)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewGroup {
    name: String,
    #[serde(default)]
    description: String,
}

pub(super) async fn create_group(asked: &Asked<'_>, input: NewGroup) -> Result<Value, Problem> {
    let write = move |store: &mut database::Write<'_>| {
        Ok(store.create_group(&input.name, &input.description, Timestamp::now())?)
    };
    let group = asked.app.database.write(write).await?;
    Ok(json!({"id": group.id}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneGroup {
    group: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RenameGroup {
    group: String,
    name: String,
}

pub(super) async fn rename_group(asked: &Asked<'_>, input: RenameGroup) -> Result<Value, Problem> {
    let write = move |store: &mut database::Write<'_>| {
        let group = store.find_group(&input.group)?;
        Ok(store.rename_group(group.id, &input.name)?)
    };
    asked.app.database.write(write).await?;
    Ok(Value::Null)
}

pub(super) async fn delete_group(asked: &Asked<'_>, input: OneGroup) -> Result<Value, Problem> {
    let write = move |store: &mut database::Write<'_>| {
        let group = store.find_group(&input.group)?;
        Ok(store.delete_group(group.id)?)
    };
    asked.app.database.write(write).await?;
    asked.app.settings_changed.send_replace(());
    Ok(Value::Null)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Members {
    group: String,
    machines: Vec<String>,
}

pub(super) async fn add_to_group(asked: &Asked<'_>, input: Members) -> Result<Value, Problem> {
    let write = move |store: &mut database::Write<'_>| {
        let (group, machines) = input.found(store)?;
        Ok(store.add_to_group(group, &machines)?)
    };
    asked.app.database.write(write).await?;
    asked.app.settings_changed.send_replace(());
    Ok(Value::Null)
}

pub(super) async fn remove_from_group(asked: &Asked<'_>, input: Members) -> Result<Value, Problem> {
    let write = move |store: &mut database::Write<'_>| {
        let (group, machines) = input.found(store)?;
        Ok(store.remove_from_group(group, &machines)?)
    };
    asked.app.database.write(write).await?;
    asked.app.settings_changed.send_replace(());
    Ok(Value::Null)
}

impl Members {
    fn found(&self, store: &database::Write<'_>) -> Result<(fleet::GroupId, Vec<MachineId>), Problem> {
        let group = store.find_group(&self.group)?;
        let machines: Result<_, Problem> =
            self.machines.iter().map(|name| store.find_machine(name).map(|machine| machine.id)).collect();
        Ok((group.id, machines?))
    }
}
