//! A session: what a login leads to, and what a handle opens.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::grant::Tokens;
use super::ids::{Attempt, GrantId, LoginId, SessionId};
use super::names::{ApplicationName, ProviderName, RegistrationName, TenantName};
use super::registration::Environment;
use super::support_code::SupportCode;
use super::time::Timestamp;

/// Why a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionEndReason {
    /// The holder ended it.
    Logout,
    /// No use for too long.
    Idle,
    /// Its absolute life is over.
    Absolute,
    /// An operator ended it, or its application, registration or provider was disabled.
    Revoked,
    /// The provider ended it.
    IdpLogout,
    /// The grant died: the person must sign in again.
    ReauthRequired,
    /// A newer session of the same person took its place.
    Superseded,
}

impl SessionEndReason {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::Logout,
        Self::Idle,
        Self::Absolute,
        Self::Revoked,
        Self::IdpLogout,
        Self::ReauthRequired,
        Self::Superseded,
    ];

    /// As stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Idle => "idle",
            Self::Absolute => "absolute",
            Self::Revoked => "revoked",
            Self::IdpLogout => "idp_logout",
            Self::ReauthRequired => "reauth_required",
            Self::Superseded => "superseded",
        }
    }

    /// The reason that [`SessionEndReason::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// The facts that exist in each state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionState {
    /// A handle opens it.
    Active,
    /// Nothing opens it any more.
    Ended {
        /// Why.
        reason: SessionEndReason,
        /// When.
        at: Timestamp,
    },
}

/// One session, as the store gives it.
#[derive(Clone)]
pub struct Session {
    /// Its identifier; not secret.
    pub session_id: SessionId,
    /// The login that led to it.
    pub login_id: LoginId,
    /// The grant that holds its secrets.
    pub grant_id: GrantId,
    /// The tenant of the application.
    pub tenant: TenantName,
    /// Whose handle opens it.
    pub application: ApplicationName,
    /// The registration of the login.
    pub registration: RegistrationName,
    /// The provider of the registration.
    pub provider: ProviderName,
    /// The provider's environment.
    pub environment: Environment,
    /// For the help desk.
    pub support_code: SupportCode,
    /// The application's own reference.
    pub reference: Option<String>,
    /// Thumbprint of the certificate that the tokens are bound to (`x5t#S256`).
    pub x5t: Option<String>,
    /// The chosen *situation d'exercice*, by its id in the subject.
    pub exercice: Option<String>,
    /// When it was picked up.
    pub created_at: Timestamp,
    /// Its absolute end, counted from the arrival of the tokens.
    pub expires_at: Timestamp,
    /// How long it lives without a use.
    pub idle: Duration,
    /// The last use (before any, the pick-up); its write may lag by [`USE_WRITE_LAG`].
    pub last_used_at: Timestamp,
    /// When the refresh token dies, where the provider said so: no session outlives its grant.
    pub grant_expires_at: Option<Timestamp>,
    /// How the refresh of its tokens stands.
    pub refresh: RefreshState,
    /// Raised by every visible change.
    pub version: u32,
    /// Who made the last transition.
    pub attempt: Attempt,
    /// Where it stands.
    pub state: SessionState,
}

/// How the refresh of a session's tokens stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RefreshState {
    /// How often the tokens have been replaced.
    pub generation: u32,
    /// When the refresh token has half of its known life left: a later use starts a refresh. `None` where none would
    /// prolong anything.
    pub due_at: Option<Timestamp>,
    /// No attempt before this: the last one failed.
    pub not_before: Option<Timestamp>,
    /// How many attempts have failed since the tokens were replaced.
    pub failures: u32,
    /// How often the present refresh token has been sent without an answer.
    pub unanswered: u32,
}

/// A refresh token whose answer was lost is sent once more, and never a third time: it may have been spent.
pub const MOST_UNANSWERED: u32 = 2;

/// How the session fares at its provider.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Upstream {
    /// Nothing is wrong.
    Live,
    /// The last refresh has failed; the next use tries again.
    Retrying,
}

