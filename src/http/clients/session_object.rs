//! The session object, as the contract shapes it.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::ids::SessionId;
use crate::domain::registration::Environment;
use crate::domain::secret::SessionHandle;
use crate::domain::session::{SessionState, Upstream};
use crate::domain::subject::Subject;
use crate::domain::support_code::SupportCode;
use crate::domain::time::Timestamp;
use crate::engine::session::SessionView;

/// One session at one moment.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(super) struct SessionObject<'a> {
    /// Not secret.
    session_id: SessionId,
    /// `active`; one that has ended answers 401 `session_ended`.
    #[schema(example = "active")]
    status: &'static str,
    /// The application whose login it came from.
    application: &'a str,
    /// The registration it came over.
    registration: &'a str,
    /// Whether a real person stands behind it.
    environment: Environment,
    /// The application's own reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reference: Option<&'a str>,
    subject: &'a Subject,
    /// The chosen one, by its id in `subject.exercices`; null until one is chosen.
    exercice: Option<&'a str>,
    /// The level of the authentication, as the provider names it.
    #[schema(example = "eidas1")]
    acr: Option<&'a str>,
    /// How the person was authenticated, as the provider names it.
    amr: &'a [String],
    /// When the person was authenticated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    auth_time: Option<Timestamp>,
    /// The means, where the provider tells (`CARD`, `MOBILE`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    authenticated_by: Option<&'a str>,
    /// `live`; `retrying` where the last refresh at the provider has failed: the session goes on, a later use tries again.
    upstream: Upstream,
    /// When it was picked up.
    created_at: Timestamp,
    /// Its absolute end.
    expires_at: Timestamp,
    /// The same in seconds from the answer.
    expires_in: u64,
    /// Its end without a further use.
    idle_expires_at: Timestamp,
    /// The same in seconds from the answer.
    idle_expires_in: u64,
    /// What the person reads out to the help desk.
    support_code: &'a SupportCode,
    /// Opens this session. Secret; only in the answer to a pick-up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "rsh_…")]
    session_handle: Option<&'a str>,
}

impl<'a> SessionObject<'a> {
    pub(super) fn of(view: &'a SessionView, now: Timestamp) -> Self {
        let SessionView { session, claims } = view;
        let idle_expires_at = session.idle_expires_at();
        Self {
            session_id: session.session_id,
            status: status_of(session.state),
            application: session.application.as_str(),
            registration: session.registration.as_str(),
            environment: session.environment,
            reference: session.reference.as_deref(),
            subject: &claims.subject,
            exercice: session.exercice.as_deref(),
            acr: claims.acr.as_deref(),
            amr: &claims.amr,
            auth_time: claims.auth_time,
            authenticated_by: claims.authenticated_by.as_deref(),
            upstream: session.upstream(),
            created_at: session.created_at,
            expires_at: session.expires_at,
            expires_in: session.expires_at.seconds_from(now),
            idle_expires_at,
            idle_expires_in: idle_expires_at.seconds_from(now),
            support_code: &session.support_code,
            session_handle: None,
        }
    }

    /// The same with the handle that opens it: the answer to a pick-up.
    pub(super) fn with_handle(self, handle: &'a SessionHandle) -> Self {
        Self { session_handle: Some(handle.0.expose()), ..self }
    }

    /// The answer with this object.
    pub(super) fn answer(&self, status: StatusCode) -> Response {
        (status, Json(self)).into_response()
    }
}

/// The word for a session's state.
pub(super) const fn status_of(state: SessionState) -> &'static str {
    match state {
        SessionState::Active => "active",
        SessionState::Ended { .. } => "ended",
    }
}
