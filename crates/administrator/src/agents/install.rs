//! The script behind the line that an operator pastes on a new machine.

use super::Context;
use super::routes::{Answer, body};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use identity::Address;
use parking_lot::Mutex;
use schema::{Code, Problem};
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const SCRIPT: &str = include_str!("install.sh");

/// The hash of the agent's program, computed anew when the file changes.
#[derive(Default)]
pub(super) struct ProgramHash(Mutex<Option<(Stamp, String)>>);

#[derive(Clone, PartialEq)]
struct Stamp {
    path: PathBuf,
    bytes: u64,
    modified: Option<SystemTime>,
}

impl ProgramHash {
    async fn of(&self, path: &Path) -> io::Result<String> {
        let metadata = tokio::fs::metadata(path).await?;
        let stamp = Stamp { path: path.to_owned(), bytes: metadata.len(), modified: metadata.modified().ok() };
        if let Some((known, hash)) = self.0.lock().as_ref()
            && *known == stamp
        {
            return Ok(hash.clone());
        }
        let path = path.to_owned();
        let hashed = tokio::task::spawn_blocking(move || {
            let (mut file, mut hasher) = (std::fs::File::open(path)?, Sha256::new());
            io::copy(&mut file, &mut hasher)?;
            io::Result::Ok(hex::encode(hasher.finalize()))
        });
        let hash = hashed.await.map_err(io::Error::other)??;
        *self.0.lock() = Some((stamp, hash.clone()));
        Ok(hash)
    }
}

pub(super) async fn script(context: &Context, headers: &HeaderMap) -> Result<Answer, Problem> {
    let program = context.config.agent_program.as_deref().ok_or_else(|| {
        Problem::not_found("This administrator has no agent to give away.")
            .fix("Put bailiwick-agent beside the bailiwick program.")
    })?;
    let hash = context.program_hash.of(program).await.map_err(|error| {
        tracing::warn!(path = %program.display(), %error, "the agent's program cannot be read");
        Problem::new(Code::Unavailable, "The agent's program cannot be read at the moment.")
    })?;
    let asked = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let addresses = addresses(asked, &context.config.addresses);
    let text = SCRIPT
        .replace("@ADDRESSES@", &addresses.join(" "))
        .replace("@PIN@", &context.ca.server_key_pin())
        .replace("@SHA256@", &hash);
    let mut answer = Response::new(body(text.into()));
    *answer.status_mut() = StatusCode::OK;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/x-shellscript; charset=utf-8"));
    Ok(answer)
}

/// The address that worked for the script first, then those the administrator knows. Only what is an address gets into
/// the script, so there is nothing to quote.
fn addresses(asked: Option<&str>, known: &[String]) -> Vec<String> {
    let all = asked.into_iter().chain(known.iter().map(String::as_str));
    let mut addresses: Vec<String> = Vec::new();
    for address in all.filter_map(|text| text.parse::<Address>().ok()).map(|address| address.to_string()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_addresses_gets_into_the_script() {
        let known = ["10.0.0.1:7443".to_owned(), "[fe80::1]:7443".to_owned()];
        for hostile in ["$(reboot):1", "a b:1", "x;y:1", "`id`:1", "-o:1:2", "host"] {
            assert_eq!(addresses(Some(hostile), &known), known, "{hostile}");
        }
        assert_eq!(addresses(Some("site.example:7443"), &known)[0], "site.example:7443");
        assert_eq!(addresses(Some("10.0.0.1:7443"), &known), known);
    }
}
