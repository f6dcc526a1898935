//! Sessions of operators, and the one-time links that open one. Only hashes of their secrets are kept.

use crate::operators::{Operator, OperatorId};
use crate::secret::{Secret, SecretHash};
use crate::store::{ReadStore, Store};
use jiff::{SignedDuration, Timestamp};

/// Longest life of a session.
pub const SESSION_LIFE: SignedDuration = SignedDuration::from_hours(24 * 7);
/// A session that was not used for this long has ended.
pub const IDLE_LIFE: SignedDuration = SignedDuration::from_hours(12);
/// How long a sign-in link works.
pub const LINK_LIFE: SignedDuration = SignedDuration::from_mins(30);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub secret: SecretHash,
    pub operator: OperatorId,
    pub created_at: Timestamp,
    /// Kept to the minute or so: see [`Session::is_due`].
    pub seen_at: Timestamp,
    pub expires_at: Timestamp,
}

impl Session {
    fn is_over(&self, now: Timestamp) -> bool {
        now >= self.expires_at || self.seen_at.duration_until(now) >= IDLE_LIFE
    }

    /// Whether it is time to store that the session was used, with [`Store::touch_session`].
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.seen_at.duration_until(now) >= SignedDuration::from_mins(5)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInLink {
    pub secret: SecretHash,
    pub operator: OperatorId,
    pub expires_at: Timestamp,
}

/// Opens a session for an operator who proved to be it; the secret goes into the cookie.
///
/// # Errors
/// Those of the store.
pub fn open_session<S: Store>(store: &mut S, operator: OperatorId, now: Timestamp) -> Result<Secret, S::Error> {
    let secret = Secret::generate("");
    let expires_at = now.saturating_add(SESSION_LIFE).unwrap_or(Timestamp::MAX);
    store.delete_sessions_before(now)?;
    store.insert_session(&Session { secret: secret.hash(), operator, created_at: now, seen_at: now, expires_at })?;
    Ok(secret)
}

/// The session with this secret and its operator, while both last.
///
/// # Errors
/// Those of the store.
pub fn resume_session<S: ReadStore>(
    store: &S,
    secret: &str,
    now: Timestamp,
) -> Result<Option<(Session, Operator)>, S::Error> {
    let Some(session) = store.session(&SecretHash::of(secret))?.filter(|s| !s.is_over(now)) else { return Ok(None) };
    Ok(store.operator(session.operator)?.map(|operator| (session, operator)))
}

/// Ends the session with this secret.
///
/// # Errors
/// Those of the store.
pub fn close_session<S: Store>(store: &mut S, secret: &str) -> Result<(), S::Error> {
    store.delete_session(&SecretHash::of(secret))
}

/// A link that signs `operator` in once.
///
/// # Errors
/// Those of the store.
pub fn sign_in_link<S: Store>(store: &mut S, operator: OperatorId, now: Timestamp) -> Result<Secret, S::Error> {
    let secret = Secret::generate("");
    let expires_at = now.saturating_add(LINK_LIFE).unwrap_or(Timestamp::MAX);
    store.insert_link(&SignInLink { secret: secret.hash(), operator, expires_at })?;
    Ok(secret)
}

/// Uses up the link with this secret and opens a session; `None` where it was used, is too old or never was.
///
/// # Errors
/// Those of the store.
pub fn use_link<S: Store>(store: &mut S, secret: &str, now: Timestamp) -> Result<Option<(Secret, Operator)>, S::Error> {
    let Some(link) = store.take_link(&SecretHash::of(secret))?.filter(|l| now < l.expires_at) else { return Ok(None) };
    let Some(operator) = store.operator(link.operator)? else { return Ok(None) };
    Ok(Some((open_session(store, operator.id, now)?, operator)))
}
