//! `DELETE /v1/logins/{login_id}`: cancels a login; 204 also where it has already ended.

use axum::extract::State;
use http::StatusCode;

use super::read_login::LoginPath;
use super::{ClientsState, errors};
use crate::engine::ports::ActorKind;
use crate::http::extract::{Query, TokenHolder};
use crate::http::front::RequestContext;
use crate::http::problem::Problem;

/// Cancel a login
///
/// No poll follows. Also where it has already ended; one that has been picked up is a session and is ended as such.
#[utoipa::path(
    delete, path = "/v1/logins/{login_id}", operation_id = "cancelLogin", tag = "Logins",
    security(("login_token" = [])),
    params(LoginPath),
    responses((status = 204, description = "It is over.")),
)]
pub(super) async fn handle(
    State(state): State<ClientsState>,
    context: RequestContext,
    TokenHolder(call): TokenHolder,
    query: Query,
) -> Result<StatusCode, Problem> {
    query.finish()?;
    let by = context.actor(ActorKind::Holder);
    state.engine.cancel_login(&call, by).await.map_err(|error| errors::cancel(&error))?;
    Ok(StatusCode::NO_CONTENT)
}
