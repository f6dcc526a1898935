//! Who may do what: the site's certificate authority, agents' identities, operators, sessions, tokens, roles and the
//! audit chain.
//!
//! Everything here is synchronous. Time and addresses are parameters; storage is behind [`Store`] and its parts,
//! implemented by `database`, so that a change and its audit record commit together. There is no HTTP here and no SQL.

pub mod ca;
mod certificate;
mod device;
mod files;
pub mod join;
mod secret;
pub mod tls;

pub use ca::{AgentCertificate, CaError, ServerCredentials, SiteCa};
pub use certificate::{AgentIdentity, CertificateError, Fingerprint};
pub use device::{DeviceKey, DeviceKeyError};
pub use join::{Address, JoinSecret, JoinStore, JoinToken, StoredJoin};
pub use secret::{Secret, SecretHash};
