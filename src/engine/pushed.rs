//! An outcome that the provider sends by itself (CIBA §10.3, §12): judged as strictly as one that was asked for, and
//! written down in the same way. The login is never polled.
//!
//! It is sent once. From the moment at which its token was found to be right, neither a database that does not answer,
//! nor an acknowledgement that takes its time, nor the drain of the node loses it.

use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use super::notified::NotifiedError;
use super::ports::{Actor, Announcement, Notifiable, PushVerdict, PushedOutcome};
use super::upkeep::OWNERS_TIME;
use crate::crypto::ring::KeyedHash;
use crate::domain::login::{EndStatus, LoginState, LoginStatus};
use crate::domain::secret::SecretBytes;
use crate::telemetry::error_chain::ErrorChain;

/// How often an outcome looks for its acknowledgement, beside being woken by it: that message may be lost.
const LOOK: Duration = Duration::from_millis(700);

impl Engine {
    /// Acts on a pushed outcome. Of a login that has ended nothing changes.
    pub(super) async fn pushed(
        self: &Arc<Self>,
        found: &Notifiable,
        announcement: Announcement,
        message: SecretBytes,
        by: &Actor,
    ) -> Result<(), NotifiedError> {
        let login = &found.login;
        if login.state.status() == LoginStatus::Starting {
            return Err(NotifiedError::TryAgain);
        }
        self.check_request(found, &announcement.auth_req_id)?;
        if !announcement.has_outcome {
            return Err(NotifiedError::Malformed);
        }
        if login.state.status() != LoginStatus::Pending {
            let is_dealt_with = !announcement.has_tokens
                || self.drop_tokens(login, announcement.tokens, announcement.sid, by).await;
            return if is_dealt_with { Ok(()) } else { Err(NotifiedError::TryAgain) };
        }
        let pushed = PushedOutcome {
            x5t: login.x5t.clone(),
            auth_req_id: announcement.auth_req_id,
            message,
            expectation: self.expectation(login, &found.scope, &found.acr_values),
        };
        let (written, verdict) = match self.providers.judge_pushed(&login.registration, pushed).await {
            PushVerdict::Approved(approved) => (self.approve(login, *approved, by).await, Ok(())),
            PushVerdict::Ended { status, reason } => (self.finish(login, status, reason, by).await, Ok(())),
            PushVerdict::Refused { reason } => {
                (self.finish(login, EndStatus::Failed, reason, by).await, Err(NotifiedError::Refused))
            }
            PushVerdict::NotNow => return Err(NotifiedError::TryAgain),
        };
        if written { verdict } else { Err(NotifiedError::TryAgain) }
    }

    /// An outcome may be here before the acknowledgement of its request is: then it waits for as long as one may still
    /// come, which is until the sweeper ends the login.
    pub(super) async fn once_acknowledged(
        &self,
        candidates: &[KeyedHash],
        mut found: Notifiable,
    ) -> Result<Notifiable, NotifiedError> {
        let mut ear = self.listen(found.login.login_id);
        while let LoginState::Starting { until } = found.login.state {
            let patience = until + OWNERS_TIME;
            if self.clock.now() >= patience {
                break;
            }
            // First: it may have been acknowledged before anybody listened.
            match self.store.notifiable(candidates).await {
                Ok(read) => found = read.ok_or(NotifiedError::Unknown)?,
                Err(error) => {
                    tracing::warn!(error = %ErrorChain(&error), "a pushed outcome waits for the store");
                }
            }
            if found.login.state.status() == LoginStatus::Starting {
                tokio::select! {
                    () = ear.changed() => {}
                    () = self.clock.sleep(LOOK) => {}
                }
            }
        }
        Ok(found)
    }
}
