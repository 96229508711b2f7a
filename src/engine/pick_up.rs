//! Picking a session up: the login token is exchanged for a session handle, once, and again where the answer was
//! lost. A handle that has been used is never replaced.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::ports::{Actor, EndLogin, PickUp, PickUpOutcome, SessionTransition, SlotFate, StoreError};
use super::read_login::{ReadLoginError, TokenCall};
use super::session::SessionView;
use super::{CutShort, Engine};
use crate::crypto::token::{draw_session_handle, hash_handle};
use crate::domain::grant::{GrantClaims, Tokens};
use crate::domain::ids::{LoginId, SessionId};
use crate::domain::login::{EndStatus, Login, LoginReason, LoginState, LoginStatus};
use crate::domain::random::uuid_v7;
use crate::domain::secret::SessionHandle;
use crate::domain::session::{RefreshState, Session, SessionEndReason, SessionState};
use crate::telemetry::error_chain::ErrorChain;
use crate::telemetry::metrics;

/// A pick-up, as the holder of the login token asks for it.
pub struct PickUpCall {
    /// The token, and what the connection carries.
    pub token: TokenCall,
    /// How long to wait for the decision; `None`: not at all.
    pub wait: Option<Duration>,
    /// Who the caller thinks it is: compared with `national_id`, else with `sub` (R-E-12).
    pub expected_subject: Option<String>,
    /// The *situation d'exercice* to choose.
    pub exercice: Option<String>,
    /// For the audit record.
    pub by: Actor,
}

/// A session and the handle that opens it.
pub struct PickedUp {
    /// The session.
    pub view: SessionView,
    /// Shown once.
    pub handle: SessionHandle,
}

