//! Starting a login: everything is checked before anything is written, and the row is committed before the
//! provider is called. A refusal means that no login exists and no phone rang.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::begin_login::{Begin, start_life};
use super::hub::Subscription;
use super::ports::{Actor, IdempotencyClaim, NewLogin, Replay, StartOutcome, StoreError};
use super::{CutShort, Engine};
use crate::crypto::ring::{KeyedHash, Purpose};
use crate::crypto::token::{
    derive_login_token, draw_login_token, draw_notification_token, hash_login_token, hash_notification_token,
};
use crate::domain::application::{Application, BindingMessageBy};
use crate::domain::hint::{self, HintError};
use crate::domain::ids::{GrantId, LoginId};
use crate::domain::login::{Login, LoginReason, LoginState, LoginStatus};
use crate::domain::names::RegistrationName;
use crate::domain::random::{below, uuid_v7};
use crate::domain::registration::{Delivery, Provider, Registration};
use crate::domain::secret::{LoginToken, Secret};
use crate::domain::support_code::SupportCode;
use crate::domain::time::Timestamp;
use crate::telemetry::error_chain::ErrorChain;
use crate::telemetry::metrics;

/// How long a start waits for the provider before it answers `starting`.
pub const START_WAIT: Duration = Duration::from_secs(10);

/// How long an `Idempotency-Key` is remembered.
const IDEMPOTENCY: Duration = Duration::from_hours(24);

/// A start, as the application asks for it.
pub struct StartLogin {
    /// Who asks.
    pub application: Arc<Application>,
    /// Who is asked for, as typed.
    pub login_hint: Secret,
    /// Over which registration; by default the application's first.
    pub registration: Option<String>,
    /// Over which channel; by default the registration's first.
    pub channel: Option<String>,
    /// A subset of the registration's scopes; by default all.
    pub scope: Option<Vec<String>>,
    /// A subset of the registration's `acr_values`; by default all.
    pub acr_values: Option<Vec<String>>,
    /// Where the application may send its own.
    pub binding_message: Option<String>,
    /// Seconds.
    pub requested_expiry: Option<u32>,
    /// Forwarded once, kept nowhere.
    pub user_code: Option<Secret>,
    /// Whether a replaceable login of the same application gives way.
    pub replace: bool,
    /// The application's own reference.
    pub reference: Option<String>,
    /// JSON.
    pub client_context: Option<String>,
    /// `Idempotency-Key`, where one came.
    pub idempotency: Option<Idempotency>,
    /// For the audit record.
    pub by: Actor,
}

/// An `Idempotency-Key` and what it is bound to.
pub struct Idempotency {
    /// The key.
    pub key: Uuid,
    /// The credential of the call: a key is scoped to application and key or certificate.
    pub credential: String,
    /// The body, byte for byte or in a canonical form.
    pub body: Vec<u8>,
}

impl Idempotency {
    /// What is hashed to recognise the body. A body may hold a `user_code` of four digits, which must not be kept
    /// (CIBA §7.1.2): with the key in front, which nobody keeps either, no guess can be tried against the hash, not even
    /// with the ring in hand.
    fn keyed_body(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new([self.key.as_bytes(), self.body.as_slice()].concat())
    }
}

/// A login that exists.
pub struct Started {
    /// As it is now.
    pub login: Login,
    /// The token that reads, cancels and picks it up.
    pub token: LoginToken,
    /// Whether the key had been used before.
    pub replayed: bool,
}

