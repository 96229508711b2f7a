//! The revocation endpoint (RFC 7009): a token that is not known is as good as revoked.

use axum::http::{StatusCode, header};
use bytes::Bytes;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::super::Simulator;
use super::super::client_auth::authenticate;
use super::super::exchange::{Call, Reply};
use super::super::jose::from_base64url;
use super::super::personality::{Refusal, bad};
use super::form::{Duplicated, Form, is_form};

static MISSING: Refusal = bad("invalid_request", "Token not provided");
static UNSUPPORTED: Refusal = bad("unsupported_token_type", "Unsupported token type");

/// `POST …/revoke`.
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
    let Some(claims) = claims(simulator, token) else { return done("unknown_token") };
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let kind = match text("typ") {
        "Refresh" => "refresh_token",
        "Bearer" => "access_token",
        _ => return Reply::refusal(&UNSUPPORTED),
    };
    let Ok(sid) = Uuid::try_parse(text("sid")) else { return done("unknown_token") };
    simulator.state().departures.revoke(sid, kind, text("jti"));
    done("ok")
}

/// Of a token that was given out here, dead or alive.
fn claims(simulator: &Simulator, token: &str) -> Option<Map<String, Value>> {
    let inner = &simulator.inner;
    if let Some(claims) = inner.signing_key.verified_claims(token) {
        return Some(claims);
    }
    let (input, signature) = token.rsplit_once('.')?;
    if from_base64url(signature)? != inner.realm_key.hs512(input) {
        return None;
    }
    let (_, claims) = input.split_once('.')?;
    serde_json::from_slice(&from_base64url(claims)?).ok()
}

/// 200 with nothing in it.
fn done(result: &'static str) -> Reply {
    let mut reply = Reply::new(StatusCode::OK, result, Bytes::new());
    reply.headers.remove(header::CONTENT_TYPE);
    reply
}