impl RefreshState {
    /// Of tokens that arrived at `arrived` and have not been refreshed yet.
    #[must_use]
    pub fn of_new_tokens(tokens: &Tokens, arrived: Timestamp) -> Self {
        Self { due_at: half_life(tokens, arrived), ..Self::default() }
    }

    /// Whether a use at `now` starts a refresh.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.due_at.is_some_and(|due| due < now)
            && self.not_before.is_none_or(|not_before| not_before <= now)
            && self.unanswered < MOST_UNANSWERED
    }
}

/// When the refresh token of tokens that arrived at `arrived` has half of its known life left.
#[must_use]
pub fn half_life(tokens: &Tokens, arrived: Timestamp) -> Option<Timestamp> {
    tokens.refresh_token.as_ref()?;
    tokens.refresh_expires_at.map(|end| arrived + end.since(arrived) / 2)
}

/// How far the stored time of the last use may lag behind.
pub const USE_WRITE_LAG: Duration = Duration::from_secs(30);

/// How long a handle is told that and why its session ended.
pub const READABLE_AFTER_END: Duration = Duration::from_hours(24);

impl Session {
    /// When it ends without a further use: never later than its grant or its absolute end.
    #[must_use]
    pub fn idle_expires_at(&self) -> Timestamp {
        let idle = (self.last_used_at + self.idle).min(self.expires_at);
        self.grant_expires_at.map_or(idle, |grant| idle.min(grant))
    }

    /// Why an active session is over at `now`, if it is.
    #[must_use]
    pub fn overdue(&self, now: Timestamp) -> Option<SessionEndReason> {
        let idle = self.last_used_at + self.idle;
        if now >= self.expires_at {
            return Some(SessionEndReason::Absolute);
        }
        if now >= idle {
            return Some(SessionEndReason::Idle);
        }
        let grant = self.grant_expires_at.filter(|grant| now >= *grant)?;
        // Tokens arrive a moment before the pick-up: a session that nobody uses would die with its grant a moment
        // before it is idle. What is within the lag of the last use is for want of use.
        let unused = idle <= grant + USE_WRITE_LAG;
        Some(if unused { SessionEndReason::Idle } else { SessionEndReason::ReauthRequired })
    }

