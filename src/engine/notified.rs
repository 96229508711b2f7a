//! What a provider says by itself: that a login has an outcome (ping), or the outcome (push).
//!
//! A notification is believed only where its token is that of the login and it names the request that the provider
//! acknowledged; whose token it is is known before a byte of the message is read. A ping carries no authority: it makes
//! the next poll due, once, on whichever node polls the login. Of a login that has ended nothing changes any more, and
//! the provider is told that all is well. Nothing here says what exists: whoever does not hold the token of the login
//! that he names gets one answer.

use std::sync::Arc;

use thiserror::Error;

use super::ports::{Actor, Changed, Note, Notifiable, StoreError};
use super::{CutShort, Engine};
use crate::crypto::ring::{KeyedHash, Purpose};
use crate::crypto::token::{notification_token_candidates, parse_notification_token};
use crate::domain::ids::LoginId;
use crate::domain::login::LoginStatus;
use crate::domain::registration::Delivery;
use crate::domain::secret::{Secret, SecretBytes};
use crate::telemetry::error_chain::ErrorChain;

/// How often a login that changes under the reader's eyes is read again: it is `starting` once and `pending` once.
const READINGS: usize = 3;

/// So many tokens are looked up at once: whoever floods the listener with made-up ones takes no connection of the
/// store away from the applications.
pub(super) const LOOKUPS: usize = 4;

/// Whoever holds the token of a login.
pub struct Notifier {
    candidates: Vec<KeyedHash>,
    found: Notifiable,
}

impl Notifier {
    /// The login.
    #[must_use]
    pub const fn login_id(&self) -> LoginId {
        self.found.login.login_id
    }

    /// How its outcome comes.
    #[must_use]
    pub const fn delivery(&self) -> Delivery {
        self.found.login.delivery
    }
}

