//! `GET /v1/session/userinfo`: what the provider says about the person, as the provider says it. A use.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

use super::{ClientsState, errors};
use crate::http::extract::{Query, SessionCaller};
use crate::http::front::RequestContext;
use crate::http::problem::Problem;

/// The provider's userinfo
///
/// Complete and unflattened, as the provider gave it. It is a use of the session. A back end may ask for it by its own
/// credential, with the handle in `Relais-Session`: for its own sessions, and for those of applications that it acts for.
#[utoipa::path(
    get, path = "/v1/session/userinfo", operation_id = "readUserinfo", tag = "Session",
    security(("session_handle" = []), ("application" = [], "acting_session" = [])),
    responses((status = 200, description = "The provider's document.", body = Object,
        content_type = "application/json")),
)]
pub(super) async fn handle(
    State(state): State<ClientsState>,
    context: RequestContext,
    SessionCaller(call): SessionCaller,
    query: Query,
) -> Result<Response, Problem> {
    query.finish()?;
    let (session, document) =
        state.engine.session_userinfo(&call).await.map_err(|error| errors::session(&error))?;
    context.note_session(&session);
    Ok(([(CONTENT_TYPE, "application/json")], document.expose().to_owned()).into_response())
}
