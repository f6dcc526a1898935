//! How a machine gets its identity: one request with a join token's secret, before any certificate exists.

use crate::Evidence;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Body of `POST /enrol`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    /// Single-use secret of the join token.
    pub secret: String,
    /// Certificate signing request of the device key (DER in base64). Names in it are ignored.
    pub csr: String,
    pub evidence: Evidence,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolReply {
    pub machine: Uuid,
    pub site: String,
    /// Client certificate (DER in base64).
    pub certificate: String,
    /// Certificate of the site's authority (DER in base64), from now on the only one the agent believes.
    pub authority: String,
    pub addresses: Vec<String>,
}
