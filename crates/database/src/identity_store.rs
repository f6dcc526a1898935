//! Operators, sessions, tokens and the audit chain: the storage of `identity`.

use crate::access::{Access, Write};
use crate::error::sql;
use crate::fleet_store::parsed;
use crate::value::{micros, time};
use identity::audit::{Entry, Hash, Head, Outcome};
use identity::{
    ActorKind, ApiToken, Operator, OperatorId, ReadStore, Record, Role, SecretHash, Session, SignInLink, Store,
    StoredJoin,
};
use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{OptionalExtension as _, Row, params};
use schema::Problem;
use uuid::Uuid;

const OPERATOR: &str = "SELECT id, name, role, password, created_at FROM fleet_operator";
const TOKEN: &str = "SELECT id, secret, name, role, maker, created_at, last_used_at, expires_at FROM fleet_token";
const AUDIT: &str = "SELECT number, at, operator, actor_kind, action, target, outcome, address, job, detail, prev, hash
    FROM fleet_audit";

impl<Mode> Access<'_, Mode> {
    fn one<T>(
        &self,
        statement: &str,
        values: impl rusqlite::Params,
        read: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Problem> {
        let mut statement = self.conn.prepare_cached(statement).map_err(sql)?;
        statement.query_row(values, read).optional().map_err(sql)
    }

    fn all<T>(
        &self,
        statement: &str,
        values: impl rusqlite::Params,
        read: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Problem> {
        let mut statement = self.conn.prepare_cached(statement).map_err(sql)?;
        statement.query_map(values, read).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(sql)
    }
}

impl<Mode> ReadStore for Access<'_, Mode> {
    type Error = Problem;

    fn operators(&self) -> Result<Vec<Operator>, Problem> {
        self.all(&format!("{OPERATOR} ORDER BY row"), [], read_operator)
    }

    fn operator(&self, id: OperatorId) -> Result<Option<Operator>, Problem> {
        self.one(&format!("{OPERATOR} WHERE id = ?1"), [id.to_string()], read_operator)
    }

    fn operator_by_name(&self, folded: &str) -> Result<Option<Operator>, Problem> {
        self.one(&format!("{OPERATOR} WHERE folded = ?1"), [folded], read_operator)
    }

    fn session(&self, secret: &SecretHash) -> Result<Option<Session>, Problem> {
        let select = "SELECT secret, operator, created_at, seen_at, expires_at FROM session WHERE secret = ?1";
        self.one(select, [secret.as_bytes()], |row| {
            Ok(Session {
                secret: secret_hash(row, 0)?,
                operator: OperatorId(parsed(row, 1)?),
                created_at: time(row.get(2)?),
                seen_at: time(row.get(3)?),
                expires_at: time(row.get(4)?),
            })
        })
    }

    fn api_tokens(&self) -> Result<Vec<ApiToken>, Problem> {
        self.all(&format!("{TOKEN} ORDER BY row"), [], read_token)
    }

    fn api_token_by_secret(&self, secret: &SecretHash) -> Result<Option<ApiToken>, Problem> {
        self.one(&format!("{TOKEN} WHERE secret = ?1"), [secret.as_bytes()], read_token)
    }

    fn join_by_secret(&self, secret: &SecretHash) -> Result<Option<StoredJoin>, Problem> {
        let select = "SELECT id, secret, created_by, created_at, expires_at, used_at, used_by, machine FROM join_token
            WHERE secret = ?1";
        self.one(select, [secret.as_bytes()], |row| {
            let used_at: Option<i64> = row.get(5)?;
            let used = match used_at {
                Some(at) => Some((time(at), parsed(row, 6)?)),
                None => None,
            };
            let machine: Option<String> = row.get(7)?;
            Ok(StoredJoin {
                id: parsed(row, 0)?,
                machine: if machine.is_some() { Some(parsed(row, 7)?) } else { None },
                secret: secret_hash(row, 1)?,
                created_by: row.get(2)?,
                created_at: time(row.get(3)?),
                expires_at: time(row.get(4)?),
                used,
            })
        })
    }

    fn audit_head(&self) -> Result<Option<Head>, Problem> {
        let select = "SELECT number, hash FROM fleet_audit ORDER BY number DESC LIMIT 1";
        self.one(select, [], |row| Ok(Head { seq: row.get(0)?, hash: parsed(row, 1)? }))
    }

    fn audit_records(&self, from_seq: u64, limit: usize) -> Result<Vec<Result<Record, u64>>, Problem> {
        let from = i64::try_from(from_seq).unwrap_or(i64::MAX);
        let select = format!("{AUDIT} WHERE number >= ?1 ORDER BY number LIMIT ?2");
        self.all(&select, params![from, i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
            let number: u64 = row.get(0)?;
            Ok(read_record(row).map_err(|_| number))
        })
    }
}

