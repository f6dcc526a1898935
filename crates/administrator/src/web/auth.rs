//! Who asks, and whether they may: the one guard in front of every endpoint.
//!
//! A program sends a token with each request. A browser holds a session cookie, which it also sends when a foreign page
//! makes it ask; so whoever comes with a cookie, or with nothing, must also come from this console's own origin before
//! anything changes or a WebSocket opens.

use super::listen::Peer;
use super::problem::{Answer, Refusal};
use super::{Access, session};
use crate::app::App;
use crate::denials::Denied;
use axum::extract::{FromRequestParts as _, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use identity::{Actor, Permissions, ReadStore as _};
use jiff::Timestamp;
use schema::{Code, Problem};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// How much of a refused request is read, and for how long.
const UNREAD_BYTES: usize = 64 * 1024;
const UNREAD_TIME: Duration = Duration::from_secs(1);
/// Name of the session cookie.
pub(super) const COOKIE: &str = "bailiwick_session";

/// A signed-in operator or program, as of this request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) actor: Actor,
    /// The first operator, still without a name and password.
    pub(crate) setup: bool,
    /// Where the request came from.
    pub(crate) peer: Option<IpAddr>,
    pub(super) credential: Credential,
    permissions: Arc<Permissions>,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credential {
    Session(String),
    Token(String),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Credential::Session(_)) { "Session" } else { "Token" })
    }
}

impl Caller {
    /// # Errors
    /// `permission_denied`, with the permission that is missing.
    pub(crate) fn may(&self, permission: &str) -> Result<(), Problem> {
        identity::authorize(&self.permissions, &self.actor, permission, identity::Scope::List).map_err(Problem::from)
    }

    /// The refusal of something this caller asked for.
    pub(super) fn denied(&self, action: String) -> Denied {
        Denied { kind: self.actor.kind.as_str(), actor: self.actor.name.clone(), action, from: self.peer }
    }

    pub(super) fn permissions(&self) -> Vec<&str> {
        self.permissions.of(&self.actor)
    }
}

/// Authenticates and authorizes one request, by the access its endpoint declares.
pub(super) async fn guard(app: Arc<App>, access: Access, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match admit(&app, access, parts).await {
        Ok(parts) => next.run(Request::from_parts(parts, body)).await,
        Err(refusal) => {
            // A connection with an unread body is closed, under whatever its client sends next.
            drop(tokio::time::timeout(UNREAD_TIME, axum::body::to_bytes(body, UNREAD_BYTES)).await);
            refusal.into_response()
        }
    }
}

async fn admit(app: &Arc<App>, access: Access, mut parts: Parts) -> Answer<Parts> {
    let changes = !matches!(parts.method, Method::GET | Method::HEAD) || parts.headers.contains_key(header::UPGRADE);
    let credential = credential(&parts.headers)?;
    if changes && !matches!(credential, Some(Credential::Token(_))) {
        own_origin(app, &parts)?;
    }
    if access == Access::Public {
        return Ok(parts);
    }
    let Some(credential) = credential else { return Err(not_signed_in().into()) };
    let mut caller = app.resolve(credential).await?.ok_or_else(|| Refusal(not_signed_in()))?;
    caller.peer = parts.extensions.get::<Peer>().map(|Peer(peer)| peer.ip());
    if let Err(problem) = authorize(app, access, &caller, &mut parts).await {
        if problem.code == Code::PermissionDenied {
            let path = parts.uri.path();
            let action = path.strip_prefix("/api/v1/commands/").unwrap_or(path).chars().take(200).collect();
            app.denied(caller.denied(action));
        }
        return Err(problem.into());
    }
    parts.extensions.insert(caller);
    Ok(parts)
}

async fn authorize(app: &Arc<App>, access: Access, caller: &Caller, parts: &mut Parts) -> Result<(), Problem> {
    match access {
        Access::Public | Access::SignedIn => Ok(()),
        Access::SetUp if caller.setup => Ok(()),
        Access::SetUp => Err(Problem::not_found("there is no such endpoint.")),
        Access::Job => caller.may("read"),
        Access::Command => {
            let id = parameter(parts, "command").await?;
            let modules = app.modules.current();
            let (manifest, command) = modules.command(&id)?;
            caller.may(&identity::command_permission(manifest, command))
        }
        Access::View => {
            let (name, view) = (parameter(parts, "name").await?, parameter(parts, "view").await?);
            let modules = app.modules.current();
            let (manifest, view) = modules.view(&name, &view)?;
            caller.may(&identity::view_permission(manifest, view))
        }
    }
}

async fn parameter(parts: &mut Parts, name: &str) -> Result<String, Problem> {
    let unreadable = || Problem::bad_request("the address cannot be read.");
    let Path(mut parameters) =
        Path::<HashMap<String, String>>::from_request_parts(parts, &()).await.map_err(|_| unreadable())?;
    parameters.remove(name).ok_or_else(unreadable)
}

fn not_signed_in() -> Problem {
    Problem::new(Code::Unauthenticated, "you are not signed in, or the session has ended.")
        .fix("Sign in at the console; a program sends `Authorization: Bearer TOKEN`.")
}

