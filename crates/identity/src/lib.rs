//! Who may do what: the site's certificate authority, agents' identities, operators, sessions, tokens, roles and the
//! audit chain.
//!
//! Everything here is synchronous. Time and addresses are parameters; storage is behind [`Store`] and its parts,
//! implemented by `database`, so that a change and its audit record commit together. There is no HTTP here and no SQL.

pub mod audit;
pub mod ca;
mod certificate;
pub mod checkpoint;
mod device;
mod files;
pub mod join;
mod operators;
mod passwords;
mod roles;
mod secret;
mod sessions;
mod store;
mod throttle;
pub mod tls;
mod tokens;

pub use audit::{Entry, FirstBad, Outcome, Record, Verified};
pub use ca::{AgentCertificate, CaError, ServerCredentials, SiteCa};
pub use certificate::{AgentIdentity, CertificateError, Fingerprint};
pub use device::{DeviceKey, DeviceKeyError};
pub use join::{Address, JoinSecret, JoinToken, StoredJoin};
pub use operators::{
    Operator, OperatorError, OperatorId, change_password, check_name, check_sign_in, create_operator, first_operator,
    remove_operator, set_role, set_up,
};
pub use passwords::{Passwords, WeakPassword};
pub use roles::{
    Actor, ActorKind, CORE_PERMISSIONS, CorePermission, Denied, Permissions, Reach, Role, Scope, authorize,
    command_permission, view_permission,
};
pub use secret::{Secret, SecretHash};
pub use sessions::{
    IDLE_LIFE, LINK_LIFE, SESSION_LIFE, Session, SignInLink, close_session, open_session, resume_session, sign_in_link,
    use_link,
};
pub use store::{ReadStore, Store};
pub use throttle::Throttle;
pub use tokens::{ApiToken, TOKEN_PREFIX, create_token, revoke_token, use_token};
