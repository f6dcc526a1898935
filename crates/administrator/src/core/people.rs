//! Commands on operators and tokens.

use super::Asked;
use crate::web::hashed;
use identity::{Operator, OperatorId, ReadStore, Role};
use jiff::{SignedDuration, Timestamp};
use schema::Problem;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewOperator {
    name: String,
    role: Role,
    password: String,
}

pub(super) async fn create_operator(asked: &Asked<'_>, input: NewOperator) -> Result<Value, Problem> {
    let NewOperator { name, role, password } = input;
    let hash = hashed(asked.app, name.clone(), password).await?;
    let write = move |store: &mut database::Write<'_>| {
        let made = identity::create_operator(store, &name, role, Some(hash), Timestamp::now())?;
        Ok(made.map_err(Problem::from)?)
    };
    let operator = asked.app.database.write(write).await?;
    // A manager with a name ends the set-up, and with it the sessions of the first operator.
    asked.app.grants_changed.send_replace(());
    Ok(json!({"id": operator.id}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRole {
    operator: String,
    role: Role,
}

pub(super) async fn set_role(asked: &Asked<'_>, input: NewRole) -> Result<Value, Problem> {
    let write = move |store: &mut database::Write<'_>| {
        let operator = find(store, &input.operator)?;
        Ok(identity::set_role(store, operator.id, input.role)?.map_err(Problem::from)?)
    };
    asked.app.database.write(write).await?;
    asked.app.grants_changed.send_replace(());
    Ok(Value::Null)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    operator: String,
    password: String,
}

pub(super) async fn set_password(asked: &Asked<'_>, input: NewPassword) -> Result<Value, Problem> {
    let NewPassword { operator, password } = input;
    let operator = asked.app.database.read(move |store| Ok(find(store, &operator)?)).await?;
    let hash = hashed(asked.app, operator.name.clone(), password).await?;
    let write = move |store: &mut database::Write<'_>| {
        Ok(identity::change_password(store, operator.id, hash)?.map_err(Problem::from)?)
    };
    asked.app.database.write(write).await?;
    asked.app.grants_changed.send_replace(());
    Ok(Value::Null)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneOperator {
    operator: String,
}

pub(super) async fn remove_operator(asked: &Asked<'_>, input: OneOperator) -> Result<Value, Problem> {
    let write = move |store: &mut database::Write<'_>| {
        let operator = find(store, &input.operator)?;
        Ok(identity::remove_operator(store, operator.id)?.map_err(Problem::from)?)
    };
    asked.app.database.write(write).await?;
    asked.app.grants_changed.send_replace(());
    Ok(Value::Null)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    name: String,
    role: Role,
    /// 0 for ever.
    #[serde(default)]
    valid_days: i64,
}

/// A token does no more than its maker; one that a program asks for has the program's own maker.
pub(super) async fn create_token(asked: &Asked<'_>, input: NewToken) -> Result<Value, Problem> {
    let maker = asked.job.operator.id.clone();
    let write = move |store: &mut database::Write<'_>| {
        let now = Timestamp::now();
        let maker = maker_of(store, &maker)?;
        let expires_at = (input.valid_days > 0).then(|| now + SignedDuration::from_hours(24 * input.valid_days));
        let made = identity::create_token(store, &input.name, input.role, maker.as_ref(), expires_at, now)?;
        Ok(made.map_err(Problem::from)?)
    };
    let (secret, token) = asked.app.database.write(write).await?;
    Ok(json!({"id": token.id, "token": secret.reveal()}))
}

/// The operator who asks, or who made the token that asks; `None` for a token made on the administrator's own machine.
fn maker_of(store: &database::Write<'_>, id: &str) -> Result<Option<Operator>, Problem> {
    let gone = || Problem::new(schema::Code::PermissionDenied, "who asked for this is not an operator any more.");
    let id = Uuid::parse_str(id).map_err(|_| gone())?;
    if let Some(operator) = store.operator(OperatorId(id))? {
        return Ok(Some(operator));
    }
    let token = store.api_tokens()?.into_iter().find(|token| token.id == id).ok_or_else(gone)?;
    match token.maker {
        None => Ok(None),
        Some(maker) => store.operator(maker)?.map(Some).ok_or_else(gone),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneToken {
    token: String,
}

pub(super) async fn revoke_token(asked: &Asked<'_>, input: OneToken) -> Result<Value, Problem> {
    let write = move |store: &mut database::Write<'_>| {
        let tokens = store.api_tokens()?;
        let named: Vec<Uuid> =
            tokens.iter().filter(|t| t.id.to_string() == input.token || t.name == input.token).map(|t| t.id).collect();
        match named.as_slice() {
            [id] => Ok(identity::revoke_token(store, *id).map(|_| ())?),
            [] => Err(Problem::not_found("there is no such token.").at("token").into()),
            _ => Err(Problem::new(schema::Code::Conflict, "several tokens have that name: give the id.")
                .at("token")
                .into()),
        }
    };
    asked.app.database.write(write).await?;
    asked.app.grants_changed.send_replace(());
    Ok(Value::Null)
}

/// The operator with this id or name.
fn find<S: ReadStore>(store: &S, id_or_name: &str) -> Result<Operator, Problem>
where
    Problem: From<S::Error>,
{
    let by_id = Uuid::parse_str(id_or_name).ok().map(OperatorId);
    let found = match by_id {
        Some(id) => store.operator(id)?,
        None => store.operator_by_name(&id_or_name.trim().to_lowercase())?,
    };
    found.ok_or_else(|| {
        Problem::not_found(format!("there is no operator {}.", schema::neutral_text(id_or_name)))
            .at("operator")
            .fix("Give the name or id of one on the Operators screen.")
    })
}
