//! The store, as the engine sees it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

use super::{
    Actor, ClaimRefresh, DropTokens, EndRefused, Endings, Note, Notifiable, RefreshClaim, RefreshMiss,
    Renewal, RenewalOutcome, SpendAssertion,
};
use crate::crypto::ring::{KeyedHash, Pseudonym};
use crate::domain::grant::{GrantClaims, Tokens};
use crate::domain::ids::{Attempt, GrantId, LoginId, NodeId, SessionId};
use crate::domain::login::{EndStatus, Login, LoginReason, LoginStatus};
use crate::domain::names::{RegistrationName, TenantName};
use crate::domain::secret::Secret;
use crate::domain::session::{Session, SessionEndReason};
use crate::domain::time::Timestamp;

/// Why a store could not say. Whether a write happened is never left open: an implementation settles an unknown
/// commit outcome by the attempt before it answers.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    /// The database cannot be reached or does not answer in time. Try again.
    #[error("the store is unavailable during {operation}")]
    Unavailable {
        /// The method.
        operation: &'static str,
        /// What the driver said.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// A row does not fit the model.
    #[error("{table}.{column} holds what the model does not know")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// A sealed value does not open.
    #[error("a sealed value of {table}.{column} does not open")]
    Sealed {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// The database refused a statement: a defect.
    #[error("the store refused {operation}")]
    Refused {
        /// The method.
        operation: &'static str,
        /// What the driver said.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
}

/// A new login, its person slot, and what makes a repeated start recognisable.
#[derive(Clone)]
pub struct NewLogin {
    /// The row, in state `starting`, with its hint.
    pub login: Login,
    /// Keyed hash of the login token.
    pub token_hash: KeyedHash,
    /// Keyed hash of the token that its provider will come with, where the provider notifies.
    pub notification: Option<KeyedHash>,
    /// Who is asked for.
    pub person: Pseudonym,
    /// Until when the slot is taken if nothing frees it.
    pub slot_until: Timestamp,
    /// Whether a replaceable login of the same application is cancelled (`superseded`).
    pub replace: bool,
    /// `Idempotency-Key`, where one came.
    pub idempotency: Option<IdempotencyClaim>,
    /// The requested scopes, for the expectation after an adoption.
    pub scope: Vec<String>,
    /// The requested `acr_values`.
    pub acr_values: Vec<String>,
}

/// What makes a repeated start recognisable.
#[derive(Clone)]
pub struct IdempotencyClaim {
    /// Keyed hashes of (application, credential, key), by every ring key; the first is written.
    pub key: Vec<KeyedHash>,
    /// Keyed hash of the body, by the key that the first of `key` names.
    pub body: KeyedHash,
    /// Until when it is remembered.
    pub until: Timestamp,
}

/// A start that a key was used for before.
pub struct Replay {
    /// The login of then, as it is now.
    pub login: Login,
    /// Hash of the body of then; the caller compares.
    pub body: KeyedHash,
    /// The ring key that the login token was derived and hashed with.
    pub token_key_id: String,
}

/// What became of a start.
pub enum StartOutcome {
    /// The row is committed and the slot is taken: call the provider.
    Started {
        /// The login that was cancelled for it.
        replaced: Option<LoginId>,
    },
    /// The key was used before; nothing was written.
    Replay(Box<Replay>),
    /// The slot is taken; nothing was written.
    AlreadyPending {
        /// When the slot is free at the latest.
        until: Timestamp,
        /// Whether `replace` would have worked: a `pending` login of the same application.
        replaceable: bool,
    },
}

/// The provider's acknowledgement of a login.
#[derive(Clone)]
pub struct Acknowledge {
    /// Which login.
    pub login_id: LoginId,
    /// The caller's attempt.
    pub attempt: Attempt,
    /// Who polls from now on, also where somebody else has adopted the starting login meanwhile.
    pub owner: NodeId,
    /// Now.
    pub now: Timestamp,
    /// The deadline.
    pub until: Timestamp,
    /// The interval.
    pub interval: Duration,
    /// From the acknowledgement.
    pub auth_req_id: Secret,
    /// Keyed hash of that, where the provider notifies: what a notification must name.
    pub request: Option<KeyedHash>,
    /// Until when the slot is taken if nothing frees it.
    pub slot_until: Timestamp,
}

/// What happens to the person slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SlotFate {
    /// Freed in the same transaction.
    Free,
    /// Kept until then: a phone may still ring.
    KeepUntil(Timestamp),
}

/// The end of a login without a session.
#[derive(Clone, Debug)]
pub struct EndLogin {
    /// Which login.
    pub login_id: LoginId,
    /// The caller's attempt.
    pub attempt: Attempt,
    /// Only from these states.
    pub from: &'static [LoginStatus],
    /// Only while this node is the owner (`None`: whoever it is). Results are never guarded by owner.
    pub owner: Option<NodeId>,
    /// Now.
    pub now: Timestamp,
    /// How it ends.
    pub status: EndStatus,
    /// Why.
    pub reason: LoginReason,
    /// What happens to the person slot.
    pub slot: SlotFate,
    /// Until when the end is hidden from the application (`user_unknown`).
    pub hidden_until: Option<Timestamp>,
}

/// Valid tokens for a pending login.
#[derive(Clone)]
pub struct Approve {
    /// Which login.
    pub login_id: LoginId,
    /// The caller's attempt.
    pub attempt: Attempt,
    /// Who brought them, for the audit record.
    pub by: Actor,
    /// When the tokens arrived.
    pub now: Timestamp,
    /// When the pick-up window closes.
    pub until: Timestamp,
    /// To be sealed.
    pub tokens: Tokens,
    /// To be sealed.
    pub claims: GrantClaims,
}

/// Who won a transition of a login. Exactly one caller does.
pub enum Transition {
    /// The caller; the login as it is now.
    Won(Box<Login>),
    /// Somebody else before; the login as it is now.
    Lost(Box<Login>),
    /// There is no such login (any more).
    NotFound,
}

/// What a poller rewrites while a login is pending.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// The interval from now on.
    pub interval: Duration,
    /// No poll before this.
    pub not_before: Option<Timestamp>,
    /// Whether the provider has stopped answering: visible, so a change of it raises the version.
    pub provider_slow: bool,
}

