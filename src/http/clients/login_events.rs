//! `GET /v1/logins/{login_id}/events`: the login object at every change, newest state only.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

use super::login_object::LoginObject;
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
