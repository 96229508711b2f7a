//! What must happen although nobody calls: overdue logins and sessions end, and those of what is switched off, old rows go,
//! waiting clients that missed a message read again, gauges are set.
//!
//! Each pass is idempotent and bounded; several nodes may run it at once, since every end is guarded.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Engine;
use super::begin_login::ENGINE;
use super::ports::{Changed, EndLogin, EndSession, SessionTransition, SlotFate, StoreError, WakeSignal};
use crate::domain::ids::{LoginId, SessionId};
use crate::domain::login::{EndStatus, LoginReason, LoginStatus};
use crate::domain::session::{Session, SessionEndReason};
use crate::domain::time::Timestamp;
use crate::telemetry::error_chain::ErrorChain;
use crate::telemetry::metrics;

/// How long after its deadline a login is left to its owner, who has one last poll to send.
pub(super) const OWNERS_TIME: Duration = Duration::from_secs(45);

const PASS: Duration = Duration::from_secs(1);
const PASSES_BETWEEN_HOUSEKEEPING: u32 = 60;
const PASSES_BETWEEN_COUNTS: u32 = 5;
const LIMIT: u32 = 200;
const HOUSEKEEPING_ROUNDS: u32 = 100;

impl Engine {
    /// Sweeps once a second, until the node drains.
    pub(super) async fn run_upkeep(self: Arc<Self>) {
        let mut pass = 0u32;
        loop {
            tokio::select! {
                () = self.draining.cancelled() => return,
                () = self.reconfigured.notified() => {
                    self.end_switched_off().await;
                    continue;
                }
                () = self.clock.sleep(PASS) => {}
            }
            if let Err(error) = self.sweep(pass).await {
                tracing::warn!(error = %ErrorChain(&error), "upkeep could not be done");
            }
            pass = pass.wrapping_add(1);
        }
    }

