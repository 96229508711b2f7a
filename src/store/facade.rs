//! The port's methods, once for both databases: each hands one piece of work to a [`Backend`].

mod endings;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use super::conn::{Context, Db, Fault, Work};
use super::grants::Completion;
use super::logins::CancelHidden;
use super::nodes::Adoption;
use super::sessions::Choice;
use super::{announcements, assertions, grants, logins, nodes, pick_up, refreshes, sessions, start, upkeep};
use crate::crypto::ring::{KeyRing, KeyedHash};
use crate::domain::grant::GrantClaims;
use crate::domain::ids::{Attempt, GrantId, LoginId, NodeId, SessionId};
use crate::domain::login::{Login, LoginReason, LoginStatus};
use crate::domain::names::{RegistrationName, TenantName};
use crate::domain::random::{Random, uuid_v4};
use crate::domain::secret::Secret;
use crate::domain::session::{Session, SessionEndReason};
use crate::domain::time::Timestamp;
use crate::engine::ports::{
    Acknowledge, Actor, Adopted, Approve, ClaimRefresh, Counts, DeadFor, DropTokens, EndLogin, EndRefused,
    EndSession, GrantSecrets, NewLogin, Note, Notifiable, Pace, PickUp, PickUpOutcome, Presented, Purged,
    RecordUse, RefreshClaim, RefreshMiss, Renewal, RenewalOutcome, Replay, SessionTransition, SpendAssertion,
    StartOutcome, Store, StoreError, Transition, UseOutcome,
};

/// How a piece of work gets its connection. Both are cancel-safe: what has begun is finished, whoever waits for it.
#[async_trait]
pub(super) trait Backend: Send + Sync + 'static {
    /// Runs `work` in one transaction and answers after the commit, whose outcome is then known.
    async fn write<T: Send + 'static>(&self, work: Work<T>) -> Result<T, Fault>;

    /// Runs `work`, which only reads.
    async fn read<T: Send + 'static>(&self, work: Work<T>) -> Result<T, Fault>;

    /// Whether this process may take over the logins of others: in SQLite only under the serve lock.
    fn may_adopt(&self) -> bool;
}

/// A store over one of the two databases.
pub(super) struct SqlStore<B> {
    backend: B,
    context: Arc<Context>,
}

impl<B: Backend> SqlStore<B> {
    pub fn new(backend: B, ring: Arc<KeyRing>, random: Arc<dyn Random>) -> Self {
        Self { backend, context: Arc::new(Context { ring, random }) }
    }

    fn work<I, T>(&self, input: I, step: Step<I, T>) -> Work<T>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
    {
        let context = Arc::clone(&self.context);
        let input = Arc::new(input);
        Box::new(move |db| {
            let (context, input) = (Arc::clone(&context), Arc::clone(&input));
            Box::pin(async move { step(db, &context, &input).await })
        })
    }

    async fn write<I, T>(&self, operation: &'static str, input: I, step: Step<I, T>) -> Result<T, StoreError>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.backend.write(self.work(input, step)).await.map_err(|fault| fault.at(operation))
    }

    async fn read<I, T>(&self, operation: &'static str, input: I, step: Step<I, T>) -> Result<T, StoreError>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.backend.read(self.work(input, step)).await.map_err(|fault| fault.at(operation))
    }
}

/// One step of work on borrowed input, so that it can run again.
type Step<I, T> = for<'a> fn(&'a mut Db, &'a Context, &'a I) -> BoxFuture<'a, Result<T, Fault>>;

#[async_trait]
impl<B: Backend> Store for SqlStore<B> {
    async fn start_login(&self, new: NewLogin, by: &Actor) -> Result<StartOutcome, StoreError> {
        self.write("start_login", (new, by.clone()), |db, context, input| {
            Box::pin(start::start(db, context, input))
        })
        .await
    }

    async fn acknowledge(&self, acknowledge: Acknowledge) -> Result<Transition, StoreError> {
        self.write("acknowledge", acknowledge, |db, context, input| {
            Box::pin(logins::acknowledge(db, context, input))
        })
        .await
    }

    async fn end_login(&self, end: EndLogin, by: &Actor) -> Result<Transition, StoreError> {
        self.write("end_login", (end, by.clone()), |db, context, input| {
            Box::pin(logins::end(db, context, input))
        })
        .await
    }

    async fn replayed_start(
        &self,
        tenant: &TenantName,
        key: &[KeyedHash],
        now: Timestamp,
    ) -> Result<Option<Replay>, StoreError> {
        let sought = (tenant.clone(), key.to_vec(), now);
        self.read("replayed_start", sought, |db, context, input| {
            Box::pin(start::replayed(db, context, input))
        })
        .await
    }

    async fn free_slot_of_cancelled(&self, login_id: LoginId) -> Result<(), StoreError> {
        self.write("free_slot_of_cancelled", login_id, |db, context, input| {
            Box::pin(logins::free_slot_of_cancelled(db, context, input))
        })
        .await
    }