/// A token wins over a cookie; a header that is no bearer token is refused rather than passed over.
fn credential(headers: &HeaderMap) -> Result<Option<Credential>, Problem> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let word = value.to_str().ok().and_then(|value| value.split_once(' '));
        return match word {
            Some((scheme, word)) if scheme.eq_ignore_ascii_case("bearer") => {
                Ok(Some(Credential::Token(word.trim().to_owned())))
            }
            _ => Err(Problem::new(Code::Unauthenticated, "this authorization is no bearer token.")
                .fix("Send `Authorization: Bearer TOKEN`.")),
        };
    }
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    Ok(pairs.find(|(name, _)| *name == COOKIE).map(|(_, secret)| Credential::Session(secret.to_owned())))
}

/// Foreign, null and absent origins are all refused: a browser always says where a change comes from.
fn own_origin(app: &App, parts: &Parts) -> Result<(), Problem> {
    let own = host(parts).map(|host| format!("{}://{host}", if app.secure { "https" } else { "http" }));
    let origin = parts.headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    if origin.is_some() && origin == own.as_deref() {
        return Ok(());
    }
    Err(Problem::new(Code::PermissionDenied, "this request does not come from this console's own pages.")
        .fix("Programs send `Authorization: Bearer TOKEN` instead of a cookie."))
}

fn host(parts: &Parts) -> Option<String> {
    let header = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    header.map(str::to_owned).or_else(|| parts.uri.authority().map(ToString::to_string))
}

/// Without TLS only names of this very machine are answered, so that no foreign name can be pointed at the console.
pub(super) async fn right_host(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let known = app.secure || host(&parts).is_some_and(|host| is_loopback(&host));
    if known {
        return next.run(Request::from_parts(parts, body)).await;
    }
    let problem =
        Problem::new(Code::PermissionDenied, "without TLS the console answers only to this machine's own name.");
    Refusal(problem.fix("Use http://127.0.0.1 or http://localhost with the port.")).into_response()
}

fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl App {
    /// Who holds this credential now; `None` where nobody does any more.
    async fn resolve(&self, credential: Credential) -> Result<Option<Caller>, Problem> {
        let now = Timestamp::now();
        let Some((caller, due)) = self.find(credential, now).await? else { return Ok(None) };
        if let Some(due) = due {
            due.store(&self.database, now).await?;
        }
        Ok(Some(caller))
    }

    /// Who holds it, and whether its use is to be stored. A connection that only stays open is no use of a session.
    async fn find(
        &self,
        credential: Credential,
        now: Timestamp,
    ) -> Result<Option<(Caller, Option<session::Due>)>, Problem> {
        let asked = credential.clone();
        let found = self.database.read(move |store| {
            Ok(match asked {
                Credential::Token(word) => identity::use_token(store, &word, now)?
                    .map(|(token, actor)| (actor, false, session::Due::token(&token, now))),
                Credential::Session(secret) => {
                    identity::resume_session(store, &secret, now)?.map(|(session, operator)| {
                        (operator.actor(), operator.awaits_set_up(), session::Due::session(&session, now))
                    })
                }
            })
        });
        let Some((actor, setup, due)) = found.await? else { return Ok(None) };
        let modules = self.modules.current();
        let permissions = Arc::new(Permissions::new(modules.manifests()));
        Ok(Some((Caller { actor, setup, peer: None, credential, permissions }, due)))
    }

    /// Looks again at who a long connection belongs to and whether it `may` still have it; false where it must end.
    pub(crate) async fn recheck(&self, caller: &mut Caller, may: impl FnOnce(&Caller) -> Result<(), Problem>) -> bool {
        match self.find(caller.credential.clone(), Timestamp::now()).await {
            Ok(Some((now, _))) => {
                *caller = Caller { peer: caller.peer, ..now };
                may(caller).is_ok()
            }
            Ok(None) => false,
            // The database is not to be asked at this moment: nothing is known to have changed.
            Err(_) => true,
        }
    }

    /// The operator behind a caller, where it is one.
    pub(crate) async fn operator(&self, caller: &Caller) -> Result<Option<identity::Operator>, Problem> {
        let id = identity::OperatorId(caller.actor.id);
        Ok(self.database.read(move |store| Ok(store.operator(id)?)).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for host in ["127.0.0.1:80", "localhost:1", "[::1]:80", "LOCALHOST", "127.8.8.8"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in
            ["evil.example:80", "127.0.0.1.evil.example", "10.0.0.1:80", "[::2]:80", "localhost.evil.example", ""]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn a_header_that_is_no_bearer_token_is_not_passed_over() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, "a=b; bailiwick_session=s3cret".parse().unwrap());
        assert_eq!(credential(&headers), Ok(Some(Credential::Session("s3cret".into()))));
        headers.insert(header::AUTHORIZATION, "Basic xyz".parse().unwrap());
        assert_eq!(credential(&headers).unwrap_err().code, Code::Unauthenticated);
        headers.insert(header::AUTHORIZATION, "bearer bw_x".parse().unwrap());
        assert_eq!(credential(&headers), Ok(Some(Credential::Token("bw_x".into()))));
    }
}
