//! Machines, groups, plugins and warnings: the storage of `fleet`.

use crate::access::{Access, Write};
use crate::error::sql;
use crate::value::{micros, search_text, time};
use fleet::{
    Facts, Group, GroupId, Lookup, Machine, MachineId, NewMachine, PluginStatus, Presence, Status, Store, Warning,
};
use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row, params};
use schema::{Code, Problem};
use std::collections::BTreeSet;

/// Warnings kept; the oldest go.
const MAX_WARNINGS: i64 = 10_000;
/// In the place of a key that became another machine's: no certificate is for it.
const NO_KEY: &str = "none";
const MACHINE: &str =
    "SELECT id, name, addresses, macs, status, last_seen, agent_version, enrolled_at, groups, revoked_at, held,
    device_key, certified_from FROM fleet_machine";
const GROUP: &str = "SELECT id, name, description, machines, created_at FROM fleet_group";

impl<Mode> Lookup for Access<'_, Mode> {
    fn machine(&self, id: MachineId) -> Result<Option<Machine>, Problem> {
        let mut statement = self.conn.prepare_cached(&format!("{MACHINE} WHERE id = ?1")).map_err(sql)?;
        statement.query_row([id.to_string()], read_machine).optional().map_err(sql)
    }

    fn find_machine(&self, id_or_name: &str) -> Result<Machine, Problem> {
        if let Ok(id) = id_or_name.parse()
            && let Some(machine) = self.machine(id)?
        {
            return Ok(machine);
        }
        let by_name = format!("{MACHINE} WHERE name = ?1 COLLATE NOCASE ORDER BY id LIMIT 10");
        let mut statement = self.conn.prepare_cached(&by_name).map_err(sql)?;
        let found = statement.query_map([id_or_name], read_machine).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        match found.map_err(sql)?.as_slice() {
            [one] => Ok(one.clone()),
            [] => Err(Problem::not_found(format!("there is no machine {}.", schema::neutral_text(id_or_name)))
                .at("machine")
                .fix("Give the name or id of a machine on the Machines screen.")),
            several => {
                let ids: Vec<String> = several.iter().map(|m| m.id.to_string()).collect();
                Err(Problem::new(Code::Conflict, "several machines have this name.")
                    .at("machine")
                    .fix(format!("Use an id: {}.", ids.join(", "))))
            }
        }
    }

    fn machine_by_key(&self, device_key: &str) -> Result<Option<Machine>, Problem> {
        let by_key = format!("{MACHINE} WHERE device_key = ?1 AND device_key <> '' LIMIT 1");
        let mut statement = self.conn.prepare_cached(&by_key).map_err(sql)?;
        statement.query_row([device_key], read_machine).optional().map_err(sql)
    }

    fn machine_ids(&self) -> Result<Vec<MachineId>, Problem> {
        self.ids("SELECT id FROM fleet_machine ORDER BY id", [])
    }

    fn find_group(&self, id_or_name: &str) -> Result<Group, Problem> {
        let either = format!("{GROUP} WHERE id = ?1 OR name = ?1 ORDER BY id <> ?1 LIMIT 1");
        let mut statement = self.conn.prepare_cached(&either).map_err(sql)?;
        let group = statement.query_row([id_or_name], read_group).optional().map_err(sql)?;
        group.ok_or_else(|| {
            Problem::not_found(format!("there is no group {}.", schema::neutral_text(id_or_name))).at("group")
        })
    }

    fn members(&self, group: GroupId) -> Result<Vec<MachineId>, Problem> {
        self.ids("SELECT machine FROM fleet_member WHERE group_id = ?1 ORDER BY machine", [group.to_string()])
    }
}

impl<Mode> Access<'_, Mode> {
    fn ids(&self, statement: &str, values: impl rusqlite::Params) -> Result<Vec<MachineId>, Problem> {
        let mut statement = self.conn.prepare_cached(statement).map_err(sql)?;
        let ids = statement.query_map(values, |row| parsed(row, 0)).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        ids.map_err(sql)
    }
}

