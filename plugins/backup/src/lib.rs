//! Backup of machines into a vault, and back.

pub mod files;

use sdk::prelude::*;

pub fn app() -> App {
    App::new("org.bailiwick.backup")
        .title("Backup")
        .description("Snapshots of machines, de-duplicated and encrypted on disk.")
        .vendor("Bailiwick")
        .icon("archive")
        .order(20)
}
sdk::export!(app);
