//! `GET /v1/session`: the session object. A use, unless `touch=false`.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::session_object::SessionObject;
use super::{ClientsState, errors};
use crate::http::extract::{HandleHolder, Query};
use crate::http::front::RequestContext;
use crate::http::problem::Problem;

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
