//! The one error object of every face: HTTP problem, CLI exit code, console colour and plugin fault derive from it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What went wrong, in the fixed vocabulary a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    BadRequest,
    UnknownCommand,
    Unauthenticated,
    PermissionDenied,
    NotFound,
    Conflict,
    Cancelled,
    Deadline,
    Busy,
    Unavailable,
    UnsupportedByHost,
    Quota,
    Panic,
    Crashed,
    Internal,
}

impl Code {
    /// Every code, in the order of the contract.
    pub const ALL: [Code; 15] = [
        Code::BadRequest,
        Code::UnknownCommand,
        Code::Unauthenticated,
        Code::PermissionDenied,
        Code::NotFound,
        Code::Conflict,
        Code::Cancelled,
        Code::Deadline,
        Code::Busy,
        Code::Unavailable,
        Code::UnsupportedByHost,
        Code::Quota,
        Code::Panic,
        Code::Crashed,
        Code::Internal,
    ];

    /// The wire name, as in `"code": "bad_request"`.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::BadRequest => "bad_request",
            Code::UnknownCommand => "unknown_command",
            Code::Unauthenticated => "unauthenticated",
            Code::PermissionDenied => "permission_denied",
            Code::NotFound => "not_found",
            Code::Conflict => "conflict",
            Code::Cancelled => "cancelled",
            Code::Deadline => "deadline",
            Code::Busy => "busy",
            Code::Unavailable => "unavailable",
            Code::UnsupportedByHost => "unsupported_by_host",
            Code::Quota => "quota",
            Code::Panic => "panic",
            Code::Crashed => "crashed",
            Code::Internal => "internal",
        }
    }

    /// HTTP status of a response that carries this code.
    pub fn http_status(self) -> u16 {
        match self {
            Code::BadRequest => 400,
            Code::Unauthenticated => 401,
            Code::PermissionDenied => 403,
            Code::UnknownCommand | Code::NotFound => 404,
            Code::Conflict | Code::Cancelled => 409,
            Code::Quota | Code::Busy => 429,
            Code::Panic | Code::Crashed | Code::Internal => 500,
            Code::UnsupportedByHost => 501,
            Code::Unavailable => 503,
            Code::Deadline => 504,
        }
    }

    /// Exit code of a command line program that ends with this code; 0 is success and 2 is clap's usage error.
    pub fn exit_code(self) -> u8 {
        match self {
            Code::BadRequest => 2,
            Code::UnknownCommand | Code::NotFound => 3,
            Code::Unauthenticated | Code::PermissionDenied => 4,
            Code::Conflict => 5,
            Code::Cancelled => 6,
            Code::Deadline => 7,
            Code::Busy | Code::Unavailable | Code::Quota => 8,
            Code::UnsupportedByHost => 9,
            Code::Panic | Code::Crashed | Code::Internal => 10,
        }
    }

    /// Whether trying the same request again may succeed.
    pub fn retryable(self) -> bool {
        matches!(self, Code::Busy | Code::Unavailable | Code::Deadline | Code::Crashed)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that went wrong: a plain sentence, where it is, and the way out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    pub code: Code,
    /// A plain sentence for the person who reads it.
    pub message: String,
    /// Where: a JSON path (`input.subnet`) or the name of a field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    #[serde(default)]
    pub retryable: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Problem>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

impl Problem {
    pub fn new(code: Code, message: impl Into<String>) -> Problem {
        Problem {
            code,
            message: message.into(),
            field: None,
            fix: None,
            retryable: code.retryable(),
            retry_after_ms: None,
            causes: Vec::new(),
            trace_id: None,
        }
    }

    pub fn bad_request(message: impl Into<String>) -> Problem {
        Problem::new(Code::BadRequest, message)
    }

    pub fn not_found(message: impl Into<String>) -> Problem {
        Problem::new(Code::NotFound, message)
    }

    pub fn internal(message: impl Into<String>) -> Problem {
        Problem::new(Code::Internal, message)
    }

    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Problem {
        self.field = Some(field.into());
        self
    }

    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Problem {
        self.fix = Some(fix.into());
        self
    }

    #[must_use]
    pub fn caused_by(mut self, cause: Problem) -> Problem {
        self.causes.push(cause);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.message)?;
        match &self.fix {
            Some(fix) => write!(f, " {fix}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_the_wire_name_serde_gives_it() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }
}
