//! A login: one attempt to authenticate one person.
//!
//! The state is an enum that carries exactly the facts which exist in it. The arrows are those of the state table
//! (`docs/ARCHITECTURE.md`) and no others; each is one guarded statement in the store, so this module only says
//! what a state *is* and how it is shown.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ids::{Attempt, GrantId, LoginId, NodeId, SessionId};
use super::names::{ApplicationName, ProviderName, RegistrationName, TenantName};
use super::registration::{Delivery, Environment};
use super::secret::Secret;
use super::support_code::SupportCode;
use super::time::Timestamp;

/// The word for a login's state, in answers, in the store and in metrics.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LoginStatus {
    /// Committed; the provider is being asked.
    Starting,
    /// The provider has acknowledged; the person decides.
    Pending,
    /// The person has approved; nobody has picked the session up yet.
    Approved,
    /// The session exists.
    PickedUp,
    /// The person said no.
    Denied,
    /// Nobody answered, or nobody picked up, in time.
    Expired,
    /// Something went wrong.
    Failed,
    /// The application or a newer login ended it.
    Cancelled,
}

impl LoginStatus {
    /// Every status.
    pub const ALL: [Self; 8] = [
        Self::Starting,
        Self::Pending,
        Self::Approved,
        Self::PickedUp,
        Self::Denied,
        Self::Expired,
        Self::Failed,
        Self::Cancelled,
    ];

    /// As stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::PickedUp => "picked_up",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status that [`LoginStatus::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether the outcome is still open: what a waiting client waits for the end of.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Starting | Self::Pending)
    }

    /// Whether no transition leads on from here.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Starting | Self::Pending | Self::Approved)
    }
}

/// Why a login did not end well.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LoginReason {
    /// `access_denied` while polling.
    UserDenied,
    /// Nobody answered in time.
    Expired,
    /// Approved, and nobody picked it up in time.
    PickUpExpired,
    /// Cancelled by the application or an operator.
    Cancelled,
    /// Replaced by a newer login of the same application (`if_pending: replace`).
    Superseded,
    /// The hint names nobody at the provider.
    UserUnknown,
    /// The provider does not take the `binding_message`.
    BindingMessageInvalid,
    /// The provider wants a `user_code`.
    UserCodeRequired,
    /// The `user_code` was wrong.
    UserCodeInvalid,
    /// Any other OAuth error.
    ProviderRefused,
    /// `invalid_client` and its kin: our registration is wrong. An operator must look.
    ProviderRejectedClient,
    /// A 2xx that is no valid answer.
    ProviderInvalidAnswer,
    /// No connection, TLS failure, 429, or 5xx with an OAuth error.
    ProviderUnavailable,
    /// Nobody knows whether the request was accepted.
    OutcomeUnknown,
    /// `invalid_grant` while polling: the tokens were given out and lost on the way.
    AnswerLost,
    /// Another person than the hinted one approved.
    IdentityMismatch,
    /// The ID token is not valid.
    TokenInvalid,
    /// The person authenticated at another level than asked for.
    AcrInsufficient,
    /// A policy no longer allows it (application or registration disabled since).
    PolicyNotMet,
    /// A defect of Relais.
    Internal,
}

impl LoginReason {
    /// Every reason.
    pub const ALL: [Self; 20] = [
        Self::UserDenied,
        Self::Expired,
        Self::PickUpExpired,
        Self::Cancelled,
        Self::Superseded,
        Self::UserUnknown,
        Self::BindingMessageInvalid,
        Self::UserCodeRequired,
        Self::UserCodeInvalid,
        Self::ProviderRefused,
        Self::ProviderRejectedClient,
        Self::ProviderInvalidAnswer,
        Self::ProviderUnavailable,
        Self::OutcomeUnknown,
        Self::AnswerLost,
        Self::IdentityMismatch,
        Self::TokenInvalid,
        Self::AcrInsufficient,
        Self::PolicyNotMet,
        Self::Internal,
    ];

