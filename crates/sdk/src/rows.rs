//! Publishing and reading rows of a plugin's own stored types.

use crate::{Ctx, Result, Row};
use schema::{Object, Publish, PublishMode, Published, Query, RowsQuery};
use serde_json::Value;
use std::marker::PhantomData;

/// The rows of `T`. Made by [`Ctx::rows`].
pub struct Rows<T> {
    ctx: Ctx,
    section: String,
    observed_at: Option<String>,
    machine: Option<String>,
    rows: PhantomData<fn() -> T>,
}

impl<T: Row> Rows<T> {
    pub(crate) fn new(ctx: Ctx) -> Rows<T> {
        Rows { ctx, section: String::new(), observed_at: None, machine: None, rows: PhantomData }
    }

    /// Narrows `replace` to a part of the type; rows of other sections stay.
    #[must_use]
    pub fn section(mut self, section: &str) -> Rows<T> {
        self.section = section.to_owned();
        self
    }

    /// In the administrator role: rows of the machine of this id. On a machine they are its own, whatever is said here.
    #[must_use]
    pub fn of_machine(mut self, machine: &str) -> Rows<T> {
        self.machine = Some(machine.to_owned());
        self
    }

    /// When the machine saw this; now where not said.
    #[must_use]
    pub fn observed_at(mut self, time: crate::Time) -> Rows<T> {
        self.observed_at = Some(time.to_string());
        self
    }

    /// These rows are all there is now.
    ///
    /// # Errors
    /// The host did not take them. A single bad row is in the answer instead.
    pub async fn replace(self, rows: &[T]) -> Result<Published> {
        self.publish(PublishMode::Replace, rows).await
    }

    /// Adds these rows, or puts them in the place of those with the same key.
    ///
    /// # Errors
    /// As for [`Rows::replace`].
    pub async fn upsert(self, rows: &[T]) -> Result<Published> {
        self.publish(PublishMode::Upsert, rows).await
    }

    /// Removes the rows with these keys.
    ///
    /// # Errors
    /// As for [`Rows::replace`].
    pub async fn delete(self, rows: &[T]) -> Result<Published> {
        self.publish(PublishMode::Delete, rows).await
    }

    /// Adds rows that never change.
    ///
    /// # Errors
    /// As for [`Rows::replace`].
    pub async fn append(self, rows: &[T]) -> Result<Published> {
        self.publish(PublishMode::Append, rows).await
    }

    /// Reads the plugin's own rows: on a machine those of this machine.
    ///
    /// # Errors
    /// The host cannot answer, or a row does not fit `T`.
    pub async fn query(self, query: &Query) -> Result<(Vec<T>, Option<String>)> {
        let page = self.ctx.ask(&RowsQuery { type_name: T::NAME.to_owned(), query: query.clone() }).await?;
        let rows = page.rows.into_iter().map(|row| serde_json::from_value(Value::Object(row)));
        Ok((rows.collect::<Result<_, _>>()?, page.next))
    }

    async fn publish(self, mode: PublishMode, rows: &[T]) -> Result<Published> {
        let mut rows = rows.iter().map(object).collect::<Result<Vec<_>>>()?;
        if let Some(machine) = &self.machine {
            rows.iter_mut().for_each(|row| drop(row.insert("machine".to_owned(), machine.as_str().into())));
        }
        let publish =
            Publish { type_name: T::NAME.to_owned(), mode, section: self.section, rows, observed_at: self.observed_at };
        self.ctx.ask(&publish).await
    }
}

/// A row as the JSON object it is outside Rust.
pub(crate) fn object<T: Row>(row: &T) -> Result<Object> {
    match serde_json::to_value(row)? {
        Value::Object(object) => Ok(object),
        _ => Err(crate::fault(schema::Code::Internal, "a row is not an object.")),
    }
}
