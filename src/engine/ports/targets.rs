//! The targets: downstream APIs that are called with an exchanged token.
//!
//! The only place where the engine touches HTTP, and it looks at no more of it than it must: the method, the status 401.
//! Bodies pass as they come, in both directions; none is ever held whole.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use thiserror::Error;

use crate::domain::names::RegistrationName;
use crate::domain::secret::Secret;
use crate::domain::target::{Target, TargetPath};

/// A body on its way. Dropping it ends what brings it.
pub type TargetBody = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// One of the calls that a target may have under way; given back when the last clone is dropped.
#[derive(Clone)]
pub struct CallPlace {
    _taken: Arc<dyn Send + Sync>,
}

impl CallPlace {
    /// Holds what gives the place back when it is dropped.
    #[must_use]
    pub fn new(taken: impl Send + Sync + 'static) -> Self {
        Self { _taken: Arc::new(taken) }
    }
}

/// What a caller wants to say to a target, but for the body.
#[derive(Clone)]
pub struct TargetHead {
    /// The method.
    pub method: Method,
    /// Where, below the target's base. Goes on byte for byte.
    pub path: TargetPath,
    /// The query, without its question mark. Goes on byte for byte.
    pub query: Option<String>,
    /// The headers as they came; which of them go on is the adapter's business.
    pub headers: HeaderMap,
    /// Ours: the caller's own, or drawn.
    pub request_id: HeaderValue,
    /// Ours: the caller's own, or drawn.
    pub traceparent: HeaderValue,
}

/// One call of a target.
pub struct TargetCall {
    /// Whose certificate the connection shows.
    pub registration: RegistrationName,
    /// Which one (`x5t#S256`); `None`: it has none.
    pub x5t: Option<String>,
    /// The exchanged token.
    pub access_token: Secret,
    /// What is said.
    pub head: TargetHead,
    /// The body.
    pub body: TargetBody,
    /// Held until the answer's body has ended.
    pub place: CallPlace,
}

/// Where an answer leads below the target's base: a path, with query and fragment. Whatever leads elsewhere is left out.
#[derive(Default)]
pub struct Leads {
    /// By its `Location`.
    pub location: Option<String>,
    /// By its `Content-Location`.
    pub content_location: Option<String>,
    /// By its `Link`s.
    pub links: Vec<Link>,
}

/// One link of an answer (RFC 8288).
pub struct Link {
    /// Where it leads.
    pub below: String,
    /// What else it says, as the target writes it: nothing, or from a semicolon on.
    pub parameters: String,
}

/// The beginning of a target's answer.
pub struct TargetAnswer {
    /// Its status: 200 to 599.
    pub status: StatusCode,
    /// Its headers, without those that are for the way between it and us.
    pub headers: HeaderMap,
    /// Where it leads.
    pub leads: Leads,
    /// Its body, as it comes.
    pub body: TargetBody,
}

/// Why there is no answer of a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum TargetError {
    /// The caller's body did not arrive in whole.
    #[error("the caller's body did not arrive in whole")]
    BodyBroken,
    /// It leads elsewhere.
    #[error("the target leads elsewhere")]
    Redirected,
    /// It was silent for too long.
    #[error("the target was silent for too long")]
    TimedOut,
    /// TLS failed: its certificate does not do, or ours does not.
    #[error("TLS with the target failed")]
    TlsFailed,
    /// The caller's body is longer than the target's limit.
    #[error("the body is too long for the target")]
    TooLarge,
    /// It cannot be reached, or what it says is no answer.
    #[error("the target cannot be reached")]
    Unreachable,
}

/// Every configured target behind one door.
#[async_trait]
pub trait Targets: Send + Sync + 'static {
    /// Sends one call, once, and answers when the target's answer begins. It never follows a redirect, never sends
    /// anywhere but to the target's own scheme, host and port, and ends what is under way when it is dropped.
    async fn send(&self, target: &Target, call: TargetCall) -> Result<TargetAnswer, TargetError>;

    /// Drops connections and keys of certificates that have gone. Asked for now and then: nobody may call any more.
    fn tidy(&self);
}
