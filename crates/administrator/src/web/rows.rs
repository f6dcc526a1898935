//! Answers a view: from the database for stored types, from the plugin for computed ones.

use super::App;
use super::auth::Caller;
use crate::modules::Snapshot;
use database::Scope;
use fleet::MachineId;
use plugin_host::Method;
use schema::{AnsweredBy, CallMeta, Filter, Manifest, Object, Problem, Query, Type, View};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// A page of rows by column, with the key of each.
#[derive(Debug, Default, Serialize)]
pub(super) struct Answered {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<Value>>,
    pub(super) keys: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
    /// Names of the columns in objects.
    #[serde(skip)]
    pub(super) object_names: Vec<String>,
    /// Types whose changes may change the answer.
    #[serde(skip)]
    pub(super) types: Vec<String>,
}

impl Answered {
    pub(super) fn into_objects(self) -> Vec<Object> {
        let names = self.object_names;
        self.rows.into_iter().map(|row| names.iter().cloned().zip(row).collect()).collect()
    }
}

/// What a view of a type asks for.
pub(super) struct Asked {
    pub(super) type_id: String,
    pub(super) query: Query,
    answered_by: Option<AnsweredBy>,
    /// The view declares a param `machine` of its own.
    names_machine: bool,
    plugin: String,
    types: Vec<String>,
}

/// Puts together what a view says and what a caller asks.
///
/// # Errors
/// There is no such view, it has no rows, or the caller may not see it.
pub(super) fn prepare(
    app: &App,
    caller: &Caller,
    name: &str,
    view: &str,
    query: &Query,
) -> Result<(Arc<Snapshot>, Asked), Problem> {
    let snapshot = app.modules.current();
    let (manifest, view) = snapshot.view(name, view)?;
    caller.may(&identity::view_permission(manifest, view))?;
    check_params(view, query)?;
    let type_id = match &view.of {
        Some(of) => manifest.type_id(of),
        None => return Err(Problem::not_found(format!("the view {} has no rows.", view.id))),
    };
    let kind = snapshot.type_of(&type_id).ok_or_else(|| {
        Problem::new(schema::Code::Unavailable, format!("the module of the type {type_id} is not here."))
    })?;
    let asked = Asked {
        query: merged(view, query),
        names_machine: view.params.contains_key("machine"),
        answered_by: kind.computed.as_ref().map(|computed| computed.answered_by),
        plugin: type_id.split('.').next().unwrap_or_default().to_owned(),
        types: depends_on(&snapshot, manifest, kind, &type_id),
        type_id,
    };
    Ok((snapshot.clone(), asked))
}

/// Params are those that the view declares, of their kind; `machine` says who answers, where a machine does.
fn check_params(view: &View, query: &Query) -> Result<(), Problem> {
    for (name, value) in &query.params {
        let at = format!("params.{}", schema::neutral_text(name));
        match view.params.get(name) {
            Some(field) => schema::check_value(&at, field, value)?,
            None if name == "machine" => {}
            None => {
                let known: Vec<&str> = view.params.keys().map(String::as_str).collect();
                let problem = Problem::bad_request(format!("the view {} has no such param.", view.id)).at(at);
                let all =
                    if known.is_empty() { "It has none.".to_owned() } else { format!("It has {}.", known.join(", ")) };
                return Err(problem.fix(all));
            }
        }
    }
    Ok(())
}

fn merged(view: &View, query: &Query) -> Query {
    let mut merged = query.clone();
    merged.filters.extend(view.filter.iter().cloned());
    if merged.sort.is_empty() {
        merged.sort.clone_from(&view.sort);
    }
    if merged.fields.is_none() && !view.columns.is_empty() {
        merged.fields = Some(view.columns.clone());
    }
    merged
}

fn depends_on(snapshot: &Snapshot, manifest: &Manifest, kind: &Type, type_id: &str) -> Vec<String> {
    let referred = kind.fields.values().filter_map(|field| field.target.as_ref()).map(|id| manifest.type_id(id));
    let mut types: Vec<String> = referred.chain(snapshot.extensions_of(type_id)).collect();
    types.push(type_id.to_owned());
    if kind.scope == schema::Scope::Machine {
        types.push("fleet.machine".to_owned());
    }
    types.sort();
    types.dedup();
    types
}

