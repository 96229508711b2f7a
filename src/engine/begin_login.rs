//! Calling the provider for a committed login, and writing down what came of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::{Instrument, Span};

use super::Engine;
use super::ports::{
    Acknowledge, Acknowledgement, Actor, BackchannelRequest, EndLogin, PollJob, SlotFate, StartFailure,
    StoreError, Transition,
};
use crate::domain::login::{EndStatus, Login, LoginReason, LoginStatus, hidden_delay};
use crate::domain::names::RegistrationName;
use crate::domain::profile::Profile;
use crate::domain::registration::Delivery;
use crate::domain::secret::{NotificationToken, Secret};
use crate::domain::time::Timestamp;
use crate::telemetry::error_chain::ErrorChain;
use crate::telemetry::metrics;

/// No login waits longer for a person, whatever the provider acknowledges.
const CEILING: Duration = Duration::from_mins(10);

/// How long a slot outlives the deadline if nobody frees it: longer than the sweeper takes.
pub(super) const SLOT_GRACE: Duration = Duration::from_mins(1);

/// How long between two attempts to commit what must not be lost.
const RETRY: Duration = Duration::from_millis(250);

/// How long a login may be `starting`: the provider's time-out, and a second to write the outcome down.
pub(super) fn start_life(profile: &Profile) -> Duration {
    profile.start_timeout + Duration::from_secs(1)
}

/// How long requests have lived lately, by registration: what a hidden `user_unknown` must look like.
#[derive(Default)]
pub(super) struct Lifetimes(Mutex<HashMap<RegistrationName, Duration>>);

impl Lifetimes {
    fn note(&self, registration: &RegistrationName, lifetime: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(registration.clone(), lifetime);
    }

    fn last(&self, registration: &RegistrationName) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(registration).copied()
    }
}

/// What the provider must be asked.
pub(super) struct Begin {
    pub(super) login: Login,
    pub(super) login_hint: Secret,
    pub(super) scope: Vec<String>,
    pub(super) acr_values: Vec<String>,
    pub(super) requested_expiry: Option<u32>,
    pub(super) user_code: Option<Secret>,
    pub(super) notification_token: Option<NotificationToken>,
    pub(super) reveal_unknown_person: bool,
}

impl Engine {
    /// Calls the provider in a task of its own.
    pub(super) fn begin_login(self: &Arc<Self>, begin: Begin) {
        let engine = self.clone();
        let work = async move { engine.call_provider(begin).await };
        self.tasks.spawn(work.instrument(Span::current()));
    }

    async fn call_provider(self: Arc<Self>, begin: Begin) {
        let Begin {
            login,
            login_hint,
            scope,
            acr_values,
            requested_expiry,
            user_code,
            notification_token,
            reveal_unknown_person,
        } = begin;
        let request = BackchannelRequest {
            x5t: login.x5t.clone(),
            login_hint: login_hint.clone(),
            binding_message: login.binding_message.clone(),
            channel: login.channel.clone(),
            scope: scope.clone(),
            acr_values: acr_values.clone(),
            requested_expiry,
            user_code,
            notification_token,
            client_context: login.client_context.clone(),
        };
        match self.providers.start(&login.registration, request).await {
            Ok(acknowledgement) => {
                self.lifetimes.note(&login.registration, acknowledgement.expires_in);
                let lifetime = lifetime(acknowledgement.expires_in, requested_expiry);
                let job =
                    PollJob { login, auth_req_id: acknowledgement.auth_req_id.clone(), scope, acr_values };
                self.acknowledged(job, acknowledgement, lifetime).await;
            }
            Err(failure) => self.not_started(&login, failure, requested_expiry, reveal_unknown_person).await,
        }
    }