/// Why a notification is not accepted.
#[derive(Debug, Error)]
pub enum NotifiedError {
    /// The task died: a defect.
    #[error("a notification was cut short")]
    CutShort(#[from] CutShort),
    /// The message cannot be read, or is not one of the kind that the registration gets.
    #[error("the message is not one for this registration")]
    Malformed,
    /// The outcome is not to be believed; the login has failed.
    #[error("the outcome is not accepted")]
    Refused,
    /// The login is not acknowledged yet, or what came of it could not be written.
    #[error("the notification cannot be dealt with now")]
    TryAgain,
    /// The token is nobody's, or not that of the request that the message names.
    #[error("no login by that token and that request")]
    Unknown,
    /// The store could not say.
    #[error("the notification could not be looked up")]
    Store(#[from] StoreError),
}

impl Engine {
    /// Whose token this is, as it stands in the header. The login must be of the registration that the address names,
    /// and one that its provider tells about.
    pub async fn notifier(&self, registration: &str, token: &Secret) -> Result<Notifier, NotifiedError> {
        let token = parse_notification_token(token.expose()).ok_or(NotifiedError::Unknown)?;
        let candidates = notification_token_candidates(&self.ring, &token);
        // It is never closed.
        let _turn = self.lookups.acquire().await.map_err(|_| NotifiedError::TryAgain)?;
        let found = self.notifiable(&candidates).await?;
        if found.login.registration.as_str() != registration {
            tracing::warn!(
                login.id = %found.login.login_id,
                rule = "registration",
                "a notification is refused"
            );
            return Err(NotifiedError::Unknown);
        }
        if found.login.delivery == Delivery::Poll {
            return Err(NotifiedError::Unknown);
        }
        Ok(Notifier { candidates, found })
    }

    /// Takes a message in; it may hold tokens. What follows from it runs to its end, whoever hangs up.
    pub async fn notified(
        self: &Arc<Self>,
        notifier: Notifier,
        message: SecretBytes,
        by: Actor,
    ) -> Result<(), NotifiedError> {
        let engine = self.clone();
        self.detached(async move { engine.take_in(notifier, message, &by).await }).await?
    }

    async fn take_in(
        self: &Arc<Self>,
        notifier: Notifier,
        message: SecretBytes,
        by: &Actor,
    ) -> Result<(), NotifiedError> {
        let Notifier { candidates, mut found } = notifier;
        let login_id = found.login.login_id;
        let announcement = self.providers.announcement(&message, self.clock.now()).map_err(|error| {
            tracing::warn!(login.id = %login_id, error = %ErrorChain(&error), "a notification is refused");
            NotifiedError::Malformed
        })?;
        match found.login.delivery {
            Delivery::Poll => Err(NotifiedError::Unknown),
            Delivery::Ping => {
                for _ in 0..READINGS {
                    if self.announced(&found, &announcement.auth_req_id, by).await? {
                        return Ok(());
                    }
                    found = self.notifiable(&candidates).await?;
                }
                Err(NotifiedError::TryAgain)
            }
            Delivery::Push => {
                let found = self.once_acknowledged(&candidates, found).await?;
                self.pushed(&found, announcement, message, by).await
            }
        }
    }

    async fn notifiable(&self, candidates: &[KeyedHash]) -> Result<Notifiable, NotifiedError> {
        self.store.notifiable(candidates).await?.ok_or(NotifiedError::Unknown)
    }

    /// Acts on a ping. `false` where the login has changed since it was read.
    async fn announced(
        &self,
        found: &Notifiable,
        auth_req_id: &Secret,
        by: &Actor,
    ) -> Result<bool, NotifiedError> {
        let login_id = found.login.login_id;
        let note = Note { login_id, attempt: self.attempt(), now: self.clock.now(), by: by.clone() };
        match found.login.state.status() {
            LoginStatus::Starting => {
                // Whether it names the right request turns out at the acknowledgement.
                let request = self.request_hash(auth_req_id);
                Ok(self.store.remember_announcement(note, &request).await?)
            }
            LoginStatus::Pending => {
                self.check_request(found, auth_req_id)?;
                if !found.is_announced {
                    if !self.store.announce(note).await? {
                        return Ok(false);
                    }
                    tracing::info!(
                        login.id = %login_id,
                        support_code = %found.login.support_code,
                        registration = %found.login.registration,
                        "the provider has announced an outcome"
                    );
                }
                // Again where the provider says it again: whoever polls the login may not have heard it. Its queue
                // counts one announcement.
                self.poller.ring(login_id);
                self.wake.publish(Changed::Announced(login_id));
                Ok(true)
            }
            LoginStatus::Approved
            | LoginStatus::PickedUp
            | LoginStatus::Denied
            | LoginStatus::Expired
            | LoginStatus::Failed
            | LoginStatus::Cancelled => self.check_request(found, auth_req_id).map(|()| true),
        }
    }

    /// Whether a message names the request of the login whose token it came with. One that ended before it was
    /// acknowledged has none, and nothing can come of it.
    pub(super) fn check_request(
        &self,
        found: &Notifiable,
        auth_req_id: &Secret,
    ) -> Result<(), NotifiedError> {
        let Some(request) = &found.request else { return Ok(()) };
        let named =
            self.ring.hash_with(Purpose::ProviderRequest, &request.key_id, auth_req_id.expose().as_bytes());
        if named == Some(request.hash) {
            return Ok(());
        }
        tracing::warn!(login.id = %found.login.login_id, rule = "auth_req_id", "a notification is refused");
        Err(NotifiedError::Unknown)
    }

    /// Under which hash the provider's name of a request is stored.
    pub(super) fn request_hash(&self, auth_req_id: &Secret) -> KeyedHash {
        self.ring.hash(Purpose::ProviderRequest, auth_req_id.expose().as_bytes())
    }

    /// An outcome may have been announced before the acknowledgement was written, or between that and the place in the
    /// queue: then the login is asked about at once.
    pub(super) async fn hear_early_announcement(&self, login_id: LoginId) {
        match self.store.is_announced(login_id).await {
            Ok(true) => self.poller.ring(login_id),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "an early announcement may be heard late");
            }
        }
    }

    /// What was announced while nobody listened: at the adoption of a login, and where messages between nodes may have
    /// been lost.
    pub(super) async fn hear_announcements(&self) {
        match self.store.announced(self.node).await {
            Ok(logins) => logins.into_iter().for_each(|login_id| self.poller.ring(login_id)),
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "announcements may be heard late");
            }
        }
    }
}