impl Store for Write<'_> {
    fn enrol(&mut self, machine: &NewMachine, now: Timestamp) -> Result<Machine, Problem> {
        let id = machine.id.to_string();
        let key = &machine.device_key;
        self.execute(
            "UPDATE fleet_machine SET device_key = ?3 WHERE device_key = ?2 AND id <> ?1 AND ?2 <> ''",
            params![id, key, NO_KEY],
        )?;
        let insert = "INSERT INTO fleet_machine (id, name, reported_name, enrolled_at, device_key)
            VALUES (?1, ?2, ?2, ?3, ?4)
            ON CONFLICT (id) DO UPDATE SET revoked_at = NULL, held = NULL, device_key = excluded.device_key";
        self.execute(insert, params![id, machine.facts.name, micros(now), key])?;
        self.changed("fleet.machine", &id);
        self.set_facts(machine.id, &machine.facts)?;
        self.machine(machine.id)?.ok_or_else(|| no_machine(machine.id))
    }

    fn rename_machine(&mut self, id: MachineId, name: &str) -> Result<(), Problem> {
        let name = if name.trim().is_empty() { "" } else { fleet::check_name(name)? };
        let update = "UPDATE fleet_machine SET name = iif(?2 = '', reported_name, ?2), is_renamed = (?2 <> '')
            WHERE id = ?1";
        if self.execute(update, params![id.to_string(), name])? == 0 {
            return Err(no_machine(id));
        }
        self.index_machine(id)
    }

    fn remove_machine(&mut self, id: MachineId) -> Result<(), Problem> {
        let key = id.to_string();
        let groups = self.machine(id)?.ok_or_else(|| no_machine(id))?.groups;
        self.remove_rows_of(id)?;
        self.execute(
            "DELETE FROM fleet_machine_fts WHERE rowid = (SELECT row FROM fleet_machine WHERE id = ?1)",
            [&key],
        )?;
        self.execute("DELETE FROM fleet_machine WHERE id = ?1", [&key])?;
        self.execute("DELETE FROM fleet_plugin WHERE machine = ?1", [&key])?;
        self.execute("DELETE FROM fleet_warning WHERE machine = ?1", [&key])?;
        self.changed("fleet.machine", &key);
        self.changed_many("fleet.plugin");
        self.changed_many("fleet.warning");
        self.changed_many("fleet.setting");
        groups.into_iter().try_for_each(|group| self.count_members(group))
    }

    fn revoke_machine(&mut self, id: MachineId, now: Timestamp) -> Result<(), Problem> {
        let update = "UPDATE fleet_machine SET revoked_at = coalesce(revoked_at, ?2) WHERE id = ?1";
        if self.execute(update, params![id.to_string(), micros(now)])? == 0 {
            return Err(no_machine(id));
        }
        self.changed("fleet.machine", &id.to_string());
        Ok(())
    }

    fn refuse_older_certificates(&mut self, id: MachineId, from: Timestamp) -> Result<(), Problem> {
        let update = "UPDATE fleet_machine SET certified_from = ?2 WHERE id = ?1";
        let known = self.execute(update, params![id.to_string(), micros(from)])? > 0;
        if known { Ok(()) } else { Err(no_machine(id)) }
    }

    fn hold_machine(&mut self, id: MachineId, reason: &str) -> Result<(), Problem> {
        let update = "UPDATE fleet_machine SET held = coalesce(held, ?2) WHERE id = ?1";
        if self.execute(update, params![id.to_string(), reason])? == 0 {
            return Err(no_machine(id));
        }
        self.changed("fleet.machine", &id.to_string());
        Ok(())
    }

    fn set_presence(&mut self, batch: &[Presence]) -> Result<(), Problem> {
        let update = "UPDATE fleet_machine SET status = ?2, last_seen = max(coalesce(last_seen, 0), ?3) WHERE id = ?1";
        for presence in batch {
            let id = presence.machine.to_string();
            if self.execute(update, params![id, presence.status.as_str(), micros(presence.seen_at)])? > 0 {
                self.changed("fleet.machine", &id);
            }
        }
        Ok(())
    }

    fn all_offline(&mut self) -> Result<(), Problem> {
        if self.execute("UPDATE fleet_machine SET status = 'offline' WHERE status <> 'offline'", [])? > 0 {
            self.changed_many("fleet.machine");
        }
        Ok(())
    }

    fn set_facts(&mut self, id: MachineId, facts: &Facts) -> Result<(), Problem> {
        let mut name: String = schema::neutral_text(facts.name.trim()).chars().take(100).collect();
        if name.is_empty() {
            name = id.to_string();
        }
        let addresses = json_list(facts.addresses.iter().map(ToString::to_string));
        let macs = json_list(facts.macs.iter().cloned());
        let version: String = schema::neutral_text(&facts.agent_version).chars().take(100).collect();
        let update = "UPDATE fleet_machine SET name = iif(is_renamed, name, ?2), reported_name = ?2, addresses = ?3,
            macs = ?4, agent_version = ?5 WHERE id = ?1
            AND (reported_name, addresses, macs, agent_version) IS NOT (?2, ?3, ?4, ?5)";
        if self.execute(update, params![id.to_string(), name, addresses, macs, version])? > 0 {
            self.index_machine(id)?;
        }
        Ok(())
    }

    fn create_group(&mut self, name: &str, description: &str, now: Timestamp) -> Result<Group, Problem> {
        let name = fleet::check_name(name)?.to_owned();
        let id = GroupId::new();
        let insert = "INSERT INTO fleet_group (id, name, description, created_at) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT (name) DO NOTHING";
        if self.execute(insert, params![id.to_string(), name, description, micros(now)])? == 0 {
            return Err(Problem::new(Code::Conflict, format!("there is a group {name} already.")).at("name"));
        }
        self.changed("fleet.group", &id.to_string());
        Ok(Group { id, name, description: description.to_owned(), machines: 0, created_at: now })
    }

    fn rename_group(&mut self, id: GroupId, name: &str) -> Result<(), Problem> {
        let name = fleet::check_name(name)?;
        let taken = "SELECT 1 FROM fleet_group WHERE name = ?2 AND id <> ?1";
        let mut statement = self.conn.prepare_cached(taken).map_err(sql)?;
        if statement.exists(params![id.to_string(), name]).map_err(sql)? {
            return Err(Problem::new(Code::Conflict, format!("there is a group {name} already.")).at("name"));
        }
        if self.execute("UPDATE fleet_group SET name = ?2 WHERE id = ?1", params![id.to_string(), name])? == 0 {
            return Err(no_group(id));
        }
        self.changed("fleet.group", &id.to_string());
        self.changed_many("fleet.machine");
        Ok(())
    }

    fn delete_group(&mut self, id: GroupId) -> Result<(), Problem> {
        let members = self.members(id)?;
        if self.execute("DELETE FROM fleet_group WHERE id = ?1", [id.to_string()])? == 0 {
            return Err(no_group(id));
        }
        self.changed("fleet.group", &id.to_string());
        self.changed_many("fleet.setting");
        members.into_iter().try_for_each(|machine| self.list_groups(machine))
    }

    fn add_to_group(&mut self, group: GroupId, machines: &[MachineId]) -> Result<(), Problem> {
        self.must_be_group(group)?;
        for machine in machines {
            if self.machine(*machine)?.is_none() {
                return Err(no_machine(*machine));
            }
            let insert = "INSERT INTO fleet_member VALUES (?1, ?2) ON CONFLICT DO NOTHING";
            self.execute(insert, params![group.to_string(), machine.to_string()])?;
            self.list_groups(*machine)?;
        }
        self.count_members(group)
    }

    fn remove_from_group(&mut self, group: GroupId, machines: &[MachineId]) -> Result<(), Problem> {
        self.must_be_group(group)?;
        for machine in machines {
            let delete = "DELETE FROM fleet_member WHERE group_id = ?1 AND machine = ?2";
            self.execute(delete, params![group.to_string(), machine.to_string()])?;
            self.list_groups(*machine)?;
        }
        self.count_members(group)
    }

    fn set_plugin_status(&mut self, status: &PluginStatus) -> Result<(), Problem> {
        let place = place(status.machine);
        let id = format!("{}@{place}", status.name);
        let upsert = "INSERT INTO fleet_plugin (id, name, title, version, state, cause, remedy, role, machine,
            sandbox) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (id) DO UPDATE SET title = excluded.title,
            version = excluded.version, state = excluded.state, cause = excluded.cause, remedy = excluded.remedy,
            sandbox = excluded.sandbox";
        let role = if status.machine.is_some() { "machine" } else { "administrator" };
        let machine = status.machine.map(|m| m.to_string());
        let (name, title, version, state) = (&status.name, &status.title, &status.version, status.state.as_str());
        let sandbox = json_list(status.sandbox.iter().cloned());
        let said = (&status.cause, &status.remedy);
        self.execute(upsert, params![id, name, title, version, state, said.0, said.1, role, machine, sandbox])?;
        self.changed("fleet.plugin", &id);
        Ok(())
    }

    fn keep_plugins(&mut self, machine: Option<MachineId>, names: &[String]) -> Result<(), Problem> {
        let delete = "DELETE FROM fleet_plugin WHERE machine IS ?1 AND name NOT IN (SELECT value FROM json_each(?2))";
        if self.execute(delete, params![machine.map(|m| m.to_string()), json_list(names.iter().cloned())])? > 0 {
            self.changed_many("fleet.plugin");
        }
        Ok(())
    }

    fn warn(&mut self, warning: &Warning) -> Result<(), Problem> {
        let machine = warning.machine.map(|m| m.to_string());
        let problem = &warning.problem;
        let mut digest = blake3::Hasher::new();
        let message: String = schema::neutral_text(&problem.message).chars().take(1000).collect();
        let code = problem.code.as_str();
        let parts = [&place(warning.machine), &warning.plugin, &warning.subject, code];
        for part in parts.into_iter().chain([problem.field.as_deref().unwrap_or_default(), &message]) {
            digest.update(part.as_bytes()).update(b"\0");
        }
        let id = digest.finalize().to_hex()[..32].to_owned();
        let upsert =
            "INSERT INTO fleet_warning (id, at, first_at, machine, plugin, subject, code, field, message, fix, count)
            VALUES (?1, ?2, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
            ON CONFLICT (id) DO UPDATE SET at = max(at, excluded.at), count = count + excluded.count";
        let count = i64::try_from(warning.count).unwrap_or(i64::MAX);
        let (at, plugin, subject) = (micros(warning.at), &warning.plugin, &warning.subject);
        let values = params![id, at, machine, plugin, subject, code, problem.field, message, problem.fix, count];
        self.execute(upsert, values)?;
        self.changed("fleet.warning", &id);
        let trim = "DELETE FROM fleet_warning WHERE row IN (SELECT row FROM fleet_warning
            ORDER BY at DESC, id LIMIT -1 OFFSET ?1)";
        if self.execute(trim, [MAX_WARNINGS])? > 0 {
            self.changed_many("fleet.warning");
        }
        Ok(())
    }
}

