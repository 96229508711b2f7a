//! One poll, and what follows from its answer.

use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use super::begin_login::ENGINE;
use super::poller::Waiting;
use super::ports::{
    Actor, Approve, Approved, DropTokens, EndLogin, Expectation, Note, Pace, PollAnswer, PollRequest, Polled,
    SlotFate, Transition,
};
use super::upkeep::OWNERS_TIME;
use crate::domain::clock::Monotonic;
use crate::domain::grant::Tokens;
use crate::domain::ids::OutboxId;
use crate::domain::login::{EndStatus, Login, LoginReason, LoginState, LoginStatus};
use crate::domain::random::uuid_v4;
use crate::domain::secret::Secret;
use crate::telemetry::error_chain::ErrorChain;
use crate::telemetry::metrics;

/// What `slow_down` adds, for good (CIBA §11).
const SLOW_DOWN: Duration = Duration::from_secs(5);

/// Unanswered polls after which the person is told that the provider is slow.
const SLOW_AFTER: u32 = 2;

/// How far unanswered polls stretch the wait: at most eight intervals.
const MOST_BACK_OFF: u32 = 3;

/// The present pace of a login, and what the next poll waits for.
struct Next {
    pace: Pace,
    at: Monotonic,
    held_back: Monotonic,
    failures: u32,
}

impl Engine {
    /// Sends one poll and acts on the answer.
    pub(super) async fn poll_once(self: Arc<Self>, waiting: Waiting) {
        let login_id = waiting.job.login.login_id;
        if waiting.give_up {
            self.finish(&waiting.job.login, EndStatus::Expired, LoginReason::Expired, &ENGINE).await;
            return;
        }
        let Some((mut waiting, place)) = self.place(waiting).await else { return };
        if !self.lease.is_valid(self.clock.monotonic()) {
            self.poller.put(self.clock.monotonic(), waiting);
            return;
        }
        waiting.announced |= self.poller.was_rung(login_id);
        let asked = self.clock.monotonic();
        let login = &waiting.job.login;
        let request = PollRequest {
            x5t: login.x5t.clone(),
            auth_req_id: waiting.job.auth_req_id.clone(),
            expectation: self.expectation(login, &waiting.job.scope, &waiting.job.acr_values),
        };
        let Polled { sent, answer } = self.providers.poll(&login.registration, request).await;
        let sent = sent.unwrap_or(asked);
        drop(place);
        metrics::polled(&login.registration, result_label(&answer));
        match answer {
            PollAnswer::Pending { retry_after } => {
                self.again(waiting, sent, Outcome::Pending, retry_after).await;
            }
            PollAnswer::SlowDown { retry_after } => {
                self.again(waiting, sent, Outcome::SlowDown, retry_after).await;
            }
            PollAnswer::Unreachable { retry_after } => {
                self.again(waiting, sent, Outcome::Unreachable, retry_after).await;
            }
            PollAnswer::Ended { status, reason } => {
                self.finish(login, status, reason, &ENGINE).await;
            }
            PollAnswer::Approved(approved) => {
                self.approve(login, *approved, &ENGINE).await;
            }
        }
    }

    /// What an answer about `login` must agree with.
    pub(super) fn expectation(&self, login: &Login, scope: &[String], acr_values: &[String]) -> Expectation {
        let lifetime = match login.state {
            LoginState::Pending { until, .. } => until.since(login.created_at),
            _ => self.request_lifetime(login),
        };
        Expectation {
            login_hint: login.login_hint.clone().unwrap_or_else(|| Secret::new("")),
            scope: scope.to_vec(),
            acr_values: acr_values.to_vec(),
            started_at: login.created_at,
            lifetime,
        }
    }