/// Why there is no session to hand over.
#[derive(Debug, Error)]
pub enum PickUpError {
    /// The handle was used, or the time to repeat is over.
    #[error("the login has been picked up")]
    AlreadyPickedUp(Box<Login>),
    /// The task died: a defect.
    #[error("the pick-up was cut short")]
    CutShort(#[source] CutShort),
    /// The subject has no such *situation d'exercice*; the login stays approved.
    #[error("no exercice by that id")]
    ExerciceUnknown(Box<Login>),
    /// Another person than expected; the login has failed.
    #[error("the session belongs to another person than expected")]
    IdentityMismatch(Box<Login>),
    /// Neither approved nor, without a wait, about to be.
    #[error("the login is not approved")]
    NotApproved(Box<Login>),
    /// The registration has been switched off since; the login has failed.
    #[error("the registration is disabled")]
    PolicyNotMet(Box<Login>),
    /// The token opens no login.
    #[error("the login could not be read")]
    Read(#[from] ReadLoginError),
    /// Still open after the wait.
    #[error("the login is still open")]
    StillOpen(Box<Login>),
    /// The store could not say.
    #[error("the login could not be picked up")]
    Store(#[from] StoreError),
}

impl Engine {
    /// Exchanges an approved login for a session.
    pub async fn pick_up(self: &Arc<Self>, call: PickUpCall) -> Result<PickedUp, PickUpError> {
        let waiting = call.wait.map(|wait| (wait, self.listen(LoginId(call.token.login_id))));
        let mut login = self.read_login(&call.token).await?;
        if let Some((wait, ear)) = waiting {
            login = self.wait_until(ear, login, wait, |shown| !shown.status.is_open()).await?;
        }
        let shown = login.shown(self.clock.now());
        if shown.status.is_open() && call.wait.is_some() {
            return Err(PickUpError::StillOpen(Box::new(login)));
        }
        if !matches!(shown.status, LoginStatus::Approved | LoginStatus::PickedUp) {
            return Err(PickUpError::NotApproved(Box::new(login)));
        }
        let engine = self.clone();
        self.detached(async move { engine.hand_over(login, call).await })
            .await
            .map_err(PickUpError::CutShort)?
    }

    /// Detached: runs to its end.
    async fn hand_over(self: Arc<Self>, login: Login, call: PickUpCall) -> Result<PickedUp, PickUpError> {
        if !self.allows(&login) {
            return Err(self.refuse(&login, LoginReason::PolicyNotMet, &call.by).await?);
        }
        if matches!(login.state, LoginState::PickedUp { .. }) {
            return self.repeat(login, call).await;
        }
        let grant = self.store.grant(login.grant_id).await?;
        let Some((tokens, claims)) = grant.and_then(|grant| Some((grant.tokens?, grant.claims?))) else {
            // Wiped: the login, or its session, has ended since it was read.
            return Err(self.not_approved(&login).await?);
        };
        let claims = self.claims_of_login(&login, claims).await?;
        if !is_expected(&claims, &call) {
            return Err(self.refuse(&login, LoginReason::IdentityMismatch, &call.by).await?);
        }
        if !has_exercice(&claims, &call) {
            return Err(PickUpError::ExerciceUnknown(Box::new(login)));
        }
        let session = self.new_session(&login, Some(&tokens), call.exercice.clone());
        let (session, handle) = self.write_pick_up(&login, session, &call.by).await?;
        Ok(PickedUp { view: SessionView { session, claims }, handle })
    }

    /// The answer of a pick-up was lost. The store decides first whether it may be repeated at all.
    async fn repeat(self: Arc<Self>, login: Login, call: PickUpCall) -> Result<PickedUp, PickUpError> {
        let session = self.new_session(&login, None, None);
        let (session, handle) = self.write_pick_up(&login, session, &call.by).await?;
        let grant = self.store.grant(login.grant_id).await?;
        let Some(claims) = grant.and_then(|grant| grant.claims) else {
            // The session has ended since.
            return Err(PickUpError::AlreadyPickedUp(Box::new(login)));
        };
        let claims = self.claims_of_login(&login, claims).await?;
        if !is_expected(&claims, &call) {
            return Err(self.refuse(&login, LoginReason::IdentityMismatch, &call.by).await?);
        }
        if !has_exercice(&claims, &call) {
            return Err(PickUpError::ExerciceUnknown(Box::new(login)));
        }
        let session = self.with_exercice(session, call).await?;
        Ok(PickedUp { view: SessionView { session, claims }, handle })
    }

    /// A repetition may choose another *exercice* than the pick-up whose answer was lost.
    async fn with_exercice(&self, session: Session, call: PickUpCall) -> Result<Session, StoreError> {
        let Some(exercice) = call.exercice.filter(|id| session.exercice.as_ref() != Some(id)) else {
            return Ok(session);
        };
        let (session_id, now) = (session.session_id, self.clock.now());
        let chosen = self.store.choose_exercice(session_id, self.attempt(), now, &exercice, &call.by).await?;
        self.session_changed(session_id);
        Ok(match chosen {
            SessionTransition::Won(session) | SessionTransition::Lost(session) => *session,
            SessionTransition::NotFound => session,
        })
    }

    /// Draws a handle and lets the store exchange the login for it.
    async fn write_pick_up(
        &self,
        login: &Login,
        session: Session,
        by: &Actor,
    ) -> Result<(Session, SessionHandle), PickUpError> {
        let now = self.clock.now();
        let handle = draw_session_handle(&*self.random);
        let pick_up = PickUp {
            session,
            attempt: self.attempt(),
            now,
            handle: hash_handle(&self.ring, &handle),
            repeatable_until: now + self.pick_up_repeat(login),
        };
        let session = match self.store.pick_up(pick_up, by).await? {
            PickUpOutcome::First(session) => {
                metrics::login_ended(&login.registration, LoginStatus::PickedUp.as_str());
                self.login_changed(login.login_id);
                self.end_surplus_sessions(&session, by).await;
                session
            }
            PickUpOutcome::Repeated(session) => session,
            PickUpOutcome::NotApproved(login) => return Err(PickUpError::NotApproved(login)),
            PickUpOutcome::AlreadyPickedUp(login) => return Err(PickUpError::AlreadyPickedUp(login)),
            PickUpOutcome::NotFound => return Err(ReadLoginError::NotFound.into()),
        };
        tracing::info!(
            login.id = %login.login_id,
            session.id = %session.session_id,
            support_code = %session.support_code,
            "a session has been picked up"
        );
        Ok((*session, handle))
    }

    /// A newer session takes the place of the oldest ones where the person has too many at this application (R-E-10). The
    /// pick-up has happened, whatever becomes of them.
    async fn end_surplus_sessions(&self, session: &Session, by: &Actor) {
        let policy =
            self.directory.load().application(&session.application).map(|application| application.session);
        let Some(policy) = policy else { return };
        let ended = async {
            for older in self.store.surplus_sessions(session.session_id, policy.per_person).await? {
                self.end_session_for(older, SessionEndReason::Superseded, by).await?;
            }
            Ok::<(), StoreError>(())
        };
        if let Err(error) = ended.await {
            tracing::warn!(
                error = %ErrorChain(&error),
                session.id = %session.session_id,
                "a person keeps more sessions than the application allows"
            );
        }
    }

    /// The decisions that are made again at pick-up.
    fn allows(&self, login: &Login) -> bool {
        let directory = self.directory.load();
        directory.is_enabled(&login.registration)
            && directory.application(&login.application).is_some_and(|application| {
                application.enabled && application.registrations.contains(&login.registration)
            })
    }

    /// Ends the login, or the session that it has become.
    async fn refuse(
        &self,
        login: &Login,
        reason: LoginReason,
        by: &Actor,
    ) -> Result<PickUpError, StoreError> {
        if let LoginState::PickedUp { session_id, .. } = login.state {
            self.end_session_for(session_id, SessionEndReason::Revoked, by).await?;
        } else {
            self.fail_approved(login, reason, by).await?;
        }
        Ok(match reason {
            LoginReason::IdentityMismatch => PickUpError::IdentityMismatch(Box::new(login.clone())),
            _ => PickUpError::PolicyNotMet(Box::new(login.clone())),
        })
    }

    async fn not_approved(&self, login: &Login) -> Result<PickUpError, StoreError> {
        Ok(match self.store.login(login.login_id).await? {
            Some(login) if matches!(login.state, LoginState::PickedUp { .. }) => {
                PickUpError::AlreadyPickedUp(Box::new(login))
            }
            Some(login) => PickUpError::NotApproved(Box::new(login)),
            None => ReadLoginError::NotFound.into(),
        })
    }

    async fn fail_approved(&self, login: &Login, reason: LoginReason, by: &Actor) -> Result<(), StoreError> {
        let end = EndLogin {
            login_id: login.login_id,
            attempt: self.attempt(),
            from: &[LoginStatus::Approved],
            owner: None,
            now: self.clock.now(),
            status: EndStatus::Failed,
            reason,
            slot: SlotFate::Free,
            hidden_until: None,
        };
        self.end(end, by).await.map(|_| ())
    }

    /// The session to be; without tokens, one that a repetition does not need.
    fn new_session(&self, login: &Login, tokens: Option<&Tokens>, exercice: Option<String>) -> Session {
        let now = self.clock.now();
        let policy =
            self.directory.load().application(&login.application).map(|application| application.session);
        let idle = policy.map_or(Duration::from_mins(30), |policy| policy.idle);
        let absolute = policy.map_or(Duration::from_hours(4), |policy| policy.absolute);
        let arrived = match login.state {
            LoginState::Approved { at, .. } => at,
            _ => now,
        };
        Session {
            session_id: SessionId(uuid_v7(&*self.random, now)),
            login_id: login.login_id,
            grant_id: login.grant_id,
            tenant: login.tenant.clone(),
            application: login.application.clone(),
            registration: login.registration.clone(),
            provider: login.provider.clone(),
            environment: login.environment,
            support_code: login.support_code.clone(),
            reference: login.reference.clone(),
            x5t: login.x5t.clone(),
            exercice,
            created_at: now,
            expires_at: arrived + absolute,
            idle,
            last_used_at: now,
            grant_expires_at: tokens.and_then(|tokens| tokens.refresh_expires_at),
            refresh: tokens
                .map_or_else(RefreshState::default, |tokens| RefreshState::of_new_tokens(tokens, arrived)),
            version: 1,
            attempt: self.attempt(),
            state: SessionState::Active,
        }
    }

    fn pick_up_repeat(&self, login: &Login) -> Duration {
        self.directory
            .load()
            .application(&login.application)
            .map_or(Duration::from_mins(1), |application| application.pick_up_repeat)
    }
}

/// Whether it is the person that the caller thinks it is.
fn is_expected(claims: &GrantClaims, call: &PickUpCall) -> bool {
    let subject = &claims.subject;
    call.expected_subject
        .as_ref()
        .is_none_or(|expected| subject.national_id.as_ref() == Some(expected) || subject.sub == *expected)
}

fn has_exercice(claims: &GrantClaims, call: &PickUpCall) -> bool {
    call.exercice.as_ref().is_none_or(|id| claims.subject.exercices.iter().any(|known| known.id == *id))
}
