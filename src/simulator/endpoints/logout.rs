//! The logout endpoint (OpenID Connect RP-Initiated Logout §2): made for browsers, so it answers with pages.
//!
//! Without `id_token_hint` it asks the person whether he means it, and ends nothing. An ID token is taken as a hint also
//! where it has expired, and where the session that it names is over.

use axum::http::{HeaderValue, StatusCode, header};
use serde_json::Value;
use uuid::Uuid;

use super::super::Simulator;
use super::super::exchange::{Call, Reply};
use super::form::Form;

/// `GET` or `POST …/logout`.
pub(super) fn answer(simulator: &Simulator, call: &Call) -> Reply {
    reply(simulator, call).unstored()
}

fn reply(simulator: &Simulator, call: &Call) -> Reply {
    let inner = &simulator.inner;
    let sent = if call.body.is_empty() { call.query.as_bytes() } else { &call.body[..] };
    let Ok(form) = Form::parse(sent) else {
        return page(StatusCode::BAD_REQUEST, "duplicated_parameter", "Invalid request");
    };
    let Some(hint) = form.get("id_token_hint") else {
        return page(StatusCode::OK, "no_hint", "Do you want to log out?");
    };
    let claims = inner.signing_key.verified_claims(hint);
    let claims = claims.filter(|claims| claims.get("typ").and_then(Value::as_str) == Some("ID"));
    let Some(claims) = claims else {
        return page(StatusCode::BAD_REQUEST, "invalid_hint", "Invalid parameter: id_token_hint");
    };
    if form.get("client_id").is_some_and(|client_id| client_id != inner.client_id) {
        return page(StatusCode::BAD_REQUEST, "invalid_client_id", "Invalid parameter: client_id");
    }
    // None is registered.
    if form.get("post_logout_redirect_uri").is_some() {
        return page(StatusCode::BAD_REQUEST, "invalid_redirect", "Invalid redirect uri");
    }
    let sid = claims.get("sid").and_then(Value::as_str).and_then(|sid| Uuid::try_parse(sid).ok());
    if let Some(sid) = sid
        && simulator.state().departures.log_out(sid)
    {
        simulator.tell_of_logout(sid);
    }
    page(StatusCode::OK, "ok", "You are logged out")
}

fn page(status: StatusCode, result: &'static str, text: &str) -> Reply {
    let body = format!("<!DOCTYPE html><html><title>{text}</title><p>{text}</p></html>\n");
    let mut reply = Reply::new(status, result, body.into());
    reply.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html;charset=utf-8"));
    reply
}
