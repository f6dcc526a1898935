//! Views of a module that runs alone: from its rows, or from the role that computes them.

use super::Alone;
use crate::remote;
use anyhow::{Context as _, Result};
use plugin_host::Method;
use schema::{AnsweredBy, Filter, Object, Op, Problem, Query, Role, RowPage};
use serde_json::{Value, json};
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;
use surface::Shape;
use surface::cli::ViewCall;

/// How often a view is asked again that goes on to be printed.
const AGAIN: Duration = Duration::from_secs(2);

impl Alone {
    pub(super) async fn view(&self, call: &ViewCall) -> Result<ExitCode> {
        let view = self.manifest.view(&call.view).context("the view is gone")?;
        let mut shape =
            Shape::of(std::slice::from_ref(&self.manifest), &self.manifest, view).context("the view has no rows")?;
        if let Some(fields) = &call.query.fields {
            shape = shape.only(fields);
        }
        let type_id = self.manifest.type_id(view.of.as_deref().unwrap_or_default());
        let mut query = call.query.clone();
        query.filters.extend(view.filter.iter().cloned());
        let by_key =
            call.key.as_ref().map(|key| Filter { field: "$key".to_owned(), op: Op::Eq, value: key.as_str().into() });
        query.filters.extend(by_key);
        if query.sort.is_empty() {
            query.sort.clone_from(&view.sort);
        }
        if call.all {
            query.page.limit = Some(schema::MAX_LIMIT);
        }
        loop {
            let rows = self.rows(&type_id, query.clone(), call).await?;
            if call.watch && std::io::stdout().is_terminal() {
                print!("\x1b[H\x1b[2J");
            }
            remote::print(&rows, &shape, call.output, call.key.is_some())?;
            if !call.watch {
                return Ok(ExitCode::SUCCESS);
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn rows(&self, type_id: &str, mut query: Query, call: &ViewCall) -> Result<Vec<Object>> {
        let computed = self.manifest.type_of(type_id).and_then(|kind| kind.computed.as_ref());
        let by = computed.map(|computed| match computed.answered_by {
            AnsweredBy::Administrator => Role::Administrator,
            AnsweredBy::Machine => Role::Machine,
        });
        let mut rows = Vec::new();
        loop {
            let page = match by {
                None => self.services.query(type_id.to_owned(), query.clone()).await?,
                Some(role) => self.computed(role, type_id, &query).await?,
            };
            rows.extend(page.rows);
            match page.next {
                Some(next) if call.all => query.page.after = Some(next),
                next => {
                    if next.is_some() {
                        eprintln!("There are more; give --all for the rest.");
                    }
                    break;
                }
            }
        }
        match &call.key {
            Some(key) if rows.is_empty() => {
                Err(Problem::not_found(format!("there is no {} in {}.", schema::neutral_text(key), call.view)).into())
            }
            _ => Ok(rows),
        }
    }

    async fn computed(&self, role: Role, type_id: &str, query: &Query) -> Result<RowPage, Problem> {
        let host = self.services.host(self.role_for(role))?;
        let method = Method::Query(type_id.to_owned());
        let query: Value = json!(query);
        host.call(&self.manifest.plugin.name, method, self.meta(), query).await?.page().await
    }
}