/// A pending login that this node now owns, with what polling needs.
#[derive(Clone)]
pub struct PollJob {
    /// The login, pending.
    pub login: Login,
    /// From the acknowledgement.
    pub auth_req_id: Secret,
    /// The scopes that were requested.
    pub scope: Vec<String>,
    /// The `acr_values` that were requested.
    pub acr_values: Vec<String>,
}

/// How long a node must have been dead before its logins are taken over: longer than it may still act for them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeadFor {
    /// Pending logins: a poll may be under way.
    pub pending: Duration,
    /// Starting logins: the provider may be about to answer.
    pub starting: Duration,
}

/// What a node takes over from dead ones.
#[derive(Default)]
pub struct Adopted {
    /// Logins to poll, now owned by the adopter.
    pub pending: Vec<PollJob>,
    /// Logins whose start nobody will finish: to be failed as `outcome_unknown`.
    pub starting: Vec<LoginId>,
}

/// A pick-up: the first, or the repetition of one whose answer was lost.
#[derive(Clone)]
pub struct PickUp {
    /// The session to be, in state active; on a repetition only `login_id` and `attempt` count.
    pub session: Session,
    /// The caller's attempt.
    pub attempt: Attempt,
    /// Now.
    pub now: Timestamp,
    /// Keyed hash of the handle that was drawn for this call.
    pub handle: KeyedHash,
    /// Until when the pick-up may be repeated, counted from the first.
    pub repeatable_until: Timestamp,
}

