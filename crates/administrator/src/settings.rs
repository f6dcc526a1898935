//! Settings in force: what operators set for the site, groups and machines, over the defaults of the manifests.

use crate::app::App;
use crate::records;
use fleet::{MachineId, Place, SettingChange, SettingLookup as _, SettingStore as _, SettingValues};
use identity::{Outcome, audit};
use jiff::Timestamp;
use plugin_host::Method;
use schema::{CallMeta, Manifest, Object, Problem, Role, Setting};
use serde_json::{Value, json};
use std::sync::Arc;

/// Brings the rows of all settings in line with the manifests there are.
pub(crate) async fn declare(app: &App) -> Result<(), database::Error> {
    let modules = app.modules.current();
    let declared: Vec<(String, Vec<(String, Setting)>)> =
        modules.manifests().map(|manifest| (manifest.plugin.name.clone(), settings_of(manifest))).collect();
    let write = move |store: &mut database::Write<'_>| {
        for (module, settings) in &declared {
            store.declare_settings(module, settings)?;
        }
        Ok(())
    };
    app.database.write(write).await
}

fn settings_of(manifest: &Manifest) -> Vec<(String, Setting)> {
    manifest.settings.iter().map(|(name, setting)| (name.clone(), setting.clone())).collect()
}

/// All settings of a module, for its administrator role, or for one machine.
///
/// # Errors
/// There is no such module; the database cannot be read.
pub(crate) async fn in_force(app: &App, module: &str, machine: Option<MachineId>) -> Result<Object, Problem> {
    let modules = app.modules.current();
    let found = modules.module(module).ok_or_else(|| Problem::not_found(format!("there is no module {module}.")))?;
    let settings = settings_of(&found.manifest);
    let name = module.to_owned();
    let values = app.database.read(move |store| Ok(store.setting_values(&name, machine)?)).await?;
    let set = chosen(&settings, &values);
    let with_defaults = settings.into_iter().map(|(name, setting)| {
        let value = set.get(&name).cloned().unwrap_or(setting.default);
        (name, value)
    });
    Ok(with_defaults.collect())
}

/// What a machine is told: for every module with settings that runs there, the values that are not the default's.
pub(crate) async fn of_machine(app: &App, machine: MachineId) -> Result<Vec<(String, Object)>, Problem> {
    let modules = app.modules.current();
    let wanted: Vec<(String, Vec<(String, Setting)>)> = modules
        .manifests()
        .filter(|manifest| manifest.runs_in(Role::Machine) && !manifest.settings.is_empty())
        .map(|manifest| (manifest.plugin.name.clone(), settings_of(manifest)))
        .collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let read = move |store: &database::Read<'_>| {
        let told = |(module, settings): &(String, Vec<(String, Setting)>)| {
            let values = store.setting_values(module, Some(machine))?;
            Ok((module.clone(), chosen(settings, &values)))
        };
        wanted.iter().map(told).collect::<Result<Vec<_>, database::Error>>()
    };
    Ok(app.database.read(read).await?)
}

/// The value of each setting that has one: the machine's own, else that of its groups together, else the site's.
/// Values that no longer fit the manifest count as not set.
fn chosen(settings: &[(String, Setting)], values: &SettingValues) -> Object {
    let mut set = Object::new();
    for (name, setting) in settings {
        let fits = |values: &'_ Object| values.get(name).filter(|value| setting.check(name, value).is_ok()).cloned();
        let of_groups: Vec<Value> = values.groups.iter().filter_map(fits).collect();
        let value = fits(&values.machine).or_else(|| setting.merged(&of_groups)).or_else(|| fits(&values.site));
        if let Some(value) = value {
            set.insert(name.clone(), value);
        }
    }
    set
}

/// Tells plugins of the administrator whenever what holds for them changed. Agents are told by their sessions.
pub(crate) fn follow(app: &Arc<App>) {
    let app = app.clone();
    let mut changes = app.settings_changed.subscribe();
    app.runtime.clone().spawn(async move {
        while changes.changed().await.is_ok() {
            let modules = app.modules.current();
            for manifest in modules.manifests().filter(|m| m.runs_in(Role::Administrator) && !m.settings.is_empty()) {
                let name = &manifest.plugin.name;
                if let Err(problem) = configure(&app, name).await {
                    tracing::warn!(plugin = %name, %problem, "a plugin could not be told of its settings");
                }
            }
        }
    });
}