    /// As stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserDenied => "user_denied",
            Self::Expired => "expired",
            Self::PickUpExpired => "pick_up_expired",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
            Self::UserUnknown => "user_unknown",
            Self::BindingMessageInvalid => "binding_message_invalid",
            Self::UserCodeRequired => "user_code_required",
            Self::UserCodeInvalid => "user_code_invalid",
            Self::ProviderRefused => "provider_refused",
            Self::ProviderRejectedClient => "provider_rejected_client",
            Self::ProviderInvalidAnswer => "provider_invalid_answer",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::AnswerLost => "answer_lost",
            Self::IdentityMismatch => "identity_mismatch",
            Self::TokenInvalid => "token_invalid",
            Self::AcrInsufficient => "acr_insufficient",
            Self::PolicyNotMet => "policy_not_met",
            Self::Internal => "internal",
        }
    }

    /// The reason that [`LoginReason::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// How a login ended without a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndStatus {
    /// See [`LoginStatus::Denied`].
    Denied,
    /// See [`LoginStatus::Expired`].
    Expired,
    /// See [`LoginStatus::Failed`].
    Failed,
    /// See [`LoginStatus::Cancelled`].
    Cancelled,
}

impl EndStatus {
    /// The status it is.
    #[must_use]
    pub const fn status(self) -> LoginStatus {
        match self {
            Self::Denied => LoginStatus::Denied,
            Self::Expired => LoginStatus::Expired,
            Self::Failed => LoginStatus::Failed,
            Self::Cancelled => LoginStatus::Cancelled,
        }
    }
}

/// A `user_unknown` that the application must not be told of: shown as pending, then as expired.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hidden {
    /// Until when it is shown as pending: when a real login would have expired, its last poll included
    /// ([`hidden_delay`]).
    pub until: Timestamp,
    /// When and why what the application took for a pending login was cancelled.
    pub cancelled: Option<(Timestamp, LoginReason)>,
}

/// The facts that exist in each state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LoginState {
    /// See [`LoginStatus::Starting`].
    Starting {
        /// When the provider's answer is given up.
        until: Timestamp,
    },
    /// See [`LoginStatus::Pending`].
    Pending {
        /// The deadline: min(acknowledged, `requested_expiry`, ceiling) from the acknowledgement.
        until: Timestamp,
        /// The polling interval now in force (`slow_down` raises it for good).
        interval: Duration,
        /// No poll before this (`Retry-After`).
        not_before: Option<Timestamp>,
        /// The provider has not answered the last polls.
        provider_slow: bool,
    },
    /// See [`LoginStatus::Approved`].
    Approved {
        /// When the tokens arrived: a session's absolute life counts from here.
        at: Timestamp,
        /// When the pick-up window closes.
        until: Timestamp,
    },
    /// See [`LoginStatus::PickedUp`].
    PickedUp {
        /// When it was first picked up.
        at: Timestamp,
        /// The session.
        session_id: SessionId,
        /// Until when a lost answer may be asked for again.
        repeatable_until: Timestamp,
    },
    /// Denied, expired, failed or cancelled.
    Ended {
        /// Which of the four.
        status: EndStatus,
        /// Why.
        reason: LoginReason,
        /// When.
        at: Timestamp,
        /// Whether the application must not be told.
        hidden: Option<Hidden>,
    },
}

impl LoginState {
    /// The word for it.
    #[must_use]
    pub const fn status(&self) -> LoginStatus {
        match self {
            Self::Starting { .. } => LoginStatus::Starting,
            Self::Pending { .. } => LoginStatus::Pending,
            Self::Approved { .. } => LoginStatus::Approved,
            Self::PickedUp { .. } => LoginStatus::PickedUp,
            Self::Ended { status, .. } => status.status(),
        }
    }
}

/// One login, as the store gives it.
#[derive(Clone)]
pub struct Login {
    /// Its identifier; not secret.
    pub login_id: LoginId,
    /// The grant that holds its secrets.
    pub grant_id: GrantId,
    /// The tenant of the application.
    pub tenant: TenantName,
    /// Who started it.
    pub application: ApplicationName,
    /// The registration it runs over.
    pub registration: RegistrationName,
    /// The provider of the registration.
    pub provider: ProviderName,
    /// The provider's environment.
    pub environment: Environment,
    /// For the help desk.
    pub support_code: SupportCode,
    /// How its outcome comes: as its registration had it when it was started.
    pub delivery: Delivery,
    /// The application's own reference.
    pub reference: Option<String>,
    /// `MOBILE`, `CARD`: where the registration has channels.
    pub channel: Option<String>,
    /// What both screens show.
    pub binding_message: String,
    /// The normalised hint; `None` once the login is no longer readable.
    pub login_hint: Option<Secret>,
    /// Thumbprint of the certificate that its tokens are bound to (`x5t#S256`), where one is in use.
    pub x5t: Option<String>,
    /// What the application said about itself and its workstation (JSON, at most 1 KiB).
    pub client_context: Option<String>,
    /// When it was started.
    pub created_at: Timestamp,
    /// Who polls.
    pub owner: NodeId,
    /// Raised by every visible change.
    pub version: u32,
    /// Who made the last transition.
    pub attempt: Attempt,
    /// Where it stands.
    pub state: LoginState,
}

