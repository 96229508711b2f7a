//! `DELETE /v1/session`: ends the session here, at once; its provider is told afterwards.

use axum::extract::State;
use http::StatusCode;

use super::{ClientsState, errors};
use crate::http::extract::{HandleHolder, Query};
use crate::http::front::RequestContext;
use crate::http::problem::Problem;

/// End the session
///
/// At once, here: its handle opens nothing any more. Its provider is told afterwards, and no call waits for that.
#[utoipa::path(
    delete, path = "/v1/session", operation_id = "endSession", tag = "Session",
    security(("session_handle" = [])),
    responses((status = 204, description = "It has ended.")),
)]
pub(super) async fn handle(
    State(state): State<ClientsState>,
    context: RequestContext,
    HandleHolder(call): HandleHolder,
    query: Query,
) -> Result<StatusCode, Problem> {
    query.finish()?;
    let session = state.engine.end_session(&call).await.map_err(|error| errors::session(&error))?;
    context.note_session(&session);
    Ok(StatusCode::NO_CONTENT)
}
