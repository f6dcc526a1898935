//! The product from outside: every line of the promise that a person could check by hand, checked with real programs.

mod audit;
mod bad_input;
mod browser;
mod crash;
mod first_screen;
mod install;
mod jobs;
mod machines;
mod operators;
mod plugins;
mod surface;
mod trust;

use end_to_end::Case;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cases: Vec<Case> = [
        install::cases(),
        first_screen::cases(),
        machines::cases(),
        trust::cases(),
        plugins::cases(),
        jobs::cases(),
        crash::cases(),
        surface::cases(),
        audit::cases(),
        operators::cases(),
        bad_input::cases(),
        browser::cases(),
    ]
    .into_iter()
    .flatten()
    .collect();
    end_to_end::inside::main(cases)
}
