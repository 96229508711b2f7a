//! The introspection endpoint (RFC 7662), as Keycloak has it: for whoever is this provider's client, access and refresh
//! tokens; `SubjectNameID` of access tokens only (Pro Santé Connect). What is dead, foreign or no token is not active.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::Simulator;
use super::super::client_auth::authenticate;
use super::super::exchange::{Call, Reply};
use super::super::personality::{Refusal, bad};
use super::super::tokens::{living_refresh_token, verified_access_token};
use super::form::{Duplicated, Form, is_form};

static MISSING: Refusal = bad("invalid_request", "Token not provided");

/// `POST …/token/introspect`.
pub(super) fn answer(simulator: &Simulator, call: &Call) -> Reply {
    if !is_form(&call.headers) {
        return Reply::http_error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "http_415");
    }
    checked(simulator, call).unstored()
}

fn checked(simulator: &Simulator, call: &Call) -> Reply {
    let form = match Form::parse(&call.body) {
        Ok(form) => form,
        Err(Duplicated) => return Reply::refusal(&simulator.inner.traits.refusals.duplicated_parameter),
    };
    if let Err(refusal) = authenticate(simulator, call, &form) {
        return Reply::refusal(refusal);
    }
    let Some(token) = form.get("token") else { return Reply::refusal(&MISSING) };
    let claims = verified_access_token(simulator, token).or_else(|| living_refresh_token(simulator, token));
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
