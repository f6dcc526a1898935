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
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    if matches!(&error, VaultError::Storage(error) if error.is_not_found()) {
        return fault(code, sentence(&message)).fix("Look whether this is the vault's folder and its disk is mounted.");
    }
    // The vault's sentences say what to do behind the semicolon.
    match message.split_once("; ") {
        Some((what, remedy)) => fault(code, sentence(what)).fix(sentence(remedy)),
        None => fault(code, sentence(&message)),
    }
}

fn sentence(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let mut letters = text.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", letters.as_str())
}
