//! The commands of the core's own module: machines, groups, operators, tokens, settings. They are jobs like any other.

pub(crate) mod machines;
mod people;
mod settings;

use crate::app::App;
use jobs::Job;
use schema::{Code, Object, Problem};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;

/// Name of the core's own module.
pub(crate) const NAME: &str = "fleet";

/// Who asked for a command of the core, for records and rights.
pub(crate) struct Asked<'a> {
    pub(crate) app: &'a Arc<App>,
    pub(crate) job: &'a Job,
}

/// Runs one command of the core.
///
/// # Errors
/// What the command refuses, or `unknown_command`.
pub(crate) async fn run(app: &Arc<App>, job: &Job, input: Object) -> Result<Value, Problem> {
    let asked = Asked { app, job };
    let short = job.command.split_once('.').map_or(job.command.as_str(), |(_, short)| short);
    match short {
        "join-token" => machines::join_token(&asked, read(input)?).await,
        "rename-machine" => machines::rename(&asked, read(input)?).await,
        "rebind" => machines::rebind(&asked, read(input)?).await,
        "revoke" => machines::revoke(&asked, read(input)?).await,
        "remove-machine" => machines::remove(&asked, read(input)?).await,
        "create-group" => machines::create_group(&asked, read(input)?).await,
        "rename-group" => machines::rename_group(&asked, read(input)?).await,
        "delete-group" => machines::delete_group(&asked, read(input)?).await,
        "add-to-group" => machines::add_to_group(&asked, read(input)?).await,
        "remove-from-group" => machines::remove_from_group(&asked, read(input)?).await,
        "create-operator" => people::create_operator(&asked, read(input)?).await,
        "set-role" => people::set_role(&asked, read(input)?).await,
        "set-password" => people::set_password(&asked, read(input)?).await,
        "remove-operator" => people::remove_operator(&asked, read(input)?).await,
        "create-token" => people::create_token(&asked, read(input)?).await,
        "revoke-token" => people::revoke_token(&asked, read(input)?).await,
        "change-setting" => settings::change(&asked, read(input)?).await,
        "reset-setting" => settings::reset(&asked, read(input)?).await,
        _ => Err(Problem::new(Code::UnknownCommand, format!("the core has no command {short}."))),
    }
}

/// The input was checked against its schema when the job was made; what is left is a mistake of this program.
fn read<T: DeserializeOwned>(input: Object) -> Result<T, Problem> {
    serde_json::from_value(Value::Object(input)).map_err(|e| Problem::bad_request(format!("{e}.")).at("input"))
}

#[cfg(test)]
mod tests {
    /// Every command of the manifest is carried out here; one that is only declared would be a dead button.
    #[test]
    fn every_declared_command_is_carried_out() {
        let source = include_str!("core.rs");
        for command in fleet::manifest().commands {
            assert!(source.contains(&format!("\"{}\" =>", command.id)), "{} is not carried out", command.id);
        }
    }
}
