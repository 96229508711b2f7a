//! What can go wrong between a thick client and Relais. No variant carries a secret or a national id.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

/// Why a [`super::Client`] cannot be made.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// Not `http` or `https`, or without a host.
    #[error("the server's address must be https://… (http://… on this machine only)")]
    Server,
    /// Credentials would cross the network in clear.
    #[error("http is for this machine only: give an https address")]
    ClearText,
    /// The certificate, its key or the roots cannot be used.
    #[error("the {what} cannot be used")]
    Certificate {
        /// Which of them.
        what: &'static str,
        /// What the TLS stack says.
        #[source]
        source: reqwest::Error,
    },
    /// The roots to pin hold no certificate: nobody could be trusted.
    #[error("the trusted roots hold no certificate")]
    NoRoots,
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be made")]
    Http(#[source] reqwest::Error),
}

/// Why a call brought no result.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Relais answered that it will not.
    #[error("Relais refused: {0}")]
    Problem(Box<Problem>),
    /// No answer came, however often it was asked for.
    #[error("no answer from Relais to {call}")]
    Transport {
        /// The call, by method and route.
        call: String,
        /// What the HTTP stack says; absent for silence on an open stream.
        #[source]
        source: Option<reqwest::Error>,
    },
    /// Something answered, but not in the words of the contract.
    #[error("the answer to {call} makes no sense: status {status}, {what}")]
    InvalidAnswer {
        /// The call, by method and route.
        call: String,
        /// The HTTP status.
        status: u16,
        /// What is wrong with it.
        what: String,
    },
}

impl ClientError {
    /// The problem's code, where it is one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Problem(problem) => Some(&problem.code),
            _ => None,
        }
    }

    /// Whether the answer may have been lost, so that asking again can help: no answer, or a gateway's own.
    #[must_use]
    pub fn is_lost_answer(&self) -> bool {
        match self {
            Self::Transport { source, .. } => source.as_ref().is_none_or(|source| !source.is_builder()),
            Self::InvalidAnswer { status, .. } => matches!(status, 502..=504),
            Self::Problem(_) => false,
        }
    }
}

/// A problem (RFC 9457), as Relais writes it.
#[derive(Clone, Deserialize)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// The machine word.
    pub code: String,
    /// The word in prose.
    #[serde(default)]
    pub title: String,
    /// What is wrong with this call.
    #[serde(default)]
    pub detail: Option<String>,
    /// Finds the call in the server's logs.
    #[serde(default)]
    pub request_id: Option<String>,
    /// For the help desk.
    #[serde(default)]
    pub support_code: Option<String>,
    /// The sentence for the person.
    #[serde(default)]
    pub user_message: String,
    /// Which members of the request are wrong.
    #[serde(default)]
    pub errors: Vec<ProblemDetail>,
    /// Why a login or a session ended (`not_approved`, `session_ended`).
    #[serde(default)]
    pub reason: Option<String>,
    /// Where the login stands (`not_approved`).
    #[serde(default)]
    pub login_status: Option<String>,
    /// When the other login's slot will be free, in seconds (`already_pending`).
    #[serde(default)]
    pub expires_in: Option<u64>,
    /// Whether `if_pending: replace` would help (`already_pending`).
    #[serde(default)]
    pub replaceable: Option<bool>,
    /// Which limit (`rate_limited`).
    #[serde(default)]
    pub limit: Option<String>,
    /// `Retry-After`, where it is in seconds.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
    /// The whole problem.
    #[serde(skip)]
    pub json: Value,
}

/// One wrong member of a request.
#[derive(Clone, Debug, Deserialize)]
pub struct ProblemDetail {
    /// Which (RFC 6901).
    pub pointer: String,
    /// Which rule it breaks.
    #[serde(default)]
    pub rule: String,
    /// In prose.
    #[serde(default)]
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.code)?;
        if let Some(reason) = &self.reason {
            write!(f, " ({reason})")?;
        }
        self.errors.iter().try_for_each(|error| write!(f, ", {}: {}", error.pointer, error.rule))
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