    /// Waits for the next poll; after the last one the login expires.
    async fn again(
        self: &Arc<Self>,
        mut waiting: Waiting,
        sent: Monotonic,
        outcome: Outcome,
        retry_after: Option<Duration>,
    ) {
        if sent >= waiting.deadline {
            self.finish(&waiting.job.login, EndStatus::Expired, LoginReason::Expired, &ENGINE).await;
            return;
        }
        let next = self.next(&waiting, sent, outcome, retry_after);
        let before = self.pace_of(&waiting.job.login);
        if before != Some(next.pace) {
            match self.store.set_pace(waiting.job.login.login_id, self.node, next.pace).await {
                Ok(Some(login)) => {
                    let visible = login.version != waiting.job.login.version;
                    waiting.job.login = login;
                    if visible {
                        self.login_changed(waiting.job.login.login_id);
                    }
                }
                // Ended or adopted meanwhile: the statement before the next send says so again.
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(
                        error = %ErrorChain(&error),
                        "a polling pace was not written"
                    );
                }
            }
        }
        waiting.interval = next.pace.interval;
        waiting.failures = next.failures;
        waiting.held_back = next.held_back;
        self.poller.put_next(next.at, waiting);
    }

    fn next(
        &self,
        waiting: &Waiting,
        sent: Monotonic,
        outcome: Outcome,
        retry_after: Option<Duration>,
    ) -> Next {
        let (now, wall) = (self.clock.monotonic(), self.clock.now());
        let interval = match outcome {
            Outcome::SlowDown => waiting.interval + SLOW_DOWN,
            Outcome::Pending | Outcome::Unreachable => waiting.interval,
        };
        let failures = match outcome {
            Outcome::Unreachable => waiting.failures + 1,
            Outcome::Pending | Outcome::SlowDown => 0,
        };
        let margin = self.poll_margin(&waiting.job.login);
        let told = retry_after.filter(|length| now + *length > sent + interval + margin);
        // What the provider is owed, and no deadline makes earlier.
        let not_before = told.map_or(now, |length| now + length);
        let owed = (sent + interval + margin).max(not_before);
        // RFC 8628 §3.5: unanswered polls become rarer, exponentially; but not rarer than the deadline.
        let stretched = sent + interval * 2u32.pow(failures.saturating_sub(1).min(MOST_BACK_OFF)) + margin;
        let at = stretched.max(owed).min(waiting.deadline.max(owed));
        let pace = Pace {
            interval,
            not_before: told.map(|length| wall + length),
            provider_slow: failures >= SLOW_AFTER,
        };
        // An announcement does not outdo a provider that has just said to come more rarely.
        let held_back = if matches!(outcome, Outcome::SlowDown) { owed } else { not_before };
        Next { pace, at, held_back, failures }
    }

    fn pace_of(&self, login: &Login) -> Option<Pace> {
        match login.state {
            LoginState::Pending { interval, not_before, provider_slow, .. } => {
                // A time that has passed holds nothing back any more.
                let not_before = not_before.filter(|at| *at > self.clock.now());
                Some(Pace { interval, not_before, provider_slow })
            }
            _ => None,
        }
    }

    /// Ends a pending login as the provider has said. `false` where that could not be written.
    pub(super) async fn finish(
        &self,
        login: &Login,
        status: EndStatus,
        reason: LoginReason,
        by: &Actor,
    ) -> bool {
        let end = EndLogin {
            login_id: login.login_id,
            attempt: self.attempt(),
            from: &[LoginStatus::Pending],
            owner: None,
            now: self.clock.now(),
            status,
            reason,
            slot: SlotFate::Free,
            hidden_until: None,
        };
        let deadline = end.now + self.pick_up_window(login);
        self.persist(deadline, || self.end(end.clone(), by)).await.is_some()
    }

    /// A token answer is never dropped for a database error: its commit is repeated until the login's deadline
    /// plus the pick-up window. `false` where it was given up.
    pub(super) async fn approve(self: &Arc<Self>, login: &Login, approved: Approved, by: &Actor) -> bool {
        let now = self.clock.now();
        let until = now + self.pick_up_window(login);
        let approve = Approve {
            login_id: login.login_id,
            attempt: self.attempt(),
            by: by.clone(),
            now,
            until,
            tokens: approved.tokens.clone(),
            claims: approved.claims.clone(),
        };
        let give_up = match login.state {
            LoginState::Pending { until: deadline, .. } => deadline + self.pick_up_window(login),
            _ => until,
        };
        match self.persist(give_up, || self.store.approve(approve.clone())).await {
            Some(Transition::Won(login)) => {
                metrics::approved(now.since(login.created_at));
                tracing::info!(
                    login.id = %login.login_id,
                    support_code = %login.support_code,
                    registration = %login.registration,
                    "the person has approved the login"
                );
                self.login_changed(login.login_id);
                self.read_userinfo_in_background(&login, approved);
                true
            }
            Some(Transition::Lost(login)) if login.state.status() == LoginStatus::Pending => {
                tracing::warn!(
                    login.id = %login.login_id,
                    "an ID token came that has approved another login, or whose session the provider has ended"
                );
                let reason = LoginReason::TokenInvalid;
                let is_written = self.finish(&login, EndStatus::Failed, reason, by).await;
                self.late_tokens(login.login_id, None, approve.tokens, approve.claims.sid).await;
                is_written
            }
            Some(Transition::Lost(login)) => {
                self.drop_tokens(&login, Some(approve.tokens), approve.claims.sid, by).await
            }
            Some(Transition::NotFound) => true,
            None => {
                self.late_tokens(login.login_id, None, approve.tokens, approve.claims.sid).await;
                false
            }
        }
    }

    /// Tokens came for a login that has ended: nobody will ever use them, and the provider is told to revoke the first ones
    /// that came. Not of a login that they, or the same ones before, have approved. `false` where it could not be written.
    pub(super) async fn drop_tokens(
        &self,
        login: &Login,
        tokens: Option<Tokens>,
        sid: Option<String>,
        by: &Actor,
    ) -> bool {
        let LoginState::Ended { status, reason, .. } = &login.state else { return true };
        tracing::warn!(
            login.id = %login.login_id,
            support_code = %login.support_code,
            registration = %login.registration,
            status = status.status().as_str(),
            reason = reason.as_str(),
            "tokens came for a login that had ended; they are dropped"
        );
        let now = self.clock.now();
        let dropped = DropTokens {
            note: Note { login_id: login.login_id, attempt: self.attempt(), now, by: by.clone() },
            outbox_id: OutboxId(uuid_v4(&*self.random)),
            tokens,
            sid,
        };
        let deadline = now + self.pick_up_window(login);
        let Some(is_first) = self.persist(deadline, || self.store.drop_tokens(dropped.clone())).await else {
            return false;
        };
        if is_first {
            self.outbox.ring();
        }
        true
    }

    /// How long an approved login of this application waits for its pick-up.
    fn pick_up_window(&self, login: &Login) -> Duration {
        self.directory
            .load()
            .application(&login.application)
            .map_or(Duration::from_mins(5), |application| application.pick_up_window)
    }

    /// How long after its deadline the last poll of a login may go out: it must be answered before the sweeper
    /// takes the login for abandoned.
    pub(super) fn last_poll_patience(&self, login: &Login) -> Duration {
        let poll_timeout = self
            .directory
            .load()
            .registration(&login.registration)
            .map_or(Duration::ZERO, |(_, provider)| provider.profile.poll_timeout);
        OWNERS_TIME.saturating_sub(poll_timeout + Duration::from_secs(2))
    }

    /// What the provider's profile adds to the interval.
    pub(super) fn poll_margin(&self, login: &Login) -> Duration {
        self.directory
            .load()
            .registration(&login.registration)
            .map_or(Duration::ZERO, |(_, provider)| provider.profile.poll_margin)
    }
}

#[derive(Clone, Copy)]
enum Outcome {
    Pending,
    SlowDown,
    Unreachable,
}

fn result_label(answer: &PollAnswer) -> &'static str {
    match answer {
        PollAnswer::Pending { .. } => "pending",
        PollAnswer::SlowDown { .. } => "slow_down",
        PollAnswer::Unreachable { .. } => "unreachable",
        PollAnswer::Ended { reason, .. } => reason.as_str(),
        PollAnswer::Approved(_) => "approved",
    }
}
