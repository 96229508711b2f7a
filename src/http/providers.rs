//! The listener `providers`: what providers call, one file per call.
//!
//! Whatever the path looks like, nothing here redirects (CIBA §10.2, §10.3), and a refusal says nothing about what
//! exists. A handler extracts, makes one engine call and answers.

mod ciba;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::post;

use super::front::{Front, front};
use super::problem::{method_not_allowed, not_found};
use crate::engine::Engine;

/// Requests at once: each is short, and a provider that meets a refusal for capacity is polled on.
const REQUESTS: usize = 1024;

/// What the listener is put together from.
#[derive(Clone)]
pub struct ProvidersState {
    /// The use cases.
    pub engine: Arc<Engine>,
}

/// What providers call, for the listener `providers`.
pub fn router(state: ProvidersState) -> Router {
    let front_state = Front::shedding(state.engine.clone(), REQUESTS);
    Router::new()
        .route("/providers/{registration}/ciba", post(ciba::handle))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(front_state, front))
        .with_state(state)
}
