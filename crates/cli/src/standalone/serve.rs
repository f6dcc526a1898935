//! `bailiwick-<module> serve`: the real administrator and the agent of this machine, with that one module only.

use super::find::Found;
use super::{gather, make_private};
use administrator::{Only, Plugins, ServeConfig};
use anyhow::Result;
use clap::{Arg, ArgMatches, value_parser};
use schema::{FieldType, Manifest, Needs, Object, Role};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::ExitCode;
use surface::cli;

/// The word that stands for it beside those of the module.
pub(super) struct Word(String);

impl Word {
    pub(super) fn beside(command: &clap::Command) -> Word {
        Word(cli::free_word(command, "serve"))
    }

    pub(super) fn add(&self, command: clap::Command, manifest: &Manifest) -> clap::Command {
        let address =
            |id: &'static str| Arg::new(id).long(id).value_name("ADDR:PORT").value_parser(value_parser!(SocketAddr));
        let serve = clap::Command::new(self.0.clone())
            .about("Serve the console with this module alone, and look after this machine")
            .arg(
                address("listen")
                    .default_value("127.0.0.1:8640")
                    .help("Where the console is served; TLS but for loopback"),
            )
            .arg(address("agents-listen").help("Where agents connect; a free port of the same address where absent"));
        command.subcommand(cli::with_settings(serve, manifest))
    }

    pub(super) fn given<'a>(&self, matches: &'a ArgMatches) -> Option<&'a ArgMatches> {
        matches.subcommand().filter(|(word, _)| *word == self.0).map(|(_, given)| given)
    }
}

/// Serves until it is told to end. What is given of the module's settings holds for the whole site.
pub(super) fn run(found: Found, given: &ArgMatches) -> Result<ExitCode> {
    let listen = given.get_one::<SocketAddr>("listen").copied();
    let listen = listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8640)));
    let agents_listen = given.get_one::<SocketAddr>("agents-listen").copied();
    let settings = gather(&found, cli::given_settings(&found.manifest, given)?)?.given();
    let Found { manifest, library, directory } = found;
    make_private(&directory)?;
    let grants = grants(&manifest, &settings);
    let only = Only { library, module: manifest.plugin.name, grants, settings };
    crate::serve::run(ServeConfig {
        state: directory.join("site"),
        listen,
        agents_listen: Some(agents_listen.unwrap_or_else(|| SocketAddr::new(listen.ip(), 0))),
        plugins: Plugins::Only(only),
        local_agent: true,
    })
}

/// Who starts a module by itself trusts it with what it asks for, and with the places that its settings name.
fn grants(manifest: &Manifest, settings: &Object) -> BTreeMap<Role, Needs> {
    let is_path = |name: &String| manifest.settings.get(name).is_some_and(|setting| setting.kind == FieldType::Path);
    let named = settings.iter().filter(|(name, _)| is_path(name)).filter_map(|(_, value)| value.as_str());
    let paths: Vec<String> = named.filter(|path| path.starts_with('/')).map(str::to_owned).collect();
    let of = |role: Role| {
        let mut needs = manifest.plugin.needs.get(&role).cloned().unwrap_or_default();
        needs.read.extend(paths.iter().cloned());
        needs.write.extend(paths.iter().cloned());
        (role, needs)
    };
    [Role::Administrator, Role::Machine].map(of).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_module_gets_what_it_asks_for_and_the_places_its_settings_name() {
        let setting = |kind: &str| json!({"title": "S", "type": kind, "default": null});
        let manifest = json!({"console": "1.0",
            "plugin": {"id": "a.b", "name": "b", "version": "1", "title": "B", "needs": {"machine": {"read": ["/etc"]}}},
            "settings": {"folder": setting("path"), "name": setting("text"), "unset": setting("path")}});
        let manifest = Manifest::parse(manifest.to_string().as_bytes()).unwrap();
        let settings = json!({"folder": "/srv/x", "name": "/not/a/path"});
        let grants = grants(&manifest, settings.as_object().unwrap());
        assert_eq!(
            (&grants[&Role::Machine].read, &grants[&Role::Machine].write),
            (&vec!["/etc".into(), "/srv/x".into()], &vec!["/srv/x".into()])
        );
        assert_eq!(grants[&Role::Administrator].read, ["/srv/x"]);
    }
}