impl Write<'_> {
    pub(crate) fn execute(&self, statement: &str, values: impl rusqlite::Params) -> Result<usize, Problem> {
        self.conn.prepare_cached(statement).and_then(|mut s| s.execute(values)).map_err(sql)
    }

    fn must_be_group(&self, group: GroupId) -> Result<(), Problem> {
        self.find_group(&group.to_string()).map(|_| ())
    }

    /// Brings the text index of a machine up to date.
    fn index_machine(&self, id: MachineId) -> Result<(), Problem> {
        let machine = self.machine(id)?.ok_or_else(|| no_machine(id))?;
        let addresses: Vec<String> = machine.addresses.iter().map(ToString::to_string).collect();
        let texts = std::iter::once(&machine.name).chain(&addresses).chain(&machine.macs);
        let search = search_text(texts.map(String::as_str));
        let key = id.to_string();
        self.execute("UPDATE fleet_machine SET search = ?2 WHERE id = ?1", [&key, &search])?;
        self.execute(
            "DELETE FROM fleet_machine_fts WHERE rowid = (SELECT row FROM fleet_machine WHERE id = ?1)",
            [&key],
        )?;
        let insert =
            "INSERT INTO fleet_machine_fts (rowid, search) SELECT row, search FROM fleet_machine WHERE id = ?1";
        self.execute(insert, [&key])?;
        self.changed("fleet.machine", &key);
        Ok(())
    }

    /// Writes the groups of a machine into its row.
    fn list_groups(&self, id: MachineId) -> Result<(), Problem> {
        let update = "UPDATE fleet_machine SET groups = (SELECT json_group_array(group_id) FROM
            (SELECT group_id FROM fleet_member WHERE machine = ?1 ORDER BY group_id)) WHERE id = ?1";
        self.execute(update, [id.to_string()])?;
        self.changed("fleet.machine", &id.to_string());
        Ok(())
    }

    fn count_members(&self, group: GroupId) -> Result<(), Problem> {
        let update = "UPDATE fleet_group SET machines = (SELECT count(*) FROM fleet_member WHERE group_id = ?1)
            WHERE id = ?1";
        self.execute(update, [group.to_string()])?;
        self.changed("fleet.group", &group.to_string());
        Ok(())
    }
}

