//! What of a manifest there is where a module runs: with an administrator, or alone.

use crate::{Command, Manifest, Mode};

impl Command {
    /// Whether it can be run in this mode.
    pub fn runs(&self, mode: Mode) -> bool {
        self.modes.is_empty() || self.modes.contains(&mode)
    }
}

impl Manifest {
    /// The manifest without the commands of the other mode, and without whatever offers or needs them.
    #[must_use]
    pub fn in_mode(mut self, mode: Mode) -> Manifest {
        let gone: Vec<String> = self.commands.iter().filter(|c| !c.runs(mode)).map(|c| c.id.clone()).collect();
        if gone.is_empty() {
            return self;
        }
        self.commands.retain(|command| command.runs(mode));
        let name = self.plugin.name.clone();
        let stays = |id: &String| {
            let short = id.strip_prefix(&format!("{name}.")).unwrap_or(id);
            !gone.iter().any(|gone| gone == short)
        };
        self.schedules.retain(|schedule| stays(&schedule.command));
        self.views.retain(|view| view.command.as_ref().is_none_or(stays));
        for command in &mut self.commands {
            command.preview = command.preview.take().filter(stays);
            command.undo = command.undo.take().filter(stays);
        }
        for view in &mut self.views {
            for offered in [&mut view.actions, &mut view.row, &mut view.bulk] {
                offered.retain(stays);
            }
            if let Some(empty) = &mut view.empty {
                empty.action = empty.action.take().filter(stays);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_command_of_the_other_mode_is_offered_nowhere() {
        let view = |id: &str, command: Option<&str>| {
            let kind = if command.is_some() { "form" } else { "table" };
            let of = command.is_none().then_some("thing");
            json!({"id": id, "kind": kind, "title": "V", "of": of, "command": command, "actions": ["alone", "a.both"],
                   "row": ["a.alone"], "bulk": ["alone"], "empty": {"title": "E", "action": "alone"}})
        };
        let manifest = json!({"console": "1.0", "plugin": {"id": "a.a", "name": "a", "version": "1", "title": "A"},
            "types": {"thing": {"title": "T", "scope": "site", "key": ["id"], "label": "id", "stored": {},
                "fields": {"id": {"title": "Id", "type": "id"}}}},
            "views": [view("list", None), view("form", Some("alone"))],
            "schedules": [{"id": "s", "title": "S", "command": "alone", "cron": "0 0 * * *"}],
            "commands": [{"id": "alone", "title": "Alone", "modes": ["standalone"]},
                {"id": "managed", "title": "Managed", "modes": ["managed"]},
                {"id": "both", "title": "Both", "preview": "alone", "undo": "managed"}]});
        let manifest = Manifest::parse(manifest.to_string().as_bytes()).unwrap();
        let ids = |manifest: &Manifest| manifest.commands.iter().map(|c| c.id.clone()).collect::<Vec<_>>();
        let alone = manifest.clone().in_mode(Mode::Standalone);
        assert_eq!(ids(&alone), ["alone", "both"]);
        assert_eq!((alone.commands[1].preview.as_deref(), alone.commands[1].undo.as_deref()), (Some("alone"), None));
        let managed = manifest.in_mode(Mode::Managed);
        assert_eq!(ids(&managed), ["managed", "both"]);
        assert!(!serde_json::to_string(&managed).unwrap().contains("alone"), "{managed:?}");
        assert_eq!(managed.check(), []);
    }
}
