//! A provider says that somebody has left (OpenID Connect Back-Channel Logout 1.0).
//!
//! What it says is believed where its signature is; it ends what is live of that session or person at that provider, and
//! nothing else. A token counts once: presented again, it ends what was there the first time, should that not have
//! worked, and never what has begun since.

use std::sync::Arc;

use thiserror::Error;

use super::ports::{
    Actor, EndLogin, Live, LoggedOut, LogoutToken, LogoutVerdict, SlotFate, StoreError, TakeLogoutToken,
};
use super::{CutShort, Engine};
use crate::domain::login::{EndStatus, LoginReason, LoginStatus};
use crate::domain::names::{ProviderName, RegistrationName};
use crate::domain::secret::Secret;
use crate::domain::session::SessionEndReason;
use crate::telemetry::error_chain::ErrorChain;

/// How many are looked for by one statement.
const BATCH: u32 = 100;

/// How often: a person has a few sessions, each application bounds them.
const ROUNDS: usize = 100;

/// Why a logout token changes nothing.
#[derive(Debug, Error)]
pub enum BackchannelLogoutError {
    /// The task died: a defect.
    #[error("a logout was cut short")]
    CutShort(#[from] CutShort),
    /// No registration by that name, or not a token to be believed.
    #[error("the logout token is not accepted")]
    Refused,
    /// Nobody can tell now, or not everything could be ended.
    #[error("the logout cannot be dealt with now")]
    TryAgain,
    /// The store could not say.
    #[error("a logout could not be written")]
    Store(#[from] StoreError),
}

impl Engine {
    /// Ends what the provider of a registration has logged out. What follows runs to its end, whoever hangs up.
    pub async fn backchannel_logout(
        self: &Arc<Self>,
        registration: &str,
        logout_token: Secret,
        by: Actor,
    ) -> Result<(), BackchannelLogoutError> {
        let registration: RegistrationName =
            registration.parse().map_err(|_| BackchannelLogoutError::Refused)?;
        let provider = self
            .directory
            .load()
            .registration(&registration)
            .map(|(_, provider)| provider.name.clone())
            .ok_or(BackchannelLogoutError::Refused)?;
        let told = match self.providers.judge_logout(&registration, &logout_token).await {
            LogoutVerdict::Valid(told) => told,
            LogoutVerdict::Refused => return Err(BackchannelLogoutError::Refused),
            LogoutVerdict::NotNow => return Err(BackchannelLogoutError::TryAgain),
        };
        let engine = Arc::clone(self);
        self.detached(async move { engine.log_out(provider, registration, told, &by).await }).await?
    }

    async fn log_out(
        &self,
        provider: ProviderName,
        registration: RegistrationName,
        told: LogoutToken,
        by: &Actor,
    ) -> Result<(), BackchannelLogoutError> {
        let now = self.clock.now();
        let take = TakeLogoutToken {
            provider: provider.clone(),
            registration,
            by: by.clone(),
            jti: told.jti,
            sid: told.sid.clone(),
            sub: told.sub.clone(),
            attempt: self.attempt(),
            now,
            until: told.until,
        };
        let before = self.store.take_logout_token(take).await?;
        if before.is_some() {
            tracing::info!(%provider, "a logout token has come again");
        }
        let whom = LoggedOut { provider: provider.clone(), sid: told.sid, sub: told.sub, before };
        let mut ended = 0usize;
        for _ in 0..ROUNDS {
            let live = self.store.logged_out(whom.clone(), BATCH).await?;
            if live.is_empty() {
                tracing::info!(%provider, ended, "the provider has logged somebody out");
                return Ok(());
            }
            let before = ended;
            // One that cannot be ended must not keep the others from it.
            for one in live {
                match self.end_logged_out(one, by).await {
                    Ok(()) => ended += 1,
                    Err(error) => {
                        tracing::error!(
                            error = %ErrorChain(&error),
                            live = ?one,
                            "somebody who has left at the provider could not be signed out"
                        );
                    }
                }
            }
            if ended == before {
                break;
            }
        }
        Err(BackchannelLogoutError::TryAgain)
    }

    async fn end_logged_out(&self, live: Live, by: &Actor) -> Result<(), StoreError> {
        match live {
            Live::Session(session_id) => {
                self.end_session_for(session_id, SessionEndReason::IdpLogout, by).await.map(|_| ())
            }
            Live::Login(login_id) => {
                let end = EndLogin {
                    login_id,
                    attempt: self.attempt(),
                    from: &[LoginStatus::Approved],
                    owner: None,
                    now: self.clock.now(),
                    status: EndStatus::Failed,
                    reason: LoginReason::ProviderRefused,
                    slot: SlotFate::Free,
                    hidden_until: None,
                };
                self.end(end, by).await.map(|_| ())
            }
        }
    }
}
