//! Targets: the downstream APIs that Relais calls with an exchanged token.
//!
//! Where a call goes is decided here and by configuration alone: what a caller sends never names a host, a port or a
//! scheme. Everything is refused that a target does not name: applications, registrations, methods, paths.

mod path;

use std::time::Duration;

use url::Url;

use super::names::{ApplicationName, RegistrationName, TargetName};
use super::registration::Environment;
use super::secret::Secret;

pub use path::{PathPattern, PathPatternError, PathRefused, TargetPath};

/// The methods that a target may allow. Others are not forwarded: `CONNECT` and `TRACE` are for proxies, and what is not
/// registered has no meaning that could be relied upon.
pub const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// A downstream API.
#[derive(Clone)]
pub struct Target {
    /// Its name.
    pub name: TargetName,
    /// Where its paths begin: scheme, host and port of every call. Without query, fragment and user information.
    pub url: Url,
    /// Whether real persons stand behind it. That of its registrations.
    pub environment: Environment,
    /// `false`: none of its calls is forwarded.
    pub enabled: bool,
    /// It is called for sessions of these registrations, and of no others.
    pub registrations: Vec<RegistrationName>,
    /// These applications may call it, and no others: with their own sessions, and with those that they act for.
    pub applications: Vec<ApplicationName>,
    /// The methods that it may be called with: some of [`METHODS`].
    pub methods: Vec<&'static str>,
    /// The paths below `url` that may be called.
    pub paths: Vec<PathPattern>,
    /// The longest body of a request, in bytes.
    pub request_max: u64,
    /// Calls under way at once; one more is refused.
    pub max_requests: u32,
    /// How long it may be silent (real time): until its answer begins, and while a body is under way.
    pub timeout: Duration,
    /// How tokens for it are had.
    pub exchange: ExchangeParameters,
}

impl Target {
    /// Whether this application may call it at all with a session of this registration, be it its own or one that it acts
    /// for.
    #[must_use]
    pub fn is_open_to(&self, application: &ApplicationName, registration: &RegistrationName) -> bool {
        self.enabled && self.applications.contains(application) && self.registrations.contains(registration)
    }

    /// Whether it may be called with this method at this path.
    #[must_use]
    pub fn allows(&self, method: &str, path: &TargetPath) -> bool {
        self.methods.contains(&method) && self.paths.iter().any(|pattern| pattern.matches(path))
    }
}

/// How a token for a target is had (RFC 8693).
#[derive(Clone)]
pub struct ExchangeParameters {
    /// The token endpoint of the target's authorization server.
    pub token_endpoint: Url,
    /// `audience`: the logical name of the target there.
    pub audience: Option<String>,
    /// `resource`: the URI of the target there (RFC 8707).
    pub resource: Option<String>,
    /// `scope`, its words separated by spaces.
    pub scope: Option<String>,
    /// What the subject token is called.
    pub subject_token_type: SubjectTokenType,
    /// `subject_issuer`: whose token it is, in the server's words (Keycloak's parameter).
    pub subject_issuer: Option<String>,
    /// How the certificate that the exchanged token shall be bound to is told.
    pub cnf: Cnf,
    /// Who acts for the person.
    pub actor_token: ActorTokenKind,
    /// `client_id` there; `None`: that of the registration.
    pub client_id: Option<String>,
    /// How Relais proves there who it is.
    pub auth: ExchangeAuth,
}

/// What the subject token is called in the request (RFC 8693 §3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SubjectTokenType {
    /// `urn:ietf:params:oauth:token-type:access_token`.
    AccessToken,
    /// `urn:ietf:params:oauth:token-type:jwt`.
    Jwt,
}

impl SubjectTokenType {
    /// Its URN.
    #[must_use]
    pub const fn as_urn(self) -> &'static str {
        match self {
            Self::AccessToken => "urn:ietf:params:oauth:token-type:access_token",
            Self::Jwt => "urn:ietf:params:oauth:token-type:jwt",
        }
    }
}

/// How the request tells which certificate the exchanged token shall be bound to, as the parameter `cnf`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cnf {
    /// `x5t#S256` as RFC 8705 §3.1 writes it: base64url of the digest, without padding.
    Rfc8705,
    /// `x5t#S256` as the CI-SIS guide shows it: base64, with padding, of the digest in lower-case hexadecimal.
    CisisHex,
    /// Not at all.
    None,
}

/// Which `actor_token` goes with the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ActorTokenKind {
    /// None.
    None,
    /// A JWT that names the software and the *situation d'exercice*, as the CI-SIS guide has it; a signing key of the
    /// registration signs it.
    Cisis,
}

/// How Relais proves who it is at the token endpoint of an exchange. The certificate of the session's connection to its
/// provider is shown there in any case, where there is one.
#[derive(Clone)]
pub enum ExchangeAuth {
    /// As at the provider, by the means of the session's registration.
    OfRegistration,
    /// By the certificate of the connection (RFC 8705 §2).
    Certificate,
    /// `client_id` and secret by HTTP Basic (RFC 6749 §2.3.1).
    ClientSecretBasic(Secret),
    /// `client_id` and secret in the body (RFC 6749 §2.3.1).
    ClientSecretPost(Secret),
    /// A JWT that the signing key of the registration signs, made for the token endpoint (RFC 7523 §2.2).
    PrivateKeyJwt,
}