fn read_machine(row: &Row<'_>) -> rusqlite::Result<Machine> {
    let texts = |column| {
        row.get::<_, String>(column).map(|json| serde_json::from_str::<Vec<String>>(&json).unwrap_or_default())
    };
    Ok(Machine {
        id: parsed(row, 0)?,
        name: row.get(1)?,
        addresses: texts(2)?.iter().filter_map(|a| a.parse().ok()).collect(),
        macs: texts(3)?,
        status: if row.get_ref(4)?.as_str()? == "online" { Status::Online } else { Status::Offline },
        last_seen: row.get::<_, Option<i64>>(5)?.map(time),
        agent_version: row.get(6)?,
        enrolled_at: time(row.get(7)?),
        groups: texts(8)?.iter().filter_map(|g| g.parse().ok()).collect(),
        revoked_at: row.get::<_, Option<i64>>(9)?.map(time),
        held: row.get(10)?,
        device_key: row.get(11)?,
        certified_from: row.get::<_, Option<i64>>(12)?.map(time),
    })
}

fn read_group(row: &Row<'_>) -> rusqlite::Result<Group> {
    Ok(Group {
        id: parsed(row, 0)?,
        name: row.get(1)?,
        description: row.get(2)?,
        machines: row.get(3)?,
        created_at: time(row.get(4)?),
    })
}

