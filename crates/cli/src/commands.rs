//! The words of the command line that need no manifest, and the way to those that do.

use crate::{remote, serve, standalone, state};
use administrator::{Plugins, ServeConfig};
use anyhow::Result;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use identity::Role;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs what the words ask for. Words of modules are looked up in the administrator's manifests.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let own = own_commands();
    let is_own =
        |word: &str| word.starts_with('-') || word == "help" || own.get_subcommands().any(|c| c.get_name() == word);
    match arguments.get(1) {
        Some(word) if !is_own(word) => return remote::run(own, arguments),
        _ => {}
    }
    let matches = own.get_matches_from(arguments.iter().map(OsString::from));
    match matches.subcommand() {
        Some(("serve", given)) => serve::run(serve_config(given)),
        Some(("token", given)) => match given.subcommand() {
            Some(("create", given)) => {
                let role = Role::parse(text(given, "role")).unwrap_or(Role::Manager);
                state::create_token(&path(given, "state"), text(given, "name").to_owned(), role)
            }
            _ => Ok(ExitCode::from(2)),
        },
        Some(("audit", given)) => match given.subcommand() {
            Some(("verify", given)) => state::verify_audit(&path(given, "state")),
            _ => Ok(ExitCode::from(2)),
        },
        Some(("module", given)) => match given.subcommand() {
            Some(("run", given)) => {
                let words: Vec<String> = given.get_many::<String>("words").into_iter().flatten().cloned().collect();
                let module = text(given, "module");
                let library = module.ends_with(".so").then(|| PathBuf::from(module));
                standalone::run(module, library.as_deref(), &[vec![module.to_owned()], words].concat())
            }
            Some(("name", given)) => standalone::print_name(&path(given, "library")),
            _ => Ok(ExitCode::from(2)),
        },
        _ => Ok(ExitCode::from(2)),
    }
}

fn text<'a>(matches: &'a ArgMatches, id: &str) -> &'a str {
    matches.get_one::<String>(id).map(String::as_str).unwrap_or_default()
}

fn path(matches: &ArgMatches, id: &str) -> PathBuf {
    matches.get_one::<PathBuf>(id).cloned().unwrap_or_default()
}

fn serve_config(given: &ArgMatches) -> ServeConfig {
    ServeConfig {
        state: path(given, "state"),
        listen: given
            .get_one::<SocketAddr>("listen")
            .copied()
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8640))),
        agents_listen: given.get_one::<SocketAddr>("agents-listen").copied(),
        plugins: given.get_one::<PathBuf>("plugins").cloned().map_or(Plugins::Beside, Plugins::Folder),
        local_agent: !given.get_flag("no-local-agent"),
    }
}

/// The program's own words.
fn own_commands() -> Command {
    Command::new("bailiwick")
        .about("One console for everything a network manager looks after")
        .version(env!("CARGO_PKG_VERSION"))
        .after_help(
            "Words of modules, such as `bailiwick fleet machines`, come from the administrator at BAILIWICK_URL \
             (http://127.0.0.1:8640 where it is not set), with the token in BAILIWICK_TOKEN.",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(serve_command())
        .subcommand(
            Command::new("token")
                .about("API tokens, on the administrator's own machine")
                .subcommand_required(true)
                .subcommand(
                    Command::new("create")
                        .about("Make a token and print it")
                        .arg(Arg::new("name").required(true).help("What it is for"))
                        .arg(role_arg())
                        .arg(state_arg()),
                ),
        )
        .subcommand(
            Command::new("audit").about("The audit chain").subcommand_required(true).subcommand(
                Command::new("verify").about("Check every record and name the first bad one").arg(state_arg()),
            ),
        )
        .subcommand(
            Command::new("module")
                .about("Modules without an administrator")
                .subcommand_required(true)
                .subcommand(
                    Command::new("run")
                        .about("Run one module by itself")
                        .arg(Arg::new("module").required(true).help("Name of a module, or the path of its library"))
                        .arg(Arg::new("words").num_args(0..).trailing_var_arg(true).allow_hyphen_values(true)),
                )
                .subcommand(Command::new("name").about("Print the short name that a plugin's library goes by").arg(
                    Arg::new("library").required(true).value_parser(value_parser!(PathBuf)).help("Path of the library"),
                )),
        )
}

fn serve_command() -> Command {
    let address =
        |id: &'static str| Arg::new(id).long(id).value_name("ADDR:PORT").value_parser(value_parser!(SocketAddr));
    Command::new("serve")
        .about("Run the administrator")
        .arg(state_arg())
        .arg(
            address("listen").default_value("127.0.0.1:8640").help("Where the console is served; TLS but for loopback"),
        )
        .arg(
            address("agents-listen")
                .help("Where agents connect; all addresses at the port of the last start where absent"),
        )
        .arg(
            Arg::new("plugins")
                .long("plugins")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("Folder of plugins; `plugins` beside this program where absent"),
        )
        .arg(
            Arg::new("no-local-agent")
                .long("no-local-agent")
                .action(ArgAction::SetTrue)
                .help("Do not look after this machine"),
        )
}

fn state_arg() -> Arg {
    Arg::new("state")
        .long("state")
        .value_name("DIR")
        .value_parser(value_parser!(PathBuf))
        .default_value("state")
        .help("Where the administrator keeps everything")
}

fn role_arg() -> Arg {
    Arg::new("role")
        .long("role")
        .value_parser(Role::ALL.map(Role::as_str))
        .default_value("manager")
        .help("What the token may do")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_own_words_do_not_contradict_each_other() {
        super::own_commands().debug_assert();
    }
}
