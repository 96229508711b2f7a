//! The refresh at the token endpoint (RFC 6749 §6): the token, the session behind it, the certificate, the scope.

use std::time::Duration;

use super::super::Simulator;
use super::super::exchange::{Call, Reply};
use super::super::personality::Refusal;
use super::super::sessions::{Next, Presented};
use super::super::settings::Rotation;
use super::super::tokens::{self, RefreshToken};
use super::form::Form;
use crate::domain::random::uuid_v4;

/// `POST …/token` with `grant_type=refresh_token`, for a client that has proved who it is.
pub(super) fn answer(simulator: &Simulator, call: &Call, form: &Form) -> Reply {
    let reply = match refreshed(simulator, call, form) {
        Ok(tokens) => Reply::ok(&tokens),
        Err(refusal) => Reply::refusal(refusal),
    };
    simulator.state().stats.refreshed(reply.result);
    reply
}

fn refreshed(simulator: &Simulator, call: &Call, form: &Form) -> Result<tokens::Tokens, &'static Refusal> {
    let inner = &simulator.inner;
    let refusals = &inner.traits.refusals;
    let text = form.get("refresh_token").ok_or(&refusals.missing_refresh_token)?;
    let token = tokens::verified_refresh_token(simulator, text).ok_or(&refusals.garbage_refresh_token)?;
    let is_granted = |wanted: &str| token.scope.split(' ').any(|granted| granted == wanted);
    if !form.get("scope").unwrap_or_default().split_ascii_whitespace().all(is_granted) {
        return Err(&refusals.wider_scope);
    }
    let certificate = call.certificate.as_deref();
    let thumbprint = certificate.map(|certificate| certificate.thumbprint);
    let successor = uuid_v4(&*inner.random);
    let mut state = simulator.state();
    if !state.departures.is_alive(token.session, &token.id.to_string()) {
        return Err(&refusals.session_over);
    }
    let rotation = state.settings.refresh;
    let life = Duration::from_secs(state.settings.refresh_token_seconds);
    let next = Next { rotation, successor, life };
    let begun = match state.sessions.present(&token, thumbprint, &next, inner.clock.monotonic()) {
        Presented::Taken(begun) => begun,
        Presented::Over => return Err(&refusals.session_over),
        Presented::Expired => return Err(&refusals.expired_refresh_token),
        Presented::Reused => return Err(&refusals.reused_refresh_token),
        Presented::OtherCertificate => return Err(&refusals.other_certificate),
    };
    drop(state);
    let refresh_token = match rotation {
        Rotation::Keep => RefreshToken::Same(text),
        Rotation::Rotate | Rotation::Grace => RefreshToken::Named(successor),
    };
    Ok(tokens::renew(simulator, &begun, token.session, certificate, refresh_token))
}
