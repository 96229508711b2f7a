//! What ends at the provider, and what the provider ends: the outbox, logout tokens, and who must go.

use std::time::Duration;

use async_trait::async_trait;

use super::{Actor, StoreError};
use crate::domain::grant::Tokens;
use crate::domain::ids::{Attempt, LoginId, OutboxId, SessionId};
use crate::domain::names::{ApplicationName, ProviderName, RegistrationName, TenantName};
use crate::domain::support_code::SupportCode;
use crate::domain::time::Timestamp;

/// How long a provider is told before that is given up.
pub const GIVE_UP_AFTER: Duration = Duration::from_hours(24);

/// Tokens that came for what had ended, or that could not be written: nobody will use them, and the provider is to be told.
#[derive(Clone)]
pub struct LateTokens {
    /// The login that they belong to, whatever has become of it.
    pub login_id: LoginId,
    /// The session, where it was to be refreshed.
    pub session_id: Option<SessionId>,
    /// What their ID token calls the provider's session.
    pub sid: Option<String>,
    /// Drawn by the caller: a second run finds what the first has written.
    pub outbox_id: OutboxId,
    /// The caller's attempt.
    pub attempt: Attempt,
    /// Now.
    pub now: Timestamp,
    /// To be sealed.
    pub tokens: Tokens,
}

/// What a provider has not been told yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Left {
    /// That the refresh token is not needed any more.
    pub refresh_token: bool,
    /// That the access token is not needed any more.
    pub access_token: bool,
    /// That the person has left.
    pub session: bool,
}

impl Left {
    /// Whether everything has been told.
    #[must_use]
    pub const fn is_nothing(self) -> bool {
        !self.refresh_token && !self.access_token && !self.session
    }
}

/// What telling has come to so far. A refusal is not forgotten for what was taken after it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SoFar {
    /// Nothing was taken, and nothing refused.
    Nothing,
    /// Something was taken.
    Told,
    /// Something was refused for good.
    Refused,
}

impl SoFar {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Nothing, Self::Told, Self::Refused];

    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Told => "told",
            Self::Refused => "refused",
        }
    }
}

/// One entry of the outbox that its claimer tells now.
#[derive(Clone)]
pub struct OutboxEntry {
    /// Which one.
    pub outbox_id: OutboxId,
    /// The login that the tokens came for.
    pub login_id: LoginId,
    /// The session that it led to, where it did.
    pub session_id: Option<SessionId>,
    /// As whom the provider is told.
    pub registration: RegistrationName,
    /// Who is told.
    pub provider: ProviderName,
    /// For the help desk.
    pub support_code: SupportCode,
    /// Thumbprint of the certificate that the tokens are bound to (`x5t#S256`).
    pub x5t: Option<String>,
    /// How often it has been tried, this time included.
    pub tries: u32,
    /// When it is given up.
    pub give_up_at: Timestamp,
    /// What is still to be told.
    pub left: Left,
    /// What telling has come to.
    pub so_far: SoFar,
    /// The tokens; `None` where they do not open: a key is missing.
    pub tokens: Option<Tokens>,
}

/// Takes due entries of one provider, so that no other node tells them at the same time.
#[derive(Clone)]
pub struct ClaimOutbox {
    /// Of whom.
    pub provider: ProviderName,
    /// The caller's attempt: the claim.
    pub attempt: Attempt,
    /// Now.
    pub now: Timestamp,
    /// Until when they are the caller's alone.
    pub until: Timestamp,
    /// At most so many.
    pub limit: u32,
}

/// Puts a claimed entry back for later.
#[derive(Clone)]
pub struct PostponeOutbox {
    /// Which one.
    pub outbox_id: OutboxId,
    /// The claim.
    pub claim: Attempt,
    /// When it is due again; it is never later than given up.
    pub due_at: Timestamp,
    /// What is still to be told.
    pub left: Left,
    /// What telling has come to.
    pub so_far: SoFar,
}

/// What became of an entry in the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutboxEnd {
    /// The provider has been told.
    Told,
    /// The provider refused something for good.
    Refused,
    /// The provider offers nothing to be told by.
    NotOffered,
    /// It could not be told within [`GIVE_UP_AFTER`].
    GivenUp,
}

impl OutboxEnd {
    /// As audited, logged and counted.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Told => "told",
            Self::Refused => "refused",
            Self::NotOffered => "not_offered",
            Self::GivenUp => "given_up",
        }
    }
}

/// Removes a claimed entry with everything sealed in it.
#[derive(Clone)]
pub struct CloseOutbox {
    /// Which one.
    pub outbox_id: OutboxId,
    /// Its login, to find an earlier run of the attempt by.
    pub login_id: LoginId,
    /// The claim.
    pub claim: Attempt,
    /// The caller's attempt.
    pub attempt: Attempt,
    /// Now.
    pub now: Timestamp,
    /// What became of it.
    pub end: OutboxEnd,
}

