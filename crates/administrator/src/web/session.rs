//! Signing in and out, the first operator's set-up, and passwords.

use super::auth::{COOKIE, Caller, Credential};
use super::listen::Peer;
use super::problem::{Answer, Refusal};
use crate::app::App;
use crate::denials::Denied;
use crate::records;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use database::Database;
use identity::audit;
use identity::{ApiToken, Operator, OperatorError, ReadStore as _, Secret, SecretHash, Session, Store as _};
use jiff::{SignedDuration, Timestamp};
use schema::{Code, Problem};
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::Arc;
use uuid::Uuid;

type Body<T> = Result<Json<T>, JsonRejection>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NameAndPassword {
    name: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Link {
    token: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Passwords {
    old: String,
    new: String,
}

fn read<T>(body: Body<T>) -> Result<T, Problem> {
    body.map(|Json(body)| body).map_err(|rejection| Problem::bad_request(format!("{}.", rejection.body_text())))
}

pub(super) async fn show(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Json<Value> {
    let role = caller.actor.role.as_str();
    Json(json!({
        "operator": {"id": caller.actor.id, "name": caller.actor.name, "role": role, "setup": caller.setup},
        "permissions": caller.permissions(),
        "version": env!("CARGO_PKG_VERSION"),
        "site": rustix::system::uname().nodename().to_string_lossy(),
        "secure": app.secure,
    }))
}

/// Name and password. Guessing is slowed down by name and by peer, and costs this machine one core at most.
pub(super) async fn sign_in(
    State(app): State<Arc<App>>,
    Extension(Peer(peer)): Extension<Peer>,
    body: Body<NameAndPassword>,
) -> Answer<Response> {
    let NameAndPassword { name, password } = read(body)?;
    attempt(&app, &name, peer.ip())?;
    let folded = name.trim().to_lowercase();
    let operator = app.database.read(move |store| Ok(store.operator_by_name(&folded)?)).await?;
    let (asked, passwords) = (operator.clone(), app.passwords.clone());
    let checked = hashing(&app, move || identity::check_sign_in(&passwords, asked.as_ref(), &password)).await?;
    let operator = match (checked, operator) {
        (Ok(()), Some(operator)) => operator,
        _ => {
            refused(&app, &name, "session.open", peer.ip());
            return Err(OperatorError::WrongPassword.into());
        }
    };
    app.throttle.lock().succeeded(&name, peer.ip());
    open(&app, operator, peer.ip()).await
}

/// Whoever failed is not known: the name is what was typed.
fn refused(app: &Arc<App>, name: &str, action: &str, peer: IpAddr) {
    let actor = name.chars().take(64).collect();
    app.denied(Denied { kind: "operator", actor, action: action.to_owned(), from: Some(peer) });
}

fn attempt(app: &App, name: &str, peer: IpAddr) -> Result<(), Problem> {
    app.throttle.lock().attempt(name, peer, Timestamp::now()).map_err(|wait: SignedDuration| {
        let seconds = wait.as_secs().max(1);
        let mut problem = Problem::new(Code::Quota, format!("too many attempts: try again in {seconds} s."));
        problem.retry_after_ms = u64::try_from(wait.as_millis()).ok();
        problem
    })
}

/// Runs a password hash off the async threads, a few at a time: a flood of sign-ins must not stop anything else.
pub(crate) async fn hashing<T: Send + 'static>(
    app: &App,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let _place = app.hashing.acquire().await.map_err(|_| Problem::internal("the administrator is stopping."))?;
    tokio::task::spawn_blocking(work).await.map_err(|e| Problem::internal(format!("hashing a password failed: {e}.")))
}

/// The one-time link that `serve` prints while there is no operator with a name and password.
pub(super) async fn sign_in_by_link(
    State(app): State<Arc<App>>,
    Extension(Peer(peer)): Extension<Peer>,
    body: Body<Link>,
) -> Answer<Response> {
    let Link { token } = read(body)?;
    attempt(&app, "", peer.ip())?;
    let write = move |store: &mut database::Write<'_>| {
        let used = identity::use_link(store, &token, Timestamp::now())?;
        if let Some((_, operator)) = &used {
            let entry = records::entry(&operator.actor(), Some(peer.ip()), "session.open", None, json!({"by": "link"}));
            audit::append(store, entry, Timestamp::now())?;
        }
        Ok(used)
    };
    let Some((secret, _)) = app.database.write(write).await? else {
        refused(&app, "link", "session.open", peer.ip());
        let problem = Problem::new(Code::Unauthenticated, "this sign-in link was used already, or its time is over.");
        return Err(problem
            .fix("Start the administrator again for a new one, or sign in with name and password.")
            .into());
    };
    app.throttle.lock().succeeded("", peer.ip());
    Ok(with_cookie(&app, StatusCode::NO_CONTENT, Some(&secret)))
}

async fn open(app: &App, operator: Operator, peer: IpAddr) -> Answer<Response> {
    let write = move |store: &mut database::Write<'_>| {
        let now = Timestamp::now();
        audit::append(store, records::entry(&operator.actor(), Some(peer), "session.open", None, Value::Null), now)?;
        Ok(identity::open_session(store, operator.id, now)?)
    };
    let secret = app.database.write(write).await?;
    Ok(with_cookie(app, StatusCode::NO_CONTENT, Some(&secret)))
}

