//! The providers, as the engine sees them: protocol facts in, outcomes of the state table out.

use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use thiserror::Error;
use utoipa::ToSchema;

use super::{ExchangeAnswer, ExchangeRequest, Heard, LogoutVerdict, RefreshAnswer, RefreshRequest, Revoked};
use crate::domain::clock::Monotonic;
use crate::domain::grant::{GrantClaims, Tokens};
use crate::domain::login::{EndStatus, LoginReason};
use crate::domain::names::{ProviderName, RegistrationName};
use crate::domain::secret::{NotificationToken, Secret, SecretBytes};
use crate::domain::target::Target;
use crate::domain::time::Timestamp;

/// How a provider fares, as `GET /v1/application` and readiness show it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProviderStatus {
    /// Valid metadata and its last calls answered.
    Ok,
    /// No valid metadata yet, a stale copy, or its last call failed.
    Degraded,
}

/// No valid metadata has ever been had from the provider.
#[derive(Clone, Copy, Debug, Error)]
#[error("no valid metadata has been had from the provider yet")]
pub struct NoMetadata;

/// What a backchannel authentication request says (CIBA §7.1). The registration adds the rest.
#[derive(Clone)]
pub struct BackchannelRequest {
    /// Which certificate to use (`x5t#S256`); `None` where the registration has none.
    pub x5t: Option<String>,
    /// The normalised hint.
    pub login_hint: Secret,
    /// What both screens show.
    pub binding_message: String,
    /// The channel, where the registration has channels.
    pub channel: Option<String>,
    /// A subset of the registration's scopes, `openid` among them.
    pub scope: Vec<String>,
    /// A subset of the registration's `acr_values`.
    pub acr_values: Vec<String>,
    /// Seconds.
    pub requested_expiry: Option<u32>,
    /// Forwarded once, kept nowhere (CIBA §7.1.2).
    pub user_code: Option<Secret>,
    /// What the provider must come with where it tells the outcome by itself; `None` where it is asked.
    pub notification_token: Option<NotificationToken>,
    /// Where the login comes from, as a JSON object: for a provider that is to know.
    pub client_context: Option<String>,
}

/// A valid acknowledgement (CIBA §7.3).
#[derive(Clone)]
pub struct Acknowledgement {
    /// A credential: sealed at rest, never shown.
    pub auth_req_id: Secret,
    /// How long the request lives at the provider.
    pub expires_in: Duration,
    /// How long to wait between polls; 5 s where the provider did not say.
    pub interval: Duration,
}

/// Why a start did not lead to an acknowledgement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StartFailure {
    /// Where the login ends.
    pub reason: LoginReason,
    /// Whether the provider may have accepted the request all the same: a phone may ring, so the person slot is
    /// kept.
    pub may_have_been_accepted: bool,
}

/// What a token answer must agree with.
#[derive(Clone)]
pub struct Expectation {
    /// The normalised hint: the ID token must name the same person.
    pub login_hint: Secret,
    /// What was asked for.
    pub scope: Vec<String>,
    /// What was asked for; the ID token must carry one of them. Empty: any.
    pub acr_values: Vec<String>,
    /// When the login was started.
    pub started_at: Timestamp,
    /// How long it may live: bounds the age of the ID token.
    pub lifetime: Duration,
}

/// One poll of the token endpoint (CIBA §10.1).
#[derive(Clone)]
pub struct PollRequest {
    /// Which certificate to use (`x5t#S256`): the one that the request was made with.
    pub x5t: Option<String>,
    /// From the acknowledgement.
    pub auth_req_id: Secret,
    /// What an answer must agree with.
    pub expectation: Expectation,
}

/// A poll that is over.
pub struct Polled {
    /// When it went out to the provider, from where the next interval counts: later than it was asked for where a
    /// connection had to be made. `None`: it never did.
    pub sent: Option<Monotonic>,
    /// What it came back with.
    pub answer: PollAnswer,
}

