//! `POST /providers/{registration}/ciba`: a provider says that a login has an outcome (ping, CIBA §10.2), or sends it
//! (push, §10.3).
//!
//! Who does not hold the token of the login that he names gets 401, with one empty answer whatever is wrong: whether the
//! token, the request or the registration exists is nobody's business, and his message is not read. 204 comes before
//! anything is asked of the provider.

use axum::extract::{FromRequestParts, Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use super::ProvidersState;
use crate::domain::registration::Delivery;
use crate::domain::secret::Secret;
use crate::engine::notified::NotifiedError;
use crate::engine::ports::ActorKind;
use crate::http::extract::receive_json;
use crate::http::front::RequestContext;
use crate::http::problem::{Code, Problem};

/// A ping names one request, and needs to say no more.
const MAX_PING: usize = 8 * 1024;

/// A push holds three tokens.
const MAX_PUSH: usize = 64 * 1024;

/// The one answer to whoever has no business here.
struct Unknown;

impl IntoResponse for Unknown {
    fn into_response(self) -> Response {
        (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer realm=\"relais\"")]).into_response()
    }
}

pub(super) async fn handle(
    State(state): State<ProvidersState>,
    context: RequestContext,
    request: Request,
) -> Result<StatusCode, Response> {
    let (mut parts, body) = request.into_parts();
    let (registration, token) = caller(&mut parts).await.ok_or_else(|| Unknown.into_response())?;
    let notifier = state.engine.notifier(&registration, &token).await.map_err(|error| refused(&error))?;
    context.note_login_id(notifier.login_id());
    let most = if notifier.delivery() == Delivery::Push { MAX_PUSH } else { MAX_PING };
    let message = receive_json(&parts.headers, body, most).await.map_err(IntoResponse::into_response)?;
    let by = context.actor(ActorKind::Provider);
    state.engine.notified(notifier, message, by).await.map_err(|error| refused(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

/// The registration that the path names, and the token of the one `Authorization: Bearer`.
async fn caller(parts: &mut Parts) -> Option<(String, Secret)> {
    let token = bearer(&parts.headers)?;
    let Path(registration) = Path::<String>::from_request_parts(parts, &()).await.ok()?;
    Some((registration, token))
}

fn bearer(headers: &HeaderMap) -> Option<Secret> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| Secret::new(token.trim()))
}

fn refused(error: &NotifiedError) -> Response {
    let problem = match error {
        NotifiedError::Unknown => return Unknown.into_response(),
        NotifiedError::CutShort(_) => Problem::internal(error),
        NotifiedError::Malformed => {
            Problem::new(Code::InvalidRequest).detail("This is no message that the registration gets.")
        }
        NotifiedError::Refused => Problem::new(Code::InvalidRequest).detail("The outcome is not accepted."),
        NotifiedError::TryAgain => {
            Problem::new(Code::StoreUnavailable).detail("The login is not ready for it: come again.")
        }
        NotifiedError::Store(source) => Problem::store(source),
    };
    problem.into_response()
}
