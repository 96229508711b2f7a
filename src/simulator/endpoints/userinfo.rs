//! The userinfo endpoint (OIDC Core §5.3): a bearer token in the header, and the certificate that it is bound to
//! on the connection (RFC 8705 §3).

use axum::http::{HeaderValue, StatusCode, header};
use bytes::Bytes;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::Simulator;
use super::super::exchange::{Call, Reply};
use super::super::jose::base64url;
use super::super::people;
use super::super::tokens;

const SESSION_OVER: &str = "User session not found or doesn't have client attached on it";

/// `GET …/userinfo`.
pub(super) fn answer(simulator: &Simulator, call: &Call) -> Reply {
    let Some(token) = bearer(call) else { return challenge(simulator, "") };
    let Some(claims) = tokens::verified_access_token(simulator, token) else {
        return challenge(simulator, "Token verification failed");
    };
    if let Some(bound) = claims.get("cnf").and_then(|cnf| cnf.get("x5t#S256")).and_then(Value::as_str) {
        let presented = call.certificate.as_ref().map(|certificate| base64url(&certificate.thumbprint));
        if presented.as_deref() != Some(bound) {
            return challenge(
                simulator,
                "Client certificate missing, or its thumbprint and one in the JWT did NOT match",
            );
        }
    }
    let session = claims.get("sid").and_then(Value::as_str).and_then(|sid| Uuid::parse_str(sid).ok());
    if session.is_some_and(|session| simulator.state().sessions.is_over(session)) {
        return challenge(simulator, SESSION_OVER);
    }
    let person = claims.get("preferred_username").and_then(Value::as_str).and_then(people::find);
    match person {
        Some(person) => Reply::ok(&person.userinfo(simulator.inner.traits.shape)).unstored(),
        None => challenge(simulator, SESSION_OVER),
    }
}

fn bearer(call: &Call) -> Option<&str> {
    let (scheme, token) = call.headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// 401 (RFC 6750 §3); without a description where no token came at all.
fn challenge(simulator: &Simulator, description: &str) -> Reply {
    let realm = simulator.inner.traits.realm;
    let (text, body, result) = if description.is_empty() {
        (format!("Bearer realm=\"{realm}\""), Bytes::new(), "http_401")
    } else {
        let body = json!({ "error": "invalid_token", "error_description": description }).to_string();
        let text =
            format!("Bearer realm=\"{realm}\", error=\"invalid_token\", error_description=\"{description}\"");
        (text, body.into(), "invalid_token")
    };
    let mut reply = Reply::new(StatusCode::UNAUTHORIZED, result, body).unstored();
    if let Ok(value) = HeaderValue::from_str(&text) {
        reply.headers.insert(header::WWW_AUTHENTICATE, value);
    }
    reply
}