/// What a poll came back with.
pub enum PollAnswer {
    /// `authorization_pending`.
    Pending {
        /// `Retry-After`, where it was longer than nothing.
        retry_after: Option<Duration>,
    },
    /// `slow_down`: the interval grows for good.
    SlowDown {
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// Transport failure, time-out, 429 or 5xx: poll on until the deadline.
    Unreachable {
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The login is over; no further call with this `auth_req_id`.
    Ended {
        /// How.
        status: EndStatus,
        /// Why.
        reason: LoginReason,
    },
    /// Tokens, with an ID token that passed every check.
    Approved(Box<Approved>),
}

/// Validated tokens and what they say.
#[derive(Clone)]
pub struct Approved {
    /// The tokens.
    pub tokens: Tokens,
    /// The claims, from the ID token; `subject.complete` is false.
    pub claims: GrantClaims,
}

/// What a provider says by itself about one of its requests.
pub struct Announcement {
    /// Which request, in the provider's words: to be compared, never believed.
    pub auth_req_id: Secret,
    /// Whether the outcome itself came along.
    pub has_outcome: bool,
    /// Whether tokens came along, whatever their form.
    pub has_tokens: bool,
    /// They, where they can be read: not judged.
    pub tokens: Option<Tokens>,
    /// What their ID token calls the provider's session: not judged.
    pub sid: Option<String>,
}

/// A provider's message says nothing that could be understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("a provider's message cannot be read: {rule}")]
pub struct Unreadable {
    /// The broken rule, for the log.
    pub rule: &'static str,
}

/// An outcome that a provider has sent by itself (CIBA §10.3).
#[derive(Clone)]
pub struct PushedOutcome {
    /// Which certificate to fetch keys with, should they be missing.
    pub x5t: Option<String>,
    /// The request that it must be about.
    pub auth_req_id: Secret,
    /// The message as it came: it may hold tokens.
    pub message: SecretBytes,
    /// What it must agree with.
    pub expectation: Expectation,
}

/// What a pushed outcome comes to.
pub enum PushVerdict {
    /// The provider says that the login is over.
    Ended {
        /// How.
        status: EndStatus,
        /// Why.
        reason: LoginReason,
    },
    /// It is not to be believed: the login is over, its tokens are dropped.
    Refused {
        /// Why.
        reason: LoginReason,
    },
    /// Tokens, with an ID token that passed every check.
    Approved(Box<Approved>),
    /// Nobody can tell: no key of the provider could be had. Nothing has happened.
    NotNow,
}

/// Userinfo that belongs to the person of the grant.
#[derive(Clone)]
pub struct Userinfo {
    /// The claims, now with what userinfo adds; `subject.complete` is true.
    pub claims: GrantClaims,
    /// The answer itself: a JSON object, complete and unflattened.
    pub document: Secret,
}

/// Why userinfo could not be had. Fails no login.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum UserinfoError {
    /// 401: the access token is not taken (any more).
    #[error("the provider does not take the access token")]
    TokenRefused,
    /// The provider does not answer, or what it says is not valid, or belongs to somebody else.
    #[error("userinfo could not be read")]
    Unavailable,
}

/// Every configured provider behind one door; the registration says which.
#[async_trait]
pub trait Providers: Send + Sync + 'static {
    /// Makes sure that the registration's provider has valid metadata: from the cache, else by one attempt.
    async fn ensure_metadata(&self, registration: &RegistrationName) -> Result<(), NoMetadata>;

    /// How a provider fares. Asks nobody.
    fn status(&self, provider: &ProviderName) -> ProviderStatus;

    /// Thumbprint (`x5t#S256`) of the certificate that new logins of the registration use.
    fn certificate_in_use(&self, registration: &RegistrationName) -> Option<String>;

    /// Sends one backchannel authentication request, once.
    async fn start(
        &self,
        registration: &RegistrationName,
        request: BackchannelRequest,
    ) -> Result<Acknowledgement, StartFailure>;

    /// Sends one token request, once, and judges the answer.
    async fn poll(&self, registration: &RegistrationName, request: PollRequest) -> Polled;

    /// Which request a provider's message is about. Asks nobody and believes nothing.
    fn announcement(&self, message: &SecretBytes, now: Timestamp) -> Result<Announcement, Unreadable>;

    /// Judges an outcome that a provider has sent by itself. Asks for signing keys at most.
    async fn judge_pushed(&self, registration: &RegistrationName, pushed: PushedOutcome) -> PushVerdict;

    /// Sends one refresh, once, within the profile's time-out, and judges the answer.
    async fn refresh(&self, registration: &RegistrationName, request: RefreshRequest) -> RefreshAnswer;

    /// Sends one exchange to the target's authorization server, once, and judges the answer. Says nothing of how the
    /// provider fares.
    async fn exchange(
        &self,
        registration: &RegistrationName,
        target: &Target,
        request: ExchangeRequest,
    ) -> ExchangeAnswer;

    /// Reads userinfo with the grant's access token; `claims` are those of the ID token.
    async fn userinfo(
        &self,
        registration: &RegistrationName,
        x5t: Option<&str>,
        access_token: &Secret,
        claims: &GrantClaims,
    ) -> Result<Userinfo, UserinfoError>;

    /// Tells that a token is not needed any more (RFC 7009). May be told twice.
    async fn revoke(
        &self,
        registration: &RegistrationName,
        x5t: Option<&str>,
        kind: Revoked,
        token: &Secret,
    ) -> Heard;

    /// Tells that the person of an ID token has left (OpenID Connect RP-Initiated Logout). May be told twice.
    async fn end_session(
        &self,
        registration: &RegistrationName,
        x5t: Option<&str>,
        id_token: &Secret,
    ) -> Heard;

    /// Judges a logout token that has been presented. Asks for signing keys at most.
    async fn judge_logout(&self, registration: &RegistrationName, logout_token: &Secret) -> LogoutVerdict;
}
