//! `GET /v1/session/userinfo`: what the provider says about the person, as the provider says it. A use.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

use super::{ClientsState, errors};
use crate::http::extract::{HandleHolder, Query};
use crate::http::front::RequestContext;
use crate::http::problem::Problem;

/// The provider's userinfo
///
/// Complete and unflattened, as the provider gave it. It is a use of the session.
#[utoipa::path(
    get, path = "/v1/session/userinfo", operation_id = "readUserinfo", tag = "Session",
    security(("session_handle" = [])),
    responses((status = 200, description = "The provider's document.", body = Object,
        content_type = "application/json")),
)]
pub(super) async fn handle(
    State(state): State<ClientsState>,
    context: RequestContext,
    HandleHolder(call): HandleHolder,
    query: Query,
) -> Result<Response, Problem> {
    query.finish()?;
    let (session, document) =
        state.engine.session_userinfo(&call).await.map_err(|error| errors::session(&error))?;
    context.note_session(&session);
    Ok(([(CONTENT_TYPE, "application/json")], document.expose().to_owned()).into_response())
}
