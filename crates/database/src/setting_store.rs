//! Settings of plugins and the values that operators gave them: the storage of `fleet::SettingStore`.

use crate::access::{Access, Write};
use crate::error::sql;
use crate::value::micros;
use fleet::{MachineId, Place, SettingChange, SettingLookup, SettingStore, SettingValues};
use rusqlite::{OptionalExtension as _, params};
use schema::{Object, Problem, Setting};
use serde_json::Value;

const TYPE: &str = "fleet.setting";

impl<Mode> SettingLookup for Access<'_, Mode> {
    fn setting_values(&self, module: &str, machine: Option<MachineId>) -> Result<SettingValues, Problem> {
        let of_site = "SELECT '', name, value FROM fleet_setting WHERE module = ?1 AND place = 'site' AND is_set = 1";
        let mut values = SettingValues { site: self.one_object(of_site, params![module])?, ..SettingValues::default() };
        let Some(machine) = machine.map(|id| id.to_string()) else { return Ok(values) };
        let of_groups = "SELECT g.id, s.name, s.value FROM fleet_member m JOIN fleet_group g ON g.id = m.group_id
            JOIN fleet_setting s ON s.\"group\" = g.id WHERE s.module = ?1 AND m.machine = ?2
            ORDER BY g.created_at, g.id";
        values.groups = self.objects(of_groups, params![module, machine])?;
        let of_machine = "SELECT '', name, value FROM fleet_setting WHERE module = ?1 AND machine = ?2";
        values.machine = self.one_object(of_machine, params![module, machine])?;
        Ok(values)
    }
}

impl<Mode> Access<'_, Mode> {
    fn one_object(&self, select: &str, values: impl rusqlite::Params) -> Result<Object, Problem> {
        Ok(self.objects(select, values)?.pop().unwrap_or_default())
    }

    /// Rows of (whose, name, value): an object for each run of the same owner.
    fn objects(&self, select: &str, values: impl rusqlite::Params) -> Result<Vec<Object>, Problem> {
        let mut statement = self.conn.prepare_cached(select).map_err(sql)?;
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let rows = statement.query_map(values, read).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut objects: Vec<Object> = Vec::new();
        let mut owner: Option<String> = None;
        for (of, name, text) in rows.map_err(sql)? {
            let (of, name, text): (String, String, String) = (of, name, text);
            if owner.as_ref() != Some(&of) {
                objects.push(Object::new());
                owner = Some(of);
            }
            if let (Some(object), Ok(value)) = (objects.last_mut(), serde_json::from_str(&text)) {
                object.insert(name, value);
            }
        }
        Ok(objects)
    }
}

impl SettingStore for Write<'_> {
    fn declare_settings(&mut self, module: &str, settings: &[(String, Setting)]) -> Result<(), Problem> {
        for (name, setting) in settings {
            let default = setting.default.to_string();
            let upsert = "INSERT INTO fleet_setting
                (id, setting, module, name, title, description, place, value, \"default\", is_set)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'site', ?7, ?7, 0) ON CONFLICT (id) DO UPDATE
                SET title = excluded.title, description = excluded.description, \"default\" = excluded.\"default\",
                    value = iif(is_set, value, excluded.value)";
            let full = format!("{module}.{name}");
            let values = params![full, full, module, name, setting.title, setting.description, default];
            self.execute(upsert, values)?;
            let others = "UPDATE fleet_setting SET title = ?2, description = ?3, \"default\" = ?4 WHERE setting = ?1";
            self.execute(others, params![full, setting.title, setting.description, default])?;
        }
        let names = Value::from(settings.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>()).to_string();
        let gone = "DELETE FROM fleet_setting WHERE module = ?1 AND is_set = 0
            AND name NOT IN (SELECT value FROM json_each(?2))";
        self.execute(gone, params![module, names])?;
        self.changed_many(TYPE);
        Ok(())
    }

    fn set_setting(&mut self, change: &SettingChange) -> Result<(), Problem> {
        let SettingChange { module, name, place, value, by, at } = change;
        let (full, id) = (format!("{module}.{name}"), id(module, name, *place));
        let (kind, group, machine) = match place {
            Place::Site => ("site", None, None),
            Place::Group(group) => ("group", Some(group.to_string()), None),
            Place::Machine(machine) => ("machine", None, Some(machine.to_string())),
        };
        let upsert =
            "INSERT INTO fleet_setting (id, setting, module, name, title, description, place, \"group\", machine,
                value, \"default\", is_set, changed_at, changed_by)
            SELECT ?1, setting, module, name, title, description, ?3, ?4, ?5, ?6, \"default\", 1, ?7, ?8
            FROM fleet_setting WHERE id = ?2
            ON CONFLICT (id) DO UPDATE SET value = excluded.value, is_set = 1, changed_at = excluded.changed_at,
                changed_by = excluded.changed_by";
        let values = params![id, full, kind, group, machine, value.to_string(), micros(*at), by];
        if self.execute(upsert, values)? == 0 {
            return Err(Problem::not_found(format!("there is no setting {}.", schema::neutral_text(&full)))
                .at("setting")
                .fix("The settings there are stand on the Settings screen."));
        }
        self.changed(TYPE, &id);
        Ok(())
    }

    fn reset_setting(&mut self, module: &str, name: &str, place: Place) -> Result<bool, Problem> {
        let id = id(module, name, place);
        let select = "SELECT is_set FROM fleet_setting WHERE id = ?1";
        let was_set = self.conn.query_row(select, [&id], |row| row.get(0)).optional().map_err(sql)?.unwrap_or(false);
        let reset = match place {
            Place::Site => {
                "UPDATE fleet_setting SET value = \"default\", is_set = 0, changed_at = NULL, changed_by = NULL
                WHERE id = ?1"
            }
            Place::Group(_) | Place::Machine(_) => "DELETE FROM fleet_setting WHERE id = ?1",
        };
        self.execute(reset, [&id])?;
        self.changed(TYPE, &id);
        Ok(was_set)
    }
}

/// Key of a row: the setting itself for the site, with the place behind it elsewhere.
fn id(module: &str, name: &str, place: Place) -> String {
    match place {
        Place::Site => format!("{module}.{name}"),
        Place::Group(group) => format!("{module}.{name}@{group}"),
        Place::Machine(machine) => format!("{module}.{name}@{machine}"),
    }
}
