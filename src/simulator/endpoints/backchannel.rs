//! The backchannel authentication endpoint (CIBA §7), in Keycloak's order: client, hint and person, scope, then
//! the rest.
//!
//! `requested_expiry` shortens the life of the request, but the acknowledgement shows the realm's: what is
//! acknowledged is an upper bound. `acr_values` is a wish (OIDC Core §3.1.2.1); an approval says what was done.

use std::time::Duration;

use axum::http::StatusCode;
use serde::Serialize;

use super::super::Simulator;
use super::super::client_auth::authenticate;
use super::super::client_jwt::request_parameters;
use super::super::exchange::{Call, Reply};
use super::super::people;
use super::super::personality::Refusal;
use super::super::requests::Asked;
use super::super::tokens;
use super::form::{Duplicated, Form, is_form};

/// A hint is an identifier of a person; no directory holds longer ones.
const LONGEST_HINT: usize = 255;
const LONGEST_BINDING_MESSAGE: usize = 50;

/// CIBA §7.3.
#[derive(Serialize)]
struct Acknowledgement<'a> {
    auth_req_id: &'a str,
    expires_in: u64,
    interval: u64,
}

/// `POST …/ext/ciba/auth`.
pub(super) fn answer(simulator: &Simulator, call: &Call) -> Reply {
    if !is_form(&call.headers) {
        return Reply::http_error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "http_415");
    }
    let refusals = &simulator.inner.traits.refusals;
    let form = match Form::parse(&call.body) {
        Ok(form) => form,
        Err(Duplicated) => return Reply::refusal(&refusals.duplicated_parameter).unstored(),
    };
    if let Err(refusal) = authenticate(simulator, call, &form) {
        return Reply::refusal(refusal).unstored();
    }
    match signed(simulator, form).and_then(|form| asked(simulator, &form)) {
        Ok(asked) => ring(simulator, asked).unstored(),
        Err(refused) => Reply::refusal_about(refused.refusal, &refused.about).unstored(),
    }
}

/// A refusal, and what its description ends with.
struct Refused {
    refusal: &'static Refusal,
    about: String,
}

impl From<&'static Refusal> for Refused {
    fn from(refusal: &'static Refusal) -> Self {
        Self { refusal, about: String::new() }
    }
}

/// What may stand beside a signed request (CIBA §7.1.1).
const OUTSIDE: [&str; 5] =
    ["request", "client_id", "client_secret", "client_assertion", "client_assertion_type"];

/// The form of a client that signs its requests: what the JWT says, and nothing else.
fn signed(simulator: &Simulator, form: Form) -> Result<Form, Refused> {
    let refused = |rule: &str| Refused {
        refusal: &simulator.inner.traits.refusals.signed_request,
        about: rule.to_owned(),
    };
    let client = simulator.state().client.clone();
    match (client.request_alg, form.get("request")) {
        (None, None) => Ok(form),
        (Some(_), None) => Err(refused("request is missing")),
        (None, Some(_)) => Err(refused("the client does not sign")),
        (Some(alg), Some(request)) => {
            if form.names().any(|name| !OUTSIDE.contains(&name)) {
                return Err(refused("a parameter stands outside"));
            }
            request_parameters(simulator, &client.keys, &alg, request).map(Form::of).map_err(refused)
        }
    }
}

/// What the form asks for. Interval and life are the realm's, but for a shorter `requested_expiry`.
fn asked(simulator: &Simulator, form: &Form) -> Result<Asked, Refused> {
    let traits = simulator.inner.traits;
    let refusals = &traits.refusals;
    let hint = form.get("login_hint").ok_or(&refusals.missing_hint)?;
    let person = Some(hint)
        .filter(|hint| hint.len() <= LONGEST_HINT)
        .and_then(people::find)
        .ok_or(&refusals.unknown_person)?;
    let scope = form.get("scope").ok_or(&refusals.missing_scope)?;
    let words: Vec<&str> = scope.split(' ').filter(|word| !word.is_empty()).collect();
    if !words.contains(&"openid") || words.iter().any(|word| !traits.scopes.contains(word)) {
        return Err(Refused { refusal: &refusals.invalid_scope, about: scope.to_owned() });
    }
    let binding_message = form.raw("binding_message");
    if binding_message.is_some_and(|message| !well_formed(message)) {
        return Err((&refusals.binding_message).into());
    }
    if form.get("user_code").is_some() {
        return Err((&refusals.user_code).into());
    }
    let channel = match form.raw("channel") {
        None => Some(0),
        Some(name) => traits.channels.iter().position(|channel| channel.name == name),
    };
    let channel = channel.ok_or(&refusals.channel)?;
    let requested = requested_expiry(form).map_err(|()| &refusals.requested_expiry)?;
    let settings = simulator.state().settings.clone();
    Ok(Asked {
        login_hint: hint.to_owned(),
        person,
        scope: words.join(" "),
        binding_message: binding_message.map(str::to_owned),
        channel,
        interval: Duration::from_secs(settings.interval),
        life: Duration::from_secs(requested.unwrap_or(u64::MAX).min(settings.expires_in)),
        auto: settings.auto,
    })
}

fn requested_expiry(form: &Form) -> Result<Option<u64>, ()> {
    match form.get("requested_expiry").map(str::parse) {
        None => Ok(None),
        Some(Ok(seconds)) if seconds > 0 => Ok(Some(seconds)),
        Some(_) => Err(()),
    }
}

/// `^[a-zA-Z0-9-._+/!?#]{1,50}$`.
fn well_formed(message: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._+/!?#".contains(&byte);
    (1..=LONGEST_BINDING_MESSAGE).contains(&message.len()) && message.bytes().all(plain)
}

fn ring(simulator: &Simulator, asked: Asked) -> Reply {
    let inner = &simulator.inner;
    let id = tokens::auth_req_id(simulator);
    let (now, created_at) = (inner.clock.monotonic(), inner.clock.now());
    let mut state = simulator.state();
    let (interval, expires_in) = (asked.interval.as_secs(), state.settings.expires_in);
    let login_hint = asked.login_hint.clone();
    if !state.requests.ring(id.clone(), asked, now, created_at) {
        return Reply::refusal(&inner.traits.refusals.too_many_requests);
    }
    state.stats.ring(&login_hint);
    drop(state);
    simulator.changed();
    Reply::ok(&Acknowledgement { auth_req_id: &id, expires_in, interval })
}
