//! `PUT /v1/session/exercice`: chooses the *situation d'exercice*.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::Value;
use utoipa::ToSchema;

use super::session_object::SessionObject;
use super::{ClientsState, errors};
use crate::http::extract::{Body, HandleHolder, Query};
use crate::http::front::RequestContext;
use crate::http::json::Fields;
use crate::http::problem::Problem;

#[derive(ToSchema)]
#[schema(as = ChooseExercice)]
#[expect(dead_code, reason = "the shape for the OpenAPI document; a test holds it against what is read")]
struct ExerciceBody {
    /// One of `subject.exercices`, by its id.
    id: String,
}

/// Choose the situation d’exercice
///
/// The profession and place that the person works in now. It may be chosen again.
#[utoipa::path(
    put, path = "/v1/session/exercice", operation_id = "chooseExercice", tag = "Session",
    security(("session_handle" = [])),
    request_body(content = ExerciceBody, content_type = "application/json"),
    responses((status = 200, description = "The session.", body = SessionObject<'static>)),
)]
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
