//! Telling providers what is over here: their tokens are not needed any more, the person has left.
//!
//! An end is local and at once; what follows from it at the provider is kept sealed in the outbox until the provider has
//! heard it, over restarts and outages, for a day. Each entry is told by one node at a time. A provider that is down is
//! told more and more rarely, and keeps no other from being told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tracing::Instrument as _;

use super::Engine;
use super::ports::{
    ClaimOutbox, CloseOutbox, Heard, LateTokens, Left, OutboxEnd, OutboxEntry, PostponeOutbox, Revoked,
    SoFar, StoreError,
};
use crate::domain::grant::Tokens;
use crate::domain::ids::{Attempt, LoginId, OutboxId, SessionId};
use crate::domain::names::ProviderName;
use crate::domain::random::uuid_v4;
use crate::telemetry::error_chain::ErrorChain;
use crate::telemetry::metrics;

/// How often the outbox is looked into where nobody rings.
const PASS: Duration = Duration::from_secs(1);

/// How many entries each provider is told of at once.
const PLACES: usize = 16;

/// How long an entry is its claimer's alone: three calls with their time-outs, several times over, since clocks of nodes
/// differ.
const HELD: Duration = Duration::from_mins(2);

/// The wait after a provider that did not answer; it doubles up to [`LONGEST_WAIT`].
const WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_mins(15);

/// How long the sealing of late tokens is repeated while the store does not answer.
const PATIENCE: Duration = Duration::from_mins(10);

/// Who is told now.
#[derive(Default)]
pub(super) struct Outbox {
    rung: Notify,
    places: Mutex<HashMap<ProviderName, Arc<Semaphore>>>,
}

impl Outbox {
    /// Something may be due.
    pub(super) fn ring(&self) {
        self.rung.notify_one();
    }

    fn places(&self, provider: &ProviderName) -> Arc<Semaphore> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(places.entry(provider.clone()).or_insert_with(|| Arc::new(Semaphore::new(PLACES))))
    }
}

/// An entry, and how far its telling has come.
struct Telling {
    entry: OutboxEntry,
    claim: Attempt,
    left: Left,
    so_far: SoFar,
    /// The provider did not answer, and wants to be left alone for so long; zero where it said nothing about that.
    unheard: Option<Duration>,
}

impl Telling {
    /// Takes the answer about one part in, where there was time for one. `true` where that part is done with.
    fn take(&mut self, heard: Option<Heard>) -> bool {
        match heard {
            Some(Heard::Accepted) => self.so_far = self.so_far.max(SoFar::Told),
            Some(Heard::Refused) => self.so_far = SoFar::Refused,
            Some(Heard::NotOffered) => {}
            Some(Heard::Unreachable { retry_after }) => {
                self.unheard = Some(retry_after.unwrap_or_default());
                return false;
            }
            None => return false,
        }
        true
    }
}

impl Engine {
    /// The way of tokens that could not be written where they belong: their session had ended, or the store did not answer
    /// for too long. They are sealed into the outbox, and the provider is told. To be called from a tracked task: it repeats
    /// its write while the store does not answer.
    pub(super) async fn late_tokens(
        &self,
        login_id: LoginId,
        session_id: Option<SessionId>,
        tokens: Tokens,
        sid: Option<String>,
    ) {
        let now = self.clock.now();
        let late = LateTokens {
            login_id,
            session_id,
            sid,
            outbox_id: OutboxId(uuid_v4(&*self.random)),
            attempt: self.attempt(),
            now,
            tokens,
        };
        if self.persist(now + PATIENCE, || self.store.late_tokens(late.clone())).await == Some(true) {
            self.outbox.ring();
        }
    }

    /// Tells what is due, until the node drains.
    pub(super) async fn run_outbox(self: Arc<Self>) {
        loop {
            if let Err(error) = self.look_into_outbox().await {
                tracing::warn!(error = %ErrorChain(&error), "the outbox could not be looked into");
            }
            tokio::select! {
                () = self.draining.cancelled() => return,
                () = self.outbox.rung.notified() => {}
                () = self.clock.sleep(PASS) => {}
            }
        }
    }

    async fn look_into_outbox(self: &Arc<Self>) -> Result<(), StoreError> {
        for provider in self.store.outbox_due(self.clock.now()).await? {
            let places = self.outbox.places(&provider);
            let Ok(limit) = u32::try_from(places.available_permits()) else { continue };
            if limit == 0 {
                continue;
            }
            let now = self.clock.now();
            let claim = self.attempt();
            let wanted = ClaimOutbox { provider, attempt: claim, now, until: now + HELD, limit };
            for entry in self.store.claim_outbox(wanted).await? {
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else { break };
                let span = tracing::info_span!("outbox", login.id = %entry.login_id);
                let engine = Arc::clone(self);
                self.tasks.spawn(async move { engine.tell(entry, claim, place).await }.instrument(span));
            }
        }
        Ok(())
    }

