//! Making room for what plugins store: tables and columns by number, only ever added.

use crate::access::Write;
use crate::catalog::{Catalog, Column, Table};
use crate::error::{Error, sql};
use crate::pool::Database;
use crate::value::Storage;
use indexmap::IndexMap;
use rusqlite::{OptionalExtension as _, params};
use schema::{Manifest, Problem, Scope, Type};

impl Database {
    /// Makes room for the stored types of these plugins (name and manifest each), and only these, beside the core's.
    /// Tables of plugins that are not named stay, unseen.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub async fn declare(&self, plugins: &[(String, Manifest)]) -> Result<(), Error> {
        let plugins = plugins.to_vec();
        let catalog = self.write(move |write| Ok(write.declare(&plugins)?)).await?;
        self.set_catalog(catalog);
        Ok(())
    }

    /// Like [`Database::declare`], for callers without a runtime.
    ///
    /// # Errors
    /// Like [`Database::declare`].
    pub fn declare_blocking(&self, plugins: &[(String, Manifest)]) -> Result<(), Error> {
        let plugins = plugins.to_vec();
        let catalog = self.write_blocking(move |write| Ok(write.declare(&plugins)?))?;
        self.set_catalog(catalog);
        Ok(())
    }
}

impl Write<'_> {
    fn declare(&self, plugins: &[(String, Manifest)]) -> Result<Catalog, Problem> {
        let mut catalog = Catalog::core(self.conn).map_err(sql)?;
        for (plugin, manifest) in plugins {
            for (name, kind) in manifest.types.iter().filter(|(_, kind)| kind.stored.is_some()) {
                let table = self.table_of(plugin, name, kind).map_err(sql)?;
                catalog.tables.insert(table.type_id.clone(), table);
            }
        }
        catalog.join_extensions();
        Ok(catalog)
    }

    fn table_of(&self, plugin: &str, name: &str, kind: &Type) -> rusqlite::Result<Table> {
        let number = self.number_of(plugin, name, kind)?;
        let table = format!("t_{number}");
        let mut columns = Vec::with_capacity(kind.fields.len() + 1);
        if kind.scope == Scope::Machine {
            columns.push(Column::machine());
        }
        for (field_name, field) in &kind.fields {
            let hidden_by_machine = kind.scope == Scope::Machine && field_name == "machine";
            let Some(storage) = Storage::of(field).filter(|_| !hidden_by_machine) else { continue };
            let column = self.column_of(number, field_name, storage)?;
            if field.sort {
                let order = if storage == Storage::Text { format!("{column} COLLATE NOCASE") } else { column.clone() };
                self.index(&format!("{table}_by_{column}"), &format!("{table} ({order}, key)"))?;
            }
            if field.facet && storage != Storage::Json {
                self.index(&format!("{table}_of_{column}"), &format!("{table} ({column})"))?;
            }
            columns.extend(Column::new(field_name, column, field));
        }
        Ok(Table {
            type_id: format!("{plugin}.{name}"),
            number,
            sql: table,
            key: "key".into(),
            machine: (kind.scope == Scope::Machine).then(|| "machine".into()),
            kind: kind.clone(),
            columns,
            has_text_index: true,
            has_intervals: true,
            extensions: Vec::new(),
            names: IndexMap::new(),
        })
    }

    /// The number of a type's table. Rows of another scope or key cannot live in the same table: such a change begins a
    /// new one, and the old one stays under another name until it is purged.
    fn number_of(&self, plugin: &str, name: &str, kind: &Type) -> rusqlite::Result<i64> {
        let shape = format!("{:?} {}", kind.scope, kind.key.join(" "));
        let select = "SELECT id, shape FROM stored_type WHERE plugin = ?1 AND name = ?2";
        let known: Option<(i64, String)> =
            self.conn.query_row(select, [plugin, name], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        match known {
            Some((number, stored)) if stored == shape => return Ok(number),
            Some((number, _)) => {
                self.conn.execute("UPDATE stored_type SET name = name || '@' || id WHERE id = ?1", [number])?;
            }
            None => {}
        }
        let insert = "INSERT INTO stored_type (plugin, name, shape) VALUES (?1, ?2, ?3) RETURNING id";
        let number: i64 = self.conn.query_row(insert, params![plugin, name, shape], |row| row.get(0))?;
        self.conn.execute_batch(&format!(
            "CREATE TABLE t_{number} (
                row INTEGER PRIMARY KEY,
                key TEXT NOT NULL,
                machine TEXT,
                section TEXT NOT NULL,
                digest BLOB NOT NULL,
                appended INTEGER NOT NULL,
                observed_from INTEGER NOT NULL,
                observed_to INTEGER,
                recorded_from INTEGER NOT NULL,
                recorded_to INTEGER,
                search TEXT NOT NULL
            );
            CREATE UNIQUE INDEX t_{number}_key ON t_{number} (key) WHERE observed_to IS NULL;
            CREATE INDEX t_{number}_section ON t_{number} (machine, section) WHERE observed_to IS NULL;
            CREATE INDEX t_{number}_from ON t_{number} (key, observed_from);
            CREATE VIRTUAL TABLE t_{number}_fts USING
                fts5 (search, content = '', contentless_delete = 1, tokenize = 'trigram');"
        ))?;
        Ok(number)
    }

    /// The column of a field. Another way to keep its values is another column beside the old one.
    fn column_of(&self, number: i64, name: &str, storage: Storage) -> rusqlite::Result<String> {
        let select = "SELECT id FROM stored_column WHERE type = ?1 AND name = ?2 AND storage = ?3";
        let values = params![number, name, storage.as_str()];
        let known: Option<i64> = self.conn.query_row(select, values, |row| row.get(0)).optional()?;
        if let Some(id) = known {
            return Ok(format!("c_{id}"));
        }
        let insert = "INSERT INTO stored_column (type, name, storage) VALUES (?1, ?2, ?3) RETURNING id";
        let id: i64 = self.conn.query_row(insert, values, |row| row.get(0))?;
        let affinity = if storage == Storage::Text || storage == Storage::Json { "TEXT" } else { "" };
        self.conn.execute_batch(&format!("ALTER TABLE t_{number} ADD COLUMN c_{id} {affinity}"))?;
        Ok(format!("c_{id}"))
    }

    fn index(&self, name: &str, columns: &str) -> rusqlite::Result<()> {
        self.conn.execute_batch(&format!("CREATE INDEX IF NOT EXISTS {name} ON {columns} WHERE observed_to IS NULL"))
    }
}
