//! `POST /providers/{registration}/backchannel-logout`: a provider says that somebody has left (OpenID Connect Back-Channel
//! Logout §2.5 to §2.8).
//!
//! 200 once everything has ended, also where there was nothing. A token that does not count is 400, with one body whatever
//! is wrong with it or with the registration. Where Relais cannot say, it is 503: the provider may come again.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;
use url::form_urlencoded;

use super::ProvidersState;
use crate::domain::secret::Secret;
use crate::engine::backchannel_logout::BackchannelLogoutError;
use crate::engine::ports::ActorKind;
use crate::http::extract::receive_form;
use crate::http::front::RequestContext;
use crate::http::problem::{Code, Problem};

/// A token has at most 32 KiB, and is not much longer in a form.
const MAX: usize = 48 * 1024;

pub(super) async fn handle(
    State(state): State<ProvidersState>,
    registration: Result<Path<String>, PathRejection>,
    context: RequestContext,
    request: Request,
) -> Result<StatusCode, Response> {
    let Ok(Path(registration)) = registration else { return Err(refusal()) };
    let (parts, body) = request.into_parts();
    let form = receive_form(&parts.headers, body, MAX).await.map_err(IntoResponse::into_response)?;
    let logout_token = logout_token(form.expose()).ok_or_else(refusal)?;
    let by = context.actor(ActorKind::Provider);
    match state.engine.backchannel_logout(&registration, logout_token, by).await {
        Ok(()) => Ok(StatusCode::OK),
        Err(error) => Err(refused(&error)),
    }
}

/// The one parameter that counts. Others are ignored; twice the same is none.
fn logout_token(form: &[u8]) -> Option<Secret> {
    let mut found = form_urlencoded::parse(form).filter(|(name, _)| name == "logout_token");
    match (found.next(), found.next()) {
        (Some((_, token)), None) if !token.is_empty() => Some(Secret::new(token)),
        _ => None,
    }
}

fn refused(error: &BackchannelLogoutError) -> Response {
    let problem = match error {
        BackchannelLogoutError::Refused => return refusal(),
        BackchannelLogoutError::CutShort(_) => Problem::internal(error),
        BackchannelLogoutError::TryAgain => {
            Problem::new(Code::StoreUnavailable).detail("The logout cannot be dealt with now: come again.")
        }
        BackchannelLogoutError::Store(source) => Problem::store(source),
    };
    problem.into_response()
}

/// §2.8: 400, in the words of OAuth.
fn refusal() -> Response {
    let said = json!({
        "error": "invalid_request",
        "error_description": "This is no logout token that counts here.",
    });
    (StatusCode::BAD_REQUEST, Json(said)).into_response()
}
