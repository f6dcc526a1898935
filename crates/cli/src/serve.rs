//! `bailiwick serve`: runs the administrator until it is told to end.

use administrator::{Administrator, ServeConfig};
use anyhow::{Context as _, Result};
use std::io::Write as _;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Runs the administrator; SIGINT and SIGTERM end it cleanly.
pub(crate) fn run(config: ServeConfig) -> Result<ExitCode> {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("BAILIWICK_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime cannot start")?;
    runtime.block_on(async {
        let mut interrupted = signal(SignalKind::interrupt()).context("signals cannot be caught")?;
        let mut terminated = signal(SignalKind::terminate()).context("signals cannot be caught")?;
        let administrator = tokio::select! {
            started = Administrator::start(config) => started?,
            _ = interrupted.recv() => return Ok(ExitCode::SUCCESS),
            _ = terminated.recv() => return Ok(ExitCode::SUCCESS),
        };
        println!("Sign in: {}", administrator.sign_in());
        std::io::stdout().flush().context("the sign-in line cannot be written")?;
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
        administrator.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}
