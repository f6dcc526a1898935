//! API tokens: long-lived words for programs. Only hashes are kept, and none does more than its maker.

use crate::operators::{Operator, OperatorError, OperatorId, check_name};
use crate::roles::{Actor, ActorKind, Reach, Role};
use crate::secret::{Secret, SecretHash};
use crate::store::{ReadStore, Store};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// Every token begins so, for secret scanners to find it.
pub const TOKEN_PREFIX: &str = "bw_";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    pub id: Uuid,
    pub secret: SecretHash,
    pub name: String,
    pub role: Role,
    /// Who made it; `None` for one made on the administrator's own command line.
    pub maker: Option<OperatorId>,
    pub created_at: Timestamp,
    /// Kept to the minute or so.
    pub used_at: Option<Timestamp>,
    /// For ever where absent.
    pub expires_at: Option<Timestamp>,
}

impl ApiToken {
    /// Whether it is time to store that the token was used, with [`Store::touch_api_token`].
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.used_at.is_none_or(|at| at.duration_until(now) >= SignedDuration::from_mins(5))
    }
}

/// Makes a token. `maker` is `None` only for who holds the administrator's own files.
///
/// # Errors
/// Those of the store; the inner error is the refusal.
pub fn create_token<S: Store>(
    store: &mut S,
    name: &str,
    role: Role,
    maker: Option<&Operator>,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<Result<(Secret, ApiToken), OperatorError>, S::Error> {
    let name = match check_name(name) {
        Ok(name) => name,
        Err(error) => return Ok(Err(error)),
    };
    if let Some(maker) = maker
        && maker.role != Role::Manager
        && maker.role != role
    {
        return Ok(Err(OperatorError::ExceedsMaker(maker.role)));
    }
    let (secret, id) = (Secret::generate(TOKEN_PREFIX), Uuid::now_v7());
    let maker = maker.map(|o| o.id);
    let token = ApiToken { id, secret: secret.hash(), name, role, maker, created_at: now, used_at: None, expires_at };
    store.insert_api_token(&token)?;
    Ok(Ok((secret, token)))
}

/// The token with this word and who it acts as, while it lasts.
///
/// # Errors
/// Those of the store.
pub fn use_token<S: ReadStore>(store: &S, word: &str, now: Timestamp) -> Result<Option<(ApiToken, Actor)>, S::Error> {
    if !word.starts_with(TOKEN_PREFIX) {
        return Ok(None);
    }
    let Some(token) = store.api_token_by_secret(&SecretHash::of(word))? else { return Ok(None) };
    if token.expires_at.is_some_and(|at| now >= at) {
        return Ok(None);
    }
    let maker_role = match token.maker {
        None => None,
        Some(maker) => match store.operator(maker)? {
            Some(operator) => Some(operator.role),
            None => return Ok(None),
        },
    };
    let actor = Actor {
        kind: ActorKind::Token,
        id: token.id,
        name: token.name.clone(),
        role: token.role,
        maker_role,
        reach: Reach::Everything,
    };
    Ok(Some((token, actor)))
}

/// Revokes a token at once; false where there is none.
///
/// # Errors
/// Those of the store.
pub fn revoke_token<S: Store>(store: &mut S, id: Uuid) -> Result<bool, S::Error> {
    store.delete_api_token(id)
}