/// Why no login exists.
#[derive(Debug, Error)]
pub enum StartLoginError {
    /// `acr_values` asks for more than the registration has.
    #[error("an acr value is not among the registration's")]
    AcrNotAllowed,
    /// The person slot is taken.
    #[error("a login for this person is under way")]
    AlreadyPending {
        /// When the slot is free at the latest.
        until: Timestamp,
        /// Whether `if_pending: replace` would help.
        replaceable: bool,
    },
    /// The application may not send its own.
    #[error("the application may not send a binding_message")]
    BindingMessageNotAllowed,
    /// The profile does not take it.
    #[error("the provider does not take this binding_message")]
    BindingMessageMalformed,
    /// The registration has no such channel.
    #[error("the channel is not among the registration's")]
    ChannelNotAllowed,
    /// The task died: a defect.
    #[error("the start was cut short")]
    CutShort(#[source] CutShort),
    /// The hint is refused.
    #[error("the login_hint is refused")]
    Hint(#[source] HintError),
    /// The key was used with another body.
    #[error("the Idempotency-Key was used with another body")]
    IdempotencyKeyReused,
    /// No valid metadata has ever been had.
    #[error("the provider is unavailable")]
    ProviderUnavailable,
    /// Unknown to the application, or switched off.
    #[error("the registration is not one of the application's, or is disabled")]
    RegistrationNotAllowed,
    /// `scope` asks for more than the registration has, or lacks `openid`.
    #[error("a scope is not among the registration's")]
    ScopeNotAllowed,
    /// The store could not say.
    #[error("the login could not be started")]
    Store(#[from] StoreError),
}

/// A start that has passed every check.
struct Checked {
    registration: Arc<Registration>,
    provider: Arc<Provider>,
    login_hint: Secret,
    channel: Option<String>,
    scope: Vec<String>,
    acr_values: Vec<String>,
    binding_message: String,
}

impl Engine {
    /// Starts a login and waits up to [`START_WAIT`] for the provider.
    pub async fn start_login(self: &Arc<Self>, start: StartLogin) -> Result<Started, StartLoginError> {
        if let Some(replayed) = self.replayed(&start).await? {
            return Ok(self.after_provider(replayed, None).await);
        }
        let checked = self.check(&start)?;
        self.providers
            .ensure_metadata(&checked.registration.name)
            .await
            .map_err(|_| StartLoginError::ProviderUnavailable)?;
        let engine = self.clone();
        let (started, ear) = self
            .detached(async move { engine.commit_start(start, checked).await })
            .await
            .map_err(StartLoginError::CutShort)??;
        Ok(self.after_provider(started, ear).await)
    }

    /// The login once the provider has answered, or after [`START_WAIT`]. Without an ear that has been listening since
    /// before it was written, it is read again first.
    async fn after_provider(&self, started: Started, ear: Option<Subscription>) -> Started {
        let login_id = started.login.login_id;
        let waiting = async {
            let (ear, login) = match ear {
                Some(ear) => (ear, started.login.clone()),
                None => (self.listen(login_id), self.look(login_id).await?),
            };
            self.wait_until(ear, login, START_WAIT, |shown| shown.status != LoginStatus::Starting).await
        };
        match waiting.await {
            Ok(login) => Started { login, ..started },
            Err(error) => {
                // The login exists and its token must reach the client: it is shown as it was committed.
                tracing::warn!(
                    error = %ErrorChain(&error),
                    "a started login could not be read again"
                );
                started
            }
        }
    }

    /// A repetition is answered before anything is checked: what was allowed then may have changed, and the login
    /// exists all the same.
    async fn replayed(&self, start: &StartLogin) -> Result<Option<Started>, StartLoginError> {
        let Some(idempotency) = &start.idempotency else { return Ok(None) };
        let now = self.clock.now();
        let claim = self.claim(&start.application, idempotency, now);
        let found = self.store.replayed_start(&start.application.tenant, &claim.key, now).await?;
        found.map(|replay| self.replay(start, replay)).transpose()
    }

    fn check(&self, start: &StartLogin) -> Result<Checked, StartLoginError> {
        let directory = self.directory.load();
        let name = match &start.registration {
            Some(name) => name.parse::<RegistrationName>().ok(),
            None => start.application.registrations.first().cloned(),
        };
        let (registration, provider) = name
            .filter(|name| start.application.registrations.contains(name) && directory.is_enabled(name))
            .and_then(|name| directory.registration(&name).cloned())
            .ok_or(StartLoginError::RegistrationNotAllowed)?;
        let channel = match &start.channel {
            Some(channel) if !registration.channels.contains(channel) => {
                return Err(StartLoginError::ChannelNotAllowed);
            }
            Some(channel) => Some(channel.clone()),
            None => registration.channels.first().cloned(),
        };
        let scope = start.scope.clone().unwrap_or_else(|| registration.scope.clone());
        let known = scope.iter().all(|one| registration.scope.contains(one));
        if !known || !scope.iter().any(|one| one == "openid") {
            return Err(StartLoginError::ScopeNotAllowed);
        }
        let acr_values = match &start.acr_values {
            Some(values)
                if values.is_empty() || values.iter().any(|one| !registration.acr_values.contains(one)) =>
            {
                return Err(StartLoginError::AcrNotAllowed);
            }
            Some(values) => values.clone(),
            None => registration.acr_values.clone(),
        };
        let login_hint = hint::normalise(provider.profile.hint_rule, start.login_hint.expose())
            .map_err(StartLoginError::Hint)?;
        let binding_message = match (&start.binding_message, start.application.binding_message) {
            (Some(_), BindingMessageBy::Server) => return Err(StartLoginError::BindingMessageNotAllowed),
            (Some(text), BindingMessageBy::Client) if !provider.profile.binding_rule.accepts(text) => {
                return Err(StartLoginError::BindingMessageMalformed);
            }
            (Some(text), BindingMessageBy::Client) => text.clone(),
            (None, _) => format!("{:02}", below(&*self.random, 100)),
        };
        Ok(Checked { registration, provider, login_hint, channel, scope, acr_values, binding_message })
    }

    /// Commits the row, then lets the provider be called. Detached: runs to its end. With a login that is new comes an
    /// ear that hears how it goes on.
    async fn commit_start(
        self: &Arc<Self>,
        start: StartLogin,
        checked: Checked,
    ) -> Result<(Started, Option<Subscription>), StartLoginError> {
        let now = self.clock.now();
        let login_id = LoginId(uuid_v7(&*self.random, now));
        let (token, token_hash) = self.token_for(login_id, start.idempotency.as_ref());
        // Some providers do not tell case apart: one person must not have two slots.
        let same_in_any_case = Secret::new(checked.login_hint.expose().to_lowercase());
        let person = self.ring.pseudonym(checked.provider.name.as_str(), same_in_any_case.expose());
        let until = now + start_life(checked.provider.profile);
        let notification_token = match checked.registration.delivery {
            Delivery::Poll => None,
            Delivery::Ping | Delivery::Push => Some(draw_notification_token(&*self.random)),
        };
        let login = self.new_login(&start, &checked, login_id, now, until);
        let new = NewLogin {
            login: login.clone(),
            token_hash,
            notification: notification_token.as_ref().map(|token| hash_notification_token(&self.ring, token)),
            person,
            slot_until: until + checked.registration.request_lifetime,
            replace: start.replace,
            idempotency: start.idempotency.as_ref().map(|it| self.claim(&start.application, it, now)),
            scope: checked.scope.clone(),
            acr_values: checked.acr_values.clone(),
        };
        match self.store.start_login(new, &start.by).await? {
            StartOutcome::Started { replaced } => {
                if let Some(replaced) = replaced {
                    metrics::login_ended(&checked.registration.name, LoginStatus::Cancelled.as_str());
                    tracing::info!(
                        login.id = %replaced,
                        registration = %checked.registration.name,
                        status = LoginStatus::Cancelled.as_str(),
                        reason = LoginReason::Superseded.as_str(),
                        by = %login.login_id,
                        "a login has ended"
                    );
                    self.login_changed(replaced);
                }
                let ear = self.listen(login_id);
                self.begin_login(Begin {
                    login: login.clone(),
                    login_hint: checked.login_hint,
                    scope: checked.scope,
                    acr_values: checked.acr_values,
                    requested_expiry: start.requested_expiry,
                    user_code: start.user_code,
                    notification_token,
                    reveal_unknown_person: start.application.reveal_unknown_person,
                });
                Ok((Started { login, token, replayed: false }, Some(ear)))
            }
            StartOutcome::Replay(replay) => Ok((self.replay(&start, *replay)?, None)),
            StartOutcome::AlreadyPending { until, replaceable } => {
                Err(StartLoginError::AlreadyPending { until, replaceable })
            }
        }
    }

    fn new_login(
        &self,
        start: &StartLogin,
        checked: &Checked,
        login_id: LoginId,
        now: Timestamp,
        until: Timestamp,
    ) -> Login {
        Login {
            login_id,
            grant_id: GrantId(uuid_v7(&*self.random, now)),
            tenant: start.application.tenant.clone(),
            application: start.application.name.clone(),
            registration: checked.registration.name.clone(),
            provider: checked.provider.name.clone(),
            environment: checked.provider.environment,
            support_code: SupportCode::draw(&*self.random),
            delivery: checked.registration.delivery,
            reference: start.reference.clone(),
            channel: checked.channel.clone(),
            binding_message: checked.binding_message.clone(),
            login_hint: Some(checked.login_hint.clone()),
            x5t: self.providers.certificate_in_use(&checked.registration.name),
            client_context: start.client_context.clone(),
            created_at: now,
            owner: self.node,
            version: 1,
            attempt: self.attempt(),
            state: LoginState::Starting { until },
        }
    }

    /// With an `Idempotency-Key` the token is derived, so that a repetition gives the same one and none is stored.
    fn token_for(&self, login_id: LoginId, idempotency: Option<&Idempotency>) -> (LoginToken, KeyedHash) {
        let token = idempotency
            .and_then(|it| derive_login_token(&self.ring, self.ring.active_id(), login_id, &it.key))
            .unwrap_or_else(|| draw_login_token(&*self.random));
        let hash = hash_login_token(&self.ring, &token);
        (token, hash)
    }

    fn claim(
        &self,
        application: &Application,
        idempotency: &Idempotency,
        now: Timestamp,
    ) -> IdempotencyClaim {
        let mut scoped = Vec::new();
        for part in [application.tenant.as_str(), application.name.as_str(), &idempotency.credential] {
            scoped.extend_from_slice(part.as_bytes());
            scoped.push(0);
        }
        scoped.extend_from_slice(idempotency.key.as_bytes());
        IdempotencyClaim {
            key: self.ring.candidates(Purpose::IdempotencyKey, &scoped),
            body: self.ring.hash(Purpose::ReplayBody, &idempotency.keyed_body()),
            until: now + IDEMPOTENCY,
        }
    }

    fn replay(&self, start: &StartLogin, replay: Replay) -> Result<Started, StartLoginError> {
        let Replay { login, body, token_key_id } = replay;
        let idempotency = start.idempotency.as_ref().ok_or(StartLoginError::IdempotencyKeyReused)?;
        // A node of an earlier version may have written the hash of the body alone, no longer ago than a key is kept.
        let is_same = [idempotency.keyed_body().as_slice(), &idempotency.body].into_iter().any(|body_now| {
            self.ring.hash_with(Purpose::ReplayBody, &body.key_id, body_now) == Some(body.hash)
        });
        match derive_login_token(&self.ring, &token_key_id, login.login_id, &idempotency.key) {
            Some(token) if is_same => Ok(Started { login, token, replayed: true }),
            _ => Err(StartLoginError::IdempotencyKeyReused),
        }
    }
}
