//! `GET /v1/logins/{login_id}`: the login object, now or at its next change. Always 200: pending is a status.

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::login_object::LoginObject;
use super::{ClientsState, errors};
use crate::http::extract::{Query, TokenHolder, Waiting};
use crate::http::front::RequestContext;
use crate::http::problem::Problem;

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

pub(super) async fn handle(
    State(state): State<ClientsState>,
    context: RequestContext,
    TokenHolder(call): TokenHolder,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let waiting = Waiting::of(&headers, &mut query);
    query.finish()?;
    let login = match waiting.wait {
        Some(wait) => state.engine.wait_login(&call, waiting.after, wait).await,
        None => state.engine.read_login(&call).await,
    }
    .map_err(|error| errors::read(&error))?;
    context.note_login(&login);
    let now = state.engine.clock().now();
    let mut answer = LoginObject::of(&login, now, context.language).answer(StatusCode::OK, context.language);
    confirm(&mut answer, waiting);
    Ok(answer)
}

/// Says that a preference was honoured (RFC 7240 §3).
pub(super) fn confirm(answer: &mut Response, waiting: Waiting) {
    let applied = waiting.applied.and_then(|seconds| HeaderValue::from_str(&format!("wait={seconds}")).ok());
    if let Some(applied) = applied {
        answer.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
}