/// What became of a pick-up.
pub enum PickUpOutcome {
    /// The session now exists; the drawn handle opens it.
    First(Box<Session>),
    /// The earlier handle is dead; the drawn one opens the same session.
    Repeated(Box<Session>),
    /// The login is in no state to be picked up.
    NotApproved(Box<Login>),
    /// The handle was used, or the time to repeat is over.
    AlreadyPickedUp(Box<Login>),
    /// There is no such login (any more).
    NotFound,
}

/// What a handle opens.
#[derive(Clone)]
pub struct Presented {
    /// The session, active or ended.
    pub session: Session,
    /// The hash that matched.
    pub handle: [u8; 32],
    /// Whether the handle has been used before.
    pub used: bool,
    /// What the grant says; `None` once it is wiped.
    pub claims: Option<GrantClaims>,
}

/// A use of a session: writes what must be written of it.
#[derive(Clone, Debug)]
pub struct RecordUse {
    /// The handle's hash.
    pub handle: [u8; 32],
    /// The session.
    pub session_id: SessionId,
    /// Now.
    pub now: Timestamp,
    /// Whether this counts as a use that keeps the session alive.
    pub touch: bool,
}

/// What became of a use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UseOutcome {
    /// Committed: the handle is used, and cannot be killed by a repeated pick-up any more.
    Recorded,
    /// A repeated pick-up killed the handle first.
    HandleDead,
    /// The session ended first.
    SessionOver,
}

/// The end of a session. Its grant is wiped in the same transaction; what the provider must still be told moves into the
/// outbox.
#[derive(Clone, Debug)]
pub struct EndSession {
    /// Which session.
    pub session_id: SessionId,
    /// The caller's attempt.
    pub attempt: Attempt,
    /// Now.
    pub now: Timestamp,
    /// Why.
    pub reason: SessionEndReason,
}

/// Who won a transition of a session.
pub enum SessionTransition {
    /// The caller; the session as it is now.
    Won(Box<Session>),
    /// Somebody else before; the session as it is now.
    Lost(Box<Session>),
    /// There is no such session (any more).
    NotFound,
}

/// The tokens of a grant, for the calls that need them.
pub struct GrantSecrets {
    /// The tokens; `None` once wiped.
    pub tokens: Option<Tokens>,
    /// The claims; `None` once wiped.
    pub claims: Option<GrantClaims>,
    /// Userinfo as the provider gave it (JSON); `None` until read and once wiped.
    pub userinfo: Option<Secret>,
}

/// How much there is, for the gauges.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Logins that are `pending`.
    pub logins_pending: u64,
    /// Sessions that are `active`.
    pub sessions_active: u64,
    /// Entries of the outbox.
    pub outbox: u64,
}

/// What housekeeping removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Purged {
    /// Rows deleted or hints wiped.
    pub rows: u64,
}

/// The database: SQLite or PostgreSQL.
#[async_trait]
pub trait Store: Endings {
    // --- logins -------------------------------------------------------------------------------------------

    /// – → `starting`: claims the idempotency key, takes the person slot (cancelling a replaceable login where
    /// asked), inserts login and grant. All or nothing; a refusal leaves no trace.
    async fn start_login(&self, new: NewLogin, by: &Actor) -> Result<StartOutcome, StoreError>;

    /// `starting` → `pending`; announced at once where an earlier notification named this very request. On a login that
    /// was cancelled while starting it frees the person slot: the late acknowledgement is never polled.
    async fn acknowledge(&self, acknowledge: Acknowledge) -> Result<Transition, StoreError>;

    /// To `denied`, `expired`, `failed` or `cancelled`. Wipes the grant but for the hint, which
    /// [`Store::housekeep`] wipes when the login is no longer readable; its tokens move into the outbox.
    async fn end_login(&self, end: EndLogin, by: &Actor) -> Result<Transition, StoreError>;

    /// The earlier start with this key, where there was one: the answer of a repetition, whatever has changed since.
    async fn replayed_start(
        &self,
        tenant: &TenantName,
        key: &[KeyedHash],
        now: Timestamp,
    ) -> Result<Option<Replay>, StoreError>;

    /// Frees the person slot of a login that was cancelled while starting: the provider has refused it since.
    async fn free_slot_of_cancelled(&self, login_id: LoginId) -> Result<(), StoreError>;