impl Store for Write<'_> {
    fn insert_operator(&mut self, operator: &Operator) -> Result<(), Problem> {
        let insert = "INSERT INTO fleet_operator (id, name, folded, role, password, created_at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let (id, folded) = (operator.id.to_string(), operator.folded_name());
        let created_at = micros(operator.created_at);
        let values = params![id, operator.name, folded, operator.role.as_str(), operator.password, created_at];
        self.execute(insert, values)?;
        self.changed("fleet.operator", &id);
        Ok(())
    }

    fn update_operator(&mut self, operator: &Operator) -> Result<(), Problem> {
        let update = "UPDATE fleet_operator SET name = ?2, folded = ?3, role = ?4, password = ?5 WHERE id = ?1";
        let (id, folded) = (operator.id.to_string(), operator.folded_name());
        self.execute(update, params![id, operator.name, folded, operator.role.as_str(), operator.password])?;
        self.changed("fleet.operator", &id);
        Ok(())
    }

    fn delete_operator(&mut self, id: OperatorId) -> Result<(), Problem> {
        self.execute("DELETE FROM fleet_operator WHERE id = ?1", [id.to_string()])?;
        self.changed("fleet.operator", &id.to_string());
        Ok(())
    }

    fn insert_session(&mut self, session: &Session) -> Result<(), Problem> {
        let insert = "INSERT INTO session (secret, operator, created_at, seen_at, expires_at)
            VALUES (?1, ?2, ?3, ?4, ?5)";
        let operator = session.operator.to_string();
        let (created_at, seen_at) = (micros(session.created_at), micros(session.seen_at));
        let expires_at = micros(session.expires_at);
        self.execute(insert, params![session.secret.as_bytes(), operator, created_at, seen_at, expires_at])?;
        self.active(&operator, session.seen_at)
    }

    fn touch_session(&mut self, secret: &SecretHash, at: Timestamp) -> Result<(), Problem> {
        let update = "UPDATE session SET seen_at = ?2 WHERE secret = ?1";
        self.execute(update, params![secret.as_bytes(), micros(at)])?;
        match self.session(secret)? {
            Some(session) => self.active(&session.operator.to_string(), at),
            None => Ok(()),
        }
    }

    fn delete_session(&mut self, secret: &SecretHash) -> Result<(), Problem> {
        self.execute("DELETE FROM session WHERE secret = ?1", [secret.as_bytes()]).map(drop)
    }

    fn delete_sessions_of(&mut self, operator: OperatorId) -> Result<(), Problem> {
        self.execute("DELETE FROM sign_in_link WHERE operator = ?1", [operator.to_string()])?;
        self.execute("DELETE FROM session WHERE operator = ?1", [operator.to_string()]).map(drop)
    }

    fn delete_sessions_before(&mut self, expired: Timestamp) -> Result<(), Problem> {
        self.execute("DELETE FROM sign_in_link WHERE expires_at <= ?1", [micros(expired)])?;
        self.execute("DELETE FROM session WHERE expires_at <= ?1", [micros(expired)]).map(drop)
    }

    fn insert_link(&mut self, link: &SignInLink) -> Result<(), Problem> {
        let insert = "INSERT INTO sign_in_link (secret, operator, expires_at) VALUES (?1, ?2, ?3)";
        let values = params![link.secret.as_bytes(), link.operator.to_string(), micros(link.expires_at)];
        self.execute(insert, values).map(drop)
    }

    fn take_link(&mut self, secret: &SecretHash) -> Result<Option<SignInLink>, Problem> {
        let delete = "DELETE FROM sign_in_link WHERE secret = ?1 RETURNING secret, operator, expires_at";
        self.one(delete, [secret.as_bytes()], |row| {
            Ok(SignInLink {
                secret: secret_hash(row, 0)?,
                operator: OperatorId(parsed(row, 1)?),
                expires_at: time(row.get(2)?),
            })
        })
    }

    fn insert_api_token(&mut self, token: &ApiToken) -> Result<(), Problem> {
        let insert = "INSERT INTO fleet_token (id, secret, name, role, maker, created_by, created_at, expires_at)
            VALUES (?1, ?2, ?3, ?4, ?5, coalesce((SELECT name FROM fleet_operator WHERE id = ?5), 'system'), ?6, ?7)";
        let (id, maker) = (token.id.to_string(), token.maker.map(|m| m.to_string()));
        let (created_at, expires_at) = (micros(token.created_at), token.expires_at.map(micros));
        let secret = token.secret.as_bytes();
        self.execute(insert, params![id, secret, token.name, token.role.as_str(), maker, created_at, expires_at])?;
        self.changed("fleet.token", &id);
        Ok(())
    }

    fn touch_api_token(&mut self, id: Uuid, at: Timestamp) -> Result<(), Problem> {
        let update = "UPDATE fleet_token SET last_used_at = ?2 WHERE id = ?1";
        self.execute(update, params![id.to_string(), micros(at)])?;
        self.changed("fleet.token", &id.to_string());
        Ok(())
    }

    fn delete_api_token(&mut self, id: Uuid) -> Result<bool, Problem> {
        let deleted = self.execute("DELETE FROM fleet_token WHERE id = ?1", [id.to_string()])?;
        self.changed("fleet.token", &id.to_string());
        Ok(deleted > 0)
    }

    fn insert_join(&mut self, token: &StoredJoin) -> Result<(), Problem> {
        let insert = "INSERT INTO join_token (id, secret, created_by, created_at, expires_at, machine)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let (created_at, expires_at) = (micros(token.created_at), micros(token.expires_at));
        let (id, machine) = (token.id.to_string(), token.machine.map(|machine| machine.to_string()));
        let values = params![id, token.secret.as_bytes(), token.created_by, created_at, expires_at, machine];
        self.execute(insert, values).map(drop)
    }

    fn mark_join_used(&mut self, id: Uuid, at: Timestamp, machine: Uuid) -> Result<(), Problem> {
        let update = "UPDATE join_token SET used_at = ?2, used_by = ?3 WHERE id = ?1";
        self.execute(update, params![id.to_string(), micros(at), machine.to_string()]).map(drop)
    }

    fn insert_audit(&mut self, record: &Record) -> Result<(), Problem> {
        let insert = "INSERT INTO fleet_audit (number, at, operator, actor_kind, action, target, outcome, address, job,
            detail, prev, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
        let entry = &record.entry;
        let (kind, outcome) = (entry.actor_kind.as_str(), entry.outcome.as_str());
        let detail = serde_json::Value::Object(entry.detail.clone()).to_string();
        let (prev, hash) = (record.prev.to_string(), record.hash.to_string());
        let values = params![
            record.seq,
            micros(record.at),
            entry.actor,
            kind,
            entry.action,
            entry.target,
            outcome,
            entry.address,
            entry.job,
            detail,
            prev,
            hash
        ];
        self.execute(insert, values)?;
        self.changed("fleet.audit", &record.seq.to_string());
        Ok(())
    }
}

