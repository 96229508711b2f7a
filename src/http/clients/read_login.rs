//! `GET /v1/logins/{login_id}`: the login object, now or at its next change. Always 200: pending is a status.

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use utoipa::IntoParams;
use uuid::Uuid;

use super::login_object::LoginObject;
use super::{ClientsState, errors};
use crate::http::extract::{Query, TokenHolder, Waiting};
use crate::http::front::RequestContext;
use crate::http::problem::Problem;

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// What every call below a login has in its path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "the shape for the OpenAPI document")]
pub(super) struct LoginPath {
    /// The login.
    login_id: Uuid,
}

/// How long a call may wait.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "as LoginPath")]
pub(super) struct PreferWait {
    /// `wait=N`: how many seconds the call may wait, 1 to 30; more is 30. Set the read time-out of your HTTP client
    /// a little longer.
    #[param(rename = "Prefer", example = "wait=25")]
    prefer: Option<String>,
}

/// The same for clients that cannot set headers.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "as LoginPath")]
pub(super) struct WaitQuery {
    /// As `Prefer: wait=N`.
    #[param(minimum = 1)]
    wait: Option<u32>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "as LoginPath")]
struct AfterQuery {
    /// As `If-None-Match`.
    after: Option<u32>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "as LoginPath")]
struct KnownVersion {
    /// The `ETag` that the caller has: a waiting call answers at once where the version is another.
    #[param(rename = "If-None-Match", example = "\"3\"", pattern = "^\"[0-9]{1,9}\"$")]
    if_none_match: Option<String>,
}

/// Read a login, or wait for its next change
///
/// Always 200 with the login: pending is a status, not an error. With a wait the answer comes at once where the
/// version is not the known one or the login is neither `starting` nor `pending`, else at its next change, else when
/// the time is over.
#[utoipa::path(
    get, path = "/v1/logins/{login_id}", operation_id = "readLogin", tag = "Logins",
    security(("login_token" = [])),
    params(LoginPath, PreferWait, KnownVersion, WaitQuery, AfterQuery),
    responses((status = 200, description = "The login as it is.", body = LoginObject<'static>, headers(
        ("ETag" = String, description = "Its version, in quotes."),
        ("Preference-Applied" = Option<String>, description = "The wait that was granted, where `Prefer` asked."),
    ))),
)]
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