    /// How it fares at its provider.
    #[must_use]
    pub const fn upstream(&self) -> Upstream {
        if self.refresh.failures == 0 { Upstream::Live } else { Upstream::Retrying }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::secret::Secret;

    const PICKED_UP: Timestamp = Timestamp::from_secs(1_800_000_000);
    const MICROSECOND: Duration = Duration::from_micros(1);

    /// Idle after half an hour; over after an hour or, where that is sooner, when its grant is.
    fn session(used_after: Duration, grant_lives: Option<Duration>) -> Session {
        Session {
            session_id: SessionId(Uuid::from_u128(1)),
            login_id: LoginId(Uuid::from_u128(2)),
            grant_id: GrantId(Uuid::from_u128(3)),
            tenant: "cabinet".parse().expect("a name"),
            application: "logiciel".parse().expect("a name"),
            registration: "lps".parse().expect("a name"),
            provider: "psc".parse().expect("a name"),
            environment: Environment::Test,
            support_code: SupportCode::from_compact("K7QM2P4X".to_owned()),
            reference: None,
            x5t: None,
            exercice: None,
            created_at: PICKED_UP,
            expires_at: PICKED_UP + Duration::from_hours(1),
            idle: Duration::from_mins(30),
            last_used_at: PICKED_UP + used_after,
            grant_expires_at: grant_lives.map(|life| PICKED_UP + life),
            version: 1,
            attempt: Attempt(Uuid::from_u128(4)),
            state: SessionState::Active,
            refresh: RefreshState::default(),
        }
    }

    #[test]
    fn a_session_is_over_from_the_first_of_its_three_ends_on() {
        let minutes = Duration::from_mins;
        for (used_after, grant_lives, end, reason) in [
            (minutes(0), None, minutes(30), SessionEndReason::Idle),
            (minutes(20), None, minutes(50), SessionEndReason::Idle),
            (minutes(45), None, minutes(60), SessionEndReason::Absolute),
            (minutes(45), Some(minutes(90)), minutes(60), SessionEndReason::Absolute),
            (minutes(20), Some(minutes(40)), minutes(40), SessionEndReason::ReauthRequired),
        ] {
            let session = session(used_after, grant_lives);
            let end = PICKED_UP + end;
            assert_eq!(session.overdue(end - MICROSECOND), None, "{reason:?}");
            assert_eq!(session.overdue(end), Some(reason));
            assert_eq!(session.idle_expires_at(), end, "{reason:?}");
        }
    }

    #[test]
    fn a_grant_that_dies_within_the_lag_of_the_last_use_does_so_for_want_of_use() {
        let unused = session(Duration::ZERO, Some(Duration::from_mins(30).saturating_sub(USE_WRITE_LAG)));
        let end = unused.grant_expires_at.expect("it is known");
        assert_eq!(unused.overdue(end - MICROSECOND), None);
        assert_eq!(unused.overdue(end), Some(SessionEndReason::Idle));
        let sooner = Session { grant_expires_at: Some(end - MICROSECOND), ..unused };
        assert_eq!(sooner.overdue(end - MICROSECOND), Some(SessionEndReason::ReauthRequired));
    }

    /// Tokens that arrive with the pick-up, whose refresh token lives for ten minutes.
    fn tokens() -> Tokens {
        Tokens {
            access_token: Secret::new("access"),
            access_expires_at: None,
            refresh_token: Some(Secret::new("refresh")),
            refresh_expires_at: Some(PICKED_UP + Duration::from_mins(10)),
            id_token: Secret::new("id"),
        }
    }

    #[test]
    fn a_use_starts_a_refresh_once_half_of_the_refresh_token_s_life_has_passed() {
        let half = PICKED_UP + Duration::from_mins(5);
        let fresh = RefreshState::of_new_tokens(&tokens(), PICKED_UP);
        assert_eq!(fresh, RefreshState { due_at: Some(half), ..RefreshState::default() });
        assert!(!fresh.is_due(half));
        assert!(fresh.is_due(half + MICROSECOND));
        let without = Tokens { refresh_token: None, ..tokens() };
        assert_eq!(half_life(&without, PICKED_UP), None);
        let unknown = Tokens { refresh_expires_at: None, ..tokens() };
        assert_eq!(half_life(&unknown, PICKED_UP), None);
        assert!(!RefreshState::of_new_tokens(&unknown, PICKED_UP).is_due(half + MICROSECOND));
    }

    #[test]
    fn no_use_starts_a_refresh_too_soon_after_a_failure_or_a_third_time_without_an_answer() {
        let now = PICKED_UP + Duration::from_mins(6);
        let fresh = RefreshState::of_new_tokens(&tokens(), PICKED_UP);
        let failed = RefreshState { not_before: Some(now), failures: 1, ..fresh };
        assert!(!failed.is_due(now - MICROSECOND));
        assert!(failed.is_due(now));
        let unanswered = |unanswered| RefreshState { unanswered, ..failed };
        assert!(unanswered(MOST_UNANSWERED - 1).is_due(now));
        assert!(!unanswered(MOST_UNANSWERED).is_due(now));
        assert!(!unanswered(MOST_UNANSWERED + 1).is_due(now));
    }

    #[test]
    fn a_session_retries_from_its_first_failed_refresh_on() {
        let live = session(Duration::ZERO, None);
        assert_eq!(live.upstream(), Upstream::Live);
        let refresh = RefreshState { failures: 1, ..live.refresh };
        assert_eq!(Session { refresh, ..live }.upstream(), Upstream::Retrying);
    }

    #[test]
    fn every_word_for_a_reason_is_read_back_as_that_reason() {
        for reason in SessionEndReason::ALL {
            assert_eq!(SessionEndReason::parse(reason.as_str()), Some(reason));
        }
        assert_eq!(SessionEndReason::parse("Idle"), None);
    }
}
