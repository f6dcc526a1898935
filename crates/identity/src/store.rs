//! Where identities are kept: synchronous traits that `database` implements on a transaction.

use crate::audit::{Head, Record};
use crate::join::StoredJoin;
use crate::operators::{Operator, OperatorId};
use crate::secret::SecretHash;
use crate::sessions::{Session, SignInLink};
use crate::tokens::ApiToken;
use jiff::Timestamp;
use uuid::Uuid;

/// The reading half.
pub trait ReadStore {
    type Error;

    /// All operators, the oldest first.
    fn operators(&self) -> Result<Vec<Operator>, Self::Error>;
    fn operator(&self, id: OperatorId) -> Result<Option<Operator>, Self::Error>;
    /// By [`Operator::folded_name`].
    fn operator_by_name(&self, folded: &str) -> Result<Option<Operator>, Self::Error>;
    fn session(&self, secret: &SecretHash) -> Result<Option<Session>, Self::Error>;
    /// Tokens that were not revoked, the oldest first.
    fn api_tokens(&self) -> Result<Vec<ApiToken>, Self::Error>;
    fn api_token_by_secret(&self, secret: &SecretHash) -> Result<Option<ApiToken>, Self::Error>;
    fn join_by_secret(&self, secret: &SecretHash) -> Result<Option<StoredJoin>, Self::Error>;
    fn audit_head(&self) -> Result<Option<Head>, Self::Error>;
    /// At most `limit` records from `seq` up, in order; the number of one that cannot be read in its place.
    fn audit_records(&self, from_seq: u64, limit: usize) -> Result<Vec<Result<Record, u64>>, Self::Error>;
}

/// Reading and writing, in one transaction.
pub trait Store: ReadStore {
    fn insert_operator(&mut self, operator: &Operator) -> Result<(), Self::Error>;
    fn update_operator(&mut self, operator: &Operator) -> Result<(), Self::Error>;
    fn delete_operator(&mut self, id: OperatorId) -> Result<(), Self::Error>;
    fn insert_session(&mut self, session: &Session) -> Result<(), Self::Error>;
    fn touch_session(&mut self, secret: &SecretHash, at: Timestamp) -> Result<(), Self::Error>;
    fn delete_session(&mut self, secret: &SecretHash) -> Result<(), Self::Error>;
    /// Ends every session and forgets every sign-in link of the operator.
    fn delete_sessions_of(&mut self, operator: OperatorId) -> Result<(), Self::Error>;
    fn delete_sessions_before(&mut self, expired: Timestamp) -> Result<(), Self::Error>;
    fn insert_link(&mut self, link: &SignInLink) -> Result<(), Self::Error>;
    /// Removes the link and returns it: the second who takes it gets nothing.
    fn take_link(&mut self, secret: &SecretHash) -> Result<Option<SignInLink>, Self::Error>;
    fn insert_api_token(&mut self, token: &ApiToken) -> Result<(), Self::Error>;
    fn touch_api_token(&mut self, id: Uuid, at: Timestamp) -> Result<(), Self::Error>;
    /// Whether there was such a token.
    fn delete_api_token(&mut self, id: Uuid) -> Result<bool, Self::Error>;
    fn insert_join(&mut self, token: &StoredJoin) -> Result<(), Self::Error>;
    fn mark_join_used(&mut self, id: Uuid, at: Timestamp, machine: Uuid) -> Result<(), Self::Error>;
    /// The store holds no other way to write, and none to change or remove, a record.
    fn insert_audit(&mut self, record: &Record) -> Result<(), Self::Error>;
}

#[cfg(test)]
pub(crate) mod memory;
