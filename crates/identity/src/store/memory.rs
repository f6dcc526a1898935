//! A store in memory, for tests.

use super::{ReadStore, Store};
use crate::audit::{Head, Record};
use crate::join::StoredJoin;
use crate::operators::{Operator, OperatorId};
use crate::secret::SecretHash;
use crate::sessions::{Session, SignInLink};
use crate::tokens::ApiToken;
use jiff::Timestamp;
use std::convert::Infallible;
use uuid::Uuid;

#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) operators: Vec<Operator>,
    pub(crate) sessions: Vec<Session>,
    pub(crate) links: Vec<SignInLink>,
    pub(crate) tokens: Vec<ApiToken>,
    pub(crate) joins: Vec<StoredJoin>,
    pub(crate) audit: Vec<Record>,
}

type Answer<T> = Result<T, Infallible>;

impl ReadStore for Memory {
    type Error = Infallible;

    fn operators(&self) -> Answer<Vec<Operator>> {
        Ok(self.operators.clone())
    }

    fn operator(&self, id: OperatorId) -> Answer<Option<Operator>> {
        Ok(self.operators.iter().find(|o| o.id == id).cloned())
    }

    fn operator_by_name(&self, folded: &str) -> Answer<Option<Operator>> {
        Ok(self.operators.iter().find(|o| o.folded_name() == folded).cloned())
    }

    fn session(&self, secret: &SecretHash) -> Answer<Option<Session>> {
        Ok(self.sessions.iter().find(|s| s.secret == *secret).cloned())
    }

    fn api_tokens(&self) -> Answer<Vec<ApiToken>> {
        Ok(self.tokens.clone())
    }

    fn api_token_by_secret(&self, secret: &SecretHash) -> Answer<Option<ApiToken>> {
        Ok(self.tokens.iter().find(|t| t.secret == *secret).cloned())
    }

    fn join_by_secret(&self, secret: &SecretHash) -> Answer<Option<StoredJoin>> {
        Ok(self.joins.iter().find(|t| t.secret == *secret).cloned())
    }

    fn audit_head(&self) -> Answer<Option<Head>> {
        Ok(self.audit.last().map(|r| Head { seq: r.seq, hash: r.hash }))
    }

    fn audit_records(&self, from_seq: u64, limit: usize) -> Answer<Vec<Result<Record, u64>>> {
        Ok(self.audit.iter().filter(|r| r.seq >= from_seq).take(limit).cloned().map(Ok).collect())
    }
}

impl Store for Memory {
    fn insert_operator(&mut self, operator: &Operator) -> Answer<()> {
        self.operators.push(operator.clone());
        Ok(())
    }

    fn update_operator(&mut self, operator: &Operator) -> Answer<()> {
        self.operators.iter_mut().filter(|o| o.id == operator.id).for_each(|o| *o = operator.clone());
        Ok(())
    }

    fn delete_operator(&mut self, id: OperatorId) -> Answer<()> {
        self.operators.retain(|o| o.id != id);
        Ok(())
    }

    fn insert_session(&mut self, session: &Session) -> Answer<()> {
        self.sessions.push(session.clone());
        Ok(())
    }

    fn touch_session(&mut self, secret: &SecretHash, at: Timestamp) -> Answer<()> {
        self.sessions.iter_mut().filter(|s| s.secret == *secret).for_each(|s| s.seen_at = at);
        Ok(())
    }

    fn delete_session(&mut self, secret: &SecretHash) -> Answer<()> {
        self.sessions.retain(|s| s.secret != *secret);
        Ok(())
    }

    fn delete_sessions_of(&mut self, operator: OperatorId) -> Answer<()> {
        self.sessions.retain(|s| s.operator != operator);
        self.links.retain(|l| l.operator != operator);
        Ok(())
    }

    fn delete_sessions_before(&mut self, expired: Timestamp) -> Answer<()> {
        self.sessions.retain(|s| s.expires_at > expired);
        Ok(())
    }

    fn insert_link(&mut self, link: &SignInLink) -> Answer<()> {
        self.links.push(link.clone());
        Ok(())
    }

    fn take_link(&mut self, secret: &SecretHash) -> Answer<Option<SignInLink>> {
        let place = self.links.iter().position(|l| l.secret == *secret);
        Ok(place.map(|n| self.links.remove(n)))
    }

    fn insert_api_token(&mut self, token: &ApiToken) -> Answer<()> {
        self.tokens.push(token.clone());
        Ok(())
    }

    fn touch_api_token(&mut self, id: Uuid, at: Timestamp) -> Answer<()> {
        self.tokens.iter_mut().filter(|t| t.id == id).for_each(|t| t.used_at = Some(at));
        Ok(())
    }

    fn delete_api_token(&mut self, id: Uuid) -> Answer<bool> {
        let before = self.tokens.len();
        self.tokens.retain(|t| t.id != id);
        Ok(self.tokens.len() < before)
    }

    fn insert_join(&mut self, token: &StoredJoin) -> Answer<()> {
        self.joins.push(token.clone());
        Ok(())
    }

    fn mark_join_used(&mut self, id: Uuid, at: Timestamp, machine: Uuid) -> Answer<()> {
        self.joins.iter_mut().filter(|t| t.id == id).for_each(|t| t.used = Some((at, machine)));
        Ok(())
    }

    fn insert_audit(&mut self, record: &Record) -> Answer<()> {
        self.audit.push(record.clone());
        Ok(())
    }
}