    async fn tell(self: Arc<Self>, entry: OutboxEntry, claim: Attempt, place: OwnedSemaphorePermit) {
        let (left, so_far) = (entry.left, entry.so_far);
        let mut telling = Telling { entry, claim, left, so_far, unheard: None };
        if self.clock.now() >= telling.entry.give_up_at {
            self.close(&telling, OutboxEnd::GivenUp).await;
        } else {
            self.tell_parts(&mut telling).await;
            if telling.left.is_nothing() {
                let end = match telling.so_far {
                    SoFar::Nothing => OutboxEnd::NotOffered,
                    SoFar::Told => OutboxEnd::Told,
                    SoFar::Refused => OutboxEnd::Refused,
                };
                self.close(&telling, end).await;
            } else {
                self.postpone(&telling).await;
            }
        }
        drop(place);
        if telling.unheard.is_none() {
            // Others may have waited for the place.
            self.outbox.ring();
        }
    }

    /// The tokens first: whoever has them must not go on. What was not answered is the last that is tried.
    async fn tell_parts(&self, telling: &mut Telling) {
        let Some(tokens) = telling.entry.tokens.clone() else {
            telling.unheard = Some(Duration::ZERO);
            return;
        };
        let (registration, x5t) = (telling.entry.registration.clone(), telling.entry.x5t.clone());
        let x5t = x5t.as_deref();
        if telling.left.refresh_token && self.may_go_on(telling) {
            let heard = match &tokens.refresh_token {
                Some(token) => {
                    let kind = Revoked::RefreshToken;
                    self.hear(self.providers.revoke(&registration, x5t, kind, token)).await
                }
                None => Some(Heard::NotOffered),
            };
            telling.left.refresh_token = !telling.take(heard);
        }
        if telling.left.access_token && self.may_go_on(telling) {
            let (kind, token) = (Revoked::AccessToken, &tokens.access_token);
            let heard = self.hear(self.providers.revoke(&registration, x5t, kind, token)).await;
            telling.left.access_token = !telling.take(heard);
        }
        if telling.left.session && self.may_go_on(telling) {
            let heard = self.hear(self.providers.end_session(&registration, x5t, &tokens.id_token)).await;
            telling.left.session = !telling.take(heard);
        }
    }

    fn may_go_on(&self, telling: &Telling) -> bool {
        telling.unheard.is_none() && !self.draining.is_cancelled()
    }

    /// What the provider says. `None` where the node drains meanwhile: it is told again by another, or at the next start.
    async fn hear(&self, said: impl Future<Output = Heard>) -> Option<Heard> {
        tokio::select! {
            heard = said => Some(heard),
            () = self.draining.cancelled() => None,
        }
    }

    async fn close(&self, telling: &Telling, end: OutboxEnd) {
        let entry = &telling.entry;
        let close = CloseOutbox {
            outbox_id: entry.outbox_id,
            login_id: entry.login_id,
            claim: telling.claim,
            attempt: self.attempt(),
            now: self.clock.now(),
            end,
        };
        match self.store.close_outbox(close).await {
            Ok(true) => {}
            // Its claim has run out: whoever has it now says what becomes of it.
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "a provider will be told twice");
                return;
            }
        }
        metrics::outbox(&entry.provider, end.as_str());
        let session = entry.session_id.map(tracing::field::display);
        if matches!(end, OutboxEnd::Told | OutboxEnd::NotOffered) {
            tracing::info!(
                login.id = %entry.login_id,
                session.id = session,
                support_code = %entry.support_code,
                provider = %entry.provider,
                outcome = end.as_str(),
                tries = entry.tries,
                "the provider has been told of an end"
            );
        } else {
            tracing::warn!(
                login.id = %entry.login_id,
                session.id = session,
                support_code = %entry.support_code,
                provider = %entry.provider,
                outcome = end.as_str(),
                tries = entry.tries,
                "the provider could not be told of an end"
            );
        }
    }

    async fn postpone(&self, telling: &Telling) {
        let entry = &telling.entry;
        let wait = match telling.unheard {
            // The node drains: somebody else may go on at once.
            None => Duration::ZERO,
            Some(retry_after) => wait(entry.tries).max(retry_after),
        };
        let postpone = PostponeOutbox {
            outbox_id: entry.outbox_id,
            claim: telling.claim,
            due_at: self.clock.now() + wait,
            left: telling.left,
            so_far: telling.so_far,
        };
        metrics::outbox(&entry.provider, "postponed");
        if let Err(error) = self.store.postpone_outbox(postpone).await {
            tracing::warn!(error = %ErrorChain(&error), "what a provider was told was not written");
        }
    }
}

/// How long to wait after the `tries`th time.
fn wait(tries: u32) -> Duration {
    WAIT.saturating_mul(2u32.saturating_pow(tries.saturating_sub(1))).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_a_quarter_of_an_hour() {
        let waits: Vec<u64> = (0..10).map(|tries| wait(tries).as_secs()).collect();
        assert_eq!(waits, [5, 5, 10, 20, 40, 80, 160, 320, 640, 900]);
        assert_eq!(wait(u32::MAX), LONGEST_WAIT);
    }
}
