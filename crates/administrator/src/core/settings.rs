//! Commands on settings.

use super::Asked;
use crate::settings;
use fleet::{SettingChange, SettingStore as _};
use jiff::Timestamp;
use schema::Problem;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    setting: String,
    value: String,
    #[serde(default)]
    group: Option<String>,
    #[serde(default)]
    machine: Option<String>,
}

pub(super) async fn change(asked: &Asked<'_>, input: Change) -> Result<Value, Problem> {
    let (module, name, setting) = settings::find(asked.app, &input.setting)?;
    let value = settings::typed(&name, &setting, &input.value)?;
    let by = asked.job.operator.name.clone();
    let write = move |store: &mut database::Write<'_>| {
        let place = settings::place(store, input.group.as_deref(), input.machine.as_deref())?;
        Ok(store.set_setting(&SettingChange { module, name, place, value, by, at: Timestamp::now() })?)
    };
    asked.app.database.write(write).await?;
    asked.app.settings_changed.send_replace(());
    Ok(Value::Null)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reset {
    setting: String,
    #[serde(default)]
    group: Option<String>,
    #[serde(default)]
    machine: Option<String>,
}

pub(super) async fn reset(asked: &Asked<'_>, input: Reset) -> Result<Value, Problem> {
    let (module, name, _) = settings::find(asked.app, &input.setting)?;
    let write = move |store: &mut database::Write<'_>| {
        let place = settings::place(store, input.group.as_deref(), input.machine.as_deref())?;
        if store.reset_setting(&module, &name, place)? {
            return Ok(());
        }
        let problem = Problem::new(schema::Code::Conflict, "nothing was set there.").at("setting");
        Err(problem.fix("Name the group or machine that it was set for.").into())
    };
    asked.app.database.write(write).await?;
    asked.app.settings_changed.send_replace(());
    Ok(Value::Null)
}