    async fn cancel_hidden(
        &self,
        login_id: LoginId,
        attempt: Attempt,
        now: Timestamp,
        by: &Actor,
    ) -> Result<Transition, StoreError> {
        let reason = LoginReason::Cancelled;
        let cancel = CancelHidden { login_id, attempt, now, reason, by: by.clone() };
        self.write("cancel_hidden", cancel, |db, context, input| {
            Box::pin(logins::cancel_hidden(db, context, input))
        })
        .await
    }

    async fn set_pace(
        &self,
        login_id: LoginId,
        owner: NodeId,
        pace: Pace,
    ) -> Result<Option<Login>, StoreError> {
        let row = self
            .write("set_pace", (login_id, owner, pace), |db, context, input| {
                Box::pin(logins::set_pace(db, context, input))
            })
            .await?;
        Ok(row.map(|row| row.login))
    }

    async fn still_mine(&self, owner: NodeId, due: &[LoginId]) -> Result<Vec<LoginId>, StoreError> {
        let due = due.iter().map(|login| login.0).collect();
        self.read("still_mine", (owner, due), |db, _, input| Box::pin(logins::still_mine(db, input))).await
    }

    async fn approve(&self, approve: Approve) -> Result<Transition, StoreError> {
        self.write("approve", approve, |db, context, input| Box::pin(logins::approve(db, context, input)))
            .await
    }

    async fn login_by_token(&self, token: &[KeyedHash]) -> Result<Option<Login>, StoreError> {
        let row = self
            .read("login_by_token", token.to_vec(), |db, context, input| {
                Box::pin(logins::by_token(db, context, input))
            })
            .await?;
        Ok(row.map(|row| row.login))
    }

    async fn notifiable(&self, token: &[KeyedHash]) -> Result<Option<Notifiable>, StoreError> {
        self.read("notifiable", token.to_vec(), |db, context, input| {
            Box::pin(announcements::by_token(db, context, input))
        })
        .await
    }

    async fn remember_announcement(&self, note: Note, request: &KeyedHash) -> Result<bool, StoreError> {
        self.write("remember_announcement", (note, request.clone()), |db, context, input| {
            Box::pin(announcements::remember(db, context, input))
        })
        .await
    }

    async fn announce(&self, note: Note) -> Result<bool, StoreError> {
        self.write("announce", note, |db, context, input| {
            Box::pin(announcements::announce(db, context, input))
        })
        .await
    }

    async fn drop_tokens(&self, dropped: DropTokens) -> Result<bool, StoreError> {
        self.write("drop_tokens", dropped, |db, context, input| {
            Box::pin(announcements::drop_tokens(db, context, input))
        })
        .await
    }

    async fn announced(&self, owner: NodeId) -> Result<Vec<LoginId>, StoreError> {
        self.read("announced", owner, |db, _, input| Box::pin(announcements::announced(db, input))).await
    }

    async fn is_announced(&self, login_id: LoginId) -> Result<bool, StoreError> {
        self.read("is_announced", login_id, |db, _, input| Box::pin(announcements::is_announced(db, input)))
            .await
    }

    async fn login(&self, login_id: LoginId) -> Result<Option<Login>, StoreError> {
        let row = self
            .read("login", login_id, |db, context, input| Box::pin(logins::by_id(db, context, *input)))
            .await?;
        Ok(row.map(|row| row.login))
    }

    async fn login_versions(&self, logins: &[LoginId]) -> Result<Vec<(LoginId, u32)>, StoreError> {
        let ids: Vec<_> = logins.iter().map(|login| login.0).collect();
        self.read("login_versions", ids, |db, _, input| Box::pin(sessions::login_versions(db, input))).await
    }

    async fn overdue_logins(
        &self,
        now: Timestamp,
        owners_before: Timestamp,
        limit: u32,
    ) -> Result<Vec<(LoginId, LoginStatus)>, StoreError> {
        self.read("overdue_logins", (now, owners_before, limit), |db, _, input| {
            Box::pin(logins::overdue(db, input))
        })
        .await
    }

    async fn grant(&self, grant_id: GrantId) -> Result<Option<GrantSecrets>, StoreError> {
        self.read("grant", grant_id, |db, context, input| Box::pin(grants::open(db, context, *input))).await
    }

    async fn complete_grant(
        &self,
        grant_id: GrantId,
        claims: &GrantClaims,
        document: &Secret,
    ) -> Result<bool, StoreError> {
        let completion = Completion { grant_id, claims: claims.clone(), document: document.clone() };
        self.write("complete_grant", completion, |db, context, input| {
            Box::pin(grants::complete(db, context, input))
        })
        .await
    }

    async fn pick_up(&self, pick_up: PickUp, by: &Actor) -> Result<PickUpOutcome, StoreError> {
        self.write("pick_up", (pick_up, by.clone()), |db, context, input| {
            Box::pin(pick_up::pick_up(db, context, input))
        })
        .await
    }

    async fn session_by_handle(&self, handle: &[KeyedHash]) -> Result<Option<Presented>, StoreError> {
        self.read("session_by_handle", handle.to_vec(), |db, context, input| {
            Box::pin(sessions::by_handle(db, context, input))
        })
        .await
    }

