//! The listener `providers`: what providers call, one file per call.
//!
//! Whatever the path looks like, nothing here redirects (CIBA §10.2, §10.3), and a refusal says nothing about what
//! exists. A handler extracts, makes one engine call and answers.

mod backchannel_logout;
mod ciba;
mod jwks;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use serde_json::Value;

use super::front::{Front, front};
use super::problem::{method_not_allowed, not_found};
use crate::domain::names::RegistrationName;
use crate::engine::Engine;

/// Requests at once: each is short, and a provider that meets a refusal for capacity is polled on.
const REQUESTS: usize = 1024;

/// What the listener is put together from.
#[derive(Clone)]
pub struct ProvidersState {
    /// The use cases.
    pub engine: Arc<Engine>,
    /// The public keys that Relais signs with as a registration; `None` where it signs nothing, or does not exist.
    pub jwks: Jwks,
}

/// See [`ProvidersState::jwks`].
pub type Jwks = Arc<dyn Fn(&RegistrationName) -> Option<Value> + Send + Sync>;

/// What providers call, for the listener `providers`.
pub fn router(state: ProvidersState) -> Router {
    let front_state = Front::shedding(state.engine.clone(), REQUESTS);
    Router::new()
        .route("/providers/{registration}/ciba", post(ciba::handle))
        .route("/providers/{registration}/backchannel-logout", post(backchannel_logout::handle))
        .route("/providers/{registration}/jwks.json", get(jwks::handle))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(front_state, front))
        .with_state(state)
}
