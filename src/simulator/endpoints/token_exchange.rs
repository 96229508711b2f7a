//! The token endpoint of a target's authorization server (RFC 8693): a server beside the provider, which asks it about
//! subject tokens and takes the same client.
//!
//! It has the manners of the specification, not those of a personality. It binds what it gives out to the certificate
//! that `cnf` names, in the encoding of the request: base64url of the digest (RFC 8705 §3.1), or base64 of the digest
//! in hexadecimal (the CI-SIS guide); without `cnf` it binds nothing.

use std::fmt::Write as _;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::super::Simulator;
use super::super::client_auth::form_of_client;
use super::super::client_jwt::checked_actor;
use super::super::exchange::{Call, Reply};
use super::super::jose::base64url;
use super::super::personality::{Refusal, bad};
use super::super::tokens;
use super::form::{Form, first, is_form};

/// Below the issuer.
pub(in super::super) const PATH: &str = "/as/token";

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// Seconds that an exchanged token lives.
const LIFE: i64 = 300;

const SUBJECT_TOKEN: Refusal = bad("invalid_request", "The subject token is not active here.");
const OTHER_CERTIFICATE: Refusal =
    bad("invalid_request", "The subject token is bound to another certificate.");
const SUBJECT_TOKEN_TYPE: Refusal =
    bad("invalid_request", "The subject_token_type is missing or is not understood.");
const ACTOR_TOKEN: Refusal = bad("invalid_request", "The actor token does not do: ");
const CNF: Refusal =
    bad("invalid_request", "The parameter cnf does not name the certificate on the connection.");
const RESOURCE: Refusal = bad("invalid_target", "The resource is no absolute URI without fragment.");
const SCOPE: Refusal = bad("invalid_scope", "The scope is malformed.");

/// An answer (RFC 8693 §2.2.1).
#[derive(Serialize)]
struct Exchanged {
    access_token: String,
    issued_token_type: &'static str,
    token_type: &'static str,
    expires_in: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

/// `POST …/as/token`.
pub(super) fn answer(simulator: &Simulator, call: &Call) -> Reply {
    if !is_form(&call.headers) {
        return Reply::http_error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "http_415");
    }
    checked(simulator, call).unstored()
}

fn checked(simulator: &Simulator, call: &Call) -> Reply {
    let refusals = &simulator.inner.traits.refusals;
    match first(&call.body, "grant_type").as_deref() {
        None | Some("") => return Reply::refusal(&refusals.missing_grant_type),
        Some(GRANT) => {}
        Some(_) => return Reply::refusal(&refusals.unsupported_grant),
    }
    let form = match form_of_client(simulator, call) {
        Ok(form) => form,
        Err(refusal) => return Reply::refusal(refusal),
    };
    let actor = match actor(simulator, &form) {
        Ok(actor) => actor,
        Err(rule) => return Reply::refusal_about(&ACTOR_TOKEN, rule),
    };
    match exchanged(simulator, call, &form, actor) {
        Ok(exchanged) => Reply::ok(&exchanged),
        Err(refusal) => Reply::refusal(refusal),
    }
}

fn exchanged(
    simulator: &Simulator,
    call: &Call,
    form: &Form,
    actor: Option<Map<String, Value>>,
) -> Result<Exchanged, &'static Refusal> {
    if !matches!(form.get("subject_token_type"), Some(ACCESS_TOKEN | JWT)) {
        return Err(&SUBJECT_TOKEN_TYPE);
    }
    if form
        .get("resource")
        .is_some_and(|text| url::Url::parse(text).map_or(true, |url| url.fragment().is_some()))
    {
        return Err(&RESOURCE);
    }
    let scope = form.get("scope").map(str::to_owned);
    let is_scope =
        |text: &str| text.bytes().all(|byte| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e));
    if !scope.as_deref().is_none_or(is_scope) {
        return Err(&SCOPE);
    }
    let subject = form.get("subject_token").and_then(|token| tokens::verified_access_token(simulator, token));
    let subject = subject.ok_or(&SUBJECT_TOKEN)?;
    let sid = subject.get("sid").and_then(Value::as_str).and_then(|sid| Uuid::parse_str(sid).ok());
    if sid.is_some_and(|session| simulator.state().sessions.is_over(session)) {
        return Err(&SUBJECT_TOKEN);
    }
    let thumbprint = call.certificate.as_ref().map(|certificate| certificate.thumbprint);
    let bound = subject.get("cnf").and_then(|cnf| cnf.get("x5t#S256")).and_then(Value::as_str);
    if bound.is_some_and(|bound| thumbprint.map(|own| base64url(&own)).as_deref() != Some(bound)) {
        return Err(&OTHER_CERTIFICATE);
    }
    let cnf = cnf(form.get("cnf"), thumbprint)?;
    let audience = form.get("audience").or_else(|| form.get("resource"));
    let mut more = Map::new();
    for (name, value) in [
        ("aud", audience.map(|audience| json!(audience))),
        ("scope", scope.as_ref().map(|scope| json!(scope))),
        ("cnf", cnf),
        ("act", actor.map(Value::Object)),
    ] {
        more.extend(value.map(|value| (name.to_owned(), value)));
    }
    let access_token = tokens::exchanged_token(simulator, &subject, LIFE, more);
    Ok(Exchanged {
        access_token,
        issued_token_type: ACCESS_TOKEN,
        token_type: "Bearer",
        expires_in: LIFE,
        scope,
    })
}

/// The confirmation of the token: what the client asked for, if it names its own certificate.
fn cnf(asked: Option<&str>, thumbprint: Option<[u8; 32]>) -> Result<Option<Value>, &'static Refusal> {
    let Some(asked) = asked else { return Ok(None) };
    let cnf: Value = serde_json::from_str(asked).map_err(|_| &CNF)?;
    let named = cnf.get("x5t#S256").and_then(Value::as_str).ok_or(&CNF)?;
    let own = thumbprint.ok_or(&CNF)?;
    let in_hex = own.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    if [base64url(&own), STANDARD.encode(in_hex)].iter().any(|known| known == named) {
        Ok(Some(json!({ "x5t#S256": named })))
    } else {
        Err(&CNF)
    }
}

/// Who acts (RFC 8693 §4.1), from an actor token that the client has signed; nobody where there is none.
fn actor(simulator: &Simulator, form: &Form) -> Result<Option<Map<String, Value>>, &'static str> {
    match (form.get("actor_token"), form.get("actor_token_type")) {
        (None, None) => Ok(None),
        (Some(token), Some(JWT)) => {
            let keys = simulator.state().client.keys.clone();
            checked_actor(simulator, &keys, token).map(Some)
        }
        _ => Err("actor_token_type"),
    }
}
