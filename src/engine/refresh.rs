//! Refreshing a session's tokens (RFC 6749 §6): on behalf of a use, never by itself.
//!
//! A refresh token is good for one sending. So there is one attempt at a time: in this process by [`UnderWay`](super::under_way::UnderWay), over
//! all nodes by [`Store::claim_refresh`](super::ports::Store::claim_refresh), which records it before it is sent. New
//! tokens are committed before anybody sees them. Only the provider's `invalid_grant`, or an ID token that must not be
//! believed, ends the session; whatever may pass leaves it as it is, and the next use tries again.

use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument as _;

use super::Engine;
use super::ports::{
    Changed, ClaimRefresh, EndRefused, FreshTokens, Moved, RefreshAnswer, RefreshClaim, RefreshMiss,
    RefreshRequest, Renewal, RenewalOutcome, SessionTransition, StoreError, ToRefresh,
};
use super::under_way::Waiting;
use crate::domain::clock::Monotonic;
use crate::domain::ids::Attempt;
use crate::domain::session::{Session, SessionEndReason, half_life};
use crate::domain::time::Timestamp;
use crate::telemetry::error_chain::ErrorChain;
use crate::telemetry::metrics;

/// How much longer than the request's time-out nobody else sends: for the way to the provider and the commit.
const MARGIN: Duration = Duration::from_secs(2);

/// A sender that has not come to send within this time after it asked does not: what is left of the reserved time
/// would not do for an answer.
const LATEST_SEND: Duration = Duration::from_millis(500);

/// How often whoever waits for another node's attempt looks again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long after a failure no use tries again; it doubles with each failure.
const BACK_OFF: Duration = Duration::from_secs(5);
const BACK_OFF_MAX: Duration = Duration::from_mins(1);

/// One recorded attempt.
struct Sending {
    attempt: Attempt,
    /// Before it was recorded.
    begun: Monotonic,
    job: ToRefresh,
}

impl Engine {
    /// A use of `session`: starts a refresh that nobody waits for, where the refresh token has less than half of its
    /// known life left.
    pub(super) fn keep_alive(self: &Arc<Self>, session: &Session) {
        if session.refresh.is_due(self.clock.now()) {
            let _ = self.start_refresh(session);
        }
    }

    /// Starts a refresh of the tokens that `session` has, or joins the one that is under way.
    pub(super) fn start_refresh(self: &Arc<Self>, session: &Session) -> Waiting {
        let session_id = session.session_id;
        let (finished, done) = match self.refreshes.begin(session_id) {
            Ok(begun) => begun,
            Err(earlier) => return earlier,
        };
        let (engine, session) = (self.clone(), session.clone());
        let work = async move {
            if let Err(error) = engine.refresh(&session).await {
                tracing::warn!(
                    error = %ErrorChain(&error),
                    session.id = %session_id,
                    "a session could not be refreshed"
                );
            }
            engine.refreshes.end(session_id, &finished);
        };
        self.tasks.spawn(work.instrument(tracing::info_span!("refresh", session.id = %session_id)));
        done
    }

    /// Sends, or waits for whoever else does: until there are newer tokens than those of `session`, or there is nothing
    /// to be done now. A node that dies while it sends is followed by one further attempt.
    async fn refresh(&self, session: &Session) -> Result<(), StoreError> {
        let Some(timeout) = self.refresh_timeout(session) else { return Ok(()) };
        // What is not known yet must not be fetched in the reserved time. Where it cannot be had, nothing is sent.
        let _ = self.providers.ensure_metadata(&session.registration).await;
        let mut ear = self.hub.subscribe(Changed::Session(session.session_id));
        loop {
            let (attempt, begun) = (self.attempt(), self.clock.monotonic());
            let claim = ClaimRefresh {
                session_id: session.session_id,
                attempt,
                owner: self.node,
                now: self.clock.now(),
                generation: session.refresh.generation,
                reserve: timeout + MARGIN,
            };
            let left = match self.store.claim_refresh(claim).await? {
                RefreshClaim::Won(job) => {
                    self.send_refresh(Sending { attempt, begun, job: *job }).await;
                    return Ok(());
                }
                RefreshClaim::UnderWay { left } => left,
                RefreshClaim::Fresh | RefreshClaim::NotNow | RefreshClaim::Over => return Ok(()),
            };
            tokio::select! {
                () = self.draining.cancelled() => return Ok(()),
                () = ear.changed() => {}
                () = self.clock.sleep(left.min(LOOK_AGAIN)) => {}
            }
        }
    }

    /// How long the provider has for an answer; `None` where its registration is not configured (any more).
    fn refresh_timeout(&self, session: &Session) -> Option<Duration> {
        let directory = self.directory.load();
        let (_, provider) = directory.registration(&session.registration)?;
        Some(provider.profile.refresh_timeout)
    }

    async fn send_refresh(&self, sending: Sending) {
        if self.clock.monotonic().since(sending.begun) > LATEST_SEND {
            self.missed(&sending, false, None).await;
            return;
        }
        let session = &sending.job.session;
        let request = RefreshRequest {
            x5t: session.x5t.clone(),
            refresh_token: sending.job.refresh_token.clone(),
            claims: sending.job.claims.clone(),
        };
        let answer = self.providers.refresh(&session.registration, request).await;
        metrics::refreshed(result_label(&answer));
        match answer {
            RefreshAnswer::Refreshed(fresh) => self.renewed(sending, *fresh).await,
            // Of an answer whose ID token is refused nothing is told back: nobody knows whose tokens they are.
            RefreshAnswer::Refused => {
                self.end_refused(session, sending.attempt, SessionEndReason::ReauthRequired, false).await;
            }
            RefreshAnswer::NotBelieved => {
                self.end_refused(session, sending.attempt, SessionEndReason::ReauthRequired, true).await;
            }
            RefreshAnswer::Declined { retry_after } => {
                let wait = back_off(session.refresh.failures).max(retry_after.unwrap_or_default());
                self.missed(&sending, false, Some(wait)).await;
            }
            RefreshAnswer::OutcomeUnknown => {
                self.missed(&sending, true, Some(back_off(session.refresh.failures))).await;
            }
        }
    }

