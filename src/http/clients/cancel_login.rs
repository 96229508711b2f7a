//! `DELETE /v1/logins/{login_id}`: cancels a login; 204 also where it has already ended.

use axum::extract::State;
use http::StatusCode;

use super::{ClientsState, errors};
use crate::engine::ports::ActorKind;
use crate::http::extract::{Query, TokenHolder};
use crate::http::front::RequestContext;
use crate::http::problem::Problem;

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
