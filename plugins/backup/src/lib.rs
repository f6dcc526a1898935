//! Backup of machines into a vault, and back.
//!
//! The machine role reads and writes files (`files`, `run`, `restore`); the administrator role is the one keeper of the
//! vault (`keeper`). Between them goes one channel (`wire`, `remote`), alone on a machine as well as on a site.

mod browse;
mod care;
mod daily;
mod download;
mod drill;
pub mod files;
mod keeper;
mod look;
mod mount;
mod prune;
mod remote;
mod restore;
mod retention;
mod rows;
mod run;
mod search;
mod settings;
mod tar;
mod wire;

use rows::{Drill, File, Last, Snapshot, VaultState};
use sdk::prelude::*;
use sdk::schema::{
    CliHints, Command, Confirm, Danger, Empty, EventType, Filter, Mode, Offer, Op, Predicate, TakenAs, Tone, Type, View,
};

/// On a machine it reads every file, and writes back those that are restored, as whom they belonged to. `CAP_SYS_ADMIN` is for
/// attributes `trusted.*` and labels `security.*` alone: without it they are neither seen nor set.
fn needs() -> Needs {
    let capabilities = [
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_DAC_READ_SEARCH",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_MKNOD",
        "CAP_SETFCAP",
        "CAP_SYS_ADMIN",
    ];
    Needs {
        user: Some("root".to_owned()),
        capabilities: capabilities.map(str::to_owned).to_vec(),
        read: vec!["/".to_owned()],
        write: vec!["/".to_owned()],
        ..Needs::default()
    }
}

/// Where a command is run and what it does to what is there.
fn on_vault(command: &mut Command, icon: &str, effect: Effect, description: &str) {
    command.description = description.to_owned();
    command.icon = Some(icon.to_owned());
    command.target.on = TargetKind::Administrator;
    command.effect = effect;
}

/// What takes long, can be left to a schedule and is begun anew where it was cut off.
fn long(command: &mut Command) {
    command.progress = true;
    command.schedule = true;
    command.on_interrupt = OnInterrupt::Rerun;
}

fn filter(field: &str, value: &str) -> Filter {
    Filter { field: field.to_owned(), op: Op::Eq, value: json!(value) }
}

fn of_machines(app: App) -> App {
    app.command("run", "Back up now", run::run)
        .command_options(|command| {
            command.title_many = "Back up {n} machines".to_owned();
            command.description = "Takes a snapshot of the machine's files.".to_owned();
            command.icon = Some("archive".to_owned());
            command.effect = Effect::Write;
            command.cli = Some(CliHints { positional: vec!["path".to_owned()], ..CliHints::default() });
            command.offer = Some(Offer {
                of: None,
                filters: vec![filter("backup_status", "never"), filter("status", "online")],
                text: "{name} was never backed up.".to_owned(),
                text_many: "{n} machines were never backed up.".to_owned(),
            });
            long(command);
        })
        .command("restore", "Restore", restore::restore)
        .command_options(|command| {
            command.description = "Writes files of a snapshot back to the machine.".to_owned();
            command.icon = Some("restore".to_owned());
            // What is there is left alone unless that is asked for; whoever may ask for it may do both.
            command.effect = Effect::Write;
            command.permission = Some("destroy".to_owned());
            command.danger = Some(Danger {
                when: Some(Predicate::Compare { field: "existing".to_owned(), op: Op::Eq, value: json!("overwrite") }),
                text: "What is there under the same names is replaced, and is gone.".to_owned(),
                confirm: Confirm::Ask,
            });
            command.progress = true;
            command.on_interrupt = OnInterrupt::Rerun;
            command.preview = Some("restore-preview".to_owned());
            of_files(command);
        })
        .command("restore-preview", "Preview a restore", restore::preview)
        .command_options(|command| {
            command.description = "What a restore would do, without doing it.".to_owned();
            command.icon = Some("eye".to_owned());
            command.effect = Effect::Read;
            // It tells what is on the machine, as a restore does.
            command.permission = Some("destroy".to_owned());
            of_files(command);
        })
        .command("download", "Download", download::download)
        .command_options(|command| {
            let text = "Sends a file of a snapshot as it is, or several as a tar archive, to whoever asks.";
            on_vault(command, "download", Effect::Read, text);
            sent(command, TakenAs::Download);
        })
        .command("peek", "Preview", download::peek)
        .command_options(|command| {
            on_vault(command, "eye", Effect::Read, "Shows the beginning of a file of a snapshot.");
            sent(command, TakenAs::Preview);
        })
}

