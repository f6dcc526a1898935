//! Operators: the people at the console. The first is made without a name or password and sets both once.

use crate::passwords::{Passwords, WeakPassword};
use crate::roles::{Actor, ActorKind, Reach, Role};
use crate::store::Store;
use jiff::Timestamp;
use schema::{Code, Problem};
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// What the first operator goes by until set-up; nobody else may take it.
const FIRST: &str = "first operator";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperatorId(pub Uuid);

impl fmt::Display for OperatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Clone, PartialEq, Eq)]
pub struct Operator {
    pub id: OperatorId,
    /// Empty until set-up.
    pub name: String,
    pub role: Role,
    /// Hash of the password; without one nobody signs in with a password.
    pub password: Option<String>,
    pub created_at: Timestamp,
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator").field("id", &self.id).field("name", &self.name).field("role", &self.role).finish()
    }
}

impl Operator {
    /// Whether this is the first operator, still without a name and password.
    pub fn awaits_set_up(&self) -> bool {
        self.name.is_empty()
    }

    /// The name as it is compared: nobody can pass for `Ada` as `ada`.
    pub fn folded_name(&self) -> String {
        fold(&self.name)
    }

    pub fn actor(&self) -> Actor {
        Actor {
            kind: ActorKind::Operator,
            id: self.id.0,
            name: if self.awaits_set_up() { FIRST.to_owned() } else { self.name.clone() },
            role: self.role,
            maker_role: None,
            reach: Reach::Everything,
        }
    }
}

pub(crate) fn fold(name: &str) -> String {
    name.trim().to_lowercase()
}

/// Why a change to operators is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperatorError {
    #[error("a name has 1 to 64 characters, none of them invisible")]
    Name,
    #[error("there is an operator {0} already")]
    Taken(String),
    #[error(transparent)]
    Password(#[from] WeakPassword),
    #[error("set-up is over: the first operator has a name and password")]
    AlreadySetUp,
    #[error("the name or the password is wrong")]
    WrongPassword,
    #[error("this is the last manager; make another operator a manager first")]
    LastManager,
    #[error("there is no such operator")]
    NotFound,
    #[error("a token may not do more than its maker, whose role is {0}")]
    ExceedsMaker(Role),
}

impl From<OperatorError> for Problem {
    fn from(error: OperatorError) -> Problem {
        let (code, field) = match &error {
            OperatorError::Name => (Code::BadRequest, Some("name")),
            OperatorError::Taken(_) => (Code::Conflict, Some("name")),
            OperatorError::Password(_) => (Code::BadRequest, Some("password")),
            OperatorError::ExceedsMaker(_) => (Code::PermissionDenied, Some("role")),
            OperatorError::AlreadySetUp | OperatorError::NotFound => (Code::NotFound, None),
            OperatorError::WrongPassword => (Code::Unauthenticated, None),
            OperatorError::LastManager => (Code::Conflict, None),
        };
        let problem = Problem::new(code, format!("{error}."));
        match field {
            Some(field) => problem.at(field),
            None => problem,
        }
    }
}

/// The name as it is kept: trimmed, 1 to 64 characters, nothing that a screen would not show as it is.
///
/// # Errors
/// [`OperatorError::Name`].
pub fn check_name(name: &str) -> Result<String, OperatorError> {
    let name = name.trim();
    let fits = (1..=64).contains(&name.chars().count()) && schema::neutral_text(name) == name;
    if fits { Ok(name.to_owned()) } else { Err(OperatorError::Name) }
}

/// Makes the first operator where there is none; returns the one that still awaits set-up. As soon as there is a manager
/// with a name there is none that awaits it.
///
/// # Errors
/// Those of the store.
pub fn first_operator<S: Store>(store: &mut S, now: Timestamp) -> Result<Option<Operator>, S::Error> {
    close_set_up(store)?;
    let operators = store.operators()?;
    if let Some(waiting) = operators.iter().find(|o| o.awaits_set_up()) {
        return Ok(Some(waiting.clone()));
    }
    if !operators.is_empty() {
        return Ok(None);
    }
    let first = Operator {
        id: OperatorId(Uuid::now_v7()),
        name: String::new(),
        role: Role::Manager,
        password: None,
        created_at: now,
    };
    store.insert_operator(&first)?;
    Ok(Some(first))
}

/// Gives the first operator its name and password, once. `password` is a hash from [`Passwords::hash`].
///
/// # Errors
/// Those of the store; the inner error is the refusal.
pub fn set_up<S: Store>(
    store: &mut S,
    id: OperatorId,
    name: &str,
    password: String,
) -> Result<Result<Operator, OperatorError>, S::Error> {
    let Some(operator) = store.operator(id)? else { return Ok(Err(OperatorError::NotFound)) };
    if !operator.awaits_set_up() {
        return Ok(Err(OperatorError::AlreadySetUp));
    }
    let name = match free_name(store, name)? {
        Ok(name) => name,
        Err(error) => return Ok(Err(error)),
    };
    let operator = Operator { name, password: Some(password), ..operator };
    store.update_operator(&operator)?;
    Ok(Ok(operator))
}

