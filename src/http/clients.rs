//! The client API: logins and sessions, one file per call.
//!
//! A handler extracts, makes one engine call and answers. Everything unknown is a problem; nothing redirects.

mod application;
mod cancel_login;
mod choose_exercice;
mod end_session;
mod errors;
mod login_events;
mod login_object;
mod pick_up;
mod read_login;
mod read_session;
mod session_events;
mod session_object;
mod start_login;
mod stream;
mod userinfo;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post, put};
use url::Url;

use super::front::{Front, front};
use super::problem::{method_not_allowed, not_found};
use crate::engine::Engine;

/// What the client API is put together from.
#[derive(Clone)]
pub struct ClientsState {
    /// The use cases.
    pub engine: Arc<Engine>,
    /// What clients call this listener: base of `Location`.
    pub public_url: Url,
    /// Requests at once; one more is `overloaded` (R-H-04).
    pub max_requests: usize,
}

/// The client API, for the listener `clients`. Requests must carry a [`crate::net::listener::Peer`]; where they do
/// not, the connection counts as one without a certificate.
pub fn router(state: ClientsState) -> Router {
    let front_state = Front::shedding(state.engine.clone(), state.max_requests);
    Router::new()
        .route("/v1/application", get(application::handle))
        .route("/v1/logins", post(start_login::handle))
        .route("/v1/logins/{login_id}", get(read_login::handle).delete(cancel_login::handle))
        .route("/v1/logins/{login_id}/events", get(login_events::handle))
        .route("/v1/logins/{login_id}/session", post(pick_up::handle))
        .route("/v1/session", get(read_session::handle).delete(end_session::handle))
        .route("/v1/session/userinfo", get(userinfo::handle))
        .route("/v1/session/events", get(session_events::handle))
        .route("/v1/session/exercice", put(choose_exercice::handle))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(front_state, front))
        .with_state(state)
}