/// A command that writes files back: where it is called from says which.
fn of_files(command: &mut Command) {
    of_rows(command);
    let properties = &mut command.input["properties"];
    properties["in_place"]["oneOf"] =
        json!([{"const": true, "title": "Where they were"}, {"const": false, "title": "Into a folder"}]);
    properties["to"]["x-when"] = json!({"field": "in_place", "op": "ne", "value": true});
    command.input["required"] = json!(["to"]);
}

/// A command on rows of a snapshot's files.
fn of_rows(command: &mut Command) {
    command.title_many = format!("{} {{n}} items", command.title);
    command.bind =
        [("snapshot", "$params.snapshot"), ("path", "path")].map(|(to, from)| (to.into(), from.into())).into();
}

/// A command that sends what is in files. Whoever may write them back to their machine may have them here.
fn sent(command: &mut Command, taken_as: TakenAs) {
    of_rows(command);
    command.permission = Some("destroy".to_owned());
    command.streams = vec![download::stream(taken_as)];
    command.cli = Some(CliHints { positional: vec!["path".to_owned()], ..CliHints::default() });
    // Nobody may come for it.
    command.timeout_seconds = Some(12 * 3600);
}

fn of_the_vault(app: App) -> App {
    app.command("init", "Make a vault", care::init)
        .command_options(|command| {
            let text = "Makes an empty vault, and the sheet that opens it when all else is lost.";
            on_vault(command, "archive", Effect::Write, text);
            command.modes = vec![Mode::Standalone];
        })
        .command("mount", "Show snapshots as folders", mount::mount)
        .command_options(|command| {
            let text = "Shows every snapshot as a folder, read-only, until it is ended.";
            on_vault(command, "folder", Effect::Read, text);
            command.modes = vec![Mode::Standalone];
            command.cli = Some(CliHints { positional: vec!["mountpoint".to_owned()], ..CliHints::default() });
        })
        .command("stats", "Show the size of the vault", care::stats)
        .command_options(|command| {
            on_vault(command, "chart", Effect::Read, "How much is stored, and how much room it takes.");
        })
        .command("key", "Change what opens the vault", care::key)
        .command_options(|command| {
            let text = "Lists the ways into the vault, adds one or removes one.";
            on_vault(command, "key", Effect::Destroy, text);
            command.cli = Some(CliHints { positional: vec!["action".to_owned()], ..CliHints::default() });
        })
        .command("sheet", "Print a recovery sheet", care::sheet)
        .command_options(|command| {
            let text =
                "A new code that opens the vault when all else is lost. The sheet before it opens nothing any more.";
            on_vault(command, "key", Effect::Write, text);
            command.permission = Some("destroy".to_owned());
            command.offer = Some(Offer {
                of: Some("vault".to_owned()),
                filters: vec![filter("state", "no_sheet")],
                text: "There is no recovery sheet yet: if this administrator is lost, so are its backups.".to_owned(),
                text_many: "{n} vaults have no recovery sheet yet.".to_owned(),
            });
        })
        .command("drill", "Try the recovery sheet", drill::drill)
        .command_options(|command| {
            let text = "Opens the vault with nothing but the code on the recovery sheet, and reads files back.";
            on_vault(command, "shield", Effect::Read, text);
            command.permission = Some("run".to_owned());
            command.progress = true;
            command.offer = Some(Offer {
                of: Some("vault".to_owned()),
                filters: vec![filter("state", "drill_due")],
                text: "It is time to try the recovery sheet of {name}.".to_owned(),
                text_many: "It is time to try the recovery sheets of {n} vaults.".to_owned(),
            });
        })
        .command("verify", "Verify the vault", care::verify)
        .command_options(|command| {
            let text = "Whether everything is there that snapshots need, and as it was written.";
            on_vault(command, "shield", Effect::Read, text);
            command.permission = Some("run".to_owned());
            long(command);
        })
        .command("find", "Find a file", search::search)
        .command_options(|command| {
            let text = "Looks for a name in every snapshot and lists each version of what has it.";
            on_vault(command, "search", Effect::Read, text);
            command.bind = [("machine".to_owned(), "$params.machine".to_owned())].into();
            command.on_interrupt = OnInterrupt::Rerun;
        })
        .command("forget", "Forget old snapshots", prune::forget)
        .command_options(|command| {
            let text = "Removes the snapshots that the rules do not keep. Room is made by a prune.";
            on_vault(command, "trash", Effect::Destroy, text);
            long(command);
        })
        .command("prune", "Make room in the vault", prune::prune)
        .command_options(|command| {
            let text = "Deletes what no snapshot needs any more, while backups go on.";
            on_vault(command, "trash", Effect::Write, text);
            long(command);
        })
}