/// Makes a further operator. `password` is a hash from [`Passwords::hash`].
///
/// # Errors
/// Those of the store; the inner error is the refusal.
pub fn create_operator<S: Store>(
    store: &mut S,
    name: &str,
    role: Role,
    password: Option<String>,
    now: Timestamp,
) -> Result<Result<Operator, OperatorError>, S::Error> {
    let name = match free_name(store, name)? {
        Ok(name) => name,
        Err(error) => return Ok(Err(error)),
    };
    let operator = Operator { id: OperatorId(Uuid::now_v7()), name, role, password, created_at: now };
    store.insert_operator(&operator)?;
    close_set_up(store)?;
    Ok(Ok(operator))
}

/// Removes the operator that awaits set-up where there is a manager with a name, and with it its sessions and links.
fn close_set_up<S: Store>(store: &mut S) -> Result<(), S::Error> {
    let operators = store.operators()?;
    let is_over = operators.iter().any(|o| o.role == Role::Manager && !o.awaits_set_up());
    for waiting in operators.iter().filter(|o| is_over && o.awaits_set_up()) {
        // It is not the last manager.
        let _ = remove_operator(store, waiting.id)?;
    }
    Ok(())
}

fn free_name<S: Store>(store: &S, name: &str) -> Result<Result<String, OperatorError>, S::Error> {
    let name = match check_name(name) {
        Ok(name) => name,
        Err(error) => return Ok(Err(error)),
    };
    Ok(match store.operator_by_name(&fold(&name))? {
        _ if fold(&name) == FIRST => Err(OperatorError::Taken(name)),
        Some(_) => Err(OperatorError::Taken(name)),
        None => Ok(name),
    })
}

/// Whether `password` is that of `operator`. Does the same work without an operator, or for one without a password.
///
/// # Errors
/// [`OperatorError::WrongPassword`], whatever was wrong.
pub fn check_sign_in(passwords: &Passwords, operator: Option<&Operator>, password: &str) -> Result<(), OperatorError> {
    let kept = operator.and_then(|o| o.password.as_deref());
    if passwords.verify(password, kept) { Ok(()) } else { Err(OperatorError::WrongPassword) }
}

/// Puts the hash of a new password in place and ends all sessions of the operator; its own goes on with a fresh one.
///
/// # Errors
/// Those of the store; the inner error is the refusal.
pub fn change_password<S: Store>(
    store: &mut S,
    id: OperatorId,
    password: String,
) -> Result<Result<(), OperatorError>, S::Error> {
    let Some(operator) = store.operator(id)?.filter(|o| !o.awaits_set_up()) else {
        return Ok(Err(OperatorError::NotFound));
    };
    store.update_operator(&Operator { password: Some(password), ..operator })?;
    store.delete_sessions_of(id)?;
    Ok(Ok(()))
}

/// Changes the role and ends all sessions of the operator.
///
/// # Errors
/// Those of the store; the inner error is the refusal.
pub fn set_role<S: Store>(store: &mut S, id: OperatorId, role: Role) -> Result<Result<(), OperatorError>, S::Error> {
    let Some(operator) = store.operator(id)? else { return Ok(Err(OperatorError::NotFound)) };
    if role != Role::Manager && is_last_manager(store, id)? {
        return Ok(Err(OperatorError::LastManager));
    }
    if operator.role != role {
        store.update_operator(&Operator { role, ..operator })?;
        store.delete_sessions_of(id)?;
        close_set_up(store)?;
    }
    Ok(Ok(()))
}

/// Removes the operator, its sessions and the tokens it made.
///
/// # Errors
/// Those of the store; the inner error is the refusal.
pub fn remove_operator<S: Store>(store: &mut S, id: OperatorId) -> Result<Result<(), OperatorError>, S::Error> {
    if store.operator(id)?.is_none() {
        return Ok(Err(OperatorError::NotFound));
    }
    if is_last_manager(store, id)? {
        return Ok(Err(OperatorError::LastManager));
    }
    store.delete_sessions_of(id)?;
    for token in store.api_tokens()?.into_iter().filter(|t| t.maker == Some(id)) {
        store.delete_api_token(token.id)?;
    }
    store.delete_operator(id)?;
    Ok(Ok(()))
}

fn is_last_manager<S: Store>(store: &S, id: OperatorId) -> Result<bool, S::Error> {
    let managers: Vec<Operator> = store.operators()?.into_iter().filter(|o| o.role == Role::Manager).collect();
    Ok(managers.iter().any(|o| o.id == id) && managers.len() == 1)
}

#[cfg(test)]
mod tests;