/// A provider's logout token that is about to count.
#[derive(Clone)]
pub struct TakeLogoutToken {
    /// Whose token.
    pub provider: ProviderName,
    /// The registration that it was presented to.
    pub registration: RegistrationName,
    /// Who presented it.
    pub by: Actor,
    /// Its name.
    pub jti: String,
    /// The provider's session, where it names one: until its time is over that approves nothing.
    pub sid: Option<String>,
    /// The provider's name of the person.
    pub sub: Option<String>,
    /// The caller's attempt.
    pub attempt: Attempt,
    /// Now.
    pub now: Timestamp,
    /// Until when it must not count again.
    pub until: Timestamp,
}

/// Whom a provider has logged out: one of its sessions, everything of one of its persons, or that session if it is that
/// person's, and of that person what came without the name of a session.
#[derive(Clone)]
pub struct LoggedOut {
    /// Which provider: no other's sessions are meant.
    pub provider: ProviderName,
    /// The provider's session.
    pub sid: Option<String>,
    /// The provider's name of the person.
    pub sub: Option<String>,
    /// Only what was approved by then, whenever it was picked up; `None`: whatever is there.
    pub before: Option<Timestamp>,
}

/// Something live that must end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Live {
    /// An active session.
    Session(SessionId),
    /// An approved login that nobody has picked up.
    Login(LoginId),
}

/// Whose sessions must end, because it has been switched off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SwitchedOff {
    /// An application, with its tenant.
    Application(TenantName, ApplicationName),
    /// A registration.
    Registration(RegistrationName),
}

/// Which token is revoked (RFC 7009 §2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Revoked {
    /// A refresh token.
    RefreshToken,
    /// An access token.
    AccessToken,
}

/// What a provider made of being told that something is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// It is over there too.
    Accepted,
    /// It will not have it, now or later.
    Refused,
    /// It has no endpoint for that.
    NotOffered,
    /// Nobody can tell: to be told again.
    Unreachable {
        /// Not sooner, where it said so.
        retry_after: Option<Duration>,
    },
}

/// What a logout token says that its provider has signed for us (OpenID Connect Back-Channel Logout §2.4).
#[derive(Clone)]
pub struct LogoutToken {
    /// Its name.
    pub jti: String,
    /// Until when it could be presented again.
    pub until: Timestamp,
    /// The provider's session. One of the two is there.
    pub sid: Option<String>,
    /// The provider's name of the person.
    pub sub: Option<String>,
}

/// What a presented logout token is worth.
#[derive(Clone)]
pub enum LogoutVerdict {
    /// It counts.
    Valid(LogoutToken),
    /// It does not.
    Refused,
    /// Nobody can tell: no key of the provider could be had.
    NotNow,
}

/// The part of the [`super::Store`] that is about endings.
#[async_trait]
pub trait Endings: Send + Sync + 'static {
    /// Seals late tokens into the outbox; due at once. `false` where the login is not there any more, nothing of them is
    /// alive, or they have approved it after all.
    async fn late_tokens(&self, late: LateTokens) -> Result<bool, StoreError>;

    /// The providers that have something due at `now`.
    async fn outbox_due(&self, now: Timestamp) -> Result<Vec<ProviderName>, StoreError>;

    /// Claims what is due, the longest due first. Exactly one caller gets each entry, until its claim runs out.
    async fn claim_outbox(&self, claim: ClaimOutbox) -> Result<Vec<OutboxEntry>, StoreError>;

    /// Puts an entry back. `false` where the claim has run out and somebody else has it.
    async fn postpone_outbox(&self, postpone: PostponeOutbox) -> Result<bool, StoreError>;

    /// Removes an entry, with its audit record. `false` where the claim has run out and somebody else has it.
    async fn close_outbox(&self, close: CloseOutbox) -> Result<bool, StoreError>;

    /// Takes a logout token: an approval or a renewal by what it names either is written now, and found by
    /// [`Endings::logged_out`], or finds the token. `None` for exactly one caller over all nodes, until its time is over; whoever comes later
    /// is told when it was taken, and goes on record.
    async fn take_logout_token(&self, take: TakeLogoutToken) -> Result<Option<Timestamp>, StoreError>;

    /// What is live of whom a provider has logged out. At most `limit`.
    async fn logged_out(&self, whom: LoggedOut, limit: u32) -> Result<Vec<Live>, StoreError>;

    /// Active sessions of what has been switched off. At most `limit`.
    async fn switched_off(&self, what: SwitchedOff, limit: u32) -> Result<Vec<SessionId>, StoreError>;

    /// The active sessions of the same person at the same application as `session_id`, beyond the `most` newest; never
    /// itself.
    async fn surplus_sessions(&self, session_id: SessionId, most: u32) -> Result<Vec<SessionId>, StoreError>;
}