/// The files of a snapshot: a tree where trees are shown, a directory at a time elsewhere.
fn files_view() -> View {
    sdk::serde_json::from_value(json!({
        "id": "ls", "kind": "tree", "title": "Files", "of": "file", "icon": "folder",
        "description": "What was on a machine when it was backed up. Select what is to come back.",
        "params": {
            "machine": {"title": "Machine", "type": "ref", "ref": "fleet.machine"},
            "snapshot": {"title": "Snapshot", "type": "ref", "ref": "snapshot"},
            "path": {"title": "Directory", "type": "path"},
        },
        "tree": {"param": "path", "field": "path", "branch": {"field": "kind", "op": "eq", "value": "directory"}},
        "columns": ["kind", "size", "modified", "owner", "name", "doubt"],
        "actions": ["find"],
        "row": ["peek", "restore", "download"], "bulk": ["restore", "download"],
        "x-cli": {"positional": ["path"]},
    }))
    .expect("a view is plain data")
}

/// Pictures of what is neither a file nor a directory.
fn pictures(kind: &mut Type) {
    for (value, icon) in [("symlink", "link"), ("fifo", "arrow-right"), ("socket", "network"), ("device", "cpu")] {
        kind.fields["kind"].values[value].icon = Some(icon.to_owned());
    }
}

pub fn app() -> App {
    let app = App::new("org.bailiwick.backup")
        .title("Backup")
        .description("Snapshots of machines, de-duplicated and encrypted on disk.")
        .vendor("Bailiwick")
        .icon("archive")
        .order(20)
        .roles(&[Role::Administrator, Role::Machine])
        .needs(Role::Machine, needs())
        .service(Role::Machine, daily::keep)
        .service(Role::Administrator, keeper::watch)
        .on_configure(daily::settings_changed)
        .accept(keeper::accept)
        .list::<Snapshot, _, _>(AnsweredBy::Administrator, look::snapshots)
        .table("Snapshots")
        .view_options(|view| {
            view.sort = vec!["-time".to_owned()];
            view.drill = Some("ls".to_owned());
            view.row = vec!["restore".to_owned()];
            view.actions = vec!["find".to_owned()];
            view.empty = Some(Empty {
                title: "Nothing was backed up yet".to_owned(),
                body: "Each backup of a machine is a snapshot of its files.".to_owned(),
                action: Some("run".to_owned()),
            });
        })
        .query::<File, _, _>(AnsweredBy::Administrator, browse::files)
        .type_options(pictures)
        .view(files_view())
        .stored::<VaultState>()
        .table("Vaults")
        .stored::<Drill>()
        .table("Recovery drills")
        .view_options(|view| view.sort = vec!["-time".to_owned()])
        .extend::<Last>("fleet.machine");
    let app = app.manifest_options(|manifest| {
        manifest.events.push(EventType {
            id: keeper::MASS_CHANGE.to_owned(),
            title: "Many files changed at once".to_owned(),
            tone: Tone::Danger,
        });
    });
    settings::declare(of_the_vault(of_machines(app)))
}
sdk::export!(app);

#[cfg(test)]
mod tests {
    #[test]
    fn the_manifest_is_right() {
        assert_eq!(super::app().check(), []);
    }
}