/// The rows of a view.
///
/// # Errors
/// The view is not there or not for this caller, the query does not fit the type, or the plugin did not answer.
pub(super) async fn answer(
    app: &Arc<App>,
    caller: &Caller,
    name: &str,
    view: &str,
    query: &Query,
) -> Result<Answered, Problem> {
    let (snapshot, asked) = prepare(app, caller, name, view, query)?;
    match asked.answered_by {
        None => stored(app, asked).await,
        Some(by) => computed(app, &snapshot, asked, by).await,
    }
}

/// Only the row with this key.
pub(super) fn by_key(query: &mut Query, key: &str) {
    query.filters.push(Filter { field: "$key".to_owned(), op: schema::Op::Eq, value: Value::from(key) });
}

async fn stored(app: &App, asked: Asked) -> Result<Answered, Problem> {
    let Asked { type_id, query, types, .. } = asked;
    let rows = app.database.read(move |store| Ok(store.query(&type_id, &query, &Scope::Everything)?)).await?;
    let database::Rows { columns, rows, keys, next, object_names, .. } = rows;
    Ok(Answered { columns, rows, keys, next, object_names, types })
}

async fn computed(app: &Arc<App>, snapshot: &Snapshot, mut asked: Asked, by: AnsweredBy) -> Result<Answered, Problem> {
    let machine = match by {
        AnsweredBy::Administrator if asked.names_machine => None,
        _ => asked.query.params.shift_remove("machine"),
    };
    let page = match by {
        AnsweredBy::Administrator => {
            let query = json!(asked.query);
            let method = Method::Query(asked.type_id.clone());
            app.host.call(&asked.plugin, method, CallMeta::default(), query).await?.page().await?
        }
        AnsweredBy::Machine => {
            let Some(Value::String(machine)) = machine else {
                let problem =
                    Problem::bad_request("this view is answered by a machine: say by which.").at("params.machine");
                return Err(problem.fix("Add params={\"machine\": NAME-or-id}."));
            };
            let machine: MachineId = app.machine_id(machine).await?;
            app.agents().query(machine, &asked.plugin, &asked.type_id, asked.query.clone()).await?
        }
    };
    let kind = snapshot.type_of(&asked.type_id);
    let columns: Vec<String> = match (&asked.query.fields, kind) {
        (Some(fields), _) => fields.clone(),
        (None, Some(kind)) => kind.fields.keys().cloned().collect(),
        (None, None) => Vec::new(),
    };
    let keys = kind.map(|kind| kind.key.clone()).unwrap_or_default();
    let key_of = |row: &Object| {
        let parts: Vec<Value> = keys.iter().map(|key| row.get(key).cloned().unwrap_or_default()).collect();
        serde_json::to_string(&parts).unwrap_or_default()
    };
    Ok(Answered {
        keys: page.rows.iter().map(key_of).collect(),
        rows: page
            .rows
            .iter()
            .map(|row| columns.iter().map(|c| row.get(c).cloned().unwrap_or_default()).collect())
            .collect(),
        object_names: columns.clone(),
        columns,
        next: page.next,
        types: asked.types,
    })
}

impl App {
    /// Id of the machine with this id or name.
    pub(crate) async fn machine_id(&self, id_or_name: String) -> Result<MachineId, Problem> {
        use fleet::Lookup as _;
        Ok(self.database.read(move |store| Ok(store.find_machine(&id_or_name)?.id)).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_are_those_of_the_view() {
        let view = json!({"id": "files", "kind": "table", "title": "Files", "of": "file",
            "params": {"depth": {"title": "Depth", "type": "int"}}});
        let view: View = serde_json::from_value(view).unwrap();
        let refused = |params: Value| {
            let query: Query = serde_json::from_value(json!({"params": params})).unwrap();
            check_params(&view, &query).err().map(|problem| problem.to_string())
        };
        assert_eq!(refused(json!({"depth": 3, "machine": "m1"})), None);
        assert_eq!(refused(json!({"depth": "x"})).unwrap(), "params.depth: expected a whole number, not \"x\".");
        let unknown = refused(json!({"dept": 3})).unwrap();
        assert_eq!(unknown, "params.dept: the view files has no such param. It has depth.");
    }
}
