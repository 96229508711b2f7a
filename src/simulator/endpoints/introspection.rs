//! The introspection endpoint (RFC 7662), as Keycloak has it: for whoever is this provider's client, access and refresh
//! tokens; `SubjectNameID` of access tokens only (Pro Santé Connect). What is dead, foreign or no token is not active.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::Simulator;
use super::super::client_auth::presented_token;
use super::super::exchange::{Call, Reply};
use super::super::tokens::{living_refresh_token, verified_access_token};
use super::form::is_form;

/// `POST …/token/introspect`.
pub(super) fn answer(simulator: &Simulator, call: &Call) -> Reply {
    if !is_form(&call.headers) {
        return Reply::http_error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "http_415");
    }
    checked(simulator, call).unstored()
}

fn checked(simulator: &Simulator, call: &Call) -> Reply {
    let token = match presented_token(simulator, call) {
        Ok(token) => token,
        Err(refusal) => return Reply::refusal(refusal),
    };
    let claims = verified_access_token(simulator, &token).or_else(|| living_refresh_token(simulator, &token));
    match claims {
        Some(claims) => Reply::ok(&active(claims)),
        None => Reply::ok(&json!({ "active": false })),
    }
}

fn active(mut claims: Map<String, Value>) -> Map<String, Value> {
    for (member, claim) in [("client_id", "azp"), ("username", "preferred_username"), ("token_type", "typ")] {
        if let Some(value) = claims.get(claim).cloned() {
            claims.insert(member.to_owned(), value);
        }
    }
    claims.insert("active".to_owned(), json!(true));
    claims
}