/// Names the login and its status; neither hint nor digits reach a log this way.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("login_id", &self.login_id)
            .field("status", &self.state.status())
            .finish_non_exhaustive()
    }
}

/// How long after its deadline a hidden login ends: a real one does when its last poll is answered, up to an interval
/// later, and a hidden one must not be known by ending on the dot. From an identifier that no answer shows.
#[must_use]
pub fn hidden_delay(grant_id: GrantId) -> Duration {
    Duration::from_micros(u64::try_from(grant_id.0.as_u128() % 5_250_000).unwrap_or(0))
}

/// How long a login can be read by its token after its end.
pub const READABLE_AFTER_END: Duration = Duration::from_mins(10);

/// What a caller is shown of a login at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shown {
    /// The status.
    pub status: LoginStatus,
    /// Why it did not end well.
    pub reason: Option<LoginReason>,
    /// The version.
    pub version: u32,
    /// When the shown state ends by itself.
    pub expires_at: Timestamp,
    /// When what is shown changes although nothing in the store does (a hidden `user_unknown` expires).
    pub changes_at: Option<Timestamp>,
}

impl Login {
    /// What to show at `now`. The one place where a hidden `user_unknown` is dressed up.
    #[must_use]
    pub fn shown(&self, now: Timestamp) -> Shown {
        let (reason, expires_at) = match &self.state {
            LoginState::Starting { until } | LoginState::Pending { until, .. } => (None, *until),
            LoginState::Approved { until, .. } => return self.shown_approved(*until, now),
            LoginState::PickedUp { repeatable_until, .. } => (None, *repeatable_until),
            LoginState::Ended { hidden: Some(hidden), .. } => return self.shown_hidden(*hidden, now),
            LoginState::Ended { reason, at, .. } => (Some(*reason), *at + READABLE_AFTER_END),
        };
        Shown { status: self.state.status(), reason, version: self.version, expires_at, changes_at: None }
    }

    /// A window that has closed is shown as closed, also before the sweeper has written it down.
    fn shown_approved(&self, until: Timestamp, now: Timestamp) -> Shown {
        if now < until {
            Shown {
                status: LoginStatus::Approved,
                reason: None,
                version: self.version,
                expires_at: until,
                changes_at: Some(until),
            }
        } else {
            Shown {
                status: LoginStatus::Expired,
                reason: Some(LoginReason::PickUpExpired),
                version: self.version.saturating_add(1),
                expires_at: until + READABLE_AFTER_END,
                changes_at: None,
            }
        }
    }

    fn shown_hidden(&self, hidden: Hidden, now: Timestamp) -> Shown {
        let ended = |status, reason, at: Timestamp, version| Shown {
            status,
            reason: Some(reason),
            version,
            expires_at: at + READABLE_AFTER_END,
            changes_at: None,
        };
        match hidden.cancelled {
            Some((at, reason)) => ended(LoginStatus::Cancelled, reason, at, self.version),
            None if now >= hidden.until => ended(
                LoginStatus::Expired,
                LoginReason::Expired,
                hidden.until,
                self.version.saturating_add(1),
            ),
            None => Shown {
                status: LoginStatus::Pending,
                reason: None,
                version: self.version,
                expires_at: hidden.until - hidden_delay(self.grant_id),
                changes_at: Some(hidden.until),
            },
        }
    }

    /// When it ended without a session, as it is shown; `None` while it has not.
    #[must_use]
    pub fn ended_at(&self) -> Option<Timestamp> {
        match &self.state {
            LoginState::Ended { hidden: Some(hidden), .. } => {
                Some(hidden.cancelled.map_or(hidden.until, |(at, _)| at))
            }
            LoginState::Ended { at, .. } | LoginState::PickedUp { at, .. } => Some(*at),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