async fn configure(app: &App, plugin: &str) -> Result<(), Problem> {
    if !app.host.plugins().iter().any(|status| status.name == plugin) {
        return Ok(());
    }
    let values = Value::Object(in_force(app, plugin, None).await?);
    app.host.call(plugin, Method::Configure, CallMeta::default(), values).await?.result().await.map(|_| ())
}

/// The setting that an operator names as `module.name`.
///
/// # Errors
/// `not_found`, with the settings there are.
pub(crate) fn find(app: &App, full: &str) -> Result<(String, String, Setting), Problem> {
    let modules = app.modules.current();
    let found = full.split_once('.').and_then(|(module, name)| {
        let setting = modules.module(module)?.manifest.settings.get(name)?;
        Some((module.to_owned(), name.to_owned(), setting.clone()))
    });
    found.ok_or_else(|| {
        let known = modules.manifests().flat_map(|manifest| {
            manifest.settings.keys().map(|name| format!("{}.{name}", manifest.plugin.name)).collect::<Vec<_>>()
        });
        let known: Vec<String> = known.collect();
        let problem = Problem::not_found(format!("there is no setting {}.", schema::neutral_text(full))).at("setting");
        if known.is_empty() {
            problem.fix("No module that is loaded has any.")
        } else {
            problem.fix(format!("There are {}.", known.join(", ")))
        }
    })
}

/// The value that an operator typed, as the setting's type wants it.
///
/// # Errors
/// `bad_request` at `value`, with what is expected.
pub(crate) fn typed(name: &str, setting: &Setting, text: &str) -> Result<Value, Problem> {
    surface::setting_value(name, setting, text).map_err(|problem| problem.at("value"))
}

/// Puts settings in force for the whole site, on record, where they are not in force already.
///
/// # Errors
/// A value does not fit its setting; the database cannot be written.
pub(crate) async fn put_in_force(app: &App, module: &str, values: Object) -> Result<(), Problem> {
    let modules = app.modules.current();
    let found = modules.module(module).ok_or_else(|| Problem::not_found(format!("there is no module {module}.")))?;
    for (name, value) in &values {
        let setting = found.manifest.settings.get(name);
        let setting = setting.ok_or_else(|| Problem::not_found(format!("there is no setting {name}.")).at(name))?;
        setting.check(name, value)?;
    }
    let module = module.to_owned();
    let write = move |store: &mut database::Write<'_>| {
        let before = store.setting_values(&module, None)?.site;
        for (name, value) in values {
            if before.get(&name) == Some(&value) {
                continue;
            }
            let (at, by) = (Timestamp::now(), "command line".to_owned());
            let detail = json!({"setting": format!("{module}.{name}"), "place": "site"});
            let entry = records::system("fleet.change-setting", Some(name.clone()), Outcome::Done, detail);
            audit::append(store, entry, at)?;
            store.set_setting(&SettingChange { module: module.clone(), name, place: Place::Site, value, by, at })?;
        }
        Ok(())
    };
    app.database.write(write).await?;
    app.settings_changed.send_replace(());
    Ok(())
}

/// Where a value is to hold; the site where neither is named.
///
/// # Errors
/// Both are named, or what is named is not there.
pub(crate) fn place(store: &impl fleet::Lookup, group: Option<&str>, machine: Option<&str>) -> Result<Place, Problem> {
    let named = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    match (named(group), named(machine)) {
        (None, None) => Ok(Place::Site),
        (Some(group), None) => Ok(Place::Group(store.find_group(&group)?.id)),
        (None, Some(machine)) => Ok(Place::Machine(store.find_machine(&machine)?.id)),
        (Some(_), Some(_)) => Err(Problem::bad_request("a value holds for a group or for a machine, not for both.")
            .at("group")
            .fix("Leave one of the two empty.")),
    }
}
