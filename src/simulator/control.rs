//! The control interface `/_sim/…`: requests and decisions, sessions and logouts, faults, settings, counters, people.
//!
//! It has no authentication: it stands beside a provider that holds no real person. Whom it answers is
//! [`super::guard`]'s business.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Simulator;
use super::backchannel_logout::{self as logout, NotTold};
use super::delivery::Sent;
use super::departures::Session;
use super::faults::{Order, Ordered};
use super::people;
use super::requests::{Approval, NotDecided, Request as Asked, Status};
use super::settings::{Change, Decision};
use crate::domain::random::uuid_v4;
use crate::domain::time::Timestamp;

/// The routes below `/_sim`.
pub(super) fn router(simulator: &Simulator) -> Router {
    Router::new()
        .route("/_sim/requests", get(requests))
        .route("/_sim/requests/{auth_req_id}/{decision}", post(decide))
        .route("/_sim/notifications", get(notifications))
        .route("/_sim/sessions", get(sessions))
        .route("/_sim/logouts", post(leave))
        .route("/_sim/faults", post(add_fault).delete(clear_faults))
        .route("/_sim/settings", put(change_settings))
        .route("/_sim/stats", get(stats))
        .route("/_sim/people", get(|| async { Json(people::list()) }))
        .with_state(simulator.clone())
}

/// An answer that says why not.
pub(super) fn refused(status: StatusCode, error: &str, description: &str) -> Response {
    (status, Json(json!({ "error": error, "error_description": description }))).into_response()
}

/// Reads a JSON body whatever its declared type is, so that `curl -d` needs no header.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Box<Response>> {
    serde_json::from_slice(body)
        .map_err(|error| Box::new(refused(StatusCode::BAD_REQUEST, "invalid_request", &error.to_string())))
}

/// One line of `GET /_sim/requests`.
#[derive(Serialize)]
struct Listed {
    auth_req_id: String,
    login_hint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    binding_message: Option<String>,
    channel: &'static str,
    status: Status,
    polls: u64,
    created_at: Timestamp,
    /// What the client is told with, where it does not ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_notification_token: Option<String>,
}

async fn requests(State(simulator): State<Simulator>) -> Json<Vec<Listed>> {
    let now = simulator.inner.clock.monotonic();
    let channels = simulator.inner.traits.channels;
    let listed = |request: &Asked| Listed {
        auth_req_id: request.auth_req_id.clone(),
        login_hint: request.asked.login_hint.clone(),
        binding_message: request.asked.binding_message.clone(),
        channel: channels.get(request.asked.channel).map_or("", |channel| channel.name),
        status: request.status(now),
        polls: request.polls,
        created_at: request.created_at,
        client_notification_token: request.asked.notification.as_ref().map(|it| it.token.clone()),
    };
    Json(simulator.state().requests.list(now).map(listed).collect())
}

/// What an approval may say; all of it optional.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    /// Somebody else than who was asked for.
    #[serde(rename = "as")]
    login_hint: Option<String>,
    acr: Option<String>,
    amr: Option<Vec<String>>,
}

impl Said {
    fn approval(self) -> Option<Approval> {
        let person = match self.login_hint {
            None => None,
            Some(hint) => Some(people::find(&hint)?),
        };
        Some(Approval { person, acr: self.acr, amr: self.amr })
    }
}

async fn decide(
    State(simulator): State<Simulator>,
    Path((id, decision)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let decision = match decision.as_str() {
        "approve" => Decision::Approve,
        "deny" => Decision::Deny,
        _ => return refused(StatusCode::NOT_FOUND, "not_found", "a decision is approve or deny"),
    };
    let said = if body.is_empty() { Ok(Said::default()) } else { read::<Said>(&body) };
    let approval = match said.map(Said::approval) {
        Ok(Some(approval)) => approval,
        Ok(None) => return refused(StatusCode::BAD_REQUEST, "invalid_request", "as names nobody"),
        Err(response) => return *response,
    };
    match simulator.decide(&id, decision, approval) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(NotDecided::Unknown) => refused(StatusCode::NOT_FOUND, "not_found", "no such request"),
        Err(NotDecided::Decided) => refused(StatusCode::CONFLICT, "decided", "the request is not pending"),
    }
}

impl Simulator {
    /// What the person with the phone says.
    pub(super) fn decide(&self, id: &str, decision: Decision, approval: Approval) -> Result<(), NotDecided> {
        let now = self.inner.clock.monotonic();
        self.state().requests.decide(id, decision, approval, now)?;
        self.changed();
        self.announce(id);
        Ok(())
    }
}

async fn add_fault(State(simulator): State<Simulator>, body: Bytes) -> Response {
    let order: Order = match read(&body) {
        Ok(order) => order,
        Err(response) => return *response,
    };
    if let Err(reason) = simulator.state().faults.add(order) {
        return refused(StatusCode::BAD_REQUEST, "invalid_request", &reason.to_string());
    }
    (StatusCode::CREATED, Json(Ordered { fault_id: uuid_v4(&*simulator.inner.random) })).into_response()
}

async fn clear_faults(State(simulator): State<Simulator>) -> StatusCode {
    simulator.state().faults.clear();
    StatusCode::NO_CONTENT
}

/// Answers the settings that are now in force.
async fn change_settings(State(simulator): State<Simulator>, body: Bytes) -> Response {
    let change: Change = match read(&body) {
        Ok(change) => change,
        Err(response) => return *response,
    };
    let mut state = simulator.state();
    let changed = state.settings.changed(&change);
    match changed {
        Ok(settings) => {
            state.settings = settings.clone();
            drop(state);
            Json(settings).into_response()
        }
        Err(reason) => refused(StatusCode::BAD_REQUEST, "invalid_request", &reason.to_string()),
    }
}

/// What the client was told, oldest first.
async fn notifications(State(simulator): State<Simulator>) -> Json<Vec<Sent>> {
    Json(simulator.state().outbox.list())
}

/// Sessions of people, oldest first.
async fn sessions(State(simulator): State<Simulator>) -> Json<Vec<Session>> {
    Json(simulator.state().departures.list())
}

/// A person leaves at the provider; the client is told.
async fn leave(State(simulator): State<Simulator>, body: Bytes) -> Response {
    let order: logout::Order = match read(&body) {
        Ok(order) => order,
        Err(response) => return *response,
    };
    match simulator.leave(order).await {
        Ok(told) => Json(told).into_response(),
        Err(NotTold::NoSession) => refused(StatusCode::NOT_FOUND, "not_found", "no such session"),
        Err(NotTold::NoAddress) => {
            refused(StatusCode::CONFLICT, "no_address", "backchannel_logout_uri is not set")
        }
    }
}

async fn stats(State(simulator): State<Simulator>) -> Response {
    Json(&simulator.state().stats).into_response()
}
