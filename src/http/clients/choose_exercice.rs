//! `PUT /v1/session/exercice`: chooses the *situation d'exercice*.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::Value;

use super::session_object::SessionObject;
use super::{ClientsState, errors};
use crate::http::extract::{Body, HandleHolder, Query};
use crate::http::front::RequestContext;
use crate::http::json::Fields;
use crate::http::problem::Problem;

pub(super) async fn handle(
    State(state): State<ClientsState>,
    context: RequestContext,
    HandleHolder(call): HandleHolder,
    query: Query,
    Body(body): Body,
) -> Result<Response, Problem> {
    query.finish()?;
    let mut body = Fields::new(body.unwrap_or(Value::Null)).map_err(Problem::invalid_request)?;
    let id = body.required_text("id").unwrap_or_default();
    body.finish().map_err(Problem::invalid_request)?;
    let view = state.engine.choose_exercice(&call, id).await.map_err(|error| errors::session(&error))?;
    context.note_session(&view.session);
    Ok(SessionObject::of(&view, state.engine.clock().now()).answer(StatusCode::OK))
}
