//! The opaque place in an ordered result after which the next page begins.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::types::Value as Sql;
use schema::Problem;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The last row of a page: whether its first sort value is missing, its sort values and its key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// Digest of the query it belongs to.
    of: String,
    pub(crate) in_nulls: bool,
    sort: Vec<Value>,
    key: Value,
}

impl Cursor {
    pub(crate) fn new(shape: &str, in_nulls: bool, sort: &[Sql], key: &Sql) -> Cursor {
        Cursor { of: shape.to_owned(), in_nulls, sort: sort.iter().map(plain).collect(), key: plain(key) }
    }

    pub(crate) fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).expect("a cursor has plain values"))
    }

    /// # Errors
    /// `bad_request` at `page.after` where it is damaged or belongs to another query.
    pub(crate) fn decode(text: &str, shape: &str, sorts: usize) -> Result<Cursor, Problem> {
        let wrong = || {
            Problem::bad_request("the cursor does not belong to this query.")
                .at("page.after")
                .fix("Begin again without a cursor.")
        };
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
        let cursor: Cursor = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
        let fits = cursor.of == shape && cursor.sort.len() == sorts && !cursor.key.is_null();
        if fits { Ok(cursor) } else { Err(wrong()) }
    }

    pub(crate) fn sort(&self, n: usize) -> Sql {
        self.sort.get(n).map_or(Sql::Null, stored)
    }

    pub(crate) fn key(&self) -> Sql {
        stored(&self.key)
    }
}

fn plain(value: &Sql) -> Value {
    match value {
        Sql::Integer(n) => Value::from(*n),
        Sql::Real(n) => Value::from(*n),
        Sql::Text(text) => Value::from(text.as_str()),
        Sql::Null | Sql::Blob(_) => Value::Null,
    }
}

fn stored(value: &Value) -> Sql {
    match value {
        Value::String(text) => Sql::Text(text.clone()),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Sql::Integer(whole),
            None => number.as_f64().map_or(Sql::Null, Sql::Real),
        },
        _ => Sql::Null,
    }
}