    /// A token answer is never dropped for a database error: its commit is repeated for as long as the tokens live.
    async fn renewed(&self, sending: Sending, fresh: FreshTokens) {
        let Sending { attempt, job, .. } = sending;
        let session = &job.session;
        let now = self.clock.now();
        let is_known = fresh.refresh_expires_at.is_some();
        let sub = &job.claims.subject.sub;
        let moved = fresh.sid.clone().map(|sid| Moved { sid, sub: sub.clone() });
        let sid = fresh.sid.clone().or(job.claims.sid);
        let tokens = fresh.over(job.tokens);
        let renewal = Renewal {
            session_id: session.session_id,
            attempt,
            generation: session.refresh.generation,
            now,
            // Where the provider does not say that the refresh token lives longer now, another refresh prolongs nothing.
            due_at: if is_known { half_life(&tokens, now) } else { None },
            tokens: tokens.clone(),
            moved,
        };
        let cause = match self.persist(session.expires_at, || self.store.renew(renewal.clone())).await {
            Some(RenewalOutcome::Committed(session)) => {
                tracing::debug!(
                    session.id = %session.session_id,
                    support_code = %session.support_code,
                    "a session is refreshed"
                );
                // Not a new version: for whoever waits for these tokens on another node.
                self.session_changed(session.session_id);
                return;
            }
            // To be let go at the provider they would take the others of the same grant with them.
            Some(RenewalOutcome::Overtaken) => {
                tracing::warn!(session.id = %session.session_id, "tokens were replaced by another attempt before");
                return;
            }
            Some(RenewalOutcome::Over) => "the session has ended",
            Some(RenewalOutcome::LoggedOut) => {
                self.end_refused(session, self.attempt(), SessionEndReason::IdpLogout, false).await;
                "the provider has logged the person out"
            }
            None => "they could not be written",
        };
        metrics::refreshed("late");
        tracing::info!(
            session.id = %session.session_id,
            registration = %session.registration,
            cause,
            "tokens came that nobody wants any more; the provider is told"
        );
        self.late_tokens(session.login_id, Some(session.session_id), tokens, sid).await;
    }

    /// At once and for good: the person must sign in again.
    async fn end_refused(
        &self,
        session: &Session,
        attempt: Attempt,
        reason: SessionEndReason,
        not_believed: bool,
    ) {
        let end = EndRefused {
            session_id: session.session_id,
            attempt,
            generation: session.refresh.generation,
            now: self.clock.now(),
            reason,
            not_believed,
        };
        let ended = self.persist(session.expires_at, || self.store.end_refused(end.clone())).await;
        if let Some(SessionTransition::Won(session)) = ended {
            self.session_over(&session, reason);
        }
    }

    /// Nothing has changed but when it may be tried again.
    async fn missed(&self, sending: &Sending, is_unanswered: bool, wait: Option<Duration>) {
        let session = &sending.job.session;
        let now = self.clock.now();
        if let Some(wait) = wait {
            tracing::warn!(
                session.id = %session.session_id,
                support_code = %session.support_code,
                registration = %session.registration,
                is_unanswered,
                failures = session.refresh.failures + 1,
                wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                "a session could not be refreshed; it goes on, and a later use tries again"
            );
        }
        let miss = RefreshMiss {
            session_id: session.session_id,
            attempt: sending.attempt,
            generation: session.refresh.generation,
            is_unanswered,
            not_before: wait.map(|wait| now + wait),
        };
        // Unwritten it is an attempt that nobody has heard of again, which is true as well.
        let give_up: Timestamp = now + MARGIN;
        let _ = self.persist(give_up, || self.store.miss_refresh(miss.clone())).await;
    }
}

fn back_off(failures: u32) -> Duration {
    BACK_OFF.saturating_mul(2u32.saturating_pow(failures)).min(BACK_OFF_MAX)
}

fn result_label(answer: &RefreshAnswer) -> &'static str {
    match answer {
        RefreshAnswer::Refreshed(_) => "ok",
        RefreshAnswer::Refused => "invalid_grant",
        RefreshAnswer::NotBelieved => "token_invalid",
        RefreshAnswer::Declined { .. } => "unavailable",
        RefreshAnswer::OutcomeUnknown => "outcome_unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserved_time_leaves_the_commit_a_second_after_the_latest_answer() {
        let before_the_commit = LATEST_SEND + super::super::ports::KEYS_PATIENCE;
        assert!(before_the_commit + Duration::from_secs(1) <= MARGIN);
    }

    #[test]
    fn failures_are_followed_by_ever_longer_pauses_up_to_a_minute() {
        let seconds: Vec<_> = [0, 1, 2, 3, 4, 40, u32::MAX].map(|n| back_off(n).as_secs()).to_vec();
        assert_eq!(seconds, [5, 10, 20, 40, 60, 60, 60]);
    }
}
