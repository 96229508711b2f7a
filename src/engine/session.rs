//! What the holder of a session handle may do: read, use, choose an *exercice*, listen, end.
//!
//! The first successful presentation of a handle, of any kind, is committed before the answer: from then on a
//! repeated pick-up cannot replace it. Decisions are made again at each use.

use std::sync::Arc;

use thiserror::Error;

use super::authenticate::{CallerCertificate, certificate_matches};
use super::hub::Subscription;
use super::ports::{Actor, Changed, Presented, RecordUse, SessionTransition, StoreError, UseOutcome};
use super::readings::Readings;
use super::{CutShort, Engine};
use crate::crypto::ring::KeyedHash;
use crate::crypto::token::handle_candidates;
use crate::domain::application::Application;
use crate::domain::grant::GrantClaims;
use crate::domain::ids::{GrantId, SessionId};
use crate::domain::secret::{Secret, SessionHandle};
use crate::domain::session::{READABLE_AFTER_END, Session, SessionEndReason, SessionState, USE_WRITE_LAG};
use crate::domain::support_code::SupportCode;

/// A session, and what its grant says.
pub struct SessionView {
    /// The session.
    pub session: Session,
    /// Who it is.
    pub claims: GrantClaims,
}

/// Who presents a handle.
pub struct HandleCall {
    /// The handle.
    pub handle: SessionHandle,
    /// The connection's client certificate.
    pub certificate: Option<CallerCertificate>,
    /// The back end that acts with it, by its own credential; `None`: whoever holds it.
    pub back_end: Option<Arc<Application>>,
    /// For the audit record.
    pub by: Actor,
}

