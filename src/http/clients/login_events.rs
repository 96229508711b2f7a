//! `GET /v1/logins/{login_id}/events`: the login object at every change, newest state only.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use utoipa::IntoParams;

use super::login_object::LoginObject;
use super::read_login::LoginPath;
use super::stream::{self, COMMENT, RETRY, SILENCE};
use super::{ClientsState, errors};
use crate::domain::clock::Monotonic;
use crate::domain::login::Login;
use crate::domain::texts::Language;
use crate::engine::Engine;
use crate::engine::read_login::TokenCall;
use crate::http::extract::{Query, TokenHolder, last_event_id};
use crate::http::front::RequestContext;
use crate::http::problem::Problem;
use crate::telemetry::error_chain::ErrorChain;

/// How long a stream lives; the client connects again.
const LIFE: Duration = Duration::from_mins(5);

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "the shape for the OpenAPI document")]
struct LastEvent {
    /// The `id` of the last event that arrived, after a cut: the stream begins with what is newer.
    #[param(rename = "Last-Event-ID", example = "3")]
    last_event_id: Option<String>,
}

/// Follow a login
///
/// Server-sent events. `event: login`, `id:` its version, `data:` the login object on one line. The first comes at
/// once, then one per change, only the newest state; a comment every 15 s. Closed after an end or a pick-up, and
/// after 5 minutes: connect again.
#[utoipa::path(
    get, path = "/v1/logins/{login_id}/events", operation_id = "followLogin", tag = "Logins",
    security(("login_token" = [])),
    params(LoginPath, LastEvent),
    responses((status = 200, description = "The stream.", body = LoginObject<'static>,
        content_type = "text/event-stream")),
)]
pub(super) async fn handle(
    State(state): State<ClientsState>,
    context: RequestContext,
    TokenHolder(call): TokenHolder,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.finish()?;
    let engine = state.engine;
    let login = engine.read_login(&call).await.map_err(|error| errors::read(&error))?;
    context.note_login(&login);
    let deadline = engine.clock().monotonic() + LIFE;
    let mut events = Events {
        engine,
        call,
        language: context.language,
        sent: last_event_id(&headers),
        deadline,
        closing: false,
    };
    let first = format!("{RETRY}\n{}", events.tell(&login));
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

/// One stream.
struct Events {
    engine: Arc<Engine>,
    call: TokenCall,
    language: Language,
    /// The version that the client has.
    sent: Option<u32>,
    deadline: Monotonic,
    /// Nothing further comes.
    closing: bool,
}

impl Events {
    /// The next chunk; `None` closes. The token is looked up again each time, so that a switch that was turned off
    /// closes the stream too.
    async fn next(&mut self) -> Option<String> {
        let left = self.deadline.since(self.engine.clock().monotonic());
        if self.closing || left.is_zero() || self.engine.draining().is_cancelled() {
            return None;
        }
        let after = self.sent.unwrap_or_default();
        match self.engine.follow_login(&self.call, after, SILENCE.min(left)).await {
            Ok(login) => {
                let told = self.tell(&login);
                let over = self.closing || self.engine.draining().is_cancelled();
                match told.is_empty() {
                    true if over => None,
                    true => Some(COMMENT.to_owned()),
                    false => Some(told),
                }
            }
            Err(error) => {
                tracing::debug!(error = %ErrorChain(&error), "an event stream is closed");
                None
            }
        }
    }

    /// The event for what the client does not have yet; empty where it has it. Notes whether it was the last.
    fn tell(&mut self, login: &Login) -> String {
        let now = self.engine.clock().now();
        let shown = login.shown(now);
        self.closing = shown.status.is_terminal();
        if self.sent == Some(shown.version) {
            return String::new();
        }
        self.sent = Some(shown.version);
        match serde_json::to_string(&LoginObject::of(login, now, self.language)) {
            Ok(data) => stream::event("login", shown.version, &data),
            Err(error) => {
                tracing::error!(error = %ErrorChain(&error), "a login object cannot be written");
                self.closing = true;
                String::new()
            }
        }
    }
}
