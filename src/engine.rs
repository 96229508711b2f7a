//! The login engine: one use case per file, over the ports that it declares.
//!
//! The engine decides; adapters carry. It sees no ciphertext, no SQL, no HTTP. Every state change is one method of
//! [`ports::Store`], won by exactly one caller; time and randomness come in through the domain's traits. Work that
//! changes state runs in tracked, detached tasks ([`Engine::detached`]): a client that hangs up changes nothing.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use thiserror::Error;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span};

use crate::crypto::ring::KeyRing;
use crate::domain::clock::Clock;
use crate::domain::ids::{Attempt, LoginId, NodeId, SessionId};
use crate::domain::random::{Random, uuid_v4};
use crate::telemetry::error_chain::ErrorChain;

mod assertion;
pub mod authenticate;
pub mod backchannel_logout;
mod begin_login;
pub mod cancel_login;
pub mod directory;
pub mod exchange;
pub mod forward;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
pub mod hub;
pub mod introspect;
mod lease;
pub mod notified;
mod outbox;
pub mod pick_up;
mod poll;
mod poller;
pub mod ports;
mod pushed;
pub mod read_login;
mod readings;
mod refresh;
pub mod session;
pub mod start_login;
mod switched_off;
mod under_way;
mod upkeep;
mod userinfo;

use directory::Directory;
use hub::Hub;
use ports::{Changed, Providers, Store, StoreError, Targets, Wake};

/// A detached task did not come to its end: a defect. It carries nothing of a panic, whose text may quote a secret;
/// the panic's place is told by the process's hook.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("a task was cut short")]
pub struct CutShort;

/// What the engine is put together from.
pub struct Parts {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The providers.
    pub providers: Arc<dyn Providers>,
    /// The targets.
    pub targets: Arc<dyn Targets>,
    /// The other nodes.
    pub wake: Arc<dyn Wake>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Keys.
    pub ring: Arc<KeyRing>,
    /// What is configured.
    pub directory: Directory,
}

/// The use cases, and the state that they share. Held in an [`Arc`] by every listener and task.
pub struct Engine {
    store: Arc<dyn Store>,
    providers: Arc<dyn Providers>,
    targets: Arc<dyn Targets>,
    wake: Arc<dyn Wake>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    ring: Arc<KeyRing>,
    directory: ArcSwap<Directory>,
    hub: Arc<Hub>,
    node: NodeId,
    lease: lease::Lease,
    poller: Arc<poller::Poller>,
    userinfo: userinfo::Reads,
    outbox: outbox::Outbox,
    /// The refreshes under way in this process, one per session.
    refreshes: under_way::UnderWay<SessionId>,
    /// What many uses of one session ask for at once.
    uses: session::Uses,
    exchanges: exchange::Exchanges,
    /// Calls of targets under way.
    places: forward::Places,
    /// Rung when what is configured has changed.
    reconfigured: Notify,
    /// Turns of those who waited to read what has changed.
    turns: Semaphore,
    /// Turns of those who come with a notification token.
    lookups: Semaphore,
    /// Every detached task; the drain waits for them.
    tasks: TaskTracker,
    lifetimes: begin_login::Lifetimes,
    /// Cancelled when the node drains: waiting calls answer at once, background work stops.
    draining: CancellationToken,
    /// Cancelled when the node's work is done: the lease is renewed until then.
    leaving: CancellationToken,
}

impl Engine {
    /// Puts an engine together; nothing runs before [`Engine::run`].
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let node = NodeId(uuid_v4(&*parts.random));
        Arc::new(Self {
            store: parts.store,
            providers: parts.providers,
            targets: parts.targets,
            wake: parts.wake,
            clock: parts.clock,
            random: parts.random,
            ring: parts.ring,
            directory: ArcSwap::from_pointee(parts.directory),
            hub: Arc::default(),
            node,
            lease: lease::Lease::default(),
            poller: Arc::default(),
            userinfo: userinfo::Reads::default(),
            outbox: outbox::Outbox::default(),
            refreshes: under_way::UnderWay::default(),
            uses: session::Uses::default(),
            exchanges: exchange::Exchanges::default(),
            places: forward::Places::default(),
            reconfigured: Notify::new(),
            turns: Semaphore::new(read_login::TURNS),
            lookups: Semaphore::new(notified::LOOKUPS),
            tasks: TaskTracker::new(),
            lifetimes: begin_login::Lifetimes::default(),
            draining: CancellationToken::new(),
            leaving: CancellationToken::new(),
        })
    }

    /// Enters this node, adopts what dead ones left, then runs lease, poller, upkeep, outbox and wake until
    /// [`Engine::drain`].
    pub async fn run(self: &Arc<Self>) -> Result<(), StoreError> {
        self.enter().await?;
        tokio::spawn(self.clone().keep_lease());
        self.tasks.spawn(self.clone().run_poller());
        self.tasks.spawn(self.clone().run_upkeep());
        self.tasks.spawn(self.clone().run_outbox());
        self.tasks.spawn(self.clone().run_safety_net());
        self.tasks.spawn(self.clone().run_wake());
        Ok(())
    }

    /// Stops background work, answers waiting calls at once, waits at most `patience` (real time) for work under
    /// way, and gives this node's logins up for adoption.
    pub async fn drain(&self, patience: Duration) {
        self.draining.cancel();
        self.tasks.close();
        let done = tokio::time::timeout(patience, self.tasks.wait()).await.is_ok();
        self.leaving.cancel();
        if !done {
            // What is still under way may still send: the lease runs out by itself.
            tracing::warn!(tasks = self.tasks.len(), "work was still under way at the end of the drain");
            return;
        }
        if let Err(error) = self.store.leave(self.node).await {
            tracing::warn!(error = %ErrorChain(&error), "the lease could not be ended");
        }
    }

    /// Swaps what is configured for what `change` makes of it. It may run again: somebody else may have swapped
    /// meanwhile. The sessions of what is switched off now end.
    pub fn reconfigure(&self, change: impl Fn(&Directory) -> Directory) {
        self.directory.rcu(|directory| Arc::new(change(directory)));
        self.reconfigured.notify_one();
    }

    /// What is configured now.
    #[must_use]
    pub fn directory(&self) -> Arc<Directory> {
        self.directory.load_full()
    }

    /// The providers, for what a face shows of them.
    #[must_use]
    pub fn providers(&self) -> &dyn Providers {
        &*self.providers
    }

    /// The store, for readiness.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// The clock that every decision here reads.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The source of randomness.
    #[must_use]
    pub fn random(&self) -> &dyn Random {
        &*self.random
    }

    /// Cancelled when the node drains.
    #[must_use]
    pub fn draining(&self) -> &CancellationToken {
        &self.draining
    }

    /// Runs state-changing work to its end, whoever still waits for it.
    async fn detached<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, CutShort> {
        self.tasks.spawn(work.instrument(Span::current())).await.map_err(|_| CutShort)
    }

    fn attempt(&self) -> Attempt {
        Attempt(uuid_v4(&*self.random))
    }

    fn login_changed(&self, login_id: LoginId) {
        self.changed(Changed::Login(login_id));
    }

    fn session_changed(&self, session_id: SessionId) {
        self.changed(Changed::Session(session_id));
    }

    /// After a commit: wakes who waits here, and tells the other nodes.
    fn changed(&self, changed: Changed) {
        self.hub.notify(changed);
        self.wake.publish(changed);
    }
}
