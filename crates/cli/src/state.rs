//! Commands on the state directory itself, beside a running administrator or without one: tokens and the audit chain.

use anyhow::Result;
use database::Database;
use identity::{ActorKind, Entry, Outcome, Role, audit, checkpoint};
use jiff::Timestamp;
use schema::{Code, Object, Problem};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn database_in(state: &Path) -> Result<PathBuf> {
    let path = state.join("bailiwick.db");
    if let Err(error) = fs::metadata(&path)
        && error.kind() == ErrorKind::PermissionDenied
    {
        let message = format!("{} cannot be read by this account.", state.display());
        return Err(Problem::new(Code::PermissionDenied, message)
            .fix("Act as the account that runs the administrator, or as root.")
            .into());
    }
    if !path.is_file() {
        let message = format!("{} is not the state directory of an administrator.", state.display());
        return Err(Problem::not_found(message)
            .fix("Name the directory that `bailiwick serve --state` was given.")
            .into());
    }
    Ok(path)
}

/// `bailiwick token create`: who holds the administrator's files may act as it. The token is printed alone.
pub(crate) fn create_token(state: &Path, name: String, role: Role) -> Result<ExitCode> {
    let database = Database::open(&database_in(state)?)?;
    let write = move |store: &mut database::Write<'_>| {
        let now = Timestamp::now();
        let entry = Entry {
            actor: "command line".into(),
            actor_kind: ActorKind::System,
            action: "token.create".into(),
            target: Some(name.clone()),
            outcome: Outcome::Begun,
            address: None,
            job: None,
            detail: Object::from_iter([("role".to_owned(), role.as_str().into())]),
        };
        audit::append(store, entry, now)?;
        Ok(identity::create_token(store, &name, role, None, None, now)?.map_err(Problem::from)?)
    };
    let (secret, _) = database.write_blocking(write)?;
    println!("{}", secret.reveal());
    Ok(ExitCode::SUCCESS)
}

/// `bailiwick audit verify`: walks the whole chain and names the first record that does not fit. The chain must also
/// hold what the administrator remembered outside the database, so that a cut or a new chain is noticed. Nothing is
/// written, whatever program the database belongs to.
pub(crate) fn verify_audit(state: &Path) -> Result<ExitCode> {
    let database = Database::open_read_only(&database_in(state)?)?;
    let seen = remembered(state)?;
    match database.read_blocking(move |store| Ok(audit::verify_store(store, Some(seen))?))? {
        Ok(verified) => {
            let head = verified.head.map(|head| head.hash.to_string()).unwrap_or_default();
            println!("{} records, unbroken up to {head}; the first {} were remembered", verified.count, seen.seq);
            Ok(ExitCode::SUCCESS)
        }
        Err(bad) => {
            let message = format!("the audit chain is broken at record {}: {}.", bad.seq, bad.what);
            Err(Problem::new(Code::Conflict, message)
                .fix(format!(
                    "Keep a copy of {} as evidence. What stands before record {} is as it was written; compare the rest \
                     with a backup, and restore that to go on.",
                    state.display(),
                    bad.seq
                ))
                .into())
        }
    }
}

/// The end of the chain as the administrator last remembered it.
fn remembered(state: &Path) -> Result<audit::Head> {
    let file = state.join(administrator::CHECKPOINT_FILE);
    let bad = |message: String| {
        Problem::new(Code::Conflict, message).fix(
            "Put it back from a backup of the state directory; without it a cut of the chain's end cannot be seen.",
        )
    };
    let text = std::fs::read_to_string(&file).map_err(|e| bad(format!("{} cannot be read: {e}.", file.display())))?;
    let authority = identity::ca::read_certificate(&state.join("authority"))?;
    checkpoint::read(&text, &authority).map_err(|e| bad(format!("{}: {e}.", file.display())).into())
}
