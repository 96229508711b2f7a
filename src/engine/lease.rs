//! This node's lease, and what it takes over from dead nodes.
//!
//! The lease lasts 5 s in database time and is renewed every 1.5 s; the node counts it from *before* it sent the
//! renewal, so it never believes longer in it than the database does. A survivor adopts a login only once its
//! owner's lease ended longer ago than a poll may take, and first polls one full interval later.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Engine;
use super::begin_login::{ENGINE, start_life};
use super::ports::{DeadFor, EndLogin, SlotFate, StoreError};
use crate::domain::clock::Monotonic;
use crate::domain::ids::LoginId;
use crate::domain::login::{EndStatus, LoginReason, LoginStatus};
use crate::domain::registration::Delivery;
use crate::telemetry::error_chain::ErrorChain;

const LENGTH: Duration = Duration::from_secs(5);
const RENEWAL: Duration = Duration::from_millis(1500);

/// Until when this node may send, in microseconds of its monotonic time.
#[derive(Default)]
pub(super) struct Lease(AtomicU64);

impl Lease {
    pub(super) fn is_valid(&self, now: Monotonic) -> bool {
        now.0.as_micros() < u128::from(self.0.load(Ordering::Acquire))
    }

    fn extend(&self, sent: Monotonic) {
        let until = u64::try_from((sent + LENGTH).0.as_micros()).unwrap_or(u64::MAX);
        self.0.fetch_max(until, Ordering::AcqRel);
    }
}

impl Engine {
    /// Enters this node and adopts what is there to adopt, before anything is served.
    pub(super) async fn enter(self: &Arc<Self>) -> Result<(), StoreError> {
        self.renew().await?;
        self.adopt_all().await
    }

    /// Renews the lease and looks for orphans, until this node's work is done: a start that is under way while it
    /// drains must not be taken for a dead node's.
    pub(super) async fn keep_lease(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.leaving.cancelled() => return,
                () = self.clock.sleep(RENEWAL) => {}
            }
            let kept = match self.renew().await {
                Ok(()) if self.draining.is_cancelled() => Ok(()),
                Ok(()) => self.adopt_all().await,
                Err(error) => Err(error),
            };
            if let Err(error) = kept {
                tracing::warn!(error = %ErrorChain(&error), "the lease could not be kept");
            }
        }
    }

    async fn renew(&self) -> Result<(), StoreError> {
        let sent = self.clock.monotonic();
        self.store.renew_lease(self.node, LENGTH).await?;
        self.lease.extend(sent);
        Ok(())
    }

    async fn adopt_all(self: &Arc<Self>) -> Result<(), StoreError> {
        let directory = self.directory();
        let mut failure = None;
        for (registration, provider) in directory.registrations() {
            let dead_for = DeadFor {
                pending: provider.profile.poll_timeout,
                starting: provider.profile.poll_timeout.max(start_life(provider.profile)),
            };
            let adopted = match self.store.adopt(self.node, &registration.name, dead_for).await {
                Ok(adopted) => adopted,
                Err(error) => {
                    failure = Some(error);
                    continue;
                }
            };
            // First what must be polled: it is this node's now, and in no other queue.
            for job in &adopted.pending {
                tracing::info!(login.id = %job.login.login_id, "a login of another node is adopted");
            }
            let may_be_announced = adopted.pending.iter().any(|job| job.login.delivery == Delivery::Ping);
            self.poller.add_adopted(self, adopted.pending);
            if may_be_announced {
                self.hear_announcements().await;
            }
            for login_id in adopted.starting {
                if let Err(error) = self.fail_orphan(login_id, registration.request_lifetime).await {
                    // It is swept later.
                    failure = Some(error);
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Nobody will ever know what the provider answered.
    async fn fail_orphan(&self, login_id: LoginId, request_lifetime: Duration) -> Result<(), StoreError> {
        let now = self.clock.now();
        let end = EndLogin {
            login_id,
            attempt: self.attempt(),
            from: &[LoginStatus::Starting],
            owner: None,
            now,
            status: EndStatus::Failed,
            reason: LoginReason::OutcomeUnknown,
            slot: SlotFate::KeepUntil(now + request_lifetime),
            hidden_until: None,
        };
        self.end(end, &ENGINE).await.map(|_| ())
    }
}
