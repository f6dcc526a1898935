//! What plugins told: the storage of `fleet::EventStore`.

use crate::access::Write;
use crate::value::{micros, search_text};
use fleet::{Event, EventStore};
use rusqlite::params;
use schema::Problem;

const TYPE: &str = "fleet.event";
/// Events kept; the oldest go.
const MAX_EVENTS: i64 = 100_000;

impl EventStore for Write<'_> {
    fn add_event(&mut self, event: &Event) -> Result<(), Problem> {
        let id = uuid::Uuid::now_v7().to_string();
        let machine = event.machine.map(|id| id.to_string());
        let data = serde_json::Value::Object(event.data.clone()).to_string();
        let title = schema::neutral_text(&event.title);
        let search = search_text([title.as_str(), data.as_str()]);
        let insert = "INSERT INTO fleet_event (id, at, tone, module, event, title, machine, data, search)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let (at, tone) = (micros(event.at), event.tone.as_str());
        self.execute(insert, params![id, at, tone, event.module, event.event, title, machine, data, search])?;
        let row = self.conn.last_insert_rowid();
        self.execute("INSERT INTO fleet_event_fts (rowid, search) VALUES (?1, ?2)", params![row, search])?;
        self.changed(TYPE, &id);
        // Rows count up, so what is too old is below one number; looked at now and then only.
        if row % 256 == 0 && row > MAX_EVENTS {
            let oldest = row - MAX_EVENTS;
            self.execute(
                "DELETE FROM fleet_event_fts WHERE rowid IN (SELECT row FROM fleet_event WHERE row <= ?1)",
                [oldest],
            )?;
            self.execute("DELETE FROM fleet_event WHERE row <= ?1", [oldest])?;
            self.changed_many(TYPE);
        }
        Ok(())
    }
}
