//! Refreshing a session's tokens: what the store records of it, and what is said to the provider.

use std::time::Duration;

use crate::domain::grant::{GrantClaims, Tokens};
use crate::domain::ids::{Attempt, NodeId, SessionId};
use crate::domain::secret::Secret;
use crate::domain::session::{Session, SessionEndReason};
use crate::domain::time::Timestamp;

/// How long signing keys of a new ID token are waited for. The tokens are here, and nobody else may use them: the time in
/// which nobody else sends is over soon, and they are still to be committed.
pub const KEYS_PATIENCE: Duration = Duration::from_millis(500);

/// The wish to send a session's refresh token: recorded before it is sent.
#[derive(Clone, Debug)]
pub struct ClaimRefresh {
    /// Which session.
    pub session_id: SessionId,
    /// The caller's attempt.
    pub attempt: Attempt,
    /// Who wants to send.
    pub owner: NodeId,
    /// Now.
    pub now: Timestamp,
    /// The tokens that are to be replaced: how often they have been before.
    pub generation: u32,
    /// For how long, in database time, nobody else sends.
    pub reserve: Duration,
}

/// What became of the wish.
pub enum RefreshClaim {
    /// Recorded: the caller sends, at once or not at all.
    Won(Box<ToRefresh>),
    /// Somebody else may still be sending.
    UnderWay {
        /// For how long at most, in database time.
        left: Duration,
    },
    /// The tokens have been replaced since.
    Fresh,
    /// There is no refresh token, it has been sent as often as it may be, or it is too soon after a failure.
    NotNow,
    /// The session is over.
    Over,
}

/// What a refresh needs.
pub struct ToRefresh {
    /// The session as it is recorded now.
    pub session: Session,
    /// The tokens that are to be replaced.
    pub tokens: Tokens,
    /// The refresh token among them.
    pub refresh_token: Secret,
    /// What a new ID token must agree with.
    pub claims: GrantClaims,
}

/// New tokens for a session.
#[derive(Clone)]
pub struct Renewal {
    /// Which session.
    pub session_id: SessionId,
    /// The attempt that brought them.
    pub attempt: Attempt,
    /// What they replace.
    pub generation: u32,
    /// When they arrived.
    pub now: Timestamp,
    /// To be sealed in the place of the old ones.
    pub tokens: Tokens,
    /// What the provider says of its session by now, where its new ID token names one.
    pub moved: Option<Moved>,
    /// When a later use starts the next refresh.
    pub due_at: Option<Timestamp>,
}

/// The session and the person behind new tokens, by the provider's names.
#[derive(Clone)]
pub struct Moved {
    /// The provider's session.
    pub sid: String,
    /// The person: who it is never changes.
    pub sub: String,
}

/// What became of new tokens.
pub enum RenewalOutcome {
    /// They are the session's tokens now.
    Committed(Box<Session>),
    /// Another attempt has replaced the old ones before: these are not needed.
    Overtaken,
    /// The session has ended before: these are too late.
    Over,
    /// The provider has logged out the session of its own that they belong to: nobody may live by them.
    LoggedOut,
}

/// An attempt that brought no tokens, and does not end the session.
#[derive(Clone, Debug)]
pub struct RefreshMiss {
    /// Which session.
    pub session_id: SessionId,
    /// The attempt.
    pub attempt: Attempt,
    /// What it was to replace.
    pub generation: u32,
    /// Whether the provider may have taken the refresh token: such a sending counts.
    pub is_unanswered: bool,
    /// No attempt before this; `None` where nothing was sent and nothing failed.
    pub not_before: Option<Timestamp>,
}

/// The provider's word that a session's tokens are worth nothing any more.
#[derive(Clone, Debug)]
pub struct EndRefused {
    /// Which session.
    pub session_id: SessionId,
    /// The attempt.
    pub attempt: Attempt,
    /// Of which tokens it was said: where others have taken their place, nothing happens.
    pub generation: u32,
    /// Now.
    pub now: Timestamp,
    /// Why the session ends.
    pub reason: SessionEndReason,
    /// Whether new tokens came, with an ID token that must not be believed: recorded for itself.
    pub not_believed: bool,
}

/// One refresh (RFC 6749 §6).
#[derive(Clone)]
pub struct RefreshRequest {
    /// Which certificate to use (`x5t#S256`): the one that the tokens are bound to.
    pub x5t: Option<String>,
    /// What is presented.
    pub refresh_token: Secret,
    /// What a new ID token must agree with (OpenID Connect Core §12.2).
    pub claims: GrantClaims,
}

/// What a refresh came back with.
pub enum RefreshAnswer {
    /// New tokens; a new ID token among them has passed every check.
    Refreshed(Box<FreshTokens>),
    /// `invalid_grant`: the refresh token is worth nothing, and will never be again.
    Refused,
    /// New tokens, with an ID token that must not be believed.
    NotBelieved,
    /// Nothing was sent, or the provider said no for a reason that may pass. The refresh token is not spent.
    Declined {
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// It was sent, and nobody knows what became of it.
    OutcomeUnknown,
}

/// What a refresh gives. What the provider leaves out stays as it was.
#[derive(Clone)]
pub struct FreshTokens {
    /// The access token.
    pub access_token: Secret,
    /// When it dies, where the provider said so.
    pub access_expires_at: Option<Timestamp>,
    /// The next refresh token, where there is another one.
    pub refresh_token: Option<Secret>,
    /// When the refresh token dies, where the provider said so.
    pub refresh_expires_at: Option<Timestamp>,
    /// A new ID token, where one came that could be verified.
    pub id_token: Option<Secret>,
    /// What that calls the provider's session.
    pub sid: Option<String>,
}

impl FreshTokens {
    /// The tokens that take the place of `old`.
    #[must_use]
    pub fn over(self, old: Tokens) -> Tokens {
        // Some providers name the one that was presented.
        let rotated = match (&self.refresh_token, &old.refresh_token) {
            (Some(told), Some(known)) => told.expose() != known.expose(),
            (told, _) => told.is_some(),
        };
        Tokens {
            access_token: self.access_token,
            access_expires_at: self.access_expires_at,
            // Of another token than before nothing is known but what is said with it.
            refresh_expires_at: self.refresh_expires_at.or(if rotated {
                None
            } else {
                old.refresh_expires_at
            }),
            refresh_token: self.refresh_token.or(old.refresh_token),
            id_token: self.id_token.unwrap_or(old.id_token),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_refresh_token_has_a_life_that_nobody_knows() {
        let end = Some(Timestamp::from_secs(1000));
        for (told, expected) in [(None, end), (Some("known"), end), (Some("another"), None)] {
            let old = Tokens {
                access_token: Secret::new("a"),
                access_expires_at: None,
                refresh_token: Some(Secret::new("known")),
                refresh_expires_at: end,
                id_token: Secret::new("i"),
            };
            let fresh = FreshTokens {
                access_token: Secret::new("b"),
                access_expires_at: None,
                refresh_token: told.map(Secret::new),
                refresh_expires_at: None,
                id_token: None,
                sid: None,
            };
            assert_eq!(fresh.over(old).refresh_expires_at, expected, "{told:?}");
        }
    }
}
