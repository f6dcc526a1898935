//! placeholder
fn main() -> std::process::ExitCode {
    plugin_host::runner_main()
}