    async fn sweep(&self, pass: u32) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.exchanges.sweep(self.clock.monotonic());
        // One that cannot be ended must not keep the others from it.
        for (login_id, status) in self.store.overdue_logins(now, now - OWNERS_TIME, LIMIT).await? {
            if let Err(error) = self.end_overdue_login(login_id, status).await {
                tracing::error!(
                    error = %ErrorChain(&error),
                    login.id = %login_id,
                    "an overdue login could not be ended"
                );
            }
        }
        for (session_id, reason) in self.store.overdue_sessions(now, LIMIT).await? {
            if let Err(error) = self.end_session_for(session_id, reason, &ENGINE).await {
                tracing::error!(
                    error = %ErrorChain(&error),
                    session.id = %session_id,
                    "an overdue session could not be ended"
                );
            }
        }
        if pass.is_multiple_of(PASSES_BETWEEN_HOUSEKEEPING) {
            self.end_switched_off().await;
            self.targets.tidy();
            self.housekeep(now).await?;
        }
        if pass.is_multiple_of(PASSES_BETWEEN_COUNTS) {
            let counts = self.store.counts().await?;
            metrics::counts(counts.logins_pending, counts.sessions_active, counts.outbox);
        }
        Ok(())
    }

    /// Until nothing is left to remove, or the bound is reached: the next pass goes on.
    async fn housekeep(&self, now: Timestamp) -> Result<(), StoreError> {
        for _ in 0..HOUSEKEEPING_ROUNDS {
            let purged = self.store.housekeep(now).await?;
            if purged.rows == 0 {
                break;
            }
            tracing::debug!(rows = purged.rows, "housekeeping");
        }
        Ok(())
    }

    async fn end_overdue_login(&self, login_id: LoginId, status: LoginStatus) -> Result<(), StoreError> {
        let now = self.clock.now();
        let (from, end_status, reason): (&'static [LoginStatus], _, _) = match status {
            LoginStatus::Starting => {
                (&[LoginStatus::Starting], EndStatus::Failed, LoginReason::OutcomeUnknown)
            }
            LoginStatus::Pending => (&[LoginStatus::Pending], EndStatus::Expired, LoginReason::Expired),
            LoginStatus::Approved => {
                (&[LoginStatus::Approved], EndStatus::Expired, LoginReason::PickUpExpired)
            }
            _ => return Ok(()),
        };
        let slot = match (status, self.store.login(login_id).await?) {
            (LoginStatus::Starting, Some(login)) => SlotFate::KeepUntil(now + self.request_lifetime(&login)),
            _ => SlotFate::Free,
        };
        let end = EndLogin {
            login_id,
            attempt: self.attempt(),
            from,
            owner: None,
            now,
            status: end_status,
            reason,
            slot,
            hidden_until: None,
        };
        self.end(end, &ENGINE).await.map(|_| ())
    }

    /// Ends a session: writes, counts, logs, wakes, and has the provider told. The session as it is now, whoever ended it.
    pub(super) async fn end_session_for(
        &self,
        session_id: SessionId,
        reason: SessionEndReason,
        by: &super::ports::Actor,
    ) -> Result<Option<Session>, StoreError> {
        let end = EndSession { session_id, attempt: self.attempt(), now: self.clock.now(), reason };
        Ok(match self.store.end_session(end, by).await? {
            SessionTransition::Won(session) => {
                self.session_over(&session, reason);
                Some(*session)
            }
            SessionTransition::Lost(session) => Some(*session),
            SessionTransition::NotFound => None,
        })
    }

    /// A session's end has been written: counts, logs, wakes, and has the provider told.
    pub(super) fn session_over(&self, session: &Session, reason: SessionEndReason) {
        self.exchanges.forget(session.session_id);
        metrics::session_ended(reason.as_str());
        tracing::info!(
            session.id = %session.session_id,
            support_code = %session.support_code,
            reason = reason.as_str(),
            "a session has ended"
        );
        self.session_changed(session.session_id);
        self.outbox.ring();
    }

    /// Compares once a second what waiting clients have seen with the store: messages may get lost.
    pub(super) async fn run_safety_net(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.draining.cancelled() => return,
                () = self.clock.sleep(PASS) => {}
            }
            if let Err(error) = self.look_behind().await {
                tracing::warn!(
                    error = %ErrorChain(&error),
                    "waiting clients could not be looked after"
                );
            }
        }
    }

    async fn look_behind(&self) -> Result<(), StoreError> {
        let (mut logins, mut sessions) = (Vec::new(), Vec::new());
        for topic in self.hub.topics() {
            match topic {
                Changed::Login(login_id) => logins.push(login_id),
                Changed::Session(session_id) => sessions.push(session_id),
                // Nobody waits for one: it is for whoever polls.
                Changed::Announced(_) => {}
            }
        }
        if !logins.is_empty() {
            for (login_id, version) in self.store.login_versions(&logins).await? {
                self.hub.behind(Changed::Login(login_id), version);
            }
        }
        if !sessions.is_empty() {
            for (session_id, version) in self.store.session_versions(&sessions).await? {
                self.hub.behind(Changed::Session(session_id), version);
            }
        }
        Ok(())
    }

    /// Wakes waiting clients for what other nodes did.
    pub(super) async fn run_wake(self: Arc<Self>) {
        let mut signals: mpsc::Receiver<WakeSignal> = self.wake.signals();
        loop {
            let signal = tokio::select! {
                () = self.draining.cancelled() => return,
                signal = signals.recv() => signal,
            };
            match signal {
                Some(WakeSignal::Changed(Changed::Announced(login_id))) => self.poller.ring(login_id),
                Some(WakeSignal::Changed(changed)) => {
                    self.hub.notify(changed);
                    if let Changed::Session(session_id) = changed {
                        self.look_after_exchanges(vec![session_id]);
                    }
                }
                Some(WakeSignal::ReadAll) => {
                    self.hub.notify_all();
                    self.look_after_exchanges(self.exchanges.sessions());
                    self.hear_announcements().await;
                }
                None => return,
            }
        }
    }
}