impl Write<'_> {
    fn active(&self, operator: &str, at: Timestamp) -> Result<(), Problem> {
        self.execute("UPDATE fleet_operator SET last_active_at = ?2 WHERE id = ?1", params![operator, micros(at)])?;
        self.changed("fleet.operator", operator);
        Ok(())
    }
}

fn secret_hash(row: &Row<'_>, column: usize) -> rusqlite::Result<SecretHash> {
    row.get::<_, [u8; 32]>(column).map(SecretHash::from)
}

/// A word of a closed list.
fn word<T>(row: &Row<'_>, column: usize, parse: fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    parse(row.get_ref(column)?.as_str()?).ok_or(rusqlite::Error::InvalidColumnType(
        column,
        "a word of a closed list".to_owned(),
        Type::Text,
    ))
}

fn read_operator(row: &Row<'_>) -> rusqlite::Result<Operator> {
    Ok(Operator {
        id: OperatorId(parsed(row, 0)?),
        name: row.get(1)?,
        role: word(row, 2, Role::parse)?,
        password: row.get(3)?,
        created_at: time(row.get(4)?),
    })
}

fn read_token(row: &Row<'_>) -> rusqlite::Result<ApiToken> {
    let maker: Option<String> = row.get(4)?;
    Ok(ApiToken {
        id: parsed(row, 0)?,
        secret: secret_hash(row, 1)?,
        name: row.get(2)?,
        role: word(row, 3, Role::parse)?,
        maker: if maker.is_some() { Some(OperatorId(parsed(row, 4)?)) } else { None },
        created_at: time(row.get(5)?),
        used_at: row.get::<_, Option<i64>>(6)?.map(time),
        expires_at: row.get::<_, Option<i64>>(7)?.map(time),
    })
}

fn read_record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let hash = |column| parsed::<Hash>(row, column);
    let detail = serde_json::from_str(row.get_ref(9)?.as_str()?)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(9, Type::Text, Box::new(e)))?;
    Ok(Record {
        seq: row.get(0)?,
        at: time(row.get(1)?),
        entry: Entry {
            actor: row.get(2)?,
            actor_kind: word(row, 3, ActorKind::parse)?,
            action: row.get(4)?,
            target: row.get(5)?,
            outcome: word(row, 6, Outcome::parse)?,
            address: row.get(7)?,
            job: row.get(8)?,
            detail,
        },
        prev: hash(10)?,
        hash: hash(11)?,
    })
}

#[cfg(test)]
mod tests;
