//! The revocation endpoint (RFC 7009): a token that is not known is as good as revoked.

use axum::http::{StatusCode, header};
use bytes::Bytes;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::super::Simulator;
use super::super::client_auth::presented_token;
use super::super::exchange::{Call, Reply};
use super::super::personality::{Refusal, bad};
use super::super::tokens::refresh_token_claims;
use super::form::is_form;

static UNSUPPORTED: Refusal = bad("unsupported_token_type", "Unsupported token type");

/// `POST …/revoke`.
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
    let Some(claims) = claims(simulator, &token) else { return done("unknown_token") };
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
    inner.signing_key.verified_claims(token).or_else(|| refresh_token_claims(simulator, token))
}

/// 200 with nothing in it.
fn done(result: &'static str) -> Reply {
    let mut reply = Reply::new(StatusCode::OK, result, Bytes::new());
    reply.headers.remove(header::CONTENT_TYPE);
    reply
}