/// The first operator's name and password. From then on this address is not there.
pub(super) async fn set_up(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    body: Body<NameAndPassword>,
) -> Answer<Response> {
    let NameAndPassword { name, password } = read(body)?;
    let hash = hashed(&app, name.clone(), password).await?;
    let id = identity::OperatorId(caller.actor.id);
    let write = move |store: &mut database::Write<'_>| {
        let operator = identity::set_up(store, id, &name, hash)?.map_err(Problem::from)?;
        let now = Timestamp::now();
        audit::append(
            store,
            records::entry(&operator.actor(), caller.peer, "operator.set-up", Some(name), Value::Null),
            now,
        )?;
        // Whoever else came by an earlier link must sign in with the password now.
        store.delete_sessions_of(id)?;
        Ok(identity::open_session(store, id, now)?)
    };
    let secret = app.database.write(write).await?;
    app.grants_changed.send_replace(());
    Ok(with_cookie(&app, StatusCode::NO_CONTENT, Some(&secret)))
}

pub(super) async fn change_password(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(Peer(peer)): Extension<Peer>,
    body: Body<Passwords>,
) -> Answer<Response> {
    let Passwords { old, new } = read(body)?;
    let operator = app.operator(&caller).await?;
    let Some(operator) = operator.filter(|operator| !operator.awaits_set_up()) else {
        return Err(Problem::new(Code::PermissionDenied, "only an operator with a password has one to change.").into());
    };
    attempt(&app, &operator.name, peer.ip())?;
    let (asked, passwords) = (operator.clone(), app.passwords.clone());
    if hashing(&app, move || identity::check_sign_in(&passwords, Some(&asked), &old)).await?.is_err() {
        refused(&app, &operator.name, "operator.change-password", peer.ip());
        return Err(Problem::new(Code::PermissionDenied, "the old password is wrong.").at("old").into());
    }
    app.throttle.lock().succeeded(&operator.name, peer.ip());
    let hash = hashed(&app, operator.name.clone(), new).await.map_err(|problem| problem.at("new"))?;
    let write = move |store: &mut database::Write<'_>| {
        let now = Timestamp::now();
        audit::append(
            store,
            records::entry(&operator.actor(), caller.peer, "operator.change-password", None, Value::Null),
            now,
        )?;
        identity::change_password(store, operator.id, hash)?.map_err(Problem::from)?;
        Ok(identity::open_session(store, operator.id, now)?)
    };
    let secret = app.database.write(write).await?;
    app.grants_changed.send_replace(());
    Ok(with_cookie(&app, StatusCode::NO_CONTENT, Some(&secret)))
}

/// The hash to keep of a new password.
///
/// # Errors
/// The password is too weak, at `password`.
pub(crate) async fn hashed(app: &App, name: String, password: String) -> Result<String, Problem> {
    let passwords = app.passwords.clone();
    let hash = hashing(app, move || passwords.hash(&name, &password)).await?;
    hash.map_err(|weak| OperatorError::from(weak).into())
}

pub(super) async fn sign_out(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Answer<Response> {
    let Credential::Session(secret) = caller.credential else {
        let problem = Problem::bad_request("a token has no session to end.");
        return Err(Refusal(problem.fix("Revoke the token to end its use.")));
    };
    let write = move |store: &mut database::Write<'_>| {
        audit::append(
            store,
            records::entry(&caller.actor, caller.peer, "session.close", None, Value::Null),
            Timestamp::now(),
        )?;
        Ok(identity::close_session(store, &secret)?)
    };
    app.database.write(write).await?;
    app.grants_changed.send_replace(());
    Ok(with_cookie(&app, StatusCode::NO_CONTENT, None))
}

fn with_cookie(app: &App, status: StatusCode, secret: Option<&Secret>) -> Response {
    let secure = if app.secure { "; Secure" } else { "" };
    let (value, age) = match secret {
        Some(secret) => (secret.reveal(), identity::SESSION_LIFE.as_secs()),
        None => ("", 0),
    };
    let cookie = format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}{secure}");
    let mut response = status.into_response();
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// A use of a session or token that is worth storing.
pub(super) enum Due {
    Session(SecretHash),
    Token(Uuid),
}

impl Due {
    pub(super) fn session(session: &Session, now: Timestamp) -> Option<Due> {
        session.is_due(now).then_some(Due::Session(session.secret))
    }

    pub(super) fn token(token: &ApiToken, now: Timestamp) -> Option<Due> {
        token.is_due(now).then_some(Due::Token(token.id))
    }

    pub(super) async fn store(self, database: &Database, now: Timestamp) -> Result<(), Problem> {
        let write = move |store: &mut database::Write<'_>| {
            match self {
                Due::Session(secret) => store.touch_session(&secret, now)?,
                Due::Token(id) => store.touch_api_token(id, now)?,
            }
            Ok(())
        };
        Ok(database.write(write).await?)
    }
}
