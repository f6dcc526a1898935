//! Sessions as systemd-logind keeps them, a file each.

use super::{Candidate, Evidence};
use crate::root::{Root, assignment, fact};
use jiff::Timestamp;

const SESSIONS: &str = "/run/systemd/sessions";

/// Sessions of people that are not about to end.
pub(super) fn sessions(root: &Root) -> Vec<Candidate> {
    let names = root.names(SESSIONS);
    // Beside each session stands a pipe with the ending .ref, which must not be read.
    let files = names.iter().filter(|name| name.bytes().all(|b| b.is_ascii_alphanumeric()));
    files.filter_map(|name| session(&root.text(&format!("{SESSIONS}/{name}"))?)).collect()
}

fn session(text: &str) -> Option<Candidate> {
    let value = |key: &str| assignment(text, key);
    // Greeters, lock screens, cron jobs and the user's own manager are no people.
    let class = value("CLASS").unwrap_or_else(|| "user".to_owned());
    if !matches!(class.as_str(), "user" | "user-early" | "user-light") || value("STATE").as_deref() == Some("closing") {
        return None;
    }
    let kind = value("TYPE").unwrap_or_default();
    let active = value("ACTIVE").as_deref() == Some("1");
    let screen = matches!(kind.as_str(), "x11" | "wayland" | "mir");
    let evidence = match (active, screen) {
        (true, true) => Evidence::Screen,
        (true, false) => Evidence::ActiveSession,
        _ => Evidence::Session,
    };
    let from = match value("REMOTE").as_deref() {
        Some("1") => value("REMOTE_HOST").unwrap_or_else(|| "remote".to_owned()),
        _ => "local".to_owned(),
    };
    Some(Candidate {
        uid: value("UID").and_then(|uid| uid.parse().ok()),
        account: value("USER").or_else(|| value("UID"))?,
        evidence,
        since: value("REALTIME").and_then(|us| Timestamp::from_microsecond(us.parse().ok()?).ok()),
        from: fact(&from),
    })
}
