//! `q`: every word must occur in one of the fields marked `search`, in any case, the columns of extensions included.
//!
//! Words of three characters and more go through the trigram index; shorter ones, and questions about the past, look
//! through the rows.

use crate::catalog::{Extension, Table};
use crate::query::sql::Sql;
use crate::value::Storage;
use rusqlite::types::Value;
use schema::Problem;

const MAX_WORDS: usize = 10;
const MAX_WORD: usize = 200;

/// The condition of `q` on the base row `b`; `past` where the rows are not those of now. `extension` gives the
/// condition under which a row of an extension counts.
pub(crate) fn condition(
    table: &Table,
    q: &str,
    past: bool,
    extension: impl Fn(&Extension, &str) -> Sql,
) -> Result<Vec<Sql>, Problem> {
    let words: Vec<String> = q.split_whitespace().map(str::to_lowercase).collect();
    if words.len() > MAX_WORDS || words.iter().any(|w| w.len() > MAX_WORD) {
        return Err(Problem::bad_request("a search has at most 10 words of 200 bytes.").at("q"));
    }
    Ok(words.iter().map(|word| Sql::any(one_word(table, word, past, &extension))).collect())
}

fn one_word(table: &Table, word: &str, past: bool, extension: &impl Fn(&Extension, &str) -> Sql) -> Vec<Sql> {
    let by_index = !past && word.chars().count() >= 3 && !word.contains('\0');
    let mut any = Vec::new();
    if !table.has_text_index {
        any.extend(in_columns(table, word));
    } else if by_index {
        let found = format!("b.row IN (SELECT rowid FROM {0}_fts WHERE {0}_fts MATCH ?)", table.sql);
        any.push(Sql::with(found, Value::Text(phrase(word))));
    } else {
        any.push(Sql::with("instr(b.search, ?) > 0", Value::Text(word.to_owned())));
    }
    for extended in &table.extensions {
        let name = &extended.sql;
        let mut found = Sql::new(format!("b.{} IN (SELECT x.key FROM {name} x WHERE ", table.key));
        found.push(extension(extended, "x"));
        if by_index {
            found.push_text(&format!(" AND x.row IN (SELECT rowid FROM {name}_fts WHERE {name}_fts MATCH ?))"));
            found.values.push(Value::Text(phrase(word)));
        } else {
            found.push_text(" AND instr(x.search, ?) > 0)");
            found.values.push(Value::Text(word.to_owned()));
        }
        any.push(found);
    }
    any
}

/// A quoted phrase: no word of the search can be an operator of the index.
fn phrase(word: &str) -> String {
    format!("\"{}\"", word.replace('"', "\"\""))
}

/// Small types of the core have no index; one without any field to search is searched by its label.
fn in_columns<'t>(table: &'t Table, word: &str) -> impl Iterator<Item = Sql> + use<'t> {
    let marked = table.columns.iter().any(|c| c.field.search);
    let word = word.to_owned();
    let searched =
        table.columns.iter().filter(move |c| if marked { c.field.search } else { c.name == table.kind.label });
    searched.map(move |column| {
        let text = match column.storage {
            Storage::Text => format!("instr(fold(b.{0}), ?) > 0", column.sql),
            _ => format!("instr(fold(CAST(b.{0} AS TEXT)), ?) > 0", column.sql),
        };
        Sql::with(text, Value::Text(word.clone()))
    })
}
