//! `GET /v1/session/events`: tells whoever holds the handle that the session ended, and why; then closes.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::session_object::status_of;
use super::stream::{self, COMMENT, RETRY, SILENCE};
use super::{ClientsState, errors};
use crate::domain::ids::SessionId;
use crate::domain::session::{Session, SessionEndReason, SessionState};
use crate::engine::Engine;
use crate::engine::hub::Subscription;
use crate::http::extract::{HandleHolder, Query};
use crate::http::front::RequestContext;
use crate::http::problem::Problem;
use crate::telemetry::error_chain::ErrorChain;

/// Follow a session
///
/// Server-sent events. `event: session`, `data: {session_id, status, reason?}`; a comment every 15 s. Closed with the
/// session. Listening is no use of it.
#[utoipa::path(
    get, path = "/v1/session/events", operation_id = "followSession", tag = "Session",
    security(("session_handle" = [])),
    responses((status = 200, description = "The stream.", body = SessionEvent,
        content_type = "text/event-stream")),
)]
pub(super) async fn handle(
    State(state): State<ClientsState>,
    context: RequestContext,
    HandleHolder(call): HandleHolder,
    query: Query,
) -> Result<Response, Problem> {
    query.finish()?;
    let (session, ear) =
        state.engine.listen_to_session(&call).await.map_err(|error| errors::session(&error))?;
    context.note_session(&session);
    let mut events =
        Events { engine: state.engine, ear, session_id: session.session_id, sent: None, closing: false };
    let first = format!("{RETRY}\n{}", events.tell(&session));
    Ok(stream::answer(futures_util::stream::unfold(
        (Some(first), events),
        |(first, mut events)| async move {
            let chunk = match first {
                Some(first) => first,
                None => events.next().await?,
            };
            Some((chunk, (None, events)))
        },
    )))
}

/// What an event of a session says.
#[derive(Serialize, ToSchema)]
struct SessionEvent {
    session_id: SessionId,
    /// `active` or `ended`.
    status: &'static str,
    /// Why it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<SessionEndReason>,
}

/// One stream.
struct Events {
    engine: Arc<Engine>,
    ear: Subscription,
    session_id: SessionId,
    /// The version that the client has.
    sent: Option<u32>,
    /// Nothing further comes.
    closing: bool,
}

impl Events {
    /// The next chunk; `None` closes.
    async fn next(&mut self) -> Option<String> {
        if self.closing {
            return None;
        }
        let quiet = self.engine.clock().monotonic() + SILENCE;
        loop {
            tokio::select! {
                () = self.ear.changed() => {}
                () = self.engine.clock().sleep_until(quiet) => return Some(COMMENT.to_owned()),
                () = self.engine.draining().cancelled() => return None,
            }
            match self.engine.session_now(self.session_id).await {
                Ok(Some(session)) => {
                    let told = self.tell(&session);
                    if !told.is_empty() {
                        return Some(told);
                    }
                }
                Ok(None) => return None,
                Err(error) => {
                    tracing::debug!(error = %ErrorChain(&error), "an event stream is closed");
                    return None;
                }
            }
        }
    }

    /// The event for what the client does not have yet; empty where it has it. Notes whether it was the last.
    fn tell(&mut self, session: &Session) -> String {
        self.ear.seen(session.version);
        if self.sent == Some(session.version) {
            return String::new();
        }
        self.sent = Some(session.version);
        let reason = match session.state {
            SessionState::Active => None,
            SessionState::Ended { reason, .. } => Some(reason),
        };
        self.closing = reason.is_some();
        let event = SessionEvent { session_id: session.session_id, status: status_of(session.state), reason };
        match serde_json::to_string(&event) {
            Ok(data) => stream::event("session", session.version, &data),
            Err(error) => {
                tracing::error!(error = %ErrorChain(&error), "a session event cannot be written");
                self.closing = true;
                String::new()
            }
        }
    }
}
