//! `bailiwick`: the administrator, the command line, and every module by itself.
//!
//! Nothing here names a plugin. Commands of modules are read from their manifests when the program runs: from the
//! administrator that `BAILIWICK_URL` names, or from the one module that the program's own name asks for.

mod client;
mod commands;
mod display;
mod remote;
mod serve;
mod standalone;
mod state;
mod streams;
mod watch;

use schema::{Code, Problem};
use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = Vec::new();
    for word in std::env::args_os() {
        match word.into_string() {
            Ok(word) => arguments.push(word),
            Err(word) => return complain(&not_text(&word).into()),
        }
    }
    // A runner takes its rights away before anything starts a thread.
    if arguments.get(1).is_some_and(|word| word == "plugin-runner") {
        return plugin_host::runner_main();
    }
    let program =
        arguments.first().map(|path| Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned());
    let ended = match program.as_deref().and_then(|name| name.strip_prefix("bailiwick-")) {
        Some(module) => standalone::run(module, None, &arguments),
        None => commands::run(&arguments),
    };
    match ended {
        Ok(code) => code,
        Err(error) => complain(&error),
    }
}

/// Words travel as JSON, which a name in another encoding cannot: it is refused rather than mangled.
fn not_text(word: &OsStr) -> Problem {
    Problem::bad_request(format!("{} is not UTF-8.", schema::neutral_text(&word.to_string_lossy())))
        .fix("Give a name in UTF-8, or of a folder that holds what is meant.")
}

/// Says what went wrong in plain words on stderr; the exit code tells scripts what kind of thing it was.
fn complain(error: &anyhow::Error) -> ExitCode {
    let code = match error.downcast_ref::<Problem>() {
        Some(problem) => {
            eprintln!("bailiwick: {}", schema::neutral_text(&problem.to_string()));
            for cause in &problem.causes {
                eprintln!("  {}", schema::neutral_text(&cause.to_string()));
            }
            problem.code
        }
        None => {
            let chain: Vec<String> = error.chain().map(ToString::to_string).collect();
            eprintln!("bailiwick: {}", schema::neutral_text(&chain.join(": ")));
            Code::Internal
        }
    };
    ExitCode::from(code.exit_code())
}
