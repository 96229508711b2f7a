//! The backchannel authentication endpoint (CIBA §7), in Keycloak's order: client, hint and person, scope, then
//! the rest.
//!
//! `requested_expiry` shortens the life of the request. Keycloak's acknowledgement shows the realm's all the same:
//! what it acknowledges is an upper bound. `acr_values` is a wish (OIDC Core §3.1.2.1); an approval says what was done.

use std::time::Duration;

use axum::http::StatusCode;
use serde::Serialize;

use super::super::Simulator;
use super::super::client_auth::form_of_client;
use super::super::client_jwt::request_parameters;
use super::super::delivery;
use super::super::exchange::{Call, Reply};
use super::super::people;
use super::super::personality::{Hints, Refusal, Traits, UserCode};
use super::super::requests::Asked;
use super::super::tokens;
use super::form::{Form, is_form};

/// A hint is an identifier of a person; no directory holds longer ones.
const LONGEST_HINT: usize = 255;

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
    let form = match form_of_client(simulator, call) {
        Ok(form) => form,
        Err(refusal) => return Reply::refusal(refusal).unstored(),
    };
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
    check_hints(traits, form)?;
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
    if binding_message.is_some_and(|message| !traits.binding_message.accepts(message)) {
        return Err((&refusals.binding_message).into());
    }
    check_user_code(traits, form, hint)?;
    let channel = match (&refusals.channel, form.raw("channel")) {
        (Some(unknown), Some(name)) => {
            traits.channels.iter().position(|channel| channel.name == name).ok_or(unknown)?
        }
        _ => 0,
    };
    let requested = requested_expiry(form).map_err(|()| &refusals.requested_expiry)?;
    let settings = simulator.state().settings.clone();
    let notification = delivery::asked(settings.delivery.as_ref(), form)?;
    Ok(Asked {
        login_hint: hint.to_owned(),
        person,
        scope: words.join(" "),
        binding_message: binding_message.map(str::to_owned),
        channel,
        interval: Duration::from_secs(settings.interval),
        life: Duration::from_secs(requested.unwrap_or(u64::MAX).min(settings.expires_in)),
        auto: settings.auto,
        notification,
    })
}

fn check_hints(traits: &'static Traits, form: &Form) -> Result<(), &'static Refusal> {
    let given = ["login_hint", "login_hint_token", "id_token_hint"];
    match &traits.hints {
        Hints::ExactlyOne(refusal) if given.iter().filter(|name| form.get(name).is_some()).count() != 1 => {
            Err(refusal)
        }
        Hints::ExactlyOne(_) | Hints::LoginHintAlone => Ok(()),
    }
}

fn check_user_code(traits: &'static Traits, form: &Form, hint: &str) -> Result<(), &'static Refusal> {
    let Some(code) = form.get("user_code") else { return Ok(()) };
    match &traits.user_code {
        UserCode::Unsupported(refusal) => Err(refusal),
        UserCode::LastFourOfTheHint(refusal) => {
            let from = hint.char_indices().rev().nth(3).map_or(0, |(at, _)| at);
            if code == &hint[from..] { Ok(()) } else { Err(refusal) }
        }
    }
}

fn requested_expiry(form: &Form) -> Result<Option<u64>, ()> {
    match form.get("requested_expiry").map(str::parse) {
        None => Ok(None),
        Some(Ok(seconds)) if seconds > 0 => Ok(Some(seconds)),
        Some(_) => Err(()),
    }
}

fn ring(simulator: &Simulator, asked: Asked) -> Reply {
    let inner = &simulator.inner;
    let id = tokens::auth_req_id(simulator);
    let (now, created_at) = (inner.clock.monotonic(), inner.clock.now());
    let mut state = simulator.state();
    let expires_in = if inner.traits.acknowledges_requested_expiry {
        asked.life.as_secs()
    } else {
        state.settings.expires_in
    };
    let interval = asked.interval.as_secs();
    let login_hint = asked.login_hint.clone();
    let by_itself = asked.auto.filter(|_| asked.notification.is_some());
    if !state.requests.ring(id.clone(), asked, now, created_at) {
        return Reply::refusal(&inner.traits.refusals.too_many_requests);
    }
    state.stats.ring(&login_hint);
    drop(state);
    simulator.changed();
    if let Some(auto) = by_itself {
        simulator.announce_at(id.clone(), now + Duration::from_millis(auto.after_ms));
    }
    Reply::ok(&Acknowledgement { auth_req_id: &id, expires_in, interval })
}
