//! Rows that plugins publish, checked one by one and kept.

use crate::access::Write;
use crate::error::Error;
use crate::pool::Database;
use fleet::MachineId;
use jiff::Timestamp;
use schema::{Manifest, Problem, Publish};

/// Most rows of one [`Publish`].
pub const MAX_ROWS: usize = 100_000;

/// What became of published rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PublishOutcome {
    pub accepted: usize,
    /// The first hundred rows that were refused, each with its reason; all are counted in `rejected_rows`.
    pub rejected: Vec<Problem>,
    pub rejected_rows: usize,
    /// The section shrank by more than half: nothing was changed until a second collection says the same.
    pub held: bool,
}

impl Database {
    /// Makes room for the stored types of these plugins (name and manifest each), and only these, beside the core's.
    /// Tables of plugins that are not named stay, unseen.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub async fn declare(&self, _plugins: &[(String, Manifest)]) -> Result<(), Error> {
        Ok(())
    }
}

impl Write<'_> {
    /// Takes rows over. `machine` is the one that sent them, whatever the rows say; absent for the administrator's role.
    /// Rows that do not fit their type are refused one by one and become warnings.
    ///
    /// # Errors
    /// `not_found` for a type the plugin did not declare; `quota` for more than [`MAX_ROWS`] rows.
    pub fn publish(
        &mut self,
        _machine: Option<MachineId>,
        plugin: &str,
        publish: &Publish,
        _recorded_at: Timestamp,
    ) -> Result<PublishOutcome, Problem> {
        Err(Problem::not_found(format!("{plugin} declared no stored type {}.", publish.type_name)))
    }
}