    /// Cancels a failed login whose end is hidden, so that it is shown as cancelled, and frees its person slot.
    async fn cancel_hidden(
        &self,
        login_id: LoginId,
        attempt: Attempt,
        now: Timestamp,
        by: &Actor,
    ) -> Result<Transition, StoreError>;

    /// Rewrites interval, `not_before` and `provider_slow` of a pending login that `owner` owns; `None` where it
    /// is neither.
    async fn set_pace(
        &self,
        login_id: LoginId,
        owner: NodeId,
        pace: Pace,
    ) -> Result<Option<Login>, StoreError>;

    /// Which of `due` are still pending and `owner`'s: the question before each batch of sends.
    async fn still_mine(&self, owner: NodeId, due: &[LoginId]) -> Result<Vec<LoginId>, StoreError>;

    /// `pending` → `approved`; frees the slot. Guarded by status alone: the answer counts, whoever got it. Lost although
    /// the login is still pending: another login has been approved by this very ID token before, or the
    /// provider has just ended the session that it names.
    async fn approve(&self, approve: Approve) -> Result<Transition, StoreError>;

    /// The login that a token opens, by any of its candidate hashes. Ended ones are found for
    /// [`crate::domain::login::READABLE_AFTER_END`]; the caller checks.
    async fn login_by_token(&self, token: &[KeyedHash]) -> Result<Option<Login>, StoreError>;

    /// The login whose provider comes with a token, by any of its candidate hashes; ended ones too.
    async fn notifiable(&self, token: &[KeyedHash]) -> Result<Option<Notifiable>, StoreError>;

    /// Remembers which request a notification named before its login was acknowledged; [`Store::acknowledge`] compares.
    /// The last one counts. `false` where the login is not `starting` (any more).
    async fn remember_announcement(&self, note: Note, request: &KeyedHash) -> Result<bool, StoreError>;

    /// Notes that the outcome of a pending login has been announced. `true` once in the life of a login.
    async fn announce(&self, note: Note) -> Result<bool, StoreError>;

    /// Records that tokens came for a login that had ended without a session, and seals them into the outbox, unless their
    /// ID token is that of a login that lives. `true` once in the life of a login.
    async fn drop_tokens(&self, dropped: DropTokens) -> Result<bool, StoreError>;

    /// The pending logins of a node whose outcome has been announced.
    async fn announced(&self, owner: NodeId) -> Result<Vec<LoginId>, StoreError>;

    /// Whether a login is pending and its outcome has been announced.
    async fn is_announced(&self, login_id: LoginId) -> Result<bool, StoreError>;

    /// A login by its identifier.
    async fn login(&self, login_id: LoginId) -> Result<Option<Login>, StoreError>;

    /// The present versions, for those of `logins` that exist: the safety net of waiting clients.
    async fn login_versions(&self, logins: &[LoginId]) -> Result<Vec<(LoginId, u32)>, StoreError>;

    /// Logins that nobody has ended in time: `pending` and `starting` that were due before `owners_before`,
    /// `approved` whose window closed before `now`. At most `limit`.
    async fn overdue_logins(
        &self,
        now: Timestamp,
        owners_before: Timestamp,
        limit: u32,
    ) -> Result<Vec<(LoginId, LoginStatus)>, StoreError>;

    // --- grants -------------------------------------------------------------------------------------------

    /// Opens a grant.
    async fn grant(&self, grant_id: GrantId) -> Result<Option<GrantSecrets>, StoreError>;

    /// Seals userinfo and the completed claims into a grant that still has its tokens; `false` where it has not.
    async fn complete_grant(
        &self,
        grant_id: GrantId,
        claims: &GrantClaims,
        document: &Secret,
    ) -> Result<bool, StoreError>;

    // --- sessions -----------------------------------------------------------------------------------------

    /// `approved` → `picked_up` with a new session, or the repetition (see [`PickUpOutcome`]).
    async fn pick_up(&self, pick_up: PickUp, by: &Actor) -> Result<PickUpOutcome, StoreError>;

