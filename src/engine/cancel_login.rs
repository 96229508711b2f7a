//! Cancelling a login (`DELETE`).

use std::sync::Arc;

use thiserror::Error;

use super::ports::{Actor, EndLogin, SlotFate, StoreError, Transition};
use super::read_login::{ReadLoginError, TokenCall};
use super::{CutShort, Engine};
use crate::domain::ids::LoginId;
use crate::domain::login::{EndStatus, Login, LoginReason, LoginState, LoginStatus};

/// Why a login was not cancelled.
#[derive(Debug, Error)]
pub enum CancelLoginError {
    /// It has become a session: end that.
    #[error("the login has been picked up")]
    AlreadyPickedUp(Box<Login>),
    /// The task died: a defect.
    #[error("the cancellation was cut short")]
    CutShort(#[source] CutShort),
    /// The token opens no login.
    #[error("the login could not be read")]
    Read(#[from] ReadLoginError),
    /// The store could not say.
    #[error("the login could not be cancelled")]
    Store(#[from] StoreError),
}

impl Engine {
    /// Cancels a login. Succeeds also where it has already ended. The person slot is free before the answer, but
    /// for a login that was still `starting`: the provider may have it, so the slot is kept.
    pub async fn cancel_login(self: &Arc<Self>, call: &TokenCall, by: Actor) -> Result<(), CancelLoginError> {
        let login = self.read_login(call).await?;
        let engine = self.clone();
        self.detached(async move { engine.cancel(login, LoginReason::Cancelled, &by).await })
            .await
            .map_err(CancelLoginError::CutShort)?
    }

    async fn cancel(&self, login: Login, reason: LoginReason, by: &Actor) -> Result<(), CancelLoginError> {
        let mut current = login;
        loop {
            let now = self.clock.now();
            let (from, slot): (&'static [LoginStatus], _) = match &current.state {
                // The request may still be accepted until the start is given up, and live from then.
                LoginState::Starting { until } => {
                    (&[LoginStatus::Starting], SlotFate::KeepUntil(*until + self.request_lifetime(&current)))
                }
                // Shown as expired already, and so it stays.
                LoginState::Approved { until, .. } if now >= *until => return Ok(()),
                LoginState::Pending { .. } | LoginState::Approved { .. } => {
                    (&[LoginStatus::Pending, LoginStatus::Approved], SlotFate::Free)
                }
                LoginState::Ended { hidden: Some(hidden), .. } if hidden.cancelled.is_none() => {
                    return self.cancel_hidden(current.login_id, by).await;
                }
                LoginState::PickedUp { .. } => {
                    return Err(CancelLoginError::AlreadyPickedUp(Box::new(current)));
                }
                LoginState::Ended { .. } => return Ok(()),
            };
            let end = EndLogin {
                login_id: current.login_id,
                attempt: self.attempt(),
                from,
                owner: None,
                now,
                status: EndStatus::Cancelled,
                reason,
                slot,
                hidden_until: None,
            };
            match self.end(end, by).await? {
                Transition::Won(_) | Transition::NotFound => return Ok(()),
                Transition::Lost(now_is) => current = *now_is,
            }
        }
    }

    async fn cancel_hidden(&self, login_id: LoginId, by: &Actor) -> Result<(), CancelLoginError> {
        self.store.cancel_hidden(login_id, self.attempt(), self.clock.now(), by).await?;
        self.login_changed(login_id);
        Ok(())
    }

    /// How long a request may live at the login's provider, also when its answer was lost.
    pub(super) fn request_lifetime(&self, login: &Login) -> std::time::Duration {
        self.directory
            .load()
            .registration(&login.registration)
            .map_or(std::time::Duration::from_secs(120), |(registration, _)| registration.request_lifetime)
    }
}