/// A value that is kept as text and read by its own rules.
pub(crate) fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text = row.get_ref(column)?.as_str()?;
    let wrong = |e| rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(e));
    text.parse().map_err(wrong)
}

fn json_list(texts: impl Iterator<Item = String>) -> String {
    serde_json::Value::from(texts.collect::<Vec<_>>()).to_string()
}

fn place(machine: Option<MachineId>) -> String {
    machine.map_or_else(|| "administrator".to_owned(), |m| m.to_string())
}

fn no_machine(id: MachineId) -> Problem {
    Problem::not_found(format!("there is no machine {id}.")).at("machine")
}

fn no_group(id: GroupId) -> Problem {
    Problem::not_found(format!("there is no group {id}.")).at("group")
}

/// Stored rows of a machine in every table of every plugin, declared now or not.
impl Write<'_> {
    fn remove_rows_of(&self, id: MachineId) -> Result<(), Problem> {
        let mut statement = self.conn.prepare_cached("SELECT id, plugin, name FROM stored_type").map_err(sql)?;
        let types = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .and_then(Iterator::collect::<Result<BTreeSet<(i64, String, String)>, _>>)
            .map_err(sql)?;
        let key = id.to_string();
        for (number, plugin, name) in types {
            let of_machine = format!("SELECT row FROM t_{number} WHERE machine = ?1");
            self.execute(&format!("DELETE FROM t_{number}_fts WHERE rowid IN ({of_machine})"), [&key])?;
            if self.execute(&format!("DELETE FROM t_{number} WHERE machine = ?1"), [&key])? > 0 {
                self.changed_many(&format!("{plugin}.{name}"));
            }
        }
        self.execute("DELETE FROM held_section WHERE machine = ?1", [&key])?;
        self.execute("DELETE FROM stored_section WHERE machine = ?1", [&key])?;
        self.execute("DELETE FROM last_observed WHERE machine = ?1", [&key])?;
        Ok(())
    }
}
