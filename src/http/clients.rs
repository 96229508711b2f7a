//! The client API: logins and sessions, one file per call.
//!
//! A handler extracts, makes one engine call and answers. Everything unknown is a problem; nothing redirects.

#![expect(unused_qualifications, reason = "utoipa spells the types of parameters out")]

mod application;
mod call_target;
mod cancel_login;
mod choose_exercice;
mod end_session;
mod errors;
#[cfg(any(fuzzing, test))]
pub(super) mod fuzzing;
mod introspect;
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
use url::Url;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::front::{Front, front};
use super::openapi;
use super::problem::{method_not_allowed, not_found};
use crate::engine::Engine;

/// What the client API is put together from.
#[derive(Clone)]
pub struct ClientsState {
    /// The use cases.
    pub engine: Arc<Engine>,
    /// What clients call this listener: base of `Location`.
    pub public_url: Url,
    /// `public_url` as configured, byte for byte: what the assertions of applications are made for.
    pub audience: Arc<str>,
    /// Requests at once; one more is `overloaded` (R-H-04).
    pub max_requests: usize,
}

/// The client API, for the listener `clients`. Requests must carry a [`crate::net::listener::Peer`]; where they do
/// not, the connection counts as one without a certificate.
pub fn router(state: ClientsState) -> Router {
    let front_state = Front::shedding(state.engine.clone(), state.max_requests);
    Router::from(routes())
        .merge(call_target::router())
        .merge(openapi::router(&state.public_url))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(front_state, front))
        .with_state(state)
}

/// The calls with what the OpenAPI document says of them.
pub(super) fn routes() -> OpenApiRouter<ClientsState> {
    OpenApiRouter::new()
        .routes(routes!(application::handle))
        .routes(routes!(start_login::handle))
        .routes(routes!(read_login::handle, cancel_login::handle))
        .routes(routes!(login_events::handle))
        .routes(routes!(pick_up::handle))
        .routes(routes!(read_session::handle, end_session::handle))
        .routes(routes!(userinfo::handle))
        .routes(routes!(choose_exercice::handle))
        .routes(routes!(session_events::handle))
        .routes(routes!(introspect::handle))
}
