//! Reading a login by its token, and waiting for it to change.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::Engine;
use super::authenticate::{CallerCertificate, certificate_matches};
use super::hub::Subscription;
use super::ports::{Changed, StoreError};
use crate::crypto::token::login_token_candidates;
use crate::domain::ids::LoginId;
use crate::domain::login::{Login, READABLE_AFTER_END, Shown};
use crate::domain::secret::LoginToken;

/// How many of those who waited read at once. A thousand may wait for one login, and all are woken together: they queue
/// here, where nobody gives up, and not for the store's few connections, where they would after two seconds.
pub(super) const TURNS: usize = 8;

/// Why a login cannot be read.
#[derive(Debug, Error)]
pub enum ReadLoginError {
    /// The application is switched off.
    #[error("the application is disabled")]
    ApplicationDisabled,
    /// The application authenticates by certificate, and the connection carries none of its own.
    #[error("the connection carries no certificate of the application")]
    CertificateMissing,
    /// Unknown, foreign, or too old.
    #[error("no login by that token")]
    NotFound,
    /// The store could not say.
    #[error("the login could not be read")]
    Store(#[from] StoreError),
}

/// Who presents a login token, and for which login.
pub struct TokenCall {
    /// The token.
    pub token: LoginToken,
    /// The login that the path names: the token must open this one.
    pub login_id: uuid::Uuid,
    /// The connection's client certificate.
    pub certificate: Option<CallerCertificate>,
}

impl Engine {
    /// The login that a token opens.
    pub async fn read_login(&self, call: &TokenCall) -> Result<Login, ReadLoginError> {
        let candidates = login_token_candidates(&self.ring, &call.token);
        let login = self.store.login_by_token(&candidates).await?.ok_or(ReadLoginError::NotFound)?;
        let readable = login.ended_at().is_none_or(|at| self.clock.now() < at + READABLE_AFTER_END);
        if login.login_id.0 != call.login_id || !readable {
            return Err(ReadLoginError::NotFound);
        }
        let directory = self.directory.load();
        let application = directory.application(&login.application).ok_or(ReadLoginError::NotFound)?;
        if !application.enabled {
            return Err(ReadLoginError::ApplicationDisabled);
        }
        if application.credential.is_certificate()
            && !call.certificate.as_ref().is_some_and(|it| certificate_matches(&application.credential, it))
        {
            return Err(ReadLoginError::CertificateMissing);
        }
        Ok(login)
    }

    /// The login, as soon as its shown version differs from `after` (by default the one at arrival) or it is
    /// neither `starting` nor `pending`; else as it is after `wait`. A draining node answers at once.
    pub async fn wait_login(
        self: &Arc<Self>,
        call: &TokenCall,
        after: Option<u32>,
        wait: Duration,
    ) -> Result<Login, ReadLoginError> {
        let ear = self.listen(LoginId(call.login_id));
        let login = self.read_login(call).await?;
        let after = after.unwrap_or_else(|| login.shown(self.clock.now()).version);
        self.wait_until(ear, login, wait, |shown| shown.version != after || !shown.status.is_open()).await
    }

    /// The login, as soon as its shown version differs from `after` or no transition leads on; else as it is after
    /// `wait`. A draining node answers at once. Unlike [`Engine::wait_login`] it goes on past an approval.
    pub async fn follow_login(
        self: &Arc<Self>,
        call: &TokenCall,
        after: u32,
        wait: Duration,
    ) -> Result<Login, ReadLoginError> {
        let ear = self.listen(LoginId(call.login_id));
        let login = {
            let _turn = self.turns.acquire().await;
            self.read_login(call).await?
        };
        self.wait_until(ear, login, wait, |shown| shown.version != after || shown.status.is_terminal()).await
    }

    /// An ear at a login. Whoever waits has it before reading, so that no change falls between.
    pub(super) fn listen(&self, login_id: LoginId) -> Subscription {
        self.hub.subscribe(Changed::Login(login_id))
    }

    /// The login now, in turn.
    pub(super) async fn look(&self, login_id: LoginId) -> Result<Login, ReadLoginError> {
        let _turn = self.turns.acquire().await;
        self.store.login(login_id).await?.ok_or(ReadLoginError::NotFound)
    }

    /// Waits until `done`, `wait` has passed or the node drains; the login as it is then. `login` was read, or written,
    /// while `ear` was listening to it.
    pub(super) async fn wait_until(
        &self,
        mut ear: Subscription,
        mut login: Login,
        wait: Duration,
        done: impl Fn(&Shown) -> bool + Send,
    ) -> Result<Login, ReadLoginError> {
        let deadline = self.clock.monotonic() + wait;
        loop {
            ear.seen(login.version);
            let now = self.clock.now();
            let shown = login.shown(now);
            let monotonic = self.clock.monotonic();
            if done(&shown) || monotonic >= deadline || self.draining.is_cancelled() {
                return Ok(login);
            }
            let wake = shown.changes_at.map_or(deadline, |at| deadline.min(monotonic + at.since(now)));
            tokio::select! {
                () = ear.changed() => {}
                () = self.clock.sleep_until(wake) => {}
                () = self.draining.cancelled() => {}
            }
            login = self.look(login.login_id).await?;
        }
    }
}
