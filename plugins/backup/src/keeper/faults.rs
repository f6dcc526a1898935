//! What goes wrong in a vault, in the words and codes of the contract.

use sdk::schema::Code;
use sdk::{Fault, fault};
use std::error::Error;
use vault::{KeyError, VaultError};

/// A vault's error as a problem: whose fault it is, what it says, and why.
pub(crate) fn fault_of(error: VaultError) -> Fault {
    let code = match &error {
        VaultError::NoVault { .. } | VaultError::NoSnapshot { .. } | VaultError::OtherSource { .. } => Code::NotFound,
        VaultError::NotEmpty { .. } | VaultError::Exists { .. } | VaultError::Held { .. } => Code::Conflict,
        VaultError::DomainMode { .. } | VaultError::OtherDomain { .. } | VaultError::Ended => Code::Conflict,
        VaultError::Key(KeyError::Storage(_)) => Code::Unavailable,
        VaultError::Key(_) => Code::PermissionDenied,
        VaultError::Refused(_) | VaultError::Name { .. } | VaultError::Position { .. } => Code::BadRequest,
        VaultError::Newer { .. } => Code::UnsupportedByHost,
        VaultError::Storage(error) if error.is_not_found() => Code::NotFound,
        VaultError::Storage(_) | VaultError::Lost { .. } => Code::Unavailable,
        _ => Code::Internal,
    };
    let Said { what, remedies } = said(&error);
    if matches!(&error, VaultError::Storage(error) if error.is_not_found()) {
        return fault(code, what).fix("Look whether this is the vault's folder and its disk is mounted.");
    }
    if remedies.is_empty() { fault(code, what) } else { fault(code, what).fix(remedies.join(" ")) }
}

/// What an error and its causes say: one sentence of what is wrong, and one for each thing to do about it.
pub(crate) struct Said {
    pub(crate) what: String,
    pub(crate) remedies: Vec<String>,
}

/// The vault's sentences say what to do behind the semicolon.
pub(crate) fn said(error: &dyn Error) -> Said {
    let (mut whats, mut remedies) = (Vec::new(), Vec::new());
    let mut next = Some(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        match text.rsplit_once("; ") {
            Some((what, remedy)) => {
                whats.push(what.to_owned());
                remedies.push(sentence(remedy));
            }
            None => whats.push(text),
        }
        next = cause.source();
    }
    Said { what: sentence(&whats.join(": ")), remedies }
}

fn sentence(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let mut letters = text.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use vault::{PackFault, RecordFault};

    #[test]
    fn a_cause_stands_with_what_is_wrong_and_not_with_what_to_do() {
        let error = VaultError::DamagedChunk {
            chunk: vault::ChunkId([1; 32]),
            pack: vault::PackId([2; 16]),
            source: PackFault::Content,
        };
        let cause = PackFault::Content.to_string();
        let problem = fault_of(error).0;
        assert!(problem.message.ends_with(&format!("is damaged in pack {}: {cause}.", "02".repeat(16))), "{problem}");
        assert_eq!(problem.fix.as_deref(), Some("Scrub the vault, then back up its source again to heal it."));
    }

    #[test]
    fn what_to_do_about_the_cause_is_told_too() {
        let source = RecordFault::Newer { format: 9 };
        let problem = fault_of(VaultError::Record { path: "/v/snapshots/1.snap".to_owned(), source }).0;
        assert_eq!(
            problem.message,
            "/v/snapshots/1.snap is damaged: it holds what this version does not know (format 9)."
        );
        assert_eq!(problem.fix.as_deref(), Some("Scrub the vault for what it affects. Use a newer one."));
    }
}
