//! Commands on the state directory itself, beside a running administrator or without one: tokens and the audit chain.

use anyhow::{Result, bail};
use database::Database;
use identity::{ActorKind, Entry, Outcome, Role, audit};
use jiff::Timestamp;
use schema::{Object, Problem};
use std::path::Path;
use std::process::ExitCode;

fn open(state: &Path) -> Result<Database> {
    let path = state.join("bailiwick.db");
    if !path.is_file() {
        let message = format!("{} is not the state directory of an administrator.", state.display());
        return Err(Problem::not_found(message)
            .fix("Name the directory that `bailiwick serve --state` was given.")
            .into());
    }
    Ok(Database::open(&path)?)
}

/// `bailiwick token create`: who holds the administrator's files may act as it. The token is printed alone.
pub(crate) fn create_token(state: &Path, name: String, role: Role) -> Result<ExitCode> {
    let database = open(state)?;
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

/// `bailiwick audit verify`: walks the whole chain and names the first record that does not fit.
pub(crate) fn verify_audit(state: &Path) -> Result<ExitCode> {
    let database = open(state)?;
    match database.read_blocking(|store| Ok(audit::verify_store(store, None)?))? {
        Ok(verified) => {
            match verified.head {
                Some(head) => println!("{} records, unbroken up to {}", verified.count, head.hash),
                None => println!("no record yet"),
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(bad) => bail!("the audit chain is broken at record {}: {}", bad.seq, bad.what),
    }
}