    async fn acknowledged(
        self: &Arc<Self>,
        job: PollJob,
        acknowledgement: Acknowledgement,
        lifetime: Duration,
    ) {
        let now = self.clock.now();
        let until = now + lifetime;
        let request = match job.login.delivery {
            Delivery::Poll => None,
            Delivery::Ping | Delivery::Push => Some(self.request_hash(&acknowledgement.auth_req_id)),
        };
        let acknowledge = Acknowledge {
            login_id: job.login.login_id,
            attempt: self.attempt(),
            owner: self.node,
            now,
            until,
            interval: acknowledgement.interval,
            auth_req_id: acknowledgement.auth_req_id,
            request,
            slot_until: until + SLOT_GRACE,
        };
        let written = self.persist(until, || self.store.acknowledge(acknowledge.clone())).await;
        match written {
            Some(Transition::Won(login)) => {
                tracing::info!(
                    login.id = %login.login_id,
                    support_code = %login.support_code,
                    registration = %login.registration,
                    "the provider has acknowledged the login"
                );
                self.login_changed(login.login_id);
                let (login_id, delivery) = (login.login_id, login.delivery);
                self.poller.add(self, PollJob { login: *login, ..job });
                if delivery == Delivery::Ping {
                    self.hear_early_announcement(login_id).await;
                }
            }
            // Cancelled meanwhile: the store has freed the slot, and the request is never polled.
            Some(Transition::Lost(login)) => self.login_changed(login.login_id),
            Some(Transition::NotFound) | None => {}
        }
    }

    async fn not_started(
        &self,
        login: &Login,
        failure: StartFailure,
        requested_expiry: Option<u32>,
        reveal_unknown_person: bool,
    ) {
        let now = self.clock.now();
        let request_lifetime = self.request_lifetime(login);
        let longest = now + request_lifetime;
        let typical = self.lifetimes.last(&login.registration).unwrap_or(request_lifetime);
        let would_expire = now + lifetime(typical, requested_expiry);
        let hidden_until = (failure.reason == LoginReason::UserUnknown && !reveal_unknown_person)
            .then(|| would_expire + hidden_delay(login.grant_id));
        let slot = match hidden_until {
            Some(until) => SlotFate::KeepUntil(until),
            None if failure.may_have_been_accepted => SlotFate::KeepUntil(longest),
            None => SlotFate::Free,
        };
        let end = EndLogin {
            login_id: login.login_id,
            attempt: self.attempt(),
            from: &[LoginStatus::Starting],
            owner: None,
            now,
            status: EndStatus::Failed,
            reason: failure.reason,
            slot,
            hidden_until,
        };
        let ended = self.persist(longest, || self.end(end.clone(), &ENGINE)).await;
        // Cancelled while starting, and now refused for certain: no phone rings, the person is free.
        if let Some(Transition::Lost(login)) = ended
            && login.state.status() == LoginStatus::Cancelled
            && !failure.may_have_been_accepted
        {
            self.persist(longest, || self.store.free_slot_of_cancelled(login.login_id)).await;
        }
    }

    /// The one way to end a login: writes, counts, logs, wakes, and has the provider told where tokens had come.
    pub(super) async fn end(&self, end: EndLogin, by: &Actor) -> Result<Transition, StoreError> {
        let (status, reason) = (end.status.status(), end.reason);
        let outcome = self.store.end_login(end, by).await?;
        if let Transition::Won(login) = &outcome {
            let label = if status == LoginStatus::Failed { reason.as_str() } else { status.as_str() };
            metrics::login_ended(&login.registration, label);
            tracing::info!(
                login.id = %login.login_id,
                support_code = %login.support_code,
                registration = %login.registration,
                status = status.as_str(),
                reason = reason.as_str(),
                "a login has ended"
            );
            self.login_changed(login.login_id);
            self.outbox.ring();
        }
        Ok(outcome)
    }

    /// Repeats a write that must not be lost until it is answered or `deadline` (wall time) has passed.
    pub(super) async fn persist<T, F>(&self, deadline: Timestamp, write: impl Fn() -> F + Send) -> Option<T>
    where
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        loop {
            match write().await {
                Ok(outcome) => return Some(outcome),
                Err(error) if self.clock.now() < deadline => {
                    tracing::warn!(error = %ErrorChain(&error), "a write is repeated");
                    self.clock.sleep(RETRY).await;
                }
                Err(error) => {
                    tracing::error!(error = %ErrorChain(&error), "a write is given up");
                    return None;
                }
            }
        }
    }
}

/// Relais itself, in audit records.
pub(super) static ENGINE: Actor = Actor::engine();

/// min(acknowledged, `requested_expiry`, ceiling).
fn lifetime(acknowledged: Duration, requested_expiry: Option<u32>) -> Duration {
    let asked = requested_expiry.map_or(CEILING, |secs| Duration::from_secs(u64::from(secs)));
    acknowledged.min(asked).min(CEILING)
}
