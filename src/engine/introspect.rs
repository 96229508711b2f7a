//! What a back end is told of a token that somebody has shown it (RFC 7662).
//!
//! A session handle, of the caller's own or of an application that it acts for, that opens a live session: that is
//! active. Everything else is not, whatever is wrong with it, and is found out by one look-up, or by none where the form
//! alone says so. Introspection is no use of a session unless the caller says so; then it is one like any other.

use std::sync::Arc;

use thiserror::Error;

use super::ports::{Actor, StoreError};
use super::session::{HandleCall, SessionError, SessionView};
use super::{CutShort, Engine};
use crate::crypto::token::{Parsed, parse};
use crate::domain::application::Application;
use crate::domain::secret::{Secret, SessionHandle};
use crate::domain::session::SessionState;

/// A question about a token.
pub struct Introspection {
    /// Who asks.
    pub caller: Arc<Application>,
    /// The token, of any form.
    pub token: Secret,
    /// Whether it is a use of the session.
    pub touch: bool,
    /// For the audit record.
    pub by: Actor,
}

/// Why nobody can say.
#[derive(Debug, Error)]
pub enum IntrospectError {
    /// The task died: a defect.
    #[error("the call was cut short")]
    CutShort(#[source] CutShort),
    /// The store could not say.
    #[error("the session could not be read")]
    Store(#[from] StoreError),
}

impl Engine {
    /// The live session that the token opens to the caller; `None` for everything else.
    pub async fn introspect(
        self: &Arc<Self>,
        asked: Introspection,
    ) -> Result<Option<SessionView>, IntrospectError> {
        let Parsed::SessionHandle(handle) = parse(asked.token.expose()) else { return Ok(None) };
        let answer = if asked.touch {
            let call = HandleCall { handle, certificate: None, back_end: Some(asked.caller), by: asked.by };
            self.use_session(&call, true).await.map(Some)
        } else {
            self.look_at(&asked.caller, &handle).await
        };
        match answer {
            Ok(view) => Ok(view),
            Err(SessionError::CutShort(source)) => Err(IntrospectError::CutShort(source)),
            Err(SessionError::Store(source)) => Err(IntrospectError::Store(source)),
            Err(
                SessionError::ApplicationDisabled
                | SessionError::CertificateMissing
                | SessionError::Ended { .. }
                | SessionError::ExerciceUnknown(_)
                | SessionError::HandleInvalid
                | SessionError::UserinfoUnavailable(_),
            ) => Ok(None),
        }
    }

    /// The same without a use. A session that is over is left to whoever ends it: nothing is written about a handle that
    /// opens nothing.
    async fn look_at(
        self: &Arc<Self>,
        caller: &Application,
        handle: &SessionHandle,
    ) -> Result<Option<SessionView>, SessionError> {
        let Some(presented) = self.opened(handle).await? else { return Ok(None) };
        let session = &presented.session;
        let is_live = caller.may_act_with(session)
            && session.state == SessionState::Active
            && session.overdue(self.clock.now()).is_none()
            && self.directory.load().allows(session);
        if !is_live {
            return Ok(None);
        }
        // The caller relies on the handle from now on: no repeated pick-up may kill it any more.
        let session = self.record(&presented, false).await?;
        Ok(presented.claims.map(|claims| SessionView { session, claims }))
    }
}
