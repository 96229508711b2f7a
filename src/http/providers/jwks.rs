//! `GET /providers/{registration}/jwks.json`: the public keys that Relais signs with as this registration (RFC 7517 §5),
//! the `jwks_uri` of its registration at the provider.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;

use super::ProvidersState;
use crate::http::problem::{Code, Problem};

/// Short beside the day for which a new key is published before it signs; long enough for a provider that asks at each
/// assertion.
const FRESH: &str = "public, max-age=300";

pub(super) async fn handle(
    State(state): State<ProvidersState>,
    Path(registration): Path<String>,
) -> Result<Response, Problem> {
    let registration = registration.parse().map_err(|_| Problem::new(Code::NotFound))?;
    let jwks = (state.jwks)(&registration).ok_or_else(|| Problem::new(Code::NotFound))?;
    Ok(([(CACHE_CONTROL, FRESH)], Json(jwks)).into_response())
}