    async fn record_use(&self, used: RecordUse) -> Result<UseOutcome, StoreError> {
        // A handle's first use is to be written: it was unused a moment ago. A time of use is often written by another
        // call meanwhile, and then needs no place among the writes.
        if used.touch {
            let settled = self
                .read("record_use", used.clone(), |db, _, input| {
                    Box::pin(sessions::use_without_write(db, input))
                })
                .await?;
            if let Some(outcome) = settled {
                return Ok(outcome);
            }
        }
        self.write("record_use", used, |db, _, input| Box::pin(sessions::record_use(db, input))).await
    }

    async fn choose_exercice(
        &self,
        session_id: SessionId,
        attempt: Attempt,
        now: Timestamp,
        exercice: &str,
        by: &Actor,
    ) -> Result<SessionTransition, StoreError> {
        let choice = Choice { session_id, attempt, now, exercice: exercice.to_owned(), by: by.clone() };
        self.write("choose_exercice", choice, |db, context, input| {
            Box::pin(sessions::choose_exercice(db, context, input))
        })
        .await
    }

    async fn end_session(&self, end: EndSession, by: &Actor) -> Result<SessionTransition, StoreError> {
        self.write("end_session", (end, by.clone()), |db, context, input| {
            Box::pin(sessions::end(db, context, input))
        })
        .await
    }

    async fn claim_refresh(&self, claim: ClaimRefresh) -> Result<RefreshClaim, StoreError> {
        self.write("claim_refresh", claim, |db, context, input| {
            Box::pin(refreshes::claim(db, context, input))
        })
        .await
    }

    async fn renew(&self, renewal: Renewal) -> Result<RenewalOutcome, StoreError> {
        self.write("renew", renewal, |db, context, input| Box::pin(refreshes::renew(db, context, input)))
            .await
    }

    async fn miss_refresh(&self, miss: RefreshMiss) -> Result<(), StoreError> {
        self.write("miss_refresh", miss, |db, _, input| Box::pin(refreshes::miss(db, input))).await
    }

    async fn end_refused(&self, end: EndRefused) -> Result<SessionTransition, StoreError> {
        self.write("end_refused", end, |db, context, input| {
            Box::pin(refreshes::end_refused(db, context, input))
        })
        .await
    }

    async fn overdue_sessions(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(SessionId, SessionEndReason)>, StoreError> {
        self.read("overdue_sessions", (now, limit), |db, _, input| Box::pin(sessions::overdue(db, input)))
            .await
    }

    async fn session_versions(&self, sessions: &[SessionId]) -> Result<Vec<(SessionId, u32)>, StoreError> {
        let ids: Vec<_> = sessions.iter().map(|session| session.0).collect();
        self.read("session_versions", ids, |db, _, input| Box::pin(sessions::session_versions(db, input)))
            .await
    }

    async fn session(&self, session_id: SessionId) -> Result<Option<Session>, StoreError> {
        let row =
            self.read("session", session_id, |db, _, input| Box::pin(sessions::by_id(db, *input))).await?;
        Ok(row.map(|row| row.session))
    }

    async fn renew_lease(&self, node: NodeId, length: Duration) -> Result<(), StoreError> {
        self.write("renew_lease", (node, length), |db, _, input| Box::pin(nodes::renew(db, input))).await
    }

    async fn adopt(
        &self,
        node: NodeId,
        registration: &RegistrationName,
        dead_for: DeadFor,
    ) -> Result<Adopted, StoreError> {
        if !self.backend.may_adopt() {
            let fault = Fault::NotAllowed("only the process that holds the serve lock adopts");
            return Err(fault.at("adopt"));
        }
        let attempt = Attempt(uuid_v4(self.context.random.as_ref()));
        let adoption = Adoption { node, registration: registration.clone(), dead_for, attempt };
        self.write("adopt", adoption, |db, context, input| Box::pin(nodes::adopt(db, context, input))).await
    }

    async fn leave(&self, node: NodeId) -> Result<(), StoreError> {
        self.write("leave", node, |db, _, input| Box::pin(nodes::leave(db, input))).await
    }

    async fn check_writable(&self) -> Result<(), StoreError> {
        self.write("check_writable", (), |db, _, ()| Box::pin(upkeep::check_writable(db))).await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.read("counts", (), |db, _, ()| Box::pin(upkeep::counts(db))).await
    }

    async fn spend_assertion(&self, spend: SpendAssertion, by: &Actor) -> Result<bool, StoreError> {
        self.write("spend_assertion", (spend, by.clone()), |db, context, input| {
            Box::pin(assertions::spend(db, context, input))
        })
        .await
    }

    async fn housekeep(&self, now: Timestamp) -> Result<Purged, StoreError> {
        let attempt = Attempt(uuid_v4(self.context.random.as_ref()));
        self.write("housekeep", (now, attempt), |db, context, input| {
            Box::pin(upkeep::housekeep(db, context, input))
        })
        .await
    }
}
