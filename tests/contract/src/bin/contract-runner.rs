//! The runner of the contract tests: nothing but what administrator and agent do when they are started as one.

use std::process::ExitCode;

fn main() -> ExitCode {
    plugin_host::runner_main()
}