/// Why a handle opens nothing.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The application is switched off.
    #[error("the application is disabled")]
    ApplicationDisabled,
    /// The application authenticates by certificate, and the connection carries none of its own.
    #[error("the connection carries no certificate of the application")]
    CertificateMissing,
    /// The task died: a defect.
    #[error("the call was cut short")]
    CutShort(#[source] CutShort),
    /// The session has ended.
    #[error("the session has ended")]
    Ended {
        /// The session's.
        support_code: SupportCode,
        /// Why.
        reason: SessionEndReason,
    },
    /// The subject has no such *situation d'exercice*.
    #[error("no exercice by that id")]
    ExerciceUnknown(SupportCode),
    /// Unknown, killed by a repeated pick-up, or too old.
    #[error("the handle opens nothing")]
    HandleInvalid,
    /// The store could not say.
    #[error("the session could not be read")]
    Store(#[from] StoreError),
    /// The provider does not give userinfo now.
    #[error("userinfo could not be read")]
    UserinfoUnavailable(SupportCode),
}

/// What the uses of one session that come at the same time ask the store for once. None of it depends on who asks: what
/// each may do is decided for each, by what was read after it had come.
#[derive(Default)]
pub(super) struct Uses {
    opened: Readings<Vec<KeyedHash>, Shared<Option<Presented>>>,
    /// By handle. Only of one that has been used before: a first use is somebody's own, and wins or loses.
    touched: Readings<[u8; 32], Shared<UseOutcome>>,
    userinfo: Readings<GrantId, Shared<Option<Secret>>>,
}

/// As everybody is told it.
type Shared<T> = Result<Result<T, StoreError>, CutShort>;

impl Engine {
    /// The session behind a handle; with `touch` this is a use, which keeps it alive, here and at the provider.
    pub async fn use_session(
        self: &Arc<Self>,
        call: &HandleCall,
        touch: bool,
    ) -> Result<SessionView, SessionError> {
        let presented = self.present(call).await?;
        let session = self.record(&presented, touch).await?;
        if touch {
            self.keep_alive(&session);
        }
        let known = presented.claims.ok_or(SessionError::HandleInvalid)?;
        let claims = self.claims_of_session(&session, touch, known).await?;
        if touch && !claims.subject.complete {
            // What was waited for may have been a refusal: nobody is shown a session that is over.
            let now = self.store.session(session.session_id).await?.ok_or(SessionError::HandleInvalid)?;
            if let SessionState::Ended { .. } = now.state {
                return Err(ended(&now));
            }
        }
        Ok(SessionView { session, claims })
    }

    /// The provider's userinfo, complete and unflattened: a JSON object. A use.
    pub async fn session_userinfo(
        self: &Arc<Self>,
        call: &HandleCall,
    ) -> Result<(Session, Secret), SessionError> {
        let view = self.use_session(call, true).await?;
        let (engine, grant_id) = (self.clone(), view.session.grant_id);
        let read = async move {
            let store = Arc::clone(&engine.store);
            engine.detached(async move { Ok(store.grant(grant_id).await?.and_then(|it| it.userinfo)) }).await
        };
        match self.uses.userinfo.share(grant_id, read).await.map_err(SessionError::CutShort)?? {
            Some(document) => Ok((view.session, document)),
            None => Err(SessionError::UserinfoUnavailable(view.session.support_code)),
        }
    }

    /// Chooses the *situation d'exercice*.
    pub async fn choose_exercice(
        self: &Arc<Self>,
        call: &HandleCall,
        exercice: String,
    ) -> Result<SessionView, SessionError> {
        let view = self.use_session(call, false).await?;
        if !view.claims.subject.exercices.iter().any(|known| known.id == exercice) {
            return Err(SessionError::ExerciceUnknown(view.session.support_code));
        }
        let (engine, by, session_id) = (self.clone(), call.by.clone(), view.session.session_id);
        let chosen = self
            .detached(async move {
                let now = engine.clock.now();
                let chosen =
                    engine.store.choose_exercice(session_id, engine.attempt(), now, &exercice, &by).await;
                engine.session_changed(session_id);
                chosen
            })
            .await
            .map_err(SessionError::CutShort)??;
        match chosen {
            SessionTransition::Won(session) => Ok(SessionView { session: *session, claims: view.claims }),
            SessionTransition::Lost(session) => Err(ended(&session)),
            SessionTransition::NotFound => Err(SessionError::HandleInvalid),
        }
    }

    /// Ends the session: from the answer on, its handle opens nothing.
    pub async fn end_session(self: &Arc<Self>, call: &HandleCall) -> Result<Session, SessionError> {
        let presented = self.present(call).await?;
        self.record(&presented, false).await?;
        let (engine, by, session_id) = (self.clone(), call.by.clone(), presented.session.session_id);
        self.detached(async move { engine.end_session_for(session_id, SessionEndReason::Logout, &by).await })
            .await
            .map_err(SessionError::CutShort)??;
        Ok(presented.session)
    }

    /// Listens to a session: subscribe with this, then read it with [`Engine::session_now`] after each tick.
    pub async fn listen_to_session(
        self: &Arc<Self>,
        call: &HandleCall,
    ) -> Result<(Session, Subscription), SessionError> {
        let presented = self.present(call).await?;
        let ear = self.hub.subscribe(Changed::Session(presented.session.session_id));
        self.record(&presented, false).await?;
        // Read once more: a change between the first reading and the subscription has ticked for nobody.
        let session_id = presented.session.session_id;
        let session = self.store.session(session_id).await?.ok_or(SessionError::HandleInvalid)?;
        Ok((session, ear))
    }

    /// A session as it is now, for whoever listens to it.
    pub async fn session_now(&self, session_id: SessionId) -> Result<Option<Session>, StoreError> {
        self.store.session(session_id).await
    }

    /// What the handle opens: as it is now, or has been since this was asked.
    pub(super) async fn opened(
        self: &Arc<Self>,
        handle: &SessionHandle,
    ) -> Result<Option<Presented>, SessionError> {
        let (engine, candidates) = (self.clone(), handle_candidates(&self.ring, handle));
        let sought = candidates.clone();
        let read = async move {
            let store = Arc::clone(&engine.store);
            engine.detached(async move { store.session_by_handle(&sought).await }).await
        };
        Ok(self.uses.opened.share(candidates, read).await.map_err(SessionError::CutShort)??)
    }

    /// What the handle opens, if every decision still allows it.
    async fn present(self: &Arc<Self>, call: &HandleCall) -> Result<Presented, SessionError> {
        let presented = self.opened(&call.handle).await?.ok_or(SessionError::HandleInvalid)?;
        let session = &presented.session;
        if call.back_end.as_ref().is_some_and(|back_end| !back_end.may_act_with(session)) {
            return Err(SessionError::HandleInvalid);
        }
        let now = self.clock.now();
        let directory = self.directory.load();
        let application = directory.application(&session.application).ok_or(SessionError::HandleInvalid)?;
        // A back end has proven who it is by its own credential.
        if call.back_end.is_none()
            && application.credential.is_certificate()
            && !call.certificate.as_ref().is_some_and(|it| certificate_matches(&application.credential, it))
        {
            return Err(SessionError::CertificateMissing);
        }
        if !application.enabled {
            // Whoever has ended it: of an application that is switched off nothing is answered.
            if session.state == SessionState::Active {
                self.end_presented(session.session_id, SessionEndReason::Revoked, call).await?;
            }
            return Err(SessionError::ApplicationDisabled);
        }
        if let SessionState::Ended { at, .. } = session.state {
            let readable = now < at + READABLE_AFTER_END;
            return Err(if readable { ended(session) } else { SessionError::HandleInvalid });
        }
        let over =
            if directory.allows(session) { session.overdue(now) } else { Some(SessionEndReason::Revoked) };
        if let Some(reason) = over {
            let session = self.end_presented(session.session_id, reason, call).await?;
            return Err(session.as_ref().map_or(SessionError::HandleInvalid, ended));
        }
        Ok(presented)
    }

    async fn end_presented(
        self: &Arc<Self>,
        session_id: SessionId,
        reason: SessionEndReason,
        call: &HandleCall,
    ) -> Result<Option<Session>, SessionError> {
        let (engine, by) = (self.clone(), call.by.clone());
        let ended = self.detached(async move { engine.end_session_for(session_id, reason, &by).await });
        Ok(ended.await.map_err(SessionError::CutShort)??)
    }

    /// Writes the first presentation of a handle and, with `touch`, the time of use. The session as it is shown:
    /// with the ends that are enforced, which the lagging write may put up to 30 s early.
    pub(super) async fn record(
        self: &Arc<Self>,
        presented: &Presented,
        touch: bool,
    ) -> Result<Session, SessionError> {
        let now = self.clock.now();
        let mut session = presented.session.clone();
        let stale = touch && now >= session.last_used_at + USE_WRITE_LAG;
        if presented.used && !stale {
            return Ok(session);
        }
        let (engine, handle, session_id) = (self.clone(), presented.handle, session.session_id);
        let write = async move {
            let store = Arc::clone(&engine.store);
            // Not before whoever shares it has come.
            let used = RecordUse { handle, session_id, now: engine.clock.now(), touch: stale };
            engine.detached(async move { store.record_use(used).await }).await
        };
        let outcome = if presented.used { self.uses.touched.share(handle, write).await } else { write.await };
        match outcome.map_err(SessionError::CutShort)?? {
            UseOutcome::Recorded => {
                if stale {
                    session.last_used_at = now;
                }
                Ok(session)
            }
            UseOutcome::HandleDead => Err(SessionError::HandleInvalid),
            UseOutcome::SessionOver => {
                let session = self.store.session(session.session_id).await?;
                Err(session.as_ref().map_or(SessionError::HandleInvalid, ended))
            }
        }
    }
}

/// The error that an ended session is; a race that finds it still active is told as idle, its only near cause.
pub(super) fn ended(session: &Session) -> SessionError {
    let reason = match session.state {
        SessionState::Ended { reason, .. } => reason,
        SessionState::Active => SessionEndReason::Idle,
    };
    SessionError::Ended { support_code: session.support_code.clone(), reason }
}
