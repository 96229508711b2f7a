//! `GET /v1/session`: the session object. A use, unless `touch=false`.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use utoipa::IntoParams;

use super::session_object::SessionObject;
use super::{ClientsState, errors};
use crate::http::extract::{HandleHolder, Query};
use crate::http::front::RequestContext;
use crate::http::problem::Problem;

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the shape for the OpenAPI document")]
struct Touch {
    /// `false`: looking is no use, the idle end does not move.
    #[param(default = true)]
    touch: Option<bool>,
}

/// Who is it, and until when
///
/// What a back end asks whenever a client shows up with the handle. It is a use of the session.
#[utoipa::path(
    get, path = "/v1/session", operation_id = "readSession", tag = "Session",
    security(("session_handle" = [])),
    params(Touch),
    responses((status = 200, description = "The session.", body = SessionObject<'static>)),
)]
pub(super) async fn handle(
    State(state): State<ClientsState>,
    context: RequestContext,
    HandleHolder(call): HandleHolder,
    mut query: Query,
) -> Result<Response, Problem> {
    let touch = query.flag("touch", true);
    query.finish()?;
    let view = state.engine.use_session(&call, touch).await.map_err(|error| errors::session(&error))?;
    context.note_session(&view.session);
    Ok(SessionObject::of(&view, state.engine.clock().now()).answer(StatusCode::OK))
}
