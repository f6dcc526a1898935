//! Pieces of SQL with their bound values, in order.

use rusqlite::types::Value;

/// SQL text that this crate wrote, with a `?` for each value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sql {
    pub(crate) text: String,
    pub(crate) values: Vec<Value>,
}

impl Sql {
    pub(crate) fn new(text: impl Into<String>) -> Sql {
        Sql { text: text.into(), values: Vec::new() }
    }

    pub(crate) fn with(text: impl Into<String>, value: Value) -> Sql {
        Sql { text: text.into(), values: vec![value] }
    }

    pub(crate) fn push(&mut self, other: Sql) {
        self.text.push_str(&other.text);
        self.values.extend(other.values);
    }

    pub(crate) fn push_text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// `(a) AND (b)`; what always holds where there is nothing.
    pub(crate) fn all(parts: Vec<Sql>) -> Sql {
        Sql::joined(parts, " AND ", "1")
    }

    pub(crate) fn any(parts: Vec<Sql>) -> Sql {
        Sql::joined(parts, " OR ", "0")
    }

    fn joined(parts: Vec<Sql>, between: &str, nothing: &str) -> Sql {
        let mut joined = Sql::default();
        for (n, part) in parts.into_iter().enumerate() {
            joined.push_text(if n > 0 { between } else { "" });
            joined.push_text("(");
            joined.push(part);
            joined.push_text(")");
        }
        if joined.text.is_empty() { Sql::new(nothing) } else { joined }
    }
}
