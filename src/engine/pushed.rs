//! An outcome that the provider sends by itself (CIBA §10.3, §12): judged as strictly as one that was asked for, and
//! written down in the same way. The login is never polled.

use std::sync::Arc;

use super::Engine;
use super::notified::NotifiedError;
use super::ports::{Announcement, Notifiable, PushVerdict, PushedOutcome};
use super::start_login::START_WAIT;
use crate::domain::login::{EndStatus, Login, LoginStatus};
use crate::domain::secret::SecretBytes;
use crate::telemetry::error_chain::ErrorChain;

impl Engine {
    /// Acts on a pushed outcome. Of a login that has ended nothing changes.
    pub(super) async fn pushed(
        self: &Arc<Self>,
        found: &Notifiable,
        announcement: Announcement,
        message: SecretBytes,
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
            return Ok(());
        }
        let pushed = PushedOutcome {
            x5t: login.x5t.clone(),
            auth_req_id: announcement.auth_req_id,
            message,
            expectation: self.expectation(login, &found.scope, &found.acr_values),
        };
        let (written, verdict) = match self.providers.judge_pushed(&login.registration, pushed).await {
            PushVerdict::Approved(approved) => (self.approve(login, *approved).await, Ok(())),
            PushVerdict::Ended { status, reason } => (self.finish(login, status, reason).await, Ok(())),
            PushVerdict::Refused { reason } => {
                (self.finish(login, EndStatus::Failed, reason).await, Err(NotifiedError::Refused))
            }
            PushVerdict::NotNow => return Err(NotifiedError::TryAgain),
        };
        if written { verdict } else { Err(NotifiedError::TryAgain) }
    }

    /// An outcome may be here before the acknowledgement of its request is: the provider sends it once, so it waits.
    pub(super) async fn wait_for_acknowledgement(&self, login: &Login) {
        if login.state.status() != LoginStatus::Starting {
            return;
        }
        let waiting = async {
            let ear = self.listen(login.login_id);
            let login = self.look(login.login_id).await?;
            self.wait_until(ear, login, START_WAIT, |shown| shown.status != LoginStatus::Starting).await
        };
        if let Err(error) = waiting.await {
            tracing::warn!(error = %ErrorChain(&error), "a login could not be waited for");
        }
    }
}