    /// What a handle opens, by any of its candidate hashes; `None` for unknown and killed ones.
    async fn session_by_handle(&self, handle: &[KeyedHash]) -> Result<Option<Presented>, StoreError>;

    /// The first use of a handle, and the time of use where `touch` and where it is older than
    /// [`crate::domain::session::USE_WRITE_LAG`].
    async fn record_use(&self, used: RecordUse) -> Result<UseOutcome, StoreError>;

    /// Chooses the *situation d'exercice* of an active session.
    async fn choose_exercice(
        &self,
        session_id: SessionId,
        attempt: Attempt,
        now: Timestamp,
        exercice: &str,
        by: &Actor,
    ) -> Result<SessionTransition, StoreError>;

    /// `active` → `ended`.
    async fn end_session(&self, end: EndSession, by: &Actor) -> Result<SessionTransition, StoreError>;

    /// Records that `owner` sends a session's refresh token. At most one attempt is under way over all nodes, and one
    /// whose outcome nobody knows is followed by one further attempt with the same token.
    async fn claim_refresh(&self, claim: ClaimRefresh) -> Result<RefreshClaim, StoreError>;

    /// Replaces the tokens of an active session, if they are still those that were to be replaced; whoever brings them.
    async fn renew(&self, renewal: Renewal) -> Result<RenewalOutcome, StoreError>;

    /// Notes that an attempt brought nothing. Where it is not the present one any more nothing is written.
    async fn miss_refresh(&self, miss: RefreshMiss) -> Result<(), StoreError>;

    /// `active` → `ended`, if the tokens are still those that the provider refused.
    async fn end_refused(&self, end: EndRefused) -> Result<SessionTransition, StoreError>;

    /// Active sessions that are over at `now` (see [`Session::overdue`]). At most `limit`.
    async fn overdue_sessions(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(SessionId, SessionEndReason)>, StoreError>;

    /// The present versions, for those of `sessions` that exist.
    async fn session_versions(&self, sessions: &[SessionId]) -> Result<Vec<(SessionId, u32)>, StoreError>;

    /// A session by its identifier.
    async fn session(&self, session_id: SessionId) -> Result<Option<Session>, StoreError>;

    // --- nodes --------------------------------------------------------------------------------------------

    /// Enters or renews this node's lease of `length`, in database time. The node counts it from before the call.
    async fn renew_lease(&self, node: NodeId, length: Duration) -> Result<(), StoreError>;

    /// Takes over the logins of `registration` whose owner's lease ended longer ago than `dead_for` says (SQLite,
    /// where the serve lock proves that every other node is dead: all that are not `node`'s). A row that does not
    /// open is left out and logged.
    async fn adopt(
        &self,
        node: NodeId,
        registration: &RegistrationName,
        dead_for: DeadFor,
    ) -> Result<Adopted, StoreError>;

    /// Ends this node's lease, so that others adopt at once.
    async fn leave(&self, node: NodeId) -> Result<(), StoreError>;

    // --- callers ------------------------------------------------------------------------------------------

    /// Takes an assertion, once: `true` for exactly one caller over all nodes, until its time is over. `false` has its
    /// audit record.
    async fn spend_assertion(&self, spend: SpendAssertion, by: &Actor) -> Result<bool, StoreError>;

    // --- upkeep -------------------------------------------------------------------------------------------

    /// Whether a write can be committed now.
    async fn check_writable(&self) -> Result<(), StoreError>;

    /// How much there is.
    async fn counts(&self) -> Result<Counts, StoreError>;

    /// Wipes what is no longer readable and deletes what nobody needs: hints of logins that ended more than
    /// [`crate::domain::login::READABLE_AFTER_END`] ago, replays, assertions, logout tokens and slots past their time, logins and sessions
    /// that ended more than 7 days ago. Bounded per call.
    async fn housekeep(&self, now: Timestamp) -> Result<Purged, StoreError>;
}
